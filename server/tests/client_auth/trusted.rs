//! `tls_client_auth` (RFC 8705 section 2.1): the chain, the purpose, the dates, and the one
//! registered subject.

use crate::authority::{Authority, dns, email, params, self_signed, uri};
use crate::world::{World, claims};
use rcgen::{CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, SanType, date_time_ymd};
use reqwest::StatusCode;
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

fn names(names: Vec<SanType>) -> CertificateParams {
    let mut params = params("agent");
    params.subject_alt_names = names;
    params
}

fn ip(text: &str) -> SanType {
    SanType::IpAddress(text.parse().unwrap())
}

#[rstest]
#[case("tls_client_auth_subject_dn", r"CN=agent,O=Acme\, Inc.", vec![])]
#[case("tls_client_auth_subject_dn", r"cn=agent, 2.5.4.10=Acme\2C Inc.", vec![])]
#[case("tls_client_auth_san_dns", "Agent.acme.example", vec![dns("agent.acme.example")])]
#[case("tls_client_auth_san_uri", "urn:acme:agent", vec![uri("urn:acme:agent")])]
#[case("tls_client_auth_san_email", "agent@acme.example", vec![email("agent@acme.example")])]
#[case("tls_client_auth_san_ip", "192.0.2.7", vec![ip("192.0.2.7")])]
// K21: the text of an address has many forms, its bytes have one.
#[case("tls_client_auth_san_ip", "2001:DB8:0::7", vec![ip("2001:db8::7")])]
// Among several names one is enough.
#[case("tls_client_auth_san_dns", "agent.acme.example", vec![dns("other.example"), uri("urn:x"), dns("agent.acme.example")])]
#[tokio::test]
async fn the_registered_subject_is_let_in(#[case] setting: &str, #[case] value: &str, #[case] san: Vec<SanType>) {
    let world = World::tls(Backend::Sqlite).await;
    world.trusted("agent", json!({ setting: value })).await;
    let (status, body) = world.ask(&world.with(&world.authority.issue(&names(san))), "acme.agent", &[]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(claims(&body)["client_id"], "acme.agent");
}

#[rstest]
#[case("tls_client_auth_subject_dn", "CN=agent", vec![])]
#[case("tls_client_auth_subject_dn", r"O=Acme\, Inc.,CN=agent", vec![])]
#[case("tls_client_auth_subject_dn", r"CN=Agent,O=Acme\, Inc.", vec![])]
#[case("tls_client_auth_subject_dn", r"CN=agent+O=Acme\, Inc.", vec![])]
// A wildcard in a certificate stands for nothing here.
#[case("tls_client_auth_san_dns", "agent.acme.example", vec![dns("*.acme.example")])]
#[case("tls_client_auth_san_dns", "agent.acme.example", vec![uri("agent.acme.example"), email("agent.acme.example")])]
#[case("tls_client_auth_san_uri", "urn:acme:agent", vec![uri("urn:acme:agent/"), uri("URN:acme:agent")])]
// The right text in a name of another kind.
#[case("tls_client_auth_san_ip", "192.0.2.7", vec![dns("192.0.2.7")])]
// Mapped is not the same in binary.
#[case("tls_client_auth_san_ip", "192.0.2.7", vec![ip("::ffff:192.0.2.7")])]
#[case("tls_client_auth_san_email", "agent@acme.example", vec![email("Agent@acme.example")])]
#[case("tls_client_auth_san_uri", "urn:acme:agent", vec![])]
#[tokio::test]
async fn any_other_subject_is_not(#[case] setting: &str, #[case] value: &str, #[case] san: Vec<SanType>) {
    let world = World::tls(Backend::Sqlite).await;
    world.trusted("agent", json!({ setting: value })).await;
    assert!(!world.is_let_in(&world.authority.issue(&names(san)), "acme.agent").await);
}

async fn by_uri() -> (World, CertificateParams) {
    let world = World::tls(Backend::Sqlite).await;
    world.trusted("agent", json!({"tls_client_auth_san_uri": "urn:acme:agent"})).await;
    (world, names(vec![uri("urn:acme:agent")]))
}

#[tokio::test]
async fn the_chain_leads_to_a_named_authority_and_to_no_other() {
    let (world, params) = by_uri().await;
    assert!(world.is_let_in(&world.authority.issue(&params), "acme.agent").await);
    assert!(!world.is_let_in(&Authority::new("Clients").issue(&params), "acme.agent").await, "a namesake");
    assert!(!world.is_let_in(&self_signed(&params), "acme.agent").await, "nobody");
    let under = world.authority.under("Workloads");
    let leaf = under.issue(&params);
    let chain = [under.certificate.der().clone()];
    let (status, _) = world.ask(&world.with_chain(&leaf, &chain), "acme.agent", &[]).await;
    assert_eq!(status, StatusCode::OK, "through one that it vouches for");
    assert!(!world.is_let_in(&leaf, "acme.agent").await, "which must be sent along");
    // One that is no authority vouches for nobody.
    let not_ca = world.authority.issue(&params);
    let issuer = rcgen::Issuer::new(params.clone(), not_ca.key);
    let key = rcgen::KeyPair::generate().unwrap();
    let forged = crate::authority::Leaf { certificate: params.signed_by(&key, &issuer).unwrap(), key };
    let (status, _) =
        world.ask(&world.with_chain(&forged, &[not_ca.certificate.der().clone()]), "acme.agent", &[]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_purpose_and_the_dates_count() {
    let (world, good) = by_uri().await;
    let with = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = good.clone();
        change(&mut params);
        world.authority.issue(&params)
    };
    let server_only = with(&|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    assert!(!world.is_let_in(&server_only, "acme.agent").await);
    // RFC 5280 section 4.2.1.12: without the extension any purpose is meant.
    assert!(world.is_let_in(&with(&|p| p.extended_key_usages = Vec::new()), "acme.agent").await);
    assert!(!world.is_let_in(&with(&|p| p.not_after = date_time_ymd(2020, 1, 1)), "acme.agent").await);
    assert!(!world.is_let_in(&with(&|p| p.not_before = date_time_ymd(2100, 1, 1)), "acme.agent").await);
    let unknown = with(&|p| {
        let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
        extension.set_criticality(true);
        p.custom_extensions = vec![extension];
    });
    let form = [("grant_type", "client_credentials"), ("client_id", "acme.agent")];
    let http = crate::handshake::showing(&world, &unknown, &unknown, &rustls::version::TLS13);
    let sent = http.post(world.server.url("/oauth2/token")).form(&form).send().await;
    assert!(sent.is_err(), "a critical extension that nobody knows ends the handshake");
}

#[tokio::test]
async fn a_certificate_that_ends_on_an_open_connection_ends_there() {
    let (world, mut params) = by_uri().await;
    params.not_after = date_time_ymd(2030, 1, 1);
    let http = world.with(&world.authority.issue(&params));
    assert_eq!(world.ask(&http, "acme.agent", &[]).await.0, StatusCode::OK);
    world.server.clock.advance(5 * 366 * 86_400);
    assert_eq!(world.ask(&http, "acme.agent", &[]).await.0, StatusCode::UNAUTHORIZED);
}

#[rstest]
#[tokio::test]
async fn whom_a_certificate_stands_for_changes_at_once(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::tls(backend).await;
    world.trusted("agent", json!({"tls_client_auth_san_dns": "a.acme.example"})).await;
    world.trusted("other", json!({"tls_client_auth_san_dns": "b.acme.example"})).await;
    let a = world.authority.issue(&names(vec![dns("a.acme.example")]));
    let b = world.authority.issue(&names(vec![dns("b.acme.example")]));
    assert!(world.is_let_in(&a, "acme.agent").await && !world.is_let_in(&b, "acme.agent").await);
    assert!(world.is_let_in(&b, "acme.other").await && !world.is_let_in(&a, "acme.other").await);
    let path = "/agents/acme.agent";
    let patch = json!({"settings": {"tls_client_auth_san_dns": "b.acme.example"}});
    let (status, body) = world.server.admin(reqwest::Method::PATCH, path, Some(&patch)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(!world.is_let_in(&a, "acme.agent").await && world.is_let_in(&b, "acme.agent").await);
    let (status, _) = world.server.admin(reqwest::Method::POST, &format!("{path}/suspend"), None).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!world.is_let_in(&b, "acme.agent").await);
    assert!(!world.is_let_in(&a, "acme.nobody").await);
}

async fn send(world: &World, http: &reqwest::Client, form: &[(&str, &str)]) -> (u16, Value) {
    let answer = http.post(world.server.url("/oauth2/token")).form(form).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn one_method_per_request_and_the_registered_one() {
    let (world, params) = by_uri().await;
    let http = world.with(&world.authority.issue(&params));
    let made = world.server.create("/agents", World::registration("secret", "client_secret_post", json!({}))).await;
    let secret = stipend::testing::TestClient {
        id: "acme.secret".to_owned(),
        secret: made["client_secret"].as_str().unwrap().to_owned(),
    };
    let grant = ("grant_type", "client_credentials");
    // A certificate without client_id names nobody.
    assert_eq!(send(&world, &http, &[grant]).await.0, 401);
    // And without a certificate client_id proves nothing.
    assert_eq!(send(&world, &world.server.http, &[grant, ("client_id", "acme.agent")]).await.0, 401);
    // A certificate is not this client's method.
    assert_eq!(send(&world, &http, &[grant, ("client_id", &secret.id)]).await.0, 401);
    // A secret is not that client's.
    let with_secret = [grant, ("client_id", "acme.agent"), ("client_secret", &secret.secret)];
    assert_eq!(send(&world, &http, &with_secret).await.0, 401);
    // Beside its own method a certificate changes nothing.
    assert_eq!(
        send(&world, &http, &[grant, ("client_id", &secret.id), ("client_secret", &secret.secret)]).await.0,
        200
    );
    // T16: the assertion of one client, the certificate and the name of another.
    let key = stipend_keys::SigningKey::generate(stipend_keys::Algorithm::Es256).unwrap();
    let jwk: Value = serde_json::from_str(&key.public_jwk().to_public_json()).unwrap();
    let mut signer = World::registration("signer", "private_key_jwt", json!({}));
    signer["jwks"] = json!({"keys": [jwk]});
    world.server.create("/agents", signer).await;
    let assertion = |id: &str| {
        let now = stipend::clock::Clock::now(&*world.server.clock);
        let claims = json!({"iss": id, "sub": id, "aud": world.server.issuer, "iat": now, "exp": now + 60, "jti": stipend_keys::random_id("j_")});
        let signer = key.signer().unwrap();
        signer.sign(stipend_keys::TokenKind::ClientAssertion, claims.to_string().as_bytes()).unwrap()
    };
    let kind = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let own = assertion("acme.signer");
    let mixed = [grant, ("client_id", "acme.agent"), kind, ("client_assertion", own.as_str())];
    let (status, body) = send(&world, &http, &mixed).await;
    assert_eq!((status, &body["error"]), (400, &json!("invalid_request")));
    // The same assertion was not used up, and is good by itself.
    assert_eq!(send(&world, &http, &[grant, kind, ("client_assertion", &own)]).await.0, 200);
    // And an assertion is not the method of a client with a certificate.
    assert_eq!(send(&world, &http, &[grant, kind, ("client_assertion", &assertion("acme.agent"))]).await.0, 401);
}

#[tokio::test]
async fn other_endpoints_take_the_same_client() {
    let (world, params) = by_uri().await;
    let http = world.with(&world.authority.issue(&params));
    let (_, body) = world.ask(&http, "acme.agent", &[]).await;
    let token = body["access_token"].as_str().unwrap();
    let form = [("token", token), ("client_id", "acme.agent")];
    let post = |path: &str| http.post(world.server.url(path)).form(&form).send();
    let seen: Value = post("/oauth2/introspect").await.unwrap().json().await.unwrap();
    assert_eq!(seen["active"], json!(true), "{seen}");
    assert_eq!(post("/oauth2/revoke").await.unwrap().status(), StatusCode::OK);
    let seen: Value = post("/oauth2/introspect").await.unwrap().json().await.unwrap();
    assert_eq!(seen, json!({"active": false}));
}
