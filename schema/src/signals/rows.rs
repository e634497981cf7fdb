//! Rows of signals. Times in seconds.

use crate::rows::row;
use crate::tables;

row! {
    /// The place of a token in a status list. `names` is JSON whose shape belongs to the server:
    /// all that can kill the token.
    #[derive(Debug)]
    StatusEntryRow of status_entries (list, idx) {
        list: String,
        idx: i64,
        issued_at: i64,
        expires_at: i64,
        names: String,
    }
}
