//! A node: the committer as it is in production over a simulated way to the database, a clock that
//! is wrong in its own way, and a view of what is revoked that lags. It can be killed and stopped.

use super::super::{Committer, CommitterConfig, CommitterHandle};
use super::connection::Site;
use super::database::{Database, TOKEN};
use crate::db::DbError;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// Where the simulated time begins, in microseconds since the epoch.
const EPOCH: i64 = 1_790_000_000_000_000;
const TAIL_EVERY: Duration = Duration::from_millis(100);

/// What a node knows of the feed.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub applied: i64,
    revoked: BTreeSet<String>,
}

impl View {
    pub fn knows_dead<'a>(&self, mut tokens: impl Iterator<Item = &'a String>) -> bool {
        tokens.any(|token| self.revoked.contains(token))
    }
}

/// One life of a node's process.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub committer: CommitterHandle,
    view: Arc<Mutex<View>>,
    tail: Arc<JoinHandle<()>>,
    site: Site,
}

impl Process {
    pub fn view(&self) -> View {
        self.view.lock().clone()
    }

    /// Reads what was published since.
    pub async fn catch_up(&self) {
        self.site.awake().await;
        sleep(self.site.db.chance.millis(3)).await;
        look(&self.site.db, &self.view);
    }
}

fn look(db: &Database, view: &Mutex<View>) {
    let state = db.state();
    if state.down {
        return;
    }
    let mut view = view.lock();
    let news = state.tables.changes.iter().filter(|change| change.seq > view.applied);
    let revoked: Vec<String> = news.filter(|change| change.kind == TOKEN).map(|change| change.id.clone()).collect();
    view.revoked.extend(revoked);
    view.applied = state.tables.head;
}

#[derive(Debug)]
pub(super) struct Node {
    pub site: Site,
    /// Microseconds that its clock is off.
    skew: i64,
    began: Instant,
    process: Mutex<Option<Process>>,
}

impl Node {
    pub fn new(db: &Database, began: Instant) -> Result<Self, DbError> {
        let skew = i64::try_from(db.chance.below(2_000_000)).unwrap_or_default() - 1_000_000;
        let node = Self { site: Site::new(db.clone()), skew, began, process: Mutex::new(None) };
        node.start()?;
        Ok(node)
    }

    /// Microseconds since the epoch, as this node believes.
    pub fn clock(&self) -> impl Fn() -> i64 + Send + Sync + 'static {
        let (began, skew) = (self.began, self.skew);
        move || EPOCH + skew + i64::try_from(began.elapsed().as_micros()).unwrap_or_default()
    }

    pub fn seconds(&self) -> i64 {
        (self.clock())().div_euclid(1_000_000)
    }

    /// What runs now, if anything does.
    pub fn process(&self) -> Option<Process> {
        self.process.lock().clone()
    }

    pub fn start(&self) -> Result<(), DbError> {
        let config = CommitterConfig::default();
        let committer = Committer::start_on(self.site.clone(), config, Arc::new(self.clock()))?;
        let view = Arc::new(Mutex::new(View::default()));
        look(&self.site.db, &view);
        let (site, seen) = (self.site.clone(), Arc::clone(&view));
        #[expect(clippy::disallowed_methods, reason = "this node's own, and it ends with it")]
        let tail = tokio::spawn(async move {
            loop {
                sleep(TAIL_EVERY).await;
                site.awake().await;
                look(&site.db, &seen);
            }
        });
        *self.process.lock() = Some(Process { committer, view, tail: Arc::new(tail), site: self.site.clone() });
        Ok(())
    }

    /// As by `kill -9`: nothing is told to anybody.
    pub fn kill(&self) {
        let Some(process) = self.process.lock().take() else { return };
        process.tail.abort();
        if let Some(task) = process.committer.task.lock().take() {
            task.abort();
        }
    }
}
