//! Constraints as they are written, put together, and decided.

use super::call::Call;
use super::list::{TooMany, one_or_many, read_one_or_many};
use super::set::ConstraintSet;
use super::verdict::{Mode, Verdict};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What is enforced and what is only observed, each in one normal form. Without any, every call
/// is admitted.
///
/// As JSON one object, with `mode` `enforce` (the default) or `observe` for all of it; or a list
/// of such objects, which all count. `methods`, `hosts`, `paths` and `source` are lists one
/// entry of which must match, so an empty one denies; `rate`, `max_amount`, `recipients` and
/// `time_of_day` are objects, or lists of objects that must all hold; `uses` is a number.
/// Nothing that is not known is ignored, and `null` is no value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Constraints {
    enforced: ConstraintSet,
    observed: ConstraintSet,
}

impl Constraints {
    /// What admits no more than either: the conjunction. It depends on no order, and twice is
    /// once. What is observed never loosens what is enforced; of what is observed that part is
    /// kept which what is enforced does not imply.
    ///
    /// Limits that are counted (`uses`, `rate`) come out as the smallest, which says nothing of
    /// where the counts are kept: calls under a parent's limit and under its child's are to be
    /// counted in one place, or each under its own.
    ///
    /// # Errors
    /// [`TooMany`] where a list would be longer than its limit.
    pub fn tighten(&self, other: &Self) -> Result<Self, TooMany> {
        let enforced = self.enforced.meet(&other.enforced)?;
        let observed = self.observed.meet(&other.observed)?.without(&enforced);
        Ok(Self { enforced, observed })
    }

    /// The counted limits of these that others don't imply, each mode apart: those that a
    /// counter of its own is needed for, where the others' are counted as well.
    pub(super) fn counted_beyond(&self, others: &Self) -> impl Iterator<Item = ConstraintSet> {
        let enforced = self.enforced.counted().without(&others.enforced);
        let observed = self.observed.counted().without(&others.enforced).without(&others.observed);
        [enforced, observed].into_iter().filter(|limits| !limits.is_empty())
    }

    /// Whether these say all that the others say, so that to put them together changes nothing:
    /// what these admit the others admit, and what the others observe is observed or enforced
    /// here. `false` where that can't be seen from the lists: blocks of addresses that make up
    /// a larger one only together are not seen to be within it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.tighten(other).is_ok_and(|both| both == *self)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.enforced.is_empty() && self.observed.is_empty()
    }

    /// Whether every call is denied, because a list that is enforced is empty. `false` does not
    /// say that there is a call which is admitted.
    #[must_use]
    pub fn deny_all(&self) -> bool {
        self.enforced.never()
    }
}

/// Decides a call. All constraints are looked at, also after one is broken.
pub fn decide(constraints: &Constraints, call: &Call<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    constraints.enforced.judge(call, &mut verdict);
    constraints.observed.judge(call, &mut verdict);
    verdict
}

impl Default for Constraints {
    fn default() -> Self {
        Self { enforced: ConstraintSet::new(Mode::Enforce), observed: ConstraintSet::new(Mode::Observe) }
    }
}

impl From<ConstraintSet> for Constraints {
    fn from(set: ConstraintSet) -> Self {
        match set.mode {
            Mode::Enforce => Self { enforced: set, ..Self::default() },
            Mode::Observe => Self { observed: set, ..Self::default() },
        }
    }
}

impl Serialize for Constraints {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sets: Vec<&ConstraintSet> = match (self.enforced.is_empty(), self.observed.is_empty()) {
            (_, true) => vec![&self.enforced],
            (true, false) => vec![&self.observed],
            (false, false) => vec![&self.enforced, &self.observed],
        };
        one_or_many(&sets, serializer)
    }
}

impl<'de> Deserialize<'de> for Constraints {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sets: Vec<ConstraintSet> = read_one_or_many(deserializer)?;
        let put_together = |so_far: Self, set: ConstraintSet| so_far.tighten(&set.into());
        sets.into_iter().try_fold(Self::default(), put_together).map_err(de::Error::custom)
    }
}
