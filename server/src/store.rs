//! The database and the runtime its work runs on.
//!
//! Request handlers come and go with their connections; what touches the database runs
//! here, in tasks of its own, so that no client can cancel a statement half way by
//! hanging up.

use crate::telemetry::carried;
use std::future::Future;
use stipend_schema::Db;
use tokio::runtime::Handle;

#[derive(Clone, Debug)]
pub struct Store {
    db: Db,
    runtime: Handle,
}

/// The store's task did not finish: it panicked, or the runtime is stopping.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the store's task did not finish")]
pub struct StoreStopped;

impl Store {
    #[must_use]
    pub fn new(db: Db, runtime: Handle) -> Self {
        Self { db, runtime }
    }

    #[must_use]
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Runs `work` to its end on the store's runtime, whatever becomes of the caller.
    ///
    /// # Errors
    /// [`StoreStopped`] when it panicked or the runtime is stopping.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, StoreStopped> {
        self.runtime.spawn(carried(work)).await.map_err(|_| StoreStopped)
    }

    /// Runs work that blocks on a thread that may.
    ///
    /// # Errors
    /// [`StoreStopped`], as above.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StoreStopped> {
        self.runtime.spawn_blocking(work).await.map_err(|_| StoreStopped)
    }

    /// Starts a task that lives as long as the runtime.
    pub fn background(&self, task: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
        self.runtime.spawn(task)
    }
}
