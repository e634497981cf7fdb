//! The target URI of a request as a proof names it (`htu`), and when two spellings are one.
//!
//! RFC 9449 section 4.3: without query and fragment, after the syntax-based and scheme-based
//! normalisation of RFC 3986 (sections 6.2.2 and 6.2.3). Strict reading of our own: a lenient
//! parser takes for one address what a server takes for two (a backslash, a tab, a user name).

/// Longest URI that is looked at.
const MAX_URI_BYTES: usize = 4096;

/// An absolute `http` or `https` URI in its one spelling, without query and fragment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TargetUri(String);

impl TargetUri {
    /// Reads a URI. `None`: it is none that a request could be sent to.
    pub fn parse(uri: &str) -> Option<Self> {
        if uri.len() > MAX_URI_BYTES || !uri.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return None;
        }
        let (scheme, rest) = uri.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let default_port = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return None,
        };
        let rest = rest.split(['?', '#']).next()?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let authority = normal_authority(authority, default_port)?;
        Some(Self(format!("{scheme}://{authority}{}", normal_path(path)?)))
    }

    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// RFC 3986 section 6.2.2.1 and 6.2.3: the host without case, the port left out where it is the
/// scheme's.
fn normal_authority(authority: &str, default_port: u16) -> Option<String> {
    // No user information: nobody sends it to us, and it looks like a host. No escapes: a name
    // that needs them is none.
    if authority.contains(['@', '%']) {
        return None;
    }
    let end = match authority.strip_prefix('[') {
        Some(literal) => literal.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at_checked(end)?;
    if host.is_empty() {
        return None;
    }
    let host = host.to_ascii_lowercase();
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => default_port,
        None => return None,
        Some("") => default_port,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
    };
    Some(if port == default_port { host } else { format!("{host}:{port}") })
}

/// RFC 3986 section 6.2.2.2, then 6.2.2.3: escapes first, because `%2e` is a dot.
fn normal_path(path: &str) -> Option<String> {
    let path = normal_escapes(path)?;
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            kept.push("");
        }
    }
    Some(format!("/{}", kept.join("/")))
}

/// Escapes of what needs none become plain; the others are written in upper case.
fn normal_escapes(path: &str) -> Option<String> {
    let mut normal = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((plain, escaped)) = rest.split_once('%') {
        normal.push_str(plain);
        let (digits, after) = escaped.split_at_checked(2)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let byte = u8::from_str_radix(digits, 16).ok()?;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            normal.push(char::from(byte));
        } else {
            normal.push('%');
            normal.push_str(&digits.to_ascii_uppercase());
        }
        rest = after;
    }
    normal.push_str(rest);
    Some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(uri: &str) -> Option<String> {
        TargetUri::parse(uri).map(|uri| uri.as_str().to_owned())
    }

    #[test]
    fn spellings_of_one_address_are_one() {
        let plain = Some("https://as.example/oauth2/token".to_owned());
        for spelling in [
            "https://as.example/oauth2/token",
            "HTTPS://AS.Example/oauth2/token",
            "https://as.example:443/oauth2/token",
            "https://as.example:0443/oauth2/token",
            "https://as.example:/oauth2/token",
            "https://as.example/oauth2/token?a=b#c",
            "https://as.example/oauth2/token#c?d",
            "https://as.example/oauth2/%74oken",
            "https://as.example/oauth2/./x/../token",
            "https://as.example/../oauth2/x/%2e%2E/token",
        ] {
            assert_eq!(normal(spelling), plain, "{spelling}");
        }
        assert_eq!(normal("https://as.example"), normal("https://as.example/"));
        assert_eq!(normal("http://[::1]:80/a"), Some("http://[::1]/a".to_owned()));
        assert_eq!(normal("https://a/b%c3%a9"), normal("https://a/b%C3%A9"));
        assert_eq!(normal("https://a/b/.."), Some("https://a/".to_owned()));
        assert_eq!(normal("https://a/b/."), Some("https://a/b/".to_owned()));
    }

    #[test]
    fn what_a_server_may_tell_apart_stays_apart() {
        let plain = normal("https://as.example/oauth2/token");
        for other in [
            "http://as.example/oauth2/token",
            "https://as.example:8443/oauth2/token",
            "https://as.example./oauth2/token",
            "https://as.example/oauth2/token/",
            "https://as.example//oauth2/token",
            "https://as.example/oauth2/Token",
            "https://as.example/oauth2%2Ftoken",
            "https://as.example/oauth2/token;a",
            "https://as.example/oauth2/token%3F",
            "https://evil.example/oauth2/token",
        ] {
            let read = normal(other);
            assert!(read.is_some() && read != plain, "{other}: {read:?}");
        }
    }

    #[test]
    fn what_is_no_address_of_ours_is_refused() {
        for bad in [
            "",
            "/oauth2/token",
            "as.example/oauth2/token",
            "https:/as.example/",
            "https:///oauth2/token",
            "https://:443/",
            "ftp://as.example/",
            "https://as.example@evil.example/",
            "https://as.example:x/",
            "https://as.example:70000/",
            "https://as.example:44 3/",
            "https://as.ex%61mple/",
            "https://as.example\\@evil/",
            "https://as.example/a b",
            "https://as.example/\t",
            "https://as.example/é",
            "https://as.example/%",
            "https://as.example/%2",
            "https://as.example/%zz",
            "https://as.example/%+1",
            "https://[::1/",
            "https://[::1]x/",
        ] {
            assert_eq!(normal(bad), None, "{bad}");
        }
        assert_eq!(normal(&format!("https://a/{}", "x".repeat(MAX_URI_BYTES))), None);
    }
}
