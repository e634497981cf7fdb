//! The committer's loop: gather, commit, answer. One transaction at a time, because a chain
//! has one writer; while it runs, the next batch gathers by itself, so nothing waits on purpose.

use super::decide::Batch;
use super::statements::{Done, Failure, Transactions};
use super::watch::{CommitWatch, Declined, Told, TransactionReport, declined};
use super::work::{Outcome, Prepared};
use super::{Clock, CommitterConfig};
use crate::audit::Chain;
use crate::db::DbError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use ring::rand::SecureRandom;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

/// Most works in one transaction.
const MAX_BATCH: usize = 512;
/// How long after a batch began its works may still be tried again. A database that refuses
/// quickly refuses something particular; one that takes its time is in trouble, and the
/// submitters are about to give up.
const RETRY_WITHIN: Duration = Duration::from_millis(800);
const WRITER_ID_BYTES: usize = 20;

#[derive(Debug)]
pub(super) struct Job {
    pub(super) prepared: Prepared,
    pub(super) answer: oneshot::Sender<(Outcome, Told)>,
    /// Since when it waits, if anybody measures.
    pub(super) since: Option<std::time::Instant>,
    /// When its submitter stops waiting: it is begun before that, or not at all.
    pub(super) until: Instant,
}

/// Whom to answer.
struct Waiting {
    answer: oneshot::Sender<(Outcome, Told)>,
    queued: Option<Duration>,
}

impl From<Job> for (Prepared, Waiting) {
    fn from(job: Job) -> Self {
        let queued = job.since.map(|since| since.elapsed());
        (job.prepared, Waiting { answer: job.answer, queued })
    }
}

pub(super) struct Runner<T> {
    db: T,
    clock: Clock,
    jobs: mpsc::Receiver<Job>,
    stop: Arc<Notify>,
    published: Option<Arc<watch::Sender<i64>>>,
    /// Taken from the queue, to be committed alone.
    next: Option<Job>,
    chain: Chain,
    watch: Option<Arc<dyn CommitWatch>>,
    /// A copy of the chain, for those who sign checkpoints of it.
    head: Arc<Mutex<Chain>>,
}

impl<T: Transactions> Runner<T> {
    pub(super) fn new(
        db: T,
        clock: Clock,
        jobs: mpsc::Receiver<Job>,
        stop: Arc<Notify>,
        config: &CommitterConfig,
    ) -> Result<Self, DbError> {
        let chain = Chain::new(new_writer_id()?);
        let head = Arc::new(Mutex::new(chain.clone()));
        let (published, watch) = (config.published.clone(), config.watch.clone());
        Ok(Self { db, clock, jobs, stop, published, next: None, watch, head, chain })
    }

    pub(super) fn head(&self) -> Arc<Mutex<Chain>> {
        Arc::clone(&self.head)
    }

    pub(super) async fn run(mut self) {
        loop {
            let first = match self.next.take() {
                Some(job) => job,
                None => match self.receive().await {
                    Some(job) => job,
                    None => return,
                },
            };
            let (works, answers) = self.gather(first);
            if works.is_empty() {
                continue;
            }
            let publishes = works.iter().any(|prepared| !prepared.work.changes.is_empty());
            let (outcomes, declined) = self.commit(works).await;
            if publishes {
                self.tell(&outcomes);
            }
            let declined = declined.into_iter().chain(std::iter::repeat(None));
            for ((waiting, outcome), declined) in answers.into_iter().zip(outcomes).zip(declined) {
                // The submitter may be gone; its work is committed all the same.
                let _ = waiting.answer.send((outcome, Told { queued: waiting.queued, declined }));
            }
        }
    }

    /// Tells the newest head, whoever submitted and whether they still wait.
    fn tell(&self, outcomes: &[Outcome]) {
        let head = |outcome: &Outcome| match outcome {
            Outcome::Committed { head, .. } | Outcome::Settled { head, .. } => Some(*head),
            _ => None,
        };
        if let (Some(published), Some(head)) = (&self.published, outcomes.iter().filter_map(head).max()) {
            published.send_if_modified(|known| {
                let newer = head > *known;
                *known = head.max(*known);
                newer
            });
        }
    }

    async fn receive(&mut self) -> Option<Job> {
        tokio::select! {
            // Stopping first: under constant load there is always another job.
            biased;
            () = self.stop.notified() => {}
            job = self.jobs.recv() => return job,
        }
        self.jobs.close();
        self.jobs.recv().await
    }

    /// What waits now and may share a transaction, in order of arrival; nothing of what has
    /// waited too long.
    fn gather(&mut self, first: Job) -> (Vec<Prepared>, Vec<Waiting>) {
        let now = Instant::now();
        let (mut works, mut answers) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(job) = next.take() {
            if job.until <= now {
                // Submitters have gone by then; this is for those that are about to.
                let _ = job.answer.send((Outcome::Unavailable, Told::default()));
            } else if job.prepared.stands_alone() {
                if works.is_empty() {
                    let (prepared, waiting) = job.into();
                    works.push(prepared);
                    answers.push(waiting);
                } else {
                    self.next = Some(job);
                }
                break;
            } else {
                let (prepared, waiting) = job.into();
                works.push(prepared);
                answers.push(waiting);
            }
            if works.len() < MAX_BATCH {
                next = self.jobs.try_recv().ok();
            }
        }
        (works, answers)
    }

    /// One outcome per work, in order; and, where anybody measures, what the ledger declined of
    /// those that were committed together.
    async fn commit(&mut self, works: Vec<Prepared>) -> (Vec<Outcome>, Vec<Option<Declined>>) {
        let began = Instant::now();
        let batch = Arc::new(Batch::new(works));
        let mut result = self.attempt(&batch).await;
        if matches!(result, Err(Failure::Lost(_))) && began.elapsed() < RETRY_WITHIN {
            // A connection that died while idle shows at its first use; nothing was stored.
            result = self.attempt(&batch).await;
        }
        let count = batch.works.len();
        match result {
            Ok(outcomes) => {
                let declined = match &self.watch {
                    Some(_) => {
                        batch.works.iter().zip(&outcomes).map(|(work, outcome)| declined(work, outcome)).collect()
                    }
                    None => Vec::new(),
                };
                (outcomes, declined)
            }
            Err(Failure::Refused(what)) if count > 1 => {
                tracing::warn!(what, count, "a batch was refused, trying its works alone");
                (self.commit_each(batch, began).await, Vec::new())
            }
            Err(failure) => (vec![outcome_of(&failure); count], Vec::new()),
        }
    }

    /// One work that the database refuses must not fail the others it was gathered with.
    async fn commit_each(&mut self, batch: Arc<Batch>, began: Instant) -> Vec<Outcome> {
        let Ok(batch) = Arc::try_unwrap(batch) else {
            return Vec::new();
        };
        let mut outcomes = Vec::with_capacity(batch.works.len());
        for prepared in batch.works {
            if began.elapsed() > RETRY_WITHIN {
                outcomes.push(Outcome::Unavailable);
                continue;
            }
            let alone = Arc::new(Batch::new(vec![prepared]));
            match self.attempt(&alone).await {
                Ok(mut one) => outcomes.push(one.pop().unwrap_or(Outcome::Unavailable)),
                Err(failure) => outcomes.push(outcome_of(&failure)),
            }
        }
        outcomes
    }

    /// One transaction. The chain moves on only when it committed.
    async fn attempt(&mut self, batch: &Arc<Batch>) -> Result<Vec<Outcome>, Failure> {
        let at = (self.clock)();
        let chain = self.chain.clone();
        let began = self.watch.as_ref().map(|_| std::time::Instant::now());
        let done = self.db.commit(batch, chain, at).await;
        if let (Some(watch), Some(began)) = (&self.watch, began) {
            let (works, committed) = (batch.works.len(), done.is_ok());
            watch.transaction(&TransactionReport { works, took: began.elapsed(), committed });
        }
        match done {
            Ok(Done { outcomes, chain, wrote }) => {
                if wrote {
                    self.head.lock().clone_from(&chain);
                    self.chain = chain;
                }
                Ok(outcomes)
            }
            Err(failure) => {
                self.note(&failure);
                Err(failure)
            }
        }
    }

    fn note(&mut self, failure: &Failure) {
        match failure {
            Failure::Conflict | Failure::Invalid(_) => {}
            Failure::Refused(what) => tracing::error!(what, "a commit was refused"),
            Failure::Lost(what) => tracing::warn!(what, "the database is out of reach"),
            Failure::Unknown(what) => {
                tracing::warn!(what, "a commit's outcome is unknown, starting a new writer");
                // Going on with the old chain could fork it. Without randomness the old chain
                // stays, and the primary key refuses a fork.
                if let Ok(writer) = new_writer_id() {
                    self.chain = Chain::new(writer);
                }
            }
        }
    }
}

fn outcome_of(failure: &Failure) -> Outcome {
    match failure {
        Failure::Conflict => Outcome::Conflict,
        Failure::Invalid(what) => Outcome::Invalid(what),
        Failure::Refused(_) | Failure::Lost(_) | Failure::Unknown(_) => Outcome::Unavailable,
    }
}

pub(crate) fn new_writer_id() -> Result<String, DbError> {
    let mut bytes = [0; WRITER_ID_BYTES];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| DbError::Unavailable("the system gives no random bytes".to_owned()))?;
    Ok(format!("w_{}", URL_SAFE_NO_PAD.encode(bytes)))
}
