//! A proof is used once: at once, later, on another node, and whatever became of its request.

use crate::world::{ORDERS, World, answer};
use reqwest::StatusCode;
use rstest::rstest;
use serde_json::json;
use stipend::testing::TestServer;
use stipend_keys::{Algorithm, SigningKey, TokenKind, random_id};
use stipend_schema::Backend;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn of_64_at_once_one_wins(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    // The secret is proved once, so that all of them are alike.
    world.bound().await;
    let proof = world.proof();
    let asked = futures_util::future::join_all(
        (0..64).map(|_| world.credentials(std::slice::from_ref(&*Box::leak(Box::new(proof.as_str()))))),
    );
    let answers = asked.await;
    assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::OK).count(), 1);
    for lost in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
        lost.refused(400, "invalid_dpop_proof");
    }
    world.credentials(&[&proof]).await.refused(400, "invalid_dpop_proof");
    world.record("token.issued", "dpop_replayed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_took_the_other_refuses() {
    let server = TestServer::start(Backend::Postgres).await;
    let (issuer, url) = (server.issuer.clone(), server.database_url.clone());
    let world = World::on(server).await;
    let second = TestServer::start_on(&url, &[("STIPEND_ISSUER", &issuer)]).await;
    let other = format!("http://{}/oauth2/token", second.address());
    let form = [("grant_type", "client_credentials"), ("resource", ORDERS)];
    let at = |endpoint: String, proof: String| {
        let request = world.server.http.post(endpoint).header("DPoP", proof);
        answer(request.basic_auth(&world.planner.id, Some(&world.planner.secret)).form(&form))
    };
    for _ in 0..8 {
        let proof = world.proof();
        let both = [at(world.token_url(), proof.clone()), at(other.clone(), proof.clone())];
        let answers = futures_util::future::join_all(both).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::OK).count(), 1, "{answers:?}");
    }
    second.stop().await;
}

#[tokio::test]
async fn a_proof_is_used_up_by_a_request_that_is_refused() {
    let world = World::new(Backend::Sqlite).await;
    let proof = world.proof();
    let form = [("grant_type", "client_credentials"), ("resource", ORDERS), ("scope", "nothing")];
    world.ask(&world.planner, &form, &[&proof]).await.refused(400, "invalid_scope");
    world.credentials(&[&proof]).await.refused(400, "invalid_dpop_proof");
    // Nor does another client get to use it: its key is the same.
    let form = [("grant_type", "client_credentials"), ("resource", ORDERS)];
    world.ask(&world.refunds, &form, &[&proof]).await.refused(400, "invalid_dpop_proof");
}

#[tokio::test]
async fn a_proof_is_remembered_as_long_as_it_is_young() {
    let world = World::new(Backend::Sqlite).await;
    let proof = world.proof();
    assert_eq!(world.credentials(&[&proof]).await.status, StatusCode::OK);
    for _ in 0..3 {
        world.server.clock.advance(19);
        world.credentials(&[&proof]).await.refused(400, "invalid_dpop_proof");
        world.record("token.issued", "dpop_replayed").await;
    }
    world.server.clock.advance(10);
    world.credentials(&[&proof]).await.refused(400, "invalid_dpop_proof");
    world.record("token.refused", "dpop_times").await;
}

#[rstest]
#[tokio::test]
async fn an_assertion_and_a_proof_are_both_used_up(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let jwk: serde_json::Value = serde_json::from_str(&key.public_jwk().to_public_json()).unwrap();
    world
        .server
        .create(
            "/agents",
            json!({
                "owner": "acme", "name": "signer", "kind": "agent", "purpose": "test", "auth_method": "private_key_jwt",
                "access": [{"resource": ORDERS, "scopes": ["read"], "default_scopes": ["read"]}],
                "jwks": {"keys": [jwk]},
            }),
        )
        .await;
    let signer = key.signer().unwrap();
    let assertion = || {
        let now = world.server.now();
        let claims = json!({
            "iss": "acme.signer", "sub": "acme.signer", "aud": world.server.issuer, "exp": now + 60, "jti": random_id("j_"),
        });
        signer.sign(TokenKind::ClientAssertion, claims.to_string().as_bytes()).unwrap()
    };
    let send = async |assertion: &str, proof: &str| {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion", assertion),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ];
        answer(world.server.http.post(world.token_url()).header("DPoP", proof).form(&form)).await
    };
    let (assertion_1, proof_1) = (assertion(), world.proof());
    assert_eq!(send(&assertion_1, &proof_1).await.status, StatusCode::OK);
    let (assertion_2, proof_2) = (assertion(), world.proof());
    send(&assertion_1, &proof_2).await.refused(401, "invalid_client");
    send(&assertion_2, &proof_1).await.refused(400, "invalid_dpop_proof");
    // What was good of those two is used up as well.
    send(&assertion(), &proof_2).await.refused(400, "invalid_dpop_proof");
    send(&assertion_2, &world.proof()).await.refused(401, "invalid_client");
    assert_eq!(send(&assertion(), &world.proof()).await.status, StatusCode::OK);
}
