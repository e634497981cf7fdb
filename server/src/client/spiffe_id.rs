//! SPIFFE IDs, read as strictly as their standard writes them (SPIFFE-ID section 2).

use std::fmt;

/// Longest id that is taken, in bytes: what a subject of another issuer may have.
pub const MAX_SPIFFE_ID_BYTES: usize = 255;
const SCHEME: &str = "spiffe://";

/// The id of a workload: a trust domain and a path in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SpiffeId(String);

impl SpiffeId {
    /// `None` for what is no id of a workload: that of a trust domain alone neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (domain, path) = text.strip_prefix(SCHEME)?.split_once('/')?;
        let in_domain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        let in_path = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(in_path);
        let is_id = text.len() <= MAX_SPIFFE_ID_BYTES
            && !domain.is_empty()
            && domain.bytes().all(in_domain)
            && path.split('/').all(is_segment);
        is_id.then(|| Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What its trust domain is registered as: `spiffe://` and its name.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        let path = self.0.get(SCHEME.len()..).and_then(|rest| rest.find('/'));
        path.and_then(|at| self.0.get(..SCHEME.len().saturating_add(at))).unwrap_or(&self.0)
    }
}

/// Whether a `client_id` means a workload by its SPIFFE ID.
#[must_use]
pub fn is_spiffe(client_id: &str) -> bool {
    client_id.starts_with(SCHEME)
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_trust_domain_and_a_path() {
        let id = SpiffeId::parse("spiffe://prod.acme_1-x.example/ns/Billing/sa/refunds.v2").unwrap();
        assert_eq!(id.trust_domain(), "spiffe://prod.acme_1-x.example");
        for bad in [
            "",
            "spiffe://",
            "spiffe://acme",
            "spiffe://acme/",
            "spiffe:///a",
            "spiffe://acme/a/",
            "spiffe://acme//a",
            "spiffe://acme/a/../b",
            "spiffe://acme/./a",
            "spiffe://Acme/a",
            "SPIFFE://acme/a",
            "spiffe://acme:8080/a",
            "spiffe://user@acme/a",
            "spiffe://acme/a?b",
            "spiffe://acme/a#b",
            "spiffe://acme/%61",
            "spiffe://acme/ä",
            "https://acme/a",
        ] {
            assert_eq!(SpiffeId::parse(bad), None, "{bad}");
        }
        assert_eq!(SpiffeId::parse(&format!("spiffe://acme/{}", "a".repeat(300))), None);
    }
}
