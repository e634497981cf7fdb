//! The law of budgets: units, windows, and a ledger of pure steps.
//!
//! An account's lines form a path from the leaf that a token names up to its owner's. A step
//! takes the path's levels as they are, answers what must become of them, and changes all of
//! them or none. Where the levels are kept, and that two steps don't run on one level at once,
//! is the caller's part; nothing here reads, writes or waits.
//!
//! Two things hold after every step, whatever the order, and are what the tests are for:
//! at every level `held + spent + carved <= limit` (unless the limit was lowered below it), and
//! what was granted is what remains plus what was definitely spent.

mod account;
mod amount;
mod cap;
mod claim;
mod details;
mod ledger;
mod level;
mod unit;
mod window;

pub use account::AccountKind;
pub use amount::{Amount, AmountError, MAX_AMOUNT};
pub use cap::{BudgetCap, units_differ};
pub use claim::{Enforce, MAX_TOKEN_LINES, TokenLine};
pub use details::{
    Asked, BUDGET_TYPE, DetailsError, MAX_DETAILS_BYTES, MAX_TASK_BYTES, is_task_name, parse_budgets, parse_details,
};
pub use ledger::{Capture, Carve, Hold, HoldState, capture, carve, expire, extend, hold, refund, settle, void};
pub use level::{Declined, Level, THRESHOLDS, Used, crossed};
pub use unit::{Unit, UnitError};
pub use window::{Calendar, MAX_ROLLING_SECONDS, MIN_ROLLING_SECONDS, Period, ROLLING_PARTS, Window, WindowError};
