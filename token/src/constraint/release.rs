//! `authorization_details` (RFC 9396 section 2) of the type `credential_release`: which
//! credential, what may be done with it, and within which constraints.

use super::constraints::Constraints;
use super::list::TooMany;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
/// There is at least one action; without `constraints` there are none.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "RawRelease", into = "RawRelease")]
pub struct CredentialRelease {
    identifier: String,
    actions: Vec<Action>,
    constraints: Constraints,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawRelease {
    r#type: String,
    identifier: String,
    actions: Vec<Action>,
    #[serde(default, skip_serializing_if = "Constraints::is_empty")]
    constraints: Constraints,
}

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
        Ok(Self { identifier: identifier.to_owned(), actions, constraints })
    }

    /// Reads objects of this type, each for a credential of its own: of a request, of a token's
    /// claim, of what is stored. The text must have been read by [`crate::json`].
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub fn parse_all(items: &[Value]) -> Result<Vec<Self>, ReleaseError> {
        if items.len() > MAX_CREDENTIALS {
            return Err(ReleaseError::Repeated);
        }
        let mut releases: Vec<Self> = Vec::with_capacity(items.len());
        for item in items {
            let release = Self::parse(item)?;
            if releases.iter().any(|other| other.identifier == release.identifier) {
                return Err(ReleaseError::Repeated);
            }
            releases.push(release);
        }
        Ok(releases)
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub fn parse(item: &Value) -> Result<Self, ReleaseError> {
        // serde takes a list of the values for an object as well.
        if !item.is_object() {
            return Err(ReleaseError::Member);
        }
        let raw = RawRelease::deserialize(item).map_err(|_| ReleaseError::Member)?;
        raw.try_into()
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

    /// What an exchange grants of it: the same credential, no action more, and the constraints
    /// of both. Asking for fewer constraints takes none away.
    ///
    /// # Errors
    /// [`NarrowError`].
    pub fn narrow(&self, asked: &Self) -> Result<Self, NarrowError> {
        if asked.identifier != self.identifier {
            return Err(NarrowError::NotHeld);
        }
        if !asked.actions.iter().all(|action| self.allows(*action)) {
            return Err(NarrowError::ActionsWider);
        }
        Ok(Self { constraints: self.constraints.tighten(&asked.constraints)?, ..asked.clone() })
    }

    /// What an exchange grants of all that a token holds: each that is asked for, narrowed, and
    /// no other.
    ///
    /// # Errors
    /// [`NarrowError`]; nothing is granted in part.
    pub fn narrow_all(held: &[Self], asked: &[Self]) -> Result<Vec<Self>, NarrowError> {
        let narrow = |asked: &Self| {
            let same = held.iter().find(|held| held.identifier == asked.identifier);
            same.ok_or(NarrowError::NotHeld)?.narrow(asked)
        };
        asked.iter().map(narrow).collect()
    }
}

/// It stands in paths, so it is no segment of dots either.
fn is_identifier(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.len() <= MAX_IDENTIFIER_BYTES
        && text.bytes().all(plain)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

impl TryFrom<RawRelease> for CredentialRelease {
    type Error = ReleaseError;

    fn try_from(raw: RawRelease) -> Result<Self, ReleaseError> {
        if raw.r#type != CREDENTIAL_RELEASE_TYPE {
            return Err(ReleaseError::Member);
        }
        Self::new(&raw.identifier, raw.actions, raw.constraints)
    }
}

impl From<CredentialRelease> for RawRelease {
    fn from(release: CredentialRelease) -> Self {
        Self {
            r#type: CREDENTIAL_RELEASE_TYPE.to_owned(),
            identifier: release.identifier,
            actions: release.actions,
            constraints: release.constraints,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn release(actions: &[&str], constraints: &Value) -> Value {
        json!({"type": "credential_release", "identifier": "qwen-apikey-prod", "actions": actions, "constraints": constraints})
    }

    fn parse(value: &Value) -> CredentialRelease {
        CredentialRelease::parse(value).unwrap()
    }

    #[test]
    fn it_reads_back_as_it_was_written() {
        let written = release(
            &["release", "proxy"],
            &json!({"methods": ["POST"], "paths": ["/v1/chat"], "rate": {"count": 10, "per_s": 60}}),
        );
        assert_eq!(serde_json::to_value(parse(&written)).unwrap(), written);
        assert_eq!(
            parse(&release(&["proxy", "release"], &json!({}))),
            parse(&release(&["release", "proxy"], &json!({})))
        );
        let bare = json!({"type": "credential_release", "identifier": "a.b_c-1", "actions": ["proxy"]});
        assert_eq!(serde_json::to_value(parse(&bare)).unwrap(), bare);
        assert!(parse(&bare).allows(Action::Proxy) && !parse(&bare).allows(Action::Release));
    }

    #[test]
    fn nothing_is_guessed_or_ignored() {
        use ReleaseError::{Actions, Identifier, Member};
        let with = |name: &str, value: Value| {
            let mut release = release(&["proxy"], &json!({}));
            release[name] = value;
            release
        };
        let long = "a".repeat(129);
        for (value, error) in [
            (json!(null), Member),
            (json!([]), Member),
            (json!(["credential_release", "a", ["proxy"], {}]), Member),
            (with("type", json!("budget")), Member),
            (with("type", json!(null)), Member),
            (with("identifier", json!(5)), Member),
            (with("identifier", json!("")), Identifier),
            (with("identifier", json!("..")), Identifier),
            (with("identifier", json!("a/b")), Identifier),
            (with("identifier", json!("-a")), Identifier),
            (with("identifier", json!("\u{e4}")), Identifier),
            (with("identifier", json!(long)), Identifier),
            (with("actions", json!([])), Actions),
            (with("actions", json!(["proxy", "proxy"])), Actions),
            (with("actions", json!(["use"])), Member),
            (with("actions", json!("proxy")), Member),
            (with("actions", json!(null)), Member),
            (with("constraints", json!(null)), Member),
            (with("constraints", json!([])), Member),
            (with("constraints", json!({"method": ["POST"]})), Member),
            (with("constraints", json!({"paths": ["/a/.."]})), Member),
            (with("locations", json!([])), Member),
        ] {
            assert_eq!(CredentialRelease::parse(&value), Err(error), "{value}");
        }
        for name in ["type", "identifier", "actions"] {
            let mut short = with("type", json!("credential_release"));
            short.as_object_mut().unwrap().remove(name);
            assert_eq!(CredentialRelease::parse(&short), Err(Member), "{name}");
        }
        let one = release(&["proxy"], &json!({}));
        assert_eq!(CredentialRelease::parse_all(&[one.clone(), one.clone()]), Err(ReleaseError::Repeated));
        let numbered = |n: usize| with("identifier", json!(format!("c{n}")));
        assert!(CredentialRelease::parse_all(&(0..8).map(numbered).collect::<Vec<_>>()).is_ok());
        assert_eq!(
            CredentialRelease::parse_all(&(0..9).map(numbered).collect::<Vec<_>>()),
            Err(ReleaseError::Repeated)
        );
    }

    #[test]
    fn an_exchange_only_narrows() {
        let held = parse(&release(&["release", "proxy"], &json!({"methods": ["GET", "POST"], "uses": 5})));
        let asked = parse(&release(&["proxy"], &json!({"methods": ["POST", "PUT"], "paths": ["/v1"]})));
        let granted = parse(&release(&["proxy"], &json!({"methods": ["POST"], "paths": ["/v1"], "uses": 5})));
        assert_eq!(held.narrow(&asked), Ok(granted.clone()));
        assert_eq!(held.narrow(&granted), Ok(granted.clone()), "twice is once");
        assert_eq!(granted.narrow(&held), Err(NarrowError::ActionsWider));
        let unconstrained = parse(&release(&["proxy"], &json!({})));
        assert_eq!(held.narrow(&unconstrained).unwrap().constraints(), held.constraints());
        let other = CredentialRelease { identifier: "other".into(), ..held.clone() };
        assert_eq!(held.narrow(&other), Err(NarrowError::NotHeld));
        assert_eq!(CredentialRelease::narrow_all(&[other, held.clone()], &[asked]), Ok(vec![granted]));
        assert_eq!(CredentialRelease::narrow_all(&[], &[held]), Err(NarrowError::NotHeld));
        assert_eq!(CredentialRelease::narrow_all(&[], &[]), Ok(Vec::new()));
    }
}
