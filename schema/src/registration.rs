//! Dynamic registration as it is stored: the tokens that let programs register clients, and the
//! registrations. `template` and `metadata` are JSON whose shape belongs to the server; of a
//! token there is only its hash.

use crate::rows::row;
use crate::tables;
use std::fmt;

row! {
    /// An initial access token (RFC 7591 section 3). `hash` is the SHA-256 of its text.
    #[derive(diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    RegistrationTokenRow of registration_tokens (id) {
        id: String,
        owner_id: String,
        name: String,
        hash: Vec<u8>,
        template: String,
        max_uses: i64,
        uses: i64,
        state: String,
        expires_at: i64,
        created_by: String,
        created_at: i64,
        updated_at: i64,
    }
}

row! {
    /// A client that registered itself. `access_hash` is the SHA-256 of its registration access
    /// token (RFC 7592 section 3).
    #[derive(diesel::AsChangeset)]
    #[diesel(primary_key(client_id))]
    #[diesel(treat_none_as_null = true)]
    ClientRegistrationRow of client_registrations (client_id) {
        client_id: String,
        token_id: String,
        access_hash: Vec<u8>,
        metadata: String,
        created_at: i64,
        updated_at: i64,
    }
}

impl fmt::Debug for RegistrationTokenRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistrationTokenRow")
            .field("id", &self.id)
            .field("owner_id", &self.owner_id)
            .field("uses", &self.uses)
            .field("max_uses", &self.max_uses)
            .field("state", &self.state)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientRegistrationRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientRegistrationRow")
            .field("client_id", &self.client_id)
            .field("token_id", &self.token_id)
            .finish_non_exhaustive()
    }
}
