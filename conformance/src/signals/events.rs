//! SSF 1.0 section 4 and CAEP 1.0: what a stream tells, and that it is told until it is
//! acknowledged.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::check::{Miss, Verdict, checks, ensure, fail, skip};
use crate::encode::now;
use crate::idp::published_jwk;
use crate::issuer::Issuer;
use crate::jwk::{member, signing_key, verifies};
use crate::jws::{Signer, claims_of, header_of};
use crate::registration::plain_with;
use crate::signals::Receiver;

checks! { "signals";
    "SS8" M "SSF 1.0 8.1.4" "a verification event has the stream as its subject, and the state that was sent" => verification;
    "SS10" M "CAEP 1.0 3.1" "a revoked token is told as session-revoked, by its iss and jti" => session_revoked;
    "SS10/reason" M "CAEP 1.0 2" "with who began it, and why" => reason;
    "SS10/others" H "SSF 1.0 9" "and to nobody whom it does not concern" => nobody_else;
    "SS1" M "SSF 1.0 4.1" "a security event token has its typ and claims, one event, and no sub or exp" => claims;
    "SS1/signed" M "SSF 1.0 4.1" "and a key of the transmitter's signs it" => signed;
    "SS9" M "CAEP interoperability 2.6" "it is signed by RS256, with a key of 2048 bits or more" => interoperable;
    "SS2" M "SSF 1.0 4.1.6" "its iss is the transmitter's" => issuer_of_events;
    "SS3" S "SSF 1.0 4.1.9" "it has a txn" => transaction;
    "SS7/paused" M "SSF 1.0 8.1.2" "a paused stream holds what happens" => paused;
    "SS11" M "CAEP 1.0 3.3" "a credential that is replaced is told as credential-change, with its change_type" => credential_change;
    "SS12" H "CAEP 1.0 3.2" "a budget that is spent is told as token-claims-change, with what is left of it" => claims_change;
    "SS5/ack" M "RFC 8936 2.4" "an event comes until it is acknowledged, and then no more" => acknowledged;
    "SS1/kind" M "RFC 8417 4" "an event is no access token" => no_access_token;
}

const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const CREDENTIAL_CHANGE: &str = "https://schemas.openid.net/secevent/caep/event-type/credential-change";
const CLAIMS_CHANGE: &str = "https://schemas.openid.net/secevent/caep/event-type/token-claims-change";
const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";
/// How long an event may take to be there.
const TOLD: Duration = Duration::from_secs(5);

/// Waits for an event of this type: the token, its header and its claims.
async fn wait(receiver: &Receiver<'_>, url: &str, event: &str) -> Result<(String, Value, Value), Miss> {
    let since = Instant::now();
    loop {
        for (jti, set) in receiver.poll(url, &json!({})).await? {
            let (header, claims) = (header_of(&set).unwrap_or_default(), claims_of(&set).unwrap_or_default());
            ensure!(member(&claims, "jti") == jti, "jti {:?} under {jti:?}", claims.get("jti"));
            if claims.get("events").is_some_and(|events| events.get(event).is_some()) {
                return Ok((set, header, claims));
            }
        }
        ensure!(since.elapsed() < TOLD, "nothing was told within {} s", TOLD.as_secs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A token of resource `a` is revoked, and the receiver told: the event, and the token's claims.
async fn told(issuer: &Issuer) -> Result<((String, Value, Value), Value), Miss> {
    let receiver = issuer.fresh_receiver().await?;
    let (id, url) = receiver.stream().await?;
    let token = revoke_one(issuer).await?;
    let told = wait(&receiver, &url, SESSION_REVOKED).await?;
    receiver.remove(&id).await?;
    Ok((told, claims_of(&token).unwrap_or_default()))
}

pub(super) async fn revoke_one(issuer: &Issuer) -> Result<String, Miss> {
    let token = issuer.issue(&issuer.grant("basic")?).await?.token;
    let reply = issuer.revoke_as("basic", &token)?.send().await?;
    ensure!(reply.status == 200, "revocation: {}", reply.brief());
    Ok(token)
}

async fn verification(issuer: &Issuer) -> Verdict {
    let receiver = issuer.fresh_receiver().await?;
    let (id, url) = receiver.stream().await?;
    let body = json!({"stream_id": id, "state": "Y29uZm9ybWFuY2U"});
    let asked = receiver.send("POST", receiver.endpoint("verification_endpoint")?, &body).send().await?;
    ensure!(asked.status == 204, "POST: {}", asked.brief());
    let (_, _, claims) = wait(&receiver, &url, VERIFICATION).await?;
    let subject = claims.get("sub_id").cloned().unwrap_or_default();
    ensure!(subject == json!({"format": "opaque", "id": id}), "sub_id {subject}");
    let event = claims.get("events").and_then(|events| events.get(VERIFICATION)).cloned().unwrap_or_default();
    ensure!(member(&event, "state") == "Y29uZm9ybWFuY2U", "state {:?}", event.get("state"));
    receiver.remove(&id).await?;
    Ok("told, with its state".into())
}

async fn session_revoked(issuer: &Issuer) -> Verdict {
    let ((_, _, claims), token) = told(issuer).await?;
    let subject = claims.get("sub_id").cloned().unwrap_or_default();
    ensure!(member(&subject, "format") == "jwt_id", "sub_id {subject}");
    ensure!(member(&subject, "iss") == issuer.url(), "sub_id {subject}");
    ensure!(subject.get("jti").is_some() && subject.get("jti") == token.get("jti"), "sub_id {subject}");
    Ok(subject.to_string())
}

async fn reason(issuer: &Issuer) -> Verdict {
    let ((_, _, claims), _) = told(issuer).await?;
    let event = claims.get("events").and_then(|events| events.get(SESSION_REVOKED)).cloned().unwrap_or_default();
    let by = member(&event, "initiating_entity");
    ensure!(matches!(by, "admin" | "user" | "policy" | "system"), "initiating_entity {by:?}");
    let why = event.get("reason_admin").and_then(Value::as_object);
    let said = why.is_some_and(|words| words.values().any(|text| text.as_str().is_some_and(|text| !text.is_empty())));
    ensure!(said, "reason_admin {:?}", event.get("reason_admin"));
    ensure!(
        event.get("event_timestamp").is_none_or(Value::is_i64),
        "event_timestamp {:?}",
        event.get("event_timestamp")
    );
    Ok(format!("by {by}"))
}

async fn nobody_else(issuer: &Issuer) -> Verdict {
    let x = issuer.signals()?;
    let receiver = issuer.fresh_receiver().await?;
    let (id, url) = receiver.stream().await?;
    let other = issuer.receiver(&x.other_client, &x.scope).await?;
    for stream in other.streams().await? {
        other.remove(&stream).await?;
    }
    let (theirs, elsewhere) = other.stream().await?;
    revoke_one(issuer).await?;
    wait(&receiver, &url, SESSION_REVOKED).await?;
    let seen = other.poll(&elsewhere, &json!({})).await?;
    other.remove(&theirs).await?;
    receiver.remove(&id).await?;
    ensure!(seen.is_empty(), "{} events for whom they do not concern", seen.len());
    Ok("none".into())
}

async fn claims(issuer: &Issuer) -> Verdict {
    let ((_, header, claims), _) = told(issuer).await?;
    ensure!(member(&header, "typ") == "secevent+jwt", "typ {:?}", header.get("typ"));
    for name in ["iss", "iat", "jti", "aud", "sub_id", "events"] {
        ensure!(claims.get(name).is_some(), "no {name}");
    }
    for name in ["sub", "exp"] {
        ensure!(claims.get(name).is_none(), "{name} is there");
    }
    let events = claims.get("events").and_then(Value::as_object).map_or(0, serde_json::Map::len);
    ensure!(events == 1, "{events} events");
    let made = claims.get("iat").and_then(Value::as_i64).unwrap_or_default();
    ensure!((made - now()).abs() <= 60, "iat {made}");
    Ok("typ and claims".into())
}

async fn signed(issuer: &Issuer) -> Verdict {
    let ((set, header, _), _) = told(issuer).await?;
    let alg = member(&header, "alg");
    let key = signing_key(&issuer.jwks, &set);
    ensure!(key.is_some_and(|key| verifies(key, alg, &set)), "no key of the JWKS signed it");
    Ok(alg.to_owned())
}

async fn interoperable(issuer: &Issuer) -> Verdict {
    let ((set, header, _), _) = told(issuer).await?;
    let alg = member(&header, "alg");
    ensure!(alg == "RS256", "alg {alg:?}");
    let key = signing_key(&issuer.jwks, &set);
    ensure!(key.is_some_and(|key| verifies(key, alg, &set)), "no key of the JWKS signed it");
    // Base64url without padding: 2048 bits are 342 characters.
    let digits = key.map_or(0, |key| member(key, "n").len());
    ensure!(digits >= 342, "a modulus of {} bits", digits * 6);
    Ok(format!("RS256, {} bits", digits * 6 / 8 * 8))
}

/// An event of this type about this subject.
async fn about(receiver: &Receiver<'_>, url: &str, event: &str, of: impl Fn(&Value) -> bool) -> Result<Value, Miss> {
    let since = Instant::now();
    loop {
        for (_, set) in receiver.poll(url, &json!({})).await? {
            let claims = claims_of(&set).unwrap_or_default();
            let detail = claims.get("events").and_then(|events| events.get(event)).cloned();
            if let Some(detail) = detail.filter(|_| claims.get("sub_id").is_some_and(&of)) {
                return Ok(detail);
            }
        }
        ensure!(since.elapsed() < TOLD, "nothing was told within {} s", TOLD.as_secs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A client that the run registers exchanges its secret for a key.
async fn credential_change(issuer: &Issuer) -> Verdict {
    if !issuer.signals()?.registered_clients {
        return skip("the profile does not say that registered clients concern the receiver");
    }
    let receiver = issuer.fresh_receiver().await?;
    let (id, url) = receiver.stream().await?;
    let method = json!({"token_endpoint_auth_method": "client_secret_basic"});
    let client = issuer.registered_as(plain_with(method)).await?;
    let own = published_jwk(&Signer::stranger(Some("k1")).map_err(Miss::Fail)?);
    let by_key = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [own]}});
    let updated = client.update(issuer, by_key).send().await?;
    ensure!(updated.status == 200, "update: {} {}", updated.brief(), updated.json);
    let name = client.text("client_id").to_owned();
    let theirs = |subject: &Value| member(subject, "sub").contains(&name) || member(subject, "id").contains(&name);
    let detail = about(&receiver, &url, CREDENTIAL_CHANGE, theirs).await?;
    receiver.remove(&id).await?;
    let change = member(&detail, "change_type");
    ensure!(matches!(change, "create" | "revoke" | "update" | "delete"), "change_type {change:?}");
    let kind = member(&detail, "credential_type");
    ensure!(!kind.is_empty(), "no credential_type");
    Ok(format!("{kind}: {change}"))
}

/// A token's budget is spent to the last unit.
async fn claims_change(issuer: &Issuer) -> Verdict {
    if !issuer.signals()?.budgets {
        return skip("the profile does not say that budgets concern the receiver");
    }
    let receiver = issuer.fresh_receiver().await?;
    let (id, url) = receiver.stream().await?;
    let token = issuer.rich(3).await?;
    let spent = issuer.charge(&token.token, "3")?.send().await?;
    ensure!(spent.status == 200, "charge: {} {}", spent.brief(), spent.json);
    let jti = token.claims()?.get("jti").cloned();
    let detail = about(&receiver, &url, CLAIMS_CHANGE, |subject| subject.get("jti") == jti.as_ref()).await?;
    receiver.remove(&id).await?;
    let left = detail.pointer("/claims/authorization_details/0").cloned().unwrap_or_default();
    let unit = &issuer.budget()?.unit;
    ensure!(
        member(&left, "unit") == unit && left.get("amount") == Some(&json!(0)),
        "claims {:?}",
        detail.get("claims")
    );
    Ok("amount 0".into())
}

async fn issuer_of_events(issuer: &Issuer) -> Verdict {
    let ((_, _, claims), _) = told(issuer).await?;
    let meta = issuer.transmitter().await?;
    ensure!(member(&claims, "iss") == issuer.url(), "iss {:?}", claims.get("iss"));
    ensure!(claims.get("iss") == meta.get("issuer"), "the transmitter calls itself {:?}", meta.get("issuer"));
    Ok(member(&claims, "iss").to_owned())
}

async fn transaction(issuer: &Issuer) -> Verdict {
    let ((_, _, claims), _) = told(issuer).await?;
    match member(&claims, "txn") {
        "" => fail("no txn"),
        txn => Ok(txn.to_owned()),
    }
}

async fn paused(issuer: &Issuer) -> Verdict {
    let receiver = issuer.fresh_receiver().await?;
    let (id, url) = receiver.stream().await?;
    let status = receiver.endpoint("status_endpoint")?;
    let set = async |status_name: &str| {
        let body = json!({"stream_id": id, "status": status_name});
        let reply = receiver.send("POST", status, &body).send().await?;
        ensure!(reply.status == 200, "{status_name}: {}", reply.brief());
        Ok(())
    };
    set("paused").await?;
    revoke_one(issuer).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let held = receiver.poll(&url, &json!({})).await?;
    ensure!(held.is_empty(), "{} events from a paused stream", held.len());
    set("enabled").await?;
    wait(&receiver, &url, SESSION_REVOKED).await?;
    receiver.remove(&id).await?;
    Ok("held, and told afterwards".into())
}

async fn acknowledged(issuer: &Issuer) -> Verdict {
    let receiver = issuer.fresh_receiver().await?;
    let (id, url) = receiver.stream().await?;
    for _ in 0..2 {
        revoke_one(issuer).await?;
    }
    wait(&receiver, &url, SESSION_REVOKED).await?;
    let one = receiver.poll(&url, &json!({"maxEvents": 1})).await?;
    let Some((jti, _)) = one.first() else { return fail("no event although two wait") };
    ensure!(one.len() == 1, "{} events of 1 that was asked for", one.len());
    let again = receiver.poll(&url, &json!({})).await?;
    ensure!(again.iter().any(|(other, _)| other == jti), "gone before it was acknowledged");
    let left = receiver.poll(&url, &json!({"ack": [jti]})).await?;
    ensure!(!left.iter().any(|(other, _)| other == jti), "told again after it was acknowledged");
    ensure!(left.len() + 1 == again.len(), "{} left of {}", left.len(), again.len());
    receiver.remove(&id).await?;
    Ok("until it is acknowledged".into())
}

async fn no_access_token(issuer: &Issuer) -> Verdict {
    let ((set, _, _), _) = told(issuer).await?;
    let reply = issuer.introspect(&set)?.send().await?;
    ensure!(reply.json == json!({"active": false}), "{}", reply.json);
    Ok("active false".into())
}
