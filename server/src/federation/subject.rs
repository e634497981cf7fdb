//! The names that foreign subjects and tokens have here.
//!
//! A subject of another issuer gets a namespace of its own, so that it can be nobody of ours
//! (`agent:…`, `client:…`) and nobody of a third issuer, whatever its issuer calls it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt::Write;
use stipend_keys::sha256;

/// Longest name of a subject at its issuer (OpenID Connect Core section 2).
pub const MAX_FOREIGN_SUBJECT_BYTES: usize = 255;
const NAMESPACE: &str = "user:";
/// What the digest of a foreign token begins with, in a lineage.
const DIGEST: &str = "d_";

/// `user:<issuer id>:<subject>`, with a tenant between where the issuer has many.
#[must_use]
pub fn federated_subject(issuer_id: &str, tenant: Option<&str>, subject: &str) -> String {
    match tenant {
        None => format!("{NAMESPACE}{issuer_id}:{subject}"),
        Some(tenant) => format!("{NAMESPACE}{issuer_id}:{}:{subject}", escaped(tenant)),
    }
}

/// A tenant's name ends where the subject's begins, whatever is in either.
fn escaped(tenant: &str) -> String {
    let mut text = String::with_capacity(tenant.len());
    for c in tenant.chars() {
        match c {
            ':' | '%' => {
                let _ = write!(text, "%{:02X}", u32::from(c));
            }
            _ => text.push(c),
        }
    }
    text
}

/// Whether a `sub` of ours is somebody of another issuer.
#[must_use]
pub fn is_federated(sub: &str) -> bool {
    sub.starts_with(NAMESPACE)
}

/// The issuer in such a `sub`, by its id here.
#[must_use]
pub fn issuer_of_subject(sub: &str) -> Option<&str> {
    sub.strip_prefix(NAMESPACE)?.split_once(':').map(|(issuer, _)| issuer)
}

/// A foreign token's place in a lineage: a digest of (`iss`, `jti`). The length in front keeps
/// one issuer's pair from being another's.
#[must_use]
pub fn token_digest(issuer: &str, jti: &str) -> String {
    digest(&sha256(format!("{} {issuer} {jti}", issuer.len()).as_bytes()))
}

/// Of a token that has no `jti`: a digest of the whole.
pub(super) fn digest(whole: &[u8; 32]) -> String {
    format!("{DIGEST}{}", URL_SAFE_NO_PAD.encode(whole))
}

/// Whether a token id is the digest of a foreign token.
#[must_use]
pub fn is_digest(id: &str) -> bool {
    id.starts_with(DIGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_foreign_subject_is_one_of_ours_or_of_another_issuer() {
        let sub = federated_subject("iss_a", None, "agent:acme.planner");
        assert_eq!(sub, "user:iss_a:agent:acme.planner");
        assert_eq!(issuer_of_subject(&sub), Some("iss_a"));
        assert!(is_federated(&sub) && !is_federated("agent:user:iss_a:x"));
        assert_ne!(federated_subject("iss_a", None, "x"), federated_subject("iss_b", None, "x"));
        assert_eq!(issuer_of_subject("agent:acme.planner"), None);
    }

    #[test]
    fn a_tenant_can_not_reach_into_the_subject() {
        let one = federated_subject("iss_a", Some("t:u"), "v");
        assert_ne!(one, federated_subject("iss_a", Some("t"), "u:v"));
        assert_ne!(one, federated_subject("iss_a", Some("t%3Au"), "v"));
        assert_eq!(one, "user:iss_a:t%3Au:v");
    }

    #[test]
    fn issuer_and_jti_do_not_run_into_each_other() {
        assert_ne!(token_digest("https://a", "b c"), token_digest("https://a b", "c"));
        assert!(is_digest(&token_digest("https://a", "b")) && token_digest("https://a", "b").len() == 45);
    }
}
