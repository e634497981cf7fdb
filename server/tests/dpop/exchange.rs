//! Token exchange never loses a sender constraint, whoever presents what.

use crate::world::{Answer, ORDERS, World, claims};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::{Prover, TestClient};
use stipend_keys::Algorithm;
use stipend_schema::Backend;

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

fn jkt(answer: &Answer) -> Value {
    assert_eq!(answer.body["token_type"], "DPoP", "{}", answer.body);
    claims(&answer.token())["cnf"]["jkt"].clone()
}

#[rstest]
#[tokio::test]
async fn the_holder_of_a_bound_token_proves_its_key_and_gets_a_bound_one(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let subject = world.bound().await;
    let other = Prover::new(Algorithm::Es256);
    world.exchange(&world.planner, &subject, &[], &[]).await.refused(400, "invalid_request");
    world.exchange(&world.planner, &subject, &[], &[&world.proof_of(&other)]).await.refused(400, "invalid_request");
    let record = world.record("token.refused", "subject_key_not_proved").await;
    assert_eq!(record["detail"]["subject_token"]["cnf"]["jkt"], json!(world.key.jkt()), "{record}");
    let child = world.exchange(&world.planner, &subject, &[], &[&world.proof()]).await;
    assert_eq!(jkt(&child), json!(world.key.jkt()));
    // And the same again, one generation on.
    let child = child.token();
    world.exchange(&world.planner, &child, &[], &[]).await.refused(400, "invalid_request");
    assert_eq!(jkt(&world.exchange(&world.planner, &child, &[], &[&world.proof()]).await), json!(world.key.jkt()));
}

#[tokio::test]
async fn a_stolen_bound_token_is_of_no_use_to_a_client_that_a_rule_lets_in() {
    let world = World::new(Backend::Sqlite).await;
    let subject = world.bound().await;
    let own = Prover::new(Algorithm::EdDsa);
    // The rule lets refunds use the planner's tokens, but says nothing of bound ones.
    for proofs in [vec![], vec![world.proof_of(&own)]] {
        let proofs: Vec<&str> = proofs.iter().map(String::as_str).collect();
        world.exchange(&world.refunds, &subject, &[], &proofs).await.refused(400, "invalid_request");
    }
    world.record("token.refused", "subject_key_not_proved").await;
    // An unbound one is exchanged as ever.
    let plain = world.credentials(&[]).await.token();
    let child = world.exchange(&world.refunds, &plain, &[], &[]).await;
    assert_eq!((child.status, &child.body["token_type"]), (StatusCode::OK, &json!("Bearer")));
    // Whoever exchanges may bind what was not.
    assert_eq!(jkt(&world.exchange(&world.refunds, &plain, &[], &[&world.proof_of(&own)]).await), json!(own.jkt()));
}

#[rstest]
#[tokio::test]
async fn a_rule_that_accepts_bound_subjects_binds_the_result_to_the_actors_key(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let auditor = world.server.create_client("acme", "auditor", "agent", &[(ORDERS, &["read"])]).await;
    let rule = json!({
        "actor": { "client": auditor.id }, "subject": { "client": world.planner.id }, "to_audience": ORDERS,
        "scopes": [{ "scope": "read" }], "mode": "delegation", "accept_bound_subject": true,
    });
    let made = world.server.create("/exchange-rules", rule).await;
    assert_eq!(made["spec"]["accept_bound_subject"], json!(true), "{made}");
    handed_on(&world, &auditor).await;
}

#[tokio::test]
async fn a_token_that_names_its_presenter_was_meant_to_be_handed_on() {
    let world = World::new(Backend::Sqlite).await;
    let path = format!("/agents/{}", world.planner.id);
    let may_act = json!({ "may_act": { "sub": format!("agent:{}", world.refunds.id) } });
    let (status, body) = world.server.admin(Method::PATCH, &path, Some(&may_act)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    handed_on(&world, &world.refunds).await;
    // Named or not, the holder itself proves its key.
    let subject = world.bound().await;
    let own = Prover::new(Algorithm::EdDsa);
    world.exchange(&world.planner, &subject, &[], &[&world.proof_of(&own)]).await.refused(400, "invalid_request");
}

/// Another client exchanges the planner's bound token, which it may: by a key of its own.
async fn handed_on(world: &World, actor: &TestClient) {
    let subject = world.bound().await;
    let own = Prover::new(Algorithm::EdDsa);
    world.exchange(actor, &subject, &[], &[]).await.refused(400, "invalid_request");
    world.record("token.refused", "own_key_not_proved").await;
    let child = world.exchange(actor, &subject, &[], &[&world.proof_of(&own)]).await;
    assert_eq!(jkt(&child), json!(own.jkt()));
    // From then on it is the actor's key that counts, the holder's no more.
    let child = child.token();
    for proof in [None, Some(world.proof())] {
        let proofs: Vec<&str> = proof.iter().map(String::as_str).collect();
        world.exchange(actor, &child, &[], &proofs).await.refused(400, "invalid_request");
    }
    assert_eq!(jkt(&world.exchange(actor, &child, &[], &[&world.proof_of(&own)]).await), json!(own.jkt()));
}

#[tokio::test]
async fn a_bound_actor_token_needs_its_key_as_well() {
    let world = World::new(Backend::Sqlite).await;
    let own = Prover::new(Algorithm::EdDsa);
    let form = [("grant_type", "client_credentials"), ("resource", ORDERS)];
    let actor = world.ask(&world.refunds, &form, &[&world.proof_of(&own)]).await.token();
    let plain = world.credentials(&[]).await.token();
    let more = [("actor_token", actor.as_str()), ("actor_token_type", ACCESS_TOKEN)];
    world.exchange(&world.refunds, &plain, &more, &[]).await.refused(400, "invalid_request");
    world.record("token.refused", "actor_key_not_proved").await;
    world.exchange(&world.refunds, &plain, &more, &[&world.proof()]).await.refused(400, "invalid_request");
    let child = world.exchange(&world.refunds, &plain, &more, &[&world.proof_of(&own)]).await;
    assert_eq!(jkt(&child), json!(own.jkt()));
    assert_eq!(claims(&child.token())["act"]["sub"], json!(format!("agent:{}", world.refunds.id)));
    // Both bound to one client's two keys: one request proves one of them.
    let subject = world.ask(&world.refunds, &form, &[&world.proof()]).await.token();
    for key in [&own, &world.key] {
        world.exchange(&world.refunds, &subject, &more, &[&world.proof_of(key)]).await.refused(400, "invalid_request");
    }
}
