//! Hosts that publish keys badly, or should not be asked at all.

use crate::idp::{Face, Idp, KEYS, Key, METADATA};
use crate::world::{LOCAL, World, trust};
use serde_json::json;
use std::time::{Duration, Instant};
use stipend::federation::{FETCH_DEADLINE, FetchConfig, FetchFault, Fetcher, ForeignFault, MAX_FETCH_BYTES, Wanted};
use stipend::proxy::UpstreamFault;
use stipend_schema::Backend;
use url::Url;

#[tokio::test(flavor = "multi_thread")]
async fn bad_hosts_give_no_keys_and_take_little_time() {
    let world = World::new(Backend::Sqlite).await;
    let keys = json!({"keys": [world.key.jwk()]});
    let elsewhere = Idp::start(&[&world.key]).await;
    let long = format!("{{\"pad\":\"{}\",{}", "x".repeat(MAX_FETCH_BYTES), &keys.to_string()[1..]);
    for (what, face) in [
        ("empty", Face::Raw(200, String::new())),
        ("no JSON", Face::Raw(200, "<html>".to_owned())),
        ("a list", Face::Json(json!([world.key.jwk()]))),
        ("keys that are no list", Face::Json(json!({"keys": {"k1": world.key.jwk()}}))),
        ("a member twice", Face::Raw(200, format!("{{\"keys\":[],{}", &keys.to_string()[1..]))),
        ("an error with keys", Face::Raw(404, keys.to_string())),
        ("another success", Face::Raw(203, keys.to_string())),
        ("a redirect", Face::Redirect(format!("{}{KEYS}", elsewhere.issuer))),
        ("too long", Face::Raw(200, long)),
        ("endless", Face::Endless),
        ("slow", Face::Slow(FETCH_DEADLINE + Duration::from_secs(2), keys.clone())),
        ("closed", Face::Closed),
    ] {
        world.idp.face(KEYS, face);
        let begun = Instant::now();
        let fault = world.fault(&world.id_token(json!({}))).await;
        assert_eq!(fault, Some(ForeignFault::KeysUnavailable), "{what}");
        assert!(begun.elapsed() < FETCH_DEADLINE + Duration::from_secs(1), "{what}: {:?}", begun.elapsed());
        world.server.clock.advance(60);
    }
    assert_eq!(elsewhere.hits(KEYS), 0, "a redirect is not followed");
    // No key left is an answer, too.
    world.idp.face(KEYS, Face::Json(json!({"keys": []})));
    assert_eq!(world.fault(&world.id_token(json!({}))).await, Some(ForeignFault::UnknownKey));
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_believed_of_its_own_issuer_and_host() {
    let world = World::new(Backend::Sqlite).await;
    let (issuer, elsewhere) = (world.idp.issuer.clone(), Idp::start(&[&world.key]).await);
    for (what, metadata) in [
        ("another issuer", json!({"issuer": elsewhere.issuer, "jwks_uri": format!("{issuer}{KEYS}")})),
        ("a slash more", json!({"issuer": format!("{issuer}/"), "jwks_uri": format!("{issuer}{KEYS}")})),
        ("no keys", json!({"issuer": issuer})),
        ("keys that are no URL", json!({"issuer": issuer, "jwks_uri": "keys"})),
        ("keys in a file", json!({"issuer": issuer, "jwks_uri": "file:///etc/passwd"})),
        ("keys at another host", json!({"issuer": issuer, "jwks_uri": "http://localhost:1/keys"})),
        ("keys at a private host", json!({"issuer": issuer, "jwks_uri": "http://169.254.169.254/latest"})),
    ] {
        world.idp.face(METADATA, Face::Json(metadata));
        assert_eq!(world.fault(&world.id_token(json!({}))).await, Some(ForeignFault::KeysUnavailable), "{what}");
        world.server.clock.advance(60);
    }
    assert_eq!(world.idp.hits(KEYS), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_fetched_from_a_host_that_is_listed() {
    // Two names of this machine: `localhost` is not the issuer's host, but listed.
    let settings = [("STIPEND_FETCH_HTTP_HOSTS", "127.0.0.1,localhost"), LOCAL[1]];
    let world = World::with(Backend::Sqlite, &settings).await;
    let port = world.idp.issuer.rsplit_once(':').unwrap().1.to_owned();
    let uri = format!("http://localhost:{port}{KEYS}");
    world.idp.face(METADATA, Face::Json(json!({"issuer": world.idp.issuer, "jwks_uri": uri})));
    assert_eq!(world.fault(&world.id_token(json!({}))).await, Some(ForeignFault::KeysUnavailable));
    world.patch(json!({"hosts": ["localhost"]})).await;
    assert_eq!(world.fault(&world.id_token(json!({}))).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_are_not_called_unless_the_deployment_says_so() {
    for settings in [&[][..], &LOCAL[..1], &LOCAL[1..]] {
        let world = World::with(Backend::Sqlite, settings).await;
        assert_eq!(world.fault(&world.id_token(json!({}))).await, Some(ForeignFault::KeysUnavailable), "{settings:?}");
        let key = Key::new("direct");
        let direct = Idp::start(&[&key]).await;
        let source = json!({"keys": {"jwks_uri": format!("{}{KEYS}", direct.issuer)}});
        trust(&world.server, &direct.issuer, source).await;
        let token = key.token("JWT", &direct.claims(world.now()));
        assert_eq!(world.fault(&token).await, Some(ForeignFault::KeysUnavailable), "{settings:?}");
        assert_eq!((world.idp.hits(METADATA), direct.hits(KEYS)), (0, 0), "{settings:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fetcher_goes_where_it_may_and_nowhere_else() {
    let host = Idp::start(&[]).await;
    host.face("/small", Face::Raw(200, "x".repeat(100)));
    stipend::testing::install_crypto();
    let plain = FetchConfig {
        networks: vec!["127.0.0.0/8".parse().unwrap()],
        http_hosts: vec!["127.0.0.1".to_owned()],
        ca_pem: None,
    };
    let fetcher = Fetcher::new(plain).unwrap();
    let small = Url::parse(&format!("{}/small", host.issuer)).unwrap();
    assert_eq!(fetcher.get(Wanted::Keys, &small, 100).await.unwrap().bytes.len(), 100);
    assert_eq!(fetcher.get(Wanted::Keys, &small, 99).await.unwrap_err(), FetchFault::TooLarge);
    let refused = |fault| FetchFault::Call(fault);
    for (url, fault) in [
        ("http://localhost:1/", UpstreamFault::UrlRefused),
        ("http://user@127.0.0.1:1/", UpstreamFault::UrlRefused),
        ("ftp://127.0.0.1/", UpstreamFault::UrlRefused),
        ("https://10.0.0.1/", UpstreamFault::AddressRefused),
        ("https://169.254.169.254/latest/meta-data", UpstreamFault::AddressRefused),
        ("https://[::1]/", UpstreamFault::AddressRefused),
        ("https://[::ffff:10.0.0.1]/", UpstreamFault::AddressRefused),
        ("https://0x7f.1.1.1/", UpstreamFault::Connect),
    ] {
        assert_eq!(
            fetcher.get(Wanted::Keys, &Url::parse(url).unwrap(), 100).await.unwrap_err(),
            refused(fault),
            "{url}"
        );
    }
}
