//! Secrets that were proved on some node, for all nodes to know: a guesser must not be able to
//! hold up who knows the secret, not even on a node that has never seen it.
//!
//! A mark proves nothing. It is a MAC under a key of the deployment, and lets its secret pass the
//! brake on failures to where it is proved as always.

use crate::limits::{MAX_PROVED_QUESTIONS, PROVED_NOTED_SECONDS, PROVED_SECONDS};
use crate::records::ClientSecret;
use crate::store::Store;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use stipend_keys::{ProcessMac, Secret};
use stipend_schema::rates;
use tokio::sync::Semaphore;

const PURPOSE: &[u8] = b"stipend proved secrets v1";

#[derive(Debug)]
pub struct Marks {
    mac: ProcessMac,
    store: Arc<Store>,
    questions: Semaphore,
}

impl Marks {
    #[must_use]
    pub fn new(deployment: &Secret<[u8; 32]>, store: Arc<Store>) -> Self {
        Self { mac: ProcessMac::derive(deployment, PURPOSE), store, questions: Semaphore::new(MAX_PROVED_QUESTIONS) }
    }

    fn mark(&self, id: &str, secret: &Secret<String>) -> String {
        URL_SAFE_NO_PAD.encode(self.mac.mac(&[id.as_bytes(), secret.expose().as_bytes()]))
    }

    /// Notes that a secret was proved, now and then; the request does not wait for it.
    pub(super) fn note(&self, stored: &ClientSecret, id: &str, secret: &Secret<String>, now: i64) {
        let noted = stored.noted.load(Ordering::Relaxed);
        let due = now.saturating_sub(noted) >= PROVED_NOTED_SECONDS || noted > now;
        if !due || stored.noted.compare_exchange(noted, now, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let (db, mark) = (self.store.db().clone(), self.mark(id, secret));
        self.store.background(async move {
            if let Err(error) = rates::mark_proved(&db, &mark, now.saturating_add(PROVED_SECONDS)).await {
                tracing::debug!(%error, "that a secret was proved could not be noted");
            }
        });
    }

    /// Whether a secret was proved, as far as anybody can tell.
    pub async fn knows(&self, id: &str, secret: &Secret<String>, now: i64) -> bool {
        let (db, mark) = (self.store.db().clone(), self.mark(id, secret));
        let Ok(_turn) = self.questions.acquire().await else { return false };
        matches!(self.store.run(async move { rates::is_proved(&db, &mark, now).await }).await, Ok(Ok(true)))
    }

    /// From now on it is like any other.
    pub(super) async fn forget(&self, id: &str, secret: &Secret<String>) {
        let (db, mark) = (self.store.db().clone(), self.mark(id, secret));
        if let Ok(Err(error)) = self.store.run(async move { rates::forget_proved(&db, &mark).await }).await {
            tracing::debug!(%error, "that a secret is good no more could not be noted");
        }
    }
}
