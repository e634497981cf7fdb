//! Follows the feed for one node and feeds its caches through a [`FeedSink`].
//! Says how fresh the node is, by a monotonic clock and from the *start* of the last poll that
//! succeeded: what a paused node holds is old the moment it wakes.
//! It must never report a sequence as applied before the sink has applied it.

use super::{FEED_PAGE, Head, changes_since, live_revocations, load_head, revocations_between};
use crate::change::Change;
use crate::db::{Db, DbError};
use crate::recovery;
use crate::rows::RevocationRow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

const MICROS: i64 = 1_000_000;

/// What a node does with what it learns. Called from one task, in order of the feed.
pub trait FeedSink: Send + Sync + 'static {
    /// Applies changes and the revocations published with them; afterwards this node's view
    /// is complete up to `head`. Revocations may come more than once.
    fn apply(&self, changes: &[Change], revocations: &[RevocationRow], head: i64);

    /// The feed can't be followed from where this node stood (it was pruned, or the database was
    /// recovered after it had gone back): every cached record must go. The live revocations follow by `apply`.
    fn lost(&self);
}

#[derive(Debug, Clone)]
pub struct TailerConfig {
    pub interval: Duration,
    /// Longest wait in [`TailerHandle::catch_up`].
    pub catch_up_timeout: Duration,
}

impl Default for TailerConfig {
    fn default() -> Self {
        Self { interval: Duration::from_millis(100), catch_up_timeout: Duration::from_millis(500) }
    }
}

/// Starts tailers.
#[derive(Debug)]
pub struct Tailer;

/// What a node knows of its tailer.
#[derive(Debug, Clone)]
pub struct TailerHandle {
    shared: Arc<Shared>,
    progress: watch::Receiver<Progress>,
}

#[derive(Debug)]
struct Shared {
    wake: Notify,
    stopped: AtomicBool,
    catch_up_timeout: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Progress {
    seq: i64,
    /// When the last successful poll began.
    fresh_since: Instant,
}

impl Tailer {
    /// Fills the sink with the live revocations, then follows the feed on the current runtime.
    pub async fn start(db: Db, config: TailerConfig, sink: Arc<dyn FeedSink>) -> Result<TailerHandle, DbError> {
        let (sender, progress) = watch::channel(fill(&db, &*sink).await?);
        let shared = Arc::new(Shared {
            wake: Notify::new(),
            stopped: AtomicBool::new(false),
            catch_up_timeout: config.catch_up_timeout,
        });
        let task = follow(db, config, sink, Arc::clone(&shared), sender);
        #[expect(clippy::disallowed_methods, reason = "the tailer's own task, stopped through its handle")]
        tokio::spawn(task);
        Ok(TailerHandle { shared, progress })
    }
}

impl TailerHandle {
    /// The sequence up to which the sink is complete: the `basis` of decisions made now.
    pub fn position(&self) -> i64 {
        self.progress.borrow().seq
    }

    /// As of when the sink was complete, by the monotonic clock.
    pub fn fresh_since(&self) -> Instant {
        self.progress.borrow().fresh_since
    }

    /// Asks for a poll soon, without waiting: for wake-ups from elsewhere.
    pub fn wake(&self) {
        self.shared.wake.notify_one();
    }

    /// Waits for a poll that begins now or later; false when none succeeded in time.
    pub async fn catch_up(&self) -> bool {
        let asked = Instant::now();
        self.wait_for(|progress| progress.fresh_since >= asked).await
    }

    /// Waits until everything up to `seq` is applied; false when it was not in time.
    pub async fn catch_up_to(&self, seq: i64) -> bool {
        self.wait_for(|progress| progress.seq >= seq).await
    }

    async fn wait_for(&self, reached: impl Fn(&Progress) -> bool) -> bool {
        let mut progress = self.progress.clone();
        if reached(&progress.borrow()) {
            return true;
        }
        self.wake();
        let wait = progress.wait_for(|progress| reached(progress));
        matches!(tokio::time::timeout(self.shared.catch_up_timeout, wait).await, Ok(Ok(_)))
    }

    /// Ends the task; the position stays where it is and grows old.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.wake();
    }
}

async fn follow(
    db: Db,
    config: TailerConfig,
    sink: Arc<dyn FeedSink>,
    shared: Arc<Shared>,
    progress: watch::Sender<Progress>,
) {
    let mut healthy = true;
    loop {
        // Either a wake-up or the interval's end: both mean poll.
        let _ = tokio::time::timeout(config.interval, shared.wake.notified()).await;
        if shared.stopped.load(Ordering::Acquire) {
            return;
        }
        let seq = progress.borrow().seq;
        match poll(&db, &*sink, seq).await {
            Ok(next) => {
                if !healthy {
                    tracing::info!(seq = next.seq, "the change feed is followed again");
                }
                healthy = true;
                progress.send_replace(next);
            }
            Err(error) => {
                // Once per outage: a poll every 100 ms would fill the log.
                if healthy {
                    tracing::warn!(%error, "the change feed can't be followed");
                }
                healthy = false;
            }
        }
    }
}

/// Applies everything new.
async fn poll(db: &Db, sink: &dyn FeedSink, from: i64) -> Result<Progress, DbError> {
    let fresh_since = Instant::now();
    let head = load_head(db).await?;
    if head.seq < from {
        // Whatever this node still knows, the others and the next process don't: nobody goes on.
        recovery::note_went_back(db, from).await?;
        return Err(DbError::Refused(recovery::WENT_BACK.to_owned()));
    }
    check_went_on(head)?;
    if head.pruned_to > from {
        tracing::warn!(from, head = head.seq, "the feed went on without this node");
        sink.lost();
        return fill(db, sink).await;
    }
    let mut seq = from;
    while seq < head.seq {
        let changes = changes_since(db, seq, FEED_PAGE).await?;
        let last = check_gapless(&changes, seq)?;
        let revocations = revocations_between(db, seq, last).await?;
        sink.apply(&changes, &revocations, last);
        seq = last;
    }
    Ok(Progress { seq, fresh_since })
}

/// The last sequence of a run that starts right after `seq`.
fn check_gapless(changes: &[Change], seq: i64) -> Result<i64, DbError> {
    let expected = seq.saturating_add(1)..;
    let gapless = changes.iter().zip(expected).all(|(change, expected)| change.seq == expected);
    match changes.last() {
        Some(last) if gapless => Ok(last.seq),
        _ => Err(DbError::Refused("the change feed has a gap".to_owned())),
    }
}

fn check_went_on(head: Head) -> Result<(), DbError> {
    if head.recover_from > 0 { Err(DbError::Refused(recovery::WENT_BACK.to_owned())) } else { Ok(()) }
}

/// Fills a sink that knows nothing: all live revocations, complete up to the head read first.
async fn fill(db: &Db, sink: &dyn FeedSink) -> Result<Progress, DbError> {
    let fresh_since = Instant::now();
    let head = load_head(db).await?;
    check_went_on(head)?;
    let seq = head.seq;
    let now = crate::queries::database_time(db).await?.div_euclid(MICROS);
    let mut after = (0, String::new());
    loop {
        let page = live_revocations(db, now, after).await?;
        let Some(last) = page.last() else { break };
        after = (last.seq, last.id.clone());
        // The position is complete only after the last page.
        sink.apply(&[], &page, 0);
    }
    sink.apply(&[], &[], seq);
    Ok(Progress { seq, fresh_since })
}
