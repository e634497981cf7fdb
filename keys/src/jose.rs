//! The one module that touches josekit: bytes in; signature, verdict or encrypted
//! content key out.
//!
//! josekit's own readers of headers, claims, JWKs and key sets are not used: they
//! take duplicate members and floats as dates, compare RSA sizes in whole bytes,
//! and print private members in `Debug`. Keys arrive here already checked. What
//! OpenSSL checks for us on loading is that an EC point lies on its curve.
//! Building a signer or verifier costs far more than using one: callers keep them.

use josekit::jwe::{ECDH_ES_A256KW, JweEncrypter, JweHeader, RSA_OAEP_256};
use josekit::jwk::alg::ed::EdCurve;
use josekit::jwk::{Jwk, KeyPair};
use josekit::jws::{ES256, EdDSA, JwsSigner, JwsVerifier, PS256, RS256};
use serde_json::{Map, Value};

use crate::alg::Algorithm;
use crate::secret::Secret;

/// Size of the RSA keys we make. What we accept from others is in `jwk`.
pub(crate) const RSA_KEY_BITS: u32 = 2048;

/// josekit or OpenSSL refused. Their text may quote the input, so it's dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused;

impl From<josekit::JoseError> for Refused {
    fn from(_: josekit::JoseError) -> Self {
        Self
    }
}

/// A private key, ready to sign, with the members of its public half.
pub(crate) struct Loaded {
    pub signer: Box<dyn JwsSigner>,
    pub public: Map<String, Value>,
}

/// How a content key is encrypted to a public key (RFC 7518 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyWrap {
    EcdhEsA256Kw,
    RsaOaep256,
}

/// Encrypts content keys to one public key.
pub(crate) struct KeyWrapper(Box<dyn JweEncrypter>);

impl KeyWrapper {
    /// `members` as for [`verifier`].
    pub(crate) fn new(wrap: KeyWrap, kty: &str, members: &[(&str, String)]) -> Result<Self, Refused> {
        let jwk = public_jwk(kty, members)?;
        Ok(Self(match wrap {
            KeyWrap::EcdhEsA256Kw => Box::new(ECDH_ES_A256KW.encrypter_from_jwk(&jwk)?),
            KeyWrap::RsaOaep256 => Box::new(RSA_OAEP_256.encrypter_from_jwk(&jwk)?),
        }))
    }

    /// The encrypted key, and the ephemeral public key (`epk`) where the algorithm has
    /// one. josekit draws a new ephemeral key in each call, derives with the party infos
    /// empty, and lets OpenSSL refuse a shared secret of zero.
    pub(crate) fn wrap(&self, key: &[u8]) -> Result<(Vec<u8>, Option<Value>), Refused> {
        let mut made = JweHeader::new();
        let encrypted = self.0.encrypt(key, &JweHeader::new(), &mut made)?.ok_or(Refused)?;
        Ok((encrypted, made.claim("epk").cloned()))
    }
}

fn public_jwk(kty: &str, members: &[(&str, String)]) -> Result<Jwk, Refused> {
    let mut jwk = Jwk::new(kty);
    for (name, value) in members {
        jwk.set_parameter(name, Some(Value::String(value.clone())))?;
    }
    Ok(jwk)
}

/// A verifier for one public key and one algorithm. `members` are the key's own
/// (`crv`, `x`, `y`, `n`, `e`), nothing else.
pub(crate) fn verifier(alg: Algorithm, kty: &str, members: &[(&str, String)]) -> Result<Box<dyn JwsVerifier>, Refused> {
    let jwk = public_jwk(kty, members)?;
    Ok(match alg {
        Algorithm::Es256 => Box::new(ES256.verifier_from_jwk(&jwk)?),
        Algorithm::EdDsa => Box::new(EdDSA.verifier_from_jwk(&jwk)?),
        Algorithm::Rs256 => Box::new(RS256.verifier_from_jwk(&jwk)?),
        Algorithm::Ps256 => Box::new(PS256.verifier_from_jwk(&jwk)?),
    })
}

/// A new private key as DER.
pub(crate) fn generate(alg: Algorithm) -> Result<Secret<Vec<u8>>, Refused> {
    let der = match alg {
        Algorithm::Es256 => ES256.generate_key_pair()?.to_der_private_key(),
        Algorithm::EdDsa => EdDSA.generate_key_pair(EdCurve::Ed25519)?.to_der_private_key(),
        Algorithm::Rs256 => RS256.generate_key_pair(RSA_KEY_BITS)?.to_der_private_key(),
        // josekit's generated PS256 pair holds a plain RSA key. Only the DER has
        // the PSS parameters, so a pair is never used before it went through DER.
        Algorithm::Ps256 => PS256.generate_key_pair(RSA_KEY_BITS)?.to_der_private_key(),
    };
    Ok(Secret::new(der))
}

/// Loads a private key from DER.
pub(crate) fn load(alg: Algorithm, der: &Secret<Vec<u8>>) -> Result<Loaded, Refused> {
    let der = der.expose();
    let (signer, jwk): (Box<dyn JwsSigner>, Jwk) = match alg {
        Algorithm::Es256 => (Box::new(ES256.signer_from_der(der)?), ES256.key_pair_from_der(der)?.to_jwk_public_key()),
        Algorithm::EdDsa => (Box::new(EdDSA.signer_from_der(der)?), EdDSA.key_pair_from_der(der)?.to_jwk_public_key()),
        Algorithm::Rs256 => (Box::new(RS256.signer_from_der(der)?), RS256.key_pair_from_der(der)?.to_jwk_public_key()),
        Algorithm::Ps256 => (Box::new(PS256.signer_from_der(der)?), PS256.key_pair_from_der(der)?.to_jwk_public_key()),
    };
    Ok(Loaded { signer, public: jwk.as_ref().clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    /// RFC 8037 appendix A.4. Its payload is not JSON, so it is checked down here.
    #[test]
    fn eddsa_signs_and_verifies_the_vector_of_rfc_8037() {
        let input = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = URL_SAFE_NO_PAD
            .decode("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
            .unwrap();
        let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        der.extend_from_slice(&seed);

        let loaded = load(Algorithm::EdDsa, &Secret::new(der)).unwrap_or_else(|_| panic!());
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        assert_eq!(loaded.public.get("x").unwrap(), x);
        assert_eq!(loaded.signer.sign(input).unwrap(), signature);

        let members = [("crv", "Ed25519".to_owned()), ("x", x.to_owned())];
        let verifier = verifier(Algorithm::EdDsa, "OKP", &members).unwrap_or_else(|_| panic!());
        assert!(verifier.verify(input, &signature).is_ok());
        assert!(verifier.verify(b"other", &signature).is_err());
    }
}
