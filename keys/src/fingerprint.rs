//! Fingerprints of secrets, to be shown where the secret must not be.
//!
//! An owner wants to see whether two credentials hold the same key, and whether a
//! rotation changed it. A plain hash would answer that to everybody who reads it, and
//! would let a low-entropy secret be guessed offline. So the fingerprint is an HMAC
//! under a key of the deployment: without that key it says nothing, in another
//! deployment or for another owner the same secret looks different.
//!
//! It has 60 bits: enough to tell the secrets of one owner apart, and to show, never
//! to decide about access. Who can have secrets of his choice fingerprinted can test
//! guesses one by one; show fingerprints to the secret's owner only.

use std::fmt;

use ring::hmac;

use crate::secret::Secret;

/// Characters in a fingerprint, without the hyphens.
pub const FINGERPRINT_DIGITS: usize = 12;

const INFO: &[u8] = b"stipend-fingerprint-1";
/// Crockford's base 32: nothing that reads like something else.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Makes fingerprints under a key of the deployment.
pub struct Fingerprinter {
    key: hmac::Key,
}

impl Fingerprinter {
    /// Derives the key from a random secret of the deployment: its HMAC over a label of
    /// this purpose. That secret must outlive key-encryption keys, or every fingerprint
    /// changes with them: keep it sealed in the database.
    pub fn derive(deployment: &Secret<[u8; 32]>) -> Self {
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, deployment.expose()), INFO);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()) }
    }

    /// The fingerprint of `secret` within `scope`, e.g. its owner's id: 12 digits in
    /// groups of four, `7K3M-PQ0A-VZ9D`.
    pub fn fingerprint(&self, scope: &[u8], secret: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [scope, secret] {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            context.update(&length.to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        let number = tag.as_ref().iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        let mut text = String::with_capacity(FINGERPRINT_DIGITS + 2);
        for index in 0..FINGERPRINT_DIGITS {
            if index > 0 && index % 4 == 0 {
                text.push('-');
            }
            let digit = usize::try_from((number >> (59 - 5 * index)) & 31).unwrap_or(0);
            text.push(DIGITS.get(digit).copied().map_or('0', char::from));
        }
        text
    }
}

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Fingerprinter(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::random_bytes;
    use std::collections::HashSet;

    fn fixed() -> Fingerprinter {
        Fingerprinter::derive(&Secret::new([7; 32]))
    }

    #[test]
    fn a_fingerprint_is_stable_and_short() {
        let text = fixed().fingerprint(b"owner-1", b"sk-live-canary");
        // Computed apart from this code, with Python's hmac.
        assert_eq!(text, "J2YQ-GRZ2-S710");
        assert_eq!(text, Fingerprinter::derive(&Secret::new([7; 32])).fingerprint(b"owner-1", b"sk-live-canary"));
    }

    #[test]
    fn it_depends_on_deployment_owner_and_secret_and_where_they_end() {
        let (one, other) = (fixed(), Fingerprinter::derive(&Secret::new(random_bytes())));
        let base = one.fingerprint(b"owner", b"secret");
        assert_ne!(base, other.fingerprint(b"owner", b"secret"));
        assert_ne!(base, one.fingerprint(b"owners", b"ecret"));
        assert_ne!(base, one.fingerprint(b"owne", b"rsecret"));
        assert_ne!(base, one.fingerprint(b"", b"ownersecret"));
        assert_ne!(base, one.fingerprint(b"owner", b"secret "));
    }

    #[test]
    fn no_plain_hash_of_the_secret_predicts_it() {
        let one = fixed();
        let many: HashSet<String> = (0..2000_u32).map(|pin| one.fingerprint(b"o", &pin.to_be_bytes())).collect();
        assert_eq!(many.len(), 2000);
        for text in many {
            assert_eq!(text.len(), 14);
            assert!(text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 9 => byte == b'-',
                _ => DIGITS.contains(&byte),
            }));
        }
    }

    #[test]
    fn nothing_of_its_key_is_printed() {
        assert_eq!(format!("{:?}", fixed()), "Fingerprinter(…)");
    }
}
