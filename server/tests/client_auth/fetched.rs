//! Keys and bundles that are fetched from where the registration says, and followed.

use crate::authority::{Authority, params, uri};
use crate::idp::{Face, Idp, Key};
use crate::platforms::{BEARER, Company, DOMAIN, Platform, bundle};
use crate::world::World;
use serde_json::json;
use stipend::federation::{FRESH_SECONDS, MAX_STALE_SECONDS};
use stipend::reason::Reason;
use stipend::testing::TestServer;
use stipend_schema::Backend;

const LOCAL: &[(&str, &str)] = &[("STIPEND_FETCH_HTTP_HOSTS", "127.0.0.1"), ("STIPEND_FETCH_NETWORKS", "127.0.0.0/8")];
const ID: &str = "spiffe://prod.acme.example/refunds";

#[tokio::test]
async fn a_bundle_is_followed_and_what_it_takes_back_is_gone() {
    let world = World::tls_with(Backend::Sqlite, LOCAL).await;
    let (domain, old, new) = (Platform::new(DOMAIN), Authority::new("SPIRE"), Authority::new("SPIRE"));
    let host = Idp::start(&[]).await;
    host.face("/bundle", Face::Json(bundle(&domain, &[&old])));
    let issuer = json!({
        "owner": "stipend", "issuer": DOMAIN, "kind": "spiffe", "uses": ["client_assertion"],
        "keys": {"jwks_uri": format!("{}/bundle", host.issuer)},
    });
    world.server.create("/issuers", issuer).await;
    world.server.create("/agents", World::registration("refunds", "spiffe_x509", json!({"spiffe_id": ID}))).await;
    let mut svid = params("refunds");
    svid.subject_alt_names = vec![uri(ID)];
    let (by_old, by_new) = (old.issue(&svid), new.issue(&svid));
    assert!(world.is_let_in(&by_old, ID).await && !world.is_let_in(&by_new, ID).await);
    assert_eq!(host.hits("/bundle"), 1, "one fetch for all who ask");
    host.face("/bundle", Face::Json(bundle(&domain, &[&new])));
    world.server.clock.advance(FRESH_SECONDS + 1);
    assert!(!world.is_let_in(&by_old, ID).await && world.is_let_in(&by_new, ID).await);
    // Without authorities nobody has a certificate.
    host.face("/bundle", Face::Json(bundle(&domain, &[])));
    world.server.clock.advance(FRESH_SECONDS + 1);
    assert!(!world.is_let_in(&by_new, ID).await);
    host.face("/bundle", Face::Json(bundle(&domain, &[&new])));
    world.server.clock.advance(FRESH_SECONDS + 1);
    assert!(world.is_let_in(&by_new, ID).await);
    // A host that is down costs nothing for a while, and then everything.
    host.face("/bundle", Face::Closed);
    world.server.clock.advance(FRESH_SECONDS + 1);
    assert!(world.is_let_in(&by_new, ID).await);
    world.server.clock.advance(MAX_STALE_SECONDS);
    assert!(!world.is_let_in(&by_new, ID).await);
}

#[tokio::test]
async fn a_cluster_is_found_by_its_metadata() {
    let company = Company::on(TestServer::start_with(Backend::Sqlite, LOCAL).await).await;
    let key = Key::new("k1");
    let host = Idp::start(&[&key]).await;
    company.trust("acme", &host.issuer, "oidc", json!("discovery"), json!({})).await;
    let identity = json!({"issuer": host.issuer, "subject": "system:serviceaccount:billing:refunds"});
    let settings = json!({"federated": identity, "assertions_reusable": true});
    company.agent("acme", "refunds", "federated_jwt", settings).await;
    let mut claims = company.service_account("refunds");
    claims["iss"] = json!(host.issuer);
    let refunds = Some("acme.refunds");
    company.let_in(BEARER, refunds, &key.token("JWT", &claims)).await;
    company.let_in(BEARER, refunds, &key.token("", &claims)).await;
    let later = Key::new("k2");
    let signature = Reason::AssertionIssuerSignature;
    company.refuse(BEARER, refunds, &later.token("JWT", &claims), signature, "not published yet").await;
    host.publish(&[&later]);
    company.server.clock.advance(FRESH_SECONDS + 1);
    company.let_in(BEARER, refunds, &later.token("JWT", &claims)).await;
    company.refuse(BEARER, refunds, &key.token("JWT", &claims), signature, "taken back").await;
    host.face(crate::idp::KEYS, Face::Closed);
    company.server.clock.advance(MAX_STALE_SECONDS - 700);
    company.let_in(BEARER, refunds, &later.token("JWT", &claims)).await;
}
