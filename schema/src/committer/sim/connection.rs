//! A connection of one node to what stands for the database: the statements of a transaction, in
//! the order that both real backends have from the same macro, each with a journey there and back
//! on which anything may happen.

use super::super::decide::{Batch, BurnKey};
use super::super::ledger::Wanted;
use super::super::statements::{Done, Failure, OTHER_HEADS, StepError, Transactions, transaction_steps};
use super::database::{Broken, Database, Lock, Pending};
use crate::audit::{Anchor, Chain};
use crate::feed::Head;
use crate::ledger::{Entries, Stored};
use crate::rows::{AuditRow, ChangeRow, CounterRow};
use crate::signals::{SignalReachRow, StatusEntryRow};
use crate::write::{Note, Write};
use diesel::QueryResult;
use diesel::result::{DatabaseErrorKind, Error};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// As the server's own.
const LIMIT: Duration = Duration::from_millis(1800);
/// Longest journey of a statement, usually.
const JOURNEY_MS: u64 = 2;

/// One node's way to the database.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub db: Database,
    /// Until when this node is stopped.
    pub paused_until: Arc<Mutex<Option<Instant>>>,
}

impl Site {
    pub fn new(db: Database) -> Self {
        Self { db, paused_until: Arc::new(Mutex::new(None)) }
    }

    /// A stopped node does nothing.
    pub async fn awake(&self) {
        let until = *self.paused_until.lock();
        if let Some(until) = until {
            sleep_until(until).await;
        }
    }
}

/// A transaction under way. Dropped, it is rolled back.
pub(super) struct Connection {
    site: Site,
    id: u64,
    pending: Pending,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.site.db.end(self.id, None);
    }
}

impl Transactions for Site {
    async fn commit(&self, batch: &Arc<Batch>, chain: Chain, at: i64) -> Result<Done, Failure> {
        self.awake().await;
        let Some(id) = self.db.connect() else {
            return Err(Failure::Lost("nobody answers".to_owned()));
        };
        let mut conn = Connection { site: self.clone(), id, pending: Pending::default() };
        let body = async {
            if !(batch.exclusive && self.db.is(Broken::SharedFeed)) {
                conn.lock(Lock::Feed, batch.exclusive).await?;
            }
            steps(&mut conn, batch, chain, at).await
        };
        match timeout(LIMIT, body).await {
            Ok(Ok(done)) if done.wrote => conn.finish(done).await,
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(error.into_failure()),
            Err(_) => Err(Failure::Lost("no answer in time".to_owned())),
        }
    }
}

async fn steps(conn: &mut Connection, batch: &Batch, chain: Chain, at: i64) -> Result<Done, StepError> {
    transaction_steps!(self, conn, batch, chain, at, [.await])
}

fn error(kind: DatabaseErrorKind) -> Error {
    Error::DatabaseError(kind, Box::new("simulated".to_owned()))
}

impl Connection {
    fn db(&self) -> &Database {
        &self.site.db
    }

    /// The journey of a statement: it may take long, and the connection may be gone after it.
    async fn statement(&self) -> QueryResult<()> {
        self.site.awake().await;
        let slow = if self.db().chance.one_in(200) { 900 } else { JOURNEY_MS };
        sleep(self.db().chance.millis(slow)).await;
        loop {
            let hung = self.db().state().hung_until.filter(|until| *until > Instant::now());
            let Some(until) = hung else { break };
            sleep_until(until).await;
        }
        self.site.awake().await;
        self.alive()
    }

    fn alive(&self) -> QueryResult<()> {
        let open = self.db().state().is_open(self.id);
        if open { Ok(()) } else { Err(error(DatabaseErrorKind::ClosedConnection)) }
    }

    async fn lock(&self, lock: Lock, alone: bool) -> QueryResult<()> {
        self.statement().await?;
        loop {
            let freed = self.db().freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.db().state().lock(self.id, &lock, alone) {
                return Ok(());
            }
            freed.await;
            self.alive()?;
        }
    }

    /// Locks rows one after the other, and answers them as they are then.
    async fn lock_rows<T: Clone>(
        &self,
        ids: &BTreeSet<String>,
        lock: fn(String) -> Lock,
        rows: fn(&super::database::Tables) -> &BTreeMap<String, T>,
    ) -> QueryResult<Vec<T>> {
        self.statement().await?;
        let there: Vec<String> = {
            let state = self.db().state();
            ids.iter().filter(|id| rows(&state.tables).contains_key(*id)).cloned().collect()
        };
        if !self.db().is(Broken::NoRowLocks) {
            for id in &there {
                self.lock(lock(id.clone()), true).await?;
            }
        }
        let state = self.db().state();
        Ok(there.iter().filter_map(|id| rows(&state.tables).get(id).cloned()).collect())
    }

    /// The commit goes to the database and is done there, or not, whoever still listens.
    async fn finish(mut self, done: Done) -> Result<Done, Failure> {
        let (db, id, pending) = (self.db().clone(), self.id, std::mem::take(&mut self.pending));
        let (loses, chance) = (db.state().loses, db.chance.clone());
        let (request_lost, answer_lost) = (chance.one_in(loses), chance.one_in(loses));
        let slow = if chance.one_in(50) { 2500 } else { JOURNEY_MS };
        let (there, back) = (chance.millis(slow), chance.millis(JOURNEY_MS));
        let (tell, told) = oneshot::channel();
        let too_soon = db.is(Broken::AnswersTooSoon);
        #[expect(clippy::disallowed_methods, reason = "the simulated database's own, and it ends by itself")]
        tokio::spawn(async move {
            sleep(there).await;
            let was_open = db.state().is_open(id);
            db.end(id, Some(&pending).filter(|_| !request_lost));
            sleep(back).await;
            if was_open && !request_lost && !answer_lost {
                let _ = tell.send(());
            }
        });
        // Its transaction is the database's now.
        self.id = 0;
        if too_soon {
            return Ok(done);
        }
        match timeout(LIMIT, told).await {
            Ok(Ok(())) => {
                self.site.awake().await;
                Ok(done)
            }
            Ok(Err(_)) | Err(_) if self.db().is(Broken::ForksItsChain) => Err(Failure::Lost("simulated".to_owned())),
            Ok(Err(_)) | Err(_) => Err(Failure::Unknown("no answer to the commit".to_owned())),
        }
    }
}

async fn feed_head(conn: &mut Connection) -> QueryResult<Head> {
    conn.statement().await?;
    Ok(Head::from((conn.db().state().tables.head, 0, 0, 0)))
}

async fn changes_between(conn: &mut Connection, after: i64, to: i64) -> QueryResult<Vec<ChangeRow>> {
    conn.statement().await?;
    if conn.db().is(Broken::NoFence) {
        return Ok(Vec::new());
    }
    let state = conn.db().state();
    Ok(state.tables.changes.iter().filter(|change| change.seq > after && change.seq <= to).cloned().collect())
}

async fn burn(conn: &mut Connection, keys: &[BurnKey<'_>]) -> QueryResult<HashSet<Vec<u8>>> {
    let mut won = HashSet::new();
    for (key, _) in keys {
        let broken = conn.db().is(Broken::BurnsTwice);
        if !broken {
            conn.lock(Lock::Burn(key.to_vec()), true).await?;
        }
        if broken || !conn.db().state().tables.burned.contains(*key) {
            won.insert(key.to_vec());
            conn.pending.burned.push(key.to_vec());
        }
    }
    Ok(won)
}

async fn open_books(conn: &mut Connection, mut wanted: Wanted, now: i64) -> QueryResult<Stored> {
    let mut stored = Stored {
        captures: conn.lock_rows(&wanted.captures, Lock::Capture, |tables| &tables.captures).await?,
        ..Stored::default()
    };
    wanted.add_captures(&stored.captures);
    stored.holds = conn.lock_rows(&wanted.holds, Lock::Hold, |tables| &tables.holds).await?;
    wanted.add_holds(&stored.holds);
    stored.carves = conn.lock_rows(&wanted.carves, Lock::Carve, |tables| &tables.carves).await?;
    wanted.add_carves(&stored.carves);
    stored.lines = conn.lock_rows(&wanted.lines, Lock::Line, |tables| &tables.lines).await?;
    let uses = wanted.uses(&stored.lines, now);
    conn.statement().await?;
    {
        let state = conn.db().state();
        let of_lines = state.tables.uses.values().filter(|row| wanted.lines.contains(&row.line_id));
        stored.uses = of_lines.filter(|row| uses.periods.contains(&row.period)).cloned().collect();
        for parent in &wanted.parents {
            let children = state.tables.lines.values().filter(|row| row.parent_id.as_ref() == Some(parent)).count();
            stored.children.push((Some(parent.clone()), i64::try_from(children).unwrap_or(i64::MAX)));
        }
    }
    conn.statement().await?;
    if !conn.db().is(Broken::ForgetsKeys) {
        let state = conn.db().state();
        stored.answers = wanted.keys.iter().filter_map(|key| state.tables.answers.get(key).cloned()).collect();
    }
    Ok(stored)
}

async fn open_counters(conn: &mut Connection, keys: &BTreeSet<&str>, now: i64) -> QueryResult<Vec<CounterRow>> {
    let mut rows = Vec::new();
    for key in keys {
        if !conn.db().is(Broken::NoRowLocks) {
            conn.lock(Lock::Counter((*key).to_owned()), true).await?;
        }
        let new = CounterRow { key: (*key).to_owned(), state: "[]".to_owned(), expires_at: now };
        rows.push(conn.db().state().tables.counters.get(*key).cloned().unwrap_or(new));
    }
    Ok(rows)
}

async fn keep_books(conn: &mut Connection, entries: &Entries) -> QueryResult<()> {
    conn.statement().await?;
    for row in &entries.answers {
        conn.lock(Lock::Answer(row.key_hash.clone()), true).await?;
        let taken = conn.db().state().tables.answers.contains_key(&row.key_hash);
        // Without the look-up the table's key is gone as well, or nothing would be missed.
        if taken && !conn.db().is(Broken::ForgetsKeys) {
            return Err(error(DatabaseErrorKind::UniqueViolation));
        }
    }
    conn.pending.entries = entries.clone();
    Ok(())
}

async fn keep_counters(conn: &mut Connection, rows: &[CounterRow]) -> QueryResult<()> {
    conn.statement().await?;
    conn.pending.counters = rows.to_vec();
    Ok(())
}

/// No simulated work writes rows of its own.
async fn write(_: &mut Connection, _: &Write, _: i64) -> Result<(), StepError> {
    Err(StepError::MissingRow)
}

async fn note(_: &mut Connection, _: &Note) -> QueryResult<()> {
    Err(Error::NotFound)
}

async fn keep_places(_: &mut Connection, _: &[&StatusEntryRow]) -> QueryResult<()> {
    Err(Error::NotFound)
}

async fn keep_reach(_: &mut Connection, _: &BTreeSet<&SignalReachRow>) -> QueryResult<()> {
    Err(Error::NotFound)
}

/// A statement that may fail like any other; what it says nobody here asks.
async fn note_exhausted(conn: &mut Connection, _: &str, _: i64) -> QueryResult<()> {
    conn.statement().await
}

async fn publish(conn: &mut Connection, changes: &[ChangeRow], head: i64) -> QueryResult<()> {
    conn.statement().await?;
    conn.pending.changes = changes.to_vec();
    conn.pending.head = Some(head);
    Ok(())
}

async fn other_heads(conn: &mut Connection) -> QueryResult<Vec<Anchor>> {
    conn.statement().await?;
    let state = conn.db().state();
    let mut writers: Vec<(&String, &i64)> = state.tables.writers.iter().collect();
    writers.sort_by_key(|(_, started_at)| std::cmp::Reverse(**started_at));
    let newest = writers.into_iter().take(usize::try_from(OTHER_HEADS).unwrap_or_default());
    let head = |(writer, _): (&String, &i64)| {
        let of_writer = (writer.clone(), 0)..=(writer.clone(), i64::MAX);
        let ((_, n), row) = state.tables.records.range(of_writer).next_back()?;
        Some(Anchor { writer: writer.clone(), n: *n, hash: row.hash.clone().try_into().ok()? })
    };
    Ok(newest.filter_map(head).collect())
}

async fn open_chain(conn: &mut Connection, writer: &str, at: i64) -> QueryResult<()> {
    conn.statement().await?;
    conn.pending.writer = Some((writer.to_owned(), at));
    Ok(())
}

async fn append(conn: &mut Connection, records: &[AuditRow]) -> QueryResult<()> {
    conn.statement().await?;
    for row in records {
        conn.lock(Lock::Record(row.writer.clone(), row.n), true).await?;
        let taken = conn.db().state().tables.records.contains_key(&(row.writer.clone(), row.n));
        if taken && !conn.db().is(Broken::ForksItsChain) {
            return Err(error(DatabaseErrorKind::UniqueViolation));
        }
    }
    conn.pending.records.extend(records.iter().cloned());
    Ok(())
}
