//! For which audiences there may be tokens that something can kill.
//!
//! Written with an exchange that moves to another audience, read when something is revoked. A
//! row says no more than that there is such a token until then: many tokens share one.

use crate::db::{Db, DbError, read};
use crate::rows::row;
use crate::tables::{self, signal_reach};
use diesel::prelude::*;

/// Most audiences that one name is answered with.
pub const REACH_LIMIT: i64 = 1000;

row! {
    /// That what `value` (a token, a client, a subject, an issuer: `kind`) can kill is at
    /// `audience` until then.
    #[derive(Debug, PartialOrd, Ord)]
    SignalReachRow of signal_reach (kind, value, audience, ends_at) {
        kind: String,
        value: String,
        audience: String,
        ends_at: i64,
    }
}

/// The audiences of the tokens that a name can kill and that may be alive at `now`.
pub async fn reached(db: &Db, kind: &str, value: &str, now: i64) -> Result<Vec<String>, DbError> {
    let (kind, value) = (kind.to_owned(), value.to_owned());
    read!(
        db,
        get_results::<String>,
        signal_reach::table
            .filter(signal_reach::kind.eq(kind))
            .filter(signal_reach::value.eq(value))
            .filter(signal_reach::ends_at.gt(now))
            .select(signal_reach::audience)
            .distinct()
            .order(signal_reach::audience.asc())
            .limit(REACH_LIMIT)
    )
}
