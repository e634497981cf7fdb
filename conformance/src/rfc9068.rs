//! RFC 9068: the access token itself.

use serde_json::Value;

use crate::check::{Miss, Verdict, checks, ensure, fail, skip};
use crate::encode::{b64url_decode, now};
use crate::issuer::{Issued, Issuer, granted, refused};
use crate::jwk;
use crate::jws::{claims_of, header_of, parts};

checks! { "jwt_access_tokens";
    "AT1" M "RFC 9068 2.1" "typ is at+jwt" => typ;
    "AT2" M "RFC 9068 2.1" "signed by a published key, asymmetric, never none" => signature;
    "AT3" M "RFC 9068 2.2" "iss, exp, aud, sub, client_id, iat, jti; jti unique" => claims;
    "AT4" M "RFC 9068 4" "iss is the metadata's issuer, byte for byte" => iss;
    "AT5" S "RFC 9068 3" "aud is the resource asked for" => audience;
    "AT5/default" M "RFC 9068 3" "without resource there is a default audience, or an error" => default_audience;
    "AT6" M "RFC 9068 5" "different resources, different aud" => distinct_audiences;
    "AT7" M "RFC 9068 2.2.3" "every scope means something to that aud" => scope_of_the_audience;
    "AT8" M "RFC 9068 3" "no token whose scopes could be taken for another resource's" => no_ambiguity;
    "AT9" S "RFC 9068 2.2.3" "the scope claim is the scope granted" => scope_claim;
    "AT11" M "RFC 7519 4" "member names are unique in header and claims" => unique_names;
    "AT15" H "RFC 7519 2" "dates are integers, nbf is iat or absent" => integer_dates;
    "AT16" H "RFC 8693 6" "at most 4 KiB, no secret, nothing personal beyond sub" => frugal;
}

async fn fresh(issuer: &Issuer) -> Result<(Issued, Value), Miss> {
    let issued = issuer.issue(&issuer.grant("basic")?).await?;
    let claims = issued.claims()?;
    Ok((issued, claims))
}

async fn typ(issuer: &Issuer) -> Verdict {
    let (issued, _) = fresh(issuer).await?;
    let header = header_of(&issued.token).unwrap_or_default();
    let typ = jwk::member(&header, "typ").to_ascii_lowercase();
    ensure!(typ == "at+jwt" || typ == "application/at+jwt", "typ {typ:?}");
    Ok(typ)
}

async fn signature(issuer: &Issuer) -> Verdict {
    let (issued, _) = fresh(issuer).await?;
    let header = header_of(&issued.token).unwrap_or_default();
    let alg = jwk::member(&header, "alg");
    ensure!(!alg.is_empty() && !alg.eq_ignore_ascii_case("none") && !alg.starts_with("HS"), "alg {alg:?}");
    let Some(key) = jwk::signing_key(&issuer.jwks, &issued.token) else {
        return fail(format!("kid {:?} is not in the JWKS", jwk::member(&header, "kid")));
    };
    ensure!(
        matches!(jwk::member(key, "alg"), "" | "EdDSA") || jwk::member(key, "alg") == alg,
        "the key is for {}",
        jwk::member(key, "alg")
    );
    ensure!(jwk::verifies(key, alg, &issued.token), "the signature does not verify");
    Ok(format!("{alg}, kid {}", jwk::member(&header, "kid")))
}

async fn claims(issuer: &Issuer) -> Verdict {
    let (_, first) = fresh(issuer).await?;
    let (_, second) = fresh(issuer).await?;
    for name in ["iss", "sub", "client_id", "jti"] {
        let text = first.get(name).and_then(Value::as_str).unwrap_or_default();
        ensure!(!text.is_empty(), "{name} is {:?}", first.get(name));
    }
    ensure!(!audiences(&first).is_empty(), "aud is {:?}", first.get("aud"));
    let date = |name: &str| first.get(name).and_then(Value::as_i64).unwrap_or_default();
    ensure!(date("iat") <= now() + 5 && date("iat") > now() - 60, "iat {}", date("iat"));
    ensure!(date("exp") > now(), "exp {}", date("exp"));
    ensure!(first.get("jti") != second.get("jti"), "two tokens with one jti");
    Ok("all present, jti differs".into())
}

async fn iss(issuer: &Issuer) -> Verdict {
    let (_, claims) = fresh(issuer).await?;
    let iss = jwk::member(&claims, "iss");
    ensure!(iss == issuer.meta_text("issuer"), "iss {iss:?}");
    Ok(iss.to_owned())
}

/// `aud` as a list, however it was written.
pub(crate) fn audiences(claims: &Value) -> Vec<&str> {
    match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

async fn audience(issuer: &Issuer) -> Verdict {
    let (_, claims) = fresh(issuer).await?;
    let uri = issuer.resource("a")?.uri.as_str();
    ensure!(audiences(&claims) == [uri], "aud {:?} for {uri}", audiences(&claims));
    Ok(uri.to_owned())
}

async fn default_audience(issuer: &Issuer) -> Verdict {
    let reply = issuer.grant("basic")?.without("resource").send().await?;
    if reply.status != 200 {
        return refused(&reply, &["invalid_target", "invalid_request", "invalid_scope"]);
    }
    let issued = granted(reply)?;
    let claims = issued.claims()?;
    ensure!(!audiences(&claims).is_empty(), "no aud");
    Ok(audiences(&claims).join(", "))
}

async fn distinct_audiences(issuer: &Issuer) -> Verdict {
    let mut seen = Vec::new();
    for name in ["a", "b"] {
        let issued = issuer.issue(&issuer.grant_for("basic", name, issuer.scope_of(name)?)?).await?;
        seen.push(audiences(&issued.claims()?).join(" "));
    }
    seen.dedup();
    ensure!(seen.len() == 2, "both have aud {}", seen.join(", "));
    Ok(seen.join(" / "))
}

/// A scope of resource `b` that resource `a` does not have.
fn foreign_scope(issuer: &Issuer) -> Result<&str, Miss> {
    let a = &issuer.resource("a")?.scopes;
    match issuer.resource("b")?.scopes.iter().find(|scope| !a.contains(scope)) {
        Some(scope) => Ok(scope),
        None => skip("resource `b` has no scope of its own"),
    }
}

async fn scope_of_the_audience(issuer: &Issuer) -> Verdict {
    let foreign = foreign_scope(issuer)?;
    let own = issuer.scope_of("a")?;
    let mut seen = Vec::new();
    for scope in [foreign.to_owned(), format!("{own} {foreign}")] {
        let reply = issuer.grant_for("basic", "a", &scope)?.send().await?;
        if reply.status != 200 {
            seen.push(refused(&reply, &["invalid_scope"])?);
            continue;
        }
        let claims = claims_of(reply.text("access_token").unwrap_or_default()).unwrap_or_default();
        let carried = jwk::member(&claims, "scope");
        ensure!(!carried.split(' ').any(|s| s == foreign), "scope {carried:?} for resource a");
        seen.push(format!("narrowed to {carried:?}"));
    }
    Ok(seen.join(", "))
}

async fn no_ambiguity(issuer: &Issuer) -> Verdict {
    let scope = format!("{} {}", issuer.scope_of("a")?, foreign_scope(issuer)?);
    let request = issuer.grant_for("basic", "a", &scope)?.with("resource", &issuer.resource("b")?.uri);
    let reply = request.send().await?;
    if reply.status != 200 {
        return refused(&reply, &["invalid_target", "invalid_scope", "invalid_request"]);
    }
    let claims = granted(reply)?.claims()?;
    let targets = audiences(&claims);
    for scope in jwk::member(&claims, "scope").split(' ') {
        for target in &targets {
            let known = issuer.profile.resources.values().find(|resource| resource.uri == *target);
            let means = known.is_some_and(|resource| resource.scopes.iter().any(|s| s == scope));
            ensure!(means, "scope {scope} means nothing to {target}, which the token is for");
        }
    }
    Ok(format!("aud {}, scope {}", targets.join(" "), jwk::member(&claims, "scope")))
}

async fn scope_claim(issuer: &Issuer) -> Verdict {
    let (issued, claims) = fresh(issuer).await?;
    let granted = issued.reply.text("scope").unwrap_or(issuer.scope_of("a")?);
    ensure!(jwk::member(&claims, "scope") == granted, "claim {:?}, answer {granted:?}", claims.get("scope"));
    Ok(granted.to_owned())
}

async fn unique_names(issuer: &Issuer) -> Verdict {
    let (issued, claims) = fresh(issuer).await?;
    let (header, payload, _) = parts(&issued.token).unwrap_or_default();
    for (what, part) in [("header", header), ("claims", payload)] {
        let bytes = b64url_decode(part).unwrap_or_default();
        let text = String::from_utf8(bytes).map_err(|_| Miss::Fail(format!("{what} is not UTF-8")))?;
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        for name in value.as_object().into_iter().flatten().map(|(name, _)| name) {
            let times = text.matches(&format!("\"{name}\":")).count();
            ensure!(times == 1 || claims.get("act").is_some(), "{name} stands {times} times in the {what}");
        }
    }
    Ok("no name twice".into())
}

async fn integer_dates(issuer: &Issuer) -> Verdict {
    let (_, claims) = fresh(issuer).await?;
    for name in ["exp", "iat"] {
        ensure!(claims.get(name).is_some_and(Value::is_i64), "{name} is {:?}", claims.get(name));
    }
    let nbf = claims.get("nbf");
    ensure!(nbf.is_none() || nbf == claims.get("iat"), "nbf {nbf:?}, iat {:?}", claims.get("iat"));
    Ok("exp and iat integers".into())
}

async fn frugal(issuer: &Issuer) -> Verdict {
    let (mut issued, _) = fresh(issuer).await?;
    if issuer.profile.exchange.is_some() {
        let (_, child) = issuer.exchanged().await?;
        // The exchanged token is the longer one, where it is a JWT too.
        issued = if child.claims().is_ok() { child } else { issued };
    }
    let claims = issued.claims()?;
    ensure!(issued.token.len() <= 4096, "{} bytes", issued.token.len());
    for name in ["email", "name", "phone_number", "address", "birthdate", "given_name", "family_name", "client_secret"]
    {
        ensure!(claims.get(name).is_none(), "carries {name}");
    }
    let text = claims.to_string();
    for login in issuer.clients() {
        let secret = login.secret().unwrap_or_default();
        ensure!(secret.is_empty() || !text.contains(secret), "carries a client secret");
    }
    Ok(format!("{} bytes", issued.token.len()))
}
