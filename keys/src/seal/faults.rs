//! What goes wrong with a key-encryption service outside this process, as sentences
//! that say what to do.
//!
//! Names of keys, tokens, mounts and files are configuration and may be quoted.
//! PINs, access tokens and whatever the service answered must never be.
//! The types are here in every build, so that a match on [`super::SealError`] doesn't
//! depend on features.

/// Why a PKCS#11 token can't wrap or unwrap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Pkcs11Error {
    #[error("the PKCS#11 module {0} cannot be loaded: install the token's driver, or correct the path")]
    Module(String),
    #[error("no PKCS#11 token is labelled {0:?}: attach or initialise it, or correct the label")]
    TokenNotFound(String),
    #[error("{1} PKCS#11 tokens are labelled {0:?}: give each token a label of its own")]
    TokenAmbiguous(String, usize),
    #[error(
        "the PKCS#11 token refuses the PIN: correct it and restart; it is not tried again, because a token locks \
         itself after a few wrong ones"
    )]
    WrongPin,
    #[error("the PKCS#11 token has locked its user PIN: its security officer must set a new one")]
    PinLocked,
    #[error("the PKCS#11 token has no user PIN yet: its security officer must set one")]
    PinNotSet,
    #[error("the PKCS#11 token has no AES key {0}: generate it in the token, or correct the name")]
    KeyMissing(String),
    #[error("the PKCS#11 token has {1} AES keys {0}: name the key by its id instead")]
    KeyAmbiguous(String, usize),
    #[error("the AES key {0} in the PKCS#11 token is not fit to wrap: {1}")]
    KeyUnfit(String, &'static str),
    #[error("a name of a PKCS#11 key must be 1 to 64 of A-Z a-z 0-9 . _ -, or an id of 1 to 32 bytes")]
    KeyName,
    #[error("a PKCS#11 key is configured twice")]
    Duplicate,
    #[error("too many previous PKCS#11 keys are configured: 16 at most")]
    TooManyKeys,
    #[error("the PKCS#11 token cannot do AES-GCM: use one that can")]
    Mechanism,
    #[error("all sessions with the PKCS#11 token are busy: it is overloaded or hangs")]
    Busy,
    #[error("the PKCS#11 token is not available ({0}): check that it is attached and its service runs")]
    Unavailable(String),
}

impl Pkcs11Error {
    /// Whether the same call may succeed later without a change of configuration.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::TokenNotFound(_) | Self::KeyMissing(_) | Self::Busy | Self::Unavailable(_))
    }
}

/// Why a Vault or OpenBao transit engine can't wrap or unwrap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    #[error("the address of Vault must be https://host[:port], or http:// on this machine's loopback only")]
    Address,
    #[error("a name of a mount, key or namespace of Vault is empty, too long, or has other than A-Z a-z 0-9 . _ - /")]
    Name,
    #[error("a Vault key is configured twice")]
    Duplicate,
    #[error("too many previous Vault keys are configured: 16 at most")]
    TooManyKeys,
    #[error("the CA file {0} for Vault cannot be read or has no certificate in PEM: correct it")]
    CaFile(String),
    #[error("https to Vault needs a CA file: name the CA that signed its certificate, or the system's bundle")]
    NoCaFile,
    #[error("the token file {0} for Vault cannot be read, is empty, or is no token: check the agent that writes it")]
    TokenFile(String),
    #[error("Vault cannot be reached: check its address, its certificate against the CA file, and the network")]
    Unreachable,
    #[error("Vault does not answer in time: it is overloaded or hangs")]
    TimedOut,
    #[error("Vault is sealed, in standby, or not ready: unseal it")]
    Sealed,
    #[error("Vault is asked too often, by its own quota: raise the quota or lower the load")]
    RateLimited,
    #[error("Vault denies permission: renew the token, or allow it update on {0}")]
    Denied(String),
    #[error("Vault has no transit key {0}: create it (type aes256-gcm96), or correct the mount and the name")]
    KeyMissing(String),
    #[error(
        "the version of the Vault key {0} that wrapped this value may no longer decrypt: lower \
             min_decryption_version, rewrap, then raise it again"
    )]
    VersionDisallowed(String),
    #[error(
        "Vault does not know the version of its key {0} that wrapped this value: its node lags behind, it was restored \
         from an older backup, or the value was altered"
    )]
    VersionUnknown(String),
    #[error(
        "Vault refuses to wrap with the key {0}: it must be of type aes256-gcm96 or chacha20-poly1305 and not derived"
    )]
    KeyUnfit(String),
    #[error("this Vault ignores associated_data: wrapped keys could be swapped; use Vault 1.9 or newer, or OpenBao")]
    NoAssociatedData,
    #[error("Vault answers with a redirect, which is not followed: name the active node or the load balancer")]
    Redirected,
    #[error("the answer is not Vault's: check that the address is Vault's and nothing stands before it")]
    BadAnswer,
    #[error("too many calls to Vault are under way: it is slow or overloaded")]
    Busy,
    #[error("Vault answers with an error of its own: see its log")]
    Failed,
}

impl VaultError {
    /// Whether the same call may succeed later without a change of configuration.
    pub const fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::TokenFile(_)
                | Self::Unreachable
                | Self::TimedOut
                | Self::Sealed
                | Self::RateLimited
                | Self::Denied(_)
                | Self::VersionUnknown(_)
                | Self::Busy
                | Self::Failed
        )
    }
}
