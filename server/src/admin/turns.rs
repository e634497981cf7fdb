//! Changes of the same thing wait for one another on a node.
//!
//! The fence alone keeps them exact, but under contention it lets one of many through and
//! sends the others back to decide again. Taking turns costs them nothing. Never a promise:
//! another node's changes are not waited for.

use super::problem::Refusal;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

/// Things that share a turn do so by accident: more stripes, fewer accidents.
const STRIPES: usize = 64;
/// Longest wait for one's turn; 503 beyond.
const MAX_WAIT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Turns {
    stripes: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Default for Turns {
    fn default() -> Self {
        Self { stripes: std::iter::repeat_with(Mutex::default).take(STRIPES).collect(), hasher: RandomState::new() }
    }
}

impl Turns {
    /// Waits for the turn of `name`.
    ///
    /// # Errors
    /// 503 when it does not come in time.
    pub async fn take(&self, name: &str) -> Result<MutexGuard<'_, ()>, Refusal> {
        let hash = usize::try_from(self.hasher.hash_one(name) >> 32).unwrap_or_default();
        let stripe = self.stripes.get(hash % STRIPES).ok_or_else(Refusal::internal)?;
        tokio::time::timeout(MAX_WAIT, stripe.lock()).await.map_err(|_| Refusal::unavailable())
    }
}
