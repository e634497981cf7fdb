//! Budgets at the token endpoint: how they are asked for, narrowed and handed on.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::budget::{declined, granted_amount, leaves};
use crate::check::{Miss, Verdict, checks, ensure};
use crate::issuer::{Issuer, granted, refused};
use crate::rfc9396::PARAMETER;

checks! { "budget";
    "BU1" H "-" "an amount is an integer in range, with its unit and decimals" => integers;
    "BU2" H "-" "a child in another unit or scale is refused, never converted" => one_unit;
    "BU3" H "RFC 9396 7" "asking for more than there is narrows, and the answer says so" => narrows;
    "BU4" H "RFC 9396 5" "nothing to grant: invalid_authorization_details" => nothing_left;
    "BU5" H "-" "children that are carved out never add up to more than their parent" => carved;
    "BU9" H "-" "a new token does not bring back what was spent" => not_reset;
    "BU11" H "-" "a budget is no scope" => no_scope;
    "BU12" H "-" "per_call is enforced, and an exchange only lowers it" => per_call;
    "BU14" H "-" "the token's claim says what the answer says" => claim;
    "TX12" H "RFC 8693 2.1.1" "a token with a budget is for one resource, and one that takes budgets" => one_resource;
    "TX42" H "RFC 9396 6.1" "an exchange hands on what is left at most" => handed_on;
    "TX43" H "-" "of many exchanges at once none gets what another has" => at_once;
    "TX44" H "-" "the same request with the same Idempotency-Key is the same token" => same_key;
}

const INVALID: &[&str] = &["invalid_authorization_details"];

async fn integers(issuer: &Issuer) -> Verdict {
    issuer.rich(10).await?;
    let wanted = issuer.wanted(10)?;
    let text = wanted.to_string();
    let mut tried = 0;
    for amount in ["-1", "0.5", "10.0", "\"10\"", "1e2", "1000000000000000", "9223372036854775808", "null", "[10]"] {
        let details = format!("[{}]", text.replace("\"amount\":10", &format!("\"amount\":{amount}")));
        let reply = issuer.budget_request(&wanted)?.set(PARAMETER, &details).send().await?;
        refused(&reply, INVALID).map_err(|miss| miss.at(&format!("amount {amount}")))?;
        tried += 1;
    }
    for name in ["unit", "decimals", "amount"] {
        let bare = crate::idp::with(&wanted, &[(name, Value::Null)]);
        let reply = issuer.budget_request(&bare)?.send().await?;
        refused(&reply, INVALID).map_err(|miss| miss.at(&format!("no {name}")))?;
        tried += 1;
    }
    Ok(format!("{tried} refused"))
}

async fn one_unit(issuer: &Issuer) -> Verdict {
    let x = issuer.budget()?;
    let subject = issuer.rich(10).await?.token;
    granted(issuer.share(&subject, &issuer.wanted(5)?)?.send().await?).map_err(|miss| miss.at("in its unit"))?;
    let other = json!({"type": "budget", "unit": x.other_unit, "decimals": x.other_decimals, "amount": 5});
    refused(&issuer.share(&subject, &other)?.send().await?, INVALID).map_err(|miss| miss.at("another unit"))?;
    let scaled = crate::idp::with(&issuer.wanted(5)?, &[("decimals", json!(x.decimals + 1))]);
    refused(&issuer.share(&subject, &scaled)?.send().await?, INVALID).map_err(|miss| miss.at("other decimals"))
}

async fn narrows(issuer: &Issuer) -> Verdict {
    let subject = issuer.rich(10).await?.token;
    let child = granted(issuer.share(&subject, &issuer.wanted(1_000)?)?.send().await?)?;
    let got = granted_amount(&child.reply);
    ensure!(got == Some(10), "{got:?} of a parent that has 10");
    declined(&issuer.charge(&child.token, "11")?.send().await?).map_err(|miss| miss.at("11 of 10"))?;
    leaves(&issuer.charge(&child.token, "10")?.send().await?, 0)?;
    Ok("10 of 1000".into())
}

async fn nothing_left(issuer: &Issuer) -> Verdict {
    let x = issuer.budget()?;
    let none = json!({"type": "budget", "unit": x.other_unit, "decimals": x.other_decimals, "amount": 5});
    refused(&issuer.budget_request(&none)?.send().await?, INVALID).map_err(|miss| miss.at("a unit without a line"))?;
    let subject = issuer.rich(10).await?.token;
    leaves(&issuer.charge(&subject, "10")?.send().await?, 0)?;
    let reply = issuer.share(&subject, &issuer.wanted(1)?)?.send().await?;
    refused(&reply, INVALID).map_err(|miss| miss.at("of a token that is used up"))
}

/// An amount that is taken out of its parent.
fn cut(issuer: &Issuer, amount: i64) -> Result<Value, Miss> {
    Ok(crate::idp::with(&issuer.wanted(amount)?, &[("enforce", json!("rs"))]))
}

async fn carved(issuer: &Issuer) -> Verdict {
    let subject = issuer.rich(10).await?.token;
    let mut total = 0;
    for amount in [4, 4, 4] {
        let reply = issuer.share(&subject, &cut(issuer, amount)?)?.send().await?;
        total += granted_amount(&reply).filter(|_| reply.status == 200).unwrap_or_default();
    }
    ensure!(total == 10, "children of {total} from a parent of 10");
    declined(&issuer.charge(&subject, "1")?.send().await?).map_err(|miss| miss.at("what was carved out"))?;
    Ok("4, 4 and 2 of 10".into())
}

async fn not_reset(issuer: &Issuer) -> Verdict {
    let subject = issuer.rich(10).await?.token;
    let first = granted(issuer.share(&subject, &issuer.wanted(10)?)?.send().await?)?.token;
    leaves(&issuer.charge(&first, "7")?.send().await?, 3)?;
    let second = granted(issuer.share(&subject, &issuer.wanted(10)?)?.send().await?)?;
    let got = granted_amount(&second.reply);
    ensure!(got == Some(3), "a second child of {got:?} when 3 are left");
    declined(&issuer.charge(&second.token, "4")?.send().await?)?;
    leaves(&issuer.charge(&subject, "3")?.send().await?, 0)?;
    declined(&issuer.charge(&second.token, "1")?.send().await?).map_err(|miss| miss.at("the parent spent the rest"))?;
    Ok("3 of 10 left, whoever asks".into())
}

async fn no_scope(issuer: &Issuer) -> Verdict {
    let x = issuer.budget()?;
    let reply = issuer.budget_request(&issuer.wanted(5)?)?.set("scope", "stranger:everything").send().await?;
    refused(&reply, &["invalid_scope"])?;
    let issued = issuer.rich(5).await?;
    let scope = issued.reply.text("scope").unwrap_or(&x.scope).to_owned();
    ensure!(scope == x.scope, "scope {scope}");
    Ok(reply.brief())
}

async fn per_call(issuer: &Issuer) -> Verdict {
    let wanted = crate::idp::with(&issuer.wanted(10)?, &[("per_call", json!(3))]);
    let parent = granted(issuer.budget_request(&wanted)?.send().await?)?.token;
    declined(&issuer.charge(&parent, "4")?.send().await?).map_err(|miss| miss.at("4 in one call of 3"))?;
    let higher = crate::idp::with(&issuer.wanted(10)?, &[("per_call", json!(9))]);
    let child = granted(issuer.share(&parent, &higher)?.send().await?)?.token;
    declined(&issuer.charge(&child, "4")?.send().await?).map_err(|miss| miss.at("a child that asked for 9"))?;
    leaves(&issuer.charge(&child, "3")?.send().await?, 7)?;
    Ok("3 at a time, for the child too".into())
}

async fn claim(issuer: &Issuer) -> Verdict {
    let issued = issuer.rich(10).await?;
    let claims = issued.claims()?;
    let lines = claims.get("budget").and_then(Value::as_array).cloned().unwrap_or_default();
    ensure!(lines.len() == 1, "{} lines", lines.len());
    let said = issued.reply.json.pointer("/authorization_details/0").cloned().unwrap_or_default();
    for name in ["unit", "decimals", "amount"] {
        let own = lines.first().and_then(|line| line.get(name));
        ensure!(own.is_some() && own == said.get(name), "{name}: {own:?} in the token, {:?} said", said.get(name));
    }
    Ok("unit, decimals and amount".into())
}

async fn one_resource(issuer: &Issuer) -> Verdict {
    let x = issuer.budget()?;
    issuer.rich(5).await?;
    let second = &issuer.resource(&x.plain_resource)?.uri;
    let both = issuer.budget_request(&issuer.wanted(5)?)?.with("resource", second).send().await?;
    refused(&both, &["invalid_authorization_details", "invalid_target"]).map_err(|miss| miss.at("two resources"))?;
    let plain = issuer.budget_request(&issuer.wanted(5)?)?.set("resource", second).send().await?;
    refused(&plain, &["invalid_authorization_details", "invalid_target"]).map_err(|miss| miss.at("one that takes none"))
}

async fn handed_on(issuer: &Issuer) -> Verdict {
    let subject = issuer.rich(10).await?.token;
    leaves(&issuer.charge(&subject, "6")?.send().await?, 4)?;
    let child = granted(issuer.share(&subject, &issuer.wanted(10)?)?.send().await?)?;
    let got = granted_amount(&child.reply);
    ensure!(got == Some(4), "{got:?} of 4 that are left");
    let grandchild = granted(issuer.share(&child.token, &issuer.wanted(3)?)?.send().await?)?;
    leaves(&issuer.charge(&grandchild.token, "3")?.send().await?, 0)?;
    let tight = issuer.charge(&subject, "2")?.send().await?;
    declined(&tight).map_err(|miss| miss.at("2 of the 1 that is left above"))?;
    Ok("10, 4, 3".into())
}

async fn at_once(issuer: &Issuer) -> Verdict {
    const CROWD: i64 = 40;
    let subject = issuer.rich(CROWD / 2).await?.token;
    let mut crowd = JoinSet::new();
    for _ in 0..CROWD {
        let request = issuer.share(&subject, &cut(issuer, 1)?)?;
        crowd.spawn(async move { request.send().await });
    }
    let (mut won, mut total) = (0, 0);
    while let Some(done) = crowd.join_next().await {
        let Ok(reply) = done else { continue };
        let reply = reply?;
        if reply.status == 200 {
            won += 1;
            total += granted_amount(&reply).unwrap_or_default();
        } else {
            refused(&reply, INVALID)?;
        }
    }
    ensure!(total == CROWD / 2, "{won} children have {total} of {}", CROWD / 2);
    Ok(format!("{won} of {CROWD} got one each"))
}

async fn same_key(issuer: &Issuer) -> Verdict {
    let subject = issuer.rich(10).await?.token;
    let request = issuer.share(&subject, &cut(issuer, 4)?)?.header("idempotency-key", &crate::encode::nonce());
    let first = granted(request.send().await?)?;
    let again = granted(request.send().await?).map_err(|miss| miss.at("the same again"))?;
    let (one, other) = (first.claims()?, again.claims()?);
    ensure!(one.get("jti").is_some() && one.get("jti") == other.get("jti"), "two tokens");
    declined(&issuer.charge(&subject, "7")?.send().await?).map_err(|miss| miss.at("7 of 6"))?;
    leaves(&issuer.charge(&subject, "6")?.send().await?, 0).map_err(|miss| miss.at("one carve"))?;
    let reused = request.set("scope", "").send().await?;
    ensure!(reused.status >= 400, "the key was taken for another request");
    Ok(format!("one jti; another request with it: {}", reused.brief()))
}
