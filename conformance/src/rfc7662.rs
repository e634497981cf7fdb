//! RFC 7662: introspection.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::check::{Miss, Verdict, checks, ensure, skip};
use crate::client::{basic, post};
use crate::encode::{nonce, now};
use crate::hostile::{encrypted, forged_signatures, odd_encodings};
use crate::issuer::{Issuer, is_active, refused};
use crate::jwk::member;
use crate::jws::{Signer, claims_of};

checks! { "introspection";
    "IN1" M "RFC 7662 2.1" "POST form with token, JSON back; GET tells nothing" => post_form;
    "IN2" M "RFC 7662 2.1" "the caller authenticates: 401 otherwise" => caller_authenticates;
    "IN2/authorized" S "RFC 7662 4" "a client that is no relying service learns nothing" => caller_is_authorized;
    "IN3" M "RFC 7662 2.2" "unknown, forged, garbled: 200 and active false" => inactive;
    "IN3/revoked" M "RFC 7662 2.2" "revoked: active false" => revoked_is_inactive;
    "IN3/expired" M "RFC 7662 2.2" "expired: active false" => expired_is_inactive;
    "IN4" S "RFC 7662 2.2" "an inactive answer says nothing else" => inactive_says_nothing;
    "IN5" M "RFC 7662 4" "a token for another resource is inactive here" => foreign_resource;
    "IN6" M "RFC 7662 2.1" "a wrong or unknown token_type_hint does not hide the token" => hints;
    "IN7" M "RFC 7662 2.2" "an active answer agrees with the token" => agrees_with_the_token;
    "IN8" M "RFC 8693 4.1" "act stands at the top as in the token" => act_at_the_top;
    "IN13" H "RFC 7009 2.1" "revoked at T, inactive by T + 1 s" => inactive_within_a_second;
    "IN14" H "RFC 7662 4" "answers are no-store" => not_stored;
}

async fn post_form(issuer: &Issuer) -> Verdict {
    let token = issuer.inspectable().await?.token;
    let reply = issuer.introspect(&token)?.send().await?;
    ensure!(reply.is_json(), "content type {:?}", reply.header("content-type"));
    ensure!(is_active(&reply)?, "a fresh token is inactive");
    let get = issuer.introspect(&token)?.in_query().method("GET").send().await?;
    ensure!(get.json.get("active").is_none() && get.status >= 400, "GET: {}", get.brief());
    let query = issuer.introspect(&token)?.in_query().send().await?;
    ensure!(query.json.get("active") != Some(&json!(true)), "the token was read from the query");
    let missing = issuer.introspect(&token)?.without("token").send().await?;
    refused(&missing, &["invalid_request"]).map_err(|miss| miss.at("no token"))?;
    Ok(format!("POST 200, GET {}, no token {}", get.status, missing.brief()))
}

async fn caller_authenticates(issuer: &Issuer) -> Verdict {
    let token = issuer.inspectable().await?.token;
    let service = issuer.client(&issuer.introspection()?.client)?;
    let url = issuer.endpoint("introspection_endpoint")?;
    let bare = || issuer.http.form(url).with("token", &token);
    let cases = [
        ("nobody", bare()),
        ("id alone", bare().with("client_id", &service.id)),
        ("wrong secret", basic(bare(), &service.id, "wrong")),
        ("wrong secret in the body", post(bare(), &service.id, "wrong")),
        ("the token itself", bare().header("authorization", &format!("Bearer {token}"))),
    ];
    let mut seen = Vec::new();
    for (what, request) in cases {
        let reply = request.send().await?;
        ensure!(reply.status == 401, "{what}: {}", reply.brief());
        ensure!(reply.json.get("active").is_none(), "{what} got an answer");
        seen.push(what);
    }
    Ok(format!("401 for {}", seen.join(", ")))
}

async fn caller_is_authorized(issuer: &Issuer) -> Verdict {
    let token = issuer.inspectable().await?.token;
    let reply = issuer.introspect_as("other", &token)?.send().await?;
    ensure!(reply.json.get("active") != Some(&json!(true)), "active was told to another client");
    Ok(reply.brief())
}

/// Tokens that are not, each made up in its own way.
fn nothings(issuer: &Issuer, genuine: &str) -> Result<Vec<(String, String)>, Miss> {
    let stranger = Signer::stranger(None).map_err(Miss::Fail)?;
    let claims = |iss: &str| json!({"iss": iss, "sub": "x", "aud": issuer.url(), "client_id": "x", "iat": now(), "exp": now() + 60, "jti": nonce()});
    let header = json!({"alg": "ES256", "typ": "at+jwt"});
    let mut all = vec![
        ("unknown handle".to_owned(), nonce()),
        ("one letter".into(), "x".into()),
        ("dots".into(), "a.b.c".into()),
        ("not ASCII".into(), "\u{1f600}".into()),
        ("4 KiB of letters".into(), "x".repeat(4_096)),
        ("JSON".into(), "{\"active\":true}".into()),
        ("forged".into(), stranger.sign(&header, &claims(issuer.url()))),
        ("foreign issuer".into(), stranger.sign(&header, &claims("https://other.example"))),
        ("one character changed".into(), changed(genuine)),
    ];
    all.extend(encrypted());
    all.extend(odd_encodings(genuine));
    all.extend(forged_signatures(issuer, genuine)?);
    Ok(all)
}

fn changed(token: &str) -> String {
    let at = token.len() / 2;
    let swap = |(i, c): (usize, char)| {
        if i == at { if c == 'A' { 'B' } else { 'A' } } else { c }
    };
    token.chars().enumerate().map(swap).collect()
}

async fn inactive(issuer: &Issuer) -> Verdict {
    let genuine = issuer.inspectable().await?.token;
    let vectors = nothings(issuer, &genuine)?;
    for (what, token) in &vectors {
        ensure!(!issuer.active(token).await.map_err(|miss| miss.at(what))?, "{what} is active");
    }
    Ok(format!("{} tokens that are none: active false", vectors.len()))
}

async fn inactive_says_nothing(issuer: &Issuer) -> Verdict {
    let genuine = issuer.inspectable().await?.token;
    for (what, token) in nothings(issuer, &genuine)? {
        let reply = issuer.introspect(&token)?.send().await?;
        ensure!(reply.json == json!({"active": false}), "{what}: {}", reply.json);
    }
    Ok("{\"active\":false}".into())
}

async fn revoke_own(issuer: &Issuer, token: &str) -> Result<(), Miss> {
    let reply = issuer.revoke_as("basic", token)?.send().await?;
    ensure!(reply.status == 200, "revocation: {}", reply.brief());
    Ok(())
}

async fn revoked_is_inactive(issuer: &Issuer) -> Verdict {
    let token = issuer.inspectable().await?.token;
    ensure!(issuer.active(&token).await?, "a fresh token is inactive");
    revoke_own(issuer, &token).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let reply = issuer.introspect(&token)?.send().await?;
    ensure!(reply.json == json!({"active": false}), "{}", reply.json);
    Ok("active false".into())
}

async fn expired_is_inactive(issuer: &Issuer) -> Verdict {
    let token = issuer.expired().await?;
    let reply = issuer.introspect(&token)?.send().await?;
    ensure!(reply.json == json!({"active": false}), "{}", reply.json);
    Ok("active false".into())
}

async fn foreign_resource(issuer: &Issuer) -> Verdict {
    let Some(resource) = &issuer.introspection()?.foreign_resource else {
        return skip("the profile names no resource foreign to the relying service");
    };
    let scope = issuer.scope_of(resource)?;
    let token = issuer.issue(&issuer.grant_for("basic", resource, scope)?).await?.token;
    let reply = issuer.introspect(&token)?.send().await?;
    ensure!(reply.status == 200 && reply.json == json!({"active": false}), "{} {}", reply.brief(), reply.json);
    Ok("active false".into())
}

async fn hints(issuer: &Issuer) -> Verdict {
    let token = issuer.inspectable().await?.token;
    for hint in ["access_token", "refresh_token", "urn:example:unknown", "", "\u{1f600}"] {
        let reply = issuer.introspect(&token)?.with("token_type_hint", hint).send().await?;
        ensure!(is_active(&reply).map_err(|miss| miss.at(hint))?, "hint {hint:?} hides the token");
    }
    Ok("found with five hints".into())
}

async fn agrees_with_the_token(issuer: &Issuer) -> Verdict {
    let issued = issuer.inspectable().await?;
    let answer = issuer.introspect(&issued.token)?.send().await?.json;
    ensure!(answer.get("active") == Some(&json!(true)), "inactive");
    ensure!(member(&answer, "client_id") == issuer.client("basic")?.id, "client_id {:?}", answer.get("client_id"));
    let exp = answer.get("exp").and_then(Value::as_i64).unwrap_or_default();
    ensure!(exp > now() && exp <= now() + 86_400, "exp {:?}", answer.get("exp"));
    let scope = issued.reply.text("scope").unwrap_or_default();
    ensure!(scope.is_empty() || member(&answer, "scope") == scope, "scope {:?}", answer.get("scope"));
    let Some(claims) = claims_of(&issued.token) else {
        return Ok("client_id, exp and scope".into());
    };
    for name in ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope"] {
        ensure!(answer.get(name) == claims.get(name), "{name}: {:?}, token {:?}", answer.get(name), claims.get(name));
    }
    Ok("iss, sub, aud, exp, iat, jti, client_id and scope as in the token".into())
}

async fn act_at_the_top(issuer: &Issuer) -> Verdict {
    let (_, child) = issuer.exchanged().await?;
    let reply = issuer.introspect_child(&child.token)?.send().await?;
    ensure!(is_active(&reply)?, "an exchanged token is inactive");
    let act = reply.json.get("act");
    ensure!(act.is_some_and(Value::is_object), "act {act:?}");
    if let Some(claims) = claims_of(&child.token) {
        ensure!(act == claims.get("act"), "act {act:?}, in the token {:?}", claims.get("act"));
        ensure!(reply.json.get("may_act") == claims.get("may_act"), "may_act differs");
    }
    Ok(act.map(Value::to_string).unwrap_or_default())
}

async fn inactive_within_a_second(issuer: &Issuer) -> Verdict {
    let token = issuer.inspectable().await?.token;
    ensure!(issuer.active(&token).await?, "a fresh token is inactive");
    revoke_own(issuer, &token).await?;
    let revoked = Instant::now();
    while issuer.active(&token).await? {
        ensure!(revoked.elapsed() < Duration::from_secs(1), "still active after {:?}", revoked.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(format!("inactive after {} ms", revoked.elapsed().as_millis()))
}

async fn not_stored(issuer: &Issuer) -> Verdict {
    let token = issuer.inspectable().await?.token;
    for token in [token.as_str(), "unknown"] {
        let reply = issuer.introspect(token)?.send().await?;
        ensure!(reply.no_store(), "Cache-Control {:?}", reply.header("cache-control"));
    }
    Ok("Cache-Control: no-store".into())
}
