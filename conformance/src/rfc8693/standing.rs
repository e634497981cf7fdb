//! RFC 8693 2.1 and 2.2.2: tokens that must not be exchanged any more, or ever.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::check::{Miss, Verdict, checks, ensure, fail, skip};
use crate::encode::{nonce, now};
use crate::exchange::ACCESS_TOKEN;
use crate::issuer::{Issuer, is_active, refused};
use crate::jws::{Signer, claims_of, header_of};

checks! { "token_exchange";
    "TX4" M "RFC 8693 2.1" "subject and actor tokens are validated" => bad_tokens_get_nothing;
    "TX5" M "RFC 8693 2.2.2" "a bad subject or actor token is invalid_request" => bad_tokens_are_invalid_request;
    "TX5/revoked" M "RFC 8693 2.2.2" "a revoked subject token is invalid_request" => revoked_subject;
    "TX5/expired" M "RFC 8693 2.2.2" "an expired subject token is invalid_request" => expired_subject;
    "TX21" H "-" "revoking a token kills its descendants within a second" => closure;
    "TX21/ancestor" H "-" "a token whose ancestor is dead cannot be exchanged" => dead_ancestor;
}

const CLOSURE: Duration = Duration::from_millis(1_000);

/// Forged, foreign and garbled tokens, made from a genuine one.
fn spoilt(issuer: &Issuer, genuine: &str) -> Result<Vec<(&'static str, String)>, Miss> {
    let stranger = Signer::stranger(None).map_err(Miss::Fail)?;
    let mut all = vec![
        ("garbage", nonce()),
        ("dots", "a.b.c".into()),
        ("one character more", format!("{genuine}A")),
        ("one character less", genuine.get(..genuine.len().saturating_sub(1)).unwrap_or_default().into()),
        ("twice", format!("{genuine}{genuine}")),
    ];
    if let (Some(header), Some(claims)) = (header_of(genuine), claims_of(genuine)) {
        all.push(("signed by a stranger", stranger.sign(&header, &claims)));
        let mut foreign = claims.clone();
        crate::jws::set(&mut foreign, "iss", json!("https://other.example"));
        all.push(("of another issuer", stranger.sign(&header, &foreign)));
    }
    let made_up = json!({
        "iss": issuer.url(), "sub": "root", "client_id": issuer.client("basic")?.id, "aud": issuer.url(),
        "iat": now(), "exp": now() + 300, "jti": nonce(), "scope": issuer.exchange()?.subject_scope,
    });
    all.push(("made up", stranger.sign(&json!({"alg": "ES256", "typ": "at+jwt"}), &made_up)));
    Ok(all)
}

/// Every spoilt token as subject and as actor, with the answer's verdict.
async fn offer_spoilt(issuer: &Issuer, codes: &[&str]) -> Verdict {
    let genuine = issuer.subject_token().await?.token;
    let mut tried = 0;
    for (what, token) in spoilt(issuer, &genuine)? {
        let reply = issuer.allowed().await?.set("subject_token", &token).send().await?;
        refused(&reply, codes).map_err(|miss| miss.at(&format!("subject {what}")))?;
        let request = issuer.allowed().await?.set("actor_token", &token);
        let reply = request.set("actor_token_type", ACCESS_TOKEN).send().await?;
        refused(&reply, codes).map_err(|miss| miss.at(&format!("actor {what}")))?;
        tried += 2;
    }
    Ok(format!("{tried} spoilt tokens refused"))
}

async fn bad_tokens_get_nothing(issuer: &Issuer) -> Verdict {
    let any = ["invalid_request", "invalid_grant", "invalid_target", "invalid_token", "access_denied"];
    offer_spoilt(issuer, &any).await
}

async fn bad_tokens_are_invalid_request(issuer: &Issuer) -> Verdict {
    offer_spoilt(issuer, &["invalid_request"]).await
}

async fn revoke_subject(issuer: &Issuer, token: &str) -> Result<(), Miss> {
    if let Some(why) = issuer.profile.capabilities.missing.get("revocation") {
        return skip(why.clone());
    }
    let owner = issuer.exchange()?.subject_client.clone();
    let reply = issuer.revoke_as(&owner, token)?.send().await?;
    ensure!(reply.status == 200, "revocation: {}", reply.brief());
    Ok(())
}

async fn revoked_subject(issuer: &Issuer) -> Verdict {
    let subject = issuer.subject_token().await?;
    let actor = issuer.exchange()?.actor_client.clone();
    issuer.issue(&issuer.delegation(&actor, &subject.token).await?).await?;
    revoke_subject(issuer, &subject.token).await?;
    let request = issuer.delegation(&actor, &subject.token).await?;
    refused(&request.send().await?, &["invalid_request"])
}

async fn expired_subject(issuer: &Issuer) -> Verdict {
    let expired = issuer.expired().await?;
    let request = issuer.delegation(&issuer.exchange()?.actor_client, &expired).await?;
    refused(&request.send().await?, &["invalid_request"])
}

async fn closure(issuer: &Issuer) -> Verdict {
    let (subject, child) = issuer.exchanged().await?;
    let mut descendants = vec![child.token.clone()];
    if !issuer.exchange()?.chain.is_empty() {
        descendants.push(issuer.grandchild(&child.token).await?.token);
    }
    for token in &descendants {
        let reply = issuer.introspect_child(token)?.send().await?;
        ensure!(is_active(&reply)?, "a descendant was not active to begin with");
    }
    revoke_subject(issuer, &subject.token).await?;
    let revoked = Instant::now();
    let mut slowest = Duration::ZERO;
    for token in &descendants {
        while is_active(&issuer.introspect_child(token)?.send().await?)? {
            ensure!(revoked.elapsed() < CLOSURE, "still active after {:?}", revoked.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        slowest = slowest.max(revoked.elapsed());
    }
    Ok(format!("{} descendants inactive after {} ms", descendants.len(), slowest.as_millis()))
}

async fn dead_ancestor(issuer: &Issuer) -> Verdict {
    let Some(next) = issuer.exchange()?.chain.first() else {
        return skip("the profile has no exchange.chain");
    };
    let (subject, child) = issuer.exchanged().await?;
    issuer.grandchild(&child.token).await?;
    revoke_subject(issuer, &subject.token).await?;
    let request = issuer.delegation(next, &child.token).await?;
    let reply = request.send().await?;
    if reply.status == 200 {
        return fail("the child of a revoked token was exchanged");
    }
    refused(&reply, &["invalid_request"])
}
