//! Signatures of what is sent to a webhook (Standard Webhooks 1.0): a secret shared with the
//! receiver, and an HMAC-SHA256 over id, time and body.
//! Made here and never checked here: this deployment sends, it does not receive.

use crate::secret::{Secret, random_bytes};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// What a secret begins with, as its receiver is given it.
const PREFIX: &str = "whsec_";
/// Random bytes of a secret; the specification wants 24 to 64.
const SECRET_BYTES: usize = 32;

/// A new secret: `whsec_` and base64 of 256 random bits.
#[must_use]
pub fn generate_webhook_secret() -> Secret<String> {
    Secret::new(format!("{PREFIX}{}", STANDARD.encode(random_bytes::<SECRET_BYTES>())))
}

/// The value of `webhook-signature`, or none for what is no secret of this kind.
#[must_use]
pub fn sign_webhook(secret: &str, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
    let key = Secret::new(STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()?);
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()));
    context.update(id.as_bytes());
    context.update(format!(".{timestamp}.").as_bytes());
    context.update(body);
    Some(format!("v1,{}", STANDARD.encode(context.sign())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_specifications() {
        // Computed apart from this code, with Python's hmac, over the specification's example.
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signed = sign_webhook(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}");
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        for bad in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!"] {
            assert_eq!(sign_webhook(bad, "a", 0, b""), None, "{bad}");
        }
    }

    #[test]
    fn secrets_differ_and_sign() {
        let (one, other) = (generate_webhook_secret(), generate_webhook_secret());
        assert_ne!(one.expose(), other.expose());
        assert_eq!(one.expose().len(), PREFIX.len() + 44);
        assert!(sign_webhook(one.expose(), "a", 0, b"").is_some());
    }
}
