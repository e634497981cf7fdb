//! The decisions inside a transaction, as pure functions of what the database said: who is
//! stale, who replayed, what is published, what the audit says.
//! Order of use, which both backends share: fence, burns, writes, changes, records.

use super::burns::Burns;
use super::work::{Outcome, Position, Prepared};
use crate::audit::{Anchor, Chain, RecordDraft, WRITER_STARTED, draft_text};
use crate::custody::{Count, Counted, CounterRow, Counters};
use crate::feed::Head;
use crate::ledger::{Answer, Books, Entries, Settled, Spend, Stored};
use crate::rows::{AuditRow, ChangeRow};
use crate::signals::{SignalReachRow, StatusEntryRow};
use crate::write::{Note, Write};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A decision made on a feed further behind than this is made again, not fenced.
pub(super) const MAX_FENCE_SPAN: i64 = 10_000;

/// The threshold, in percent, at which nothing of a line is left.
const USED_UP: u8 = 100;

/// Whole seconds of a time in microseconds.
pub(super) fn seconds(at: i64) -> i64 {
    at.div_euclid(1_000_000)
}

/// Works that go into one transaction.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) works: Vec<Prepared>,
    /// Whether the transaction must hold the feed's lock alone.
    pub(super) exclusive: bool,
}

impl Batch {
    pub(super) fn new(works: Vec<Prepared>) -> Self {
        let exclusive = works.iter().any(Prepared::stands_alone);
        Self { works, exclusive }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Fresh,
    Stale,
    /// By the place of the first burn that was used before.
    Replayed(usize),
    /// The ledger declined, or had answered before, or a count was full: recorded, and nothing
    /// else.
    Answered,
}

/// A key to burn and until when it must be remembered.
pub(super) type BurnKey<'a> = (&'a [u8], i64);

#[derive(Debug)]
pub(super) struct Decision<'a> {
    works: &'a [Prepared],
    verdicts: Vec<Verdict>,
    /// The ledger's answers, for works that asked.
    settled: Vec<Option<Settled>>,
    counted: Vec<Counted>,
    head: Head,
}

impl<'a> Decision<'a> {
    /// Works too far behind to fence, or ahead of the feed (a database restored from a backup),
    /// are stale at once. A work that depends on nothing never is.
    pub(super) fn new(batch: &'a Batch, head: Head) -> Self {
        let verdict = |prepared: &Prepared| {
            let work = &prepared.work;
            let basis = work.basis;
            let behind = head.seq.saturating_sub(basis);
            let pruned = behind > 0 && basis < head.pruned_to;
            if work.deps.is_empty() {
                Verdict::Fresh
            } else if pruned || !(0..=MAX_FENCE_SPAN).contains(&behind) {
                Verdict::Stale
            } else {
                Verdict::Fresh
            }
        };
        let (settled, counted) = (vec![None; batch.works.len()], vec![Counted::default(); batch.works.len()]);
        Self { works: &batch.works, verdicts: batch.works.iter().map(verdict).collect(), settled, counted, head }
    }

    fn with(&self, wanted: Verdict) -> impl Iterator<Item = &'a Prepared> {
        let works: &'a [Prepared] = self.works;
        works
            .iter()
            .zip(self.verdicts.clone())
            .filter_map(move |(prepared, verdict)| (verdict == wanted).then_some(prepared))
    }

    /// The sequence after which changes must be looked at, if any work is behind.
    pub(super) fn fence_from(&self) -> Option<i64> {
        self.with(Verdict::Fresh)
            .filter(|prepared| !prepared.work.deps.is_empty())
            .map(|prepared| prepared.work.basis)
            .filter(|basis| *basis < self.head.seq)
            .min()
    }

    /// Marks works stale that depend on something changed after their basis.
    pub(super) fn fence(&mut self, changes: &[ChangeRow]) {
        let mut newest: HashMap<(&str, &str), i64> = HashMap::with_capacity(changes.len());
        for change in changes {
            let seq = newest.entry((&change.kind, &change.id)).or_default();
            *seq = change.seq.max(*seq);
        }
        for (prepared, verdict) in self.works.iter().zip(&mut self.verdicts) {
            let work = &prepared.work;
            let touched =
                work.deps.iter().any(|dep| newest.get(&(&*dep.kind, &*dep.id)).is_some_and(|seq| *seq > work.basis));
            if touched {
                *verdict = Verdict::Stale;
            }
        }
    }

    /// The keys to burn, each once, in one order everywhere: two nodes that burn the same keys
    /// in different orders would deadlock.
    pub(super) fn burns(&self) -> Vec<BurnKey<'a>> {
        let mut keys = BTreeMap::new();
        for prepared in self.with(Verdict::Fresh) {
            for burn in prepared.work.burn.iter().flat_map(Burns::keys) {
                keys.entry(burn.key_hash.as_slice()).or_insert(burn.expires_at);
            }
        }
        keys.into_iter().collect()
    }

    /// Marks works as replayed unless they are the first with each of their keys, and all of
    /// these were burned just now. A replayed work has used up its other keys nevertheless.
    pub(super) fn burned(&mut self, mut won: HashSet<Vec<u8>>) {
        for (prepared, verdict) in self.works.iter().zip(&mut self.verdicts) {
            let Verdict::Fresh = *verdict else { continue };
            for (place, burn) in prepared.work.burn.iter().flat_map(Burns::keys).enumerate() {
                if !won.remove(burn.key_hash.as_slice()) && *verdict == Verdict::Fresh {
                    *verdict = Verdict::Replayed(place);
                }
            }
        }
    }

    /// What the ledger is asked for.
    pub(super) fn orders(&self) -> impl Iterator<Item = &'a Spend> {
        self.with(Verdict::Fresh).filter_map(|prepared| prepared.work.spend.as_ref())
    }

    /// The counters that works count on, in one order everywhere.
    pub(super) fn counters(&self) -> BTreeSet<&'a str> {
        let counts = self.with(Verdict::Fresh).flat_map(|prepared| &prepared.work.counts);
        counts.map(|count: &Count| count.key.as_str()).collect()
    }

    /// Decides the orders and counts one work after the other, and answers what must be stored.
    /// A work whose order was not done now, or whose count was full, writes and publishes
    /// nothing else.
    pub(super) fn settle(&mut self, stored: Stored, counters: Vec<CounterRow>, now: i64) -> (Entries, Vec<CounterRow>) {
        let (mut books, mut counters) = (Books::open(stored), Counters::open(counters));
        let works = self.works.iter().zip(&mut self.verdicts);
        for (((prepared, verdict), settled), counted) in works.zip(&mut self.settled).zip(&mut self.counted) {
            let Prepared { work, .. } = prepared;
            if *verdict != Verdict::Fresh || (work.spend.is_none() && work.counts.is_empty()) {
                continue;
            }
            // A retry finds the answer of the first: nothing is counted for it.
            let repeats = work.spend.as_ref().is_some_and(|spend| books.knows(spend));
            if !repeats {
                *counted = counters.judge(&work.counts, now);
                if counted.exceeded.is_some() {
                    *verdict = Verdict::Answered;
                    continue;
                }
            }
            if let Some(spend) = &work.spend {
                let answer = books.settle(spend, now);
                if answer.repeated || matches!(answer.answer, Answer::Declined(_)) {
                    *verdict = Verdict::Answered;
                }
                *settled = Some(answer);
            }
            if *verdict == Verdict::Fresh {
                counters.add(&work.counts, now);
            }
        }
        (books.close(), counters.close())
    }

    pub(super) fn writes(&self) -> impl Iterator<Item = &'a Write> {
        self.with(Verdict::Fresh).flat_map(|prepared| &prepared.work.writes)
    }

    /// The places of tokens in status lists: written all at once, because every issue may have one.
    pub(super) fn places(&self) -> Vec<&'a StatusEntryRow> {
        let place = |write: &'a Write| if let Write::Note(Note::Status(row)) = write { Some(row) } else { None };
        self.writes().filter_map(place).collect()
    }

    /// Where there are tokens that something can kill: each once, in one order everywhere.
    pub(super) fn reach(&self) -> BTreeSet<&'a SignalReachRow> {
        let reach = |write: &'a Write| if let Write::Note(Note::Reach(row)) = write { Some(row) } else { None };
        self.writes().filter_map(reach).collect()
    }

    /// The lines of which a step spent the last: each once, in one order everywhere.
    pub(super) fn exhausted(&self) -> BTreeSet<&str> {
        let done = self.verdicts.iter().zip(&self.settled).filter_map(|(verdict, settled)| match settled {
            Some(Settled { answer: Answer::Done(receipt), .. }) if *verdict == Verdict::Fresh => Some(receipt),
            _ => None,
        });
        let told = done.flat_map(|receipt| &receipt.told);
        told.filter(|(_, percent)| *percent == USED_UP).map(|(line, _)| line.as_str()).collect()
    }

    /// All other notes.
    pub(super) fn notes(&self) -> Vec<&'a Note> {
        let note = |write: &'a Write| match write {
            Write::Note(note) if !matches!(note, Note::Status(_) | Note::Reach(_)) => Some(note),
            _ => None,
        };
        let mut notes: Vec<&Note> = self.writes().filter_map(note).collect();
        notes.sort_by(|one, other| one.order().cmp(&other.order()));
        notes
    }

    /// What to publish, numbered from the feed's head on without a gap.
    pub(super) fn changes(&self, at: i64) -> Vec<ChangeRow> {
        self.with(Verdict::Fresh)
            .flat_map(|prepared| &prepared.work.changes)
            .zip(self.head.seq.saturating_add(1)..)
            .map(|(dep, seq)| ChangeRow {
                seq,
                kind: dep.kind.clone().into_owned(),
                id: dep.id.clone(),
                at: seconds(at),
            })
            .collect()
    }

    /// The feed's newest sequence once this transaction commits.
    pub(super) fn new_head(&self) -> i64 {
        let published: usize = self.with(Verdict::Fresh).map(|prepared| prepared.work.changes.len()).sum();
        let published = i64::try_from(published).unwrap_or(i64::MAX);
        self.head.seq.saturating_add(published)
    }

    /// Whether anything is to be recorded: stale works leave no trace.
    pub(super) fn records_anything(&self) -> bool {
        self.verdicts.iter().any(|verdict| *verdict != Verdict::Stale)
    }

    /// Appends the records to `chain`, and answers them with each work's outcome.
    pub(super) fn records(&self, chain: &mut Chain, at: i64) -> (Vec<AuditRow>, Vec<Outcome>) {
        let mut rows = Vec::with_capacity(self.works.len());
        let mut outcomes = Vec::with_capacity(self.works.len());
        let head = self.new_head();
        let works = self.works.iter().zip(&self.verdicts);
        for (((prepared, verdict), settled), counted) in works.zip(&self.settled).zip(&self.counted) {
            let replayed = match verdict {
                Verdict::Stale => {
                    outcomes.push(Outcome::Stale);
                    continue;
                }
                Verdict::Replayed(place) => Some(*place),
                Verdict::Fresh | Verdict::Answered => None,
            };
            let record = &prepared.work.record;
            let members = prepared.members(settled.as_ref(), counted);
            rows.push(AuditRow {
                owner_id: record.owner_id.clone(),
                subject_owner_id: record.subject_owner_id.clone(),
                client_id: record.client_id.clone(),
                jti: record.jti.clone(),
                ..AuditRow::new(chain, at, prepared.draft(replayed, settled.as_ref(), counted, &members))
            });
            let writer = chain.writer.clone();
            let position = Position { writer, n: chain.n };
            outcomes.push(match settled {
                _ if let Some(burn) = replayed => Outcome::Replayed { position, burn },
                _ if let Some(count) = counted.exceeded => Outcome::Exceeded { position, count },
                Some(settled) => Outcome::Settled { head, position, settled: Box::new(settled.clone()) },
                None => Outcome::Committed { head, position },
            });
        }
        (rows, outcomes)
    }
}

/// A writer's first record: it names the heads of other writers, so that a chain cut short
/// contradicts a chain that goes on.
pub(crate) fn opening_record(chain: &mut Chain, at: i64, heads: &[Anchor]) -> AuditRow {
    let mut detail = serde_json::Map::new();
    let heads = heads.iter().map(Anchor::to_value).collect();
    detail.insert("heads".to_owned(), heads);
    let members = draft_text([("", None); 4], &detail);
    let draft = RecordDraft { event: WRITER_STARTED, outcome: "ok", reason: None, members: &members };
    AuditRow::new(chain, at, draft)
}
