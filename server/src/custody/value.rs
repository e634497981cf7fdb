//! The value of a credential: what is sealed, opened for a release, and put into requests.
//! Write-only at the admin API. Nothing here prints it.

use super::spec::CredentialKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use stipend_keys::Secret;
use url::Url;
use zeroize::Zeroize;

/// Longest single secret text, in bytes.
pub const MAX_SECRET_BYTES: usize = 8 * 1024;
/// Most headers of a header set.
pub const MAX_HEADERS: usize = 16;

/// What is in custody. As JSON an object with the members of its kind.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "serde_json::Value", rename_all = "snake_case")]
pub enum CredentialValue {
    ApiKey {
        key: String,
    },
    Basic {
        username: String,
        password: String,
    },
    OauthClientCredentials {
        token_url: String,
        client_id: String,
        client_secret: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
    },
    Headers {
        headers: BTreeMap<String, String>,
    },
}

/// As it is read: serde's own messages would quote what they found.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Raw {
    ApiKey {
        key: String,
    },
    Basic {
        username: String,
        password: String,
    },
    OauthClientCredentials {
        token_url: String,
        client_id: String,
        client_secret: String,
        #[serde(default)]
        scope: Option<String>,
    },
    Headers {
        headers: BTreeMap<String, String>,
    },
}

impl TryFrom<serde_json::Value> for CredentialValue {
    type Error = ValueError;

    fn try_from(value: serde_json::Value) -> Result<Self, ValueError> {
        // serde takes a list of the members for an object as well.
        let plain = value.as_object().is_some_and(|kinds| kinds.values().all(serde_json::Value::is_object));
        let raw = serde_json::from_value(value).ok().filter(|_| plain).ok_or(ValueError::Form)?;
        Ok(match raw {
            Raw::ApiKey { key } => Self::ApiKey { key },
            Raw::Basic { username, password } => Self::Basic { username, password },
            Raw::OauthClientCredentials { token_url, client_id, client_secret, scope } => {
                Self::OauthClientCredentials { token_url, client_id, client_secret, scope }
            }
            Raw::Headers { headers } => Self::Headers { headers },
        })
    }
}

/// Why a value can't be kept. Never quotes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ValueError {
    #[error(
        "a value is an object with one member, its kind: api_key, basic, oauth_client_credentials or headers, with the members documented for it"
    )]
    Form,
    #[error("a secret is 1 to 8192 visible ASCII characters, spaces inside included")]
    Text,
    #[error("a user name has no colon")]
    Username,
    #[error("token_url must be an https URL without user information and fragment")]
    TokenUrl,
    #[error("headers are 1 to 16, with names of HTTP fields that are not the connection's own")]
    Header,
}

/// Fields that belong to the connection, or that say who is asking or for which host.
const FORBIDDEN_HEADERS: [&str; 14] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "expect",
    "content-type",
    "content-encoding",
];

impl CredentialValue {
    /// # Errors
    /// [`ValueError`].
    pub fn check(&self, plain_http: impl Fn(&str) -> bool) -> Result<(), ValueError> {
        match self {
            Self::ApiKey { key } => text(key),
            Self::Basic { username, password } => {
                text(username)?;
                text(password)?;
                if username.contains(':') { Err(ValueError::Username) } else { Ok(()) }
            }
            Self::OauthClientCredentials { token_url, client_id, client_secret, scope } => {
                text(client_id)?;
                text(client_secret)?;
                scope.as_deref().map_or(Ok(()), text)?;
                let url = Url::parse(token_url).map_err(|_| ValueError::TokenUrl)?;
                let scheme = match url.scheme() {
                    "https" => true,
                    "http" => url.host_str().is_some_and(plain_http),
                    _ => false,
                };
                let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
                if scheme && plain && url.host().is_some() { Ok(()) } else { Err(ValueError::TokenUrl) }
            }
            Self::Headers { headers } => {
                let good = |name: &String| is_field_name(name) && !FORBIDDEN_HEADERS.contains(&name.as_str());
                if headers.is_empty() || headers.len() > MAX_HEADERS || !headers.keys().all(good) {
                    return Err(ValueError::Header);
                }
                headers.values().try_for_each(|value| text(value))
            }
        }
    }

    #[must_use]
    pub fn kind(&self) -> CredentialKind {
        match self {
            Self::ApiKey { .. } => CredentialKind::ApiKey,
            Self::Basic { .. } => CredentialKind::Basic,
            Self::OauthClientCredentials { .. } => CredentialKind::OauthClientCredentials,
            Self::Headers { .. } => CredentialKind::Headers,
        }
    }

    /// What is secret of it, for a fingerprint: the same secret has the same fingerprint
    /// whatever stands beside it.
    #[must_use]
    pub fn secret_text(&self) -> Secret<String> {
        Secret::new(match self {
            Self::ApiKey { key } => key.clone(),
            Self::Basic { password, .. } => password.clone(),
            Self::OauthClientCredentials { client_secret, .. } => client_secret.clone(),
            Self::Headers { headers } => headers.values().cloned().collect::<Vec<_>>().join("\n"),
        })
    }

    /// Every text that must not come back from an upstream, and no log may hold.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret<String>> {
        match self {
            Self::Headers { headers } => headers.values().cloned().map(Secret::new).collect(),
            Self::ApiKey { .. } | Self::Basic { .. } | Self::OauthClientCredentials { .. } => vec![self.secret_text()],
        }
    }

    /// Its JSON, to be sealed or released.
    #[must_use]
    pub fn to_json(&self) -> Secret<Vec<u8>> {
        // Plain strings: writing them can't fail.
        Secret::new(serde_json::to_vec(self).unwrap_or_default())
    }
}

/// A value of a header field (RFC 9110 section 5.5), not empty and not padded.
fn text(text: &str) -> Result<(), ValueError> {
    let plain = text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) && text.trim() == text;
    if plain && !text.is_empty() && text.len() <= MAX_SECRET_BYTES { Ok(()) } else { Err(ValueError::Text) }
}

/// A field name (RFC 9110 section 5.1) in lower case.
pub(super) fn is_field_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.len() <= 64 && name.bytes().all(token)
}

/// Whether a header may be set by a credential.
pub fn may_inject(name: &str) -> bool {
    is_field_name(name) && !FORBIDDEN_HEADERS.contains(&name)
}

impl Drop for CredentialValue {
    fn drop(&mut self) {
        match self {
            Self::ApiKey { key } => key.zeroize(),
            Self::Basic { password, .. } => password.zeroize(),
            Self::OauthClientCredentials { client_secret, .. } => client_secret.zeroize(),
            Self::Headers { headers } => headers.values_mut().for_each(Zeroize::zeroize),
        }
    }
}

impl fmt::Debug for CredentialValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialValue(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<CredentialValue, serde_json::Error> {
        serde_json::from_str(json)
    }

    fn check(json: &str) -> Result<(), ValueError> {
        parse(json).unwrap().check(|host| host == "localhost")
    }

    #[test]
    fn each_kind_reads_back_and_prints_nothing() {
        for json in [
            r#"{"api_key":{"key":"sk-hunter2"}}"#,
            r#"{"basic":{"username":"u","password":"sk-hunter2"}}"#,
            r#"{"oauth_client_credentials":{"token_url":"https://idp/token","client_id":"c","client_secret":"sk-hunter2"}}"#,
            r#"{"headers":{"headers":{"x-key":"sk-hunter2"}}}"#,
        ] {
            let value = parse(json).unwrap();
            assert_eq!(value.check(|_| false), Ok(()), "{json}");
            assert_eq!(value.to_json().expose(), json.as_bytes());
            assert!(!format!("{value:?}").contains("hunter2"));
            assert_eq!(value.secret_text().expose(), "sk-hunter2");
            assert_eq!(value.secrets().len(), 1);
        }
    }

    #[test]
    fn what_could_break_out_of_a_header_is_refused() {
        for (json, error) in [
            (r#"{"api_key":{"key":""}}"#, ValueError::Text),
            (r#"{"api_key":{"key":"a\r\nx: y"}}"#, ValueError::Text),
            (r#"{"api_key":{"key":" a"}}"#, ValueError::Text),
            (r#"{"api_key":{"key":"\u00e4"}}"#, ValueError::Text),
            (r#"{"basic":{"username":"a:b","password":"p"}}"#, ValueError::Username),
            (r#"{"headers":{"headers":{}}}"#, ValueError::Header),
            (r#"{"headers":{"headers":{"Host":"x"}}}"#, ValueError::Header),
            (r#"{"headers":{"headers":{"host":"x"}}}"#, ValueError::Header),
            (r#"{"headers":{"headers":{"transfer-encoding":"x"}}}"#, ValueError::Header),
            (r#"{"headers":{"headers":{"x y":"x"}}}"#, ValueError::Header),
            (
                r#"{"oauth_client_credentials":{"token_url":"http://idp/t","client_id":"c","client_secret":"s"}}"#,
                ValueError::TokenUrl,
            ),
            (
                r#"{"oauth_client_credentials":{"token_url":"https://u@idp/t","client_id":"c","client_secret":"s"}}"#,
                ValueError::TokenUrl,
            ),
        ] {
            assert_eq!(check(json), Err(error), "{json}");
        }
        let local =
            r#"{"oauth_client_credentials":{"token_url":"http://localhost:1/t","client_id":"c","client_secret":"s"}}"#;
        assert_eq!(check(local), Ok(()));
    }

    #[test]
    fn what_is_malformed_is_never_quoted() {
        for json in [
            r#""sk-hunter2""#,
            r#"{"sk-hunter2":{}}"#,
            r#"{"api_key":"sk-hunter2"}"#,
            r#"{"api_key":["sk-hunter2"]}"#,
            r#"{"api_key":{"key":"a","sk-hunter2":1}}"#,
            r#"{"api_key":{"key":"sk-hunter2"},"basic":{"username":"u","password":"p"}}"#,
            r#"{"basic":{"username":"u","password":["sk-hunter2"]}}"#,
        ] {
            let error = parse(json).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
