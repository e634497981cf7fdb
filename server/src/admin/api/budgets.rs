//! Budgets: what an account may spend in a unit.

use super::owners::State;
use super::present;
use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

/// A line of an owner, of an agent, or of an agent's task.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBudget {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// One of the agent's tasks, by a name of its own: under the agent's line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, example = "nightly-report")]
    pub task: Option<String>,
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_.-]{0,31}$", example = "USD")]
    pub unit: String,
    /// 6 for money, 0 for `call` and `token`, 0 to 9 for others.
    #[schema(minimum = 0, maximum = 9)]
    pub decimals: i64,
    /// An integer, in the unit's smallest part.
    #[schema(value_type = i64, minimum = 0, maximum = 999999999999999i64)]
    pub amount: Number,
    /// Most that one call may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 999999999999999i64)]
    pub per_call: Option<Number>,
    /// `none` (where absent), `day@ZONE`, `week@ZONE`, `month@ZONE`, `rolling:SECONDS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "month@Europe/Berlin", max_length = 64)]
    pub window: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchBudget {
    /// Below what is used it takes nothing back and refuses what is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 999999999999999i64)]
    pub amount: Option<Number>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 999999999999999i64)]
    pub per_call: Option<Option<Number>>,
}

/// On top of the amount, for a while; it replaces the one before. An amount of 0 ends it.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IncreaseBudget {
    #[schema(value_type = i64, minimum = 0, maximum = 999999999999999i64)]
    pub amount: Number,
    /// For how long, in seconds: 31622400 at most.
    #[schema(minimum = 1, maximum = 31622400)]
    pub seconds: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Budget {
    pub id: String,
    pub owner: String,
    /// Absent: the owner's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The `jti` of the token whose line it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Whom that token is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// `as`: counted here. `rs`: carved out of the line above, and counted by the service.
    pub enforce: String,
    /// The line above, which is charged as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    pub unit: String,
    pub decimals: i64,
    pub amount: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_call: Option<i64>,
    /// On top of the amount, before `increase_until`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub increase: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub increase_until: Option<i64>,
    pub window: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Closed where `disabled`.
    pub state: State,
    pub created_at: i64,
    pub updated_at: i64,
    /// What the present window has used; in the answer for one budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<BudgetUse>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct BudgetUse {
    pub held: i64,
    pub spent: i64,
    /// Given away to services that count by themselves, and not settled.
    pub carved: i64,
    /// Spent with nothing left to take it from.
    pub overage: i64,
    /// Negative after the amount was lowered below what is used.
    pub remaining: i64,
    /// When the window counts from.
    pub since: i64,
}
