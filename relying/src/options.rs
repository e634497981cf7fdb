//! The bounds of verification. Every default is safe; none can be switched off.

use crate::status::StatusCheck;
use std::time::Duration;
use stipend_token::Timestamp;

/// Clock difference that may be tolerated at most.
pub const MAX_LEEWAY_SECONDS: i64 = 60;
/// Longest metadata or key document that is read: 1 MiB.
pub const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;
/// Longest wait for a document, from connecting to its last byte.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(3);

/// How tokens are verified and keys kept. Durations in seconds.
#[derive(Clone, Debug)]
pub struct Options {
    /// Clock difference tolerated at `exp`, `nbf` and `iat`; more than 60 counts as 60.
    pub leeway_seconds: i64,
    /// Keys are fresh at least this long, whatever `Cache-Control` says.
    pub min_age_seconds: i64,
    /// Keys are fresh at most this long.
    pub max_age_seconds: i64,
    /// Between two fetches at least this much passes, however many tokens name an unknown key.
    pub cool_down_seconds: i64,
    /// While the issuer can't be reached, keys are trusted this long after they were
    /// fetched. No token lives longer than an hour, so an issuer that is down that long has
    /// none left to verify.
    pub max_stale_seconds: i64,
    /// Whether a token's place in a status list is looked at.
    pub status: StatusCheck,
    /// A status list is asked for again after its `ttl`, and at most after this.
    pub status_max_age_seconds: i64,
    /// While the issuer can't be reached, a status list is judged by this much longer, but never
    /// beyond its `exp`; then tokens with a status are answered with 503.
    pub status_max_stale_seconds: i64,
    /// Certificates (PEM) of authorities to trust besides the system's.
    pub ca_pem: Option<Vec<u8>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            leeway_seconds: 30,
            min_age_seconds: 30,
            max_age_seconds: 900,
            cool_down_seconds: 10,
            max_stale_seconds: 3660,
            status: StatusCheck::default(),
            status_max_age_seconds: 60,
            status_max_stale_seconds: 30,
            ca_pem: None,
        }
    }
}

impl Options {
    pub(crate) fn leeway(&self) -> i64 {
        self.leeway_seconds.clamp(0, MAX_LEEWAY_SECONDS)
    }

    /// Until when keys fetched `now` with this `max-age` are fresh.
    pub(crate) fn fresh_until(&self, now: Timestamp, max_age: Option<i64>) -> Timestamp {
        let most = self.max_age_seconds.max(1);
        let least = self.min_age_seconds.clamp(1, most);
        now.saturating_add(max_age.unwrap_or(most).clamp(least, most))
    }
}
