//! What all nodes count together: in Redis, and in the database where there is none or it does
//! not answer. The two count by themselves, so while nodes disagree about Redis, or when it comes
//! and goes, each of the two may admit what one may.

use crate::redis::{Redis, RedisState};
use crate::store::Store;
use std::sync::Arc;
use stipend_schema::rates;
use stipend_token::rate::{Rate, Taken};

/// Neither Redis nor the database answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CellsUnavailable;

#[derive(Debug)]
pub struct SharedCells {
    redis: Option<Redis>,
    store: Arc<Store>,
}

impl SharedCells {
    #[must_use]
    pub fn new(redis: Option<Redis>, store: Arc<Store>) -> Self {
        Self { redis, store }
    }

    /// How Redis is, where there is one.
    #[must_use]
    pub fn redis(&self) -> Option<RedisState> {
        self.redis.as_ref().map(Redis::state)
    }

    /// Takes up to `want` cells, at `now` in microseconds.
    ///
    /// # Errors
    /// [`CellsUnavailable`].
    pub async fn take(&self, key: &str, rate: &Rate, now: i64, want: u32) -> Result<Taken, CellsUnavailable> {
        if let Some(redis) = &self.redis
            && let Ok(taken) = redis.take(key, rate, now, want).await
        {
            return Ok(taken);
        }
        let (db, key, rate) = (self.store.db().clone(), key.to_owned(), *rate);
        let taken = self.store.run(async move { rates::take_cells(&db, &key, &rate, now, want).await }).await;
        taken.map_err(|_| CellsUnavailable)?.map_err(|error| {
            tracing::debug!(%error, "a limit could not be counted");
            CellsUnavailable
        })
    }

    /// The arrival times of what is limited as `keys`.
    ///
    /// # Errors
    /// [`CellsUnavailable`].
    pub async fn arrivals(&self, keys: &[String]) -> Result<Vec<Option<i64>>, CellsUnavailable> {
        if let Some(redis) = &self.redis
            && let Ok(arrivals) = redis.arrivals(keys).await
        {
            return Ok(arrivals);
        }
        let (db, keys) = (self.store.db().clone(), keys.to_vec());
        let arrivals = self.store.run(async move { rates::arrivals(&db, &keys).await }).await;
        arrivals.map_err(|_| CellsUnavailable)?.map_err(|_| CellsUnavailable)
    }
}
