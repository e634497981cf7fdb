//! RFC 8693 4.1 and 4.4: who acts, and who may.

use serde_json::Value;

use crate::check::{Miss, Verdict, checks, ensure, fail, skip};
use crate::exchange::ACCESS_TOKEN;
use crate::issuer::{Issuer, granted, refused};
use crate::jwk::member;
use crate::rfc9068::audiences;

checks! { "token_exchange";
    "TX22" M "RFC 8693 4.1" "act is the current actor, earlier ones nest inside, newest outermost" => act_chain;
    "TX23" M "RFC 8693 4.1" "act has identity claims only" => act_is_identity;
    "TX25" H "-" "a chain deeper than the cap is refused" => depth_cap;
    "TX26" M "RFC 8693 4.4" "may_act is honoured" => may_act;
    "TX27" H "-" "no rule: delegation is refused" => no_rule;
    "TX27/self" H "-" "a client may narrow its own token" => self_exchange;
    "TX28" H "-" "the actor token must be the client's own" => actor_is_the_client;
    "TX29" H "RFC 8693 1.1" "no impersonation without permission: act names the client" => no_impersonation;
    "TX29/launder" H "RFC 8693 4.1" "leaving the actor out does not shed the chain" => chain_is_not_laundered;
    "TX30" H "RFC 8693 2.1" "a stolen subject token is no use to another client" => stolen_subject;
}

/// The `sub` of a client's own tokens.
async fn own_sub(issuer: &Issuer, client: &str) -> Result<String, Miss> {
    let login = issuer.client(client)?;
    if let Some(sub) = &login.profile.sub {
        return Ok(sub.clone());
    }
    match issuer.actor_token(client).await? {
        Some(token) => Ok(member(&token.claims()?, "sub").to_owned()),
        None => Ok(login.id.clone()),
    }
}

async fn act_chain(issuer: &Issuer) -> Verdict {
    let actor = issuer.exchange()?.actor_client.clone();
    let (subject, child) = issuer.exchanged().await?;
    let claims = issuer.child_claims(&child).await?;
    let first = own_sub(issuer, &actor).await?;
    let act = claims.get("act").cloned().unwrap_or_default();
    ensure!(member(&act, "sub") == first, "act.sub {:?}, the actor is {first:?}", act.get("sub"));
    if let Ok(before) = subject.claims() {
        ensure!(claims.get("sub") == before.get("sub"), "sub {:?} was {:?}", claims.get("sub"), before.get("sub"));
        ensure!(act.get("act") == before.get("act"), "the subject token's chain changed");
    }
    let Some(next) = issuer.exchange()?.chain.first() else {
        return Ok(act.to_string());
    };
    let grandchild = issuer.grandchild(&child.token).await?;
    let deeper = issuer.child_claims(&grandchild).await?;
    let outer = deeper.get("act").cloned().unwrap_or_default();
    let second = own_sub(issuer, next).await?;
    ensure!(member(&outer, "sub") == second, "outermost {:?}, the actor is {second:?}", outer.get("sub"));
    ensure!(outer.get("act") == Some(&act), "inside it {:?}, was {act}", outer.get("act"));
    Ok(outer.to_string())
}

async fn act_is_identity(issuer: &Issuer) -> Verdict {
    let (_, child) = issuer.exchanged().await?;
    let claims = issuer.child_claims(&child).await?;
    let mut act = claims.get("act");
    ensure!(act.is_some(), "no act");
    while let Some(actor) = act {
        for name in ["exp", "nbf", "iat", "aud", "jti", "scope"] {
            ensure!(actor.get(name).is_none(), "act carries {name}");
        }
        act = actor.get("act");
    }
    Ok("no exp, nbf, iat, aud, jti or scope inside".into())
}

async fn depth_cap(issuer: &Issuer) -> Verdict {
    let x = issuer.exchange()?;
    let Some(cap) = x.depth_cap else {
        return skip("the profile gives no depth_cap");
    };
    if x.chain.len() < cap {
        return skip(format!("a chain of {} clients cannot pass a cap of {cap}", x.chain.len()));
    }
    let (_, mut token) = issuer.exchanged().await?;
    for (client, depth) in x.chain.iter().zip(2..) {
        let reply = issuer.delegation(client, &token.token).await?.send().await?;
        if depth > cap {
            return refused(&reply, &["invalid_request"]).map(|brief| format!("depth {depth}: {brief}"));
        }
        token = granted(reply).map_err(|miss| miss.at(&format!("depth {depth}")))?;
    }
    fail("the chain ended before the cap")
}

async fn may_act(issuer: &Issuer) -> Verdict {
    let Some(section) = &issuer.exchange()?.may_act else {
        return skip("the profile has no subject token with may_act");
    };
    let subject = &section.subject_token.0;
    let allowed = issuer.delegation(&section.allowed_client, subject).await?;
    issuer.issue(&allowed).await.map_err(|miss| miss.at("the actor named"))?;
    let other = issuer.delegation(&section.refused_client, subject).await?;
    refused(&other.send().await?, &["invalid_request"]).map_err(|miss| miss.at("another actor"))
}

fn unruled(issuer: &Issuer) -> Result<&str, Miss> {
    match &issuer.exchange()?.unruled_client {
        Some(client) => Ok(client),
        None => skip("the profile has no exchange.unruled_client"),
    }
}

async fn no_rule(issuer: &Issuer) -> Verdict {
    let subject = issuer.subject_token().await?;
    let request = issuer.delegation(unruled(issuer)?, &subject.token).await?;
    refused(&request.send().await?, &["invalid_request", "invalid_target"])
}

async fn self_exchange(issuer: &Issuer) -> Verdict {
    let x = issuer.exchange()?;
    let subject = issuer.subject_token().await?;
    let scope = x.subject_scope.split(' ').next().unwrap_or_default();
    let own = &issuer.resource(&x.subject_resource)?.uri;
    let request = issuer.exchange_as(&x.subject_client, &subject.token)?;
    let child = issuer.issue(&request.set("audience", own).set("scope", scope)).await?;
    let (before, after) = (subject.claims()?, issuer.child_claims(&child).await?);
    ensure!(after.get("sub") == before.get("sub"), "sub {:?}", after.get("sub"));
    ensure!(member(&after, "scope") == scope, "scope {:?}", after.get("scope"));
    ensure!(audiences(&after) == [own.as_str()], "aud {:?}", after.get("aud"));
    Ok(format!("narrowed to {scope}"))
}

async fn actor_is_the_client(issuer: &Issuer) -> Verdict {
    let x = issuer.exchange()?;
    let subject = issuer.subject_token().await?;
    let mut others = vec![x.subject_client.as_str()];
    others.extend(x.unruled_client.as_deref());
    for other in others.iter().filter(|other| **other != x.actor_client) {
        let Some(foreign) = issuer.actor_token(other).await? else {
            return skip("the profile sends no actor tokens");
        };
        let request = issuer.exchange_as(&x.actor_client, &subject.token)?;
        let request = request.with("actor_token", &foreign.token).with("actor_token_type", ACCESS_TOKEN);
        refused(&request.send().await?, &["invalid_request"])
            .map_err(|miss| miss.at(&format!("actor token of {other}")))?;
    }
    let request = issuer.exchange_as(&x.actor_client, &subject.token)?;
    let request = request.with("actor_token", &subject.token).with("actor_token_type", ACCESS_TOKEN);
    refused(&request.send().await?, &["invalid_request"]).map_err(|miss| miss.at("the subject token as actor token"))
}

async fn no_impersonation(issuer: &Issuer) -> Verdict {
    let actor = issuer.exchange()?.actor_client.clone();
    let subject = issuer.subject_token().await?;
    let reply = issuer.exchange_as(&actor, &subject.token)?.send().await?;
    if reply.status != 200 {
        return refused(&reply, &["invalid_request"]);
    }
    let claims = issuer.child_claims(&granted(reply)?).await?;
    let sub = own_sub(issuer, &actor).await?;
    let named = claims.get("act").map(|act| member(act, "sub")).unwrap_or_default();
    ensure!(named == sub, "act {:?}, the client is {sub:?}", claims.get("act"));
    Ok(format!("act names {named}"))
}

async fn chain_is_not_laundered(issuer: &Issuer) -> Verdict {
    let Some(next) = issuer.exchange()?.chain.first() else {
        return skip("the profile has no exchange.chain");
    };
    let (_, child) = issuer.exchanged().await?;
    let before = issuer.child_claims(&child).await?.get("act").cloned();
    ensure!(before.is_some(), "the first exchange left no act");
    let reply = issuer.exchange_as(next, &child.token)?.send().await?;
    if reply.status != 200 {
        return refused(&reply, &["invalid_request"]);
    }
    let claims = issuer.child_claims(&granted(reply)?).await?;
    let act = claims.get("act").unwrap_or(&Value::Null);
    let kept = act.get("act") == before.as_ref() || Some(act) == before.as_ref();
    ensure!(kept, "act was {before:?}, is {act}");
    Ok(act.to_string())
}

async fn stolen_subject(issuer: &Issuer) -> Verdict {
    let x = issuer.exchange()?;
    let thief = unruled(issuer)?;
    let subject = issuer.subject_token().await?;
    let own = &issuer.resource(&x.subject_resource)?.uri;
    let (_, child) = issuer.exchanged().await?;
    for (what, stolen, target, scope) in [
        ("subject token, its own audience", &subject.token, own.as_str(), x.subject_scope.as_str()),
        ("subject token, the target", &subject.token, issuer.target()?, x.scope.as_str()),
        ("exchanged token, its audience", &child.token, issuer.target()?, x.scope.as_str()),
    ] {
        let request = issuer.exchange_as(thief, stolen)?.set("audience", target).set("scope", scope);
        refused(&request.send().await?, &["invalid_request"]).map_err(|miss| miss.at(what))?;
    }
    Ok("three tokens in the hands of another client: 400 invalid_request".into())
}
