//! Policies: what is forbidden although rows allow it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Whether a policy applies.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyState {
    Enabled,
    Disabled,
    /// For ever: kept because records name it.
    Removed,
}

impl PolicyState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Removed => "removed",
        }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPolicy {
    /// Whose it is. Absent: the deployment's, for everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,38}$", example = "office-hours")]
    pub name: String,
    /// Cedar: 1 to 16 `forbid` statements.
    #[schema(max_length = 16384)]
    pub text: String,
    /// It does not apply until it is switched on.
    #[serde(default)]
    pub disabled: bool,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchPolicy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,38}$")]
    pub name: Option<String>,
    /// Makes a new version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 16384)]
    pub text: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Policy {
    pub id: String,
    /// Absent: the deployment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    pub name: String,
    pub state: PolicyState,
    pub version: i64,
    pub text: String,
    /// SHA-256 of the text, base64url.
    pub hash: String,
    pub created_by: String,
    pub created_at: i64,
    pub updated_at: i64,
}

/// One text that a policy had or has.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct PolicyVersion {
    pub version: i64,
    pub text: String,
    pub hash: String,
    /// The client that wrote it.
    pub author: String,
    pub at: i64,
}

/// What policies can see.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct PolicySchema {
    pub version: i64,
    /// A Cedar schema, in Cedar's own syntax.
    pub schema: String,
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidatePolicy {
    pub text: String,
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct PolicyChecked {
    pub valid: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statements: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    pub errors: Vec<PolicyFault>,
    /// What would be stored, and is suspicious.
    pub warnings: Vec<PolicyFault>,
}

/// What is wrong with a text, and where: lines and columns from 1.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct PolicyFault {
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    pub line: usize,
    pub column: usize,
}

/// A text to try on what was recorded. Either `text` (with `owner`) or `policy`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DryRun {
    /// Whose records; absent: the deployment's, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 16384)]
    pub text: Option<String>,
    /// The id of a policy that there is, whatever its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Seconds; a week before `until` where absent, and at most 31 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// Seconds; now where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// `next` of the answer before, to go on with older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 512)]
    pub after: Option<String>,
}

/// What a text would have refused.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct DryRunResult {
    pub since: i64,
    pub until: i64,
    /// Records that were read: at most 5000 in one answer, newest first.
    pub records: i64,
    pub would_refuse: i64,
    /// Of these, those for which the policy could not be evaluated.
    pub failed: i64,
    pub by_action: BTreeMap<String, DryRunCount>,
    /// Records that could not be tried, by why.
    pub not_evaluated: BTreeMap<String, i64>,
    /// At most 20 of those that would be refused.
    pub examples: Vec<DryRunExample>,
    /// There are older records: send it as `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct DryRunCount {
    pub tried: i64,
    pub would_refuse: i64,
}

/// One recorded answer that would have been a refusal.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct DryRunExample {
    /// The record's place in the audit.
    pub writer: String,
    pub n: i64,
    /// Seconds.
    pub at: i64,
    pub action: String,
    pub agent: String,
    pub resource: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// Which statements of the text, from 1.
    pub statements: Vec<usize>,
}
