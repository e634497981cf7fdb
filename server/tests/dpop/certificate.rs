//! Tokens bound to a certificate (RFC 8705 section 3), as a trusted proxy tells of it.

use crate::world::{Answer, KEY, ORDERS, World, answer, claims};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair};
use reqwest::StatusCode;
use serde_json::{Value, json};
use stipend_keys::sha256;
use stipend_schema::Backend;

const BEHIND: [(&str, &str); 2] =
    [("STIPEND_TRUSTED_PROXIES", "127.0.0.1"), ("STIPEND_CLIENT_CERTIFICATE_HEADER", "Client-Cert")];
const RELEASE: &str = "/credentials/acme.llm/release";

/// A certificate: the value of the proxy's header (RFC 9440), and its `x5t#S256`.
struct Certificate {
    header: String,
    thumbprint: String,
}

fn certificate(key: &KeyPair) -> Certificate {
    let signed = CertificateParams::new(vec!["agent.example".to_owned()]).unwrap().self_signed(key).unwrap();
    Certificate {
        header: format!(":{}:", STANDARD.encode(signed.der())),
        thumbprint: URL_SAFE_NO_PAD.encode(sha256(signed.der())),
    }
}

async fn bound_client(settings: &[(&str, &str)]) -> World {
    let world = World::with(Backend::Sqlite, settings).await;
    world.settings(&world.planner, json!({ "tls_client_certificate_bound_access_tokens": true })).await;
    world
}

async fn ask(world: &World, resource: &str, certificate: Option<&Certificate>, proofs: &[&str]) -> Answer {
    let form = [("grant_type", "client_credentials"), ("resource", resource)];
    let headers: Vec<(&str, &str)> = certificate.iter().map(|it| ("client-cert", it.header.as_str())).collect();
    world.ask_with(&world.planner, &form, proofs, &headers).await
}

async fn release(world: &World, scheme: &str, token: &str, certificate: Option<&Certificate>) -> Answer {
    let mut request =
        world.server.http.post(world.server.url(RELEASE)).header("authorization", format!("{scheme} {token}"));
    if let Some(certificate) = certificate {
        request = request.header("client-cert", &certificate.header);
    }
    answer(request.json(&json!({ "mode": "plaintext" }))).await
}

#[tokio::test]
async fn a_token_is_bound_to_the_certificate_and_of_no_use_without_it() {
    let world = bound_client(&BEHIND).await;
    let body = json!({ "owner": "acme", "name": "llm", "value": {"api_key": {"key": KEY}}, "modes": ["plaintext"] });
    world.server.create("/credentials", body).await;
    let grant = json!({ "credential": "acme.llm", "agent": world.planner.id, "modes": ["plaintext"] });
    world.server.create("/grants", grant).await;
    let key = KeyPair::generate().unwrap();
    let own = certificate(&key);
    let keys = world.server.app.urls.credential_resource.clone();

    ask(&world, &keys, None, &[]).await.refused(400, "invalid_request");
    world.record("token.refused", "certificate_required").await;
    ask(&world, &keys, Some(&own), &[&world.proof()]).await.refused(400, "invalid_dpop_proof");
    let given = ask(&world, &keys, Some(&own), &[]).await;
    assert_eq!(given.body["token_type"], "Bearer", "{}", given.body);
    let token = given.token();
    assert_eq!(claims(&token)["cnf"], json!({ "x5t#S256": own.thumbprint }));

    let released = release(&world, "Bearer", &token, Some(&own)).await;
    assert_eq!((released.status, &released.body["value"]["api_key"]["key"]), (StatusCode::OK, &json!(KEY)));
    // The same key under a renewed certificate is another certificate.
    let renewed = certificate(&key);
    assert_ne!(renewed.thumbprint, own.thumbprint);
    for other in [None, Some(&renewed), Some(&certificate(&KeyPair::generate().unwrap()))] {
        let refused = release(&world, "Bearer", &token, other).await;
        refused.refused(401, "invalid_token");
        assert!(refused.all("www-authenticate")[0].contains("error=\"invalid_token\""));
    }
    world.record("credential.released", "certificate_mismatch").await;
    release(&world, "DPoP", &token, Some(&own)).await.refused(401, "invalid_token");
    let metadata = world.server.url("/.well-known/oauth-protected-resource/credentials");
    let metadata: Value = world.server.http.get(metadata).send().await.unwrap().json().await.unwrap();
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], json!(true));
}

#[tokio::test]
async fn a_header_from_anybody_else_is_nothing() {
    // The proxy is elsewhere: whoever connects from here speaks for nobody.
    let world = bound_client(&[("STIPEND_TRUSTED_PROXIES", "10.1.2.3"), BEHIND[1]]).await;
    let own = certificate(&KeyPair::generate().unwrap());
    ask(&world, ORDERS, Some(&own), &[]).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn an_exchange_keeps_the_certificate_or_asks_for_another_key() {
    let world = bound_client(&BEHIND).await;
    let (own, other) = (certificate(&KeyPair::generate().unwrap()), certificate(&KeyPair::generate().unwrap()));
    let subject = ask(&world, ORDERS, Some(&own), &[]).await.token();
    let exchange = async |certificate: Option<&Certificate>| {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", subject.as_str()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("scope", "read"),
        ];
        let headers: Vec<(&str, &str)> = certificate.iter().map(|it| ("client-cert", it.header.as_str())).collect();
        world.ask_with(&world.planner, &form, &[], &headers).await
    };
    exchange(None).await.refused(400, "invalid_request");
    exchange(Some(&other)).await.refused(400, "invalid_request");
    assert_eq!(claims(&exchange(Some(&own)).await.token())["cnf"], json!({ "x5t#S256": own.thumbprint }));
    // Registered otherwise by now, the client still gets nothing unbound of it.
    world.settings(&world.planner, json!({})).await;
    exchange(None).await.refused(400, "invalid_request");
    assert_eq!(claims(&exchange(Some(&own)).await.token())["cnf"], json!({ "x5t#S256": own.thumbprint }));
}

#[tokio::test]
async fn a_client_has_one_kind_of_binding() {
    let world = World::with(Backend::Sqlite, &BEHIND).await;
    let both = json!({ "settings": {
        "dpop_bound_access_tokens": true, "tls_client_certificate_bound_access_tokens": true,
    } });
    let path = format!("/agents/{}", world.planner.id);
    let (status, body) = world.server.admin(reqwest::Method::PATCH, &path, Some(&both)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
}
