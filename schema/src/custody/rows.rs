//! Rows of custody. `spec` columns are JSON whose shape belongs to the server; times in seconds.

use crate::rows::row;
use crate::tables;
use std::fmt;

row! {
    /// A key of another service that agents use, named `<owner>.<name>`.
    #[derive(Debug, diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    CredentialRow of credentials (id) {
        id: String,
        owner_id: String,
        name: String,
        kind: String,
        environment: String,
        state: String,
        spec: String,
        created_by: String,
        created_at: i64,
        updated_at: i64,
    }
}

row! {
    /// One value of a credential, sealed under the key-encryption key `kek_id`. Destroyed, it
    /// has none.
    #[derive(diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    CredentialVersionRow of credential_versions (id) {
        id: String,
        credential_id: String,
        number: i64,
        state: String,
        sealed: Option<Vec<u8>>,
        kek_id: Option<String>,
        fingerprint: String,
        created_at: i64,
        activated_at: Option<i64>,
        retire_at: Option<i64>,
        destroyed_at: Option<i64>,
        compromised_at: Option<i64>,
    }
}

row! {
    /// That an agent may use a credential. `owner_id` is the credential's.
    #[derive(Debug, diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    CredentialGrantRow of credential_grants (id) {
        id: String,
        credential_id: String,
        agent_id: String,
        owner_id: String,
        state: String,
        spec: String,
        expires_at: Option<i64>,
        created_by: String,
        created_at: i64,
        updated_at: i64,
    }
}

row! {
    /// That an agent has seen a version in clear, by which mode first, and when.
    #[derive(Debug)]
    CredentialExposureRow of credential_exposures (version_id, agent_id) {
        version_id: String,
        agent_id: String,
        credential_id: String,
        mode: String,
        first_at: i64,
        last_at: i64,
    }
}

row! {
    /// How a grant was used, as of some seconds ago.
    #[derive(Debug)]
    CredentialUseRow of credential_uses (grant_id) {
        grant_id: String,
        version_id: String,
        mode: String,
        uses: i64,
        last_at: i64,
    }
}

row! {
    /// A counter; `state` is JSON, the books' own.
    #[derive(Debug)]
    CounterRow of counters (key) {
        key: String,
        state: String,
        expires_at: i64,
    }
}

impl fmt::Debug for CredentialVersionRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialVersionRow")
            .field("id", &self.id)
            .field("credential_id", &self.credential_id)
            .field("number", &self.number)
            .field("state", &self.state)
            .field("retire_at", &self.retire_at)
            .finish_non_exhaustive()
    }
}

row! {
    /// A secret of the deployment itself.
    #[derive(diesel::AsChangeset)]
    #[diesel(primary_key(name))]
    ServerSecretRow of server_secrets (name) {
        name: String,
        sealed: Vec<u8>,
        created_at: i64,
    }
}

impl fmt::Debug for ServerSecretRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSecretRow").field("name", &self.name).finish_non_exhaustive()
    }
}
