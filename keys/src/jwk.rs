//! Public keys as JWK (RFC 7517), read strictly.
//!
//! Owns what a usable public key is: P-256, Ed25519, or RSA of 2048 to 8192 bits,
//! bound to exactly one algorithm, for signatures only. It must never hold, accept
//! or print a private member: a client that registers its private key by mistake
//! is told so, and the key is not stored.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use stipend_token::json::{self, JsonError, Limits};

use crate::alg::Algorithm;
use crate::jose;
use crate::jws::{MAX_KID_BYTES, Verifier};
use crate::secret::sha256;

/// Text of one JWK; an RSA key of 8192 bits with a certificate chain fits.
pub const MAX_JWK_BYTES: usize = 16 * 1024;
/// Entries in `key_ops`; RFC 7517 section 4.3 knows eight.
pub const MAX_KEY_OPS: usize = 8;
/// Sizes of RSA modulus that are taken, in bits.
pub const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Public exponents that are taken; only odd ones.
pub const RSA_EXPONENTS: std::ops::RangeInclusive<u64> = 65_537..=(1 << 32);

pub(crate) const LIMITS: Limits = Limits { max_bytes: MAX_JWK_BYTES, max_depth: 4 };
const COORDINATE_BYTES: usize = 32;
pub(crate) const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a key was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    #[error("the key is not usable JSON: {0}")]
    Json(#[from] JsonError),
    #[error("the key carries a private or symmetric member; send the public key only")]
    PrivateMember,
    #[error("the key type is not EC, OKP or RSA")]
    UnsupportedKeyType,
    #[error("the curve is not P-256 (EC) or Ed25519 (OKP)")]
    UnsupportedCurve,
    #[error("the key is not for verifying signatures")]
    WrongUse,
    #[error("the algorithm is not ES256, EdDSA, RS256 or PS256, or does not fit the key type")]
    WrongAlgorithm,
    #[error("the member {0} is missing or malformed")]
    Member(&'static str),
    #[error("the RSA modulus must be odd and have 2048 to 8192 bits")]
    RsaModulus,
    #[error("the RSA exponent must be odd, 65537 or more, and at most 2^32")]
    RsaExponent,
    #[error("the key is not valid on its curve")]
    InvalidPoint,
    #[error("the key set has no keys, or too many")]
    SetSize,
    #[error("two keys of the set share a kid")]
    DuplicateKid,
}

/// A public key that passed every check, with the one algorithm it may be used for.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicJwk {
    alg: Algorithm,
    declared_kid: Option<String>,
    thumbprint: String,
    material: Material,
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    Ec { x: String, y: String },
    Okp { x: String },
    Rsa { n: String, e: String, modulus_bytes: usize },
}

impl PublicJwk {
    /// Reads a key from JSON text, refusing duplicate members.
    pub fn from_json(bytes: &[u8]) -> Result<Self, JwkError> {
        Self::parse(&json::parse_object(bytes, LIMITS)?)
    }

    /// Reads a key from a JSON value.
    pub fn parse_value(value: &Value) -> Result<Self, JwkError> {
        Self::parse(value.as_object().ok_or(JsonError::NotAnObject)?)
    }

    /// Reads a key from the members of a JSON object. Unknown members are ignored
    /// (RFC 7517 section 4).
    pub fn parse(map: &Map<String, Value>) -> Result<Self, JwkError> {
        if PRIVATE_MEMBERS.iter().any(|name| map.contains_key(*name)) {
            return Err(JwkError::PrivateMember);
        }
        check_use(map)?;
        let material = match json::str_member(map, "kty")? {
            Some("EC") => ec(map)?,
            Some("OKP") => okp(map)?,
            Some("RSA") => rsa(map)?,
            Some(_) => return Err(JwkError::UnsupportedKeyType),
            None => return Err(JwkError::Member("kty")),
        };
        let alg = match json::str_member(map, "alg")? {
            Some(name) => name.parse().map_err(|_| JwkError::WrongAlgorithm)?,
            None => material.default_algorithm(),
        };
        if !material.fits(alg) {
            return Err(JwkError::WrongAlgorithm);
        }
        let declared_kid = declared_kid(map)?;
        let jwk = Self { alg, declared_kid, thumbprint: material.thumbprint(), material };
        // OpenSSL refuses a point that is not on its curve when it loads the key.
        jwk.raw_verifier()?;
        Ok(jwk)
    }

    /// The one algorithm this key verifies.
    pub const fn alg(&self) -> Algorithm {
        self.alg
    }

    /// The key's id: the one it declares, else its thumbprint.
    pub fn kid(&self) -> &str {
        self.declared_kid.as_deref().unwrap_or(&self.thumbprint)
    }

    /// The `kid` member, when there was one.
    pub fn declared_kid(&self) -> Option<&str> {
        self.declared_kid.as_deref()
    }

    /// The RFC 7638 SHA-256 thumbprint in base64url.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The same key under its thumbprint as `kid`.
    pub fn named_by_thumbprint(mut self) -> Self {
        self.declared_kid = Some(self.thumbprint.clone());
        self
    }

    /// The key as JSON with `kty`, `use`, `alg`, `kid` and its own members, always
    /// in this order.
    pub fn to_public_json(&self) -> String {
        let kid = Value::from(self.kid());
        let (alg, kty) = (self.alg, self.material.kty());
        let mut json = format!(r#"{{"kty":"{kty}","use":"sig","alg":"{alg}","kid":{kid}"#);
        for (name, value) in self.material.members() {
            json.push_str(&format!(r#","{name}":"{value}""#));
        }
        json.push('}');
        json
    }

    /// Bytes in a signature by this key.
    pub(crate) fn signature_bytes(&self) -> usize {
        match &self.material {
            Material::Ec { .. } | Material::Okp { .. } => 64,
            Material::Rsa { modulus_bytes, .. } => *modulus_bytes,
        }
    }

    pub(crate) fn raw_verifier(&self) -> Result<Box<dyn josekit::jws::JwsVerifier>, JwkError> {
        let members = self.material.members();
        jose::verifier(self.alg, self.material.kty(), &members).map_err(|_| JwkError::InvalidPoint)
    }

    /// The verifier bound to this key. Costs 100 us and more: keep it.
    pub fn verifier(&self) -> Result<Verifier, JwkError> {
        Verifier::from_jwk(self)
    }
}

impl fmt::Debug for PublicJwk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("PublicJwk");
        debug.field("alg", &self.alg).field("kid", &self.kid());
        debug.finish_non_exhaustive()
    }
}

impl Material {
    const fn kty(&self) -> &'static str {
        match self {
            Self::Ec { .. } => "EC",
            Self::Okp { .. } => "OKP",
            Self::Rsa { .. } => "RSA",
        }
    }

    const fn default_algorithm(&self) -> Algorithm {
        match self {
            Self::Ec { .. } => Algorithm::Es256,
            Self::Okp { .. } => Algorithm::EdDsa,
            Self::Rsa { .. } => Algorithm::Rs256,
        }
    }

    const fn fits(&self, alg: Algorithm) -> bool {
        matches!(
            (self, alg),
            (Self::Ec { .. }, Algorithm::Es256)
                | (Self::Okp { .. }, Algorithm::EdDsa)
                | (Self::Rsa { .. }, Algorithm::Rs256 | Algorithm::Ps256)
        )
    }

    /// The key's own members, all of them free of characters JSON would escape.
    fn members(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Ec { x, y } => vec![("crv", "P-256".to_owned()), ("x", x.clone()), ("y", y.clone())],
            Self::Okp { x } => vec![("crv", "Ed25519".to_owned()), ("x", x.clone())],
            Self::Rsa { n, e, .. } => vec![("n", n.clone()), ("e", e.clone())],
        }
    }

    /// RFC 7638 section 3: the required members in lexicographic order.
    fn thumbprint(&self) -> String {
        let canonical = match self {
            Self::Ec { x, y } => format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#),
            Self::Okp { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
            Self::Rsa { n, e, .. } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        };
        URL_SAFE_NO_PAD.encode(sha256(canonical.as_bytes()))
    }
}

pub(crate) fn declared_kid(map: &Map<String, Value>) -> Result<Option<String>, JwkError> {
    match json::str_member(map, "kid")? {
        Some(kid) if kid.is_empty() || kid.len() > MAX_KID_BYTES => Err(JwkError::Member("kid")),
        kid => Ok(kid.map(str::to_owned)),
    }
}

/// RFC 7517 sections 4.2 and 4.3: where the owner says what the key is for, it must
/// include verifying.
fn check_use(map: &Map<String, Value>) -> Result<(), JwkError> {
    check_purpose(map, "sig", &["verify"])
}

/// What the owner says the key is for must include `purpose` and one of `wanted`.
pub(crate) fn check_purpose(map: &Map<String, Value>, purpose: &str, wanted: &[&str]) -> Result<(), JwkError> {
    if json::str_member(map, "use")?.is_some_and(|named| named != purpose) {
        return Err(JwkError::WrongUse);
    }
    let Some(operations) = json::array_member(map, "key_ops")? else {
        return Ok(());
    };
    if operations.len() > MAX_KEY_OPS || operations.iter().any(|entry| !entry.is_string()) {
        return Err(JwkError::Member("key_ops"));
    }
    let named = |entry: &Value| wanted.iter().any(|operation| entry == operation);
    if operations.iter().any(named) { Ok(()) } else { Err(JwkError::WrongUse) }
}

fn ec(map: &Map<String, Value>) -> Result<Material, JwkError> {
    if json::str_member(map, "crv")? != Some("P-256") {
        return Err(JwkError::UnsupportedCurve);
    }
    // RFC 7518 section 6.2.1.2: coordinates have their full length.
    let (x, y) = (coordinate(map, "x")?, coordinate(map, "y")?);
    Ok(Material::Ec { x, y })
}

fn okp(map: &Map<String, Value>) -> Result<Material, JwkError> {
    if json::str_member(map, "crv")? != Some("Ed25519") {
        return Err(JwkError::UnsupportedCurve);
    }
    let x = coordinate(map, "x")?;
    let bytes = URL_SAFE_NO_PAD.decode(&x).map_err(|_| JwkError::Member("x"))?;
    if is_low_order(&bytes) {
        return Err(JwkError::InvalidPoint);
    }
    Ok(Material::Okp { x })
}

/// Ed25519 points of small order: under such a key one signature fits many
/// messages. OpenSSL loads them without complaint. The sign bit is ignored.
fn is_low_order(x: &[u8]) -> bool {
    const ORDER_EIGHT: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
            0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let Some((top, low)) = x.split_last() else {
        return true;
    };
    let top = top & 0x7f;
    let Some((first, middle)) = low.split_first() else {
        return true;
    };
    // y = 0 and 1, then y = p-1, p (0 again) and p+1 (1 again), as y is taken mod p.
    let tiny = top == 0 && *first <= 1 && middle.iter().all(|b| *b == 0);
    let near_p = top == 0x7f && *first >= 0xec && middle.iter().all(|b| *b == 0xff);
    let order_eight =
        ORDER_EIGHT.iter().any(|point| point.split_last().is_some_and(|(last, rest)| *last == top && rest == low));
    tiny || near_p || order_eight
}

fn rsa(map: &Map<String, Value>) -> Result<Material, JwkError> {
    let (n, e, modulus_bytes) = rsa_members(map)?;
    Ok(Material::Rsa { n, e, modulus_bytes })
}

/// Modulus, exponent, and the bytes of the modulus.
pub(crate) fn rsa_members(map: &Map<String, Value>) -> Result<(String, String, usize), JwkError> {
    let (n, modulus) = unsigned(map, "n", RSA_BITS.end() / 8)?;
    let (e, exponent) = unsigned(map, "e", 5)?;
    let leading = modulus.first().map_or(0, |byte| byte.leading_zeros());
    let bits = modulus.len() * 8 - usize::try_from(leading).unwrap_or(0);
    let odd = modulus.last().is_some_and(|byte| byte & 1 == 1);
    if !odd || !RSA_BITS.contains(&bits) {
        return Err(JwkError::RsaModulus);
    }
    let value = exponent.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    if value % 2 == 0 || !RSA_EXPONENTS.contains(&value) {
        return Err(JwkError::RsaExponent);
    }
    Ok((n, e, modulus.len()))
}

/// An octet string of exactly 32 bytes, kept in its one canonical spelling.
pub(crate) fn coordinate(map: &Map<String, Value>, name: &'static str) -> Result<String, JwkError> {
    let (text, bytes) = octets(map, name, COORDINATE_BYTES)?;
    if bytes.len() == COORDINATE_BYTES { Ok(text) } else { Err(JwkError::Member(name)) }
}

/// RFC 7518 section 2, Base64urlUInt: no leading zero bytes.
fn unsigned(map: &Map<String, Value>, name: &'static str, max: usize) -> Result<(String, Vec<u8>), JwkError> {
    let (text, bytes) = octets(map, name, max)?;
    match bytes.first() {
        Some(0) | None => Err(JwkError::Member(name)),
        Some(_) => Ok((text, bytes)),
    }
}

fn octets(map: &Map<String, Value>, name: &'static str, max: usize) -> Result<(String, Vec<u8>), JwkError> {
    let text = json::str_member(map, name)?.ok_or(JwkError::Member(name))?;
    if text.len() > max.div_ceil(3) * 4 {
        return Err(JwkError::Member(name));
    }
    // Refuses padding, foreign characters and spare bits that are not zero, so a
    // key has one spelling and one thumbprint.
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| JwkError::Member(name))?;
    if bytes.len() > max {
        return Err(JwkError::Member(name));
    }
    Ok((text.to_owned(), bytes))
}
