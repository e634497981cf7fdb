//! The floor's keys: a signer, its verifier, a client with a secret and a key.

use super::Announced;
use super::answers::Claims;
use crate::clock::Epoch;
use crate::error::BenchError;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use josekit::jwk::alg::ec::{EcCurve, EcKeyPair};
use josekit::jws::alg::ecdsa::{EcdsaJwsSigner, EcdsaJwsVerifier};
use josekit::jws::{ES256, JwsHeader, deserialize_compact, serialize_compact};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use std::net::SocketAddr;

const CLIENT: &str = "acme.bench-floor-planner";
/// As many random bits as the server's ids have.
const ID_BYTES: usize = 20;

pub(super) struct Crypto {
    pub issuer: String,
    header: JwsHeader,
    signer: EcdsaJwsSigner,
    verifier: EcdsaJwsVerifier,
    assertions: EcdsaJwsVerifier,
    mac_key: hmac::Key,
    /// Of the client and its secret.
    mac: hmac::Tag,
    random: SystemRandom,
    began: Epoch,
}

#[derive(Deserialize)]
struct Assertion {
    iss: String,
    aud: String,
    exp: i64,
}

fn failed(error: impl std::fmt::Display) -> BenchError {
    BenchError::Deployment(format!("the floor's keys: {error}"))
}

impl Crypto {
    pub fn new(address: SocketAddr) -> Result<(Self, Announced), BenchError> {
        let random = SystemRandom::new();
        let own = EcKeyPair::generate(EcCurve::P256).map_err(failed)?;
        let clients = EcKeyPair::generate(EcCurve::P256).map_err(failed)?;
        let mut header = JwsHeader::new();
        header.set_token_type("at+jwt");
        // As long as the thumbprint that names the server's keys.
        header.set_key_id(format!("{}{}", text(&random, 16), text(&random, 16)).get(..43).unwrap_or_default());
        let secret = format!("sk_{}", text(&random, 32));
        let mac_key = hmac::Key::generate(hmac::HMAC_SHA256, &random).map_err(failed)?;
        let mac = hmac::sign(&mac_key, &together(CLIENT, &secret));
        let crypto = Self {
            issuer: format!("http://{address}"),
            header,
            signer: ES256.signer_from_jwk(&own.to_jwk_private_key()).map_err(failed)?,
            verifier: ES256.verifier_from_jwk(&own.to_jwk_public_key()).map_err(failed)?,
            assertions: ES256.verifier_from_jwk(&clients.to_jwk_public_key()).map_err(failed)?,
            mac_key,
            mac,
            random,
            began: Epoch::now(),
        };
        let announced = Announced {
            address: address.to_string(),
            client_id: CLIENT.to_owned(),
            client_secret: secret,
            client_key: serde_json::Value::Object(clients.to_jwk_private_key().as_ref().clone()),
        };
        Ok((crypto, announced))
    }

    pub fn now(&self) -> i64 {
        let since = i64::try_from(self.began.micros() / 1_000_000).unwrap_or_default();
        self.began.began_at.saturating_add(since)
    }

    pub fn id(&self, prefix: &str) -> String {
        format!("{prefix}{}", text(&self.random, ID_BYTES))
    }

    pub fn sign(&self, payload: &[u8]) -> Option<String> {
        serialize_compact(payload, &self.header, &self.signer).ok()
    }

    /// A token of ours that has not expired.
    pub fn read_token(&self, token: &str) -> Option<Claims> {
        let (payload, _) = deserialize_compact(token, &self.verifier).ok()?;
        let claims: Claims = serde_json::from_slice(&payload).ok()?;
        (claims.iss == self.issuer && claims.exp > self.now()).then_some(claims)
    }

    /// The client of an assertion for us that has not expired.
    pub fn read_assertion(&self, assertion: &str) -> Option<String> {
        let (payload, _) = deserialize_compact(assertion, &self.assertions).ok()?;
        let claims: Assertion = serde_json::from_slice(&payload).ok()?;
        (claims.aud == self.issuer && claims.exp > self.now() && claims.iss == CLIENT).then_some(claims.iss)
    }

    /// The client whose secret this is (RFC 6749 section 2.3.1: both are form-encoded).
    pub fn prove_secret(&self, basic: &str) -> Option<String> {
        let decoded = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
        let (id, secret) = decoded.split_once(':')?;
        let (id, secret) = (form_decoded(id)?, form_decoded(secret)?);
        // Computes the MAC and compares it in constant time.
        hmac::verify(&self.mac_key, &together(&id, &secret), self.mac.as_ref()).ok()?;
        Some(id)
    }
}

fn form_decoded(text: &str) -> Option<String> {
    url::form_urlencoded::parse(text.as_bytes()).next().map(|(decoded, _)| decoded.into_owned())
}

fn together(id: &str, secret: &str) -> Vec<u8> {
    [id, "\n", secret].concat().into_bytes()
}

fn text(random: &SystemRandom, bytes: usize) -> String {
    let mut drawn = vec![0; bytes];
    // A system without randomness has no use for a measurement.
    let _ = random.fill(&mut drawn);
    URL_SAFE_NO_PAD.encode(&drawn)
}
