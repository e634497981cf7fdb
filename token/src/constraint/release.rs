//! `authorization_details` (RFC 9396 section 2) of the type `credential_release`: which
//! credential, what may be done with it, and within which constraints.
//!
//! In a request it says what is asked for. In a token it is a ceiling, and says besides where its
//! counted limits are counted; a token that names no credentials at all sets no ceiling, and one
//! with an empty list admits none.

use super::constraints::Constraints;
use super::counted::{CountedLimit, MAX_COUNTED, counts_all};
use super::list::TooMany;
use crate::json::JsonError;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

/// The type's name.
pub const CREDENTIAL_RELEASE_TYPE: &str = "credential_release";
/// Credentials that one token may name.
pub const MAX_CREDENTIALS: usize = 8;
/// Longest identifier of a credential.
pub const MAX_IDENTIFIER_BYTES: usize = 128;

/// What may be done with a credential.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is given to the agent.
    Release,
    /// Calls are made with it, and the agent never sees it.
    Proxy,
}

/// One credential, as asked for and as granted:
/// `{"type":"credential_release","identifier":"…","actions":["release","proxy"],"constraints":{…}}`.
/// There is at least one action; without `constraints` there are none. In a token, `counted` is
/// the list of its [`CountedLimit`]s, oldest first, where it has any.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CredentialRelease {
    identifier: String,
    actions: Vec<Action>,
    constraints: Constraints,
    counted: Vec<CountedLimit>,
}

/// What a request may say of a credential.
const MEMBERS: [&str; 4] = ["type", "identifier", "actions", "constraints"];
/// What only a token says of it.
const COUNTED: &str = "counted";
const MALFORMED: JsonError =
    JsonError::Member { name: "authorization_details", expected: "a short list of different credentials" };

/// Why one is refused when it is read: nothing of it is guessed or ignored (RFC 9396 section 5).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReleaseError {
    #[error("a credential_release has a member that is unknown, missing or of the wrong form")]
    Member,
    #[error(
        "an identifier is 1 to 128 letters, digits, hyphens, underscores and dots, and begins with a letter or digit"
    )]
    Identifier,
    #[error("actions names release, proxy or both, each once")]
    Actions,
    #[error("constraints has a member that is unknown or of the wrong form")]
    Constraints,
    #[error("a credential is named twice, or more than 8 are")]
    Repeated,
}

/// Why one is not granted out of another.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NarrowError {
    #[error("the credential is not among those of the subject token")]
    NotHeld,
    #[error("an action is not among those of the subject token")]
    ActionsWider,
    #[error("a limit would be counted under more tokens than a chain of exchanges has")]
    TooDeep,
    #[error(transparent)]
    TooMany(#[from] TooMany),
}

impl CredentialRelease {
    /// # Errors
    /// [`ReleaseError`] for an identifier or actions that are malformed.
    pub fn new(identifier: &str, mut actions: Vec<Action>, constraints: Constraints) -> Result<Self, ReleaseError> {
        if !is_identifier(identifier) {
            return Err(ReleaseError::Identifier);
        }
        let named = actions.len();
        actions.sort_unstable();
        actions.dedup();
        if actions.is_empty() || actions.len() != named {
            return Err(ReleaseError::Actions);
        }
        Ok(Self { identifier: identifier.to_owned(), actions, constraints, counted: Vec::new() })
    }

    /// Reads objects of this type, each for a credential of its own, of a request or of what is
    /// stored. The text must have been read by [`crate::json`].
    ///
    /// # Errors
    /// [`ReleaseError`]; `counted` is no member here, for nobody asks to be counted elsewhere.
    pub fn parse_all(items: &[Value]) -> Result<Vec<Self>, ReleaseError> {
        Self::each(items, Self::parse)
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub fn parse(item: &Value) -> Result<Self, ReleaseError> {
        let map = item.as_object().ok_or(ReleaseError::Member)?;
        Self::read(map, &MEMBERS)
    }

    /// Reads the claim of a token: a list of objects of this type, with what is counted. It may
    /// be empty: such a token is for no credential, and nothing that descends from it is.
    ///
    /// # Errors
    /// [`JsonError::Member`]. Of a ceiling nothing may be guessed: another type and an unknown
    /// member are refused.
    pub fn parse_claim(value: &Value) -> Result<Vec<Self>, JsonError> {
        let items = value.as_array().ok_or(MALFORMED)?;
        Self::each(items, Self::parse_granted).map_err(|_| MALFORMED)
    }

    fn parse_granted(item: &Value) -> Result<Self, ReleaseError> {
        let map = item.as_object().ok_or(ReleaseError::Member)?;
        let [kind, identifier, actions, constraints] = MEMBERS;
        let release = Self::read(map, &[kind, identifier, actions, constraints, COUNTED])?;
        let counted = match map.get(COUNTED) {
            Some(entries) => CountedLimit::parse_all(entries, &release.constraints),
            None => counts_all(&[], &release.constraints).then(Vec::new),
        };
        Ok(Self { counted: counted.ok_or(ReleaseError::Member)?, ..release })
    }

    fn each(items: &[Value], parse: impl Fn(&Value) -> Result<Self, ReleaseError>) -> Result<Vec<Self>, ReleaseError> {
        if items.len() > MAX_CREDENTIALS {
            return Err(ReleaseError::Repeated);
        }
        let mut releases: Vec<Self> = Vec::with_capacity(items.len());
        for item in items {
            let release = parse(item)?;
            if releases.iter().any(|other| other.identifier == release.identifier) {
                return Err(ReleaseError::Repeated);
            }
            releases.push(release);
        }
        Ok(releases)
    }

    fn read(map: &Map<String, Value>, known: &[&str]) -> Result<Self, ReleaseError> {
        let text = |name: &str| map.get(name).and_then(Value::as_str).ok_or(ReleaseError::Member);
        if text("type")? != CREDENTIAL_RELEASE_TYPE || map.keys().any(|name| !known.contains(&name.as_str())) {
            return Err(ReleaseError::Member);
        }
        let actions = map.get("actions").ok_or(ReleaseError::Member)?;
        let actions = Vec::deserialize(actions).map_err(|_| ReleaseError::Actions)?;
        let constraints = map.get("constraints").map(Constraints::deserialize).transpose();
        let constraints = constraints.map_err(|_| ReleaseError::Constraints)?;
        Self::new(text("identifier")?, actions, constraints.unwrap_or_default())
    }

    #[must_use]
    pub fn identifier(&self) -> &str {
        &self.identifier
    }

    #[must_use]
    pub fn allows(&self, action: Action) -> bool {
        self.actions.contains(&action)
    }

    #[must_use]
    pub fn constraints(&self) -> &Constraints {
        &self.constraints
    }

    /// Where its counted limits are counted, oldest first: a call is counted under each of them,
    /// for this credential, before it is made.
    #[must_use]
    pub fn counted(&self) -> &[CountedLimit] {
        &self.counted
    }

    /// The same as a request says it.
    #[must_use]
    pub fn without_counted(&self) -> Self {
        Self { counted: Vec::new(), ..self.clone() }
    }

    /// The ceiling of a new token with the id `jti`: of one in a client's own name, for which
    /// nothing is held, what was asked for; of one that is exchanged, all that the subject token
    /// holds, or what was asked for of it. Only where neither says anything there is none.
    ///
    /// # Errors
    /// [`NarrowError`]; nothing is granted in part.
    pub fn ceiling(held: Option<&[Self]>, asked: Option<&[Self]>, jti: &str) -> Result<Option<Vec<Self>>, NarrowError> {
        match (held, asked) {
            (held, None) => Ok(held.map(<[Self]>::to_vec)),
            (Some(held), Some(asked)) => Self::narrow_all(held, asked, jti).map(Some),
            (None, Some(asked)) => Ok(Some(in_order(asked.iter().map(|asked| asked.first_held(jti)).collect()))),
        }
    }

    /// What an exchange grants of it to the token `jti`: the same credential, no action more, and
    /// the constraints of both. Asking for fewer constraints takes none away, and what is counted
    /// goes on being counted where it was.
    ///
    /// # Errors
    /// [`NarrowError`].
    pub fn narrow(&self, asked: &Self, jti: &str) -> Result<Self, NarrowError> {
        if asked.identifier != self.identifier {
            return Err(NarrowError::NotHeld);
        }
        if !asked.actions.iter().all(|action| self.allows(*action)) {
            return Err(NarrowError::ActionsWider);
        }
        let constraints = self.constraints.tighten(&asked.constraints)?;
        let mut counted = self.counted.clone();
        counted.extend(CountedLimit::of_request(jti, &asked.constraints, &self.constraints));
        if counted.len() > MAX_COUNTED {
            return Err(NarrowError::TooDeep);
        }
        Ok(Self { identifier: asked.identifier.clone(), actions: asked.actions.clone(), constraints, counted })
    }

    /// What an exchange grants of all that a token holds: each that is asked for, narrowed, and
    /// no other.
    ///
    /// # Errors
    /// [`NarrowError`]; nothing is granted in part.
    pub fn narrow_all(held: &[Self], asked: &[Self], jti: &str) -> Result<Vec<Self>, NarrowError> {
        let narrow = |asked: &Self| {
            let same = held.iter().find(|held| held.identifier == asked.identifier);
            same.ok_or(NarrowError::NotHeld)?.narrow(asked, jti)
        };
        asked.iter().map(narrow).collect::<Result<_, _>>().map(in_order)
    }

    /// As the first token of a chain has it: its own request is all there is to count.
    fn first_held(&self, jti: &str) -> Self {
        let counted = CountedLimit::of_request(jti, &self.constraints, &Constraints::default()).collect();
        Self { counted, ..self.clone() }
    }
}

/// By identifier: what a token says does not hang on the order in which it was asked for.
fn in_order(mut releases: Vec<CredentialRelease>) -> Vec<CredentialRelease> {
    releases.sort_by(|a, b| a.identifier.cmp(&b.identifier));
    releases
}

/// It stands in paths, so it is no segment of dots either.
fn is_identifier(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.len() <= MAX_IDENTIFIER_BYTES
        && text.bytes().all(plain)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

impl Serialize for CredentialRelease {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", CREDENTIAL_RELEASE_TYPE)?;
        map.serialize_entry("identifier", &self.identifier)?;
        map.serialize_entry("actions", &self.actions)?;
        if !self.constraints.is_empty() {
            map.serialize_entry("constraints", &self.constraints)?;
        }
        if !self.counted.is_empty() {
            map.serialize_entry(COUNTED, &self.counted)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests;
