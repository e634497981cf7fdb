//! RFC 7009: revocation.

use crate::check::{Miss, Verdict, checks, ensure, skip};
use crate::client::{basic, post};
use crate::encode::nonce;
use crate::hostile::{encrypted, forged_signatures};
use crate::issuer::{Issuer, refused};
use crate::jws::malleate;

checks! { "revocation";
    "RV1" M "RFC 7009 2.1" "POST form by an authenticated client" => authenticated_post;
    "RV2" M "RFC 7009 2.2" "an unknown, invalid or revoked token: 200" => unknown_is_fine;
    "RV2/forged" H "RFC 7009 2.1" "a forged copy does not revoke the genuine token" => forged_copy;
    "RV3" M "RFC 7009 2.1" "another client's token is refused and stays active" => foreign_token;
    "RV4" M "RFC 7009 2.1" "a wrong or unknown token_type_hint does not hide the token" => hints;
    "RV6" M "RFC 7009 2.1" "the token is unusable at once after 200" => unusable_at_once;
    "RV6/copies" H "RFC 8725 3.3" "and so is every other spelling of it" => other_spellings;
    "RV7" S "RFC 7009 2.1" "what was derived from a revoked token dies with it" => derived_tokens;
}

async fn fresh(issuer: &Issuer) -> Result<String, Miss> {
    let token = issuer.inspectable().await?.token;
    ensure!(issuer.active(&token).await?, "a fresh token is inactive");
    Ok(token)
}

async fn revoke(issuer: &Issuer, token: &str) -> Result<(), Miss> {
    let reply = issuer.revoke_as("basic", token)?.send().await?;
    ensure!(reply.status == 200, "{}", reply.brief());
    Ok(())
}

async fn authenticated_post(issuer: &Issuer) -> Verdict {
    let token = fresh(issuer).await?;
    let url = issuer.endpoint("revocation_endpoint")?;
    let id = &issuer.client("basic")?.id;
    let bare = || issuer.http.form(url).with("token", &token);
    let cases = [
        ("nobody", bare()),
        ("id alone", bare().with("client_id", id)),
        ("wrong secret", basic(bare(), id, "wrong")),
        ("wrong secret in the body", post(bare(), id, "wrong")),
    ];
    for (what, request) in cases {
        refused(&request.send().await?, &["invalid_client"]).map_err(|miss| miss.at(what))?;
    }
    let get = issuer.revoke_as("basic", &token)?.in_query().method("GET").send().await?;
    ensure!(get.status >= 400, "GET: {}", get.brief());
    let query = issuer.revoke_as("basic", &token)?.in_query().send().await?;
    refused(&query, &["invalid_request"]).map_err(|miss| miss.at("token in the query"))?;
    let missing = issuer.revoke_as("basic", &token)?.without("token").send().await?;
    refused(&missing, &["invalid_request"]).map_err(|miss| miss.at("no token"))?;
    ensure!(issuer.active(&token).await?, "one of the refused requests revoked the token");
    revoke(issuer, &token).await?;
    Ok(format!("four strangers refused, GET {}, no token {}", get.status, missing.brief()))
}

async fn unknown_is_fine(issuer: &Issuer) -> Verdict {
    let token = fresh(issuer).await?;
    revoke(issuer, &token).await?;
    let long = "x".repeat(3_000);
    for (what, token) in [
        ("revoked twice", token.as_str()),
        ("unknown", &nonce()),
        ("dots", "a.b.c"),
        ("long", &long),
        ("not ASCII", "\u{1f600}"),
    ] {
        revoke(issuer, token).await.map_err(|miss| miss.at(what))?;
    }
    if let Ok(expired) = issuer.expired().await {
        revoke(issuer, &expired).await.map_err(|miss| miss.at("expired"))?;
        return Ok("200 for five kinds of unknown, and for an expired one".into());
    }
    Ok("200 for five kinds of unknown".into())
}

async fn forged_copy(issuer: &Issuer) -> Verdict {
    let token = fresh(issuer).await?;
    let mut copies = forged_signatures(issuer, &token)?;
    copies.extend(encrypted());
    for (what, copy) in &copies {
        let reply = issuer.revoke_as("basic", copy)?.send().await?;
        ensure!(matches!(reply.status, 200 | 400), "{what}: {}", reply.brief());
        ensure!(issuer.active(&token).await?, "{what} revoked the genuine token");
    }
    Ok(format!("{} copies without effect", copies.len()))
}

async fn foreign_token(issuer: &Issuer) -> Verdict {
    let token = fresh(issuer).await?;
    let reply = issuer.revoke_as("other", &token)?.send().await?;
    ensure!(issuer.active(&token).await?, "another client revoked the token");
    let codes = ["invalid_request", "invalid_grant", "invalid_client", "unauthorized_client", "invalid_token"];
    refused(&reply, &codes)
}

async fn hints(issuer: &Issuer) -> Verdict {
    for hint in ["access_token", "refresh_token", "urn:example:unknown", ""] {
        let token = fresh(issuer).await?;
        let reply = issuer.revoke_as("basic", &token)?.with("token_type_hint", hint).send().await?;
        ensure!(reply.status == 200, "hint {hint:?}: {}", reply.brief());
        ensure!(!issuer.active(&token).await?, "hint {hint:?} hid the token");
    }
    Ok("revoked with four hints".into())
}

async fn unusable_at_once(issuer: &Issuer) -> Verdict {
    let token = fresh(issuer).await?;
    revoke(issuer, &token).await?;
    ensure!(!issuer.active(&token).await?, "active right after the 200");
    Ok("inactive at once".into())
}

async fn other_spellings(issuer: &Issuer) -> Verdict {
    let token = fresh(issuer).await?;
    // (r, n - s) is a valid signature too: revocation must not go by the text.
    let Some(other) = malleate(&token) else {
        return skip("no ES256 tokens to introspect");
    };
    revoke(issuer, &token).await?;
    ensure!(!issuer.active(&other).await?, "the malleated copy is still active");
    let second = fresh(issuer).await?;
    let copy = malleate(&second).unwrap_or_default();
    let known = issuer.active(&copy).await?;
    revoke(issuer, &copy).await?;
    ensure!(!known || !issuer.active(&second).await?, "revoking the copy left the token active");
    Ok("the malleated copy dies with the token".into())
}

async fn derived_tokens(issuer: &Issuer) -> Verdict {
    let (subject, child) = issuer.exchanged().await?;
    let reply = issuer.introspect_child(&child.token)?.send().await?;
    ensure!(crate::issuer::is_active(&reply)?, "the exchanged token is inactive");
    let owner = issuer.exchange()?.subject_client.clone();
    let reply = issuer.revoke_as(&owner, &subject.token)?.send().await?;
    ensure!(reply.status == 200, "{}", reply.brief());
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let reply = issuer.introspect_child(&child.token)?.send().await?;
    ensure!(!crate::issuer::is_active(&reply)?, "the exchanged token is still active");
    Ok("inactive".into())
}
