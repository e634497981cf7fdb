//! How often clients and owners may ask, on all nodes together.
//!
//! What is counted lies in Redis, or in the database where there is none or it does not answer
//! ([`SharedCells`]). A node takes it in small slabs ([`Leases`]), so that most requests ask
//! nobody, and remembers for how long a limit is full, so that a flood asks nobody either. Where
//! no limit is set nothing is done at all. It only holds up: nothing here permits anything.

mod lease;
mod shared;

pub use shared::{CellsUnavailable, SharedCells};

use crate::limits::MAX_RATE_KEYS;
use crate::records::{Client, ClientKind};
use crate::telemetry::Telemetry;
use lease::{Leases, Leave};
use stipend_token::rate::Rate;

/// What holds for clients and owners that have no rate of their own.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultRates {
    pub client: Option<Rate>,
    pub owner: Option<Rate>,
}

/// Why a request is not served now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HeldUp {
    /// For so many microseconds.
    For(i64),
    /// Nobody can tell: neither Redis nor the database answers.
    Unknown,
}

#[derive(Debug)]
pub struct Rates {
    pub cells: SharedCells,
    leases: Leases,
    defaults: DefaultRates,
    telemetry: Telemetry,
}

impl Rates {
    #[must_use]
    pub fn new(cells: SharedCells, defaults: DefaultRates, telemetry: Telemetry) -> Self {
        Self { cells, leases: Leases::new(MAX_RATE_KEYS), defaults, telemetry }
    }

    /// Counts one request of a client, at `now` in microseconds.
    ///
    /// # Errors
    /// [`HeldUp`]; what was counted before it stays counted.
    pub async fn admit(&self, client: &Client, now: i64) -> Result<(), HeldUp> {
        // A service asks when somebody calls it: held to a rate that it was not given, it could be
        // cut off from its good callers by a bad one.
        let defaults = if client.kind == ClientKind::Service { DefaultRates::default() } else { self.defaults };
        if let Some(rate) = client.rate.or(defaults.client) {
            self.take("client", &client.id, &rate, now).await?;
        }
        if let Some(rate) = defaults.owner {
            self.take("owner", &client.owner_id, &rate, now).await?;
        }
        Ok(())
    }

    async fn take(&self, kind: &'static str, id: &str, rate: &Rate, now: i64) -> Result<(), HeldUp> {
        // Another rate is another limit, so that a larger one takes effect at once.
        let key = &format!("{kind}:{id}:{}:{}", rate.burst(), rate.interval());
        let lease = self.leases.of(key);
        match lease.take(rate, now, async |want| self.cells.take(key, rate, now, want).await).await {
            Ok(Leave::Go) => Ok(()),
            Ok(Leave::Wait(micros)) => {
                self.telemetry.held_up(kind, "held_up");
                Err(HeldUp::For(micros))
            }
            Err(CellsUnavailable) => {
                self.telemetry.held_up(kind, "unknown");
                Err(HeldUp::Unknown)
            }
        }
    }
}
