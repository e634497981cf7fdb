//! The fuzz targets' bodies on a few thousand inputs: arbitrary bytes, and good inputs with
//! damage done to them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    reason = "tests"
)]

#[path = "../../fuzz/bodies.rs"]
mod bodies;

use proptest::prelude::*;
use stipend::signals::{self, Poll, StreamRequest};

const SEEDS: [&str; 7] = [
    "forbid (principal == Agent::\"acme.x\", action, resource) when { context has risk && context.risk > 50 };",
    "@id(\"n\")\nforbid (principal in Owner::\"acme\", action == Action::\"token:exchange\", resource)\nunless { context.scope.contains(\"read\") || context.now.hour < 4 };",
    "permit (principal, action, resource);",
    r#"{"stream_id":"ssf_1","events_requested":["urn:a"],"delivery":{"method":"urn:ietf:rfc:8935","endpoint_url":"https://r.example/","authorization_header":"Bearer abcdefghijklmnopqrstuvwxyz"},"description":"d","iss":"https://as.example"}"#,
    r#"{"maxEvents":2,"returnImmediately":true,"ack":["set_1"],"setErrs":{"set_2":{"err":"invalid_request","description":"?"}}}"#,
    r#"{"stream_id":"ssf_1","status":"paused","reason":"r"}"#,
    r#"{"stream_id":"ssf_1","state":"VGhpcyBpcyBh"}"#,
];

/// Text that means something to one of the readers.
const TOKENS: [&str; 16] =
    ["{", "}", "(", ")", "[", "\"", ",", ":", "&&", "when", "forbid", "?principal", "//", "\u{202e}", "\0", "like"];

fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let damage = (any::<prop::sample::Index>(), 0_usize..6, prop::sample::select(&TOKENS[..]));
    let damages = prop::collection::vec(damage, 1..5);
    (prop::sample::select(&SEEDS[..]), damages).prop_map(|(seed, damages)| {
        let mut bytes = seed.as_bytes().to_vec();
        for (at, cut, token) in damages {
            let at = at.index(bytes.len() + 1);
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, token.bytes());
        }
        bytes
    })
}

fn input() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![prop::collection::vec(any::<u8>(), 0..200), damaged()]
}

#[test]
fn the_seeds_themselves_pass_every_body() {
    for seed in SEEDS {
        bodies::policy_text(seed.as_bytes());
        bodies::signal_bodies(seed.as_bytes());
    }
    assert!(stipend::policy::check(SEEDS[0]).is_ok() && stipend::policy::check(SEEDS[1]).is_ok());
    assert!(stipend::policy::check(SEEDS[2]).is_err());
    assert!(signals::parse::<StreamRequest>(SEEDS[3].as_bytes()).is_some());
    assert!(signals::parse::<Poll>(SEEDS[4].as_bytes()).is_some());
}

#[test]
fn a_member_twice_and_a_deep_body_are_refused() {
    for bad in
        [r#"{"stream_id":"a","stream_id":"b"}"#, r#"{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}"#, "[]", "", "null"]
    {
        assert!(signals::parse::<StreamRequest>(bad.as_bytes()).is_none(), "{bad}");
    }
    let long = format!(r#"{{"description":"{}"}}"#, "x".repeat(64 * 1024));
    assert!(signals::parse::<StreamRequest>(long.as_bytes()).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn policy_text_holds(data in input()) {
        bodies::policy_text(&data);
    }

    #[test]
    fn signal_bodies_hold(data in input()) {
        bodies::signal_bodies(&data);
    }
}
