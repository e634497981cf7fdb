//! Nonces for proofs (RFC 9449 sections 8 and 9): values that nobody could know before a
//! certain time, so that a proof with one was not made long in advance.
//!
//! A nonce is a MAC over the number of a period, under a secret of the deployment: every node
//! makes and accepts the same, nothing is stored, and nobody can tell the next one.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use stipend_token::Timestamp;

use crate::secret::{Secret, constant_time_eq};

/// How long one nonce is given out. It is accepted for as long again, and from a node whose
/// clock is ahead by less than that.
pub const NONCE_SECONDS: i64 = 300;

const INFO: &[u8] = b"stipend-dpop-nonce-1";
/// Bytes of the MAC that go into a nonce.
const NONCE_BYTES: usize = 16;

/// What a nonce is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceAge {
    /// The one that is given out now, or will be next.
    Current,
    /// Good, but no longer given out: its user should get the new one.
    Aging,
    /// Not ours, or too old.
    Refused,
}

/// Makes and judges nonces.
pub struct Nonces {
    key: hmac::Key,
}

impl Nonces {
    /// Derives the key from a random secret of the deployment: its HMAC over a label of this
    /// purpose.
    pub fn derive(deployment: &Secret<[u8; 32]>) -> Self {
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, deployment.expose()), INFO);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()) }
    }

    /// The nonce to give out.
    pub fn current(&self, now: Timestamp) -> String {
        self.of_period(period(now))
    }

    /// Judges a nonce that came back.
    pub fn judge(&self, nonce: &str, now: Timestamp) -> NonceAge {
        let period = period(now);
        let is = |period| constant_time_eq(self.of_period(period).as_bytes(), nonce.as_bytes());
        // All three are compared, so that time tells nothing.
        match (is(period), is(period.saturating_add(1)), is(period.saturating_sub(1))) {
            (true, _, _) | (_, true, _) => NonceAge::Current,
            (_, _, true) => NonceAge::Aging,
            (false, false, false) => NonceAge::Refused,
        }
    }

    fn of_period(&self, period: i64) -> String {
        let tag = hmac::sign(&self.key, &period.to_be_bytes());
        let bytes: Vec<u8> = tag.as_ref().iter().copied().take(NONCE_BYTES).collect();
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

fn period(now: Timestamp) -> i64 {
    now.div_euclid(NONCE_SECONDS)
}

impl fmt::Debug for Nonces {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Nonces(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_230_000;

    #[test]
    fn a_nonce_is_good_for_its_period_and_the_next_and_then_no_more() {
        let nonces = Nonces::derive(&Secret::new([7; 32]));
        let start = NOW - NOW % NONCE_SECONDS;
        let nonce = nonces.current(start);
        for (at, age) in [
            (start, NonceAge::Current),
            (start + NONCE_SECONDS - 1, NonceAge::Current),
            (start + NONCE_SECONDS, NonceAge::Aging),
            (start + 2 * NONCE_SECONDS - 1, NonceAge::Aging),
            (start + 2 * NONCE_SECONDS, NonceAge::Refused),
            // Given out by a node whose clock is ahead.
            (start - 1, NonceAge::Current),
            (start - NONCE_SECONDS - 1, NonceAge::Refused),
        ] {
            assert_eq!(nonces.judge(&nonce, at), age, "{}", at - start);
        }
        assert_ne!(nonces.current(start + NONCE_SECONDS), nonce);
    }

    #[test]
    fn nobody_else_makes_one_and_nothing_like_one_passes() {
        let nonces = Nonces::derive(&Secret::new([7; 32]));
        let nonce = nonces.current(NOW);
        assert_eq!(nonce.len(), 22);
        let other = Nonces::derive(&Secret::new([8; 32])).current(NOW);
        for bad in [other, String::new(), nonce.to_uppercase(), format!("{nonce}="), nonce[..21].to_owned()] {
            assert_eq!(nonces.judge(&bad, NOW), NonceAge::Refused, "{bad}");
        }
        assert_eq!(format!("{nonces:?}"), "Nonces(…)");
    }
}
