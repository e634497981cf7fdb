//! Attacks on the form of a token: its parts, its base64url, its header and claims,
//! and what public servers got wrong about them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines,
    reason = "tests"
)]

mod common;

use common::target::{HEADER, KEY, accept, good, refusal};
use common::{CLAIMS, forge};
use rstest::rstest;
use stipend_keys::{Algorithm, JwsError, MAX_JWT_BYTES, SigningKey, Unverified};
use stipend_token::json::JsonError;

#[test]
fn a_token_has_three_parts() {
    let token = good();
    for (mutant, expected) in [
        (String::new(), JwsError::Parts),
        (token.replace('.', ""), JwsError::Parts),
        (token.rsplit_once('.').unwrap().0.to_owned(), JwsError::Parts),
        (format!("{token}."), JwsError::Parts),
        (format!(".{token}"), JwsError::Parts),
        (format!("{token}.{token}"), JwsError::Parts),
        // The shape of a JWE.
        (format!("{token}.e30.e30"), JwsError::Parts),
        ("..".to_owned(), JwsError::Header(JsonError::Syntax)),
        (format!("..{}", token.rsplit_once('.').unwrap().1), JwsError::Header(JsonError::Syntax)),
    ] {
        assert_eq!(refusal(&mutant), expected, "{mutant}");
    }
}

#[test]
fn base64url_has_one_spelling() {
    let token = good();
    let parts: Vec<_> = token.split('.').collect();
    for index in 0..3 {
        for (edit, what) in [
            (format!("{}=", parts[index]), "padding"),
            (format!("{}==", parts[index]), "padding"),
            (format!(" {}", parts[index]), "space"),
            (format!("{} ", parts[index]), "space"),
            (format!("{}\n", parts[index]), "newline"),
            (format!("{}\r\n", parts[index]), "newline"),
            (format!("{}\0", parts[index]), "nul"),
            (format!("{}+/", parts[index]), "standard alphabet"),
            (format!("{}é", parts[index]), "beyond ASCII"),
            (format!("{}A", parts[index]), "stray character"),
        ] {
            let mut edited: Vec<&str> = parts.clone();
            edited[index] = &edit;
            let error = refusal(&edited.join("."));
            // A stray character may also complete a group and change what is read.
            let allowed = [JwsError::Base64, JwsError::Signature].contains(&error)
                || matches!(error, JwsError::Header(_) | JwsError::Payload(_));
            assert!(allowed && (what == "stray character" || error == JwsError::Base64), "{what}");
        }
    }
    // 64 bytes leave four spare bits in the last character; all but zero are refused.
    let last = token.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let value = alphabet.find(last).unwrap();
    assert_eq!(value % 16, 0);
    for spare in 1..16 {
        let twin = &alphabet[value + spare..=value + spare];
        let twin = format!("{}{twin}", &token[..token.len() - 1]);
        assert_eq!(refusal(&twin), JwsError::Base64, "{spare}");
    }
}

#[rstest]
#[case(r#"{"alg":"ES256","typ":"at+jwt","crit":[]}"#)]
#[case(r#"{"alg":"ES256","typ":"at+jwt","crit":["exp"],"exp":1}"#)]
#[case(r#"{"alg":"ES256","typ":"at+jwt","crit":["b64"],"b64":false}"#)]
#[case(r#"{"alg":"ES256","typ":"at+jwt","b64":false}"#)]
#[case(r#"{"alg":"ES256","typ":"at+jwt","b64":true}"#)]
#[case(r#"{"alg":"ES256","typ":"at+jwt","zip":"DEF"}"#)]
#[case(r#"{"alg":"ES256","typ":"at+jwt","enc":"A256GCM"}"#)]
fn extensions_are_refused(#[case] header: &str) {
    assert_eq!(refusal(&forge(&KEY, header, CLAIMS)), JwsError::Extension);
}

#[test]
fn keys_that_a_header_offers_are_reported_and_never_used() {
    let attacker = SigningKey::generate(Algorithm::Es256).unwrap();
    let jwk = attacker.public_jwk().to_public_json();
    for offer in [
        format!(r#""jwk":{jwk}"#),
        r#""jku":"https://evil.example/jwks""#.to_owned(),
        r#""x5u":"https://evil.example/cert""#.to_owned(),
        r#""x5c":["MIIB"]"#.to_owned(),
    ] {
        let header = format!(r#"{{"alg":"ES256","typ":"at+jwt",{offer}}}"#);
        let token = forge(&attacker, &header, CLAIMS);
        assert!(Unverified::parse(&token).unwrap().offers_key());
        assert_eq!(refusal(&token), JwsError::Signature);
        assert!(accept(&forge(&KEY, &header, CLAIMS)).is_ok());
    }
    assert!(!Unverified::parse(&good()).unwrap().offers_key());
}

#[rstest]
#[case("../../../../etc/passwd")]
#[case("' OR '1'='1")]
#[case("'; DROP TABLE signing_keys;--")]
#[case("key\\u0000.pem")]
#[case("| /bin/id")]
#[case("https://evil.example/key")]
#[case("${jndi:ldap://evil.example}")]
#[case("\\r\\nSet-Cookie: a=b")]
fn a_kid_is_an_opaque_name_that_fits_or_does_not(#[case] kid: &str) {
    let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{kid}"}}"#);
    let token = forge(&KEY, header, CLAIMS);
    assert!(Unverified::parse(&token).unwrap().kid().is_some());
    // Signed by the right key, but it names another one.
    assert_eq!(refusal(&token), JwsError::WrongKey);
    let error = refusal(&token).to_string();
    assert!(!error.contains(kid), "{error}");
}

#[rstest]
#[case(r#""""#.to_owned())]
#[case("1".to_owned())]
#[case("null".to_owned())]
#[case(r#"["a"]"#.to_owned())]
#[case(format!("\"{}\"", "k".repeat(257)))]
fn a_malformed_kid_is_refused(#[case] kid: String) {
    let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":{kid}}}"#);
    assert_eq!(refusal(&forge(&KEY, header, CLAIMS)), JwsError::Kid);
}

#[rstest]
#[case(r#"{"alg":"ES256"}"#)]
#[case(r#"{"alg":"ES256","typ":"JWT"}"#)]
#[case(r#"{"alg":"ES256","typ":"at+jwt "}"#)]
#[case(r#"{"alg":"ES256","typ":"dpop+jwt"}"#)]
#[case(r#"{"alg":"ES256","typ":""}"#)]
fn a_token_of_another_type_is_refused(#[case] header: &str) {
    assert_eq!(refusal(&forge(&KEY, header, CLAIMS)), JwsError::WrongKind);
}

#[test]
fn a_type_that_is_not_a_string_is_refused() {
    for typ in ["null", "1", "[\"at+jwt\"]", "{}"] {
        let header = format!(r#"{{"alg":"ES256","typ":{typ}}}"#);
        let error = refusal(&forge(&KEY, header, CLAIMS));
        assert!(matches!(error, JwsError::Header(JsonError::Member { name: "typ", .. })));
    }
}

#[rstest]
#[case(br#"{"alg":"none","alg":"ES256","typ":"at+jwt"}"#, JsonError::DuplicateMember)]
#[case(br#"{"alg":"ES256","\u0061lg":"none","typ":"at+jwt"}"#, JsonError::DuplicateMember)]
#[case(b"{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"x\":\"\xff\"}", JsonError::NotUtf8)]
#[case(b"\xef\xbb\xbf{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}", JsonError::Syntax)]
#[case(br#"{"alg":"ES256","typ":"at+jwt"} {}"#, JsonError::TrailingData)]
#[case(br#"{"alg":"ES256","typ":"at+jwt",}"#, JsonError::Syntax)]
#[case(br#"{"alg":"ES256","typ":"at+jwt"/**/}"#, JsonError::Syntax)]
#[case(br#"{'alg':'ES256'}"#, JsonError::Syntax)]
#[case(br#"["ES256"]"#, JsonError::NotAnObject)]
#[case(br#""ES256""#, JsonError::NotAnObject)]
#[case(b"", JsonError::Syntax)]
#[case(br#"{"alg":"ES256","x":[[[[[[[[[]]]]]]]]]}"#, JsonError::TooDeep)]
fn a_header_that_could_be_read_two_ways_is_refused(#[case] header: &[u8], #[case] expected: JsonError) {
    assert_eq!(refusal(&forge(&KEY, header, CLAIMS)), JwsError::Header(expected));
}

#[rstest]
#[case(br#"{"sub":"a","sub":"b"}"#, JsonError::DuplicateMember)]
#[case(br#"{"act":{"sub":"a","sub":"b"}}"#, JsonError::DuplicateMember)]
#[case(br#"{"a":[{"b":{"c":1,"c":1}}]}"#, JsonError::DuplicateMember)]
#[case(b"{\"sub\":\"\xc3\x28\"}", JsonError::NotUtf8)]
#[case(br#"{"sub":"\ud800"}"#, JsonError::Syntax)]
#[case(br#"{"exp":1e999}"#, JsonError::Syntax)]
#[case(br#"{"exp":NaN}"#, JsonError::Syntax)]
#[case(br#"{"exp":01}"#, JsonError::Syntax)]
#[case(b"not json", JsonError::Syntax)]
#[case(b"null", JsonError::NotAnObject)]
#[case(b"", JsonError::Syntax)]
fn a_payload_that_could_be_read_two_ways_is_refused(#[case] payload: &[u8], #[case] expected: JsonError) {
    assert_eq!(refusal(&forge(&KEY, HEADER, payload)), JwsError::Payload(expected));
}

#[test]
fn deep_nesting_ends_at_the_limit_and_not_on_the_stack() {
    let nested = |depth: usize| format!(r#"{{"a":{}1{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(accept(&forge(&KEY, HEADER, nested(31))).is_ok());
    for depth in [32, 100, 2500] {
        let error = refusal(&forge(&KEY, HEADER, nested(depth)));
        assert_eq!(error, JwsError::Payload(JsonError::TooDeep), "{depth}");
    }
}

#[test]
fn an_oversized_token_is_refused_without_being_read() {
    for text in ["a".repeat(1 << 20), ".".repeat(1 << 20), format!("{}{}", good(), "A".repeat(MAX_JWT_BYTES))] {
        assert_eq!(refusal(&text), JwsError::TooLarge);
    }
}

#[test]
fn errors_and_debug_output_carry_nothing_that_was_sent() {
    let marker = "marker-7f3a";
    let claims = format!(r#"{{"sub":"{marker}"}}"#);
    let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","x":"{marker}"}}"#);
    let token = forge(&KEY, header, claims);
    let parsed = Unverified::parse(&token).unwrap();
    assert!(!format!("{parsed:?}").contains(marker));
    assert!(!format!("{:?}", accept(&token).unwrap()).contains(marker));
    for mutant in [
        forge(&KEY, format!(r#"{{"alg":"{marker}"}}"#), "{}"),
        forge(&KEY, format!(r#"{{"{marker}":1,"{marker}":2}}"#), "{}"),
        forge(&KEY, HEADER, format!(r#"{{"{marker}""#)),
        format!("{marker}.{marker}.{marker}"),
    ] {
        let error = refusal(&mutant);
        assert!(!format!("{error} {error:?}").contains(marker));
    }
}
