//! This node's view of what changes: the revoked set whole, and what changed lately.
//!
//! The feed's tailer is the only writer. Cached records are judged against the recent
//! changes when they are read, so a record loaded in a race with its own change is
//! never believed.

use crate::limits::{MAX_RECENT_CHANGES, MAX_TTL_SECONDS};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use stipend_schema::{Change, Dep, FeedSink, RevocationRow};
use stipend_token::claims::AccessToken;
use stipend_token::revoked::{RevokedKind, RevokedSet};

#[derive(Debug, Default)]
struct View {
    revoked: RevokedSet,
    /// Newest change by kind and id.
    recent: HashMap<String, HashMap<String, i64>>,
    recent_len: usize,
    /// Records loaded before this sequence can't be judged any more.
    floor: i64,
}

/// The live view of one node.
#[derive(Debug, Default)]
pub struct Live {
    view: RwLock<View>,
    applied: AtomicI64,
    /// The sequence of the newest revocation that was applied.
    newest_revocation: AtomicI64,
    /// Told the kind of each change, to refresh what is not a record (the keyring).
    keys_changed: tokio::sync::Notify,
}

impl Live {
    /// The sequence up to which this view is complete: the basis of a decision.
    #[must_use]
    pub fn applied(&self) -> i64 {
        self.applied.load(Ordering::Acquire)
    }

    /// Whether nothing in `deps` has changed since a record was loaded at `as_of`.
    #[must_use]
    pub fn is_current(&self, deps: &[Dep], as_of: i64) -> bool {
        let view = self.view.read();
        as_of >= view.floor
            && !deps.iter().any(|dep| {
                view.recent
                    .get(dep.kind.as_ref())
                    .and_then(|ids| ids.get(&dep.id))
                    .is_some_and(|changed| *changed > as_of)
            })
    }

    /// Grows with every revocation that this view has applied.
    #[must_use]
    pub fn newest_revocation(&self) -> i64 {
        self.newest_revocation.load(Ordering::Acquire)
    }

    /// Asks the revoked set more than one question about one thing.
    pub fn read_revoked<T>(&self, ask: impl FnOnce(&RevokedSet) -> T) -> T {
        ask(&self.view.read().revoked)
    }

    /// What kills the token, judged by what it says itself.
    #[must_use]
    pub fn kills(&self, token: &AccessToken, kid: &str) -> Option<RevokedKind> {
        self.view.read().revoked.kills(token, kid)
    }

    #[must_use]
    pub fn covers(&self, kind: RevokedKind, value: &str, issued_at: i64) -> bool {
        self.view.read().revoked.covers(kind, value, issued_at)
    }

    /// Entries in the revoked set.
    #[must_use]
    pub fn revoked_len(&self) -> usize {
        self.view.read().revoked.len()
    }

    /// Forgets entries that can match nothing alive.
    pub fn prune(&self, now: i64) -> usize {
        // An entry is kept one token life longer than it says: clocks differ.
        self.view.write().revoked.prune(now.saturating_sub(MAX_TTL_SECONDS))
    }

    /// Waits until a change of the signing keys was applied.
    pub async fn keys_changed(&self) {
        self.keys_changed.notified().await;
    }
}

impl FeedSink for Live {
    fn apply(&self, changes: &[Change], revocations: &[RevocationRow], head: i64) {
        let mut view = self.view.write();
        for row in revocations {
            if let Some(kind) = RevokedKind::parse(&row.kind) {
                view.revoked.add(kind, &row.value, row.issued_before, row.expires_at);
            } else {
                tracing::error!(kind = row.kind, "a revocation of a kind this version does not know");
            }
        }
        if let Some(newest) = revocations.iter().map(|row| row.seq).max() {
            self.newest_revocation.fetch_max(newest, Ordering::AcqRel);
        }
        for change in changes {
            view.note(&change.dep, change.seq);
        }
        // A refill comes in pages with head 0: only its last one says what is complete.
        if view.floor == i64::MAX && head > 0 {
            view.floor = head;
        }
        // Inside the lock: whoever reads `applied` and then the view sees no less.
        self.applied.store(head, Ordering::Release);
        drop(view);
        if changes.iter().any(|change| change.dep.kind == RevokedKind::Key.as_str()) {
            self.keys_changed.notify_waiters();
            self.keys_changed.notify_one();
        }
    }

    fn lost(&self) {
        let mut view = self.view.write();
        view.recent.clear();
        view.recent_len = 0;
        view.floor = i64::MAX;
        // What was revoked stays revoked: the live entries are read again on top.
        drop(view);
        self.keys_changed.notify_one();
    }
}

impl View {
    fn note(&mut self, dep: &Dep, seq: i64) {
        if self.recent_len >= MAX_RECENT_CHANGES {
            self.recent.clear();
            self.recent_len = 0;
            self.floor = seq;
        }
        let ids = self.recent.entry(dep.kind.clone().into_owned()).or_default();
        if ids.insert(dep.id.clone(), seq).is_none() {
            self.recent_len += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(seq: i64, id: &str) -> Change {
        Change { seq, dep: crate::deps::client(id), at: 0 }
    }

    #[test]
    fn a_record_loaded_before_its_change_is_not_current() {
        let live = Live::default();
        let deps = [crate::deps::client("o.a")];
        live.apply(&[change(1, "o.a")], &[], 1);
        assert!(!live.is_current(&deps, 0) && live.is_current(&deps, 1));
        live.apply(&[change(2, "o.b")], &[], 2);
        assert!(live.is_current(&deps, 1), "another's change does not matter");
    }

    #[test]
    fn forgetting_recent_changes_makes_old_records_unbelievable() {
        let live = Live::default();
        let deps = [crate::deps::client("o.a")];
        let many: Vec<Change> =
            (0..=i64::try_from(MAX_RECENT_CHANGES).unwrap()).map(|n| change(n + 1, &format!("x{n}"))).collect();
        live.apply(&many, &[], many.len().try_into().unwrap());
        assert!(!live.is_current(&deps, 0));
        assert!(live.is_current(&deps, live.applied()));
    }

    #[test]
    fn after_the_feed_was_lost_nothing_cached_is_believed_but_revocations_stay() {
        let live = Live::default();
        let row = RevocationRow {
            id: "rev_1".into(),
            seq: 1,
            kind: "client".into(),
            value: "o.a".into(),
            issued_before: None,
            owner_id: None,
            expires_at: 1000,
            reason: String::new(),
            severity: "high".into(),
            revoked_by: "x".into(),
            created_at: 0,
        };
        live.apply(&[], &[row], 5);
        live.lost();
        assert!(!live.is_current(&[], 5) && live.covers(RevokedKind::Client, "o.a", 1));
        live.apply(&[], &[], 0);
        assert!(!live.is_current(&[], 6), "a page of the refill does not make old records good");
        live.apply(&[], &[], 7);
        assert!(live.is_current(&[], 7) && !live.is_current(&[], 6));
    }
}
