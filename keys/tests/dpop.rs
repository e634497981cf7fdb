//! DPoP proofs: what makes a good one, and every way to fake one that we know of.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    reason = "tests"
)]

mod common;

use common::{b64, forge, unb64};
use rstest::rstest;
use serde_json::{Value, json};
use std::sync::LazyLock;
use stipend_keys::dpop::{Proof, ProofError, ProvedRequest, TargetUri, UnverifiedProof};
use stipend_keys::{Algorithm, JwsError, SigningKey, TokenKind, sha256};

const NOW: i64 = 1_795_230_000;
const URL: &str = "https://as.example/oauth2/token";
static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(Algorithm::Es256).unwrap());
static OTHER: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(Algorithm::Es256).unwrap());

fn jwk(key: &SigningKey) -> Value {
    let mut jwk: Value = serde_json::from_str(&key.public_jwk().to_public_json()).unwrap();
    for name in ["alg", "use", "kid"] {
        jwk.as_object_mut().unwrap().remove(name);
    }
    jwk
}

fn header(key: &SigningKey) -> Value {
    json!({ "typ": "dpop+jwt", "alg": key.alg(), "jwk": jwk(key) })
}

fn claims() -> Value {
    json!({ "jti": "p_1", "htm": "POST", "htu": URL, "iat": NOW })
}

fn signed(key: &SigningKey, header: &Value, claims: &Value) -> String {
    forge(key, header.to_string(), claims.to_string())
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    if value.is_null() {
        object.as_object_mut().unwrap().remove(name);
    } else {
        object[name] = value;
    }
    object
}

fn check(proof: &str, method: &str, url: &str, now: i64, token: Option<&str>) -> Result<(), ProofError> {
    let urls = [TargetUri::parse(url).unwrap()];
    Proof::verify(proof)?.check(&ProvedRequest { method, urls: &urls, now, access_token: token })
}

fn refusal(proof: &str) -> ProofError {
    check(proof, "POST", URL, NOW, None).expect_err("the proof was accepted")
}

#[rstest]
fn a_good_proof_names_its_key_by_the_thumbprint_in_every_algorithm(
    #[values(Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps256, Algorithm::Rs256)] alg: Algorithm,
) {
    let key = SigningKey::generate(alg).unwrap();
    // An RSA key that says nothing of its algorithm is used with the header's.
    let proof = Proof::verify(&signed(&key, &header(&key), &claims())).unwrap();
    assert_eq!(proof.jkt(), key.public_jwk().thumbprint());
    assert_eq!(check(&signed(&key, &header(&key), &claims()), "POST", URL, NOW, None), Ok(()));
    let own = key.signer().unwrap().prove(claims().to_string().as_bytes()).unwrap();
    assert_eq!(Proof::verify(&own).unwrap(), proof);
}

#[test]
fn the_proof_of_rfc_9449_verifies() {
    // RFC 9449 section 4.1, figure 1.
    let proof = concat!(
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik",
        "VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR",
        "nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE",
        "QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIj",
        "oiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwia",
        "WF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg",
        "4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg",
    );
    assert_eq!(check(proof, "POST", "https://server.example.com/token", 1_562_262_616, None), Ok(()));
    // Section 6.1, figure 7: the thumbprint of that key.
    assert_eq!(Proof::verify(proof).unwrap().jkt(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
}

#[test]
fn a_proof_is_one_well_formed_signed_jwt() {
    let good = signed(&KEY, &header(&KEY), &claims());
    for bad in
        [String::new(), "x".to_owned(), good.to_uppercase(), format!("{good}, {good}"), format!("{good}.e30.e30")]
    {
        assert!(matches!(refusal(&bad), ProofError::Malformed(_)), "{bad}");
    }
    let (input, signature) = good.rsplit_once('.').unwrap();
    assert_eq!(refusal(&format!("{input}.")), ProofError::Malformed(JwsError::Unsigned));
    let mut flipped = unb64(signature);
    flipped[7] ^= 1;
    assert_eq!(refusal(&format!("{input}.{}", b64(flipped))), ProofError::Signature);
    let other = signed(&KEY, &header(&KEY), &with(claims(), "htm", json!("GET")));
    let swapped = [good.split('.').next().unwrap(), other.split('.').nth(1).unwrap(), signature].join(".");
    assert_eq!(refusal(&swapped), ProofError::Signature);
}

#[test]
fn the_type_is_the_proofs_own() {
    let typed = |typ: Value| signed(&KEY, &with(header(&KEY), "typ", typ), &claims());
    for bad in
        [Value::Null, json!("JWT"), json!("at+jwt"), json!("dpop"), json!(""), json!("client-authentication+jwt")]
    {
        assert_eq!(refusal(&typed(bad.clone())), ProofError::WrongKind, "{bad}");
    }
    assert!(matches!(refusal(&typed(json!(1))), ProofError::Malformed(_)));
    assert_eq!(check(&typed(json!("application/DPOP+jwt")), "POST", URL, NOW, None), Ok(()));
    // And no proof passes for anything else.
    let proof = signed(&KEY, &header(&KEY), &claims());
    let verifier = KEY.public_jwk().verifier().unwrap();
    for kind in TokenKind::ALL.into_iter().filter(|kind| *kind != TokenKind::DpopProof) {
        let unverified = stipend_keys::Unverified::parse(&proof).unwrap();
        assert_eq!(verifier.verify(unverified, kind).unwrap_err(), JwsError::WrongKind, "{kind:?}");
    }
}

#[test]
fn the_algorithm_is_one_of_ours_and_the_keys() {
    let of = |alg: &str| signed(&KEY, &with(header(&KEY), "alg", json!(alg)), &claims());
    for bad in ["none", "None", "HS256", "HS512", "ES384", "RS1", ""] {
        assert_eq!(refusal(&of(bad)), ProofError::Malformed(JwsError::Algorithm), "{bad}");
    }
    for other in ["EdDSA", "RS256", "PS256"] {
        assert_eq!(refusal(&of(other)), ProofError::Key, "{other}");
    }
    let said = with(header(&KEY), "jwk", with(jwk(&KEY), "alg", json!("RS256")));
    assert_eq!(refusal(&signed(&KEY, &said, &claims())), ProofError::Key);
    let said = with(header(&KEY), "jwk", with(jwk(&KEY), "alg", json!("ES256")));
    assert_eq!(check(&signed(&KEY, &said, &claims()), "POST", URL, NOW, None), Ok(()));
}

#[test]
fn the_key_is_public_usable_and_in_the_header() {
    for jwk in [
        Value::Null,
        json!("key"),
        json!({}),
        json!({ "kty": "oct", "k": b64("secret") }),
        with(jwk(&KEY), "crv", json!("P-384")),
        with(jwk(&KEY), "y", json!(jwk(&KEY)["x"])),
        with(jwk(&KEY), "use", json!("enc")),
        with(jwk(&KEY), "alg", json!(1)),
    ] {
        assert_eq!(
            refusal(&signed(&KEY, &with(header(&KEY), "jwk", jwk.clone()), &claims())),
            ProofError::Key,
            "{jwk}"
        );
    }
    // A key that everybody can read proves nothing, though the signature is good.
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let private = with(header(&KEY), "jwk", with(jwk(&KEY), member, json!("AAAA")));
        assert_eq!(refusal(&signed(&KEY, &private, &claims())), ProofError::Key, "{member}");
    }
    // Signed by another key than it brings.
    assert_eq!(refusal(&signed(&OTHER, &header(&KEY), &claims())), ProofError::Signature);
    // No other way to name a key is looked at.
    for name in ["jku", "x5u", "x5c"] {
        let named = with(with(header(&KEY), "jwk", Value::Null), name, json!("https://evil.example/key"));
        assert_eq!(refusal(&signed(&KEY, &named, &claims())), ProofError::Key, "{name}");
    }
    // What a client calls its key is nothing to us.
    let named = with(with(header(&KEY), "kid", json!("a")), "jwk", with(jwk(&KEY), "kid", json!("b")));
    assert_eq!(Proof::verify(&signed(&KEY, &named, &claims())).unwrap().jkt(), KEY.public_jwk().thumbprint());
}

#[test]
fn a_verifier_that_was_kept_serves_its_key_and_no_other() {
    let (mine, theirs) = (signed(&KEY, &header(&KEY), &claims()), signed(&OTHER, &header(&OTHER), &claims()));
    let read = |proof: &str| UnverifiedProof::parse(proof).unwrap();
    assert_eq!(read(&mine).key_digest(), read(&signed(&KEY, &header(&KEY), &json!({ "jti": "other" }))).key_digest());
    assert_ne!(read(&mine).key_digest(), read(&theirs).key_digest());
    let kept = read(&mine).verifier().unwrap();
    assert!(read(&mine).verify(&kept).is_ok());
    assert_eq!(read(&theirs).verify(&kept).unwrap_err(), ProofError::Signature);
    // One key under two algorithms has two verifiers.
    let rsa = SigningKey::generate(Algorithm::Rs256).unwrap();
    let digest = |alg: &str| read(&signed(&rsa, &with(header(&rsa), "alg", json!(alg)), &claims())).key_digest();
    assert_ne!(digest("RS256"), digest("PS256"));
}

#[test]
fn each_claim_is_required_and_has_its_form() {
    for name in ["jti", "htm", "htu", "iat"] {
        for value in [Value::Null, json!(["x"]), json!(""), json!({}), json!(true)] {
            let proof = signed(&KEY, &header(&KEY), &with(claims(), name, value.clone()));
            assert_eq!(refusal(&proof), ProofError::Claims, "{name}: {value}");
        }
    }
    for (name, value) in [
        ("jti", json!("x".repeat(257))),
        ("iat", json!(NOW.to_string())),
        ("iat", json!(1.5)),
        ("iat", json!(-1)),
        ("iat", json!(i64::MAX)),
        ("nbf", json!("soon")),
        ("exp", json!(i64::MAX)),
        ("nonce", json!("x".repeat(257))),
        ("nonce", json!(7)),
        ("ath", json!(7)),
    ] {
        let proof = signed(&KEY, &header(&KEY), &with(claims(), name, value.clone()));
        assert_eq!(refusal(&proof), ProofError::Claims, "{name}: {value}");
    }
    // Twice the same member: two readers would take two.
    let twice = forge(
        &KEY,
        header(&KEY).to_string(),
        format!(r#"{{"jti":"a","jti":"b","htm":"POST","htu":"{URL}","iat":{NOW}}}"#),
    );
    assert!(matches!(refusal(&twice), ProofError::Malformed(_)));
    for (name, value) in [("jti", json!("x".repeat(256))), ("nonce", json!("n")), ("foo", json!({ "bar": [1.5] }))] {
        let more = with(header(&KEY), "x-more", json!(1));
        let proof = signed(&KEY, &more, &with(claims(), name, value));
        assert_eq!(check(&proof, "POST", URL, NOW, None), Ok(()), "what is not known is ignored");
    }
}

#[test]
fn a_proof_is_for_one_method_and_one_url() {
    let proof = signed(&KEY, &header(&KEY), &claims());
    for method in ["GET", "post", "PUT", ""] {
        assert_eq!(check(&proof, method, URL, NOW, None), Err(ProofError::Method), "{method}");
    }
    for url in ["https://as.example/oauth2/revoke", "http://as.example/oauth2/token", "https://rs.example/oauth2/token"]
    {
        assert_eq!(check(&proof, "POST", url, NOW, None), Err(ProofError::Url), "{url}");
    }
    let spelled = |htu: &str| signed(&KEY, &header(&KEY), &with(claims(), "htu", json!(htu)));
    for htu in ["HTTPS://AS.example:443/oauth2/token?x=1#y", "https://as.example/oauth2/%74oken"] {
        assert_eq!(check(&spelled(htu), "POST", URL, NOW, None), Ok(()), "{htu}");
    }
    for htu in ["/oauth2/token", "https://as.example", "https://as.example/oauth2/token/", "nonsense"] {
        assert_eq!(check(&spelled(htu), "POST", URL, NOW, None), Err(ProofError::Url), "{htu}");
    }
    // No address of ours: nothing fits.
    let none = ProvedRequest { method: "POST", urls: &[], now: NOW, access_token: None };
    assert_eq!(Proof::verify(&proof).unwrap().check(&none), Err(ProofError::Url));
}

#[test]
fn a_proof_is_of_now() {
    for (name, offset, good) in [
        ("iat", -60, true),
        ("iat", 60, true),
        ("iat", -61, false),
        ("iat", 61, false),
        ("iat", -3600, false),
        ("iat", 3600, false),
        ("nbf", 60, true),
        ("nbf", 61, false),
        ("exp", -59, true),
        ("exp", -60, false),
    ] {
        let proof = signed(&KEY, &header(&KEY), &with(claims(), name, json!(NOW + offset)));
        let expected = if good { Ok(()) } else { Err(ProofError::Times) };
        assert_eq!(check(&proof, "POST", URL, NOW, None), expected, "{name} {offset}");
    }
    let proof = Proof::verify(&signed(&KEY, &header(&KEY), &claims())).unwrap();
    let urls = [TargetUri::parse(URL).unwrap()];
    let at = |now| proof.check(&ProvedRequest { method: "POST", urls: &urls, now, access_token: None });
    assert_eq!((at(proof.stale_at() - 1), at(proof.stale_at())), (Ok(()), Err(ProofError::Times)));
}

#[test]
fn a_proof_at_a_resource_is_for_one_token() {
    let ath = b64(sha256(b"the-token"));
    let of = |ath: Value| signed(&KEY, &header(&KEY), &with(claims(), "ath", ath));
    assert_eq!(check(&of(json!(ath)), "POST", URL, NOW, Some("the-token")), Ok(()));
    assert_eq!(check(&of(json!(ath)), "POST", URL, NOW, Some("the-token2")), Err(ProofError::Token));
    assert_eq!(check(&of(Value::Null), "POST", URL, NOW, Some("the-token")), Err(ProofError::Token));
    for bad in [format!("{ath}="), ath.to_uppercase(), ath[..42].to_owned(), "x".to_owned()] {
        assert_eq!(check(&of(json!(bad)), "POST", URL, NOW, Some("the-token")), Err(ProofError::Token), "{bad}");
    }
}

#[test]
fn a_replay_is_known_by_key_and_jti_and_nothing_is_printed() {
    let key_of =
        |key: &SigningKey, claims: &Value| Proof::verify(&signed(key, &header(key), claims)).unwrap().replay_key();
    let mine = key_of(&KEY, &claims());
    assert_eq!(mine, key_of(&KEY, &with(claims(), "htm", json!("GET"))));
    assert_ne!(mine, key_of(&KEY, &with(claims(), "jti", json!("p_2"))));
    assert_ne!(mine, key_of(&OTHER, &claims()), "nobody uses up another's jti");
    let proof = Proof::verify(&signed(&KEY, &header(&KEY), &claims())).unwrap();
    assert!(!format!("{proof:?}").contains("p_1"));
}
