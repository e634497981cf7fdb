//! How often: calls in a span of time, and calls at all.

use super::list::Bound;
use serde::{Deserialize, Serialize};

/// Most calls that a limit can name.
pub const MAX_COUNT: u32 = 1_000_000_000;
/// Longest span of a rate, in seconds: 366 days.
pub const MAX_PER_SECONDS: u32 = 366 * 86_400;

/// At most `count` calls in any `per_s` seconds. Whoever counts in steps must count too many
/// rather than too few.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "RawRate", into = "RawRate")]
pub struct Rate {
    count: u32,
    per_s: u32,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawRate {
    count: u32,
    per_s: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a count is from 1 to 1000000000, and per_s from 1 to 31622400 seconds")]
pub struct CountError;

impl Rate {
    /// # Errors
    /// [`CountError`].
    pub fn new(count: u32, per_s: u32) -> Result<Self, CountError> {
        if (1..=MAX_COUNT).contains(&count) && (1..=MAX_PER_SECONDS).contains(&per_s) {
            Ok(Self { count, per_s })
        } else {
            Err(CountError)
        }
    }

    #[must_use]
    pub fn count(self) -> u32 {
        self.count
    }

    /// Seconds.
    #[must_use]
    pub fn per_s(self) -> u32 {
        self.per_s
    }

    /// Whether it admits no more than the other: no more calls, in no less time.
    fn implies(self, other: Self) -> bool {
        self.count <= other.count && self.per_s >= other.per_s
    }
}

/// The one that implies the other; where neither does, both count.
impl Bound for Rate {
    fn merge(&self, other: &Self) -> Option<Self> {
        if self.implies(*other) { Some(*self) } else { other.implies(*self).then_some(*other) }
    }
}

impl TryFrom<RawRate> for Rate {
    type Error = CountError;

    fn try_from(raw: RawRate) -> Result<Self, CountError> {
        Self::new(raw.count, raw.per_s)
    }
}

impl From<Rate> for RawRate {
    fn from(rate: Rate) -> Self {
        Self { count: rate.count, per_s: rate.per_s }
    }
}

/// At most so many calls, ever.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "u32", into = "u32")]
pub(super) struct Uses(u32);

impl Uses {
    pub fn limit(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Uses {
    type Error = CountError;

    fn try_from(limit: u32) -> Result<Self, CountError> {
        if (1..=MAX_COUNT).contains(&limit) { Ok(Self(limit)) } else { Err(CountError) }
    }
}

impl From<Uses> for u32 {
    fn from(uses: Uses) -> Self {
        uses.0
    }
}
