//! Proofs at the token endpoint (RFC 9449 sections 4 and 5).

use crate::world::{ORDERS, World, answer, claims, with};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::StatusCode;
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::Prover;
use stipend_keys::Algorithm;
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn a_token_with_a_proof_is_bound_to_its_key_and_says_so_everywhere(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let given = world.credentials(&[&world.proof()]).await;
    let token = given.token();
    assert_eq!(given.body["token_type"], "DPoP");
    assert_eq!(claims(&token)["cnf"], json!({ "jkt": world.key.jkt() }));
    assert!(given.headers.get("dpop-nonce").is_none(), "no nonce is asked for");
    let seen = world.server.introspect(&world.service, &token).await;
    assert_eq!((&seen["active"], &seen["token_type"]), (&json!(true), &json!("DPoP")));
    assert_eq!(seen["cnf"], json!({ "jkt": world.key.jkt() }));
    let issued = world.server.admin(reqwest::Method::GET, "/audit?limit=10&event=token.issued", None).await.1;
    assert_eq!(issued["items"][0]["detail"]["token"]["cnf"], json!({ "jkt": world.key.jkt() }), "{issued}");

    // Without a proof nothing is bound.
    let plain = world.credentials(&[]).await;
    assert_eq!(plain.body["token_type"], "Bearer");
    assert!(claims(&plain.token()).get("cnf").is_none());
    assert_eq!(world.server.introspect(&world.service, &plain.token()).await["token_type"], "Bearer");
}

#[rstest]
#[tokio::test]
async fn every_algorithm_that_is_announced_works(
    #[values(Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Ps256)] alg: Algorithm,
) {
    let world = World::new(Backend::Sqlite).await;
    let key = Prover::new(alg);
    for _ in 0..2 {
        let token = world.credentials(&[&world.proof_of(&key)]).await.token();
        assert_eq!(claims(&token)["cnf"]["jkt"], json!(key.jkt()));
    }
    for document in ["oauth-authorization-server", "oauth-protected-resource/credentials"] {
        let url = world.server.url(&format!("/.well-known/{document}"));
        let metadata: Value = world.server.http.get(url).send().await.unwrap().json().await.unwrap();
        let algs = metadata["dpop_signing_alg_values_supported"].as_array().unwrap();
        assert!(algs.contains(&json!(alg.as_str())), "{metadata}");
    }
}

#[tokio::test]
async fn each_fault_of_a_proof_is_refused_and_recorded_and_uses_up_nothing() {
    let world = World::new(Backend::Sqlite).await;
    let now = world.server.now();
    let good = || Prover::claims("POST", &world.token_url(), now, None);
    let fault = |name: &str, value: Value| world.key.sign(&with(good(), name, value));
    let good_text = world.key.sign(&good());
    let (header, rest) = good_text.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    let under = |header: Value| format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()));
    let jwk = header["jwk"].clone();
    let cases = [
        (good_text.to_uppercase(), "dpop_malformed"),
        ("garbage".to_owned(), "dpop_malformed"),
        (String::new(), "dpop_malformed"),
        (under(with(header.clone(), "alg", json!("none"))), "dpop_malformed"),
        (under(with(header.clone(), "alg", json!("HS256"))), "dpop_malformed"),
        (under(with(header.clone(), "typ", json!("JWT"))), "dpop_malformed"),
        (under(with(header.clone(), "typ", Value::Null)), "dpop_malformed"),
        (under(with(header.clone(), "jwk", Value::Null)), "dpop_key"),
        (under(with(header.clone(), "jwk", with(jwk.clone(), "d", json!("AAAA")))), "dpop_key"),
        (under(with(header.clone(), "alg", json!("EdDSA"))), "dpop_key"),
        (
            under(with(
                header.clone(),
                "jwk",
                serde_json::from_str(&Prover::new(Algorithm::Es256).public_json()).unwrap(),
            )),
            "dpop_signature",
        ),
        (fault("jti", Value::Null), "dpop_claims"),
        (fault("jti", json!("x".repeat(257))), "dpop_claims"),
        (fault("htm", Value::Null), "dpop_claims"),
        (fault("htu", Value::Null), "dpop_claims"),
        (fault("iat", Value::Null), "dpop_claims"),
        (fault("iat", json!(now.to_string())), "dpop_claims"),
        (fault("htm", json!("GET")), "dpop_method"),
        (fault("htm", json!("post")), "dpop_method"),
        (fault("htu", json!(world.server.url("/oauth2/revoke"))), "dpop_url"),
        (fault("htu", json!("https://as.example/oauth2/token")), "dpop_url"),
        (fault("iat", json!(now - 3600)), "dpop_times"),
        (fault("iat", json!(now + 3600)), "dpop_times"),
        (fault("nbf", json!(now + 3600)), "dpop_times"),
        (fault("exp", json!(now - 3600)), "dpop_times"),
    ];
    for (proof, reason) in cases {
        let refused = world.credentials(&[&proof]).await;
        refused.refused(400, "invalid_dpop_proof");
        assert_eq!(refused.headers["cache-control"], "no-store");
        assert_eq!(world.record("token.refused", reason).await["client_id"], json!(world.planner.id), "{reason}");
    }
    // None of those used the jti of the proof they were made from.
    assert_eq!(world.credentials(&[&good_text]).await.status, StatusCode::OK);
    for near in [-10, 10] {
        assert_eq!(world.credentials(&[&fault("iat", json!(now + near))]).await.status, StatusCode::OK, "{near}");
    }
    let long = fault("jti", json!("x".repeat(256)));
    assert_eq!(world.credentials(&[&long]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn there_is_one_proof_in_a_request() {
    let world = World::new(Backend::Sqlite).await;
    let (one, other) = (world.proof(), world.proof());
    world.credentials(&[&one, &other]).await.refused(400, "invalid_dpop_proof");
    world.credentials(&[&one, &one]).await.refused(400, "invalid_dpop_proof");
    world.credentials(&[&format!("{one}, {other}")]).await.refused(400, "invalid_dpop_proof");
    world.credentials(&[&one, ""]).await.refused(400, "invalid_dpop_proof");
    assert_eq!(world.credentials(&[&one]).await.status, StatusCode::OK, "neither was used up");
}

#[tokio::test]
async fn no_header_of_the_request_says_where_it_went() {
    let world = World::new(Backend::Sqlite).await;
    let form = [("grant_type", "client_credentials"), ("resource", ORDERS)];
    let evil = [("host", "evil.example"), ("x-forwarded-host", "evil.example"), ("x-forwarded-proto", "https")];
    let theirs = world.key.proof("POST", "https://evil.example/oauth2/token", world.server.now(), None);
    world.ask_with(&world.planner, &form, &[&theirs], &evil).await.refused(400, "invalid_dpop_proof");
    // A proxy in front may say what it likes.
    let ours = world.ask_with(&world.planner, &form, &[&world.proof()], &evil).await;
    assert_eq!(ours.status, StatusCode::OK, "{}", ours.body);
    // The query is no part of it, on either side.
    let spelled = world.token_url().replace("http://", "HTTP://") + "?a=b#c";
    let proof = world.key.proof("POST", &spelled, world.server.now(), None);
    let request = world.server.http.post(format!("{}?x=y", world.token_url())).header("DPoP", proof);
    let asked = answer(request.basic_auth(&world.planner.id, Some(&world.planner.secret)).form(&form)).await;
    assert_eq!(asked.status, StatusCode::OK, "{}", asked.body);
}

#[tokio::test]
async fn who_is_not_authenticated_proves_nothing() {
    let world = World::new(Backend::Sqlite).await;
    let proof = world.proof();
    let stranger = stipend::testing::TestClient { id: world.planner.id.clone(), secret: "sk_wrong".to_owned() };
    let form = [("grant_type", "client_credentials"), ("resource", ORDERS)];
    world.ask(&stranger, &form, &[&proof]).await.refused(401, "invalid_client");
    assert_eq!(world.credentials(&[&proof]).await.status, StatusCode::OK, "the proof was not used up");
}

#[tokio::test]
async fn a_client_that_always_binds_is_held_to_it() {
    let world = World::new(Backend::Sqlite).await;
    world.settings(&world.planner, json!({ "dpop_bound_access_tokens": true })).await;
    let refused = world.credentials(&[]).await;
    refused.refused(400, "invalid_dpop_proof");
    world.record("token.refused", "dpop_required").await;
    assert_eq!(claims(&world.bound().await)["cnf"]["jkt"], json!(world.key.jkt()));
}

#[tokio::test]
async fn a_retry_under_a_key_is_answered_to_the_same_dpop_key_alone() {
    let world = World::new(Backend::Sqlite).await;
    let form = [("grant_type", "client_credentials"), ("resource", ORDERS)];
    let key = [("idempotency-key", "k-1")];
    let send = async |proof: Option<String>| {
        let proofs: Vec<&str> = proof.iter().map(String::as_str).collect();
        world.ask_with(&world.planner, &form, &proofs, &key).await
    };
    let first = send(Some(world.proof())).await.token();
    let again = send(Some(world.proof())).await.token();
    assert_eq!(claims(&first)["jti"], claims(&again)["jti"]);
    send(None).await.refused(422, "idempotency_key_reused");
    let other = Prover::new(Algorithm::Es256);
    send(Some(world.proof_of(&other))).await.refused(422, "idempotency_key_reused");
}
