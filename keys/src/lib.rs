//! Key material of Stipend: the signing keyring, strict JWS, JWKS, sealing at
//! rest, encryption to an agent's key, client secrets, proofs of possession.
//!
//! This crate is the only user of josekit, and lets it do two things: make and
//! check signatures over bytes, and encrypt a content key to a public key. Headers,
//! claims and keys are read by our own strict code first, one key is bound to one
//! algorithm, and each kind of token has its own `typ`. Nothing is ever decrypted
//! that came as a JWE. No clock; time is a parameter. No IO, but for the providers of
//! key encryption behind the features `pkcs11` and `vault`. Nothing here prints or
//! serialises a private key or a secret.

pub mod alg;
pub mod dpop;
pub mod fingerprint;
mod jose;
pub mod jwe;
pub mod jwk;
pub mod jwks;
pub mod jws;
pub mod keyring;
pub mod kind;
pub mod mac;
pub mod password;
pub mod rotation;
pub mod seal;
pub mod secret;
pub mod signing;
pub mod webhook;

pub use alg::Algorithm;
pub use fingerprint::Fingerprinter;
pub use jwe::{EncryptionJwk, JweError};
pub use jwk::{JwkError, MAX_JWK_BYTES, PublicJwk};
pub use jwks::PublicJwkSet;
pub use jws::{JwsError, MAX_JWT_BYTES, Unverified, Verified, Verifier};
pub use keyring::{JwksDocument, KeyRecord, Keyring, KeyringError};
pub use kind::TokenKind;
pub use mac::ProcessMac;
pub use password::{SecretWorker, WorkerError};
pub use rotation::{RotationPolicy, plan};
pub use seal::{KeyEncryption, SealError, Sealer, StaticKek};
pub use secret::{Secret, constant_time_eq, dated_id, generate_client_secret, generate_token, random_id, sha256};
pub use signing::{KeyError, Signer, SigningKey};
pub use webhook::{generate_webhook_secret, sign_webhook};
