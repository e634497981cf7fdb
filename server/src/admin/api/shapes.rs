//! The OpenAPI shapes of values that other crates define. Never built, only described.
#![expect(dead_code, reason = "these only describe types that live where no schema can be derived")]

use serde_json::{Map, Value};
use utoipa::ToSchema;

/// One resource a client may get tokens for.
#[derive(Debug, ToSchema)]
#[schema(as = AccessEntry)]
pub struct AccessEntryShape {
    #[schema(format = "uri")]
    resource: String,
    #[schema(max_items = 64)]
    scopes: Vec<String>,
    /// What a request without `scope` gets. Empty: such a request is refused.
    #[schema(required = false)]
    default_scopes: Vec<String>,
    /// The budget of a token that nothing was asked for. Absent: each of the client's lines.
    default_budget: Option<Vec<BudgetCapShape>>,
}

/// Most that there may be in one unit; amounts in its smallest part.
#[derive(Debug, ToSchema)]
#[schema(as = BudgetCap)]
pub struct BudgetCapShape {
    unit: String,
    decimals: i64,
    amount: i64,
    per_call: Option<i64>,
}

/// A client, any client of an owner, or (as a rule's subject) whom a trusted issuer vouches for:
/// all its subjects, or one by its name there. One of `client`, `owner` and `issuer`.
#[derive(Debug, ToSchema)]
#[schema(as = PartySelector)]
pub struct PartyShape {
    client: Option<String>,
    owner: Option<String>,
    issuer: Option<String>,
    /// Goes with `issuer`.
    subject: Option<String>,
}

/// Where an issuer's keys come from: its metadata, a key set's URL, or a key set itself.
#[derive(Debug, ToSchema)]
#[schema(as = KeySource, rename_all = "snake_case")]
pub enum KeySourceShape {
    Discovery,
    JwksUri(String),
    Jwks(Map<String, Value>),
}

/// One scope a rule lets through.
#[derive(Debug, ToSchema)]
#[schema(as = ScopeEdge)]
pub struct ScopeEdgeShape {
    /// A scope of the target.
    scope: String,
    /// The subject token's scope that stands for it. Absent: the scope of the same name.
    stands_for: Option<String>,
}

/// What a rule says.
#[derive(Debug, ToSchema)]
#[schema(as = RuleSpec)]
pub struct RuleSpecShape {
    actor: PartyShape,
    subject: PartyShape,
    from_audience: Option<String>,
    to_audience: String,
    scopes: Vec<ScopeEdgeShape>,
    /// `delegation` or `impersonation`.
    mode: String,
    max_ttl_seconds: Option<i64>,
    max_depth: Option<usize>,
    /// Most budget that goes along; of a unit that is not named, none.
    budget_ceiling: Option<Vec<BudgetCapShape>>,
    max_children: Option<i64>,
    /// A bound subject token may come without a proof of its key.
    accept_bound_subject: Option<bool>,
    id_jag: Option<AbroadShape>,
    /// Each exchange waits until people have approved it.
    approval: Option<ApprovalShape>,
}

/// Another authorization server, where a rule's identity assertion grants are presented.
#[derive(Debug, ToSchema)]
#[schema(as = Abroad)]
pub struct AbroadShape {
    /// Its issuer identifier, to the byte; `to_audience` is its normal form.
    #[schema(max_length = 512)]
    issuer: String,
    /// What the client is called there. Absent: as here. Needs one client as the actor.
    #[schema(max_length = 512)]
    client_id: Option<String>,
    /// Resources there that a grant may name, as they are registered there.
    #[schema(max_items = 32)]
    resources: Option<Vec<String>>,
}

/// Whose people must approve: all of these.
#[derive(Debug, ToSchema)]
#[schema(as = Approval)]
pub struct ApprovalShape {
    /// `actor_owner`, `subject_owner`, `target_owner`, each at most once.
    #[schema(min_items = 1, max_items = 3)]
    by: Vec<String>,
}
