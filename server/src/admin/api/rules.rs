//! Exchange rules: who may exchange whose tokens, and for what.

use super::owners::State;
use super::shapes::{AbroadShape, ApprovalShape, BudgetCapShape, PartyShape, RuleSpecShape, ScopeEdgeShape};
use serde::{Deserialize, Serialize};
use stipend_token::Audience;
use stipend_token::budget::BudgetCap;
use stipend_token::id_jag::Abroad;
use stipend_token::rule::{Approval, ExchangeMode, PartySelector, RuleSpec, ScopeEdge};
use utoipa::ToSchema;

/// A rule as it is written: a `RuleSpec`, and its id where the writer chooses one.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRule {
    /// Chosen ids make the call repeatable: `<owner>.<name>` of an owner the caller administers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub id: Option<String>,
    #[schema(value_type = PartyShape)]
    pub actor: PartySelector,
    #[schema(value_type = PartyShape)]
    pub subject: PartySelector,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub from_audience: Option<Audience>,
    #[schema(value_type = String)]
    pub to_audience: Audience,
    #[schema(value_type = Vec<ScopeEdgeShape>, min_items = 1, max_items = 64)]
    pub scopes: Vec<ScopeEdge>,
    #[schema(value_type = String, pattern = "^(delegation|impersonation)$")]
    pub mode: ExchangeMode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3600)]
    pub max_ttl_seconds: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 16)]
    pub max_depth: Option<usize>,
    /// Most budget that goes along, unit by unit; of a unit that is not named, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<BudgetCapShape>>, max_items = 8)]
    pub budget_ceiling: Option<Vec<BudgetCap>>,
    /// Most tokens with a budget from one subject token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10000)]
    pub max_children: Option<i64>,
    /// The rule yields identity assertion grants for the authorization server that `to_audience`
    /// names, and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AbroadShape>)]
    pub id_jag: Option<Abroad>,
    /// Each exchange waits until people have approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ApprovalShape>)]
    pub approval: Option<Approval>,
    /// A subject token bound to its holder's key may come without a proof of it; the result is
    /// bound to the actor's key.
    #[serde(default, skip_serializing_if = "is_off")]
    pub accept_bound_subject: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_off(flag: &bool) -> bool {
    !flag
}

impl NewRule {
    #[must_use]
    pub fn into_spec(self) -> RuleSpec {
        RuleSpec {
            actor: self.actor,
            subject: self.subject,
            from_audience: self.from_audience,
            to_audience: self.to_audience,
            scopes: self.scopes,
            mode: self.mode,
            max_ttl_seconds: self.max_ttl_seconds,
            max_depth: self.max_depth,
            budget_ceiling: self.budget_ceiling,
            max_children: self.max_children,
            id_jag: self.id_jag,
            approval: self.approval,
            accept_bound_subject: self.accept_bound_subject,
        }
    }
}

impl From<RuleSpec> for NewRule {
    fn from(spec: RuleSpec) -> Self {
        Self {
            id: None,
            actor: spec.actor,
            subject: spec.subject,
            from_audience: spec.from_audience,
            to_audience: spec.to_audience,
            scopes: spec.scopes,
            mode: spec.mode,
            max_ttl_seconds: spec.max_ttl_seconds,
            max_depth: spec.max_depth,
            budget_ceiling: spec.budget_ceiling,
            max_children: spec.max_children,
            id_jag: spec.id_jag,
            approval: spec.approval,
            accept_bound_subject: spec.accept_bound_subject,
        }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Rule {
    pub id: String,
    #[schema(value_type = RuleSpecShape)]
    pub spec: RuleSpec,
    pub actor_owner: String,
    pub subject_owner: String,
    pub target_owner: String,
    /// The owners that have accepted it.
    pub accepted_by: Vec<String>,
    /// The owners whose acceptance it still lacks. Empty: it works.
    pub awaiting: Vec<String>,
    pub state: State,
    pub created_by: String,
    pub created_at: i64,
    pub updated_at: i64,
}

/// Accepts for one owner; for all the caller administers where absent.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptRule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}
