//! Private signing keys and the signing of compact JWS.
//!
//! A [`SigningKey`] is key material on its way to or from sealed storage; a
//! [`Signer`] is what the hot path uses. Making a signer checks the pair with a
//! trial signature and prepares every header once, so that signing costs one
//! base64 pass and one signature. Private keys leave only as [`Secret`] DER.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jws::JwsSigner;

use crate::alg::Algorithm;
use crate::jose;
use crate::jwk::PublicJwk;
use crate::jws::MAX_JWT_BYTES;
use crate::kind::TokenKind;
use crate::secret::Secret;

const TRIAL: &[u8] = b"stipend signing key trial";

/// Why a key can't be made, loaded or used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("a signing key could not be generated")]
    Generate,
    #[error("the private key is malformed or not for this algorithm")]
    Malformed,
    #[error("the private key does not match its public key")]
    Mismatch,
    #[error("signing failed")]
    Sign,
    #[error("the payload makes a token of more than 8192 bytes")]
    TooLarge,
}

/// A private key with its public half; its id is the public half's RFC 7638
/// thumbprint.
#[derive(Clone)]
pub struct SigningKey {
    private_der: Secret<Vec<u8>>,
    public: PublicJwk,
}

impl SigningKey {
    /// Draws a new key.
    pub fn generate(alg: Algorithm) -> Result<Self, KeyError> {
        let private_der = jose::generate(alg).map_err(|_| KeyError::Generate)?;
        Self::from_private_der(alg, &private_der)
    }

    /// Loads a key from the DER that [`SigningKey::to_private_der`] gives: SEC 1 for P-256, PKCS#8
    /// for the others; P-256 in PKCS#8 is read too.
    pub fn from_private_der(alg: Algorithm, der: &Secret<Vec<u8>>) -> Result<Self, KeyError> {
        let mut loaded = jose::load(alg, der).map_err(|_| KeyError::Malformed)?;
        loaded.public.insert("alg".to_owned(), alg.as_str().into());
        // Our own reader is the judge of what we publish: Ed448 and a 1024-bit RSA
        // key end here.
        let public = PublicJwk::parse(&loaded.public).map_err(|_| KeyError::Malformed)?;
        Ok(Self { private_der: der.clone(), public: public.named_by_thumbprint() })
    }

    /// The key as DER, for sealing.
    pub fn to_private_der(&self) -> Secret<Vec<u8>> {
        self.private_der.clone()
    }

    /// The key's id.
    pub fn kid(&self) -> &str {
        self.public.kid()
    }

    /// The algorithm the key is for.
    pub const fn alg(&self) -> Algorithm {
        self.public.alg()
    }

    /// The public half.
    pub const fn public_jwk(&self) -> &PublicJwk {
        &self.public
    }

    /// Prepares the key for signing.
    pub fn signer(&self) -> Result<Signer, KeyError> {
        Signer::new(self)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("SigningKey").field(&self.public).finish()
    }
}

/// A prepared signing key, shared by all threads.
pub struct Signer {
    inner: Box<dyn JwsSigner>,
    public: PublicJwk,
    headers: [String; TokenKind::COUNT],
}

impl Signer {
    /// Prepares a key and proves the pair with a trial signature.
    pub fn new(key: &SigningKey) -> Result<Self, KeyError> {
        let public = key.public.clone();
        let loaded = jose::load(public.alg(), &key.private_der).map_err(|_| KeyError::Malformed)?;
        let signature = loaded.signer.sign(TRIAL).map_err(|_| KeyError::Sign)?;
        let verifier = public.raw_verifier().map_err(|_| KeyError::Malformed)?;
        if signature.len() != public.signature_bytes() || verifier.verify(TRIAL, &signature).is_err() {
            return Err(KeyError::Mismatch);
        }
        let headers = TokenKind::ALL.map(|kind| encoded_header(&public, kind));
        Ok(Self { inner: loaded.signer, public, headers })
    }

    /// The key's id.
    pub fn kid(&self) -> &str {
        self.public.kid()
    }

    /// The algorithm this signs with.
    pub const fn alg(&self) -> Algorithm {
        self.public.alg()
    }

    /// The public half.
    pub const fn public_jwk(&self) -> &PublicJwk {
        &self.public
    }

    /// Signs a payload, which must be the JSON text of the claims, as it stands. The
    /// header is `{"alg":…,"typ":…,"kid":…}`.
    pub fn sign(&self, kind: TokenKind, payload_json: &[u8]) -> Result<String, KeyError> {
        self.sign_under(self.header(kind).ok_or(KeyError::Sign)?, payload_json)
    }

    /// Signs a DPoP proof (RFC 9449 section 4.2): the header brings the public key.
    pub fn prove(&self, payload_json: &[u8]) -> Result<String, KeyError> {
        let (alg, typ, jwk) = (self.public.alg(), TokenKind::DpopProof.typ(), self.public.to_public_json());
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}","typ":"{typ}","jwk":{jwk}}}"#));
        self.sign_under(&header, payload_json)
    }

    fn sign_under(&self, header: &str, payload_json: &[u8]) -> Result<String, KeyError> {
        let signature_bytes = self.public.signature_bytes();
        let length = header.len() + 2 + base64_length(payload_json.len());
        let length = length.saturating_add(base64_length(signature_bytes));
        if length > MAX_JWT_BYTES {
            return Err(KeyError::TooLarge);
        }
        let mut token = String::with_capacity(length);
        token.push_str(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload_json, &mut token);
        let signature = self.inner.sign(token.as_bytes()).map_err(|_| KeyError::Sign)?;
        if signature.len() != signature_bytes {
            return Err(KeyError::Sign);
        }
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(&signature, &mut token);
        Ok(token)
    }

    fn header(&self, kind: TokenKind) -> Option<&str> {
        let mut pairs = TokenKind::ALL.iter().zip(&self.headers);
        pairs.find(|(other, _)| **other == kind).map(|(_, header)| header.as_str())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Signer").field(&self.public).finish()
    }
}

/// Our kids are thumbprints, so nothing in the header needs escaping.
fn encoded_header(public: &PublicJwk, kind: TokenKind) -> String {
    let (alg, typ, kid) = (public.alg(), kind.typ(), public.kid());
    URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}","typ":"{typ}","kid":"{kid}"}}"#))
}

/// Length of unpadded base64 over `bytes` bytes.
const fn base64_length(bytes: usize) -> usize {
    bytes.saturating_mul(4).div_ceil(3)
}
