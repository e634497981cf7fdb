//! Secrets in memory, and the randomness everything here draws from.
//!
//! [`Secret`] is the only shape a secret travels in: it can't be printed,
//! serialised or copied by accident, and is wiped when dropped. The random source
//! is the operating system's, through ring; nothing else in the workspace may
//! bring one.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Random bytes in an id: 160 bits (RFC 6749 section 10.10).
pub const ID_BYTES: usize = 20;
/// Random bytes in a client secret.
pub const CLIENT_SECRET_BYTES: usize = 32;
/// Marks a client secret, so that secret scanners can find a leaked one.
pub const CLIENT_SECRET_PREFIX: &str = "sk_";

/// A value that must not leak: no `Display`, no `Serialize`, a `Debug` that says
/// nothing, wiped on drop.
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value. Each call is a place to review.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: Zeroize + Clone> Clone for Secret<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Random bytes from the operating system.
///
/// Where the system has none to give, the process ends: every id, key and nonce
/// it could still make would be guessable, and no caller could do better.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        std::process::abort();
    }
    bytes
}

/// `prefix` and 160 random bits in base64url, e.g. `t_` and 27 characters.
pub fn random_id(prefix: &str) -> String {
    let mut id = String::with_capacity(prefix.len() + ID_BYTES * 4 / 3 + 1);
    id.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(random_bytes::<ID_BYTES>(), &mut id);
    id
}

/// As [`random_id`], with the time in seconds as ten hex digits before the random bits, for what
/// is made all the time and looked up by an index: what is made together lies together there. With
/// ids in no order each new row would touch a page of its own.
pub fn dated_id(prefix: &str, now: i64) -> String {
    random_id(&format!("{prefix}{now:010x}"))
}

/// A new client secret: `sk_` and 256 random bits in base64url. All characters
/// come from `[A-Za-z0-9_-]`, so form-encoding it or not is the same in HTTP Basic.
pub fn generate_client_secret() -> Secret<String> {
    generate_token(CLIENT_SECRET_PREFIX)
}

/// A new bearer secret of the same make under another prefix. With 256 random bits its SHA-256
/// can be stored and looked up: there is nothing to guess.
pub fn generate_token(prefix: &str) -> Secret<String> {
    let mut bytes = random_bytes::<CLIENT_SECRET_BYTES>();
    let mut text = String::with_capacity(prefix.len() + CLIENT_SECRET_BYTES * 3 / 2);
    text.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
    bytes.zeroize();
    Secret::new(text)
}

/// SHA-256.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, data);
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    out
}

/// Compares without telling by its time where the two differ. Lengths are not secret.
pub fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_secret_prints_nothing_of_its_value() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?} {secret:#?}"), "Secret(…) Secret(…)");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_secret_is_wiped_when_dropped() {
        struct Probe(Arc<AtomicBool>);
        impl Zeroize for Probe {
            fn zeroize(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let wiped = Arc::new(AtomicBool::new(false));
        drop(Secret::new(Probe(wiped.clone())));
        assert!(wiped.load(Ordering::SeqCst));
    }

    #[test]
    fn dated_ids_sort_by_their_time_and_are_as_random() {
        let times = [0, 1, 15, 16, 255, 256, 1_767_225_600, 1_767_225_601, 1 << 39];
        let ids: Vec<String> = times.iter().map(|at| dated_id("t_", *at)).collect();
        assert!(ids.is_sorted(), "{ids:?}");
        assert!(ids.iter().all(|id| id.len() == 2 + 10 + 27), "{ids:?}");
        let same: HashSet<String> = (0..1000).map(|_| dated_id("t_", 7)).collect();
        assert_eq!(same.len(), 1000);
    }

    #[test]
    fn ids_are_distinct_and_url_safe() {
        let ids: HashSet<String> = (0..1000).map(|_| random_id("t_")).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            let random = id.strip_prefix("t_").unwrap();
            assert_eq!(random.len(), 27);
            assert!(random.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        }
    }

    #[test]
    fn client_secrets_carry_256_random_bits() {
        let (one, other) = (generate_client_secret(), generate_client_secret());
        assert_ne!(one.expose(), other.expose());
        let random = one.expose().strip_prefix("sk_").unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(random).unwrap().len(), 32);
    }

    #[test]
    fn sha256_matches_the_vector_of_fips_180() {
        assert_eq!(URL_SAFE_NO_PAD.encode(sha256(b"abc")), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
    }

    #[test]
    fn constant_time_comparison_is_equality() {
        assert!(constant_time_eq(b"", b""));
        assert!(constant_time_eq(b"abc", b"abc"));
        assert!(!constant_time_eq(b"abc", b"abd"));
        assert!(!constant_time_eq(b"abc", b"ab"));
    }
}
