//! Custody as it is stored: credentials and their versions, who may use them, who has seen
//! them, and the counters of the limits that are counted.
//!
//! What a call may do is decided elsewhere. Here is only what must be exact with the commit:
//! a counter is read, judged and written under its row's lock, in the transaction that records
//! the call, so that no two nodes let the same last call through.

mod counters;
mod rows;

pub use counters::Count;
pub(crate) use counters::{Counted, Counters};
pub use rows::{
    CounterRow, CredentialExposureRow, CredentialGrantRow, CredentialRow, CredentialUseRow, CredentialVersionRow,
    ServerSecretRow,
};
