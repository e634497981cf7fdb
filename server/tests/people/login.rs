//! People log in to the admin API with tokens of a trusted issuer: with which, as whom, and how
//! far that goes.

use crate::idp::Key;
use crate::world::World;
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::clock::Clock;
use stipend_schema::Backend;

const IDP: &str = "https://login.example";
const CONSOLE: &str = "stipend-console";

/// An issuer of the deployment: its people may be anything.
struct Login {
    world: World,
    key: Key,
    issuer: String,
}

fn mapping(claim: &str, value: &str, role: &str, owner: Option<&str>) -> Value {
    let mut mapping = json!({"claim": claim, "value": value, "role": role});
    if let Some(owner) = owner {
        mapping["owner"] = json!(owner);
    }
    mapping
}

fn registration(key: &Key, owner: &str, issuer: &str, roles: &Value) -> Value {
    json!({
        "owner": owner, "issuer": issuer, "keys": {"jwks": {"keys": [key.jwk()]}}, "uses": ["admin_login"],
        "audiences": ["elsewhere"],
        "mapping": {"admin_login": {"audiences": [CONSOLE], "roles": roles}},
    })
}

impl Login {
    async fn new(backend: Backend) -> Self {
        let world = World::new(backend, &["subject_owner"]).await;
        let key = Key::new("k1");
        let roles = json!([
            mapping("groups", "platform", "platform-admin", None),
            mapping("groups", "shop", "owner-admin", Some("shop")),
            mapping("groups", "watch", "auditor", Some("shop")),
            mapping("/realm/role", "watch-all", "auditor", None),
        ]);
        let made = world.server.create("/issuers", registration(&key, "stipend", IDP, &roles)).await;
        let issuer = made["id"].as_str().unwrap().to_owned();
        Self { world, key, issuer }
    }

    fn claims(&self, groups: &[&str]) -> Value {
        let now = self.world.server.clock.now();
        json!({
            "iss": IDP, "sub": "ann", "aud": CONSOLE, "iat": now, "exp": now + 600, "groups": groups,
            "auth_time": now - 30, "jti": format!("j{now}"),
        })
    }

    fn with(&self, groups: &[&str], member: &str, value: Value) -> Value {
        let mut claims = self.claims(groups);
        match value {
            Value::Null => {
                claims.as_object_mut().unwrap().remove(member);
            }
            value => claims[member] = value,
        }
        claims
    }

    fn token(&self, groups: &[&str]) -> String {
        self.key.token("JWT", &self.claims(groups))
    }

    async fn get(&self, token: &str, path: &str) -> (StatusCode, Value) {
        self.world.server.admin_as(token, Method::GET, path, None).await
    }

    async fn post(&self, token: &str, path: &str, body: Value) -> (StatusCode, Value) {
        self.world.server.admin_as(token, Method::POST, path, Some(&body)).await
    }

    async fn patched(&self, login: Value) {
        let body = json!({"mapping": {"admin_login": login}});
        let path = format!("/issuers/{}", self.issuer);
        let (status, said) = self.world.server.admin(Method::PATCH, &path, Some(&body)).await;
        assert_eq!(status, StatusCode::OK, "{said}");
    }
}

#[rstest]
#[tokio::test]
async fn a_person_has_the_roles_of_the_claims(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let login = Login::new(backend).await;
    let (status, who) = login.get(&login.token(&["shop", "x"]), "/whoami").await;
    assert_eq!(status, StatusCode::OK, "{who}");
    let subject = format!("user:{}:ann", login.issuer);
    assert_eq!((&who["client_id"], &who["owner"]), (&json!(subject), &json!("stipend")));
    assert_eq!(who["roles"], json!([{"role": "owner-admin", "owner": "shop"}]));
    assert_eq!(who["scopes"], json!(["admin:audit", "admin:read", "admin:write"]));
    assert_eq!((&who["person"]["issuer"], &who["person"]["subject"]), (&json!(IDP), &json!(subject)));
    let (_, agents) = login.get(&login.token(&["shop"]), "/agents").await;
    let owners: Vec<&Value> = agents["items"].as_array().unwrap().iter().map(|one| &one["owner"]).collect();
    assert_eq!(owners, [&json!("shop")]);
    assert_eq!(login.get(&login.token(&["shop"]), "/agents/desk.refunds").await.0, StatusCode::NOT_FOUND);
    let new = json!({"owner": "shop", "name": "made", "auth_method": "client_secret_basic"});
    let (status, made) = login.post(&login.token(&["shop"]), "/agents", new.clone()).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let record = login.world.records("agent.created").await.remove(0);
    assert_eq!(
        (&record["client_id"], &record["detail"]["person"]["issuer"]),
        (&json!(subject), &json!(IDP)),
        "{record}"
    );

    let watch = login.token(&["watch"]);
    assert_eq!(login.get(&watch, "/agents").await.0, StatusCode::OK);
    let (status, body) = login.post(&watch, "/agents", new).await;
    assert_eq!((status, &body["code"]), (StatusCode::FORBIDDEN, &json!("insufficient_scope")));
    let all = login.key.token("at+jwt", &login.with(&[], "realm", json!({"role": ["watch-all"]})));
    assert_eq!(login.get(&all, "/agents/desk.refunds").await.0, StatusCode::OK, "an access token does as well");
    let (status, body) = login.get(&login.token(&["nobody"]), "/whoami").await;
    assert_eq!((status, &body["code"]), (StatusCode::FORBIDDEN, &json!("insufficient_scope")), "no claim, no role");
    let refused = login.world.records("whoami").await.remove(0);
    assert_eq!((&refused["outcome"], &refused["client_id"]), (&json!("refused"), &json!(subject)), "and on record");
}

#[rstest]
#[tokio::test]
async fn what_was_made_for_something_else_lets_nobody_in(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let login = Login::new(backend).await;
    let now = login.world.server.clock.now();
    let all = ["platform"];
    let admin = login.world.server.app.urls.admin_resource.clone();
    let good = login.key.token("at+jwt", &login.with(&all, "aud", json!(admin)));
    assert_eq!(login.get(&good, "/whoami").await.0, StatusCode::OK, "the admin API's own identifier");
    let bad = [
        ("of another client", login.with(&all, "aud", json!("other-app"))),
        ("for subject tokens", login.with(&all, "aud", json!("elsewhere"))),
        ("for others as well", login.with(&all, "aud", json!([CONSOLE, "other-app"]))),
        ("for nobody", login.with(&all, "aud", Value::Null)),
        ("for an empty list", login.with(&all, "aud", json!([]))),
        ("by an issuer nobody knows", login.with(&all, "iss", json!("https://evil.example"))),
        ("expired", login.with(&all, "exp", json!(now - 1))),
        ("not yet issued", login.with(&all, "iat", json!(now + 600))),
        ("without a subject", login.with(&all, "sub", Value::Null)),
        ("without a date", login.with(&all, "iat", Value::Null)),
        ("by somebody who acts for her", login.with(&all, "act", json!({"sub": "agent"}))),
        ("a logout token", login.with(&all, "events", json!({}))),
        ("that says it is ours", login.with(&all, "iss", json!(login.world.server.issuer))),
    ];
    let mut tokens: Vec<(&str, String)> =
        bad.into_iter().map(|(why, claims)| (why, login.key.token("JWT", &claims))).collect();
    tokens.push(("of another kind", login.key.token("logout+jwt", &login.claims(&all))));
    tokens.push(("signed by another key", Key::new("k1").token("JWT", &login.claims(&all))));
    tokens.push(("with a key nobody has", Key::new("k2").token("JWT", &login.claims(&all))));
    tokens.push(("without a signature", {
        let token = login.token(&all);
        format!("{}.", token.rsplit_once('.').unwrap().0)
    }));
    for (why, token) in tokens {
        let (status, body) = login.get(&token, "/whoami").await;
        assert_eq!((status, &body["code"]), (StatusCode::UNAUTHORIZED, &json!("invalid_token")), "{why}: {body}");
    }
}

#[rstest]
#[tokio::test]
async fn an_owners_issuer_gives_no_role_beyond_it(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let login = Login::new(backend).await;
    let key = Key::new("shop-key");
    let url = "https://shop-login.example";
    let own = json!([mapping("groups", "boss", "owner-admin", Some("shop"))]);
    for beyond in [
        mapping("groups", "boss", "platform-admin", None),
        mapping("groups", "boss", "auditor", None),
        mapping("groups", "boss", "owner-admin", Some("bank")),
        mapping("groups", "boss", "platform-admin", Some("shop")),
        mapping("groups", "boss", "owner-admin", None),
    ] {
        let body = registration(&key, "shop", url, &json!([beyond]));
        let (status, said) = login.world.server.admin(Method::POST, "/issuers", Some(&body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{beyond}: {said}");
    }
    for odd in [
        json!([]),
        json!([mapping("", "x", "auditor", Some("shop"))]),
        json!([mapping("g", "", "auditor", Some("shop"))]),
    ] {
        let body = registration(&key, "shop", url, &odd);
        assert_eq!(login.world.server.admin(Method::POST, "/issuers", Some(&body)).await.0, StatusCode::BAD_REQUEST);
    }
    // Subject tokens are in agents' hands: what they are accepted by lets nobody in here.
    let mut shared = registration(&key, "shop", url, &own);
    shared["uses"] = json!(["admin_login", "subject_token"]);
    shared["audiences"] = json!([CONSOLE]);
    assert_eq!(login.world.server.admin(Method::POST, "/issuers", Some(&shared)).await.0, StatusCode::BAD_REQUEST);

    let boss = login.token(&["shop"]);
    let body = registration(&key, "shop", url, &own);
    assert_eq!(login.post(&boss, "/issuers", body.clone()).await.0, StatusCode::FORBIDDEN, "not by an owner-admin");
    let mut sleeping = body.clone();
    sleeping["uses"] = json!(["client_assertion"]);
    assert_eq!(login.post(&boss, "/issuers", sleeping.clone()).await.0, StatusCode::FORBIDDEN, "nor for later");
    sleeping["mapping"] = json!({});
    let (status, made) = login.post(&boss, "/issuers", sleeping).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let path = format!("/issuers/{}", made["id"].as_str().unwrap());
    let later = json!({"mapping": body["mapping"]});
    let (status, _) = login.world.server.admin_as(&boss, Method::PATCH, &path, Some(&later)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, said) = login
        .world
        .server
        .admin(Method::PATCH, &path, Some(&json!({"uses": ["admin_login"], "mapping": body["mapping"]})))
        .await;
    assert_eq!(status, StatusCode::OK, "{said}");
    let (status, _) = login
        .world
        .server
        .admin_as(&boss, Method::PATCH, &path, Some(&json!({"keys": {"jwks": {"keys": [Key::new("mine").jwk()]}}})))
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN, "whose keys are whose people");

    let mut claims = login.claims(&["boss"]);
    claims["iss"] = json!(url);
    let (status, who) = login.get(&key.token("JWT", &claims), "/whoami").await;
    assert_eq!((status, &who["roles"]), (StatusCode::OK, &json!([{"role": "owner-admin", "owner": "shop"}])), "{who}");
    // Written behind our back, it still gives nothing: off and on, for the caches to look again.
    let wide = r#"{"admin_login":{"audiences":["stipend-console"],"roles":[{"claim":"groups","value":"boss","role":"platform-admin"}]}}"#;
    let id = made["id"].as_str().unwrap();
    login.world.server.execute(&format!("UPDATE issuers SET mapping = '{wide}' WHERE id = '{id}'")).await;
    for verb in ["disable", "enable"] {
        let (status, said) = login.world.server.admin(Method::POST, &format!("{path}/{verb}"), Some(&json!({}))).await;
        assert_eq!(status, StatusCode::OK, "{said}");
    }
    login.world.server.clock.advance(1);
    let mut claims = login.claims(&["boss"]);
    claims["iss"] = json!(url);
    let (status, said) = login.get(&key.token("JWT", &claims), "/whoami").await;
    assert_eq!((status, &said["code"]), (StatusCode::FORBIDDEN, &json!("insufficient_scope")), "{said}");
}

#[rstest]
#[tokio::test]
async fn what_is_taken_away_is_gone_at_once(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let login = Login::new(backend).await;
    let (ann, ok) = (login.token(&["shop"]), StatusCode::OK);
    assert_eq!(login.get(&ann, "/agents").await.0, ok);
    login
        .patched(json!({"audiences": [CONSOLE], "roles": [mapping("groups", "platform", "platform-admin", None)]}))
        .await;
    assert_eq!(login.get(&ann, "/agents").await.0, StatusCode::FORBIDDEN, "the role");
    let boss = login.token(&["platform"]);
    assert_eq!(login.get(&boss, "/agents").await.0, ok);
    let subject = format!("user:{}:ann", login.issuer);
    let revocation = json!({"kind": "subject", "value": subject, "reason": "stolen", "severity": "high"});
    let (status, said) = login.world.server.admin(Method::POST, "/revocations", Some(&revocation)).await;
    assert_eq!(status, StatusCode::CREATED, "{said}");
    assert_eq!(login.get(&boss, "/agents").await.0, StatusCode::UNAUTHORIZED, "the person, until she logs in again");
    login.world.server.clock.advance(1);
    let again = login.token(&["platform"]);
    assert_eq!(login.get(&again, "/agents").await.0, ok);
    let path = format!("/issuers/{}/disable", login.issuer);
    assert_eq!(login.post(&again, &path, json!({})).await.0, ok);
    assert_eq!(login.get(&again, "/agents").await.0, StatusCode::UNAUTHORIZED, "the issuer");
}

#[rstest]
#[tokio::test]
async fn a_login_that_is_too_old_looks_and_changes_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let login = Login::new(backend).await;
    let roles = json!([mapping("groups", "platform", "platform-admin", None)]);
    login.patched(json!({"audiences": [CONSOLE], "roles": roles, "max_auth_age_seconds": 120})).await;
    let now = login.world.server.clock.now();
    let owner = |id: &str| json!({"id": id, "name": id});
    let fresh = login.token(&["platform"]);
    assert_eq!(login.post(&fresh, "/owners", owner("first")).await.0, StatusCode::CREATED);
    for stale in [json!(now - 121), Value::Null] {
        let token = login.key.token("JWT", &login.with(&["platform"], "auth_time", stale));
        assert_eq!(login.get(&token, "/owners").await.0, StatusCode::OK);
        let url = login.world.server.url("/admin/v1/owners");
        let answer = login.world.server.http.post(url).bearer_auth(&token).json(&owner("second")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(challenge.contains("error=\"insufficient_user_authentication\""), "{challenge}");
    }
    for bad in [0, -1, 2_592_001] {
        let body = json!({"mapping": {"admin_login": {"roles": roles, "max_auth_age_seconds": bad}}});
        let path = format!("/issuers/{}", login.issuer);
        assert_eq!(login.world.server.admin(Method::PATCH, &path, Some(&body)).await.0, StatusCode::BAD_REQUEST);
    }
}

#[rstest]
#[tokio::test]
async fn a_person_approves_and_answers_for_agents(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let login = Login::new(backend).await;
    let ann = login.token(&["shop"]);
    let asked = login.world.waiting().await;
    let (status, body) = login.post(&ann, &format!("/approvals/{}/approve", asked.id), json!({})).await;
    assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("approved")), "{body}");
    let subject = format!("user:{}:ann", login.issuer);
    assert_eq!(body["decisions"][0]["by"], json!(subject));
    assert_eq!(login.world.poll(&asked.handle).await.0, StatusCode::OK);
    // Offered to herself by herself: she is the one it is offered to, so she may.
    login.post(&ann, "/agents/shop.planner/responsible", json!({"person": "old@shop.example"})).await;
    login.post(&ann, "/agents/shop.planner/responsible", json!({"person": subject})).await;
    let (status, body) = login.post(&ann, "/agents/shop.planner/responsible/accept", json!({})).await;
    assert_eq!((status, &body["responsible"]["person"]), (StatusCode::OK, &json!(subject)), "{body}");
}

#[tokio::test]
async fn the_command_line_takes_a_persons_token() {
    let login = Login::new(Backend::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{}\n", login.token(&["shop"]))).unwrap();
    let issuer = login.world.server.issuer.clone();
    let run = move || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stipend"));
        command.args(["whoami", "--json", "--issuer", &issuer, "--token-file"]).arg(&file).env_clear();
        command.output().unwrap()
    };
    let said = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let who: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(who["person"]["issuer"], IDP, "{who}");
}
