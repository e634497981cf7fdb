//! What a decision says.

use super::call::Unreadable;
use super::rate::Rate;
use crate::budget::Amount;
use serde::{Deserialize, Serialize};

/// What becomes of a call that breaks constraints.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is denied.
    #[default]
    Enforce,
    /// It is made, and what would have denied it is reported.
    Observe,
}

impl Mode {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which constraint.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    Methods,
    Hosts,
    Paths,
    Rate,
    MaxAmount,
    Recipients,
    Source,
    TimeOfDay,
    Uses,
}

impl Kind {
    /// Its member in a set of constraints.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Methods => "methods",
            Self::Hosts => "hosts",
            Self::Paths => "paths",
            Self::Rate => "rate",
            Self::MaxAmount => "max_amount",
            Self::Recipients => "recipients",
            Self::Source => "source",
            Self::TimeOfDay => "time_of_day",
            Self::Uses => "uses",
        }
    }
}

/// Why a constraint is broken.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Reason {
    /// No entry of the list matches.
    NotListed,
    /// It is about what is not seen of this call.
    NotSeen,
    /// A header or a parameter names another method.
    MethodOverridden,
    /// A selector would have to read the body, and can't.
    Unreadable(Unreadable),
    /// A selector names nothing in the body.
    Unresolved,
    /// A selector names what could be read as one of several members.
    Ambiguous,
    /// A selector names a value of the wrong type.
    WrongType,
    /// A selector names what is no integer from 0 to 999999999999999.
    NotAnAmount,
    /// The amount is in another unit.
    OtherUnit,
    /// A recipient is no plain address of mail and no URL.
    NotARecipient,
    /// The most there may be is used up or would be exceeded.
    Exceeded,
    /// It is not the time.
    OutsideHours,
}

impl Reason {
    /// A short name, for records and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotListed => "not_listed",
            Self::NotSeen => "not_seen",
            Self::MethodOverridden => "method_overridden",
            Self::Unreadable(why) => why.as_str(),
            Self::Unresolved => "unresolved",
            Self::Ambiguous => "ambiguous",
            Self::WrongType => "wrong_type",
            Self::NotAnAmount => "not_an_amount",
            Self::OtherUnit => "other_unit",
            Self::NotARecipient => "not_a_recipient",
            Self::Exceeded => "exceeded",
            Self::OutsideHours => "outside_hours",
        }
    }
}

/// A constraint that the call breaks.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Broken {
    pub constraint: Kind,
    pub reason: Reason,
    pub mode: Mode,
}

/// What is to be counted before the call is made, in one step: a call that finds the count full
/// is denied, where the constraint is enforced.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Need {
    /// One more use, of so many at most.
    Uses { limit: u32, mode: Mode },
    /// One more call in the last so many seconds.
    Rate { rate: Rate, mode: Mode },
    /// The amount that was read in the body, for the record and for a hold on a budget. The
    /// unit is the upstream's name for it.
    Amount { amount: Amount, unit: Option<String>, mode: Mode },
}

/// A decision: every constraint that is broken, and what is to be counted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct Verdict {
    pub broken: Vec<Broken>,
    pub needs: Vec<Need>,
}

impl Verdict {
    /// Whether the call must not be made. One that is not denied may be made once what
    /// [`Verdict::needs`] says is counted.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.broken.iter().any(|broken| broken.mode == Mode::Enforce)
    }

    /// What would have denied the call, were it enforced.
    pub fn observed(&self) -> impl Iterator<Item = &Broken> {
        self.broken.iter().filter(|broken| broken.mode == Mode::Observe)
    }
}
