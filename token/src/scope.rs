//! Scopes: a set of scope-tokens (RFC 6749 section 3.3).
//!
//! A [`ScopeSet`] is always well formed, sorted and free of duplicates, so its
//! text is canonical and set questions are cheap.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest `scope` text accepted, in bytes.
pub const MAX_SCOPE_BYTES: usize = 4096;
/// Most scope-tokens in one set.
pub const MAX_SCOPE_TOKENS: usize = 64;

/// Why a text is not a scope.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ScopeError {
    #[error(
        "a scope is one or more tokens separated by single spaces, without quotes, backslashes or control characters"
    )]
    Syntax,
    #[error("a scope has at most 4096 bytes and 64 tokens")]
    TooLong,
}

/// A set of scope-tokens, ordered and without duplicates. May be empty.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct ScopeSet(Vec<String>);

impl ScopeSet {
    /// Parses the wire form: `scope-token *( SP scope-token )`.
    ///
    /// # Errors
    /// [`ScopeError`] where the text is empty, malformed or too long.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        if text.len() > MAX_SCOPE_BYTES {
            return Err(ScopeError::TooLong);
        }
        Self::from_tokens(text.split(' '))
    }

    /// Builds a set from separate tokens, each checked against the grammar.
    ///
    /// # Errors
    /// [`ScopeError`] where a token is malformed or there are too many.
    pub fn from_tokens<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Result<Self, ScopeError> {
        let mut set = Vec::new();
        for token in tokens {
            if !is_scope_token(token) {
                return Err(ScopeError::Syntax);
            }
            set.push(token.to_owned());
            if set.len() > MAX_SCOPE_TOKENS {
                return Err(ScopeError::TooLong);
            }
        }
        set.sort_unstable();
        set.dedup();
        Ok(Self(set))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn contains(&self, token: &str) -> bool {
        self.0.binary_search_by(|have| have.as_str().cmp(token)).is_ok()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.iter().all(|token| other.contains(token))
    }

    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.iter().filter(|token| other.contains(token)).cloned().collect())
    }
}

/// RFC 6749 section 3.3: `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`.
fn is_scope_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for token in &self.0 {
            if !first {
                f.write_str(" ")?;
            }
            f.write_str(token)?;
            first = false;
        }
        Ok(())
    }
}

impl TryFrom<Vec<String>> for ScopeSet {
    type Error = ScopeError;

    fn try_from(tokens: Vec<String>) -> Result<Self, ScopeError> {
        Self::from_tokens(tokens.iter().map(String::as_str))
    }
}

impl From<ScopeSet> for Vec<String> {
    fn from(set: ScopeSet) -> Self {
        set.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_backslashes_controls_and_double_spaces_are_refused() {
        for bad in ["", " ", "a  b", " a", "a ", "a\"b", "a\\b", "a\tb", "a\nb", "ä", "a\u{0}"] {
            assert_eq!(ScopeSet::parse(bad), Err(ScopeError::Syntax), "{bad:?}");
        }
        assert_eq!(ScopeSet::parse(&"a".repeat(4097)), Err(ScopeError::TooLong));
        let many = vec!["x"; 65].join(" ");
        assert_eq!(ScopeSet::parse(&many), Err(ScopeError::TooLong));
    }

    proptest! {
        #[test]
        fn the_text_of_a_set_parses_to_the_same_set(tokens in prop::collection::vec("[!#-\\[\\]-~]{1,8}", 1..12)) {
            let set = ScopeSet::parse(&tokens.join(" ")).unwrap();
            prop_assert_eq!(ScopeSet::parse(&set.to_string()).unwrap(), set);
        }

        #[test]
        fn an_intersection_is_within_both_and_independent_of_order(
            a in prop::collection::vec("[a-d]", 0..4), b in prop::collection::vec("[a-d]", 0..4)
        ) {
            let a = ScopeSet::try_from(a).unwrap();
            let b = ScopeSet::try_from(b).unwrap();
            let both = a.intersection(&b);
            prop_assert!(both.is_subset(&a) && both.is_subset(&b));
            prop_assert_eq!(&both, &b.intersection(&a));
            prop_assert_eq!(both.intersection(&a), both);
        }
    }
}
