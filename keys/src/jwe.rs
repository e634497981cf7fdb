//! Secrets encrypted to an agent's own key, as JWE in the compact serialisation
//! (RFC 7516 section 7.1).
//!
//! Made here, never read here: nothing in this crate decrypts a JWE. josekit encrypts
//! the content key to the public key; the header, the content key, the nonce and the
//! encryption of the content are ours, so that the content key is wiped, nothing is
//! compressed, and the header holds what we put there. Each message has a content
//! key, a nonce and (for ECDH) an ephemeral key of its own.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde_json::{Map, Value};
use stipend_token::json::{self, JsonError};
use zeroize::Zeroize;

use crate::jose::{KeyWrap, KeyWrapper};
use crate::jwk::{self, JwkError};
use crate::secret::{Secret, random_bytes, sha256};

/// Longest content. Less than what is sealed: recipients bound messages too, joserfc
/// at 67,712 characters if nobody tells it otherwise.
pub const MAX_CONTENT_BYTES: usize = 32 * 1024;
/// Longest value of a header parameter that the caller gives.
pub const MAX_PARAMETER_BYTES: usize = 1024;
/// `typ` of a released secret (RFC 8725 section 3.11): it can't be taken for an
/// encrypted token.
pub const RELEASE_TYP: &str = "stipend-release+jwe";

const ENC: &str = "A256GCM";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// Why a key is not one to encrypt to, or a message can't be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JweError {
    #[error(transparent)]
    Key(#[from] JwkError),
    #[error("the key type is not EC, OKP or RSA")]
    UnsupportedKeyType,
    #[error("the curve is not P-256 (EC) or X25519 (OKP)")]
    UnsupportedCurve,
    #[error("the key is not for encryption: its use or key_ops say otherwise")]
    WrongUse,
    #[error("the algorithm is not ECDH-ES+A256KW or RSA-OAEP-256, or does not fit the key type")]
    WrongAlgorithm,
    #[error("the content or a header parameter is too long to be encrypted")]
    TooLong,
    #[error("the key could not be encrypted to")]
    Refused,
}

impl From<JsonError> for JweError {
    fn from(error: JsonError) -> Self {
        Self::Key(error.into())
    }
}

/// What the caller puts into the protected header. Anybody can read it; the
/// recipient can rely on it, since the content opens with this header only.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parameters<'a> {
    /// Media type of the content, e.g. `text/plain` (RFC 7516 section 4.1.12).
    pub cty: Option<&'a str>,
    /// Replicated claims (RFC 7519 section 5.3): who made this, for whom, and until
    /// when (seconds since 1970) the recipient should take it.
    pub iss: Option<&'a str>,
    pub aud: Option<&'a str>,
    pub exp: Option<i64>,
}

/// A public key that passed every check, with the one algorithm that encrypts to it.
pub struct EncryptionJwk {
    wrap: KeyWrap,
    kid: String,
    thumbprint: String,
    kty: &'static str,
    members: Vec<(&'static str, String)>,
    wrapper: KeyWrapper,
}

impl EncryptionJwk {
    /// Reads a key from JSON text, refusing duplicate members.
    pub fn from_json(bytes: &[u8]) -> Result<Self, JweError> {
        Self::parse(&json::parse_object(bytes, jwk::LIMITS)?)
    }

    /// Reads a key from the members of a JSON object. Unknown members are ignored
    /// (RFC 7517 section 4).
    pub fn parse(map: &Map<String, Value>) -> Result<Self, JweError> {
        if jwk::PRIVATE_MEMBERS.iter().any(|name| map.contains_key(*name)) {
            return Err(JwkError::PrivateMember.into());
        }
        let (wrap, kty, members) = match json::str_member(map, "kty")? {
            Some("EC") => (KeyWrap::EcdhEsA256Kw, "EC", ec(map)?),
            Some("OKP") => (KeyWrap::EcdhEsA256Kw, "OKP", okp(map)?),
            Some("RSA") => (KeyWrap::RsaOaep256, "RSA", rsa(map)?),
            Some(_) => return Err(JweError::UnsupportedKeyType),
            None => return Err(JwkError::Member("kty").into()),
        };
        if json::str_member(map, "alg")?.is_some_and(|alg| alg != name(wrap)) {
            return Err(JweError::WrongAlgorithm);
        }
        // RFC 7517 section 4.3.
        let operations: &[&str] = match wrap {
            KeyWrap::EcdhEsA256Kw => &["deriveKey", "deriveBits"],
            KeyWrap::RsaOaep256 => &["wrapKey", "encrypt"],
        };
        jwk::check_purpose(map, "enc", operations).map_err(|error| match error {
            JwkError::WrongUse => JweError::WrongUse,
            other => other.into(),
        })?;
        let thumbprint = thumbprint(kty, &members);
        let kid = jwk::declared_kid(map)?.unwrap_or_else(|| thumbprint.clone());
        let wrapper = KeyWrapper::new(wrap, kty, &members).map_err(|_| JwkError::InvalidPoint)?;
        // Encrypting once shows what loading doesn't: X25519 keys of small order, which
        // derive a secret that everybody knows, are refused in use only.
        wrapper.wrap(&random_bytes::<KEY_BYTES>()).map_err(|_| JwkError::InvalidPoint)?;
        Ok(Self { wrap, kid, thumbprint, kty, members, wrapper })
    }

    /// The one algorithm that encrypts to this key.
    pub const fn alg(&self) -> &'static str {
        name(self.wrap)
    }

    /// The key's id: the one it declares, else its thumbprint.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The RFC 7638 SHA-256 thumbprint in base64url.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The key as JSON, to be stored and read again.
    pub fn to_public_json(&self) -> String {
        let (kid, alg, kty) = (Value::from(self.kid()), self.alg(), self.kty);
        let mut json = format!(r#"{{"kty":"{kty}","use":"enc","alg":"{alg}","kid":{kid}"#);
        for (name, value) in &self.members {
            json.push_str(&format!(r#","{name}":"{value}""#));
        }
        json.push('}');
        json
    }

    /// Encrypts `content` to this key.
    pub fn encrypt(&self, parameters: &Parameters<'_>, content: &Secret<Vec<u8>>) -> Result<String, JweError> {
        if content.expose().len() > MAX_CONTENT_BYTES {
            return Err(JweError::TooLong);
        }
        let content_key = Secret::new(random_bytes::<KEY_BYTES>());
        let (encrypted_key, epk) = self.wrapper.wrap(content_key.expose()).map_err(|_| JweError::Refused)?;
        let header = self.header(parameters, epk)?;
        let nonce = random_bytes::<NONCE_BYTES>();
        let mut text = content.expose().clone();
        let sealed = UnboundKey::new(&AES_256_GCM, content_key.expose()).and_then(|key| {
            // RFC 7516 section 5.1, step 14: the header as it is sent is authenticated.
            let (nonce, aad) = (Nonce::assume_unique_for_key(nonce), Aad::from(header.as_bytes()));
            LessSafeKey::new(key).seal_in_place_separate_tag(nonce, aad, &mut text)
        });
        let Ok(tag) = sealed else {
            text.zeroize();
            return Err(JweError::Refused);
        };
        let parts = [&encrypted_key[..], &nonce, &text, tag.as_ref()];
        Ok(parts.iter().fold(header, |mut message, part| {
            message.push('.');
            URL_SAFE_NO_PAD.encode_string(part, &mut message);
            message
        }))
    }

    /// The protected header in base64url.
    fn header(&self, parameters: &Parameters<'_>, epk: Option<Value>) -> Result<String, JweError> {
        let mut header = Map::new();
        let fixed = [("alg", self.alg()), ("enc", ENC), ("kid", &self.kid), ("typ", RELEASE_TYP)];
        let given = [("cty", parameters.cty), ("iss", parameters.iss), ("aud", parameters.aud)];
        let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
        for (name, value) in fixed.into_iter().chain(given) {
            if value.len() > MAX_PARAMETER_BYTES {
                return Err(JweError::TooLong);
            }
            header.insert(name.to_owned(), Value::from(value));
        }
        if let Some(exp) = parameters.exp {
            header.insert("exp".to_owned(), Value::from(exp));
        }
        if let Some(epk) = epk {
            header.insert("epk".to_owned(), epk);
        }
        Ok(URL_SAFE_NO_PAD.encode(Value::Object(header).to_string()))
    }
}

impl fmt::Debug for EncryptionJwk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("EncryptionJwk");
        debug.field("alg", &self.alg()).field("kid", &self.kid());
        debug.finish_non_exhaustive()
    }
}

const fn name(wrap: KeyWrap) -> &'static str {
    match wrap {
        KeyWrap::EcdhEsA256Kw => "ECDH-ES+A256KW",
        KeyWrap::RsaOaep256 => "RSA-OAEP-256",
    }
}

type Members = Vec<(&'static str, String)>;

fn ec(map: &Map<String, Value>) -> Result<Members, JweError> {
    curve(map, "P-256")?;
    let (x, y) = (jwk::coordinate(map, "x")?, jwk::coordinate(map, "y")?);
    Ok(vec![("crv", "P-256".to_owned()), ("x", x), ("y", y)])
}

fn okp(map: &Map<String, Value>) -> Result<Members, JweError> {
    curve(map, "X25519")?;
    Ok(vec![("crv", "X25519".to_owned()), ("x", jwk::coordinate(map, "x")?)])
}

fn rsa(map: &Map<String, Value>) -> Result<Members, JweError> {
    let (n, e, _) = jwk::rsa_members(map)?;
    Ok(vec![("n", n), ("e", e)])
}

fn curve(map: &Map<String, Value>, wanted: &str) -> Result<(), JweError> {
    let named = json::str_member(map, "crv")?;
    if named == Some(wanted) { Ok(()) } else { Err(JweError::UnsupportedCurve) }
}

/// RFC 7638 section 3: the required members in lexicographic order, all of them free
/// of characters JSON would escape.
fn thumbprint(kty: &'static str, members: &Members) -> String {
    let mut all: Vec<(&str, &str)> = members.iter().map(|(name, value)| (*name, value.as_str())).collect();
    all.push(("kty", kty));
    all.sort_unstable();
    let all: Vec<String> = all.iter().map(|(name, value)| format!(r#""{name}":"{value}""#)).collect();
    URL_SAFE_NO_PAD.encode(sha256(format!("{{{}}}", all.join(",")).as_bytes()))
}
