//! A recorded decision as a policy would have seen it. What the record says is taken from it;
//! what it does not say (the owner of a resource, the kind of an agent) is as it is now.

use super::ask::{agent_facts, credential_target};
use super::facts::{Act, AmountFact, Facts, Target};
use crate::clock::MICROS_PER_SECOND;
use crate::grant::TOKEN_EXCHANGE;
use crate::records::{ClientKind, Records, RiskLevel, Unavailable};
use serde_json::{Map, Value};
use stipend_token::{Environment, ScopeSet, UserContext};

/// The records that say what was decided.
pub const REPLAYED_EVENTS: [&str; 4] =
    ["token.issued", "credential.released", "credential.unwrapped", "credential.proxied"];

/// Why a record can't be tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unreadable {
    /// It lacks what was not recorded then.
    Incomplete,
    AgentGone,
    TargetGone,
    /// No policy applies to administrators.
    Administrator,
}

impl Unreadable {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incomplete => "record_incomplete",
            Self::AgentGone => "agent_gone",
            Self::TargetGone => "resource_gone",
            Self::Administrator => "administrator",
        }
    }
}

type Members = Map<String, Value>;

/// The questions that a record's request would be put as today.
///
/// # Errors
/// [`Unavailable`]; inside, why it can't be tried.
pub async fn replay(records: &Records, record: &str) -> Result<Result<Vec<Facts>, Unreadable>, Unavailable> {
    let parsed: Option<Members> = serde_json::from_str(record).ok();
    let parts = parsed.as_ref().and_then(|record| Some((record, text(record, "event")?, member(record, "detail")?)));
    let Some((record, event, detail)) = parts else { return Ok(Err(Unreadable::Incomplete)) };
    // A token is described as one; the use of a credential says of its token what matters.
    let about = if event == "token.issued" { member(detail, "token") } else { Some(detail) };
    let Some(about) = about else { return Ok(Err(Unreadable::Incomplete)) };
    let client_id = text(record, "client_id").unwrap_or_default();
    let Some(client) = records.find_client(client_id).await? else { return Ok(Err(Unreadable::AgentGone)) };
    if client.kind == ClientKind::Admin {
        return Ok(Err(Unreadable::Administrator));
    }
    let Some(targets) = targets(records, event, about).await? else { return Ok(Err(Unreadable::TargetGone)) };
    let Some(first) = targets.first() else { return Ok(Err(Unreadable::Incomplete)) };
    let facts = act(event, detail, about).and_then(|act| circumstances(record, event, (detail, about), act));
    let Some((facts, amounts)) = facts.map(|facts| (facts.into_facts(agent_facts(&client), first), amounts(detail)))
    else {
        return Ok(Err(Unreadable::Incomplete));
    };
    let each = |target: &Target| -> Vec<Facts> {
        let with = |amount| Facts { amount, target: target.clone(), ..facts.clone() };
        if amounts.is_empty() { vec![with(None)] } else { amounts.iter().cloned().map(Some).map(with).collect() }
    };
    Ok(Ok(targets.iter().flat_map(each).collect()))
}

/// What of the facts stands in the record itself.
struct Circumstances {
    act: Act,
    now: i64,
    source: Option<std::net::IpAddr>,
    environment: Environment,
    subject: String,
    actor: Option<String>,
    scope: ScopeSet,
    user: UserContext,
    risk: Option<RiskLevel>,
}

impl Circumstances {
    fn into_facts(self, agent: super::facts::AgentFacts, target: &Target) -> Facts {
        let Self { act, now, source, environment, subject, actor, scope, user, risk } = self;
        let target = target.clone();
        Facts { act, agent, target, now, source, environment, subject, actor, scope, user, amount: None, risk }
    }
}

fn circumstances(
    record: &Members,
    event: &str,
    (detail, about): (&Members, &Members),
    act: Act,
) -> Option<Circumstances> {
    let of_token = event == "token.issued";
    let source = match text(detail, "source") {
        Some(source) => Some(source.parse().ok()?),
        None => None,
    };
    let actor = match of_token {
        true => member(about, "act").and_then(|act| text(act, "sub")),
        false => text(detail, "actor"),
    };
    Some(Circumstances {
        act,
        now: record.get("at")?.as_i64()?.div_euclid(MICROS_PER_SECOND),
        source,
        environment: Environment::parse(text(about, "env")?)?,
        subject: text(about, if of_token { "sub" } else { "subject" })?.to_owned(),
        actor: actor.map(str::to_owned),
        scope: ScopeSet::parse(text(about, "scope")?).ok()?,
        user: UserContext::from_claims(about).ok()?,
        risk: detail.get("risk_level").cloned().map(serde_json::from_value).transpose().ok()?,
    })
}

fn act(event: &str, detail: &Members, about: &Members) -> Option<Act> {
    let owned = |name| text(detail, name).map(str::to_owned);
    Some(match event {
        "token.issued" => {
            let grant_type = owned("grant_type")?;
            let expires_in = about.get("exp")?.as_i64()?.checked_sub(about.get("iat")?.as_i64()?)?;
            // One that people had to approve is fetched by another grant, and is an exchange all the same.
            match grant_type == TOKEN_EXCHANGE || detail.contains_key("exchange") {
                true => Act::Exchange { grant_type, expires_in },
                false => Act::Issue { grant_type, expires_in },
            }
        }
        "credential.proxied" => Act::Call { method: owned("method")?, path: owned("path")?, host: owned("host")? },
        "credential.unwrapped" => Act::Release { mode: "wrapped" },
        _ => {
            let mode: crate::custody::ReleaseMode = serde_json::from_value(detail.get("mode")?.clone()).ok()?;
            Act::Release { mode: mode.as_str() }
        }
    })
}

async fn targets(records: &Records, event: &str, about: &Members) -> Result<Option<Vec<Target>>, Unavailable> {
    if event != "token.issued" {
        let credential = records.find_credential(text(about, "credential").unwrap_or_default()).await?;
        return Ok(credential.map(|credential| vec![credential_target(&credential)]));
    }
    let mut targets = Vec::new();
    for uri in about.get("aud").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        let Some(resource) = records.find_resource(uri).await? else { return Ok(None) };
        let (owner, environment) = (resource.owner_id.clone(), resource.environment);
        targets.push(Target::Resource { uri: uri.to_owned(), owner, environment });
    }
    Ok(Some(targets))
}

fn amounts(detail: &Members) -> Vec<AmountFact> {
    let amount = |value: &Value| {
        let members = value.as_object()?;
        let number = |name| members.get(name).and_then(Value::as_i64);
        Some(AmountFact {
            unit: text(members, "unit")?.to_owned(),
            decimals: number("decimals")?,
            value: number("value")?,
        })
    };
    detail.get("amounts").and_then(Value::as_array).into_iter().flatten().filter_map(amount).collect()
}

fn text<'a>(members: &'a Members, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str)
}

fn member<'a>(members: &'a Members, name: &str) -> Option<&'a Members> {
    members.get(name).and_then(Value::as_object)
}
