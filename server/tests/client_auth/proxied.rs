//! Certificates that a proxy passes on in a header: believed from declared proxies, and from
//! nobody else (RFC 9440 section 4, RFC 9700 section 4.13).

use crate::authority::{Leaf, params, self_signed};
use crate::world::World;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use stipend_schema::Backend;

const FORM: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("client_id", "acme.agent")];

async fn send(world: &World, http: &reqwest::Client, values: &[&str]) -> (u16, Value) {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append("client-cert", HeaderValue::from_str(value).unwrap());
    }
    let answer = http.post(world.server.url("/oauth2/token")).headers(headers).form(&FORM).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn agent(world: &World) -> Leaf {
    let leaf = self_signed(&params("agent"));
    world.self_signed("agent", &[&leaf]).await;
    leaf
}

#[tokio::test]
async fn every_form_that_proxies_send_is_read() {
    let world = World::behind("127.0.0.1").await;
    let leaf = agent(&world).await;
    let rfc9440 = format!(":{}:", leaf.base64());
    for value in [&rfc9440, &leaf.base64(), &leaf.escaped_pem()] {
        let (status, body) = send(&world, &world.server.http, &[value]).await;
        assert_eq!(status, 200, "{value}: {body}");
    }
    // Of a client without a certificate: nothing, or an empty value.
    assert_eq!(send(&world, &world.server.http, &[]).await.0, 401);
    assert_eq!(send(&world, &world.server.http, &[""]).await.0, 401);
    let other = format!(":{}:", self_signed(&params("agent")).base64());
    assert_eq!(send(&world, &world.server.http, &[&other]).await.0, 401);
}

#[tokio::test]
async fn a_header_that_is_there_twice_or_broken_is_refused() {
    let world = World::behind("127.0.0.0/8").await;
    let leaf = agent(&world).await;
    let good = format!(":{}:", leaf.base64());
    let pem = leaf.escaped_pem();
    let cases: [&[&str]; 10] = [
        &[&good, &good],
        &[&good, ""],
        &[&format!("{good}, {good}")],
        &[&format!(":{}", leaf.base64())],
        &[":!!!:"],
        &["::"],
        &[":AAAA:"],
        &[&format!("{pem}{pem}")],
        &[pem.trim_end_matches("%0A").trim_end_matches('-')],
        &[&format!("{}%", leaf.escaped_pem())],
    ];
    for values in cases {
        let (status, body) = send(&world, &world.server.http, values).await;
        assert_eq!((status, &body["error"]), (400, &json!("invalid_request")), "{values:?}");
    }
    let huge = "A".repeat(10_000);
    assert_eq!(send(&world, &world.server.http, &[&huge]).await.0, 400);
    assert_eq!(send(&world, &world.server.http, &[&good]).await.0, 200);
}

#[tokio::test]
async fn nobody_but_a_declared_proxy_speaks_for_others() {
    let world = World::behind("10.0.0.0/8").await;
    let leaf = agent(&world).await;
    let good = format!(":{}:", leaf.base64());
    for values in [&[good.as_str()][..], &[&good, &good], &["junk"]] {
        let (status, body) = send(&world, &world.server.http, values).await;
        assert_eq!((status, &body["error"]), (401, &json!("invalid_client")), "{values:?}");
    }
    // Nor does a forwarded address make one.
    let answer = world.server.http.post(world.server.url("/oauth2/token")).form(&FORM);
    let answer = answer.header("client-cert", &good).header("x-forwarded-for", "10.0.0.1").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn on_a_connection_of_its_own_a_client_is_its_own_certificate() {
    let settings = [("STIPEND_TRUSTED_PROXIES", "10.0.0.0/8"), ("STIPEND_CLIENT_CERTIFICATE_HEADER", "Client-Cert")];
    let world = World::tls_with(Backend::Sqlite, &settings).await;
    let leaf = agent(&world).await;
    let thief = self_signed(&params("thief"));
    let good = format!(":{}:", leaf.base64());
    assert_eq!(send(&world, &world.with(&thief), &[&good]).await.0, 401, "the header is nothing");
    assert_eq!(send(&world, &world.server.http, &[&good]).await.0, 401);
    assert_eq!(send(&world, &world.with(&leaf), &[]).await.0, 200);
}

#[tokio::test]
async fn a_proxys_own_certificate_is_not_its_clients() {
    let settings = [("STIPEND_TRUSTED_PROXIES", "127.0.0.1"), ("STIPEND_CLIENT_CERTIFICATE_HEADER", "Client-Cert")];
    let world = World::tls_with(Backend::Sqlite, &settings).await;
    let leaf = agent(&world).await;
    let proxy = world.with(&leaf);
    assert_eq!(send(&world, &proxy, &[]).await.0, 401, "one without a certificate came through the proxy");
    let good = format!(":{}:", leaf.base64());
    assert_eq!(send(&world, &proxy, &[&good]).await.0, 200);
    // Without the header nobody behind the proxy has one.
    let world = World::tls_with(Backend::Sqlite, &[("STIPEND_TRUSTED_PROXIES", "127.0.0.1")]).await;
    let leaf = agent(&world).await;
    assert_eq!(send(&world, &world.with(&leaf), &[]).await.0, 401);
}
