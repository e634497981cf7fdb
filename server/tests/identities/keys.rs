//! DPoP under the grants that come by a detour: what people approved, an assertion, a foreign
//! subject token that is bound to a key.

use crate::world::{ACCESS, ID_TOKEN, World, error, issued};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::json;
use stipend::testing::Prover;
use stipend_keys::Algorithm;
use stipend_schema::Backend;

fn prover() -> Prover {
    Prover::new(Algorithm::Es256)
}

#[rstest]
#[tokio::test]
async fn what_people_approved_is_bound_to_the_key_of_the_poll(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let key = prover();
    let handle = world.approved(&world.planners().await, ACCESS).await;
    // A bad proof gets nothing and uses nothing up.
    for bad in [
        key.proof("GET", &world.server.url("/oauth2/token"), world.server.now(), None),
        key.proof("POST", &world.server.url("/oauth2/bc-authorize"), world.server.now(), None),
        key.proof("POST", &world.server.url("/oauth2/token"), world.server.now() - 200, None),
    ] {
        assert_eq!(error(&world.poll(&handle, &[&bad]).await), (400, "invalid_dpop_proof"));
    }
    let (one, two) = (world.proof(&key), world.proof(&key));
    assert_eq!(error(&world.poll(&handle, &[&one, &two]).await), (400, "invalid_dpop_proof"), "one header");
    let proof = world.proof(&key);
    let answer = world.poll(&handle, &[&proof]).await;
    assert_eq!(answer.1["token_type"], "DPoP", "{}", answer.1);
    assert_eq!(issued(&answer)["cnf"], json!({"jkt": key.jkt()}));
    // The proof is used up like the request.
    let next = world.approved(&world.planners().await, ACCESS).await;
    assert_eq!(error(&world.poll(&next, &[&proof]).await), (400, "invalid_dpop_proof"));
    issued(&world.poll(&next, &[&world.proof(&key)]).await);
}

#[rstest]
#[tokio::test]
async fn a_client_whose_tokens_are_always_bound_gets_no_other_from_people_or_an_assertion(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let settings = json!({"settings": {"dpop_bound_access_tokens": true}});
    world.admin(Method::PATCH, "/agents/acme.desk", settings).await;
    let key = prover();
    let handle = world.approved(&world.planners().await, ACCESS).await;
    assert_eq!(error(&world.poll(&handle, &[]).await), (400, "invalid_dpop_proof"));
    assert_eq!(issued(&world.poll(&handle, &[&world.proof(&key)]).await)["cnf"]["jkt"], key.jkt());
    let grant = world.grant(json!({}));
    assert_eq!(error(&world.present(&grant, &[]).await), (400, "invalid_dpop_proof"));
    assert_eq!(issued(&world.present(&grant, &[&world.proof(&key)]).await)["cnf"]["jkt"], key.jkt());
}

/// draft-ietf-oauth-identity-assertion-authz-grant: a grant that is bound to a key is nobody's
/// without it, and what comes of it is bound to that key.
#[rstest]
#[tokio::test]
async fn a_bound_grant_is_presented_with_its_key_and_yields_a_bound_token(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let (key, thief) = (prover(), prover());
    let grant = world.grant(json!({"cnf": {"jkt": key.jkt()}}));
    let stolen = [world.present(&grant, &[]).await, world.present(&grant, &[&world.proof(&thief)]).await];
    for answer in stolen {
        assert_eq!(error(&answer), (400, "invalid_grant"), "{}", answer.1);
        assert_eq!(world.record("token.refused").await["reason"], "grant_key_not_proved");
    }
    // A thief who tries has not used it up.
    let answer = world.present(&grant, &[&world.proof(&key)]).await;
    assert_eq!(answer.1["token_type"], "DPoP", "{}", answer.1);
    assert_eq!(issued(&answer)["cnf"], json!({"jkt": key.jkt()}));
    assert_eq!(error(&world.present(&grant, &[&world.proof(&key)]).await), (400, "invalid_grant"), "once");
    assert_eq!(world.record("token.issued").await["reason"], "grant_replayed");
    // What can't be proved here, or is of no known form, is refused and not ignored.
    for cnf in [
        json!({"jwk": {"kty": "EC"}}),
        json!({}),
        json!({"jkt": ""}),
        json!({"jkt": key.jkt(), "x5t#S256": "x"}),
        json!("k"),
    ] {
        let odd = world.grant(json!({"cnf": cnf, "jti": format!("odd-{cnf}")}));
        assert_eq!(error(&world.present(&odd, &[&world.proof(&key)]).await), (400, "invalid_grant"), "{cnf}");
    }
    // A certificate that nobody has shown.
    let certified = world.grant(json!({"cnf": {"x5t#S256": "A".repeat(43)}, "jti": "x5t"}));
    assert_eq!(error(&world.present(&certified, &[&world.proof(&key)]).await), (400, "invalid_grant"));
    assert_eq!(world.record("token.refused").await["reason"], "grant_key_not_proved");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_present_a_bound_grant_at_once_one_wins(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let key = prover();
    let grant = world.grant(json!({"cnf": {"jkt": key.jkt()}}));
    let proofs: Vec<String> = (0..16).map(|_| world.proof(&key)).collect();
    let tries = proofs.iter().map(async |proof| world.present(&grant, &[proof.as_str()]).await.0);
    let answers = futures_util::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|status| **status == StatusCode::OK).count(), 1, "{answers:?}");
}

/// RFC 9449 section 5 has no word for other issuers' tokens; a constraint is kept all the same.
#[rstest]
#[tokio::test]
async fn a_bound_foreign_subject_needs_its_key_at_the_exchange_and_at_the_poll(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let (key, thief) = (prover(), prover());
    let subject = world.id_token(json!({"cnf": {"jkt": key.jkt()}}));
    let stolen = [
        world.exchange(&subject, ID_TOKEN, &[]).await,
        world.exchange(&subject, ID_TOKEN, &[&world.proof(&thief)]).await,
    ];
    for answer in stolen {
        assert_eq!(error(&answer), (400, "invalid_request"), "{}", answer.1);
        assert_eq!(world.record("token.refused").await["reason"], "subject_key_not_proved");
    }
    let answer = world.exchange(&subject, ID_TOKEN, &[&world.proof(&key)]).await;
    assert_eq!(issued(&answer)["cnf"], json!({"jkt": key.jkt()}));
    for odd in [json!({"jwk": {}}), json!({"jkt": 1}), json!([])] {
        let subject = world.id_token(json!({"cnf": odd, "jti": "odd"}));
        assert_eq!(
            error(&world.exchange(&subject, ID_TOKEN, &[&world.proof(&key)]).await),
            (400, "invalid_request"),
            "{odd}"
        );
    }
    // Whoever asks people proves nothing; whoever fetches the token does.
    let handle = world.approved(&subject, ID_TOKEN).await;
    assert_eq!(error(&world.poll(&handle, &[]).await), (400, "invalid_request"));
    assert_eq!(world.record("token.refused").await["reason"], "subject_key_not_proved");
    assert_eq!(error(&world.poll(&handle, &[&world.proof(&thief)]).await), (400, "invalid_request"));
    assert_eq!(issued(&world.poll(&handle, &[&world.proof(&key)]).await)["cnf"]["jkt"], key.jkt());
}
