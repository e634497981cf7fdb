//! A keyed MAC whose key lives and dies with the process, or is one of the deployment.
//!
//! For what must recognise a secret that was seen without keeping it: a dump of it
//! is worthless without the key, and with the first kind no restart can reuse it.

use std::fmt;

use ring::hmac;

use crate::secret::{Secret, constant_time_eq, random_bytes};

/// HMAC-SHA256 under a key drawn or derived at construction.
pub struct ProcessMac {
    key: hmac::Key,
}

impl ProcessMac {
    /// Draws a new key.
    #[expect(clippy::new_without_default, reason = "a default that is different each time misleads")]
    pub fn new() -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &random_bytes::<32>());
        Self { key }
    }

    /// Derives the key from a random secret of the deployment: its HMAC over a label of the
    /// purpose. What is made with it is the same on every node.
    pub fn derive(deployment: &Secret<[u8; 32]>, purpose: &[u8]) -> Self {
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, deployment.expose()), purpose);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()) }
    }

    /// The MAC over a list of parts. Every part goes in with its length, so
    /// `["ab", "c"]` and `["a", "bc"]` differ.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            context.update(&length.to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        let mut out = [0; 32];
        for (to, from) in out.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        out
    }

    /// Whether `mac` is the MAC over `parts`, in constant time.
    pub fn verify(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        constant_time_eq(&self.mac(parts), mac)
    }
}

impl fmt::Debug for ProcessMac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ProcessMac(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mac_depends_on_where_the_parts_end() {
        let mac = ProcessMac::new();
        assert_ne!(mac.mac(&[b"ab", b"c"]), mac.mac(&[b"a", b"bc"]));
        assert_ne!(mac.mac(&[b"abc"]), mac.mac(&[b"abc", b""]));
        assert_ne!(mac.mac(&[]), mac.mac(&[b""]));
    }

    #[test]
    fn derived_keys_are_the_same_everywhere_and_for_one_purpose() {
        let deployment = Secret::new([7; 32]);
        let mac = |deployment: &Secret<[u8; 32]>, purpose: &[u8]| ProcessMac::derive(deployment, purpose).mac(&[b"a"]);
        assert_eq!(mac(&deployment, b"one"), mac(&deployment, b"one"));
        assert_ne!(mac(&deployment, b"one"), mac(&deployment, b"other"));
        assert_ne!(mac(&deployment, b"one"), mac(&Secret::new([8; 32]), b"one"));
    }

    #[test]
    fn a_mac_verifies_only_whole_and_under_its_own_key() {
        let mac = ProcessMac::new();
        let tag = mac.mac(&[b"client", b"secret"]);
        assert!(mac.verify(&[b"client", b"secret"], &tag));
        assert!(!mac.verify(&[b"client", b"Secret"], &tag));
        assert!(!mac.verify(&[b"client", b"secret"], tag.get(..31).unwrap()));
        assert!(!mac.verify(&[b"client", b"secret"], b""));
        assert!(!ProcessMac::new().verify(&[b"client", b"secret"], &tag));
    }
}
