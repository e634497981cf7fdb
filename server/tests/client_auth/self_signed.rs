//! `self_signed_tls_client_auth` (RFC 8705 section 2.2): the certificate is one that was
//! registered, whoever signed it.

use crate::authority::{params, self_signed, self_signed_by};
use crate::world::World;
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519, date_time_ymd};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::json;
use stipend_schema::Backend;

fn expired() -> CertificateParams {
    let mut params = params("agent");
    params.not_after = date_time_ymd(2020, 1, 1);
    params
}

#[rstest]
#[tokio::test]
async fn a_registered_certificate_is_let_in_and_no_other(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::tls(backend).await;
    let (one, two) = (self_signed(&params("agent")), world.authority.issue(&params("agent")));
    world.self_signed("agent", &[&one, &two]).await;
    assert!(world.is_let_in(&one, "acme.agent").await);
    assert!(world.is_let_in(&two, "acme.agent").await, "whoever signed it");
    assert!(!world.is_let_in(&self_signed(&params("agent")), "acme.agent").await, "the same name is nothing");
    assert!(!world.is_let_in(&world.authority.issue(&params("agent")), "acme.agent").await, "nor is the authority");
    // One registered for another client.
    let theirs = self_signed(&params("other"));
    world.self_signed("other", &[&theirs]).await;
    assert!(world.is_let_in(&theirs, "acme.other").await && !world.is_let_in(&theirs, "acme.agent").await);
    // What is taken away is of no use at once.
    let (_, agent) = world.server.admin(Method::GET, "/agents/acme.agent", None).await;
    let key = agent["keys"].as_array().unwrap().iter().find(|key| key["kid"] == "k0").unwrap();
    assert_eq!(key["certificate"]["x5t#S256"], json!(one.thumbprint()));
    let path = format!("/agents/acme.agent/keys/{}", key["id"].as_str().unwrap());
    assert_eq!(world.server.admin(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    assert!(!world.is_let_in(&one, "acme.agent").await && world.is_let_in(&two, "acme.agent").await);
}

#[tokio::test]
async fn a_renewed_certificate_of_the_same_key_is_another_one() {
    let world = World::tls(Backend::Sqlite).await;
    let old = self_signed(&params("agent"));
    world.self_signed("agent", &[&old]).await;
    let key = KeyPair::from_pem(&old.key.serialize_pem()).unwrap();
    let mut renewed = params("agent");
    renewed.not_after = date_time_ymd(2090, 1, 1);
    let renewed = self_signed_by(&renewed, key);
    assert!(!world.is_let_in(&renewed, "acme.agent").await);
    // It is registered beside the old one, under a name of its own.
    let path = "/agents/acme.agent/keys";
    let (status, _) = world.server.admin(Method::POST, path, Some(&json!({"jwk": renewed.jwk("k0")}))).await;
    assert_eq!(status, StatusCode::CONFLICT, "the kid is taken");
    let (status, body) = world.server.admin(Method::POST, path, Some(&json!({"jwk": renewed.jwk("k1")}))).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    assert!(world.is_let_in(&renewed, "acme.agent").await && world.is_let_in(&old, "acme.agent").await);
    let (status, again) = world.server.admin(Method::POST, path, Some(&json!({"jwk": renewed.jwk("k1")}))).await;
    assert_eq!((status, &again["id"]), (StatusCode::OK, &body["id"]));
}

#[tokio::test]
async fn its_dates_count_though_nobody_vouches_for_it() {
    let world = World::tls(Backend::Sqlite).await;
    let leaf = self_signed(&expired());
    world.self_signed("agent", &[&leaf]).await;
    assert!(!world.is_let_in(&leaf, "acme.agent").await);
}

#[rstest]
#[case(&PKCS_ED25519)]
#[case(&rcgen::PKCS_ECDSA_P256_SHA256)]
#[tokio::test]
async fn keys_of_every_kind_work_by_both_versions_of_tls(#[case] alg: &'static rcgen::SignatureAlgorithm) {
    let world = World::tls(Backend::Sqlite).await;
    let leaf = self_signed_by(&params("agent"), KeyPair::generate_for(alg).unwrap());
    world.self_signed("agent", &[&leaf]).await;
    assert!(world.is_let_in(&leaf, "acme.agent").await);
    assert_eq!(world.ask(&world.with_1_2(&leaf), "acme.agent", &[]).await.0, StatusCode::OK);
}
