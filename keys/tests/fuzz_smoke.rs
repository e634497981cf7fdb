//! The fuzz targets' bodies on a few thousand inputs: arbitrary bytes, and good
//! inputs with damage done to them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    reason = "tests"
)]

#[path = "../fuzz/bodies.rs"]
mod bodies;

use proptest::prelude::*;

const SEEDS: [&str; 10] = [
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","kid":"a\u0062","use":"sig","key_ops":["verify"]}"#,
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","alg":"EdDSA"}]}"#,
    r#"{"iss":"https://as.example","aud":["a","b"],"exp":1795230300,"act":{"sub":"agent:a","act":{"sub":"agent:b"}},"n":-0.5e-3,"t":[true,false,null,"\ud83d\ude00"]}"#,
    "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
    r#"{"a":1,"\u0061":2}"#,
    // RFC 9449 section 4.2.
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg",
    "https://Server.Example.com:443/a/./b/../%7Etoken?q#f",
    r#"{"aud":"https://as.example","client_id":"c","jti":"1","scope":"a b","resource":["https://a.example"],"cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},"authorization_details":[{"type":"budget","unit":"USD","decimals":6,"amount":5}]}"#,
    // draft-ietf-oauth-status-list, section 4.2.
    r#"{"bits":1,"lst":"eNrbuRgAAhcBXQ"}"#,
];

/// Bytes that mean something to one of the readers.
const TOKENS: [&str; 14] =
    ["{", "}", "[", "]", "\"", ",", ":", ".", "\\u0061", "\"alg\":\"none\"", "1e999", "=", "\u{feff}", "\0"];

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
        bodies::jws_parse(seed.as_bytes());
        bodies::jwk_parse(seed.as_bytes());
        bodies::json_parse(seed.as_bytes());
        bodies::dpop_proof(seed.as_bytes());
        bodies::assertion(seed.as_bytes());
        bodies::status_list(seed.as_bytes());
    }
    assert!(stipend_keys::Unverified::parse(SEEDS[0]).is_ok());
    assert!(stipend_keys::PublicJwk::from_json(SEEDS[1].as_bytes()).is_ok());
    assert!(stipend_keys::PublicJwkSet::from_json(SEEDS[2].as_bytes()).is_ok());
    let proof = stipend_keys::dpop::UnverifiedProof::parse(SEEDS[6]).unwrap();
    assert!(proof.clone().verify(&proof.verifier().unwrap()).is_ok());
    assert!(stipend_keys::dpop::TargetUri::parse(SEEDS[7]).is_some());
    let read = |seed: &str| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(seed).unwrap();
    assert!(stipend_token::id_jag::Asserted::from_claims(&read(SEEDS[8])).is_ok());
    assert!(stipend_token::status_list::StatusList::from_json(&read(SEEDS[9]), 64).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn jws_parse_holds(data in input()) {
        bodies::jws_parse(&data);
    }

    #[test]
    fn jwk_parse_holds(data in input()) {
        bodies::jwk_parse(&data);
    }

    #[test]
    fn json_parse_holds(data in input()) {
        bodies::json_parse(&data);
    }

    #[test]
    fn dpop_proof_holds(data in input()) {
        bodies::dpop_proof(&data);
    }

    #[test]
    fn assertion_holds(data in input()) {
        bodies::assertion(&data);
    }

    #[test]
    fn status_list_holds(data in input()) {
        bodies::status_list(&data);
    }
}
