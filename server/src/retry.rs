//! The `Idempotency-Key` of a request, with what it asks for: a retry is the same in both.

use crate::form::Params;
use crate::limits::{IDEMPOTENCY_SECONDS, MAX_IDEMPOTENCY_KEY_BYTES};
use crate::reason::Reason;
use stipend_keys::sha256;
use stipend_schema::ledger::SpendKey;

/// Parameters of client authentication, which a retry makes anew.
const OF_AUTHENTICATION: [&str; 4] = ["client_id", "client_secret", "client_assertion", "client_assertion_type"];

/// What makes a retry the same request: the client, the operation and the key, and a digest
/// of all that was asked for. `path` is the id in the request's path.
///
/// # Errors
/// [`Reason::BadIdempotencyKey`].
pub fn spend_key(
    key: &str,
    client_id: &str,
    operation: &str,
    path: Option<&str>,
    params: &Params,
    now: i64,
) -> Result<SpendKey, Reason> {
    let mut said: Vec<String> = params
        .pairs()
        .filter(|(name, _)| !OF_AUTHENTICATION.contains(name))
        .map(|(name, value)| format!("{name}\0{value}"))
        .collect();
    said.sort_unstable();
    said.extend(path.map(str::to_owned));
    spend_key_of(key, client_id, operation, &said.join("\0\0"), now)
}

/// The same where `said` is already all that was asked for, in one text.
///
/// # Errors
/// [`Reason::BadIdempotencyKey`].
pub fn spend_key_of(key: &str, client_id: &str, operation: &str, said: &str, now: i64) -> Result<SpendKey, Reason> {
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY_BYTES || !visible {
        return Err(Reason::BadIdempotencyKey);
    }
    // NUL is in none of the parts, so no two lists of parts make the same text.
    let key_hash = sha256([client_id, operation, key].join("\0").as_bytes());
    let digest = sha256(said.as_bytes());
    Ok(SpendKey { key_hash, digest, expires_at: now.saturating_add(IDEMPOTENCY_SECONDS), keep: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_is_the_same_request_with_any_authentication() {
        let retry = |body: &str, operation: &str, path: Option<&str>| {
            let params = Params::parse(body.as_bytes()).unwrap();
            spend_key("k", "acme.api", operation, path, &params, 0).unwrap()
        };
        let first = retry("amount=1&final=true&client_assertion=a", "budget.captured", Some("bh_1"));
        let again = retry("final=true&client_assertion=b&amount=1", "budget.captured", Some("bh_1"));
        assert_eq!((first.key_hash, first.digest), (again.key_hash, again.digest));
        assert_ne!(first.digest, retry("amount=2&final=true", "budget.captured", Some("bh_1")).digest);
        assert_ne!(first.digest, retry("amount=1&final=true", "budget.captured", Some("bh_2")).digest);
        assert_ne!(first.key_hash, retry("amount=1&final=true", "budget.voided", Some("bh_1")).key_hash);
        let params = Params::parse(b"a=b").unwrap();
        for bad in ["", "a b", "é", "a\n", &"k".repeat(256)] {
            assert!(spend_key(bad, "acme.api", "budget.held", None, &params, 0).is_err(), "{bad:?}");
        }
    }
}
