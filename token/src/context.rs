//! What a token says beside who and for what: which key its presenter must prove (RFC 7800),
//! how its user authenticated (RFC 9068 section 2.2.1), and where its status is published
//! (draft-ietf-oauth-status-list).
//!
//! Values only. Proofs are verified elsewhere, and nothing here says what any of it is worth.

use crate::Timestamp;
use crate::json::{JsonError, date_member, int_member, object_member, str_member};
use serde_json::{Map, Value, json};

/// Base64url characters of a SHA-256 digest without padding.
const THUMBPRINT_CHARS: usize = 43;
/// Longest `acr`, member of `amr` and issuer id, in bytes.
pub const MAX_CONTEXT_BYTES: usize = 256;
/// Authentication methods one token may name.
pub const MAX_METHODS: usize = 16;

/// The key that the presenter of a token must prove to have: one, by the thumbprint that its
/// kind of proof knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Confirmation {
    /// `jkt`: the JWK thumbprint (RFC 7638) of a DPoP key (RFC 9449 section 6.1).
    Jkt(String),
    /// `x5t#S256`: the SHA-256 of a certificate's DER (RFC 8705 section 3.1).
    X5tS256(String),
}

impl Confirmation {
    /// Reads a `cnf` claim. One that names no key we know of, several, or more than a key, is no
    /// constraint that we could keep, so it is refused.
    ///
    /// # Errors
    /// [`JsonError::Member`].
    pub fn from_json(value: &Value) -> Result<Self, JsonError> {
        let fault = wrong("cnf");
        let members = value.as_object().ok_or(fault)?;
        let mut members = members.iter();
        let (Some((name, value)), None) = (members.next(), members.next()) else { return Err(fault) };
        let thumbprint = value.as_str().filter(|text| is_thumbprint(text)).ok_or(fault)?.to_owned();
        match name.as_str() {
            "jkt" => Ok(Self::Jkt(thumbprint)),
            "x5t#S256" => Ok(Self::X5tS256(thumbprint)),
            _ => Err(fault),
        }
    }

    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Jkt(thumbprint) => json!({ "jkt": thumbprint }),
            Self::X5tS256(thumbprint) => json!({ "x5t#S256": thumbprint }),
        }
    }
}

fn wrong(name: &'static str) -> JsonError {
    JsonError::Member { name, expected: "of the form that its standard gives it" }
}

fn is_thumbprint(text: &str) -> bool {
    text.len() == THUMBPRINT_CHARS && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// How the user of a token authenticated, and where. Empty where no user did.
///
/// It survives every exchange unchanged (RFC 9068 section 2.2.1): who acts for a user did not
/// authenticate the user.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UserContext {
    /// The id, here, of the trusted issuer that vouched for the user.
    pub idp: Option<String>,
    pub auth_time: Option<Timestamp>,
    pub acr: Option<String>,
    pub amr: Vec<String>,
}

impl UserContext {
    /// Reads the claims, ours or another issuer's (whose `idp` says nothing here and is dropped
    /// by the caller).
    ///
    /// # Errors
    /// [`JsonError`] for one of the wrong form.
    pub fn from_claims(claims: &Map<String, Value>) -> Result<Self, JsonError> {
        let text = |name| -> Result<Option<String>, JsonError> {
            match str_member(claims, name)? {
                Some(text) if text.is_empty() || text.len() > MAX_CONTEXT_BYTES => Err(wrong(name)),
                text => Ok(text.map(str::to_owned)),
            }
        };
        let amr = match claims.get("amr") {
            None => Vec::new(),
            Some(Value::Array(items)) if !items.is_empty() && items.len() <= MAX_METHODS => items
                .iter()
                .map(|item| item.as_str().filter(|text| !text.is_empty() && text.len() <= MAX_CONTEXT_BYTES))
                .map(|item| item.map(str::to_owned).ok_or(wrong("amr")))
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(wrong("amr")),
        };
        Ok(Self { idp: text("idp")?, auth_time: date_member(claims, "auth_time")?, acr: text("acr")?, amr })
    }
}

/// Where a token's status is published: its place in a status list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatusReference {
    pub idx: i64,
    pub uri: String,
}

impl StatusReference {
    /// Reads a `status` claim.
    ///
    /// # Errors
    /// [`JsonError`] for one without a status list, or of the wrong form.
    pub fn from_json(value: &Value) -> Result<Self, JsonError> {
        let status = value.as_object().ok_or(wrong("status"))?;
        let list = object_member(status, "status_list")?.ok_or(wrong("status"))?;
        let idx = int_member(list, "idx")?.filter(|idx| *idx >= 0).ok_or(wrong("status"))?;
        let uri = str_member(list, "uri")?.ok_or(wrong("status"))?;
        Ok(Self { idx, uri: uri.to_owned() })
    }

    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({ "status_list": { "idx": self.idx, "uri": self.uri } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THUMBPRINT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

    #[test]
    fn a_confirmation_names_one_key_by_a_thumbprint() {
        for (name, have) in [
            ("jkt", Confirmation::Jkt(THUMBPRINT.to_owned())),
            ("x5t#S256", Confirmation::X5tS256(THUMBPRINT.to_owned())),
        ] {
            assert_eq!(have.to_json(), json!({ name: THUMBPRINT }));
            assert_eq!(Confirmation::from_json(&have.to_json()), Ok(have));
        }
    }

    #[test]
    fn a_confirmation_that_can_not_be_kept_is_refused() {
        for bad in [
            json!({}),
            json!(THUMBPRINT),
            json!({ "jkt": "" }),
            json!({ "jkt": format!("{THUMBPRINT}=") }),
            json!({ "jkt": 1 }),
            json!({ "jwk": {} }),
            json!({ "kid": "k" }),
            json!({ "jkt": THUMBPRINT, "x5t#S256": THUMBPRINT }),
        ] {
            assert!(Confirmation::from_json(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_users_context_is_read_strictly() {
        let claims = |value: Value| value.as_object().cloned().unwrap_or_default();
        let whole = json!({ "idp": "iss_1", "auth_time": 7, "acr": "gold", "amr": ["pwd", "otp"] });
        let context = UserContext::from_claims(&claims(whole));
        assert_eq!(
            context,
            Ok(UserContext {
                idp: Some("iss_1".into()),
                auth_time: Some(7),
                acr: Some("gold".into()),
                amr: vec!["pwd".into(), "otp".into()],
            })
        );
        assert_eq!(UserContext::from_claims(&Map::new()), Ok(UserContext::default()));
        for bad in [
            json!({ "auth_time": 1.5 }),
            json!({ "auth_time": "7" }),
            json!({ "acr": 1 }),
            json!({ "acr": "" }),
            json!({ "amr": "pwd" }),
            json!({ "amr": [] }),
            json!({ "amr": [""] }),
            json!({ "amr": [1] }),
            json!({ "acr": "x".repeat(257) }),
        ] {
            assert!(UserContext::from_claims(&claims(bad.clone())).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_status_reference_is_read_as_it_was_written() {
        let status = StatusReference { idx: 7, uri: "https://as.example/status/1".into() };
        assert_eq!(StatusReference::from_json(&status.to_json()), Ok(status));
        for bad in [json!({}), json!({"status_list": {"idx": -1, "uri": "u"}}), json!({"status_list": {"idx": 1}})] {
            assert!(StatusReference::from_json(&bad).is_err(), "{bad}");
        }
    }
}
