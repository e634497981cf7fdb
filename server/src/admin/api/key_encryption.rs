//! The key-encryption keys as the admin API shows them: ids and counts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the key-encryption keys have wrapped.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct KeyEncryptionStatus {
    /// The key that wraps what is new.
    pub current: String,
    pub keys: Vec<KeyEncryptionKey>,
    /// What other keys have wrapped: versions of credentials, secrets and signing keys.
    pub remaining: i64,
    /// Wrapped anew by this call.
    #[serde(default)]
    pub rewrapped: i64,
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct KeyEncryptionKey {
    pub id: String,
    /// Versions of credentials whose data keys it has wrapped.
    pub versions: i64,
    /// The same of the deployment's own secrets.
    #[serde(default)]
    pub secrets: i64,
    /// The same of signing keys that still sign.
    #[serde(default)]
    pub signing_keys: i64,
}
