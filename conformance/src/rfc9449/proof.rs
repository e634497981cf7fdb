//! RFC 9449 sections 4 and 5: proofs at the token endpoint, each wrong in one place.

use serde_json::{Value, json};

use crate::check::{Miss, Verdict, checks, ensure, fail};
use crate::dpop::{Change, Prover};
use crate::encode::{b64url, now};
use crate::http::{Reply, Request};
use crate::issuer::{Issuer, granted, refused};
use crate::jws::{hs256, parts, set};

checks! { "dpop";
    "DP1" M "RFC 9449 4.3" "exactly one DPoP header" => one_header;
    "DP2" M "RFC 9449 4.3" "the header is one well-formed JWT" => well_formed;
    "DP3" M "RFC 9449 4.3" "typ is dpop+jwt" => typ;
    "DP4" M "RFC 9449 4.3" "an asymmetric algorithm, and one that is announced" => algorithms;
    "DP5" M "RFC 9449 4.3" "signed by the public key in the header" => signed_by_its_key;
    "DP6" M "RFC 9449 4.2" "jti, htm, htu and iat are required" => required_claims;
    "DP7" M "RFC 9449 4.3" "htm is the method, htu the URL without its query" => target;
    "DP8" S "RFC 9449 4.3" "htu is compared after normalization" => normalized;
    "DP9" H "RFC 9449 4.3" "no header of the request says what its URL is" => published_url;
    "DP10" M "RFC 9449 4.3" "iat an hour off is refused, seconds off are not" => times;
    "DP11" S "RFC 9449 11.1" "a proof is used once" => once;
    "DP11/long" S "RFC 9449 11.1" "an overlong jti is refused" => long_jti;
    "DP12" M "RFC 9449 5" "a bad proof: 400 invalid_dpop_proof" => error_code;
    "DP22" M "RFC 9449 4.2" "more header members and claims are ignored" => more_is_ignored;
    "DP24" H "RFC 7519 4.1" "nbf and exp of a proof are honoured" => own_dates;
}

const CODES: &[&str] = &["invalid_dpop_proof", "use_dpop_nonce", "invalid_request"];
const HOUR: i64 = 3_600;

fn request(issuer: &Issuer) -> Result<Request, Miss> {
    issuer.grant(&issuer.dpop()?.client)
}

/// The proof with these changes must be refused, and gets no token.
async fn changed(issuer: &Issuer, what: &str, changes: &[Change], codes: &[&str]) -> Verdict {
    let (request, prover) = (request(issuer)?, Prover::new()?);
    let reply = issuer.proved(&request, &prover, None, changes).await?;
    refused(&reply, codes).map_err(|miss| miss.at(what))
}

/// The proof made in another way must be refused.
async fn made(issuer: &Issuer, what: &str, codes: &[&str], make: impl Fn(&str) -> String + Sync) -> Verdict {
    let (request, prover) = (request(issuer)?, Prover::new()?);
    let reply = issuer.proved_by(&request, |nonce| make(&prover.proof(&request, None, nonce, &[]))).await?;
    refused(&reply, codes).map_err(|miss| miss.at(what))
}

/// A good proof works: without this a refusal proves nothing.
async fn good(issuer: &Issuer, changes: &[Change]) -> Result<Reply, Miss> {
    let (request, prover) = (request(issuer)?, Prover::new()?);
    let reply = issuer.proved(&request, &prover, None, changes).await?;
    let issued = granted(reply)?;
    // A server that does not look at proofs at all ignores good and bad ones alike.
    let bound = issued.reply.text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("DPoP"));
    ensure!(bound, "token_type {:?} for a good proof", issued.reply.text("token_type"));
    Ok(issued.reply)
}

async fn one_header(issuer: &Issuer) -> Verdict {
    good(issuer, &[]).await?;
    let (request, prover) = (request(issuer)?, Prover::new()?);
    let nonce = issuer.nonce_for(&request, &prover, None).await?;
    let proof = || prover.proof(&request, None, nonce.as_deref(), &[]);
    let (one, other) = (proof(), proof());
    for (what, headers) in
        [("two", vec![one.as_str(), &other]), ("one twice", vec![&one, &one]), ("and an empty one", vec![&one, ""])]
    {
        let sent = headers.iter().fold(request.clone(), |request, header| request.header("DPoP", header));
        refused(&sent.send().await?, CODES).map_err(|miss| miss.at(what))?;
    }
    let listed = request.clone().header("DPoP", &format!("{one}, {other}")).send().await?;
    refused(&listed, CODES).map_err(|miss| miss.at("two in a list"))?;
    Ok("four ways to bring two refused".into())
}

async fn well_formed(issuer: &Issuer) -> Verdict {
    good(issuer, &[]).await?;
    for (what, header) in [("nothing", ""), ("garbage", "garbage"), ("dots", "a.b.c"), ("JSON", "{}")] {
        made(issuer, what, CODES, |_| header.into()).await?;
    }
    made(issuer, "in capitals", CODES, str::to_uppercase).await?;
    made(issuer, "two parts", CODES, |proof| proof.rsplit_once('.').map(|(two, _)| two.into()).unwrap_or_default())
        .await?;
    made(issuer, "four parts", CODES, |proof| format!("{proof}.AA")).await?;
    Ok("7 that are no JWT refused".into())
}

async fn typ(issuer: &Issuer) -> Verdict {
    good(issuer, &[]).await?;
    for value in [Value::Null, json!("JWT"), json!("at+jwt"), json!("client-authentication+jwt"), json!(1)] {
        changed(issuer, &format!("typ {value}"), &[Change::Header("typ", value)], CODES).await?;
    }
    Ok("five others refused".into())
}

async fn algorithms(issuer: &Issuer) -> Verdict {
    good(issuer, &[]).await?;
    for alg in ["none", "None", "HS256", "ES512", "RS256"] {
        changed(issuer, alg, &[Change::Header("alg", json!(alg))], CODES).await?;
    }
    made(issuer, "none without signature", CODES, |proof| unsigned(proof).unwrap_or_default()).await?;
    // The public key is known to everybody, so whoever takes it for a secret takes every proof.
    let (request, prover) = (request(issuer)?, Prover::new()?);
    for (what, secret) in prover.signer.public_as_secrets() {
        let mut header = prover.header();
        set(&mut header, "alg", json!("HS256"));
        let forge =
            |nonce: Option<&str>| hs256(&secret, &header, Prover::claims(&request, None, nonce).to_string().as_bytes());
        let reply = issuer.proved_by(&request, forge).await?;
        refused(&reply, CODES).map_err(|miss| miss.at(&format!("HS256 with the key as {what}")))?;
    }
    let announced = issuer.meta_list("dpop_signing_alg_values_supported");
    ensure!(!announced.is_empty(), "no dpop_signing_alg_values_supported");
    let bad = announced.iter().find(|alg| alg.starts_with("HS") || alg.eq_ignore_ascii_case("none"));
    ensure!(bad.is_none(), "announced: {bad:?}");
    Ok(announced.join(" "))
}

fn unsigned(proof: &str) -> Option<String> {
    let (_, payload, _) = parts(proof)?;
    Some(format!("{}.{payload}.", b64url(br#"{"typ":"dpop+jwt","alg":"none"}"#)))
}

async fn signed_by_its_key(issuer: &Issuer) -> Verdict {
    good(issuer, &[]).await?;
    let other = Prover::new()?;
    let mut private = other.jwk();
    set(&mut private, "d", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    for (what, jwk) in [
        ("another key", other.jwk()),
        ("no key", Value::Null),
        ("a private key", private),
        ("a symmetric key", json!({"kty": "oct", "k": "AAAA"})),
        ("a point off the curve", json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"})),
        ("a set of keys", json!({"keys": [other.jwk()]})),
    ] {
        changed(issuer, what, &[Change::Header("jwk", jwk)], CODES).await?;
    }
    // Its own key, but with the private member in it: signed well, and still not to be taken.
    let own = Prover::new()?;
    let (request, mut header) = (request(issuer)?, own.header());
    let mut jwk = own.jwk();
    set(&mut jwk, "d", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    set(&mut header, "jwk", jwk);
    let sign = |nonce: Option<&str>| own.signer.sign(&header, &Prover::claims(&request, None, nonce));
    refused(&issuer.proved_by(&request, sign).await?, CODES).map_err(|miss| miss.at("its key with d"))?;
    made(issuer, "a signature cut short", CODES, |proof| proof.get(..proof.len() - 4).unwrap_or_default().into())
        .await?;
    Ok("8 refused".into())
}

async fn required_claims(issuer: &Issuer) -> Verdict {
    good(issuer, &[]).await?;
    for name in ["jti", "htm", "htu", "iat"] {
        changed(issuer, &format!("no {name}"), &[Change::Claim(name, Value::Null)], CODES).await?;
    }
    for (name, value) in
        [("jti", json!(7)), ("htm", json!(["POST"])), ("htu", json!({})), ("iat", json!(now().to_string()))]
    {
        changed(issuer, &format!("{name} of another type"), &[Change::Claim(name, value)], CODES).await?;
    }
    Ok("each of four left out and misshapen: refused".into())
}

async fn target(issuer: &Issuer) -> Verdict {
    let url = issuer.endpoint("token_endpoint")?.to_owned();
    for (name, value) in [
        ("htm", "GET".to_owned()),
        ("htm", "post".into()),
        ("htu", issuer.url().to_owned() + "/elsewhere"),
        ("htu", "https://as.example/token".into()),
        ("htu", format!("{url}/")),
        ("htu", "token".into()),
    ] {
        changed(issuer, &format!("{name} {value}"), &[Change::Claim(name, json!(value))], CODES).await?;
    }
    good(issuer, &[Change::Claim("htu", json!(format!("{url}?a=b#c")))])
        .await
        .map_err(|miss| miss.at("query in htu"))?;
    let (request, prover) = (request(issuer)?.to(&format!("{url}?a=b")), Prover::new()?);
    granted(issuer.proved(&request, &prover, None, &[]).await?).map_err(|miss| miss.at("query in the URL"))?;
    Ok("6 refused, a query ignored on both sides".into())
}

async fn normalized(issuer: &Issuer) -> Verdict {
    let url = issuer.endpoint("token_endpoint")?;
    let Some((scheme, rest)) = url.split_once("://") else { return fail(format!("token_endpoint {url}")) };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut same = vec![format!("{}://{}/{path}", scheme.to_uppercase(), host.to_uppercase())];
    if !host.contains(':') {
        let port = if scheme == "https" { 443 } else { 80 };
        same.push(format!("{scheme}://{host}:{port}/{path}"));
    }
    for htu in &same {
        good(issuer, &[Change::Claim("htu", json!(htu))]).await.map_err(|miss| miss.at(htu))?;
    }
    Ok(format!("{} spellings", same.len()))
}

async fn published_url(issuer: &Issuer) -> Verdict {
    good(issuer, &[]).await?;
    let path = issuer.endpoint("token_endpoint")?.splitn(4, '/').nth(3).unwrap_or_default();
    let theirs = [Change::Claim("htu", json!(format!("https://evil.example/{path}")))];
    let prover = Prover::new()?;
    let spoilt = request(issuer)?
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "https")
        .header("forwarded", "host=evil.example;proto=https");
    let reply = issuer.proved(&spoilt, &prover, None, &theirs).await?;
    refused(&reply, CODES).map_err(|miss| miss.at("X-Forwarded-Host"))?;
    let named = request(issuer)?.header("host", "evil.example");
    let reply = issuer.proved(&named, &prover, None, &theirs).await?;
    ensure!(reply.json.get("access_token").is_none(), "Host: evil.example was believed");
    Ok("not believed".into())
}

async fn times(issuer: &Issuer) -> Verdict {
    for off in [-HOUR, HOUR] {
        changed(issuer, &format!("{off} s"), &[Change::Claim("iat", json!(now() + off))], CODES).await?;
    }
    for off in [-10, 10] {
        good(issuer, &[Change::Claim("iat", json!(now() + off))]).await.map_err(|miss| miss.at(&format!("{off} s")))?;
    }
    Ok("an hour off refused, 10 s off accepted".into())
}

async fn once(issuer: &Issuer) -> Verdict {
    let (request, prover) = (request(issuer)?, Prover::new()?);
    let nonce = issuer.nonce_for(&request, &prover, None).await?;
    let proof = prover.proof(&request, None, nonce.as_deref(), &[]);
    let sent = request.header("DPoP", &proof);
    granted(sent.send().await?)?;
    // Section 11.1 names no code for this: DP12 has those of section 5.
    let codes = [CODES, &["invalid_grant"]].concat();
    refused(&sent.send().await?, &codes).map_err(|miss| miss.at("a second time"))?;
    let copy = crate::jws::malleate(&proof).unwrap_or_default();
    let other = sent.without_header("DPoP").header("DPoP", &copy).send().await?;
    refused(&other, &codes).map_err(|miss| miss.at("with the other ECDSA signature"))
}

async fn long_jti(issuer: &Issuer) -> Verdict {
    good(issuer, &[]).await?;
    changed(issuer, "4000 characters", &[Change::Claim("jti", json!("x".repeat(4_000)))], CODES).await
}

async fn error_code(issuer: &Issuer) -> Verdict {
    let code = &["invalid_dpop_proof"];
    changed(issuer, "another method", &[Change::Claim("htm", json!("GET"))], code).await?;
    changed(issuer, "another typ", &[Change::Header("typ", json!("JWT"))], code).await?;
    changed(issuer, "an hour old", &[Change::Claim("iat", json!(now() - HOUR))], code).await?;
    made(issuer, "garbage", code, |_| "garbage".into()).await
}

async fn more_is_ignored(issuer: &Issuer) -> Verdict {
    let more = [
        Change::Header("x-conformance", json!([1])),
        Change::Header("kid", json!("none of yours")),
        Change::Claim("x_conformance", json!({"a": null})),
        Change::Claim("aud", json!("somebody")),
    ];
    good(issuer, &more).await?;
    Ok("two members and two claims ignored".into())
}

async fn own_dates(issuer: &Issuer) -> Verdict {
    good(issuer, &[Change::Claim("exp", json!(now() + 60)), Change::Claim("nbf", json!(now() - 5))]).await?;
    changed(issuer, "nbf an hour ahead", &[Change::Claim("nbf", json!(now() + HOUR))], CODES).await?;
    changed(issuer, "exp an hour ago", &[Change::Claim("exp", json!(now() - HOUR))], CODES).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jws::Signer;

    #[test]
    fn an_unsigned_proof_keeps_its_claims_and_has_no_signature() {
        let signer = Signer::stranger(None).unwrap();
        let signed = signer.sign(&json!({}), &json!({"a": 1}));
        let bare = unsigned(&signed).unwrap();
        assert!(bare.ends_with('.') && bare.split('.').nth(1) == signed.split('.').nth(1));
    }
}
