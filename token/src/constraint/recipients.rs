//! Whom one call may reach.

use super::call::Body;
use super::host::{Host, HostPattern};
use super::list::{AnyOf, Bound};
use super::selector::Selector;
use super::verdict::Reason;
use serde::{Deserialize, Serialize};

/// Most recipients of one call.
const MAX_RECIPIENTS: usize = 1000;
/// Longest recipient: an address of mail has 254 bytes at most, a URL more.
const MAX_RECIPIENT_BYTES: usize = 2048;

/// The domains of all recipients at a place of the body: a text, or a list of texts that is not
/// empty. Each is a plain address of mail (`local@domain`, no display name, no comment, no
/// quotes) or an `http` or `https` URL. Recipients elsewhere in the body are not looked at:
/// each place where there may be some needs a constraint of its own.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipients {
    selector: Selector,
    domains: AnyOf<HostPattern>,
}

impl Recipients {
    pub fn check(&self, body: &Body) -> Result<(), Reason> {
        let value = self.selector.read(body)?;
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        if values.is_empty() {
            return Err(Reason::Unresolved);
        }
        if values.len() > MAX_RECIPIENTS {
            return Err(Reason::Exceeded);
        }
        for value in values {
            let text = value.as_str().ok_or(Reason::WrongType)?;
            let domain = domain(text).ok_or(Reason::NotARecipient)?;
            if !self.domains.any(|pattern| pattern.matches(&domain)) {
                return Err(Reason::NotListed);
            }
        }
        Ok(())
    }

    /// Whether they ever hold.
    pub fn never(&self) -> bool {
        self.domains.is_empty()
    }
}

/// The domain of an address of mail or of a URL, in lower case. Where two readers could find two
/// domains there is none.
fn domain(text: &str) -> Option<Host> {
    if text.len() > MAX_RECIPIENT_BYTES {
        return None;
    }
    let host = match text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) {
        Some(rest) => url_host(rest)?,
        None => {
            let (local, domain) = text.split_once('@')?;
            if !is_local_part(local) {
                return None;
            }
            domain
        }
    };
    Host::parse(&host.to_ascii_lowercase()).ok()
}

/// What stands between `//` and the path, less the port; no user information.
fn url_host(rest: &str) -> Option<&str> {
    // RFC 3986 section 2, less the square brackets beyond the host: readers differ in others.
    if !rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)) {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let plain = port.bytes().all(|byte| byte.is_ascii_digit());
            port.parse::<u16>().ok().filter(|_| plain).map(|_| host)
        }
        _ => Some(authority),
    }
}

/// A dot-atom (RFC 5321 section 4.1.2), less `%` and `!`, by which relays were told of another
/// domain.
fn is_local_part(local: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"#$&'*+-/=?^_`{|}~".contains(&byte);
    local.len() <= 64 && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(plain))
}

/// At the same place those domains that both list; other places are others.
impl Bound for Recipients {
    fn merge(&self, other: &Self) -> Option<Self> {
        if self.selector != other.selector {
            return None;
        }
        let domains = self.domains.meet(&other.domains).ok()?;
        Some(Self { domains, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_found_in_one_way_or_not_at_all() {
        for (text, found) in [
            ("a@example.com", "example.com"),
            ("first.last+tag@Mail.Example.COM", "mail.example.com"),
            ("https://example.com", "example.com"),
            ("https://Hooks.Example.com:8443/a@b?c#d", "hooks.example.com"),
            ("http://[2001:db8::1]/x", "[2001:db8::1]"),
            ("http://[2001:db8::1]:80/x", "[2001:db8::1]"),
        ] {
            assert_eq!(domain(text).unwrap().as_str(), found, "{text}");
        }
        for text in [
            "",
            "example.com",
            "@example.com",
            "a@",
            "a@b@example.com",
            "a@evil.net,b@example.com",
            "a@example.com, b@evil.net",
            "a@example.com\r\nBcc: b@evil.net",
            "A <a@example.com>",
            "\"a@evil.net\"@example.com",
            "a%evil.net@example.com",
            "evil.net!a@example.com",
            "a@example.com.",
            "a@ex\u{e4}mple.com",
            "a @example.com",
            "a@example.com ",
            "a..b@example.com",
            "a@127.1",
            "a@[::ffff:10.0.0.1]",
            "mailto:a@example.com",
            "mailto:a@example.com?bcc=b@evil.net",
            "ftp://example.com",
            "//example.com",
            "HTTPS://example.com",
            "https:example.com",
            "https:///example.com",
            "https://",
            "https://a@example.com",
            "https://evil.net\\@example.com",
            "https://example.com\\.evil.net",
            "https://example.com\t.evil.net",
            "https://%65xample.com",
            "https://example.com:",
            "https://example.com:+80",
            "https://example.com:80:80",
            "https://example.com:99999",
            "https://example.com.",
            "https://0x7f000001/",
        ] {
            assert_eq!(domain(text), None, "{text:?}");
        }
        assert_eq!(domain(&format!("https://example.com/{}", "a".repeat(2048))), None);
    }
}
