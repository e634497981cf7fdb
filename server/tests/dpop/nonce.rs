//! Nonces (RFC 9449 sections 8 and 9): asked for, given out, renewed, and never done without.

use crate::world::{ORDERS, World, answer, with};
use reqwest::StatusCode;
use serde_json::{Value, json};
use stipend::testing::{Prover, TestServer};
use stipend_keys::dpop::NONCE_SECONDS;
use stipend_schema::Backend;

const REQUIRED: [(&str, &str); 1] = [("STIPEND_DPOP_NONCE", "required")];

fn proof(world: &World, nonce: Value) -> String {
    world.key.sign(&with(Prover::claims("POST", &world.token_url(), world.server.now(), None), "nonce", nonce))
}

#[tokio::test]
async fn a_nonce_is_given_out_taken_and_renewed() {
    let world = World::with(Backend::Sqlite, &REQUIRED).await;
    let without = world.proof();
    let asked = world.credentials(&[&without]).await;
    asked.refused(400, "use_dpop_nonce");
    let nonces = asked.all("dpop-nonce");
    assert_eq!(nonces.len(), 1);
    let nonce = nonces[0].to_owned();
    assert!(nonce.len() >= 22 && nonce.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{nonce}");
    for _ in 0..2 {
        let given = world.credentials(&[&proof(&world, json!(nonce))]).await;
        assert_eq!(given.status, StatusCode::OK, "it is good until it is renewed: {}", given.body);
        assert_eq!(given.all("dpop-nonce").len(), 1);
    }
    // Having given one out, the server takes no proof without.
    world.credentials(&[&world.proof()]).await.refused(400, "use_dpop_nonce");
    for bad in [json!("x"), json!(nonce.to_uppercase()), json!(format!("{nonce}x"))] {
        let refused = world.credentials(&[&proof(&world, bad)]).await;
        refused.refused(400, "use_dpop_nonce");
        assert_eq!(refused.all("dpop-nonce").len(), 1);
    }
    world.record("token.refused", "dpop_nonce_wrong").await;
    // Ageing: taken, and the answer brings the new one.
    world.server.clock.advance(NONCE_SECONDS);
    let renewed = world.credentials(&[&proof(&world, json!(nonce))]).await;
    assert_eq!(renewed.status, StatusCode::OK, "{}", renewed.body);
    assert_ne!(renewed.all("dpop-nonce"), [nonce.as_str()]);
    world.server.clock.advance(NONCE_SECONDS);
    world.credentials(&[&proof(&world, json!(nonce))]).await.refused(400, "use_dpop_nonce");
    // Who binds nothing needs none.
    let plain = world.credentials(&[]).await;
    assert!(plain.status == StatusCode::OK && plain.headers.get("dpop-nonce").is_none());
}

#[tokio::test]
async fn every_node_takes_the_nonce_of_every_other() {
    let server = TestServer::start_with(Backend::Postgres, &REQUIRED).await;
    let (issuer, url) = (server.issuer.clone(), server.database_url.clone());
    let world = World::on(server).await;
    let second = TestServer::start_on(&url, &[("STIPEND_ISSUER", &issuer), REQUIRED[0]]).await;
    let nonce = world.credentials(&[&world.proof()]).await.all("dpop-nonce")[0].to_owned();
    let request = world.server.http.post(format!("http://{}/oauth2/token", second.address()));
    let request = request.header("DPoP", proof(&world, json!(nonce)));
    let form = [("grant_type", "client_credentials"), ("resource", ORDERS)];
    let given = answer(request.basic_auth(&world.planner.id, Some(&world.planner.secret)).form(&form)).await;
    assert_eq!(given.status, StatusCode::OK, "{}", given.body);
    second.stop().await;
    // Another deployment's nonce is none of ours.
    let other = World::with(Backend::Sqlite, &REQUIRED).await;
    other.credentials(&[&proof(&other, json!(nonce))]).await.refused(400, "use_dpop_nonce");
}

#[tokio::test]
async fn a_resource_of_ours_asks_for_one_by_its_challenge() {
    let world = World::with(Backend::Sqlite, &REQUIRED).await;
    let nonce = world.credentials(&[&world.proof()]).await.all("dpop-nonce")[0].to_owned();
    let resource = world.server.app.urls.credential_resource.clone();
    let form = [("grant_type", "client_credentials"), ("resource", resource.as_str())];
    let token = world.ask(&world.planner, &form, &[&proof(&world, json!(nonce))]).await.token();
    let url = world.server.url("/credentials/unwrap");
    let claims = || Prover::claims("POST", &url, world.server.now(), Some(&token));
    let send = async |proof: String| {
        let request =
            world.server.http.post(&url).header("authorization", format!("DPoP {token}")).header("DPoP", proof);
        answer(request.json(&json!({ "reference": "cw_x" }))).await
    };
    let asked = send(world.key.sign(&claims())).await;
    asked.refused(401, "use_dpop_nonce");
    assert_eq!(asked.all("dpop-nonce").len(), 1);
    let challenge = asked.all("www-authenticate");
    assert!(challenge.len() == 1 && challenge[0].starts_with("DPoP error=\"use_dpop_nonce\""), "{challenge:?}");
    // With it the request gets as far as its reference, which is none.
    let nonce = asked.all("dpop-nonce")[0].to_owned();
    let judged = send(world.key.sign(&with(claims(), "nonce", json!(nonce)))).await;
    judged.refused(404, "not_found");
    assert_eq!(judged.all("dpop-nonce").len(), 1);
}

#[tokio::test]
async fn the_admin_api_asks_for_one_as_well() {
    let world = World::with(Backend::Sqlite, &REQUIRED).await;
    let nonce = world.credentials(&[&world.proof()]).await.all("dpop-nonce")[0].to_owned();
    let form = [("grant_type", "client_credentials")];
    let token = world.ask(&world.server.admin_client(), &form, &[&proof(&world, json!(nonce))]).await.token();
    let url = world.server.url("/admin/v1/owners");
    let claims = || Prover::claims("GET", &url, world.server.now(), Some(&token));
    let send = async |proof: String| {
        let request =
            world.server.http.get(&url).header("authorization", format!("DPoP {token}")).header("DPoP", proof);
        answer(request).await
    };
    let asked = send(world.key.sign(&claims())).await;
    assert_eq!((asked.status.as_u16(), asked.body["code"].as_str().unwrap()), (401, "use_dpop_nonce"));
    assert!(asked.all("www-authenticate")[0].contains("error=\"use_dpop_nonce\""));
    let nonce = asked.all("dpop-nonce")[0].to_owned();
    let read = send(world.key.sign(&with(claims(), "nonce", json!(nonce)))).await;
    assert_eq!((read.status, read.all("dpop-nonce").len()), (StatusCode::OK, 1), "{}", read.body);
}
