//! `federated_jwt`: assertions of a cluster's and of a CI's own making.

use crate::platforms::{BEARER, CLUSTER, Company, Platform, malleated, with, with_header};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::reason::Reason;
use stipend::testing::TestServer;
use stipend_keys::TokenKind;
use stipend_schema::Backend;

const REFUNDS: Option<&str> = Some("acme.refunds");

fn account(name: &str) -> Value {
    json!({"federated": {"issuer": CLUSTER, "subject": format!("system:serviceaccount:billing:{name}")}})
}

async fn company(backend: Backend) -> Company {
    let company = Company::new(backend).await;
    company.agent("acme", "refunds", "federated_jwt", account("refunds")).await;
    company
}

#[rstest]
#[tokio::test]
async fn a_service_account_is_the_agent_that_names_it(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let company = company(backend).await;
    let good = company.service_account("refunds");
    company.let_in(BEARER, REFUNDS, &company.cluster.sign(&good)).await;
    let other = company.cluster.sign(&company.service_account("other"));
    company.refuse(BEARER, REFUNDS, &other, Reason::AssertionSubject, "another account").await;
    // Nothing of the agent is kept that could be stolen.
    let (_, agent) = company.server.admin(Method::GET, "/agents/acme.refunds", None).await;
    assert_eq!((&agent["secrets"], &agent["keys"]), (&json!([]), &json!([])));
    assert_eq!(agent["readiness"]["ready"], json!(true));
}

#[tokio::test]
async fn each_wrong_claim_is_refused() {
    let company = company(Backend::Sqlite).await;
    let (now, issuer) = (company.now(), company.server.issuer.clone());
    let good = company.service_account("refunds");
    let (subject, audience) = (Reason::AssertionSubject, Reason::AssertionAudience);
    let (life, malformed) = (Reason::AssertionLife, Reason::AssertionMalformed);
    let untrusted = Reason::AssertionIssuerUntrusted;
    let cases = [
        (subject, json!({"sub": null})),
        (subject, json!({"sub": 1})),
        (subject, json!({"sub": ""})),
        (subject, json!({"sub": "acme.refunds"})),
        (subject, json!({"sub": "system:serviceaccount:billing:refunds2"})),
        (Reason::AssertionIssuer, json!({"iss": null})),
        (untrusted, json!({"iss": format!("{CLUSTER}/")})),
        (untrusted, json!({"iss": "https://nobody.example"})),
        (Reason::AssertionIssuerSignature, json!({"iss": crate::platforms::CI})),
        (audience, json!({"aud": null})),
        (audience, json!({"aud": []})),
        (audience, json!({"aud": [issuer, "https://kubernetes.default.svc"]})),
        (audience, json!({"aud": [issuer, issuer]})),
        (audience, json!({"aud": "https://kubernetes.default.svc"})),
        (audience, json!({"aud": format!("{issuer}/")})),
        (audience, json!({"aud": format!("{issuer}/oauth2/token")})),
        (audience, json!({"aud": [[issuer]]})),
        (audience, json!({"aud": {"x": issuer}})),
        (malformed, json!({"exp": null})),
        (life, json!({"exp": now - 61})),
        (life, json!({"exp": now + 90_000})),
        (life, json!({"exp": now + 90_000, "iat": null})),
        (malformed, json!({"exp": "soon"})),
        (malformed, json!({"exp": i64::MAX})),
        (life, json!({"nbf": now + 90})),
        (life, json!({"iat": now + 90})),
        (malformed, json!({"jti": ""})),
        (malformed, json!({"jti": 1})),
        (Reason::AssertionType, json!({"events": {}})),
    ];
    for (reason, changes) in cases {
        let assertion = company.cluster.sign(&with(&good, changes.clone()));
        company.refuse(BEARER, REFUNDS, &assertion, reason, &changes.to_string()).await;
    }
    company.let_in(BEARER, REFUNDS, &company.cluster.sign(&good)).await;
}

#[tokio::test]
async fn only_its_issuers_keys_sign_for_it() {
    let company = company(Backend::Sqlite).await;
    let good = company.service_account("refunds");
    let signature = Reason::AssertionIssuerSignature;
    company.refuse(BEARER, REFUNDS, &company.ci.sign(&good), signature, "another issuer's key").await;
    company.refuse(BEARER, REFUNDS, &Platform::new(CLUSTER).sign(&good), signature, "nobody's key").await;
    let nameless = Platform::new(CLUSTER);
    let kid = with_header(&nameless.sign(&good), &json!({"alg": "ES256", "kid": company.cluster.jwk()["kid"]}));
    company.refuse(BEARER, REFUNDS, &kid, signature, "another key under its name").await;
    let signed = company.cluster.sign(&good);
    let malformed = Reason::AssertionMalformed;
    for (reason, header) in [
        (malformed, json!({"alg": "none"})),
        (malformed, json!({"alg": "none", "kid": company.cluster.jwk()["kid"]})),
        (malformed, json!({"alg": "HS256", "kid": company.cluster.jwk()["kid"]})),
        (signature, json!({"alg": "ES256"})),
        (signature, json!({"alg": "ES256", "kid": "x", "jku": "http://127.0.0.1:9/", "jwk": company.ci.jwk()})),
    ] {
        let changed = with_header(&signed, &header);
        company.refuse(BEARER, REFUNDS, &changed, reason, &header.to_string()).await;
    }
    for kind in [TokenKind::AccessToken, TokenKind::DpopProof, TokenKind::IdJag, TokenKind::TxnToken] {
        let other = company.cluster.sign_as(kind, &good);
        company.refuse(BEARER, REFUNDS, &other, Reason::AssertionType, kind.typ()).await;
    }
    company.let_in(BEARER, REFUNDS, &signed).await;
}

#[tokio::test]
async fn the_claims_that_are_required_must_be_there() {
    let company = Company::new(Backend::Sqlite).await;
    let identity = json!({
        "issuer": crate::platforms::CI, "subject": "repo:acme-corp/refunds:ref:refs/heads/main",
        "claims": {"environment": ["production", "staging"], "job_workflow_ref": ["acme-corp/ci/.github/workflows/deploy.yml@refs/heads/main"]},
    });
    company.agent("acme", "refunds", "federated_jwt", json!({"federated": identity})).await;
    let good = company.job();
    for changes in [
        json!({"environment": null}),
        json!({"environment": "test"}),
        json!({"environment": ""}),
        json!({"environment": {"production": true}}),
        json!({"job_workflow_ref": "acme-corp/ci/.github/workflows/deploy.yml@refs/heads/evil"}),
        json!({"sub": "repo:acme-corp/refunds:pull_request"}),
        // The issuer's own registration requires this one.
        json!({"repository_owner": "evil-corp"}),
        json!({"repository_owner": null}),
    ] {
        let assertion = company.ci.sign(&with(&good, changes.clone()));
        company.refuse(BEARER, REFUNDS, &assertion, Reason::AssertionSubject, &changes.to_string()).await;
    }
    let staging = with(&good, json!({"environment": "staging", "jti": "other"}));
    company.let_in(BEARER, REFUNDS, &company.ci.sign(&staging)).await;
    company.let_in(BEARER, REFUNDS, &company.ci.sign(&good)).await;
    // A member of a nested claim, by a JSON pointer.
    let mut pod = account("pods");
    pod["federated"]["claims"] = json!({"/kubernetes.io/namespace": ["billing"]});
    company.agent("acme", "pods", "federated_jwt", pod).await;
    let good = company.service_account("pods");
    let moved = with(&good, json!({"kubernetes.io": {"namespace": "other"}}));
    let moved = company.cluster.sign(&moved);
    company.refuse(BEARER, Some("acme.pods"), &moved, Reason::AssertionSubject, "another namespace").await;
    company.let_in(BEARER, Some("acme.pods"), &company.cluster.sign(&good)).await;
}

#[tokio::test]
async fn the_client_is_named_and_is_of_this_method() {
    let company = company(Backend::Sqlite).await;
    company.agent("acme", "other", "federated_jwt", account("other")).await;
    let secret = company.server.create_client("acme", "secret", "agent", &[]).await;
    let sign = || company.cluster.sign(&company.service_account("refunds"));
    company.refuse(BEARER, None, &sign(), Reason::UnknownClient, "no client_id").await;
    company.refuse(BEARER, Some("acme.other"), &sign(), Reason::AssertionSubject, "another client").await;
    company.refuse(BEARER, Some("acme.nobody"), &sign(), Reason::ClientIdMismatch, "no client").await;
    company.refuse(BEARER, Some(&secret.id), &sign(), Reason::ClientIdMismatch, "a client with a secret").await;
    company.refuse(crate::platforms::SPIFFE, REFUNDS, &sign(), Reason::WrongAuthMethod, "another type").await;
    // And a client of this method has no other.
    let form = [("grant_type", "client_credentials"), ("client_id", "acme.refunds"), ("client_secret", "x")];
    let answer = company.server.http.post(company.server.url("/oauth2/token")).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    // Nor does it sign for itself with whatever key the platform has.
    let own = with(&company.service_account("refunds"), json!({"iss": "acme.refunds", "sub": "acme.refunds"}));
    let own = company.cluster.sign(&own);
    company.refuse(BEARER, None, &own, Reason::WrongAuthMethod, "its own assertion").await;
}

#[rstest]
#[tokio::test]
async fn an_assertion_is_used_once_by_all_nodes(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let company = company(backend).await;
    company.agent("acme", "twin", "federated_jwt", account("refunds")).await;
    let second =
        TestServer::start_on(&company.server.database_url, &[("STIPEND_ISSUER", &company.server.issuer)]).await;
    let node = format!("http://{}", second.address());
    let good = company.service_account("refunds");
    let without = with(&company.service_account("refunds"), json!({"jti": null}));
    for claims in [good, without] {
        let assertion = company.cluster.sign(&claims);
        let here = (0..8).map(|_| company.send(BEARER, REFUNDS, &assertion));
        let there = (0..8).map(|_| company.send_to(&node, BEARER, REFUNDS, &assertion));
        let (here, there) =
            futures_util::join!(futures_util::future::join_all(here), futures_util::future::join_all(there));
        let won = here.iter().chain(&there).filter(|(status, _)| *status == StatusCode::OK).count();
        assert_eq!(won, 1);
        // For every client, and under the other signature that the same claims have.
        let used = Reason::AssertionReplayed;
        company.refuse(BEARER, Some("acme.twin"), &assertion, used, "used by another").await;
        company.refuse(BEARER, REFUNDS, &malleated(&assertion), used, "the same in other words").await;
    }
    // What was refused is not used up.
    let fresh = company.cluster.sign(&company.service_account("refunds"));
    company.refuse(BEARER, Some("acme.nobody"), &fresh, Reason::ClientIdMismatch, "no client").await;
    let (status, body) = company.send(BEARER, REFUNDS, "x.y.z").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
    company.let_in(BEARER, REFUNDS, &fresh).await;
    second.stop().await;
}

#[tokio::test]
async fn a_platform_that_hands_out_one_token_again_is_told_so_by_the_registration() {
    let company = Company::new(Backend::Sqlite).await;
    let mut settings = account("refunds");
    settings["assertions_reusable"] = json!(true);
    company.agent("acme", "refunds", "federated_jwt", settings).await;
    let assertion = company.cluster.sign(&company.service_account("refunds"));
    company.let_in(BEARER, REFUNDS, &assertion).await;
    company.let_in(BEARER, REFUNDS, &assertion).await;
    company.server.clock.advance(3700);
    company.refuse(BEARER, REFUNDS, &assertion, Reason::AssertionLife, "it ends").await;
}

#[tokio::test]
async fn an_issuer_vouches_for_what_its_registration_says() {
    let company = company(Backend::Sqlite).await;
    let sign = || company.cluster.sign(&company.service_account("refunds"));
    company.let_in(BEARER, REFUNDS, &sign()).await;
    // For another owner's agents it does not.
    company.agent("globex", "refunds", "federated_jwt", account("refunds")).await;
    company.refuse(BEARER, Some("globex.refunds"), &sign(), Reason::AssertionIssuerUntrusted, "another owner's").await;
    // Nor for an administrator: whoever may register the owner's issuers would become one.
    let boss = json!({
        "owner": "acme", "name": "boss", "kind": "admin", "auth_method": "federated_jwt", "settings": account("boss"),
        "roles": [{"role": "auditor"}],
    });
    company.server.create("/agents", boss).await;
    let boss = company.cluster.sign(&company.service_account("boss"));
    let untrusted = Reason::AssertionIssuerUntrusted;
    company.refuse(BEARER, Some("acme.boss"), &boss, untrusted, "an administrator").await;
    let (_, list) = company.server.admin(Method::GET, "/issuers", None).await;
    let issuers = list["items"].as_array().unwrap();
    let id = issuers.iter().find(|one| one["issuer"] == CLUSTER).unwrap()["id"].as_str().unwrap().to_owned();
    let patch = async |body: Value| {
        let (status, said) = company.server.admin(Method::PATCH, &format!("/issuers/{id}"), Some(&body)).await;
        assert_eq!(status, StatusCode::OK, "{said}");
    };
    patch(json!({"uses": ["subject_token"], "audiences": [company.server.issuer]})).await;
    company.refuse(BEARER, REFUNDS, &sign(), Reason::AssertionIssuerUntrusted, "not for this").await;
    patch(json!({"uses": ["client_assertion"]})).await;
    company.let_in(BEARER, REFUNDS, &sign()).await;
    patch(json!({"environment": "sandbox"})).await;
    company.refuse(BEARER, REFUNDS, &sign(), untrusted, "of the other environment").await;
    patch(json!({"environment": "live"})).await;
    company.let_in(BEARER, REFUNDS, &sign()).await;
    let (status, _) = company.server.admin(Method::POST, &format!("/issuers/{id}/disable"), None).await;
    assert_eq!(status, StatusCode::OK);
    company.refuse(BEARER, REFUNDS, &sign(), Reason::AssertionIssuerUntrusted, "switched off").await;
    let stranger = Platform::new("https://stranger.example");
    let claims = with(&company.service_account("refunds"), json!({"iss": stranger.issuer}));
    company.refuse(BEARER, REFUNDS, &stranger.sign(&claims), Reason::AssertionIssuerUntrusted, "never trusted").await;
}

#[tokio::test]
async fn a_registration_names_a_workload_whole() {
    let company = Company::new(Backend::Sqlite).await;
    let long = "x".repeat(600);
    let cases = [
        ("federated_jwt", json!({}), "/settings/federated"),
        ("federated_jwt", json!({"federated": {"issuer": "", "subject": "s"}}), "/settings/federated/issuer"),
        ("federated_jwt", json!({"federated": {"issuer": CLUSTER, "subject": ""}}), "/settings/federated/subject"),
        ("federated_jwt", json!({"federated": {"issuer": CLUSTER, "subject": long}}), "/settings/federated/subject"),
        (
            "federated_jwt",
            json!({"federated": {"issuer": CLUSTER, "subject": "s", "claims": {"a": []}}}),
            "/settings/federated/claims",
        ),
        ("client_secret_basic", account("a"), "/settings/federated"),
        ("private_key_jwt", json!({"assertions_reusable": true}), "/settings/assertions_reusable"),
        ("spiffe_jwt", json!({}), "/settings/spiffe_id"),
        ("spiffe_jwt", json!({"spiffe_id": "spiffe://acme"}), "/settings/spiffe_id"),
        ("spiffe_x509", json!({"spiffe_id": "spiffe://Acme/x"}), "/settings/auth_method"),
        ("federated_jwt", json!({"spiffe_id": "spiffe://acme/x"}), "/settings/federated"),
    ];
    for (method, settings, pointer) in cases {
        let body = json!({"owner": "acme", "name": "x", "auth_method": method, "settings": settings});
        let (status, said) = company.server.admin(Method::POST, "/agents", Some(&body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {said}");
        let pointer = if method == "spiffe_x509" { "/auth_method" } else { pointer };
        assert!(said.to_string().contains(&format!("\"{pointer}\"")), "{pointer} in {said}");
    }
    let metadata = company.server.http.get(company.server.url("/.well-known/oauth-authorization-server")).send().await;
    let metadata: Value = metadata.unwrap().json().await.unwrap();
    let methods = metadata["token_endpoint_auth_methods_supported"].to_string();
    assert!(methods.contains("\"federated_jwt\"") && methods.contains("\"spiffe_jwt\""), "{methods}");
    assert!(!methods.contains("x509"), "no certificate can be had here: {methods}");
}
