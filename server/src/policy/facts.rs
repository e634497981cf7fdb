//! What a policy can see of one request, typed; and the same as Cedar wants it. What the schema
//! does not name is not here, so nothing can leak into a policy by accident.

use crate::records::RiskLevel;
use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression as Value,
};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::LazyLock;
use stipend_token::{Environment, ScopeSet, UserContext};

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Act {
    Issue { grant_type: String, expires_in: i64 },
    Exchange { grant_type: String, expires_in: i64 },
    Release { mode: &'static str },
    Call { method: String, path: String, host: String },
}

impl Act {
    /// The action's name in the schema.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Issue { .. } => "token:issue",
            Self::Exchange { .. } => "token:exchange",
            Self::Release { .. } => "credential:release",
            Self::Call { .. } => "credential:call",
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AgentFacts {
    pub id: String,
    pub owner: String,
    pub kind: &'static str,
    pub environment: Environment,
}

/// What it is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    Resource { uri: String, owner: String, environment: Option<Environment> },
    Credential { id: String, owner: String, kind: &'static str, environment: Environment, template: Option<String> },
}

impl Target {
    #[must_use]
    pub fn owner(&self) -> &str {
        match self {
            Self::Resource { owner, .. } | Self::Credential { owner, .. } => owner,
        }
    }

    /// Its id: a URI, or a credential's.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Resource { uri, .. } => uri,
            Self::Credential { id, .. } => id,
        }
    }
}

/// An amount in one unit, in its smallest part.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AmountFact {
    pub unit: String,
    pub decimals: i64,
    pub value: i64,
}

/// The amounts of a decision as the audit keeps them.
#[must_use]
pub fn seen_amounts(amounts: &[AmountFact]) -> serde_json::Value {
    let each = |amount: &AmountFact| json!({"unit": amount.unit, "decimals": amount.decimals, "value": amount.value});
    amounts.iter().map(each).collect()
}

/// One request as a policy sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    pub act: Act,
    pub agent: AgentFacts,
    pub target: Target,
    /// Seconds since 1970.
    pub now: i64,
    pub source: Option<IpAddr>,
    pub environment: Environment,
    pub subject: String,
    /// The current actor: earlier ones are history and never authority (RFC 8693 section 4.1).
    pub actor: Option<String>,
    pub scope: ScopeSet,
    pub user: UserContext,
    pub amount: Option<AmountFact>,
    /// How risky the parties of it are, as somebody outside judges them: the riskiest counts.
    pub risk: Option<RiskLevel>,
}

/// The names of the schema's types, read once.
struct Names {
    owner: EntityTypeName,
    agent: EntityTypeName,
    resource: EntityTypeName,
    credential: EntityTypeName,
    action: EntityTypeName,
}

static NAMES: LazyLock<Option<Names>> = LazyLock::new(|| {
    let name = |text| EntityTypeName::from_str(text).ok();
    Some(Names {
        owner: name("Owner")?,
        agent: name("Agent")?,
        resource: name("Resource")?,
        credential: name("Credential")?,
        action: name("Action")?,
    })
});

/// An id is data here, never text that is parsed: whatever is in it stays in it.
fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn text(value: &str) -> Value {
    Value::new_string(value.to_owned())
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> Value {
    Value::new_set(values.map(text))
}

impl Facts {
    /// The request and its entities. `None` where they can't be made, which denies.
    #[must_use]
    pub fn to_cedar(&self) -> Option<(Request, Entities)> {
        let names = NAMES.as_ref()?;
        let context = Context::from_pairs(self.context()?).ok()?;
        let (principal, resource) = (uid(&names.agent, &self.agent.id), self.resource_uid(names));
        let action = uid(&names.action, self.act.as_str());
        let request = Request::new(principal, action, resource, context, None).ok()?;
        Some((request, self.entities(names)?))
    }

    fn resource_uid(&self, names: &Names) -> EntityUid {
        match &self.target {
            Target::Resource { uri, .. } => uid(&names.resource, uri),
            Target::Credential { id, .. } => uid(&names.credential, id),
        }
    }

    fn entities(&self, names: &Names) -> Option<Entities> {
        let agent = &self.agent;
        let owned = |this: EntityUid, owner: &str, attributes: Vec<(&str, Value)>| {
            let owner = uid(&names.owner, owner);
            let mut members: HashMap<String, Value> =
                attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            members.insert("owner".to_owned(), Value::new_entity_uid(owner.clone()));
            Entity::new(this, members, HashSet::from([owner])).ok()
        };
        let of_agent = vec![("kind", text(agent.kind)), ("environment", text(agent.environment.as_str()))];
        let mut of_target = Vec::new();
        match &self.target {
            Target::Resource { environment, .. } => {
                of_target.extend(environment.map(|environment| ("environment", text(environment.as_str()))));
            }
            Target::Credential { kind, environment, template, .. } => {
                of_target.extend([("kind", text(kind)), ("environment", text(environment.as_str()))]);
                of_target.extend(template.as_deref().map(|template| ("template", text(template))));
            }
        }
        let mut all = vec![
            owned(uid(&names.agent, &agent.id), &agent.owner, of_agent)?,
            owned(self.resource_uid(names), self.target.owner(), of_target)?,
            Entity::with_uid(uid(&names.owner, &agent.owner)),
        ];
        if self.target.owner() != agent.owner {
            all.push(Entity::with_uid(uid(&names.owner, self.target.owner())));
        }
        Entities::from_entities(all, None).ok()
    }

    fn context(&self) -> Option<Vec<(String, Value)>> {
        let mut members = vec![
            ("now", moment(self.now)?),
            ("environment", text(self.environment.as_str())),
            ("subject", text(&self.subject)),
            ("scope", texts(self.scope.iter())),
            ("amr", texts(self.user.amr.iter().map(String::as_str))),
        ];
        members.extend(self.source.map(|source| ("source", Value::new_ip(source.to_canonical().to_string()))));
        members.extend(self.actor.as_deref().map(|actor| ("actor", text(actor))));
        members.extend(self.user.acr.as_deref().map(|acr| ("acr", text(acr))));
        members.extend(self.user.idp.as_deref().map(|idp| ("idp", text(idp))));
        // A clock of another's that is ahead of ours makes no one fresher than now.
        let age = self.user.auth_time.map(|at| self.now.saturating_sub(at).max(0));
        members.extend(age.map(|age| ("auth_age", Value::new_long(age))));
        if let Some(risk) = self.risk {
            members.extend([("risk", Value::new_long(risk.score())), ("risk_level", text(risk.as_str()))]);
        }
        if let Some(AmountFact { unit, decimals, value }) = &self.amount {
            let amount =
                [("unit", text(unit)), ("decimals", Value::new_long(*decimals)), ("value", Value::new_long(*value))];
            members.push(("amount", record(amount)?));
        }
        match &self.act {
            Act::Issue { grant_type, expires_in } | Act::Exchange { grant_type, expires_in } => {
                members.extend([("grant_type", text(grant_type)), ("expires_in", Value::new_long(*expires_in))]);
            }
            Act::Release { mode } => members.push(("mode", text(mode))),
            Act::Call { method, path, host } => {
                members.extend([("method", text(method)), ("path", text(path)), ("host", text(host))]);
            }
        }
        Some(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

fn record(members: impl IntoIterator<Item = (&'static str, Value)>) -> Option<Value> {
    Value::new_record(members.into_iter().map(|(name, value)| (name.to_owned(), value))).ok()
}

const DAY: i64 = 86_400;

fn moment(now: i64) -> Option<Value> {
    let (day, second) = (now.div_euclid(DAY), now.rem_euclid(DAY));
    record([
        ("epoch", Value::new_long(now)),
        ("hour", Value::new_long(second / 3600)),
        ("minute", Value::new_long(second / 60 % 60)),
        // 1970 began on a Thursday.
        ("day_of_week", Value::new_long(day.saturating_add(3).rem_euclid(7).saturating_add(1))),
    ])
}
