//! What was asked and what came of it: operations, each with all its attempts.
//!
//! An operation is what a client means to do once; it has one `Idempotency-Key`, whatever
//! number of times it is sent. Nothing here judges.

use crate::clock::Micros;
use crate::http::{Lost, Reply};
use serde_json::Value;
use std::sync::Arc;

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    Token,
    Exchange,
    Introspect,
    Revoke,
    Hold,
    Capture,
    /// A capture after which the rest of the hold is free.
    LastCapture,
    Void,
    Charge,
    Refund,
}

impl Kind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Exchange => "exchange",
            Self::Introspect => "introspect",
            Self::Revoke => "revoke",
            Self::Hold => "hold",
            Self::Capture => "capture",
            Self::LastCapture => "last capture",
            Self::Void => "void",
            Self::Charge => "charge",
            Self::Refund => "refund",
        }
    }

    /// The event of its record; a plain introspection has none.
    #[must_use]
    pub fn event(self) -> Option<&'static str> {
        match self {
            Self::Token | Self::Exchange => Some("token.issued"),
            Self::Introspect => None,
            Self::Revoke => Some("token.revoked"),
            Self::Hold => Some("budget.held"),
            Self::Capture | Self::LastCapture => Some("budget.captured"),
            Self::Void => Some("budget.voided"),
            Self::Charge => Some("budget.charged"),
            Self::Refund => Some("budget.refunded"),
        }
    }

    #[must_use]
    pub fn issues(self) -> bool {
        matches!(self, Self::Token | Self::Exchange)
    }
}

/// Statuses below 500 that say nothing of what was asked for.
const UNDECIDED: [u16; 2] = [408, 429];

/// What became of one attempt.
#[derive(Clone, Debug)]
pub enum Outcome {
    Done(Reply),
    /// A definite no.
    Refused(Reply),
    /// An answer that decides nothing of the operation: 500 and above, or that the request was
    /// not read (408), or not now (429). An earlier attempt may have been carried out.
    Failed(u16),
    Lost(Lost),
}

impl Outcome {
    #[must_use]
    pub fn of(reply: Result<Reply, Lost>) -> Self {
        match reply {
            Ok(reply) if reply.status >= 500 || UNDECIDED.contains(&reply.status) => Self::Failed(reply.status),
            Ok(reply) if (200..300).contains(&reply.status) => Self::Done(reply),
            Ok(reply) => Self::Refused(reply),
            Err(lost) => Self::Lost(lost),
        }
    }

    #[must_use]
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Done(reply) | Self::Refused(reply) => Some(reply),
            Self::Failed(_) | Self::Lost(_) => None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Attempt {
    pub node: usize,
    pub started: Micros,
    pub ended: Micros,
    pub outcome: Outcome,
}

/// A token that was issued to us.
#[derive(Debug)]
pub struct Token {
    pub text: String,
    pub jti: String,
    /// Its own id and its ancestors'.
    pub lineage: Vec<String>,
    /// Its line and all that are charged with it; empty where it has no budget.
    pub lines: Vec<String>,
    /// What its line was granted.
    pub granted: i64,
    /// Counted by its service.
    pub carved: bool,
}

/// What an operation is about, for the checker.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// The token that is used, exchanged, looked at or revoked.
    pub token: Option<Arc<Token>>,
    /// What is asked for, in the unit's smallest part.
    pub amount: i64,
    /// The lines charged, or those above the line that is asked for.
    pub lines: Vec<String>,
    /// Whether the amount asked for leaves the lines above.
    pub carve: bool,
    /// What of the hold is free again afterwards, or of the capture.
    pub frees: i64,
    /// It must be refused, whatever there is.
    pub forbidden: bool,
}

/// What has to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    pub client: usize,
    pub path: String,
    pub form: Vec<(&'static str, String)>,
}

#[derive(Clone, Debug)]
pub struct Operation {
    pub id: u64,
    pub kind: Kind,
    pub key: Option<String>,
    pub request: Request,
    pub subject: Subject,
    pub attempts: Vec<Attempt>,
    /// What was issued, once it is known.
    pub issued: Option<Arc<Token>>,
}

/// The end of an operation.
#[derive(Clone, Copy, Debug)]
pub enum Verdict<'a> {
    Done(&'a Attempt, &'a Reply),
    Refused(&'a Attempt, &'a Reply),
    Unknown,
}

impl Operation {
    /// By its first definite answer; others must be equal to it, which is the checker's to see.
    #[must_use]
    pub fn verdict(&self) -> Verdict<'_> {
        let mut refused = Verdict::Unknown;
        for attempt in &self.attempts {
            match &attempt.outcome {
                Outcome::Done(reply) => return Verdict::Done(attempt, reply),
                Outcome::Refused(reply) => {
                    if matches!(refused, Verdict::Unknown) {
                        refused = Verdict::Refused(attempt, reply);
                    }
                }
                Outcome::Failed(_) | Outcome::Lost(_) => {}
            }
        }
        refused
    }

    /// From when on it may have had its effect.
    #[must_use]
    pub fn possible_from(&self) -> Micros {
        self.attempts.iter().map(|attempt| attempt.started).min().unwrap_or_default()
    }

    /// From when on it certainly had: its first answer that says so.
    #[must_use]
    pub fn certain_from(&self) -> Option<Micros> {
        let done = self.attempts.iter().filter(|attempt| matches!(attempt.outcome, Outcome::Done(_)));
        done.map(|attempt| attempt.ended).min()
    }
}

/// A fixed line as an observer saw it.
#[derive(Clone, Debug)]
pub struct Sight {
    pub line: String,
    pub started: Micros,
    pub ended: Micros,
    pub used: Used,
}

/// What a line says of itself.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Used {
    pub limit: i64,
    pub held: i64,
    pub spent: i64,
    pub carved: i64,
    pub overage: i64,
    pub remaining: i64,
}

impl Used {
    /// From the admin API's view of a line.
    #[must_use]
    pub fn read(line: &Value) -> Option<Self> {
        let used = line.get("used")?;
        let of = |name: &str| used.get(name).and_then(Value::as_i64);
        Some(Self {
            limit: line.get("amount")?.as_i64()?,
            held: of("held")?,
            spent: of("spent")?,
            carved: of("carved")?,
            overage: of("overage")?,
            remaining: of("remaining")?,
        })
    }
}

/// All that happened.
#[derive(Debug, Default)]
pub struct History {
    pub operations: Vec<Operation>,
    pub sights: Vec<Sight>,
    /// Arrivals that the generator could not take on.
    pub dropped: u64,
}
