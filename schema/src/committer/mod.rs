//! The commit pipeline of one node: works from many requests go into few transactions, each
//! with the fence, the burns, the writes, the published changes and the audit records of its
//! works, all or nothing. The only writer of those tables.
//! It must never answer before the commit, never let one work's fault fail another, and never
//! drop a work because the request that submitted it is gone. A work that has waited so long that
//! its submitter was told so is not begun any more: when more is asked for than can be done, what
//! is done should be of use to somebody.

mod burns;
mod custody;
mod decide;
mod ledger;
mod lite;
mod pg;
mod pg_bulk;
mod pg_ledger;
mod run;
#[cfg(test)]
mod sim;
mod statements;
mod watch;
mod work;

pub use burns::{Burn, Burns, MAX_BURNS};
pub(crate) use decide::opening_record;
pub(crate) use pg::FEED_LOCK;
pub(crate) use run::new_writer_id;
pub use watch::{CommitWatch, Declined, TransactionReport, WorkReport};
pub use work::{AuditDraft, Outcome, Position, Work};

use crate::audit::Chain;
use crate::db::{Db, DbError};
use crate::feed::TailerHandle;
use parking_lot::Mutex;
use run::{Job, Runner};
use statements::Transactions;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use watch::Told;
use work::Prepared;

/// Works that may wait for a transaction; one more is answered unavailable.
pub const QUEUE_LIMIT: usize = 8192;

/// Microseconds since the epoch.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

#[derive(Debug, Clone)]
pub struct CommitterConfig {
    /// This node's tailer: a work that publishes is answered once the node has seen it itself.
    pub tailer: Option<TailerHandle>,
    /// Longest wait of a submitter, whatever the database does.
    pub answer_timeout: Duration,
    /// Told the feed's head after every commit that published, to wake other nodes.
    pub published: Option<Arc<tokio::sync::watch::Sender<i64>>>,
    /// Told how works fare.
    pub watch: Option<Arc<dyn CommitWatch>>,
}

impl Default for CommitterConfig {
    fn default() -> Self {
        Self { tailer: None, answer_timeout: Duration::from_secs(2), published: None, watch: None }
    }
}

/// Starts committers.
#[derive(Debug)]
pub struct Committer;

/// Where works are submitted; clones share one committer.
#[derive(Debug, Clone)]
pub struct CommitterHandle {
    queue: mpsc::Sender<Job>,
    config: Arc<CommitterConfig>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
    stop: Arc<tokio::sync::Notify>,
    head: Arc<Mutex<Chain>>,
}

impl Committer {
    /// Starts the committer's task on the current runtime.
    pub fn start(db: Db, config: CommitterConfig, clock: Clock) -> Result<CommitterHandle, DbError> {
        Self::start_on(db, config, clock)
    }

    fn start_on(db: impl Transactions, config: CommitterConfig, clock: Clock) -> Result<CommitterHandle, DbError> {
        let (queue, jobs) = mpsc::channel(QUEUE_LIMIT);
        let stop = Arc::new(tokio::sync::Notify::new());
        let runner = Runner::new(db, clock, jobs, Arc::clone(&stop), &config)?;
        let head = runner.head();
        #[expect(clippy::disallowed_methods, reason = "the committer's own task, owned by its handle")]
        let task = tokio::spawn(runner.run());
        Ok(CommitterHandle { queue, config: Arc::new(config), task: Arc::new(Mutex::new(Some(task))), stop, head })
    }
}

impl CommitterHandle {
    /// Commits `work`. Answers within the configured limit; dropping the future does not take
    /// the work back.
    pub async fn submit(&self, work: Work) -> Outcome {
        let Some(watch) = &self.config.watch else { return self.commit(work).await.0 };
        let began = Instant::now();
        let ledger = work.spend.is_some();
        let (outcome, told) = self.commit(work).await;
        let Told { queued, declined } = told;
        watch.work(&WorkReport { took: began.elapsed(), queued, ledger, outcome: &outcome, declined });
        outcome
    }

    async fn commit(&self, work: Work) -> (Outcome, Told) {
        let publishes = !work.changes.is_empty();
        let prepared = match Prepared::new(work) {
            Ok(prepared) => prepared,
            Err(what) => return (Outcome::Invalid(what), Told::default()),
        };
        let (answer, answered) = oneshot::channel();
        let since = self.config.watch.as_ref().map(|_| Instant::now());
        let until = tokio::time::Instant::now() + self.config.answer_timeout;
        if self.queue.try_send(Job { prepared, answer, since, until }).is_err() {
            return (Outcome::Unavailable, Told::default());
        }
        let (outcome, told) = match tokio::time::timeout_at(until, answered).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) | Err(_) => return (Outcome::Unavailable, Told::default()),
        };
        if let (true, Outcome::Committed { head, .. }, Some(tailer)) = (publishes, &outcome, &self.config.tailer) {
            // Read your own writes. It is stored whether or not this node has caught up, so a
            // tailer that lags changes nothing in the answer.
            tailer.catch_up_to(*head).await;
        }
        (outcome, told)
    }

    /// Works that wait for a transaction.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity().saturating_sub(self.queue.capacity())
    }

    /// Whether works are still taken.
    pub fn is_running(&self) -> bool {
        !self.queue.is_closed()
    }

    /// Where this node's audit chain stands, as of the newest commit.
    pub fn audit_head(&self) -> Chain {
        self.head.lock().clone()
    }

    /// Takes no more works, commits those that wait, and returns when all are answered.
    pub async fn shutdown(&self) {
        let task = self.task.lock().take();
        self.stop.notify_one();
        if let Some(task) = task {
            // A task that panicked has nothing left to drain.
            let _ = task.await;
        }
    }
}
