//! When keys come and go: a pure plan over the stored records.
//!
//! A successor is published `publish_ahead_seconds` before it signs, so that every
//! cache of the document has it by then. The old key keeps its place until the
//! successor *has* taken over, and is published for `retire_after_seconds` more, so
//! that every token it signed verifies to its end. **No plan leaves a second without
//! a signing key**: late or failed planning makes a key sign longer, never not at
//! all. The caller applies a plan in one transaction that reads the records itself.

use stipend_token::Timestamp;

use crate::alg::Algorithm;
use crate::keyring::{KeyRecord, KeyringError, OPEN_ENDED};

/// How signing keys rotate. All durations in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotationPolicy {
    /// Of the next key. A change starts a rotation at once.
    pub algorithm: Algorithm,
    /// How long a key signs.
    pub period_seconds: i64,
    /// How long a key is published before it signs: at least the document's `max-age`.
    pub publish_ahead_seconds: i64,
    /// How long a key is published after it signed.
    pub retire_after_seconds: i64,
}

impl RotationPolicy {
    /// Whether tokens of this life verify to their end, and rotations don't overlap.
    pub fn check(&self, max_token_seconds: i64, leeway_seconds: i64) -> Result<(), KeyringError> {
        if self.publish_ahead_seconds < 0 || self.period_seconds <= self.publish_ahead_seconds {
            return Err(KeyringError::Policy("the period must be longer than the time a key is published ahead"));
        }
        if self.retire_after_seconds < max_token_seconds.saturating_add(leeway_seconds) {
            return Err(KeyringError::Policy("keys must stay published for the longest token life plus leeway"));
        }
        Ok(())
    }
}

/// A key to make and store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewKey {
    pub algorithm: Algorithm,
    pub publish_at: Timestamp,
    pub activate_at: Timestamp,
    pub retire_at: Timestamp,
    pub remove_at: Timestamp,
}

/// New times for a stored key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    pub kid: String,
    pub activate_at: Timestamp,
    pub retire_at: Timestamp,
    pub remove_at: Timestamp,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    pub create: Option<NewKey>,
    pub changes: Vec<KeyChange>,
}

/// What the policy asks for at `now`; `None` when nothing is to be done. Applying a
/// plan and planning again at the same second yields `None`.
pub fn plan(records: &[KeyRecord], policy: &RotationPolicy, now: Timestamp) -> Option<Plan> {
    let trusted = || {
        let alive = records.iter().filter(|record| record.distrusted_at.is_none());
        alive.filter(|record| now < record.remove_at)
    };
    let age = |record: &&KeyRecord| (record.activate_at, record.kid.clone());
    let current = trusted().filter(|record| record.may_sign(now)).max_by_key(age);
    let pending = trusted().filter(|record| now < record.activate_at).min_by_key(age);

    let mut plan = Plan::default();
    match (current, pending) {
        (None, None) => plan.create = Some(new_key(policy, now, now)),
        // The signing key was distrusted: its successor steps in early.
        (None, Some(pending)) => plan.changes.push(KeyChange {
            kid: pending.kid.clone(),
            activate_at: now,
            retire_at: pending.retire_at,
            remove_at: pending.remove_at,
        }),
        (Some(current), None) => {
            let ahead = now.saturating_add(policy.publish_ahead_seconds);
            let due = current.activate_at.saturating_add(policy.period_seconds);
            if current.alg != policy.algorithm || due <= ahead {
                plan.create = Some(new_key(policy, now, ahead));
            }
        }
        (Some(_), Some(_)) => {}
    }
    if let Some(current) = current {
        let superseded = trusted().filter(|record| record.may_sign(now) && record.kid != current.kid);
        plan.changes.extend(superseded.map(|record| KeyChange {
            kid: record.kid.clone(),
            activate_at: record.activate_at,
            retire_at: current.activate_at,
            // Counted from now: a node that had not yet seen the successor may have
            // signed with the old key until this moment.
            remove_at: now.saturating_add(policy.retire_after_seconds),
        }));
    }
    (plan != Plan::default()).then_some(plan)
}

/// The same for a deployment that signs some things with another algorithm than tokens: with
/// `beside`, the keys of that algorithm rotate by themselves. None of the two takes the other's
/// place, but that the first key of the tokens' algorithm succeeds whatever signed before.
pub fn plans(records: &[KeyRecord], policy: &RotationPolicy, beside: Option<Algorithm>, now: Timestamp) -> Vec<Plan> {
    let Some(beside) = beside.filter(|algorithm| *algorithm != policy.algorithm) else {
        return plan(records, policy, now).into_iter().collect();
    };
    let (apart, own): (Vec<_>, Vec<_>) = records.iter().cloned().partition(|record| record.alg == beside);
    // Distrusted or not: once one has signed, those beside never step in for it.
    let began = own.iter().any(|record| record.activate_at <= now);
    let tokens = plan(if began || apart.is_empty() { &own } else { records }, policy, now);
    let others = plan(&apart, &RotationPolicy { algorithm: beside, ..*policy }, now);
    tokens.into_iter().chain(others).collect()
}

const fn new_key(policy: &RotationPolicy, publish_at: Timestamp, activate_at: Timestamp) -> NewKey {
    NewKey { algorithm: policy.algorithm, publish_at, activate_at, retire_at: OPEN_ENDED, remove_at: OPEN_ENDED }
}
