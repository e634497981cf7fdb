//! A client's DPoP key, and proofs by it: good ones, and whatever a test wants to claim.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use stipend_keys::{Algorithm, Signer, SigningKey, random_id, sha256};

/// A DPoP key and the proofs it makes (RFC 9449 section 4).
#[derive(Debug)]
pub struct Prover {
    signer: Signer,
}

impl Prover {
    /// With a new key.
    ///
    /// # Panics
    /// When none can be made.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test that can't make a key has failed")]
    pub fn new(alg: Algorithm) -> Self {
        let key = SigningKey::generate(alg).expect("a key");
        Self { signer: key.signer().expect("a signer") }
    }

    /// What `cnf.jkt` says of this key.
    #[must_use]
    pub fn jkt(&self) -> &str {
        self.signer.public_jwk().thumbprint()
    }

    /// The public key as JSON.
    #[must_use]
    pub fn public_json(&self) -> String {
        self.signer.public_jwk().to_public_json()
    }

    /// Claims of a good proof, for a token where one goes along.
    #[must_use]
    pub fn claims(method: &str, url: &str, now: i64, token: Option<&str>) -> Value {
        let mut claims = json!({ "jti": random_id("p_"), "htm": method, "htu": url, "iat": now });
        if let (Some(token), Value::Object(claims)) = (token, &mut claims) {
            claims.insert("ath".to_owned(), URL_SAFE_NO_PAD.encode(sha256(token.as_bytes())).into());
        }
        claims
    }

    /// Signs whatever a test wants to claim.
    ///
    /// # Panics
    /// When it can't be signed.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test that can't sign has failed")]
    pub fn sign(&self, claims: &Value) -> String {
        self.signer.prove(claims.to_string().as_bytes()).expect("a proof")
    }

    /// A good proof.
    #[must_use]
    pub fn proof(&self, method: &str, url: &str, now: i64, token: Option<&str>) -> String {
        self.sign(&Self::claims(method, url, now, token))
    }
}
