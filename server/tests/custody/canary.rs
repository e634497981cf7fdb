//! Whether a value in custody gets anywhere but where it is meant to be. A server in a
//! process of its own, told to log all it can, is given values that can't be guessed and put
//! through releases, calls and mistakes; then everything it wrote and answered is searched.

use crate::canary::node::Node;
use crate::canary::traces::{Found, UNREADABLE, WAL, files, forms, search, written};
use crate::world::{ALL_MODES, Upstream};
use reqwest::{Method, RequestBuilder};
use rstest::rstest;
use serde_json::{Value, json};
use std::time::Duration;
use stipend::demo::llm::Llm;
use stipend::demo::llm::hostile::Hostile;
use stipend_keys::{Secret, random_id};
use stipend_schema::Backend;
use stipend_schema::testing::TestDatabase;

mod node;
mod traces;

/// A P-256 key to encrypt to (RFC 7517 appendix A.1).
const RECIPIENT: [(&str, &str); 6] = [
    ("kty", "EC"),
    ("crv", "P-256"),
    ("x", "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"),
    ("y", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"),
    ("use", "enc"),
    ("alg", "ECDH-ES+A256KW"),
];

/// Values that nothing else in the world has.
struct Canaries {
    key: String,
    client_secret: String,
    password: String,
    header: String,
    rotated: String,
}

impl Canaries {
    fn new() -> Self {
        // Signs that an encoding would change.
        let canary = |kind: &str| random_id(&format!("{kind}+/~"));
        Self {
            key: canary("key"),
            client_secret: canary("sec"),
            password: canary("pwd"),
            header: canary("hdr"),
            rotated: canary("new"),
        }
    }

    fn all(&self) -> [&str; 5] {
        [&self.key, &self.client_secret, &self.password, &self.header, &self.rotated]
    }

    fn values(&self, token_url: &str) -> [(&'static str, Value); 4] {
        [
            ("api", json!({"api_key": {"key": self.key}})),
            ("basic", json!({"basic": {"username": "us", "password": self.password}})),
            ("headers", json!({"headers": {"headers": {"x-secret": self.header}}})),
            (
                "oauth",
                json!({"oauth_client_credentials": {
                    "token_url": token_url, "client_id": "us", "client_secret": self.client_secret,
                }}),
            ),
        ]
    }
}

/// Everybody who talks to the node, and all that they were told and not meant to be.
struct Party<'a> {
    node: &'a Node,
    http: reqwest::Client,
    admin: String,
    heard: Vec<(String, Vec<u8>)>,
}

impl Party<'_> {
    /// Sends it and keeps the answer, head and body.
    async fn hear(&mut self, what: &str, request: RequestBuilder) -> (u16, Value) {
        let Ok(answer) = request.timeout(Duration::from_secs(2)).send().await else {
            return (0, Value::Null);
        };
        let (status, mut said) = (answer.status().as_u16(), format!("{:?}\n", answer.headers()).into_bytes());
        let body = answer.bytes().await.unwrap_or_default();
        said.extend_from_slice(&body);
        self.heard.push((format!("the answer to {what}"), said));
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn admin(&mut self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/admin/v1{path}", self.node.issuer);
        let request = self.http.request(method.clone(), url).bearer_auth(&self.admin);
        let request = if method == Method::GET { request } else { request.json(body) };
        self.hear(&format!("{method} {path}"), request).await
    }

    async fn create(&mut self, path: &str, body: &Value) -> Value {
        let (status, made) = self.admin(Method::POST, path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {made}");
        made
    }

    /// Like `hear`, of an answer that is meant to have the value: only whether it does.
    async fn take(&self, request: RequestBuilder, value: &str) -> bool {
        let answer = request.send().await.unwrap();
        let text = answer.text().await.unwrap();
        serde_json::from_str::<Value>(&text).unwrap().to_string().contains(value)
    }

    async fn token(&self, client: &str, secret: &str) -> String {
        let form = [("grant_type", "client_credentials")];
        let url = format!("{}/oauth2/token", self.node.issuer);
        let answer = self.http.post(url).basic_auth(client, Some(secret)).form(&form).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned()
    }

    fn release(&self, credential: &str, mode: &str, token: &str) -> RequestBuilder {
        let url = format!("{}/credentials/{credential}/release", self.node.issuer);
        self.http.post(url).bearer_auth(token).json(&json!({"mode": mode}))
    }

    fn proxied(&self, credential: &str, path: &str, token: &str) -> RequestBuilder {
        let url = format!("{}/proxy/{credential}{path}", self.node.issuer);
        self.http
            .post(url)
            .bearer_auth(token)
            .json(&json!({"model": "stand-in-1", "messages": [{"role": "user", "content": "hi"}]}))
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_in_custody_leaves_no_trace(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    stipend::testing::install_crypto();
    let database = TestDatabase::new(backend).await;
    let began = written(backend, &database).await;
    let mut node = Node::start(database.url());
    let canaries = Canaries::new();
    let heard = {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut party = Party { node: &node, http, admin: String::new(), heard: Vec::new() };
        party.admin = party.token(stipend::bootstrap::ADMIN, stipend::testing::ADMIN_SECRET).await;
        let agent = live(&mut party, &canaries).await;
        blunder(&mut party, &canaries, &agent).await;
        for path in ["/metrics", "/healthz", "/readyz"] {
            let request = party.http.get(format!("{}{path}", party.node.issuer));
            party.hear(path, request).await;
        }
        party.heard
    };
    assert!(heard.len() > 60, "{}", heard.len());
    let export = node.folder.path().join("audit.jsonl");
    let mut looked_at = heard;
    for command in [
        vec!["doctor"],
        vec!["audit", "tail"],
        vec!["agent", "list", "--json"],
        vec!["owner", "list"],
        vec!["audit", "export", export.to_str().unwrap()],
    ] {
        looked_at.push((format!("stipend {}", command.join(" ")), node.command(&command)));
    }
    looked_at.push(("the audit export".to_owned(), std::fs::read(&export).unwrap_or_default()));
    // With the server under way, what is not in the database yet is in its log beside it.
    looked_at.extend(files(backend, &database, began).await);
    node.stop();
    looked_at.extend(files(backend, &database, began).await);
    looked_at.push(("the log".to_owned(), node.said()));
    prove(&canaries, &looked_at, backend);
}

/// Nothing is found, in places that were really looked at.
fn prove(canaries: &Canaries, looked_at: &[(String, Vec<u8>)], backend: Backend) {
    let needed: &[&str] = match backend {
        Backend::Sqlite => {
            &["the audit export", "the log", "the database", "the database's -wal", "the database's -shm"]
        }
        Backend::Postgres => &["the audit export", "the log", "pg_dump", WAL],
    };
    for place in needed {
        if *place == WAL && looked_at.iter().any(|(name, _)| name == UNREADABLE) {
            continue;
        }
        let found: Vec<usize> =
            looked_at.iter().filter(|(name, _)| name == place).map(|(_, bytes)| bytes.len()).collect();
        assert!(found.iter().any(|length| *length > 1000), "{place} was not looked at: {found:?}");
    }
    let log = looked_at.iter().find(|(name, _)| name == "the log").unwrap();
    assert!(String::from_utf8_lossy(&log.1).contains("\"level\":\"TRACE\""), "it told all it could");
    // The search finds what is there: what an audit record says of a call.
    assert!(search(looked_at, &forms("credential.released")).len() > 1);
    let found: Vec<Found> = canaries.all().iter().flat_map(|canary| search(looked_at, &forms(canary))).collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// What goes on in a life: registrations, releases in every mode, calls that go well and ill.
async fn live(party: &mut Party<'_>, canaries: &Canaries) -> String {
    let llm = Llm::start(Secret::new(canaries.key.clone())).unwrap();
    let hostile = Hostile::start().await.unwrap();
    let tokens = Upstream::start("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{\"access_token\":\"upstream-token-123456\",\"token_type\":\"Bearer\",\"expires_in\":120}").await;
    party.create("/owners", &json!({"id": "acme", "name": "Acme"})).await;
    let keys = format!("{}/credentials", party.node.issuer);
    let scopes = ["credential:release", "credential:use"];
    let made = party
        .create("/agents", &json!({
            "owner": "acme", "name": "worker", "kind": "agent", "purpose": "test", "auth_method": "client_secret_basic",
            "access": [{"resource": keys, "scopes": scopes, "default_scopes": scopes}],
        }))
        .await;
    let secret = made["client_secret"].as_str().unwrap().to_owned();
    let recipient: serde_json::Map<String, Value> =
        RECIPIENT.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let token = party.token("acme.worker", &secret).await;
    let base = format!("http://{}", hostile.address());
    for (name, value) in canaries.values(&format!("{}/token", tokens.base)) {
        let new = json!({"owner": "acme", "name": name, "value": value, "base_url": base, "modes": ALL_MODES});
        let id = party.create("/credentials", &new).await["id"].as_str().unwrap().to_owned();
        let grant = json!({"credential": id, "agent": "acme.worker", "modes": ALL_MODES, "encryption_jwk": recipient});
        party.create("/grants", &grant).await;
        released(party, canaries, &id, &token).await;
        for path in
            ["/echo", "/garbage", "/hang", "/hang-body", "/short", "/redirect", "/gzip", "/endless-head", "/none"]
        {
            party.hear(&format!("{id}{path}"), party.proxied(&id, path, &token)).await;
        }
        let constrained = json!({"constraints": {"paths": ["/v1"]}});
        party.admin(Method::PATCH, &format!("/credentials/{id}"), &constrained).await;
        let (status, _) = party.hear(&format!("{id}, refused"), party.proxied(&id, "/echo", &token)).await;
        assert_eq!(status, 403);
        party.admin(Method::GET, &format!("/credentials/{id}"), &Value::Null).await;
    }
    let to_llm = json!({"base_url": llm.base_url().unwrap(), "template": "openai"});
    party.admin(Method::PATCH, "/credentials/acme.api", &to_llm).await;
    let (status, _) =
        party.hear("a call that goes well", party.proxied("acme.api", "/v1/chat/completions", &token)).await;
    assert_eq!((status, llm.calls()), (200, 1));
    rotated(party, canaries, &token).await;
    token
}

async fn released(party: &mut Party<'_>, canaries: &Canaries, id: &str, token: &str) {
    let own = canaries.values("").into_iter().find(|(name, _)| id.ends_with(name)).unwrap().0;
    let value = match own {
        "api" => &canaries.key,
        "basic" => &canaries.password,
        "headers" => &canaries.header,
        _ => &canaries.client_secret,
    };
    assert!(party.take(party.release(id, "plaintext", token), value).await, "{id}: meant to be in this one");
    let (_, wrapped) = party.hear(&format!("{id}, wrapped"), party.release(id, "wrapped", token)).await;
    let (status, _) = party.hear(&format!("{id}, jwe"), party.release(id, "jwe", token)).await;
    assert_eq!(status, 200, "{id}: jwe");
    let unwrap = party.http.post(format!("{}/credentials/unwrap", party.node.issuer)).bearer_auth(token);
    assert!(party.take(unwrap.json(&json!({"reference": wrapped["reference"]})), value).await, "{id}: and in this one");
}

async fn rotated(party: &mut Party<'_>, canaries: &Canaries, token: &str) {
    let rotation = json!({"value": {"api_key": {"key": canaries.rotated}}});
    let (status, body) = party.admin(Method::POST, "/credentials/acme.api/rotate", &rotation).await;
    assert!((200..300).contains(&status), "{status} {body}");
    // The provider knows the old key only.
    let refused = party.proxied("acme.api", "/v1/chat/completions", token);
    assert_eq!(party.hear("a call that the provider refuses", refused).await.0, 401);
    for path in ["/credentials", "/credentials/acme.api", "/grants", "/topology", "/audit?limit=200"] {
        party.admin(Method::GET, path, &Value::Null).await;
    }
}

/// What people and agents do wrong, with the value in their hands.
async fn blunder(party: &mut Party<'_>, canaries: &Canaries, token: &str) {
    let secret = &canaries.key;
    let good = json!({"owner": "acme", "name": "wrong", "value": {"api_key": {"key": "sk-another-0123456789"}}});
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        changed
    };
    for body in [
        with("value", json!(secret)),
        with("value", json!({"api_key": secret})),
        with("value", json!({secret.as_str(): {"key": "sk-another-0123456789"}})),
        with("value", json!({"api_key": {"key": [secret]}})),
        with("value", json!({"api_key": {"key": secret, "extra": secret}})),
        with("value", json!({"basic": {"username": secret}})),
        with("value", json!({"headers": {"headers": {"x a": secret}}})),
        with("value", json!({"headers": {"headers": {"x-a": format!("{secret}\r\nx-b: c")}}})),
        with(
            "value",
            json!({"oauth_client_credentials": {"token_url": "no url", "client_id": "a", "client_secret": secret}}),
        ),
        with("value", json!({"api_key": {"key": format!("{secret}\u{0}")}})),
        with("name", json!(secret)),
        with("owner", json!(secret)),
        with("template", json!(secret)),
        with("environment", json!(secret)),
        with("modes", json!([secret])),
        with("base_url", json!(format!("https://u:{secret}@upstream.example"))),
        with("base_url", json!(format!("https://upstream.example/?key={secret}"))),
        with("header", json!({"name": secret})),
        with("lease_seconds", json!(secret)),
        with("constraints", json!({"paths": secret})),
        with("metering", json!({"prices": {"as_of": secret}})),
    ] {
        let (status, said) = party.admin(Method::POST, "/credentials", &body).await;
        assert!((400..500).contains(&status), "{status} {said} to {body}");
    }
    for (kind, body) in [
        ("text/plain", format!("{{\"key\":\"{secret}\"}}")),
        ("application/json", format!("{{\"value\":\"{secret}\"")),
        ("application/json", format!("{{\"value\":\"{secret}\",\"value\":\"{secret}\"}}")),
        ("application/x-www-form-urlencoded", format!("value={secret}")),
    ] {
        let url = format!("{}/admin/v1/credentials", party.node.issuer);
        let request = party.http.post(url).bearer_auth(&party.admin).header("content-type", kind).body(body);
        assert!((400..500).contains(&party.hear("a body that can't be read", request).await.0), "{kind}");
    }
    let issuer = party.node.issuer.clone();
    let http = party.http.clone();
    for request in [
        http.get(format!("{issuer}/admin/v1/credentials?name={secret}")).bearer_auth(token),
        http.get(format!("{issuer}/proxy/acme.api/x")).bearer_auth(secret),
        http.get(format!("{issuer}/proxy/acme.api/x")).header("x-api-key", secret),
        http.post(format!("{issuer}/credentials/acme.api/release")).bearer_auth(secret).json(&json!({"mode": "proxy"})),
        http.post(format!("{issuer}/credentials/acme.api/release")).bearer_auth(token).json(&json!({"mode": secret})),
        http.post(format!("{issuer}/credentials/unwrap")).bearer_auth(token).json(&json!({"reference": secret})),
        http.post(format!("{issuer}/oauth2/token"))
            .basic_auth("acme.worker", Some(secret))
            .form(&[("grant_type", secret)]),
        http.post(format!("{issuer}/oauth2/revoke")).form(&[("token", secret)]),
    ] {
        let (status, _) = party.hear("a request with a value in the wrong place", request).await;
        assert!((400..500).contains(&status), "{status}");
    }
}

#[test]
fn the_server_leaves_no_core_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::start(&format!("sqlite://{}/core.db", folder.path().display()));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", node.id())).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let sizes: Vec<&str> = cores.split_whitespace().skip(4).take(2).collect();
    assert_eq!(sizes, ["0", "0"], "neither now nor when somebody raises it: {cores}");
    node.abort();
    let left = std::fs::read_dir(node.folder.path()).unwrap().flatten().map(|file| file.file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains("core")).collect();
    assert!(left.is_empty(), "{left:?}");
}
