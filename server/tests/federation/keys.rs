//! How an issuer's keys come, stay and go: what is counted here is how often its host is asked.

use crate::idp::{Face, KEYS, Key, METADATA};
use crate::world::World;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use stipend::federation::{COOL_DOWN_SECONDS, FRESH_SECONDS, ForeignFault, MAX_STALE_SECONDS};
use stipend_schema::Backend;

fn stranger(world: &World, kid: &str) -> String {
    let header = json!({"alg": "ES256", "typ": "JWT", "kid": kid});
    world.key.sign(&header, &world.idp.claims(world.now()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_costs_one_fetch() {
    let world = World::new(Backend::Sqlite).await;
    let keys = json!({"keys": [world.key.jwk()]});
    world.idp.face(KEYS, Face::Slow(Duration::from_millis(300), keys));
    let token = world.id_token(json!({}));
    let all = futures_util::future::join_all((0..40).map(|_| world.fault(&token))).await;
    assert!(all.iter().all(Option::is_none), "{all:?}");
    assert_eq!((world.idp.hits(METADATA), world.idp.hits(KEYS)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unknown_keys_costs_few_fetches_and_the_good_none() {
    let world = World::new(Backend::Sqlite).await;
    assert_eq!(world.fault(&world.id_token(json!({}))).await, None);
    world.idp.face(KEYS, Face::Silent);
    let mut floods = 0;
    // Two minutes of it, as the clock has it.
    for round in 0..12 {
        world.server.clock.advance(COOL_DOWN_SECONDS);
        let good = world.id_token(json!({}));
        let flood: Vec<String> = (0..30).map(|n| stranger(&world, &format!("k-{round}-{n}"))).collect();
        if round == 0 {
            // Those who wait for a host that says nothing keep nobody else waiting.
            let begun = Instant::now();
            let strangers = futures_util::future::join_all(flood.iter().map(|token| world.fault(token)));
            let honest = async {
                assert_eq!(world.fault(&good).await, None);
                begun.elapsed()
            };
            let (strangers, waited) = tokio::join!(strangers, honest);
            assert!(waited < Duration::from_secs(1), "{waited:?}");
            assert!(strangers.iter().all(|fault| *fault == Some(ForeignFault::UnknownKey)), "{strangers:?}");
            world.idp.face(KEYS, Face::Closed);
        } else {
            for token in &flood {
                assert_eq!(world.fault(token).await, Some(ForeignFault::UnknownKey));
            }
            assert_eq!(world.fault(&good).await, None);
        }
        floods += flood.len();
    }
    assert_eq!(floods, 360);
    assert!((2..=13).contains(&world.idp.hits(KEYS)), "{}", world.idp.hits(KEYS));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unregistered_issuer_costs_no_fetch_at_all() {
    let world = World::new(Backend::Sqlite).await;
    let other = crate::idp::Idp::start(&[&world.key]).await;
    let token = world.key.token("JWT", &other.claims(world.now()));
    assert_eq!(world.fault(&token).await, Some(ForeignFault::UnknownIssuer));
    assert_eq!((other.hits(METADATA), other.hits(KEYS)), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_found_and_one_taken_back_is_gone() {
    let world = World::new(Backend::Sqlite).await;
    let old = world.id_token(json!({}));
    assert_eq!(world.fault(&old).await, None);
    let next = Key::new("k2");
    world.idp.publish(&[&world.key, &next]);
    let claims = world.idp.claims(world.now());
    // Asked too soon: the kid is known to be unknown.
    assert_eq!(world.fault(&next.token("JWT", &claims)).await, Some(ForeignFault::UnknownKey));
    world.server.clock.advance(COOL_DOWN_SECONDS);
    assert_eq!(world.fault(&next.token("JWT", &claims)).await, None);
    // The old one goes: at the latest when what is known is no longer fresh.
    world.idp.publish(&[&next]);
    world.server.clock.advance(FRESH_SECONDS);
    assert_eq!(world.fault(&old).await, Some(ForeignFault::UnknownKey));
    // And its name comes back with another key: what the old one signed is no good by it.
    let reused = Key::new("k1");
    world.idp.publish(&[&next, &reused]);
    world.server.clock.advance(COOL_DOWN_SECONDS);
    assert_eq!(world.fault(&old).await, Some(ForeignFault::Signature));
    assert_eq!(world.fault(&reused.token("JWT", &world.idp.claims(world.now()))).await, None);
    assert!(world.idp.hits(KEYS) <= 4, "{}", world.idp.hits(KEYS));
}

#[tokio::test(flavor = "multi_thread")]
async fn good_keys_stay_while_their_host_is_down_and_not_for_ever() {
    let world = World::new(Backend::Sqlite).await;
    let claims = |now: i64| crate::world::with(world.idp.claims(now), json!({"exp": now + 600}));
    let token = |now: i64| world.key.token("JWT", &claims(now));
    assert_eq!(world.fault(&token(world.now())).await, None);
    let begun = world.now();
    world.idp.face(KEYS, Face::Closed);
    world.server.clock.advance(FRESH_SECONDS);
    while world.now() - begun < MAX_STALE_SECONDS {
        assert_eq!(world.fault(&token(world.now())).await, None, "after {} s", world.now() - begun);
        world.server.clock.advance(300);
    }
    assert_eq!(world.fault(&token(world.now())).await, Some(ForeignFault::KeysUnavailable));
    // The host is back: within one cool-down all is well, without a manual step.
    world.idp.publish(&[&world.key]);
    world.server.clock.advance(COOL_DOWN_SECONDS);
    assert_eq!(world.fault(&token(world.now())).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_never_there_is_asked_by_time() {
    let world = World::new(Backend::Sqlite).await;
    world.idp.face(METADATA, Face::Raw(500, "no".to_owned()));
    for _ in 0..20 {
        assert_eq!(world.fault(&world.id_token(json!({}))).await, Some(ForeignFault::KeysUnavailable));
    }
    assert_eq!((world.idp.hits(METADATA), world.idp.hits(KEYS)), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_malformed_among_good_keys_costs_nothing() {
    let world = World::new(Backend::Sqlite).await;
    let good = world.key.jwk();
    let (twin, other) = (Key::new("twin"), Key::new("twin"));
    let mut off_curve = Key::new("off").jwk();
    off_curve["y"] = off_curve["x"].clone();
    let keys: Vec<Value> = vec![
        json!(7),
        json!({}),
        json!({"kty": "EC"}),
        json!({"kty": "oct", "k": "AAAA", "kid": "k-oct"}),
        json!({"kty": "RSA", "n": "AQ", "e": "AQAB", "kid": "k-rsa"}),
        off_curve,
        crate::world::with(Key::new("enc").jwk(), json!({"use": "enc"})),
        twin.jwk(),
        other.jwk(),
        good,
    ];
    world.idp.face(KEYS, Face::Json(json!({"keys": keys, "more": true})));
    assert_eq!(world.fault(&world.id_token(json!({}))).await, None);
    let claims = world.idp.claims(world.now());
    for key in [twin, other, Key::new("off"), Key::new("enc"), Key::new("k-oct")] {
        assert_eq!(world.fault(&key.token("JWT", &claims)).await, Some(ForeignFault::UnknownKey), "{}", key.kid);
    }
}
