//! Where the counted limits of a credential in a token are counted.
//!
//! A limit on uses or on a rate belongs to the token whose request set it: every call under that
//! token or under a descendant of it is counted there. So a child carries its parent's entries as
//! they are, and has none of what is left to its parent afresh.

use super::constraints::Constraints;
use super::list::{AllOf, Object, present};
use super::rate::{Rate, Uses};
use super::set::ConstraintSet;
use super::verdict::Mode;
use crate::lineage::MAX_ANCESTORS;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Entries of one credential: for the token and each of its ancestors one for each mode.
pub const MAX_COUNTED: usize = 2 * (MAX_ANCESTORS + 1);
/// Longest token id in an entry.
const MAX_JTI_BYTES: usize = 256;

/// Limits that are counted under one token, for one credential:
/// `{"jti":"…","uses":5,"rate":[{"count":10,"per_s":60}],"mode":"observe"}`. There is at least
/// one limit; without `mode` they are enforced. A call is counted under each entry of its token,
/// and each entry has its own limits.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(into = "RawCounted")]
pub struct CountedLimit {
    jti: String,
    /// `uses` and `rate` only.
    limits: ConstraintSet,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawCounted {
    jti: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    uses: Option<Uses>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    rate: Option<Vec<Object<Rate>>>,
    #[serde(default, skip_serializing_if = "Mode::is_default")]
    mode: Mode,
}

impl CountedLimit {
    /// The id of the token under which it is counted.
    #[must_use]
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// Most uses under that token.
    #[must_use]
    pub fn uses(&self) -> Option<u32> {
        self.limits.uses().map(Uses::limit)
    }

    /// Rates of calls under that token: all of them hold.
    pub fn rates(&self) -> impl Iterator<Item = Rate> {
        self.limits.rates().copied()
    }

    /// What becomes of a call that finds a count full.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.limits.mode
    }

    /// The entries of the token `jti` itself: what its request adds to what it comes from. A
    /// limit that is implied there is counted there already.
    pub(super) fn of_request(jti: &str, asked: &Constraints, held: &Constraints) -> impl Iterator<Item = Self> {
        asked.counted_beyond(held).map(|limits| Self { jti: jti.to_owned(), limits })
    }

    /// Reads the entries of a credential in a token. `None` for what is not a list of entries,
    /// each of another token or mode, and for a limit among the constraints that no entry counts.
    pub(super) fn parse_all(value: &Value, constraints: &Constraints) -> Option<Vec<Self>> {
        let raw: Vec<Object<RawCounted>> = Vec::deserialize(value).ok()?;
        if raw.is_empty() || raw.len() > MAX_COUNTED {
            return None;
        }
        let mut entries: Vec<Self> = Vec::with_capacity(raw.len());
        for Object(raw) in raw {
            let entry = Self::from_raw(raw)?;
            if entries.iter().any(|other| other.jti == entry.jti && other.mode() == entry.mode()) {
                return None;
            }
            entries.push(entry);
        }
        counts_all(&entries, constraints).then_some(entries)
    }

    fn from_raw(raw: RawCounted) -> Option<Self> {
        let rates: Option<Vec<Rate>> = raw.rate.map(|rates| rates.into_iter().map(|Object(rate)| rate).collect());
        // An empty list would be read as "no limit" by some and "no call" by others.
        let rates = match rates {
            Some(rates) if rates.is_empty() => return None,
            rates => AllOf::new(rates.unwrap_or_default()).ok()?,
        };
        let limits = ConstraintSet::of_counts(raw.uses, rates, raw.mode);
        let known = !raw.jti.is_empty() && raw.jti.len() <= MAX_JTI_BYTES && !limits.is_empty();
        known.then_some(Self { jti: raw.jti, limits })
    }
}

/// Whether each counted limit among the constraints is in an entry of its mode: one that is
/// nowhere counted would hold nobody back.
pub(super) fn counts_all(entries: &[CountedLimit], constraints: &Constraints) -> bool {
    constraints.counted_beyond(&Constraints::default()).all(|limits| {
        let same_mode = || entries.iter().filter(|entry| entry.mode() == limits.mode);
        limits.uses().is_none_or(|uses| same_mode().any(|entry| entry.uses() == Some(uses.limit())))
            && limits.rates().all(|rate| same_mode().any(|entry| entry.rates().any(|counted| counted == *rate)))
    })
}

impl From<CountedLimit> for RawCounted {
    fn from(entry: CountedLimit) -> Self {
        let rates: Vec<Object<Rate>> = entry.rates().map(Object).collect();
        Self {
            uses: entry.limits.uses(),
            rate: (!rates.is_empty()).then_some(rates),
            mode: entry.mode(),
            jti: entry.jti,
        }
    }
}
