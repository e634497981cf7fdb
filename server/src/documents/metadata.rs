//! A metadata document as it came, read strictly: what of it counts is who the client is, what it
//! is called and its keys. `grant_types`, `scope`, `redirect_uris` and the rest are not read: what
//! the client may do its owner says.

use crate::admin::parse_jwks;
use crate::limits::{MAX_DOCUMENT_BYTES, MAX_DOCUMENT_DEPTH, MAX_DOCUMENT_NAME_BYTES, MAX_DOCUMENT_URL_BYTES};
use crate::reason::Reason;
use crate::records::{AuthMethod, ClientKey, CredentialKind, RegisteredKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use stipend_keys::sha256;
use stipend_token::json::{Limits, parse_object, str_member};
use url::Url;

/// What is wrong with a document.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DocumentFault {
    #[error("the document is no JSON object of at most 5 KB, served as JSON, with each member once")]
    Form,
    #[error("client_id in the document is not its URL")]
    OtherClient,
    #[error("the document has a secret, or a method of authentication that needs one")]
    Secret,
    #[error("token_endpoint_auth_method is not private_key_jwt")]
    Method,
    #[error("the document has not one of jwks, with one to four public keys, and jwks_uri")]
    Keys,
    #[error("client_name is no text of at most 200 bytes")]
    Name,
}

impl From<DocumentFault> for Reason {
    fn from(fault: DocumentFault) -> Self {
        match fault {
            DocumentFault::Form | DocumentFault::Name => Self::DocumentMalformed,
            DocumentFault::OtherClient => Self::DocumentOtherClient,
            DocumentFault::Secret => Self::DocumentSecret,
            DocumentFault::Method => Self::DocumentMethod,
            DocumentFault::Keys => Self::DocumentKeys,
        }
    }
}

/// Where the client's keys are.
#[derive(Debug)]
pub enum DocumentKeys {
    /// In the document, ready to verify, and as they are kept.
    Inline(Vec<ClientKey>, Vec<RegisteredKey>),
    /// At a `jwks_uri`.
    Published(String),
}

/// What a document says of its client.
#[derive(Debug)]
pub struct Document {
    pub name: Option<String>,
    pub keys: DocumentKeys,
    /// Of what is kept of it: two documents with the same are the same to us.
    pub digest: String,
}

impl Document {
    /// Reads the document that was fetched from `url`.
    ///
    /// # Errors
    /// [`DocumentFault`].
    pub fn parse(bytes: &[u8], url: &str) -> Result<Self, DocumentFault> {
        let limits = Limits { max_bytes: MAX_DOCUMENT_BYTES, max_depth: MAX_DOCUMENT_DEPTH };
        let members = parse_object(bytes, limits).map_err(|_| DocumentFault::Form)?;
        // Section 4.1: by simple comparison.
        if str_member(&members, "client_id").ok().flatten() != Some(url) {
            return Err(DocumentFault::OtherClient);
        }
        check_method(&members)?;
        let name = name(&members)?;
        let keys = keys(&members)?;
        let digest = digest(name.as_deref(), &keys);
        Ok(Self { name, keys, digest })
    }

    /// What identifies its keys, for the record.
    #[must_use]
    pub fn describe_keys(&self) -> Value {
        match &self.keys {
            DocumentKeys::Inline(_, keys) => keys.iter().map(|key| Value::from(key.jwk.thumbprint())).collect(),
            DocumentKeys::Published(url) => json!({ "jwks_uri": url }),
        }
    }
}

/// Section 4.1: no secret is in what everybody can read, and none is behind it.
fn check_method(members: &Map<String, Value>) -> Result<(), DocumentFault> {
    if ["client_secret", "client_secret_expires_at"].iter().any(|name| members.contains_key(*name)) {
        return Err(DocumentFault::Secret);
    }
    // RFC 7591 section 2: left out, it is client_secret_basic.
    match str_member(members, "token_endpoint_auth_method").map_err(|_| DocumentFault::Method)? {
        Some(method) if method == AuthMethod::PrivateKeyJwt.as_str() => Ok(()),
        Some("client_secret_basic" | "client_secret_post" | "client_secret_jwt") => Err(DocumentFault::Secret),
        Some(_) | None => Err(DocumentFault::Method),
    }
}

fn name(members: &Map<String, Value>) -> Result<Option<String>, DocumentFault> {
    let name = str_member(members, "client_name").map_err(|_| DocumentFault::Name)?;
    let is_fine = |name: &str| name.len() <= MAX_DOCUMENT_NAME_BYTES && !name.chars().any(char::is_control);
    match name {
        Some(name) if !is_fine(name) => Err(DocumentFault::Name),
        name => Ok(name.map(str::to_owned)),
    }
}

fn keys(members: &Map<String, Value>) -> Result<DocumentKeys, DocumentFault> {
    // RFC 7591 section 2: one or the other.
    match (members.get("jwks"), members.get("jwks_uri")) {
        (Some(Value::Object(jwks)), None) => {
            let keys = parse_jwks(CredentialKind::Key, jwks).map_err(|_| DocumentFault::Keys)?;
            let ready = keys.iter().map(ready).collect::<Result<_, _>>()?;
            Ok(DocumentKeys::Inline(ready, keys))
        }
        (None, Some(Value::String(url))) if is_url(url) => Ok(DocumentKeys::Published(url.clone())),
        _ => Err(DocumentFault::Keys),
    }
}

fn ready(key: &RegisteredKey) -> Result<ClientKey, DocumentFault> {
    let verifier = key.jwk.verifier().map_err(|_| DocumentFault::Keys)?;
    // It ends when the document is read anew and does not have it.
    Ok(ClientKey { id: key.jwk.thumbprint().to_owned(), verifier, certificate: None, expires_at: i64::MAX })
}

/// What may be called, and by plain http, is asked at each fetch.
fn is_url(text: &str) -> bool {
    let plain = |url: &Url| url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    text.len() <= MAX_DOCUMENT_URL_BYTES
        && Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.has_host() && plain(&url))
}

fn digest(name: Option<&str>, keys: &DocumentKeys) -> String {
    let keys: Value = match keys {
        DocumentKeys::Inline(_, keys) => keys.iter().map(|key| Value::from(key.to_json())).collect(),
        DocumentKeys::Published(url) => Value::from(url.as_str()),
    };
    URL_SAFE_NO_PAD.encode(sha256(json!([name, keys]).to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://tools.example/agent.json";

    fn jwk() -> Value {
        json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "k1",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        })
    }

    fn with(changes: Value) -> Vec<u8> {
        let mut document = json!({
            "client_id": URL, "client_name": "Agent", "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [jwk()]}, "redirect_uris": ["https://tools.example/cb"], "grant_types": ["authorization_code"],
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => document.as_object_mut().unwrap().remove(name),
                value => document.as_object_mut().unwrap().insert(name.clone(), value.clone()),
            };
        }
        document.to_string().into_bytes()
    }

    fn read(changes: Value) -> Result<Document, DocumentFault> {
        Document::parse(&with(changes), URL)
    }

    #[test]
    fn only_the_name_and_the_keys_count() {
        let document = read(json!({})).unwrap();
        assert_eq!(document.name.as_deref(), Some("Agent"));
        let same = read(json!({"scope": "everything", "grant_types": ["x"], "logo_uri": "https://a"})).unwrap();
        assert_eq!(same.digest, document.digest);
        assert_ne!(read(json!({"client_name": "Other"})).unwrap().digest, document.digest);
        let published = json!({"jwks": null, "jwks_uri": "https://tools.example/jwks"});
        assert_ne!(read(published).unwrap().digest, document.digest);
    }

    #[test]
    fn each_fault_is_named() {
        use DocumentFault::{Form, Keys, Method, Name, OtherClient, Secret};
        let mut private = jwk();
        private["d"] = json!("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI");
        let oct = json!({"kty": "oct", "k": "AAAA", "kid": "s", "alg": "HS256"});
        let cases = [
            (json!({"client_id": null}), OtherClient),
            (json!({"client_id": "https://tools.example/agent.json/"}), OtherClient),
            (json!({"client_id": "https://TOOLS.example/agent.json"}), OtherClient),
            (json!({"client_id": [URL]}), OtherClient),
            (json!({"client_secret": "s"}), Secret),
            (json!({"client_secret": ""}), Secret),
            (json!({"client_secret_expires_at": 0}), Secret),
            (json!({"token_endpoint_auth_method": "client_secret_basic"}), Secret),
            (json!({"token_endpoint_auth_method": "client_secret_post"}), Secret),
            (json!({"token_endpoint_auth_method": "client_secret_jwt"}), Secret),
            (json!({"token_endpoint_auth_method": "none"}), Method),
            (json!({"token_endpoint_auth_method": "tls_client_auth"}), Method),
            (json!({"token_endpoint_auth_method": null}), Method),
            (json!({"token_endpoint_auth_method": 1}), Method),
            (json!({"jwks": null}), Keys),
            (json!({"jwks": {"keys": []}}), Keys),
            (json!({"jwks": {"keys": [private]}}), Keys),
            (json!({"jwks": {"keys": [oct]}}), Keys),
            (json!({"jwks": {"keys": [jwk(), jwk()]}}), Keys),
            (json!({"jwks": "text"}), Keys),
            (json!({"jwks_uri": "https://tools.example/jwks"}), Keys),
            (json!({"jwks": null, "jwks_uri": "ftp://tools.example/jwks"}), Keys),
            (json!({"jwks": null, "jwks_uri": "https://u:p@tools.example/jwks"}), Keys),
            (json!({"client_name": 7}), Name),
            (json!({"client_name": "two\nlines"}), Name),
            (json!({"client_name": "x".repeat(201)}), Name),
            (json!({"x": "y".repeat(MAX_DOCUMENT_BYTES)}), Form),
        ];
        for (changes, fault) in cases {
            assert_eq!(read(changes.clone()).unwrap_err(), fault, "{changes}");
        }
        for bytes in [&b"[]"[..], b"", b"{", b"{\"client_id\":1,\"client_id\":1}", b"\xff"] {
            assert_eq!(Document::parse(bytes, URL).unwrap_err(), Form);
        }
        // A member twice: two readers could each see another one.
        let twice = String::from_utf8(with(json!({}))).unwrap().replacen('{', &format!(r#"{{"client_id":"{URL}","#), 1);
        assert_eq!(Document::parse(twice.as_bytes(), URL).unwrap_err(), Form);
    }
}
