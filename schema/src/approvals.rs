//! Exchanges that wait for people, as they are stored. `asked`, `offered`, `approvers` and
//! `decisions` are JSON whose shape belongs to the server; times in seconds.
//!
//! What is written here is no secret: of the presented tokens the verified claims, of the handle
//! that the client polls with its hash.

use crate::rows::row;
use crate::tables;

row! {
    /// One request: what was asked for, who has to say yes, who has.
    #[derive(Debug, diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    ApprovalRequestRow of approval_requests (id) {
        id: String,
        handle_hash: Vec<u8>,
        client_id: String,
        owner_id: String,
        subject_owner_id: Option<String>,
        target_owner_id: String,
        state: String,
        asked: String,
        offered: String,
        approvers: String,
        decisions: String,
        binding_message: Option<String>,
        jti: Option<String>,
        polled_at: Option<i64>,
        interval_seconds: i64,
        expires_at: i64,
        created_at: i64,
        updated_at: i64,
    }
}

/// When a request was last asked about, and how long its client must wait until it asks again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Polled {
    pub id: String,
    pub at: i64,
    pub interval_seconds: i64,
}
