//! The admin API by a bound token: every request with a proof of its own.

use crate::world::{Answer, World, answer};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::Prover;
use stipend_keys::Algorithm;
use stipend_schema::Backend;

async fn token(world: &World) -> String {
    let form = [("grant_type", "client_credentials")];
    world.ask(&world.server.admin_client(), &form, &[&world.proof()]).await.token()
}

async fn call(
    world: &World,
    method: Method,
    path: &str,
    authorization: &str,
    proof: Option<&str>,
    body: Option<Value>,
) -> Answer {
    let url = world.server.url(&format!("/admin/v1{path}"));
    let mut request = world.server.http.request(method, url).header("authorization", authorization);
    if let Some(proof) = proof {
        request = request.header("DPoP", proof);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    answer(request).await
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.body["code"].as_str().unwrap_or_default())
}

#[rstest]
#[tokio::test]
async fn reads_and_changes_need_a_fresh_proof_each(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let token = token(&world).await;
    let dpop = format!("DPoP {token}");
    let proof = |method: &str, path: &str| {
        world.key.proof(method, &world.server.url(&format!("/admin/v1{path}")), world.server.now(), Some(&token))
    };
    let read = proof("GET", "/owners");
    // The query is no part of what is proved.
    let first = call(&world, Method::GET, "/owners?limit=1", &dpop, Some(&read), None).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.body);
    let again = call(&world, Method::GET, "/owners", &dpop, Some(&read), None).await;
    assert_eq!(code(&again), (401, "invalid_dpop_proof"));
    assert!(again.all("www-authenticate")[0].starts_with("DPoP realm=\"admin\", error=\"invalid_dpop_proof\""));
    world.record("admin.proof_used", "dpop_replayed").await;
    let make = proof("POST", "/owners");
    let body = || Some(json!({ "id": "other", "name": "Other" }));
    let made = call(&world, Method::POST, "/owners", &dpop, Some(&make), body()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let again = call(&world, Method::POST, "/owners", &dpop, Some(&make), body()).await;
    assert_eq!(code(&again), (401, "invalid_dpop_proof"));
}

#[tokio::test]
async fn a_bound_token_is_no_bearer_token_here_either() {
    let world = World::new(Backend::Sqlite).await;
    let token = token(&world).await;
    let url = world.server.url("/admin/v1/owners");
    let proof = || world.key.proof("GET", &url, world.server.now(), Some(&token));
    let other = Prover::new(Algorithm::Es256).proof("GET", &url, world.server.now(), Some(&token));
    let unbound = world.key.proof("GET", &url, world.server.now(), None);
    let (bearer, dpop) = (format!("Bearer {token}"), format!("DPoP {token}"));
    for (authorization, proof, expected) in [
        (&bearer, None, "invalid_token"),
        (&bearer, Some(proof()), "invalid_token"),
        (&dpop, None, "invalid_dpop_proof"),
        (&dpop, Some(other), "invalid_token"),
        (&dpop, Some(unbound), "invalid_dpop_proof"),
        (&dpop, Some("x".to_owned()), "invalid_dpop_proof"),
    ] {
        let refused = call(&world, Method::GET, "/owners", authorization, proof.as_deref(), None).await;
        assert_eq!(code(&refused), (401, expected), "{authorization} {proof:?}");
    }
    // And an unbound one none for DPoP.
    let plain = world.server.admin_token().await;
    let proof = world.key.proof("GET", &url, world.server.now(), Some(&plain));
    let refused = call(&world, Method::GET, "/owners", &format!("DPoP {plain}"), Some(&proof), None).await;
    assert_eq!(code(&refused), (401, "invalid_token"));
}
