//! Budgets: what an account may spend in a unit.

use super::owners::State;
use super::present;
use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

/// A line of an owner or of an agent: exactly one of the two.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBudget {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
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

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Budget {
    pub id: String,
    pub owner: String,
    /// Absent: the owner's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The line above, which is charged as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    pub unit: String,
    pub decimals: i64,
    pub amount: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_call: Option<i64>,
    pub window: String,
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
    /// Spent with nothing left to take it from.
    pub overage: i64,
    /// Negative after the amount was lowered below what is used.
    pub remaining: i64,
    /// When the window counts from.
    pub since: i64,
}
