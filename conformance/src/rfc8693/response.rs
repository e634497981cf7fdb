//! RFC 8693 2.2: the answer, and how it relates to the tokens presented.

use serde_json::Value;

use crate::check::{Verdict, checks, ensure, fail};
use crate::exchange::ACCESS_TOKEN;
use crate::issuer::Issuer;
use crate::jws::claims_of;

checks! { "token_exchange";
    "TX15" M "RFC 8693 2.2.1" "access_token, issued_token_type and token_type are there" => required_members;
    "TX16" M "RFC 8693 2.2.1" "token_type is Bearer for an access token" => token_type;
    "TX17" S "RFC 8693 2.2.1" "expires_in is there" => expires_in;
    "TX17/exp" H "-" "a child never outlives its subject token, however often exchanged" => life_never_grows;
    "TX18" M "RFC 8693 2.2.1" "scope is returned when it is not the one asked for" => scope_returned;
    "TX19" H "RFC 8693 2.2.1" "no refresh token" => no_refresh_token;
    "TX20" M "RFC 8693 2.1" "the exchange leaves the tokens presented valid" => inputs_stay_valid;
}

async fn required_members(issuer: &Issuer) -> Verdict {
    let (_, child) = issuer.exchanged().await?;
    let kind = child.reply.text("issued_token_type").unwrap_or_default();
    ensure!(kind == ACCESS_TOKEN, "issued_token_type {kind:?}");
    ensure!(child.reply.text("token_type").is_some(), "no token_type");
    ensure!(child.reply.is_json(), "content type {:?}", child.reply.header("content-type"));
    Ok(kind.to_owned())
}

async fn token_type(issuer: &Issuer) -> Verdict {
    let (_, child) = issuer.exchanged().await?;
    let kind = child.reply.text("token_type").unwrap_or_default();
    ensure!(kind.eq_ignore_ascii_case("bearer"), "token_type {kind:?}");
    Ok(kind.to_owned())
}

async fn expires_in(issuer: &Issuer) -> Verdict {
    let (_, child) = issuer.exchanged().await?;
    match child.reply.json.get("expires_in").and_then(Value::as_u64) {
        Some(life) if life > 0 => Ok(life.to_string()),
        _ => fail(format!("expires_in {:?}", child.reply.json.get("expires_in"))),
    }
}

async fn life_never_grows(issuer: &Issuer) -> Verdict {
    let subject = issuer.subject_token().await?;
    let actor = issuer.exchange()?.actor_client.clone();
    // A second between the steps, so that a life renewed at each would show.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let request = issuer.delegation(&actor, &subject.token).await?;
    let child = issuer.issue(&request).await?;
    let exp = |claims: &Value| claims.get("exp").and_then(Value::as_i64).unwrap_or_default();
    let limit = exp(&subject.claims()?);
    let first = exp(&issuer.child_claims(&child).await?);
    ensure!(first > 0 && first <= limit, "subject exp {limit}, child exp {first}");
    if issuer.exchange()?.chain.is_empty() {
        return Ok(format!("{} s before the subject token's end", limit - first));
    }
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let grandchild = issuer.grandchild(&child.token).await?;
    let second = exp(&issuer.child_claims(&grandchild).await?);
    ensure!(second > 0 && second <= first, "child exp {first}, grandchild exp {second}");
    Ok("child and grandchild end with the subject token or before".into())
}

async fn scope_returned(issuer: &Issuer) -> Verdict {
    let reply = issuer.allowed().await?.without("scope").send().await?;
    if reply.status != 200 {
        return crate::issuer::refused(&reply, &["invalid_scope"]);
    }
    let carried = claims_of(reply.text("access_token").unwrap_or_default())
        .and_then(|claims| claims.get("scope").and_then(Value::as_str).map(str::to_owned));
    let returned = reply.text("scope");
    ensure!(returned.is_some() || carried.is_none(), "the token has {carried:?}, the answer nothing");
    ensure!(carried.is_none() || returned == carried.as_deref(), "token {carried:?}, answer {returned:?}");
    Ok(format!("scope left out, {} returned", returned.unwrap_or("none")))
}

async fn no_refresh_token(issuer: &Issuer) -> Verdict {
    let (_, child) = issuer.exchanged().await?;
    ensure!(child.reply.json.get("refresh_token").is_none(), "a refresh_token was issued");
    Ok("none".into())
}

async fn inputs_stay_valid(issuer: &Issuer) -> Verdict {
    let request = issuer.allowed().await?;
    let client = issuer.exchange()?.actor_client.clone();
    issuer.issue(&request).await?;
    issuer.issue(&issuer.again(&request, &client)?).await.map_err(|miss| miss.at("the same tokens again"))?;
    Ok("exchanged twice".into())
}
