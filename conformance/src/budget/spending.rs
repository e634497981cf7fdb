//! The ledger, as relying services see it: holds, captures, charges, and their retries.

use serde_json::Value;
use tokio::task::JoinSet;

use crate::budget::{declined, leaves, number};
use crate::check::{Miss, Verdict, checks, ensure, fail};
use crate::encode::nonce;
use crate::http::{Reply, Request};
use crate::issuer::{Issuer, granted};

checks! { "budget";
    "BU5/concurrent" H "-" "charges at once never take more than there is" => concurrent_charges;
    "BU6" H "-" "a hold is captured in part, and the rest is free again" => hold_and_capture;
    "BU6/refused" H "-" "what is declined takes nothing" => refusal_is_free;
    "BU7" H "-" "one Idempotency-Key, one effect and one answer" => same_key;
    "BU7/other" H "-" "a key is not good for another request" => other_request;
    "BU8" H "RFC 7009 2.1" "a revoked token spends no more, and what it left is the parent's" => dies_with_its_token;
    "BU16" H "-" "the answer tells which thresholds use has reached" => thresholds;
    "IN11" H "RFC 7662 2.2" "only a service of the audience spends" => own_service;
}

fn hold_id(reply: &Reply) -> Result<String, Miss> {
    match reply.text("hold") {
        Some(id) if reply.status == 200 => Ok(id.to_owned()),
        _ => fail(format!("a hold: {}", reply.brief())),
    }
}

fn at(issuer: &Issuer, hold: &str, what: &str, form: &[(&str, &str)]) -> Result<Request, Miss> {
    issuer.order(&issuer.budget()?.service, &format!("/holds/{hold}/{what}"), form)
}

async fn concurrent_charges(issuer: &Issuer) -> Verdict {
    let token = issuer.rich(20).await?.token;
    let mut crowd = JoinSet::new();
    for _ in 0..40 {
        let request = issuer.charge(&token, "1")?;
        crowd.spawn(async move { request.send().await });
    }
    let (mut taken, mut refused) = (0, 0);
    while let Some(done) = crowd.join_next().await {
        let Ok(reply) = done else { continue };
        let reply = reply?;
        if reply.status == 200 {
            taken += 1;
        } else {
            declined(&reply)?;
            refused += 1;
        }
    }
    ensure!(taken == 20, "{taken} charges of 1 from 20");
    Ok(format!("{taken} taken, {refused} declined"))
}

async fn hold_and_capture(issuer: &Issuer) -> Verdict {
    let token = issuer.rich(10).await?.token;
    let hold = hold_id(&issuer.hold(&token, "6")?.send().await?)?;
    declined(&issuer.charge(&token, "5")?.send().await?).map_err(|miss| miss.at("what is held is not there"))?;
    let part = at(issuer, &hold, "capture", &[("amount", "2"), ("final", "true")])?.send().await?;
    leaves(&part, 8).map_err(|miss| miss.at("2 of 6 captured"))?;
    let again = at(issuer, &hold, "capture", &[("amount", "1")])?.send().await?;
    ensure!(again.status == 409, "a capture after the last: {}", again.brief());
    let other = hold_id(&issuer.hold(&token, "8")?.send().await?)?;
    leaves(&at(issuer, &other, "void", &[])?.send().await?, 8).map_err(|miss| miss.at("voided"))?;
    leaves(&issuer.charge(&token, "8")?.send().await?, 0)?;
    Ok("6 held, 2 captured, 8 free".into())
}

async fn refusal_is_free(issuer: &Issuer) -> Verdict {
    let token = issuer.rich(10).await?.token;
    for amount in ["11", "1000000"] {
        declined(&issuer.charge(&token, amount)?.send().await?)?;
        declined(&issuer.hold(&token, amount)?.send().await?)?;
    }
    for amount in ["-1", "0.5", "x", ""] {
        let reply = issuer.charge(&token, amount)?.send().await?;
        ensure!(reply.status == 400, "amount {amount:?}: {}", reply.brief());
    }
    leaves(&issuer.charge(&token, "10")?.send().await?, 0)?;
    Ok("8 declined, all 10 are there".into())
}

async fn same_key(issuer: &Issuer) -> Verdict {
    let token = issuer.rich(10).await?.token;
    let key = nonce();
    let mut crowd = JoinSet::new();
    for _ in 0..16 {
        let request = issuer.charge(&token, "3")?.header("idempotency-key", &key);
        crowd.spawn(async move { request.send().await });
    }
    let mut answers: Vec<Value> = Vec::new();
    while let Some(done) = crowd.join_next().await {
        let Ok(reply) = done else { continue };
        let reply = reply?;
        leaves(&reply, 7)?;
        answers.push(reply.json);
    }
    answers.dedup();
    ensure!(answers.len() == 1, "{} different answers", answers.len());
    leaves(&issuer.charge(&token, "7")?.send().await?, 0)?;
    Ok("16 requests, 3 taken once".into())
}

async fn other_request(issuer: &Issuer) -> Verdict {
    let token = issuer.rich(10).await?.token;
    let key = nonce();
    leaves(&issuer.charge(&token, "3")?.header("idempotency-key", &key).send().await?, 7)?;
    let reply = issuer.charge(&token, "4")?.header("idempotency-key", &key).send().await?;
    ensure!((400..500).contains(&reply.status), "another amount: {}", reply.brief());
    leaves(&issuer.charge(&token, "7")?.send().await?, 0)?;
    Ok(reply.brief())
}

async fn dies_with_its_token(issuer: &Issuer) -> Verdict {
    let parent = issuer.rich(10).await?.token;
    let cut = crate::idp::with(&issuer.wanted(6)?, &[("enforce", serde_json::json!("rs"))]);
    let child = granted(issuer.share(&parent, &issuer.wanted(6)?)?.send().await?)?.token;
    granted(issuer.share(&parent, &cut)?.send().await?).map_err(|miss| miss.at("a carved child"))?;
    leaves(&issuer.charge(&child, "1")?.send().await?, 3)?;
    let reply = issuer.revoke_as(&issuer.budget()?.client, &child)?.send().await?;
    ensure!(reply.status == 200, "revocation: {}", reply.brief());
    let dead = issuer.charge(&child, "1")?.send().await?;
    ensure!(dead.status == 403 && dead.error() == "invalid_token", "a revoked token: {}", dead.brief());
    // RV10: what it spent stays spent, and what it did not is the parent's.
    leaves(&issuer.charge(&parent, "3")?.send().await?, 0)?;
    Ok(dead.brief())
}

async fn thresholds(issuer: &Issuer) -> Verdict {
    let token = issuer.rich(10).await?.token;
    let mut seen = Vec::new();
    for amount in ["5", "3", "2"] {
        let reply = issuer.charge(&token, amount)?.send().await?;
        ensure!(number(&reply, "remaining").is_some(), "{}", reply.brief());
        let reached = reply.json.get("thresholds").and_then(Value::as_array).cloned().unwrap_or_default();
        seen.extend(reached.iter().filter_map(|one| one.get("percent").and_then(Value::as_i64)));
    }
    ensure!(seen == [50, 80, 100], "{seen:?}");
    Ok("50, 80, 100".into())
}

async fn own_service(issuer: &Issuer) -> Verdict {
    let x = issuer.budget()?;
    let token = issuer.rich(10).await?.token;
    for other in [x.other_service.as_str(), x.client.as_str()] {
        let form = [("token", token.as_str()), ("unit", &x.unit), ("amount", "1")];
        let reply = issuer.order(other, "/charges", &form)?.send().await?;
        ensure!(reply.status == 403 && reply.error() == "invalid_token", "{other}: {}", reply.brief());
    }
    let told = issuer.introspect_as(&x.other_service, &token)?.send().await?;
    ensure!(told.json.get("budget").is_none(), "{} is told the budget", x.other_service);
    leaves(&issuer.charge(&token, "10")?.send().await?, 0)?;
    Ok("two others refused".into())
}
