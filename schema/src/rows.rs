//! One plain struct per table row, and nothing else: rows carry what is stored, typed meaning
//! is made from them elsewhere. No diesel type shows in a field. Times `*_at` are seconds
//! since the epoch unless a row says microseconds.
//! `Debug` never prints a secret's hash or sealed key material: rows get logged by accident.

pub(crate) use crate::custody::CounterRow;
pub(crate) use crate::ledger::{
    BudgetAnswerRow, BudgetCaptureRow, BudgetCarveRow, BudgetHoldRow, BudgetLineRow, BudgetUseRow,
};
use crate::tables;
use std::fmt;

/// The text of a field, for the one check every text must pass before it is stored.
pub(crate) trait Field {
    fn text(&self) -> Option<&str> {
        None
    }
}
impl Field for i64 {}
impl Field for bool {}
impl Field for Option<i64> {}
impl Field for Vec<u8> {}
impl Field for Option<Vec<u8>> {}
impl Field for String {
    fn text(&self) -> Option<&str> {
        Some(self)
    }
}
impl Field for Option<String> {
    fn text(&self) -> Option<&str> {
        self.as_deref()
    }
}

/// A struct for a table's rows.
macro_rules! row {
    ($(#[$meta:meta])* $name:ident of $table:ident ($($key:ident),+) { $($field:ident: $type:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, diesel::Queryable, diesel::Selectable, diesel::Insertable)]
        #[diesel(table_name = tables::$table)]
        #[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
        #[diesel(treat_none_as_default_value = false)]
        pub struct $name {
            $(pub $field: $type,)+
        }

        impl $name {
            /// PostgreSQL can't store U+0000 in text; refusing it everywhere keeps both
            /// backends alike.
            #[allow(dead_code, reason = "rows that the ledger makes are checked before they are made")]
            pub(crate) fn has_nul(&self) -> bool {
                [$($crate::rows::Field::text(&self.$field)),+]
                    .into_iter()
                    .flatten()
                    .any(|text| text.contains('\0'))
            }
        }
    };
}

pub(crate) use row;

row! {
    /// A team: the isolation boundary.
    #[derive(Debug, diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    OwnerRow of owners (id) {
        id: String,
        name: String,
        state: String,
        created_at: i64,
        updated_at: i64,
    }
}

row! {
    /// An agent, a relying service or an admin client, named `<owner>.<name>`. `access`, `scope_ceiling`, `roles`,
    /// `may_act` and `settings` are JSON texts whose shape belongs to the server.
    #[derive(Debug, diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    ClientRow of clients (id) {
        id: String,
        owner_id: String,
        kind: String,
        name: String,
        state: String,
        state_reason: Option<String>,
        auth_method: String,
        legacy_assertion_aud: bool,
        access: String,
        scope_ceiling: Option<String>,
        max_ttl_seconds: i64,
        roles: String,
        purpose: String,
        environment: String,
        may_act: Option<String>,
        reissue_of: Option<String>,
        expires_at: Option<i64>,
        created_at: i64,
        updated_at: i64,
        settings: String,
    }
}

row! {
    /// A client secret's Argon2id PHC string; two may be valid at once while rotating.
    #[derive(diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    ClientSecretRow of client_secrets (id) {
        id: String,
        client_id: String,
        hash: String,
        created_at: i64,
        expires_at: i64,
    }
}

row! {
    /// A public key a client signs its assertions with.
    #[derive(Debug, diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    ClientKeyRow of client_keys (id) {
        id: String,
        client_id: String,
        kid: String,
        alg: String,
        jwk: String,
        created_at: i64,
        expires_at: i64,
    }
}

row! {
    /// A registered audience. `scopes` and `introspectors` (client ids) are JSON lists.
    #[derive(Debug, diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    ResourceRow of resources (id) {
        id: String,
        owner_id: String,
        uri: String,
        name: String,
        scopes: String,
        environment: Option<String>,
        max_ttl_seconds: i64,
        introspectors: String,
        budget_capable: bool,
        state: String,
        created_at: i64,
        updated_at: i64,
        status_list: bool,
    }
}

row! {
    /// Who may exchange whose token for what; `spec` and `accepted_by` (owner ids) are JSON.
    #[derive(Debug, diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    ExchangeRuleRow of exchange_rules (id) {
        id: String,
        actor_owner_id: String,
        subject_owner_id: Option<String>,
        target_owner_id: String,
        spec: String,
        accepted_by: String,
        state: String,
        created_by: String,
        created_at: i64,
        updated_at: i64,
    }
}

row! {
    /// A signing key through its life; the private half only ever sealed.
    #[derive(diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    #[diesel(primary_key(kid))]
    SigningKeyRow of signing_keys (kid) {
        kid: String,
        alg: String,
        public_jwk: String,
        sealed_private: Vec<u8>,
        publish_at: i64,
        activate_at: i64,
        retire_at: Option<i64>,
        remove_at: Option<i64>,
        distrusted_at: Option<i64>,
        created_at: i64,
    }
}

row! {
    /// One entry of the revoked set. `seq` is the change that published it: the committer fills it in.
    /// `issued_before: None` revokes whatever the time of issue, as for a jti.
    #[derive(Debug)]
    RevocationRow of revocations (id) {
        id: String,
        seq: i64,
        kind: String,
        value: String,
        issued_before: Option<i64>,
        owner_id: Option<String>,
        expires_at: i64,
        reason: String,
        severity: String,
        revoked_by: String,
        created_at: i64,
    }
}

/// One entry of the change feed; `at` in seconds.
#[derive(Debug, Clone, PartialEq, Eq, diesel::Queryable, diesel::Selectable, diesel::Insertable)]
#[diesel(table_name = tables::changes)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[diesel(treat_none_as_default_value = false)]
pub struct ChangeRow {
    pub seq: i64,
    pub kind: String,
    pub id: String,
    pub at: i64,
}

/// One audit record: the columns are copies of members of `record`, for searching. `at` in microseconds.
#[derive(Debug, Clone, PartialEq, Eq, diesel::Queryable, diesel::Selectable, diesel::Insertable)]
#[diesel(table_name = tables::audit_records)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[diesel(treat_none_as_default_value = false)]
pub struct AuditRow {
    pub writer: String,
    pub n: i64,
    pub at: i64,
    pub event: String,
    pub outcome: String,
    pub owner_id: Option<String>,
    pub subject_owner_id: Option<String>,
    pub client_id: Option<String>,
    pub jti: Option<String>,
    pub record: String,
    pub hash: Vec<u8>,
}

row! {
    /// A signed statement that `writer`'s chain had `hash` at `n`. `at` in microseconds.
    #[derive(Debug)]
    AuditCheckpointRow of audit_checkpoints (writer, n) {
        writer: String,
        n: i64,
        hash: Vec<u8>,
        at: i64,
        jws: String,
    }
}

impl fmt::Debug for ClientSecretRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSecretRow")
            .field("id", &self.id)
            .field("client_id", &self.client_id)
            .field("created_at", &self.created_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SigningKeyRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeyRow")
            .field("kid", &self.kid)
            .field("alg", &self.alg)
            .field("publish_at", &self.publish_at)
            .field("activate_at", &self.activate_at)
            .field("retire_at", &self.retire_at)
            .field("remove_at", &self.remove_at)
            .field("distrusted_at", &self.distrusted_at)
            .finish_non_exhaustive()
    }
}
