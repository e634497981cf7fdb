//! Sets of public keys: those a client registers, and those an issuer publishes.
//!
//! A registered set is ours to judge: one bad key refuses it all. A published set
//! belongs to another issuer, who may add key types we don't know: RFC 7517 section
//! 5 wants those ignored. Neither ever chooses a key by anything but `kid` and `alg`.

use serde_json::{Map, Value};
use stipend_token::json::{self, JsonError, Limits};

use crate::alg::Algorithm;
use crate::jwk::{JwkError, PublicJwk};

/// Keys in a set that a client registers.
pub const MAX_REGISTERED_KEYS: usize = 16;
/// Keys in a set that an issuer publishes; more are not read.
pub const MAX_PUBLISHED_KEYS: usize = 64;
/// Text of a registered set.
pub const MAX_REGISTERED_BYTES: usize = 64 * 1024;
/// Text of a published set.
pub const MAX_PUBLISHED_BYTES: usize = 1024 * 1024;

const MAX_DEPTH: usize = 6;

/// Public keys with distinct ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicJwkSet {
    keys: Vec<PublicJwk>,
}

impl PublicJwkSet {
    /// Reads a registered set: every key must be usable.
    pub fn parse(map: &Map<String, Value>) -> Result<Self, JwkError> {
        let entries = entries(map)?;
        if entries.is_empty() || entries.len() > MAX_REGISTERED_KEYS {
            return Err(JwkError::SetSize);
        }
        let keys = entries.iter().map(PublicJwk::parse_value);
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if has_duplicates(&keys) {
            return Err(JwkError::DuplicateKid);
        }
        Ok(Self { keys })
    }

    /// Reads a registered set from JSON text, refusing duplicate members.
    pub fn from_json(bytes: &[u8]) -> Result<Self, JwkError> {
        let limits = Limits { max_bytes: MAX_REGISTERED_BYTES, max_depth: MAX_DEPTH };
        Self::parse(&json::parse_object(bytes, limits)?)
    }

    /// Reads the set an issuer publishes: what is unusable is left out, and so is
    /// every key whose `kid` occurs twice, because it would be ambiguous.
    pub fn from_published_json(bytes: &[u8]) -> Result<Self, JwkError> {
        let limits = Limits { max_bytes: MAX_PUBLISHED_BYTES, max_depth: MAX_DEPTH };
        let map = json::parse_object(bytes, limits)?;
        let usable = entries(&map)?.iter().take(MAX_PUBLISHED_KEYS);
        let usable: Vec<_> = usable.filter_map(|entry| PublicJwk::parse_value(entry).ok()).collect();
        Ok(Self::each_once(usable))
    }

    /// A `kid` that occurs twice is of none.
    fn each_once(usable: Vec<PublicJwk>) -> Self {
        let once = |key: &&PublicJwk| usable.iter().filter(|other| other.kid() == key.kid()).count() == 1;
        Self { keys: usable.iter().filter(once).cloned().collect() }
    }

    /// Reads the bundle of a SPIFFE trust domain: of it, the keys for JWT-SVIDs (SPIFFE Trust
    /// Domain and Bundle, section 4.2.2, where `use` is `jwt-svid`); the others, for X.509, are
    /// left out as what is unusable is.
    pub fn from_spiffe_bundle_json(bytes: &[u8]) -> Result<Self, JwkError> {
        let limits = Limits { max_bytes: MAX_PUBLISHED_BYTES, max_depth: MAX_DEPTH };
        let map = json::parse_object(bytes, limits)?;
        let for_svids = |entry: &&Value| entry.get("use").and_then(Value::as_str) == Some("jwt-svid");
        let without_use = |entry: &Value| {
            let mut key = entry.as_object().cloned().unwrap_or_default();
            key.remove("use");
            key
        };
        let entries = entries(&map)?.iter().take(MAX_PUBLISHED_KEYS).filter(for_svids);
        Ok(Self::each_once(entries.filter_map(|entry| PublicJwk::parse(&without_use(entry)).ok()).collect()))
    }

    /// All keys.
    pub fn keys(&self) -> &[PublicJwk] {
        &self.keys
    }

    /// The keys that could have made a signature. With a `kid` at most one: the one
    /// of that id, if its algorithm fits. Without, all of that algorithm.
    pub fn candidates(&self, alg: Algorithm, kid: Option<&str>) -> impl Iterator<Item = &PublicJwk> {
        self.keys.iter().filter(move |key| key.alg() == alg && kid.is_none_or(|kid| kid == key.kid()))
    }

    /// The set as JSON, keys in the order they were registered.
    pub fn to_public_json(&self) -> String {
        let keys: Vec<_> = self.keys.iter().map(PublicJwk::to_public_json).collect();
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    }
}

fn entries(map: &Map<String, Value>) -> Result<&[Value], JwkError> {
    Ok(json::array_member(map, "keys")?.ok_or(JsonError::Member { name: "keys", expected: "an array" })?)
}

/// `kid`s are compared, and so are thumbprints: the same key under two names is one key.
fn has_duplicates(keys: &[PublicJwk]) -> bool {
    keys.iter().enumerate().any(|(index, key)| {
        let earlier = keys.iter().take(index);
        earlier.into_iter().any(|other| other.kid() == key.kid() || other.thumbprint() == key.thumbprint())
    })
}
