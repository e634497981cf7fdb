//! Every bound of the admin API by name; beyond each, the request is refused.

/// Items on a page of a list.
pub const DEFAULT_PAGE: i64 = 50;
pub const MAX_PAGE: i64 = 200;
/// Nesting of a request body.
pub const MAX_BODY_DEPTH: usize = 12;
/// Names of owners and resources, in bytes.
pub const MAX_NAME_BYTES: usize = 200;
/// What a client is for, in bytes.
pub const MAX_PURPOSE_BYTES: usize = 1000;
/// URLs, in bytes.
pub const MAX_URL_BYTES: usize = 512;
/// Furthest end of a grant: ten years.
pub const MAX_EXPIRY_SECONDS: i64 = 10 * 366 * 86_400;
/// Reasons, in bytes.
pub const MAX_REASON_BYTES: usize = 500;
/// A cursor of ours, in bytes.
pub const MAX_CURSOR_BYTES: usize = 512;
/// Filters of the audit, in bytes.
pub const MAX_FILTER_BYTES: usize = 256;
/// Keys of one client.
pub const MAX_KEYS: usize = 4;
/// Roles of one client.
pub const MAX_ROLES: usize = 64;
/// Services that may introspect one resource's tokens.
pub const MAX_INTROSPECTORS: usize = 32;
/// `may_act` as JSON, in bytes: it is copied into every token.
pub const MAX_MAY_ACT_BYTES: usize = 512;
/// Exchange rules of one actor owner.
pub const MAX_RULES: usize = 1000;
/// Budgets of one account, each in a unit of its own. Fewer than are read at once.
pub const MAX_BUDGETS: usize = 32;
/// Longest name of a person who answers for clients, in bytes.
pub const MAX_PERSON_BYTES: usize = 256;
/// How long a client whose person has gone goes on where nothing is said, and at most.
pub const DEFAULT_GRACE_SECONDS: i64 = 7 * 86_400;
pub const MAX_GRACE_SECONDS: i64 = 90 * 86_400;
/// Rules that others proposed to an owner and it has not accepted.
pub const MAX_PROPOSALS: usize = 50;
/// The name of an issuer's subject, its tenant's in front, in bytes.
pub const MAX_SUBJECT_BYTES: usize = 1024;
/// Ancestors' clients of an imagined token.
pub const MAX_EXPLAINED_LINEAGE: usize = 32;
/// Clients that one registration token registers.
pub const MAX_REGISTRATION_USES: i64 = 10_000;
/// Life of a registration token where nothing is said, and at most.
pub const DEFAULT_REGISTRATION_SECONDS: i64 = 86_400;
pub const MAX_REGISTRATION_SECONDS: i64 = 90 * 86_400;
/// Life of a new secret where nothing is said.
pub const DEFAULT_SECRET_SECONDS: i64 = 90 * 86_400;
/// Longest life of a secret or a key, and a key's where nothing is said.
pub const MAX_CREDENTIAL_SECONDS: i64 = 365 * 86_400;
