//! Host names, and patterns of them.

use super::list::Pattern;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// RFC 1035 section 2.3.4.
const MAX_HOST_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// A host name in the one form that is taken: labels of lower-case letters, digits and hyphens
/// (RFC 1123 section 2.1; other scripts as `xn--` labels), no dot at the end, no port. Or an
/// address in its canonical text: four decimal numbers, or IPv6 in brackets (RFC 5952), which
/// is never one that maps IPv4.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host(String);

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a host is a lower-case host name without port and without a dot at the end, or an address in canonical form")]
pub struct HostError;

impl Host {
    /// # Errors
    /// [`HostError`]; nothing is repaired.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let canonical = match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => address
                .parse::<Ipv6Addr>()
                .is_ok_and(|parsed| parsed.to_ipv4_mapped().is_none() && parsed.to_string() == address),
            None if ends_in_number(text) => text.parse::<Ipv4Addr>().is_ok_and(|parsed| parsed.to_string() == text),
            None => text.len() <= MAX_HOST_BYTES && text.split('.').all(is_label),
        };
        if canonical { Ok(Self(text.to_owned())) } else { Err(HostError) }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_below(&self, parent: &Self) -> bool {
        self.0.strip_suffix(&parent.0).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }
}

fn is_label(label: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let bounded = !label.is_empty() && label.len() <= MAX_LABEL_BYTES;
    bounded && label.bytes().all(plain) && !label.starts_with('-') && !label.ends_with('-')
}

/// Such a name is read as an address by many: `127.1`, `0x7f000001`, `2130706433`.
fn ends_in_number(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    last.starts_with("0x") || (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Host {
    type Error = HostError;

    fn try_from(text: String) -> Result<Self, HostError> {
        Self::parse(&text)
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.0
    }
}

/// A host itself, or with a leading `*.` all that are below it, by one label or more. The host
/// itself is not below itself.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostPattern {
    Exact(Host),
    Below(Host),
}

impl HostPattern {
    /// # Errors
    /// [`HostError`]; an asterisk stands in front of a name, followed by a dot, or nowhere.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        match text.strip_prefix("*.") {
            Some(name) if name.starts_with('[') || ends_in_number(name) => Err(HostError),
            Some(name) => Host::parse(name).map(Self::Below),
            None => Host::parse(text).map(Self::Exact),
        }
    }

    #[must_use]
    pub fn matches(&self, host: &Host) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Below(parent) => host.is_below(parent),
        }
    }
}

impl Pattern for HostPattern {
    fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(host), _) => other.matches(host),
            (Self::Below(_), Self::Exact(_)) => false,
            (Self::Below(name), Self::Below(parent)) => name == parent || name.is_below(parent),
        }
    }
}

impl TryFrom<String> for HostPattern {
    type Error = HostError;

    fn try_from(text: String) -> Result<Self, HostError> {
        Self::parse(&text)
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        match pattern {
            HostPattern::Exact(host) => host.0,
            HostPattern::Below(host) => format!("*.{host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_form() {
        let fine = ["api.example", "localhost", "a-b.c1.example", "xn--bcher-kva.example", "127.0.0.1", "1.example"];
        for text in fine.into_iter().chain(["[::1]", "[2001:db8::1]", "0x.example", "1a", &"a".repeat(63)]) {
            assert_eq!(Host::parse(text).unwrap().as_str(), text);
        }
        let long = vec!["a".repeat(62); 5].join(".");
        let odd = ["", ".", "API.example", "api.example.", ".example", "a..b", "api.example:443", "a_b", "b\u{fc}cher"];
        let disguised = ["127.1", "127.0.0.01", "0x7f.0.0.1", "0x7f000001", "2130706433", "127.0.0.1.", "0177.0.0.1"];
        let addresses = ["::1", "[::1", "[0:0::1]", "[::ffff:127.0.0.1]", "[2001:DB8::1]", "[fe80::1%eth0]", "[]"];
        let texts = ["-a", "a-", "a b", "a/b", "u@a", "*", "a\0", "%61", "a.1", "\u{ff41}", &long];
        for text in odd.into_iter().chain(disguised).chain(addresses).chain(texts) {
            assert_eq!(Host::parse(text), Err(HostError), "{text:?}");
        }
        assert!(Host::parse(&"a".repeat(64)).is_err());
    }

    #[test]
    fn an_asterisk_stands_for_one_label_or_more() {
        let below = HostPattern::parse("*.example.com").unwrap();
        for (host, matches) in [
            ("api.example.com", true),
            ("a.b.example.com", true),
            ("example.com", false),
            ("badexample.com", false),
            ("api.example.com.evil.net", false),
            ("example.org", false),
        ] {
            assert_eq!(below.matches(&Host::parse(host).unwrap()), matches, "{host}");
        }
        let exact = HostPattern::parse("api.example.com").unwrap();
        assert!(exact.is_within(&below) && !below.is_within(&exact));
        assert!(HostPattern::parse("*.api.example.com").unwrap().is_within(&below));
        for text in ["*", "*.", "**.a", "*.*.a", "a.*", "*a.b", "*.127.0.0.1", "*.1", "*.[::1]", "*.A", "*.a."] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }
}
