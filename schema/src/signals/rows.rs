//! Rows of signals. Times in seconds.

use crate::rows::row;
use crate::tables;
use std::fmt;

row! {
    /// The place of a token in a status list. `names` is JSON whose shape belongs to the server:
    /// all that can kill the token.
    #[derive(Debug)]
    StatusEntryRow of status_entries (list, idx) {
        list: String,
        idx: i64,
        issued_at: i64,
        expires_at: i64,
        names: String,
    }
}

row! {
    /// Who is told of security events. `spec` is JSON whose shape belongs to the server.
    #[derive(diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    SignalStreamRow of signal_streams (id) {
        id: String,
        owner_id: String,
        client_id: String,
        state: String,
        state_reason: Option<String>,
        spec: String,
        sealed_authorization: Option<Vec<u8>>,
        created_at: i64,
        updated_at: i64,
    }
}

impl fmt::Debug for SignalStreamRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalStreamRow")
            .field("id", &self.id)
            .field("client_id", &self.client_id)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

row! {
    /// An event that a stream has not acknowledged. `claims` is the payload of the token that
    /// tells it; `id` its `jti`.
    #[derive(Debug)]
    SignalEventRow of signal_outbox (id) {
        id: String,
        stream_id: String,
        claims: String,
        attempts: i64,
        due_at: i64,
        created_at: i64,
        expires_at: i64,
    }
}
