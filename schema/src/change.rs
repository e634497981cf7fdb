//! What a change touches and what a decision leans on: the same two words, kind and id.
//! The committer's fence compares them, so a decision must name as [`Dep`] everything it read
//! that may change. The words are the caller's; here they are only compared. Never a secret, never free text: changes are
//! read by every node.

use crate::rows::ChangeRow;
use std::borrow::Cow;

/// A thing a decision depends on, or that a work changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dep {
    pub kind: Cow<'static, str>,
    pub id: String,
}

impl Dep {
    pub fn new(kind: impl Into<Cow<'static, str>>, id: impl Into<String>) -> Self {
        Self { kind: kind.into(), id: id.into() }
    }
}

/// One entry of the feed; `seq` grows by one, without gaps. `at` in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub seq: i64,
    pub dep: Dep,
    pub at: i64,
}

impl From<ChangeRow> for Change {
    fn from(row: ChangeRow) -> Self {
        Self { seq: row.seq, dep: Dep::new(row.kind, row.id), at: row.at }
    }
}
