//! RFC 6749 5.1, 3.3 and 10.10: what comes back with a token.

use serde_json::Value;

use crate::check::{Miss, Verdict, checks, ensure, fail, skip};
use crate::issuer::{Issuer, granted, refused};
use crate::jwk;
use crate::jws::{claims_of, header_of};

checks! { "token_endpoint";
    "T8" M "RFC 6749 5.1" "success: 200 JSON with access_token, token_type, numeric expires_in" => success_shape;
    "T9" M "RFC 6749 5.1" "answers with tokens are no-store" => tokens_are_not_stored;
    "T9/errors" H "RFC 6749 5.1" "errors are no-store too, and Pragma is sent with tokens" => errors_are_not_stored;
    "T10" M "RFC 6749 5.1" "scope is returned when it differs from the request" => scope_returned_when_changed;
    "T10/always" H "RFC 6749 5.1" "scope is always returned" => scope_always_returned;
    "T12" M "RFC 6749 3.3" "scope left out: the documented default, never all" => default_scope;
    "T18" M "RFC 6749 10.10" "tokens cannot be guessed: 128 bits, never the same twice" => unguessable;
    "T18/jti" H "RFC 6749 10.10" "a jti has 160 bits" => unguessable_jti;
}

async fn success_shape(issuer: &Issuer) -> Verdict {
    let issued = issuer.issue(&issuer.grant("basic")?).await?;
    let reply = &issued.reply;
    ensure!(reply.is_json(), "content type {:?}", reply.header("content-type"));
    ensure!(!issued.token.is_empty(), "access_token is empty");
    let kind = reply.text("token_type").unwrap_or_default();
    ensure!(kind.eq_ignore_ascii_case("bearer"), "token_type {kind:?}");
    let life = reply.json.get("expires_in").and_then(Value::as_u64);
    match life {
        Some(life) if life > 0 => Ok(format!("200, {kind}, expires_in {life}")),
        _ => fail(format!("expires_in {:?}", reply.json.get("expires_in"))),
    }
}

async fn tokens_are_not_stored(issuer: &Issuer) -> Verdict {
    let issued = issuer.issue(&issuer.grant("basic")?).await?;
    let cache = issued.reply.header("cache-control").to_owned();
    ensure!(issued.reply.no_store(), "Cache-Control {cache:?}");
    if issuer.profile.exchange.is_some() {
        let (_, child) = issuer.exchanged().await?;
        ensure!(child.reply.no_store(), "exchange: Cache-Control {:?}", child.reply.header("cache-control"));
    }
    Ok(format!("Cache-Control: {cache}"))
}

async fn errors_are_not_stored(issuer: &Issuer) -> Verdict {
    let bad = [
        issuer.grant("basic")?.set("grant_type", "x"),
        issuer.bare_grant()?,
        issuer.grant("basic")?.set("scope", "\""),
    ];
    for request in bad {
        let reply = request.send().await?;
        ensure!(reply.no_store(), "{}: Cache-Control {:?}", reply.brief(), reply.header("cache-control"));
    }
    let issued = issuer.issue(&issuer.grant("basic")?).await?;
    ensure!(issued.reply.header("pragma") == "no-cache", "Pragma {:?}", issued.reply.header("pragma"));
    Ok("errors no-store; Pragma: no-cache with a token".into())
}

async fn scope_returned_when_changed(issuer: &Issuer) -> Verdict {
    let reply = issuer.grant("basic")?.without("scope").send().await?;
    if reply.status != 200 {
        return refused(&reply, &["invalid_scope"]);
    }
    let carried = claims_of(reply.text("access_token").unwrap_or_default())
        .and_then(|claims| claims.get("scope").and_then(Value::as_str).map(str::to_owned));
    let returned = reply.text("scope");
    ensure!(
        returned.is_some() || carried.as_deref().unwrap_or_default().is_empty(),
        "the token has scope {carried:?}, the answer none"
    );
    Ok(format!("scope left out, {} returned", returned.unwrap_or("none")))
}

async fn scope_always_returned(issuer: &Issuer) -> Verdict {
    let issued = issuer.issue(&issuer.grant("basic")?).await?;
    match issued.reply.text("scope") {
        Some(scope) => Ok(scope.to_owned()),
        None => fail("no scope in the answer"),
    }
}

async fn default_scope(issuer: &Issuer) -> Verdict {
    let reply = issuer.grant("basic")?.without("scope").send().await?;
    let documented = issuer.profile.issuer.default_scope.as_deref();
    let Some(documented) = documented else {
        return refused(&reply, &["invalid_scope"]);
    };
    let issued = granted(reply)?;
    let got = words(issued.reply.text("scope").unwrap_or_default());
    ensure!(got == words(documented), "documented {documented:?}, granted {got:?}");
    Ok(format!("default {documented:?}"))
}

fn words(scope: &str) -> Vec<&str> {
    let mut words: Vec<&str> = scope.split_ascii_whitespace().collect();
    words.sort_unstable();
    words
}

const SAMPLES: usize = 32;

async fn unguessable(issuer: &Issuer) -> Verdict {
    let tokens = samples(issuer).await?;
    if tokens.first().and_then(|token| header_of(token)).is_some() {
        let token = tokens.first().map(String::as_str).unwrap_or_default();
        let alg = header_of(token).unwrap_or_default();
        let key = jwk::signing_key(&issuer.jwks, token);
        let verified = key.is_some_and(|key| jwk::verifies(key, jwk::member(&alg, "alg"), token));
        ensure!(verified, "a JWT without a signature by the published key can be made up");
        return Ok(format!("signed with {}, {SAMPLES} tokens all different", jwk::member(&alg, "alg")));
    }
    let bits = entropy_bits(&tokens);
    ensure!(bits >= 128.0, "about {bits:.0} bits in an opaque token");
    Ok(format!("about {bits:.0} bits or more, {SAMPLES} tokens all different"))
}

async fn unguessable_jti(issuer: &Issuer) -> Verdict {
    let tokens = samples(issuer).await?;
    let jti = |token: &String| claims_of(token)?.get("jti")?.as_str().map(str::to_owned);
    let ids: Vec<String> = tokens.iter().filter_map(jti).collect();
    if ids.is_empty() {
        return skip("access tokens of this issuer are opaque");
    }
    // 160 bits fill 27 base64url characters; 32 samples show at most 5 of 6 bits.
    let bits = entropy_bits(&ids);
    ensure!(bits >= 105.0, "about {bits:.0} bits visible in {SAMPLES} jtis, 160 should show 110");
    Ok(format!("{} characters, about {bits:.0} bits visible in {SAMPLES} samples", ids.first().map_or(0, String::len)))
}

async fn samples(issuer: &Issuer) -> Result<Vec<String>, Miss> {
    let mut tokens = Vec::new();
    for _ in 0..SAMPLES {
        tokens.push(issuer.issue(&issuer.grant("basic")?).await?.token);
    }
    let mut distinct = tokens.clone();
    distinct.sort_unstable();
    distinct.dedup();
    ensure!(distinct.len() == SAMPLES, "a token was issued twice");
    Ok(tokens)
}

/// The bits that the differing positions of the samples show, a lower bound.
fn entropy_bits(samples: &[String]) -> f64 {
    let length = samples.iter().map(String::len).min().unwrap_or(0);
    let alphabet = |at: usize| {
        let mut seen: Vec<u8> = samples.iter().filter_map(|s| s.as_bytes().get(at).copied()).collect();
        seen.sort_unstable();
        seen.dedup();
        u32::try_from(seen.len()).unwrap_or(u32::MAX)
    };
    (0..length).map(|at| f64::from(alphabet(at)).log2()).sum()
}
