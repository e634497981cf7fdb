//! What is handed to the committer and what comes back.
//! A work is data: decided by the caller on a snapshot it names (`basis`), checked here as far
//! as it can be without the database. It holds no secret: all of it may end up in a table.

use super::burns::Burns;
use crate::audit::{RecordDraft, draft_text};
use crate::change::Dep;
use crate::custody::{Count, Counted};
use crate::ledger::{Answer, Settled, Spend};
use crate::write::Write;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Most things one decision may depend on.
pub const MAX_DEPS: usize = 1024;
/// Most rows one work may write, and most changes it may publish.
pub const MAX_WRITES: usize = 4096;
/// Most counters that one work may count on.
pub const MAX_COUNTS: usize = 64;
/// Longest part of an audit record that comes from its draft, in bytes.
pub const MAX_RECORD_BYTES: usize = 32 * 1024;

/// What the audit will say. It is recorded if and only if the work commits.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditDraft {
    pub event: &'static str,
    pub outcome: &'static str,
    pub reason: Option<&'static str>,
    /// The reason of the refusal recorded instead when a burn without one of its own was used
    /// before.
    pub on_replay: Option<&'static str>,
    pub owner_id: Option<String>,
    pub subject_owner_id: Option<String>,
    pub client_id: Option<String>,
    pub jti: Option<String>,
    pub detail: Map<String, Value>,
}

/// One unit to commit whole or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// Feed sequence up to which the caller's view was complete when it decided.
    pub basis: i64,
    /// Everything the decision read that may change. With none, `basis` does not matter.
    pub deps: Vec<Dep>,
    /// What is used up with it, whatever the outcome, unless it is stale.
    pub burn: Option<Burns>,
    /// A step of the ledger, decided inside the transaction; declined, it is recorded as a
    /// refusal, and what else the work would write is not written.
    pub spend: Option<Spend>,
    /// What is counted, all or nothing, with the step of the ledger: where one has no room the
    /// work is recorded as a refusal, and nothing else of it is done.
    pub counts: Vec<Count>,
    pub writes: Vec<Write>,
    /// What this work changes, for other decisions' `deps` and for the nodes' caches.
    pub changes: Vec<Dep>,
    pub record: AuditDraft,
}

impl Work {
    /// One that records, leaning on nothing and changing nothing: what a decision adds to it is
    /// said beside it.
    #[must_use]
    pub fn recording(basis: i64, record: AuditDraft) -> Self {
        Self {
            basis,
            deps: Vec::new(),
            burn: None,
            spend: None,
            counts: Vec::new(),
            writes: Vec::new(),
            changes: Vec::new(),
            record,
        }
    }
}

/// Where a record stands in the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub writer: String,
    pub n: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Durable. `head` is the feed's newest sequence as of this commit.
    Committed { head: i64, position: Position },
    /// Something in `deps` changed after `basis`: nothing was written, decide again.
    Stale,
    /// Durable, with the ledger's answer: the step was done, or declined, or both before.
    Settled { head: i64, position: Position, settled: Box<Settled> },
    /// A count was full, by its place in the work: only the refusal was recorded.
    Exceeded { position: Position, count: usize },
    /// A burn was used before, by its place among them: only the refusal was recorded.
    Replayed { position: Position, burn: usize },
    /// A row was there already, was missing, or is still referred to: nothing was written.
    Conflict,
    /// The work can never be committed as it is: nothing was written.
    Invalid(&'static str),
    /// Not acknowledged: it may have been stored (if the fault came at the commit) or not.
    Unavailable,
}

/// A checked work, with the audit text that doesn't depend on its place.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) work: Work,
    members: String,
}

impl Prepared {
    pub(super) fn new(work: Work) -> Result<Self, &'static str> {
        check_sizes(&work)?;
        check_texts(&work)?;
        let publishes = !work.changes.is_empty();
        if let Some(fault) = work.burn.as_ref().and_then(Burns::fault) {
            return Err(fault);
        }
        if let Some(fault) = work.writes.iter().find_map(|write| write.fault(publishes)) {
            return Err(fault);
        }
        let draft = &work.record;
        let columns = [
            ("owner_id", draft.owner_id.as_deref()),
            ("subject_owner_id", draft.subject_owner_id.as_deref()),
            ("client_id", draft.client_id.as_deref()),
            ("jti", draft.jti.as_deref()),
        ];
        let members = draft_text(columns, &draft.detail);
        if members.len() > MAX_RECORD_BYTES {
            return Err("the audit record is too long");
        }
        Ok(Self { work, members })
    }

    /// Works that write rows or publish may conflict, or must hold the feed's lock: each commits
    /// in a transaction of its own.
    pub(super) fn stands_alone(&self) -> bool {
        let conflicts = |write: &Write| !matches!(write, Write::Note(_));
        self.work.writes.iter().any(conflicts) || !self.work.changes.is_empty()
    }

    /// The record's text but its place: with what the ledger answered, and which limits that
    /// are only observed were full.
    pub(super) fn members(&self, settled: Option<&Settled>, counted: &Counted) -> Cow<'_, str> {
        let mut members = Cow::Borrowed(self.members.as_str());
        // Plain structs of strings and integers: writing them can't fail.
        if let Some(answer) = settled.and_then(|settled| serde_json::to_string(&settled.answer).ok()) {
            members.to_mut().push_str(&format!(",\"ledger\":{answer}"));
        }
        if !counted.observed.is_empty()
            && let Ok(observed) = serde_json::to_string(&counted.observed)
        {
            members.to_mut().push_str(&format!(",\"would_exceed\":{observed}"));
        }
        members
    }

    /// The record to store: as drafted, or as a refusal.
    pub(super) fn draft<'a>(
        &'a self,
        replayed: Option<usize>,
        settled: Option<&Settled>,
        counted: &Counted,
        members: &'a str,
    ) -> RecordDraft<'a> {
        let record = &self.work.record;
        let exceeded = counted.exceeded.and_then(|place| self.work.counts.get(place));
        let (outcome, reason) = match settled {
            _ if let Some(place) = replayed => {
                let own = self.work.burn.as_ref().and_then(|burns| burns.reason(place));
                ("refused", Some(own.or(record.on_replay).unwrap_or("replayed")))
            }
            _ if exceeded.is_some() => ("refused", exceeded.map(|count| count.reason)),
            Some(Settled { answer: Answer::Declined(refusal), .. }) => ("refused", Some(refusal.as_str())),
            Some(Settled { repeated: true, .. }) => ("repeated", None),
            Some(_) | None => (record.outcome, record.reason),
        };
        RecordDraft { event: record.event, outcome, reason, members }
    }
}

fn check_sizes(work: &Work) -> Result<(), &'static str> {
    if work.deps.len() > MAX_DEPS {
        return Err("too many dependencies");
    }
    if work.counts.len() > MAX_COUNTS {
        return Err("too many counts");
    }
    if work.writes.len() > MAX_WRITES || work.changes.len() > MAX_WRITES {
        return Err("too many writes");
    }
    Ok(())
}

fn check_texts(work: &Work) -> Result<(), &'static str> {
    let record = &work.record;
    let columns = [&record.owner_id, &record.subject_owner_id, &record.client_id, &record.jti];
    let has_nul = |text: &str| text.contains('\0');
    let nul = columns.into_iter().flatten().any(|text| has_nul(text))
        || (work.changes.iter()).any(|dep| has_nul(&dep.kind) || has_nul(&dep.id))
        || work.counts.iter().any(|count| has_nul(&count.key))
        || work.spend.as_ref().is_some_and(Spend::has_nul)
        || work.writes.iter().any(Write::has_nul);
    if nul {
        return Err("text contains U+0000");
    }
    Ok(())
}
