//! RFC 8725 3.7 and RFC 7519: what stands inside a JWT that is properly signed.
//!
//! Only client assertions can be tried: theirs is the key we hold.

use serde_json::{Value, json};

use crate::check::{Miss, Verdict, checks};
use crate::client::Login;
use crate::encode::now;
use crate::issuer::Issuer;
use crate::jws::{set, unset};
use crate::places::{Place, offer};
use crate::rfc7523::accepted;

checks! { "private_key_jwt";
    "JV10" M "RFC 7519 4" "of duplicate members the last counts, or the JWT is refused" => duplicate_members;
    "JV10/all" H "RFC 7519 4" "any duplicate member is refused" => any_duplicate;
    "JV11" M "RFC 8725 3.7" "UTF-8 only" => only_utf8;
    "JV14" H "RFC 7519 4.1.4" "dates are integers of a sane size" => mistyped_dates;
    "JV14/shape" H "RFC 7519 7.2" "header and claims are JSON objects, no deeper than need be" => odd_shapes;
}

/// The honest claims as text, with something put in front of the last brace.
fn claims_with(issuer: &Issuer, jwt: &Login, more: &str) -> String {
    let claims = jwt.assertion_claims(issuer.url()).to_string();
    format!("{},{more}}}", claims.strip_suffix('}').unwrap_or_default())
}

/// The assertion with one more member in its claims or its header.
fn doubled(issuer: &Issuer, jwt: &Login, part: &str, more: &str) -> Result<String, Miss> {
    let signer = jwt.signer()?;
    let mut header = signer.header().to_string();
    let mut claims = jwt.assertion_claims(issuer.url()).to_string();
    let target = if part == "header" { &mut header } else { &mut claims };
    *target = format!("{},{more}}}", target.strip_suffix('}').unwrap_or_default());
    Ok(signer.sign_raw(header.as_bytes(), claims.as_bytes()))
}

/// RFC 7519 4: refuse, or take the last. A parser that takes the first is caught.
async fn duplicate_members(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let past = now() - 600;
    let last_is_bad = [
        ("claims", "\"iss\":\"other\"".to_owned()),
        ("claims", "\"\\u0069ss\":\"other\"".into()),
        ("claims", "\"aud\":\"https://other.example\"".into()),
        ("claims", format!("\"exp\":{past}")),
        ("header", "\"alg\":\"none\"".into()),
        ("header", "\"alg\":\"HS256\"".into()),
    ];
    for (part, more) in &last_is_bad {
        let what = format!("{part} with a second {more}");
        offer(issuer, Place::Assertion, &what, &doubled(issuer, jwt, part, more)?).await?;
    }
    Ok(format!("{} with a bad last member refused", last_is_bad.len()))
}

async fn any_duplicate(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let future = now() + 60;
    let harmless = [
        ("claims", format!("\"iss\":\"{}\"", jwt.id)),
        ("claims", format!("\"sub\":\"{}\"", jwt.id)),
        ("claims", format!("\"aud\":\"{}\"", issuer.url())),
        ("claims", format!("\"exp\":{future}")),
        ("claims", "\"jti\":\"another\"".into()),
        ("header", format!("\"alg\":\"{}\"", jwt.signer()?.alg)),
        ("header", "\"typ\":\"JWT\"".into()),
    ];
    for (part, more) in &harmless {
        let what = format!("{part} with a second {more}");
        offer(issuer, Place::Assertion, &what, &doubled(issuer, jwt, part, more)?).await?;
    }
    Ok(format!("{} refused", harmless.len()))
}

async fn only_utf8(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let signer = jwt.signer()?;
    let header = signer.header().to_string();
    let mut tried = 0;
    for (what, bytes) in [
        ("invalid byte", &b"\xff"[..]),
        ("overlong slash", b"\xc0\xaf"),
        ("surrogate", b"\xed\xa0\x80"),
        ("Latin-1", b"\xe9"),
    ] {
        let mut payload = claims_with(issuer, jwt, "\"note\":\"").into_bytes();
        payload.pop();
        payload.extend_from_slice(bytes);
        payload.extend_from_slice(b"\"}");
        offer(issuer, Place::Assertion, what, &signer.sign_raw(header.as_bytes(), &payload)).await?;
        tried += 1;
    }
    let text = jwt.assertion_claims(issuer.url()).to_string();
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    offer(issuer, Place::Assertion, "UTF-16", &signer.sign_raw(header.as_bytes(), &wide)).await?;
    Ok(format!("{} encodings refused", tried + 1))
}

async fn mistyped_dates(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let signer = jwt.signer()?;
    let soon = now() + 60;
    let numbers = [
        format!("\"{soon}\""),
        format!("{soon}.5"),
        format!("{soon}.0"),
        "1e12".into(),
        "-1".into(),
        "9223372036854775808".into(),
        "9223372036854775807".into(),
        "18446744073709551616".into(),
        "1e400".into(),
        "null".into(),
        "true".into(),
        format!("[{soon}]"),
        "{}".into(),
        "NaN".into(),
    ];
    let mut tried = 0;
    for name in ["exp", "iat", "nbf"] {
        for number in &numbers {
            let mut claims = jwt.assertion_claims(issuer.url());
            unset(&mut claims, name);
            let text = claims.to_string();
            let payload = format!("{},\"{name}\":{number}}}", text.strip_suffix('}').unwrap_or_default());
            let assertion = signer.sign_raw(signer.header().to_string().as_bytes(), payload.as_bytes());
            offer(issuer, Place::Assertion, &format!("{name}: {number}"), &assertion).await?;
            tried += 1;
        }
    }
    issuer.alive().await?;
    Ok(format!("{tried} dates refused"))
}

async fn odd_shapes(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let signer = jwt.signer()?;
    let header = signer.header().to_string();
    let honest = jwt.assertion_claims(issuer.url()).to_string();
    let deep = format!("\"note\":{}{}", "[".repeat(2_000), "]".repeat(2_000));
    let payloads = [
        ("byte order mark", format!("\u{feff}{honest}")),
        ("array", format!("[{honest}]")),
        ("string", json!(honest).to_string()),
        ("null", "null".into()),
        ("empty", String::new()),
        ("two objects", format!("{honest}{honest}")),
        ("trailing comma", format!("{},}}", honest.strip_suffix('}').unwrap_or_default())),
        ("comment", format!("{honest}//")),
        ("half", honest.get(..honest.len() / 2).unwrap_or_default().to_owned()),
        ("2,000 levels deep", claims_with(issuer, jwt, &deep)),
    ];
    for (what, payload) in &payloads {
        offer(
            issuer,
            Place::Assertion,
            &format!("claims: {what}"),
            &signer.sign_raw(header.as_bytes(), payload.as_bytes()),
        )
        .await?;
    }
    let headers = ["[]", "null", "\"x\"", "", "{", "{\"alg\":1}", "{\"alg\":[\"ES256\"]}", "{\"alg\":null}"];
    for bad in headers {
        let payload = jwt.assertion_claims(issuer.url()).to_string();
        offer(
            issuer,
            Place::Assertion,
            &format!("header: {bad}"),
            &signer.sign_raw(bad.as_bytes(), payload.as_bytes()),
        )
        .await?;
    }
    accepted_with_extras(issuer, jwt).await?;
    Ok(format!("{} shapes refused; unknown claims of any type accepted", payloads.len() + headers.len()))
}

/// RFC 7519 4: claims that are not understood must be ignored.
async fn accepted_with_extras(issuer: &Issuer, jwt: &Login) -> Result<(), Miss> {
    let mut claims: Value = jwt.assertion_claims(issuer.url());
    set(&mut claims, "note", json!({"a": [1, 2.5, null, "\u{1f600}"]}));
    let signer = jwt.signer()?;
    accepted(issuer, "unknown claims", &signer.sign(&signer.header(), &claims)).await
}
