//! Durable state of Stipend: tables, queries, the commit pipeline and the change feed, alike on
//! SQLite and PostgreSQL. The only user of diesel; no diesel type shows in the public API.
//!
//! Writes go through [`Committer`] and nowhere else: that is what makes every commit exact
//! against revocation and every answer audited. The janitor, migrations and how full limits are
//! (`rates`) are the exceptions.
//! This crate decides nothing about OAuth: it stores rows, publishes changes, keeps order.

mod approvals;
pub mod audit;
mod change;
mod committer;
pub mod custody;
mod db;
pub mod documents;
pub mod federation;
pub mod feed;
mod janitor;
pub mod ledger;
pub mod policies;
pub mod queries;
pub mod rates;
mod recovery;
pub mod registration;
mod responsibilities;
mod rows;
pub mod signals;
pub mod sinks;
mod tables;
#[cfg(feature = "testing")]
pub mod testing;
mod write;

pub use approvals::{ApprovalRequestRow, Polled};
pub use change::{Change, Dep};
pub use committer::{
    AuditDraft, Burn, Burns, Clock, CommitWatch, Committer, CommitterConfig, CommitterHandle, Declined, MAX_BURNS,
    Outcome, Position, TransactionReport, Work, WorkReport,
};
pub use db::{Backend, Db, DbError, Limits, PoolUse};
pub use feed::{FeedSink, Tailer, TailerConfig, TailerHandle};
pub use janitor::{Swept, sweep};
pub use recovery::{Lives, Recovered, recover};
pub use responsibilities::ResponsibilityRow;
pub use rows::{
    AuditCheckpointRow, AuditRow, ClientKeyRow, ClientRow, ClientSecretRow, ExchangeRuleRow, OwnerRow, ResourceRow,
    RevocationRow, SigningKeyRow,
};
pub use write::{Note, Row, Table, Write};
