//! SPIFFE: JWT-SVIDs and X.509-SVIDs, each verified by the bundle of its own trust domain.

use crate::authority::{Authority, Leaf, params, uri};
use crate::platforms::{BEARER, Company, DOMAIN, Platform, SPIFFE, bundle, with};
use crate::world::World;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, date_time_ymd};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::reason::Reason;
use stipend_schema::Backend;

const ID: &str = "spiffe://prod.acme.example/ns/billing/sa/refunds";
const PATH: &str = "/ns/billing/sa/refunds";

async fn company(backend: Backend) -> Company {
    let company = Company::new(backend).await;
    company.agent("acme", "refunds", "spiffe_jwt", json!({"spiffe_id": ID, "assertions_reusable": true})).await;
    company
}

#[rstest]
#[tokio::test]
async fn a_jwt_svid_is_the_agent_that_names_its_id(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let company = company(backend).await;
    let svid = company.domain.sign(&company.svid(PATH));
    for id in [Some("acme.refunds"), Some(ID), None] {
        company.let_in(SPIFFE, id, &svid).await;
    }
    company.refuse(SPIFFE, Some("acme.nobody"), &svid, Reason::UnknownClient, "no client").await;
    company
        .refuse(SPIFFE, Some("spiffe://prod.acme.example/other"), &svid, Reason::UnknownClient, "an id of nobody")
        .await;
    company
        .refuse(SPIFFE, Some("spiffe://prod.acme.example"), &svid, Reason::UnknownClient, "no id of a workload")
        .await;
    let other = company.domain.sign(&company.svid("/ns/billing/sa/other"));
    company.refuse(SPIFFE, Some("acme.refunds"), &other, Reason::AssertionSubject, "another workload").await;
    company.refuse(SPIFFE, Some(ID), &other, Reason::AssertionSubject, "another workload").await;
    company.refuse(SPIFFE, None, &other, Reason::UnknownClient, "a workload of nobody").await;
    company.refuse(BEARER, Some("acme.refunds"), &svid, Reason::AssertionIssuer, "another type").await;
    // Where two agents name one workload, the id alone does not say which is meant.
    company.agent("globex", "refunds", "spiffe_jwt", json!({"spiffe_id": ID, "assertions_reusable": true})).await;
    company.refuse(SPIFFE, None, &svid, Reason::UnknownClient, "either").await;
    company.refuse(SPIFFE, Some(ID), &svid, Reason::UnknownClient, "either").await;
    company.let_in(SPIFFE, Some("acme.refunds"), &svid).await;
    company.let_in(SPIFFE, Some("globex.refunds"), &svid).await;
}

#[tokio::test]
async fn each_wrong_claim_of_an_svid_is_refused() {
    let company = company(Backend::Sqlite).await;
    let (now, issuer) = (company.now(), company.server.issuer.clone());
    let good = company.svid(PATH);
    for (reason, changes) in [
        (Reason::AssertionMalformed, json!({"sub": null})),
        (Reason::AssertionMalformed, json!({"sub": DOMAIN})),
        (Reason::AssertionSubject, json!({"sub": format!("{ID}/")})),
        (Reason::AssertionIssuerUntrusted, json!({"sub": "spiffe://PROD.acme.example/ns/billing/sa/refunds"})),
        (Reason::AssertionAudience, json!({"aud": null})),
        (Reason::AssertionAudience, json!({"aud": [issuer, "other"]})),
        (Reason::AssertionAudience, json!({"aud": [format!("{issuer}/oauth2/token")]})),
        (Reason::AssertionMalformed, json!({"exp": null})),
        (Reason::AssertionLife, json!({"exp": now - 61})),
        (Reason::AssertionLife, json!({"exp": now + 90_000})),
    ] {
        let svid = company.domain.sign(&with(&good, changes.clone()));
        company.refuse(SPIFFE, Some("acme.refunds"), &svid, reason, &changes.to_string()).await;
        let (status, body) = company.send(SPIFFE, None, &svid).await;
        assert_eq!((status, &body["error"]), (StatusCode::UNAUTHORIZED, &json!("invalid_client")), "{changes}");
    }
    // `iss` is optional, and says nothing.
    company
        .let_in(SPIFFE, None, &company.domain.sign(&with(&good, json!({"iss": "https://spire.acme.example"}))))
        .await;
}

#[tokio::test]
async fn a_bundle_never_speaks_for_another_trust_domain() {
    let company = company(Backend::Sqlite).await;
    let other = Platform::new("spiffe://evil.example");
    let keys = json!({"jwks": bundle(&other, &[])});
    company.trust("acme", "spiffe://evil.example", "spiffe", keys, json!({})).await;
    company
        .refuse(
            SPIFFE,
            None,
            &other.sign(&company.svid(PATH)),
            Reason::AssertionIssuerSignature,
            "signed by another domain",
        )
        .await;
    // Whatever `iss` says: a domain of one's own choice does not find other keys.
    let claims = with(&company.svid(PATH), json!({"iss": "spiffe://evil.example"}));
    company.refuse(SPIFFE, None, &other.sign(&claims), Reason::AssertionSubject, "iss").await;
    let claims = with(&company.svid(PATH), json!({"iss": crate::platforms::CI, "repository_owner": "acme-corp"}));
    company.refuse(SPIFFE, None, &company.ci.sign(&claims), Reason::AssertionSubject, "an OIDC issuer").await;
    // Nor is a trust domain an OIDC issuer.
    let identity = json!({"federated": {"issuer": DOMAIN, "subject": ID}});
    let body = json!({"owner": "acme", "name": "mixed", "auth_method": "federated_jwt", "settings": identity});
    company.server.admin(Method::POST, "/agents", Some(&body)).await;
    company
        .refuse(
            BEARER,
            Some("acme.mixed"),
            &company.domain.sign(&with(&company.svid(PATH), json!({"iss": DOMAIN}))),
            Reason::AssertionSubject,
            "as OIDC",
        )
        .await;
}

#[tokio::test]
async fn an_svid_is_used_once_unless_the_registration_says_otherwise() {
    let company = Company::new(Backend::Sqlite).await;
    company.agent("acme", "refunds", "spiffe_jwt", json!({"spiffe_id": ID})).await;
    let svid = company.domain.sign(&company.svid(PATH));
    company.let_in(SPIFFE, None, &svid).await;
    company.refuse(SPIFFE, None, &svid, Reason::AssertionReplayed, "used").await;
    company
        .refuse(SPIFFE, None, &crate::platforms::malleated(&svid), Reason::AssertionReplayed, "the same in other words")
        .await;
}

struct Mesh {
    world: World,
    domain: Platform,
    authority: Authority,
    id: String,
}

/// A server that speaks TLS and knows a trust domain.
async fn mesh() -> Mesh {
    let world = World::tls(Backend::Sqlite).await;
    let (domain, authority) = (Platform::new(DOMAIN), Authority::new("SPIRE"));
    let issuer = world
        .server
        .create(
            "/issuers",
            json!({
                "owner": "stipend", "issuer": DOMAIN, "kind": "spiffe", "uses": ["client_assertion"],
                "keys": {"jwks": bundle(&domain, &[&authority])},
            }),
        )
        .await;
    let id = issuer["id"].as_str().unwrap().to_owned();
    world.server.create("/agents", World::registration("refunds", "spiffe_x509", json!({"spiffe_id": ID}))).await;
    Mesh { world, domain, authority, id }
}

fn svid(uris: &[&str]) -> CertificateParams {
    let mut svid = params("refunds");
    svid.subject_alt_names = uris.iter().map(|one| uri(one)).collect();
    svid.is_ca = IsCa::ExplicitNoCa;
    svid.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    svid
}

#[tokio::test]
async fn an_x509_svid_is_the_agent_that_names_its_id() {
    let mesh = mesh().await;
    let leaf = mesh.authority.issue(&svid(&[ID]));
    assert!(mesh.world.is_let_in(&leaf, ID).await);
    assert!(mesh.world.is_let_in(&leaf, "acme.refunds").await);
    let under = mesh.authority.under("SPIRE node");
    let nested = under.issue(&svid(&[ID]));
    let http = mesh.world.with_chain(&nested, &[under.certificate.der().clone()]);
    assert_eq!(mesh.world.ask(&http, ID, &[]).await.0, StatusCode::OK);
    let (status, _) = mesh.world.server.admin(Method::POST, &format!("/issuers/{}/disable", mesh.id), None).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!mesh.world.is_let_in(&leaf, ID).await, "its trust domain is switched off");
}

#[tokio::test]
async fn an_x509_svid_is_judged_by_its_trust_domain_alone() {
    let mesh = mesh().await;
    let refused = async |leaf: Leaf, id: &str, why: &str| {
        assert!(!mesh.world.is_let_in(&leaf, id).await, "{why}");
    };
    let changed = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = svid(&[ID]);
        change(&mut params);
        mesh.authority.issue(&params)
    };
    refused(mesh.world.authority.issue(&svid(&[ID])), ID, "the authority of tls_client_auth").await;
    refused(Authority::new("SPIRE").issue(&svid(&[ID])), ID, "a namesake").await;
    refused(mesh.authority.issue(&svid(&["spiffe://prod.acme.example/other"])), ID, "another workload").await;
    refused(mesh.authority.issue(&svid(&["spiffe://other.example/ns/billing/sa/refunds"])), ID, "another domain").await;
    refused(mesh.authority.issue(&svid(&[ID, "spiffe://prod.acme.example/other"])), ID, "two ids").await;
    refused(mesh.authority.issue(&svid(&[ID, "https://refunds.acme.example"])), ID, "two URIs").await;
    refused(mesh.authority.issue(&svid(&[])), ID, "no id").await;
    refused(changed(&|p| p.not_after = date_time_ymd(2020, 1, 1)), ID, "expired").await;
    refused(changed(&|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]), ID, "for servers").await;
    refused(changed(&|p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment]), ID, "no digitalSignature").await;
    refused(changed(&|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), ID, "an authority").await;
    refused(mesh.authority.issue(&svid(&[ID])), "acme.nobody", "no client").await;
    // Another trust domain's authority, for an id of this one.
    let (other, theirs) = (Platform::new("spiffe://other.example"), Authority::new("SPIRE"));
    let body = json!({
        "owner": "stipend", "issuer": "spiffe://other.example", "kind": "spiffe", "uses": ["client_assertion"],
        "keys": {"jwks": bundle(&other, &[&theirs])},
    });
    mesh.world.server.create("/issuers", body).await;
    refused(theirs.issue(&svid(&[ID])), ID, "another domain's authority").await;
    // A JWT-SVID is another method than the registered one.
    let now = stipend::clock::Clock::now(&*mesh.world.server.clock);
    let claims = json!({"sub": ID, "aud": [mesh.world.server.issuer], "exp": now + 60, "iat": now});
    let token = mesh.domain.sign(&claims);
    let form =
        [("grant_type", "client_credentials"), ("client_assertion_type", SPIFFE), ("client_assertion", token.as_str())];
    let answer = mesh.world.server.http.post(mesh.world.server.url("/oauth2/token")).form(&form).send().await.unwrap();
    let (status, body): (_, Value) = (answer.status(), answer.json().await.unwrap());
    assert_eq!((status, &body["error"]), (StatusCode::UNAUTHORIZED, &json!("invalid_client")));
    assert!(mesh.world.is_let_in(&mesh.authority.issue(&svid(&[ID])), ID).await);
}
