//! Every bound of the engine by name. Those of [`Timeouts`] and the body limit can be set for
//! a credential; the others are the node's.

use std::time::Duration;

/// Looking up the name, the connection and the TLS handshake together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence before the head of the answer: nothing taken of the request, nothing answered.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Silence between two chunks of the answer, and of the agent between two of its request.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The whole call, from the first byte to the last.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(600);
/// Longest request body.
pub const MAX_REQUEST_BYTES: u64 = 10 * 1024 * 1024;
/// Longest head of an answer, as names and values. The HTTP library reads up to 400 KiB and
/// 100 fields of one before this is asked.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Longest query.
pub const MAX_QUERY_BYTES: usize = 8 * 1024;
/// Calls under way on one node; one more is refused as busy.
pub const MAX_CALLS: usize = 1024;
/// Connections to one upstream that are kept for the next call, and for how long.
pub const MAX_IDLE_CONNECTIONS: usize = 64;
pub const KEEP_CONNECTION: Duration = Duration::from_secs(60);
/// Chunks of a request body that wait between the agent and the upstream.
pub const CHUNKS_IN_FLIGHT: usize = 4;
/// Addresses of one name that are looked at.
pub const MAX_ADDRESSES: usize = 32;
/// A secret shorter than this is not masked in bodies: it would be found where it is not.
pub const MIN_MASKED_BYTES: usize = 8;

/// No bound on the time of a call is set beyond this.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long each part of one call may take; a day at most.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    pub head: Duration,
    pub idle: Duration,
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { head: HEAD_TIMEOUT, idle: IDLE_TIMEOUT, total: TOTAL_TIMEOUT }
    }
}

impl Timeouts {
    /// What is set, within what can be reckoned with.
    pub(super) fn bounded(self) -> Self {
        let most = |set: Duration| set.min(MAX_TIMEOUT);
        Self { head: most(self.head), idle: most(self.idle), total: most(self.total) }
    }
}
