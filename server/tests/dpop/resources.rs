//! Bound tokens at the key-release service and its proxy (RFC 9449 section 7).

use crate::world::{Answer, KEY, World, answer, with};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::{Prover, TestServer};
use stipend_keys::Algorithm;
use stipend_schema::Backend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Keys {
    world: World,
    credential: String,
    /// Bound to the planner's key, for the key-release service.
    token: String,
}

impl Keys {
    async fn new(backend: Backend) -> Self {
        Self::with(backend, &[], json!({})).await
    }

    async fn with(backend: Backend, settings: &[(&str, &str)], more: Value) -> Self {
        let world = World::on(TestServer::start_with(backend, settings).await).await;
        let mut body = json!({
            "owner": "acme", "name": "llm", "value": {"api_key": {"key": KEY}}, "modes": ["proxy", "wrapped", "plaintext"],
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let credential = world.server.create("/credentials", body).await["id"].as_str().unwrap().to_owned();
        let grant =
            json!({ "credential": credential, "agent": world.planner.id, "modes": ["proxy", "wrapped", "plaintext"] });
        world.server.create("/grants", grant).await;
        let resource = world.server.app.urls.credential_resource.clone();
        let form = [("grant_type", "client_credentials"), ("resource", resource.as_str())];
        let token = world.ask(&world.planner, &form, &[&world.proof()]).await.token();
        Self { world, credential, token }
    }

    fn path(&self) -> String {
        format!("/credentials/{}/release", self.credential)
    }

    fn proof(&self, path: &str) -> String {
        self.world.key.proof("POST", &self.world.server.url(path), self.world.server.now(), Some(&self.token))
    }

    async fn post(&self, path: &str, authorization: &str, proofs: &[&str], body: &Value) -> Answer {
        let mut request =
            self.world.server.http.post(self.world.server.url(path)).header("authorization", authorization);
        for proof in proofs {
            request = request.header("DPoP", *proof);
        }
        answer(request.json(body)).await
    }

    async fn release(&self, authorization: &str, proofs: &[&str]) -> Answer {
        self.post(&self.path(), authorization, proofs, &json!({"mode": "plaintext"})).await
    }

    fn dpop(&self) -> String {
        format!("DPoP {}", self.token)
    }
}

#[rstest]
#[tokio::test]
async fn a_bound_token_and_its_proof_release(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let keys = Keys::new(backend).await;
    for scheme in ["DPoP", "dpop", "DPOP"] {
        let proof = keys.proof(&keys.path());
        let released = keys.release(&format!("{scheme} {}", keys.token), &[&proof]).await;
        assert_eq!(released.status, StatusCode::OK, "{}", released.body);
        assert_eq!(released.body["value"]["api_key"]["key"], KEY);
        // Once.
        keys.release(&keys.dpop(), &[&proof]).await.refused(401, "invalid_dpop_proof");
        keys.world.record("credential.released", "dpop_replayed").await;
    }
}

#[tokio::test]
async fn a_bound_token_without_its_proof_is_no_bearer_token() {
    let keys = Keys::new(Backend::Sqlite).await;
    let as_bearer = keys.release(&format!("Bearer {}", keys.token), &[]).await;
    as_bearer.refused(401, "invalid_token");
    let challenge = as_bearer.all("www-authenticate");
    assert_eq!(challenge.len(), 1);
    assert!(
        challenge[0].starts_with("DPoP error=\"invalid_token\"") && challenge[0].contains("algs=\"ES256 "),
        "{challenge:?}"
    );
    assert!(challenge[0].contains("resource_metadata="));
    // A good proof does not make it one.
    let proof = keys.proof(&keys.path());
    keys.release(&format!("Bearer {}", keys.token), &[&proof]).await.refused(401, "invalid_token");
    let missing = keys.release(&keys.dpop(), &[]).await;
    missing.refused(401, "invalid_dpop_proof");
    assert!(missing.all("www-authenticate")[0].starts_with("DPoP error=\"invalid_dpop_proof\""));
    keys.release(&keys.dpop(), &[&proof, &keys.proof(&keys.path())]).await.refused(401, "invalid_dpop_proof");
    // Nothing of this used up the proof.
    assert_eq!(keys.release(&keys.dpop(), &[&proof]).await.status, StatusCode::OK);
    // Who brings nothing is told of both schemes, and no error.
    let url = keys.world.server.url(&keys.path());
    let none = answer(keys.world.server.http.post(url).json(&json!({"mode": "plaintext"}))).await;
    assert_eq!(none.status, StatusCode::UNAUTHORIZED);
    let challenges = none.all("www-authenticate");
    assert!(challenges.len() == 2 && challenges[0].starts_with("Bearer ") && challenges[1].starts_with("DPoP algs=\""));
    assert!(!challenges.concat().contains("error="), "{challenges:?}");
}

#[tokio::test]
async fn each_fault_of_a_proof_is_a_401() {
    let keys = Keys::new(Backend::Sqlite).await;
    let now = keys.world.server.now();
    let (server, key) = (&keys.world.server, &keys.world.key);
    let good = || Prover::claims("POST", &server.url(&keys.path()), now, Some(&keys.token));
    let other = Prover::new(Algorithm::Es256);
    let cases = [
        ("no ath", key.sign(&with(good(), "ath", Value::Null)), "invalid_dpop_proof"),
        ("ath of another token", key.sign(&with(good(), "ath", json!("x".repeat(43)))), "invalid_dpop_proof"),
        ("other method", key.sign(&with(good(), "htm", json!("GET"))), "invalid_dpop_proof"),
        (
            "other credential",
            key.sign(&with(good(), "htu", json!(server.url("/credentials/other/release")))),
            "invalid_dpop_proof",
        ),
        ("token endpoint", key.sign(&with(good(), "htu", json!(server.url("/oauth2/token")))), "invalid_dpop_proof"),
        ("old", key.sign(&with(good(), "iat", json!(now - 3600))), "invalid_dpop_proof"),
        ("ahead", key.sign(&with(good(), "iat", json!(now + 3600))), "invalid_dpop_proof"),
        ("other key", other.sign(&good()), "invalid_token"),
        ("garbage", "x".to_owned(), "invalid_dpop_proof"),
    ];
    for (what, proof, error) in cases {
        let refused = keys.release(&keys.dpop(), &[&proof]).await;
        assert_eq!((refused.status.as_u16(), refused.error()), (401, error), "{what}: {}", refused.body);
        let challenge = refused.all("www-authenticate");
        assert!(challenge[0].starts_with(&format!("DPoP error=\"{error}\"")), "{what}: {challenge:?}");
    }
}

#[tokio::test]
async fn the_scheme_is_for_bound_tokens_only() {
    let keys = Keys::new(Backend::Sqlite).await;
    let resource = keys.world.server.app.urls.credential_resource.clone();
    let plain = keys.world.server.token(&keys.world.planner, &[("resource", &resource)]).await;
    let url = keys.world.server.url(&keys.path());
    let proof = keys.world.key.proof("POST", &url, keys.world.server.now(), Some(&plain));
    keys.release(&format!("DPoP {plain}"), &[&proof]).await.refused(401, "invalid_token");
    assert_eq!(keys.release(&format!("Bearer {plain}"), &[]).await.status, StatusCode::OK);
}

#[rstest]
#[tokio::test]
async fn a_proof_is_used_up_by_a_release_that_is_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = Keys::new(backend).await;
    let proof = keys.proof(&keys.path());
    let jwe = keys.post(&keys.path(), &keys.dpop(), &[&proof], &json!({"mode": "jwe"})).await;
    assert_eq!(jwe.status, StatusCode::FORBIDDEN, "{}", jwe.body);
    keys.release(&keys.dpop(), &[&proof]).await.refused(401, "invalid_dpop_proof");
    let dry = keys.proof(&keys.path());
    let body = json!({"mode": "plaintext", "dry_run": true});
    assert_eq!(keys.post(&keys.path(), &keys.dpop(), &[&dry], &body).await.status, StatusCode::OK);
    keys.release(&keys.dpop(), &[&dry]).await.refused(401, "invalid_dpop_proof");
}

#[rstest]
#[tokio::test]
async fn unwrapping_uses_up_the_reference_and_the_proof(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = Keys::new(backend).await;
    let wrapped =
        keys.post(&keys.path(), &keys.dpop(), &[&keys.proof(&keys.path())], &json!({"mode": "wrapped"})).await;
    let body = json!({ "reference": wrapped.body["reference"] });
    const UNWRAP: &str = "/credentials/unwrap";
    keys.post(UNWRAP, &format!("Bearer {}", keys.token), &[], &body).await.refused(401, "invalid_token");
    let proof = keys.proof(UNWRAP);
    let value = keys.post(UNWRAP, &keys.dpop(), &[&proof], &body).await;
    assert_eq!((value.status, &value.body["value"]["api_key"]["key"]), (StatusCode::OK, &json!(KEY)));
    // A replayed proof says nothing of the reference; a fresh one does.
    keys.post(UNWRAP, &keys.dpop(), &[&proof], &body).await.refused(401, "invalid_dpop_proof");
    keys.post(UNWRAP, &keys.dpop(), &[&keys.proof(UNWRAP)], &body).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_bound_token_goes_through_the_proxy_by_dpop_and_no_other_way() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = std::sync::Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut buffer = [0; 8192];
            let read = socket.read(&mut buffer).await.unwrap_or(0);
            kept.lock().unwrap().push(String::from_utf8_lossy(&buffer[..read]).to_lowercase());
            let text = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ndpop-nonce: theirs\r\nconnection: close\r\n\r\nok";
            let _ = socket.write_all(text.as_bytes()).await;
        }
    });
    let local = [("STIPEND_UPSTREAM_HTTP_HOSTS", "127.0.0.1"), ("STIPEND_UPSTREAM_NETWORKS", "127.0.0.0/8")];
    let keys = Keys::with(Backend::Sqlite, &local, json!({ "base_url": base })).await;
    let path = format!("/proxy/{}/v1/models", keys.credential);
    let url = keys.world.server.url(&path);
    let get = |name: &str, value: String, proof: Option<String>| {
        let mut request = keys.world.server.http.get(&url).header(name, value);
        if let Some(proof) = proof {
            request = request.header("DPoP", proof);
        }
        answer(request)
    };
    let proof = || keys.world.key.proof("GET", &url, keys.world.server.now(), Some(&keys.token));
    for (name, value) in [
        ("authorization", format!("Bearer {}", keys.token)),
        ("x-api-key", keys.token.clone()),
        ("api-key", keys.token.clone()),
    ] {
        get(name, value, Some(proof())).await.refused(401, "invalid_token");
    }
    get("authorization", keys.dpop(), None).await.refused(401, "invalid_dpop_proof");
    assert!(seen.lock().unwrap().is_empty(), "nothing has left");
    let good = proof();
    let passed = get("authorization", keys.dpop(), Some(good.clone())).await;
    assert_eq!(passed.status, StatusCode::OK, "{}", passed.body);
    assert!(passed.headers.get("dpop-nonce").is_none(), "the upstream's nonce is not ours");
    get("authorization", keys.dpop(), Some(good)).await.refused(401, "invalid_dpop_proof");
    let sent = seen.lock().unwrap().clone();
    assert_eq!(sent.len(), 1);
    assert!(!sent[0].contains("dpop") && !sent[0].contains(&keys.token.to_lowercase()), "{}", sent[0]);
    assert!(sent[0].contains(KEY));
}

#[tokio::test]
async fn a_proof_for_the_proxy_is_for_one_method_and_path() {
    let keys = Keys::new(Backend::Sqlite).await;
    let url = |path: &str| keys.world.server.url(&format!("/proxy/{}{path}", keys.credential));
    let proof = keys.world.key.proof("GET", &url("/v1/models"), keys.world.server.now(), Some(&keys.token));
    for (method, path) in [(Method::POST, "/v1/models"), (Method::GET, "/v1/files")] {
        let request = keys.world.server.http.request(method, url(path)).header("authorization", keys.dpop());
        answer(request.header("DPoP", &proof)).await.refused(401, "invalid_dpop_proof");
    }
}
