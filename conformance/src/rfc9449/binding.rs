//! RFC 9449 sections 5 and 6: what a token is bound to, and that an exchange never unbinds it.

use serde_json::{Value, json};

use crate::check::{Miss, Verdict, checks, ensure, skip};
use crate::dpop::Prover;
use crate::exchange::ACCESS_TOKEN;
use crate::http::{Reply, Request};
use crate::issuer::{Issuer, granted, is_active, refused};
use crate::jws::claims_of;
use crate::registration::plain_with;

checks! { "dpop";
    "DP13" M "RFC 9449 5" "a token for a proof is of type DPoP and names the key" => bound;
    "DP13/without" M "RFC 9449 5" "without a proof the token is a bearer token" => unbound;
    "DP14" M "RFC 9449 5.2" "a client registered for bound tokens gets no other" => bound_only;
    "RG1/bound" M "RFC 9449 5.2" "a client that registers itself for bound tokens gets no other" => registers_bound;
    "AT12" M "RFC 9449 6.1" "cnf holds one key" => one_key;
    "IN9" M "RFC 9449 6.2" "introspection tells the key and the type" => introspected;
    "TX31" S "RFC 9449 5" "whoever exchanges its own bound token proves the key" => own_subject;
    "TX31/bound" S "RFC 9449 5" "what comes of a bound token is bound to the key that was proved" => child_is_bound;
    "TX31/stolen" H "RFC 8693 2.1" "a bound token is of no use to another client" => stolen;
    "TX31/actor" H "RFC 8693 2.1" "a bound actor token needs its key as well" => bound_actor;
    "TX31/handed" S "RFC 9449 5" "who may take it over binds the result to a key of its own" => handed_on;
}

/// Section 5.2 names no code for a proof that is missing.
const REFUSED: &[&str] = &["invalid_dpop_proof", "invalid_request", "invalid_grant", "use_dpop_nonce"];

/// `cnf` of a token, in itself or by introspection.
async fn confirmation(issuer: &Issuer, token: &str) -> Result<Value, Miss> {
    let claims = match claims_of(token) {
        Some(claims) => claims,
        None => issuer.introspect(token)?.send().await?.json,
    };
    Ok(claims.get("cnf").cloned().unwrap_or_default())
}

fn is_dpop(reply: &Reply) -> Result<(), Miss> {
    let kind = reply.text("token_type").unwrap_or_default();
    ensure!(kind.eq_ignore_ascii_case("DPoP"), "token_type {kind:?}");
    Ok(())
}

async fn bound(issuer: &Issuer) -> Verdict {
    let prover = Prover::new()?;
    let (token, reply) = issuer.bound_token(&issuer.dpop()?.client, &prover).await?;
    is_dpop(&reply)?;
    let cnf = confirmation(issuer, &token).await?;
    ensure!(cnf.get("jkt") == Some(&json!(prover.jkt())), "cnf {cnf}, the key is {}", prover.jkt());
    Ok(format!("DPoP, {cnf}"))
}

async fn unbound(issuer: &Issuer) -> Verdict {
    let issued = issuer.issue(&issuer.grant(&issuer.dpop()?.client)?).await?;
    let kind = issued.reply.text("token_type").unwrap_or_default();
    ensure!(kind.eq_ignore_ascii_case("Bearer"), "token_type {kind:?}");
    let cnf = confirmation(issuer, &issued.token).await?;
    ensure!(cnf.get("jkt").is_none(), "cnf {cnf}");
    Ok(kind.to_owned())
}

async fn bound_only(issuer: &Issuer) -> Verdict {
    let Some(client) = &issuer.dpop()?.bound_client else {
        return skip("the profile has no dpop.bound_client");
    };
    let bare = issuer.grant(client)?.send().await?;
    let seen = refused(&bare, REFUSED)?;
    let (_, reply) = issuer.bound_token(client, &Prover::new()?).await?;
    is_dpop(&reply)?;
    Ok(seen)
}

async fn registers_bound(issuer: &Issuer) -> Verdict {
    let said = json!({"dpop_bound_access_tokens": true});
    let client = issuer.registered_as(plain_with(said)).await?;
    let echoed = client.reply.json.get("dpop_bound_access_tokens");
    ensure!(echoed == Some(&json!(true)), "dpop_bound_access_tokens came back as {echoed:?}");
    let reply = client.asks(issuer).await?;
    refused(&reply, REFUSED)
}

async fn one_key(issuer: &Issuer) -> Verdict {
    let prover = Prover::new()?;
    let (token, _) = issuer.bound_token(&issuer.dpop()?.client, &prover).await?;
    let cnf = confirmation(issuer, &token).await?;
    let members: Vec<String> = cnf.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    ensure!(members == ["jkt"], "cnf has {members:?}");
    Ok("jkt alone".into())
}

async fn introspected(issuer: &Issuer) -> Verdict {
    let prover = Prover::new()?;
    let resource = &issuer.introspection()?.resource;
    let request = issuer.grant_for(&issuer.dpop()?.client, resource, issuer.scope_of(resource)?)?;
    let token = granted(issuer.proved(&request, &prover, None, &[]).await?)?.token;
    let reply = issuer.introspect(&token)?.send().await?;
    ensure!(is_active(&reply)?, "inactive");
    let cnf = reply.json.get("cnf").cloned().unwrap_or_default();
    ensure!(cnf.get("jkt") == Some(&json!(prover.jkt())), "cnf {cnf}");
    is_dpop(&reply)?;
    Ok(format!("DPoP, {cnf}"))
}

/// The subject client's token for the subject resource, bound.
async fn bound_subject(issuer: &Issuer, prover: &Prover) -> Result<String, Miss> {
    let x = issuer.exchange()?;
    let request = issuer.grant_for(&x.subject_client, &x.subject_resource, &x.subject_scope)?;
    let issued = granted(issuer.proved(&request, prover, None, &[]).await?).map_err(|miss| miss.at("subject token"))?;
    is_dpop(&issued.reply)?;
    Ok(issued.token)
}

/// Its holder narrows it where it is.
fn own_exchange(issuer: &Issuer, subject: &str) -> Result<Request, Miss> {
    let x = issuer.exchange()?;
    let scope = x.subject_scope.split(' ').next().unwrap_or_default();
    let own = &issuer.resource(&x.subject_resource)?.uri;
    Ok(issuer.exchange_as(&x.subject_client, subject)?.set("audience", own).set("scope", scope))
}

const CODES: &[&str] = &["invalid_request", "invalid_dpop_proof", "use_dpop_nonce"];

async fn own_subject(issuer: &Issuer) -> Verdict {
    let (own, other) = (Prover::new()?, Prover::new()?);
    let subject = bound_subject(issuer, &own).await?;
    let request = own_exchange(issuer, &subject)?;
    refused(&request.send().await?, CODES).map_err(|miss| miss.at("without a proof"))?;
    let reply = issuer.proved(&request, &other, None, &[]).await?;
    refused(&reply, CODES).map_err(|miss| miss.at("with another key"))?;
    granted(issuer.proved(&request, &own, None, &[]).await?).map_err(|miss| miss.at("with its key"))?;
    Ok("without a proof and with another key refused".into())
}

async fn child_is_bound(issuer: &Issuer) -> Verdict {
    let own = Prover::new()?;
    let subject = bound_subject(issuer, &own).await?;
    let request = own_exchange(issuer, &subject)?;
    let child = granted(issuer.proved(&request, &own, None, &[]).await?)?;
    is_dpop(&child.reply)?;
    let cnf = confirmation(issuer, &child.token).await?;
    ensure!(cnf.get("jkt") == Some(&json!(own.jkt())), "cnf {cnf}");
    let bare = own_exchange(issuer, &child.token)?.send().await?;
    refused(&bare, CODES).map_err(|miss| miss.at("its child without a proof"))?;
    Ok(cnf.to_string())
}

async fn stolen(issuer: &Issuer) -> Verdict {
    let own = Prover::new()?;
    let subject = bound_subject(issuer, &own).await?;
    let x = issuer.exchange()?;
    // The rule that lets it exchange such tokens says nothing of bound ones.
    let request = issuer.delegation(&x.actor_client, &subject).await?;
    refused(&request.send().await?, CODES).map_err(|miss| miss.at("without a proof"))?;
    let request = issuer.again(&request, &x.actor_client)?;
    let nonce = issuer.nonce_for(&issuer.grant(&issuer.dpop()?.client)?, &own, None).await?;
    let proof = Prover::new()?.proof(&request, None, nonce.as_deref(), &[]);
    refused(&request.header("DPoP", &proof).send().await?, CODES).map_err(|miss| miss.at("with its own key"))
}

async fn bound_actor(issuer: &Issuer) -> Verdict {
    let (own, other) = (Prover::new()?, Prover::new()?);
    let x = issuer.exchange()?;
    let Some(next) = x.chain.first() else { return skip("the profile has no exchange.chain") };
    let child = issuer.exchanged().await?.1;
    let Some(resource) = &x.actor_resource else { return skip("the profile sends no actor tokens") };
    let actor = issuer.grant_for(next, resource, issuer.scope_of(resource)?)?;
    let actor = granted(issuer.proved(&actor, &own, None, &[]).await?)?.token;
    let request = issuer.exchange_as(next, &child.token)?;
    let request = request.with("actor_token", &actor).with("actor_token_type", ACCESS_TOKEN);
    refused(&request.send().await?, CODES).map_err(|miss| miss.at("without a proof"))?;
    let reply = issuer.proved(&request, &other, None, &[]).await?;
    refused(&reply, CODES).map_err(|miss| miss.at("with another key"))?;
    let reply = issuer.proved(&request, &own, None, &[]).await?;
    granted(reply).map_err(|miss| miss.at("with its key"))?;
    Ok("without a proof and with another key refused".into())
}

async fn handed_on(issuer: &Issuer) -> Verdict {
    let Some(client) = &issuer.dpop()?.handed_on else { return skip("the profile has no dpop.handed_on") };
    let (holder, own) = (Prover::new()?, Prover::new()?);
    let subject = bound_subject(issuer, &holder).await?;
    let request = issuer.delegation(client, &subject).await?;
    refused(&request.send().await?, CODES).map_err(|miss| miss.at("without a proof"))?;
    let child = granted(issuer.proved(&request, &own, None, &[]).await?)?;
    is_dpop(&child.reply)?;
    let cnf = issuer.child_claims(&child).await?.get("cnf").cloned().unwrap_or_default();
    ensure!(cnf.get("jkt") == Some(&json!(own.jkt())), "cnf {cnf}");
    Ok("bound to its own key".into())
}
