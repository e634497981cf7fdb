//! Exchanges that wait for people: what was asked for, what would be issued, who has said yes.
//!
//! Shared by the grant that asks, the one that is polled, and the admin API where people answer.
//! Nothing here reads or writes. What people approve is an [`Offer`], and each answer may only
//! narrow it; whether it can still be issued is decided when it is.

use crate::clock::Clock;
use crate::deps;
use crate::federation::Evidence;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stipend_keys::sha256;
use stipend_schema::{ApprovalRequestRow, Dep};
use stipend_token::budget::BudgetCap;
use stipend_token::rule::ExchangeMode;
use stipend_token::{AccessToken, Audience, ScopeSet};
use utoipa::ToSchema;

/// Where a request is in its life, as it is stored. That it has expired the clock says.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// Somebody has still to answer.
    Pending,
    /// All have said yes; the token has not been fetched.
    Approved,
    /// Somebody has said no.
    Refused,
    /// The token was issued.
    Consumed,
}

impl ApprovalState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Consumed => "consumed",
        }
    }
}

/// A token that was presented, without being one: what it said, and the key it was signed with.
#[derive(Debug, Deserialize, Serialize)]
pub struct Kept {
    pub claims: Map<String, Value>,
    pub kid: String,
    /// Of another issuer's token, in place of the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

impl Kept {
    /// # Errors
    /// When the claims are no JSON object, which they are.
    pub fn new(token: &AccessToken, kid: &str) -> Result<Self, serde_json::Error> {
        let claims = serde_json::from_value(serde_json::to_value(token)?)?;
        Ok(Self { claims, kid: kid.to_owned(), evidence: None })
    }

    /// Of another issuer's token.
    #[must_use]
    pub fn foreign(evidence: Evidence) -> Self {
        Self { claims: Map::new(), kid: String::new(), evidence: Some(evidence) }
    }
}

/// The request, as far as it must be decided again.
#[derive(Debug, Deserialize, Serialize)]
pub struct Asked {
    pub subject: Kept,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Kept>,
    pub resource: Audience,
    /// Of an identity assertion grant, the resources that it may name at the other server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abroad: Option<Vec<Audience>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_details: Option<String>,
    pub issued_token_type: String,
}

/// What would be issued: never more than this is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Offer {
    /// Whose authority it is.
    pub sub: String,
    /// Who would act, and for whom before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub act: Option<Value>,
    #[schema(value_type = String)]
    pub resource: Audience,
    #[schema(value_type = Vec<String>)]
    pub scope: ScopeSet,
    #[schema(value_type = String)]
    pub mode: ExchangeMode,
    /// The rules it takes.
    pub rules: Vec<String>,
    /// Longest life of the token.
    pub ttl_seconds: i64,
    /// Most that it may spend; of a unit that is not named, nothing. How much is left, the
    /// ledger says at the issue.
    #[schema(value_type = Vec<crate::admin::api::BudgetCapShape>)]
    pub budget: Vec<BudgetCap>,
    /// That it is an identity assertion grant, and where it leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub id_jag: Option<Value>,
    /// What it would admit of credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub credentials: Option<Vec<Map<String, Value>>>,
}

/// What a yes leaves of the offer. Absent members leave it as it is.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Narrowing {
    /// Scopes of the offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub scope: Option<ScopeSet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3600)]
    pub ttl_seconds: Option<i64>,
    /// Of a unit that is not named, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<crate::admin::api::BudgetCapShape>>, max_items = 8)]
    pub budget: Option<Vec<BudgetCap>>,
}

/// One owner's answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Decision {
    /// For which owner.
    pub owner: String,
    /// Who answered.
    pub by: String,
    pub at: i64,
    pub approved: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Narrowing::is_none")]
    pub narrowing: Narrowing,
}

impl Narrowing {
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Offer {
    /// What is left after a yes. `None`: the narrowing asks for more than there is, or leaves
    /// nothing.
    #[must_use]
    pub fn narrowed(&self, to: &Narrowing) -> Option<Self> {
        let mut left = self.clone();
        if let Some(scope) = &to.scope {
            if scope.is_empty() || !scope.is_subset(&left.scope) {
                return None;
            }
            left.scope = scope.clone();
        }
        if let Some(ttl) = to.ttl_seconds {
            if !(1..=left.ttl_seconds).contains(&ttl) {
                return None;
            }
            left.ttl_seconds = ttl;
        }
        if let Some(caps) = &to.budget {
            let within = |cap: &BudgetCap| self.budget.iter().any(|have| have.within(cap).as_ref() == Some(cap));
            if !caps.iter().all(within) {
                return None;
            }
            left.budget.clone_from(caps);
        }
        Some(left)
    }
}

/// A request with its JSON read.
#[derive(Debug)]
pub struct Request {
    pub row: ApprovalRequestRow,
    pub state: ApprovalState,
    pub offer: Offer,
    /// The owners that must say yes, sorted.
    pub approvers: Vec<String>,
    pub decisions: Vec<Decision>,
}

/// A row that this version can't read.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a stored request for an approval can't be read by this version")]
pub struct Unreadable;

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Unreadable> {
    serde_json::from_str(text).map_err(|_| Unreadable)
}

impl Request {
    /// # Errors
    /// [`Unreadable`].
    pub fn read(row: ApprovalRequestRow) -> Result<Self, Unreadable> {
        let state = serde_json::from_value(Value::String(row.state.clone())).map_err(|_| Unreadable)?;
        let (offer, approvers, decisions) = (parse(&row.offered)?, parse(&row.approvers)?, parse(&row.decisions)?);
        Ok(Self { row, state, offer, approvers, decisions })
    }

    /// # Errors
    /// [`Unreadable`].
    pub fn asked(&self) -> Result<Asked, Unreadable> {
        parse(&self.row.asked)
    }

    #[must_use]
    pub fn is_over(&self, clock: &dyn Clock) -> bool {
        clock.now() >= self.row.expires_at
    }

    /// The owners that have said yes.
    pub fn approved_by(&self) -> impl Iterator<Item = &str> {
        self.decisions.iter().filter(|decision| decision.approved).map(|decision| decision.owner.as_str())
    }

    /// The owners whose answer is still wanted.
    #[must_use]
    pub fn awaiting(&self) -> Vec<String> {
        let answered = |owner: &String| self.decisions.iter().any(|decision| decision.owner == *owner);
        self.approvers.iter().filter(|owner| !answered(owner)).cloned().collect()
    }

    /// The offer with all that was said so far. `None`: the answers leave nothing in common.
    #[must_use]
    pub fn approved(&self) -> Option<Offer> {
        self.decisions.iter().try_fold(self.offer.clone(), |offer, decision| offer.narrowed(&decision.narrowing))
    }

    /// The owners it concerns, each once.
    #[must_use]
    pub fn parties(&self) -> Vec<&str> {
        let row = &self.row;
        let all = [Some(&row.owner_id), row.subject_owner_id.as_ref(), Some(&row.target_owner_id)];
        let mut parties: Vec<&str> = all.into_iter().flatten().map(String::as_str).collect();
        let mut seen = std::collections::BTreeSet::new();
        parties.retain(|owner| seen.insert(*owner));
        parties
    }

    /// What changes when anybody answers it or it is used up.
    #[must_use]
    pub fn dep(&self) -> Dep {
        deps::approval(&self.row.id)
    }
}

/// Under what a client's handle is looked up: the handle itself is in no row.
#[must_use]
pub fn handle_hash(auth_req_id: &str) -> Vec<u8> {
    sha256(auth_req_id.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer() -> Offer {
        serde_json::from_value(serde_json::json!({
            "sub": "agent:acme.planner", "resource": "https://orders.example", "scope": ["read", "refund"],
            "mode": "delegation", "rules": ["r"], "ttl_seconds": 300,
            "budget": [{"unit": "call", "decimals": 0, "amount": 10, "per_call": 2}],
        }))
        .unwrap()
    }

    fn narrowing(value: Value) -> Narrowing {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_yes_narrows_and_never_widens() {
        let left = |value: Value| offer().narrowed(&narrowing(value));
        assert_eq!(left(serde_json::json!({})), Some(offer()));
        let calls = |amount: i64, per_call: i64| serde_json::json!([{"unit": "call", "decimals": 0, "amount": amount, "per_call": per_call}]);
        let narrow = left(serde_json::json!({"scope": ["read"], "ttl_seconds": 60, "budget": calls(5, 1)})).unwrap();
        assert_eq!((narrow.scope.to_string().as_str(), narrow.ttl_seconds), ("read", 60));
        assert_eq!(left(serde_json::json!({"budget": []})).unwrap().budget, []);
        for wider in [
            serde_json::json!({"scope": ["read", "write"]}),
            serde_json::json!({"scope": []}),
            serde_json::json!({"ttl_seconds": 301}),
            serde_json::json!({"ttl_seconds": 0}),
            serde_json::json!({"budget": calls(11, 1)}),
            serde_json::json!({"budget": calls(5, 3)}),
            serde_json::json!({"budget": [{"unit": "call", "decimals": 0, "amount": 5}]}),
            serde_json::json!({"budget": [{"unit": "token", "decimals": 0, "amount": 1}]}),
        ] {
            assert_eq!(left(wider.clone()), None, "{wider}");
        }
    }
}
