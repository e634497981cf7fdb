//! What stands for the database: tables in memory, locks that are held until a transaction ends,
//! and a watch over every commit. READ COMMITTED as PostgreSQL has it: what a statement sees is
//! what had committed when it ran, and a row that is locked is read once its lock is had.

use super::chance::Chance;
use crate::ledger::Entries;
use crate::rows::{
    AuditRow, BudgetAnswerRow, BudgetCaptureRow, BudgetCarveRow, BudgetHoldRow, BudgetLineRow, BudgetUseRow, ChangeRow,
    CounterRow,
};
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The kind of change by which a token is revoked.
pub(super) const TOKEN: &str = "token";
/// What a simulated issue is recorded as.
pub(super) const ISSUED: &str = "token.issued";

/// A guard that is left out, to see that the simulation misses it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Broken {
    /// Nobody looks at what changed since a decision was made.
    NoFence,
    /// Who publishes does not hold the feed's lock alone.
    SharedFeed,
    /// Rows are not locked before they are read.
    NoRowLocks,
    /// A key is burned without looking whether it was.
    BurnsTwice,
    /// What a key was answered is not looked up.
    ForgetsKeys,
    /// A commit is called done when it is sent.
    AnswersTooSoon,
    /// A commit whose end is not known is taken for one that did nothing, and the audit's table
    /// takes a number twice. Either guard is enough: this leaves out both.
    ForksItsChain,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Lock {
    Feed,
    Burn(Vec<u8>),
    Capture(String),
    Hold(String),
    Carve(String),
    Line(String),
    Counter(String),
    Answer(Vec<u8>),
    Record(String, i64),
}

#[derive(Debug, Default)]
pub(super) struct Tables {
    pub head: i64,
    pub changes: Vec<ChangeRow>,
    pub burned: BTreeSet<Vec<u8>>,
    pub lines: BTreeMap<String, BudgetLineRow>,
    pub uses: BTreeMap<(String, i64), BudgetUseRow>,
    pub holds: BTreeMap<String, BudgetHoldRow>,
    pub captures: BTreeMap<String, BudgetCaptureRow>,
    pub carves: BTreeMap<String, BudgetCarveRow>,
    pub answers: BTreeMap<Vec<u8>, BudgetAnswerRow>,
    pub counters: BTreeMap<String, CounterRow>,
    pub writers: BTreeMap<String, i64>,
    pub records: BTreeMap<(String, i64), AuditRow>,
    /// The newest seconds at which anything committed.
    pub last_at: i64,
}

/// What a transaction would write.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub burned: Vec<Vec<u8>>,
    pub entries: Entries,
    pub counters: Vec<CounterRow>,
    pub changes: Vec<ChangeRow>,
    pub head: Option<i64>,
    pub writer: Option<(String, i64)>,
    pub records: Vec<AuditRow>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub tables: Tables,
    /// Who holds a lock, and whether alone.
    locks: BTreeMap<Lock, (bool, BTreeSet<u64>)>,
    /// Whom a transaction waits for.
    waits: BTreeMap<u64, BTreeSet<u64>>,
    pub down: bool,
    pub hung_until: Option<Instant>,
    /// One commit in so many loses its request or its answer.
    pub loses: u64,
    connections: u64,
    open: BTreeSet<u64>,
    /// The ancestors of every token there ever was.
    pub lineage: BTreeMap<String, Vec<String>>,
    pub revoked: BTreeSet<String>,
    pub violations: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Database {
    state: Arc<Mutex<State>>,
    pub freed: Arc<Notify>,
    pub chance: Chance,
    pub broken: Option<Broken>,
}

impl Database {
    pub fn new(chance: Chance, broken: Option<Broken>) -> Self {
        let state = State { loses: 30, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), freed: Arc::new(Notify::new()), chance, broken }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken)
    }

    /// A new connection, if there is somebody to answer.
    pub fn connect(&self) -> Option<u64> {
        let mut state = self.state();
        if state.down {
            return None;
        }
        state.connections += 1;
        let id = state.connections;
        state.open.insert(id);
        Some(id)
    }

    /// Ends all connections, and with them what they had begun.
    pub fn terminate(&self) {
        let mut state = self.state();
        state.open.clear();
        state.locks.clear();
        state.waits.clear();
        drop(state);
        self.freed.notify_waiters();
    }

    /// The end of a transaction, one way or the other.
    pub fn end(&self, id: u64, pending: Option<&Pending>) {
        let mut state = self.state();
        if !state.open.remove(&id) {
            return;
        }
        if let Some(pending) = pending {
            state.apply(pending);
        }
        state.release(id);
        drop(state);
        self.freed.notify_waiters();
    }
}

impl State {
    pub fn is_open(&self, id: u64) -> bool {
        !self.down && self.open.contains(&id)
    }

    pub fn violate(&mut self, what: String) {
        self.violations.push(what);
    }

    /// Whether a transaction has a lock now. Where it must wait for ever, that is a violation.
    pub fn lock(&mut self, id: u64, lock: &Lock, alone: bool) -> bool {
        let (held_alone, holders) = self.locks.entry(lock.clone()).or_default();
        let others: BTreeSet<u64> = holders.iter().copied().filter(|holder| *holder != id).collect();
        if others.is_empty() || !(alone || *held_alone) {
            holders.insert(id);
            *held_alone = alone;
            self.waits.remove(&id);
            return true;
        }
        self.waits.insert(id, others);
        if self.waits_for_itself(id) {
            self.violate(format!("transactions wait for each other in a circle, at {lock:?}"));
        }
        false
    }

    fn waits_for_itself(&self, id: u64) -> bool {
        let mut seen = BTreeSet::new();
        let mut ahead: Vec<u64> = self.waits.get(&id).into_iter().flatten().copied().collect();
        while let Some(next) = ahead.pop() {
            if next == id {
                return true;
            }
            if seen.insert(next) {
                ahead.extend(self.waits.get(&next).into_iter().flatten().copied());
            }
        }
        false
    }

    fn release(&mut self, id: u64) {
        self.waits.remove(&id);
        self.locks.retain(|_, (_, holders)| {
            holders.remove(&id);
            !holders.is_empty()
        });
    }

    /// Whether a token or any of its ancestors is revoked.
    pub fn is_dead(&self, jti: &str) -> bool {
        let ancestors = self.lineage.get(jti).into_iter().flatten().map(String::as_str);
        ancestors.chain([jti]).any(|one| self.revoked.contains(one))
    }

    /// A commit, and all that must be true of it at this very moment.
    fn apply(&mut self, pending: &Pending) {
        self.check_feed(pending);
        self.check_tokens(pending);
        for key in &pending.burned {
            if !self.tables.burned.insert(key.clone()) {
                self.violate("a key was used up twice".to_owned());
            }
        }
        self.keep(&pending.entries);
        let tables = &mut self.tables;
        tables.counters.extend(pending.counters.iter().map(|row| (row.key.clone(), row.clone())));
        tables.changes.extend(pending.changes.iter().cloned());
        tables.head = pending.head.unwrap_or(tables.head);
        tables.writers.extend(pending.writer.clone());
        let revoked = pending.changes.iter().filter(|change| change.kind == TOKEN).map(|change| change.id.clone());
        self.revoked.extend(revoked);
        for row in &pending.records {
            self.tables.last_at = self.tables.last_at.max(row.at);
            if self.tables.records.insert((row.writer.clone(), row.n), row.clone()).is_some() {
                self.violate(format!("record {} of a writer was written twice", row.n));
            }
        }
    }

    fn check_feed(&mut self, pending: &Pending) {
        let expected = (self.tables.head + 1..).take(pending.changes.len());
        if !pending.changes.iter().map(|change| change.seq).eq(expected) {
            self.violate("the feed has a gap, or a number twice".to_owned());
        }
    }

    /// Nothing is issued to the dead, and nothing held for them.
    fn check_tokens(&mut self, pending: &Pending) {
        let issued = pending.records.iter().filter(|row| row.event == ISSUED && row.outcome == "ok");
        let held = pending.entries.new_holds.iter().filter_map(|row| row.jti.as_deref());
        let tokens: Vec<&str> = issued.filter_map(|row| row.jti.as_deref()).chain(held).collect();
        for jti in tokens {
            if self.is_dead(jti) {
                self.violate(format!("{jti} got something after it or an ancestor was revoked"));
            }
        }
    }

    fn keep(&mut self, entries: &Entries) {
        let tables = &mut self.tables;
        tables.lines.extend(entries.new_lines.iter().map(|row| (row.id.clone(), row.clone())));
        tables.uses.extend(entries.uses.iter().map(|row| ((row.line_id.clone(), row.period), row.clone())));
        let holds = entries.new_holds.iter().chain(&entries.holds);
        tables.holds.extend(holds.map(|row| (row.id.clone(), row.clone())));
        let captures = entries.new_captures.iter().chain(&entries.captures);
        tables.captures.extend(captures.map(|row| (row.id.clone(), row.clone())));
        let carves = entries.new_carves.iter().chain(&entries.carves);
        tables.carves.extend(carves.map(|row| (row.line_id.clone(), row.clone())));
        for row in &entries.answers {
            if tables.answers.insert(row.key_hash.clone(), row.clone()).is_some() {
                self.violations.push("a key was answered twice".to_owned());
            }
        }
        for row in &entries.uses {
            let limit = self.tables.lines.get(&row.line_id).map_or(0, |line| line.amount);
            if row.held + row.spent + row.carved > limit || row.held < 0 || row.spent < 0 || row.carved < 0 {
                self.violations.push(format!("{row:?} is beyond {limit}"));
            }
        }
    }
}
