//! Audiences and resource indicators (RFC 8707 section 2, RFC 8693 section 2.1).
//!
//! An [`Audience`] is an absolute URI without a fragment, in one normal form, so
//! that `HTTPS://API.example/` and `https://api.example` name the same resource
//! (RFC 3986 section 6.2.2 and 6.2.3) while a different path never does.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest resource indicator accepted, in bytes.
pub const MAX_AUDIENCE_BYTES: usize = 512;

/// Why a text is not a resource indicator.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AudienceError {
    #[error("a resource is an absolute URI without a fragment, a query or user information, of at most 512 bytes")]
    NotAbsoluteUri,
}

/// The identifier of a protected resource, in normal form.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Audience(String);

impl Audience {
    /// Parses and normalises a resource indicator.
    ///
    /// # Errors
    /// [`AudienceError`] for anything but an absolute URI without fragment, query
    /// or userinfo (RFC 8707 section 2: MUST be absolute, MUST NOT have a fragment,
    /// SHOULD NOT have a query).
    pub fn parse(text: &str) -> Result<Self, AudienceError> {
        let refused = AudienceError::NotAbsoluteUri;
        // The URL parser repairs what it can (backslashes, spaces, tabs); a security
        // identifier must not be repaired, so the alphabet is checked first.
        if text.is_empty() || text.len() > MAX_AUDIENCE_BYTES || !text.bytes().all(is_uri_byte) {
            return Err(refused);
        }
        let url = url::Url::parse(text).map_err(|_| refused)?;
        if url.fragment().is_some() || url.query().is_some() || has_userinfo(&url) {
            return Err(refused);
        }
        // `https:host` and `https:///host` are repaired by the parser as well.
        if url.has_host() && !text.contains("://") || text.contains(":///") {
            return Err(refused);
        }
        if text.contains("/../") || text.contains("/./") || text.ends_with("/..") || text.ends_with("/.") {
            return Err(refused);
        }
        let normal = url.as_str();
        let normal = if url.has_host() && url.path() == "/" { normal.trim_end_matches('/') } else { normal };
        Ok(Self(normal.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn has_userinfo(url: &url::Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// RFC 3986 section 2: reserved, unreserved and percent, less `#`.
fn is_uri_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=%[]".contains(&b)
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Audience {
    type Error = AudienceError;

    fn try_from(text: String) -> Result<Self, AudienceError> {
        Self::parse(&text)
    }
}

impl From<Audience> for String {
    fn from(audience: Audience) -> Self {
        audience.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scheme_host_case_default_port_and_bare_slash_are_normalised() {
        let plain = Audience::parse("https://api.example").unwrap();
        for same in ["https://api.example/", "HTTPS://API.Example", "https://api.example:443/"] {
            assert_eq!(Audience::parse(same).unwrap(), plain, "{same}");
        }
        assert_eq!(plain.as_str(), "https://api.example");
    }

    #[test]
    fn paths_are_part_of_the_name() {
        let a = Audience::parse("https://api.example/v1").unwrap();
        for other in ["https://api.example/V1", "https://api.example/v1/", "https://api.example/v1x"] {
            assert_ne!(Audience::parse(other).unwrap(), a, "{other}");
        }
    }

    #[test]
    fn what_is_no_absolute_uri_is_refused() {
        for bad in [
            "",
            "api",
            "/v1",
            "//api.example",
            "https://",
            "https://a b",
            "https://a#f",
            "https://a/?q=1",
            "https://u:p@a",
            "https://u@a",
            "https:\\\\a",
            "https:a",
            "https:///a",
            "https://a/x/../y",
            "https://a/./y",
            "https://a/..",
            "\u{e4}://a",
            "https://a/\u{e4}",
            " https://a",
            "https://a\n",
        ] {
            assert_eq!(Audience::parse(bad), Err(AudienceError::NotAbsoluteUri), "{bad:?}");
        }
        assert!(Audience::parse(&format!("https://a/{}", "x".repeat(512))).is_err());
        assert_eq!(Audience::parse("urn:example:billing").unwrap().as_str(), "urn:example:billing");
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "[a-zA-Z]{2,6}://[a-zA-Z0-9.]{1,12}(:[0-9]{1,4})?(/[a-zA-Z0-9._~%-]{0,6}){0,3}") {
            if let Ok(once) = Audience::parse(&text) {
                prop_assert_eq!(Audience::parse(once.as_str()).unwrap(), once);
            }
        }
    }
}
