//! The two kinds of lists that constraints are made of, each in one normal form: of what is in
//! an [`AnyOf`] one thing must match, of what is in an [`AllOf`] everything must hold.

use serde::de::{self, DeserializeOwned, MapAccess, SeqAccess, Visitor, value};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// Most entries of a list, one of which must match.
pub const MAX_ANY_OF: usize = 64;
/// Most entries of a list that must all hold.
pub const MAX_ALL_OF: usize = 8;

/// A list would have more entries than its limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a list of constraints has more than 64 alternatives, or more than 8 that must all hold")]
pub struct TooMany;

/// What matches some calls. Of two patterns of a kind one is within the other, or no call
/// matches both: so what matches both lists is again a list.
pub(super) trait Pattern: Clone + Ord {
    fn is_within(&self, other: &Self) -> bool;
}

/// Alternatives. An empty list matches nothing.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct AnyOf<T>(Vec<T>);

impl<T: Pattern> AnyOf<T> {
    pub fn new(mut items: Vec<T>) -> Result<Self, TooMany> {
        items.sort_unstable();
        items.dedup();
        let covered = |item: &T| items.iter().any(|other| other != item && item.is_within(other));
        let kept: Vec<T> = items.iter().filter(|item| !covered(item)).cloned().collect();
        if kept.len() <= MAX_ANY_OF { Ok(Self(kept)) } else { Err(TooMany) }
    }

    /// What matches both.
    pub fn meet(&self, other: &Self) -> Result<Self, TooMany> {
        let inner = |a: &[T], b: &[T]| -> Vec<T> {
            a.iter().filter(|item| b.iter().any(|outer| item.is_within(outer))).cloned().collect()
        };
        let mut items = inner(&self.0, &other.0);
        items.append(&mut inner(&other.0, &self.0));
        Self::new(items)
    }

    pub fn is_within(&self, other: &Self) -> bool {
        self.0.iter().all(|item| other.any(|outer| item.is_within(outer)))
    }

    pub fn any(&self, matches: impl Fn(&T) -> bool) -> bool {
        self.0.iter().any(matches)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<T: Serialize> Serialize for AnyOf<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Pattern + Deserialize<'de>> Deserialize<'de> for AnyOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items: Vec<T> = Vec::deserialize(deserializer)?;
        // Before they are compared with one another.
        if items.len() > MAX_ANY_OF {
            return Err(de::Error::custom(TooMany));
        }
        Self::new(items).map_err(de::Error::custom)
    }
}

/// What must hold of a call.
pub(super) trait Bound: Clone + Ord {
    /// Both in one, where one can say it.
    fn merge(&self, other: &Self) -> Option<Self>;
}

/// Bounds that must all hold; without any, everything does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct AllOf<T>(Vec<T>);

impl<T> Default for AllOf<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Bound> AllOf<T> {
    pub fn new(items: Vec<T>) -> Result<Self, TooMany> {
        let mut kept: Vec<T> = Vec::with_capacity(items.len());
        for mut item in items {
            // What two bounds make of each other may take in a third.
            while let Some((place, both)) =
                kept.iter().enumerate().find_map(|(place, other)| Some((place, other.merge(&item)?)))
            {
                kept.swap_remove(place);
                item = both;
            }
            kept.push(item);
        }
        kept.sort_unstable();
        if kept.len() <= MAX_ALL_OF { Ok(Self(kept)) } else { Err(TooMany) }
    }

    pub fn meet(&self, other: &Self) -> Result<Self, TooMany> {
        Self::new(self.0.iter().chain(&other.0).cloned().collect())
    }

    /// Less the bounds that others imply.
    pub fn without(mut self, others: &Self) -> Self {
        self.0.retain(|bound| !others.0.iter().any(|other| other.merge(bound).as_ref() == Some(other)));
        self
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One is written by itself, several as a list.
impl<T: Serialize> Serialize for AllOf<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        one_or_many(&self.0, serializer)
    }
}

impl<'de, T: Bound + DeserializeOwned> Deserialize<'de> for AllOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(read_one_or_many(deserializer)?).map_err(de::Error::custom)
    }
}

/// Writes one by itself and several as a list.
pub(super) fn one_or_many<T: Serialize, S: Serializer>(items: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    match items {
        [only] => only.serialize(serializer),
        several => several.serialize(serializer),
    }
}

/// Reads an object, or a list of 1 to [`MAX_ALL_OF`] objects. An empty list is refused: that
/// everything in it holds would be true, and mistaken for a list that admits nothing.
pub(super) fn read_one_or_many<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(OneOrMany(PhantomData))
}

struct OneOrMany<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, or a list of 1 to 8 objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Vec<T>, A::Error> {
        Ok(vec![T::deserialize(value::MapAccessDeserializer::new(access))?])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(Object(item)) = access.next_element()? {
            items.push(item);
            if items.len() > MAX_ALL_OF {
                return Err(de::Error::custom(TooMany));
            }
        }
        if items.is_empty() { Err(de::Error::invalid_length(0, &self)) } else { Ok(items) }
    }
}

/// What is written as an object, and not as the list of its values, which serde takes as well.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OneObject(PhantomData)).map(Self)
    }
}

struct OneObject<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneObject<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<T, A::Error> {
        T::deserialize(value::MapAccessDeserializer::new(access))
    }
}

/// A member that is there has a value: `null` is not "absent".
pub(super) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
