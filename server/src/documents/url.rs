//! The URL of a metadata document: its grammar, stricter than the draft's, and what an admin's
//! prefix covers. Two URLs are the same if their bytes are.

use crate::limits::{MAX_DOCUMENT_URL_BYTES, MAX_DOCUMENT_URL_SEGMENTS};
use stipend_keys::sha256;
use stipend_token::id::MAX_SLUG_BYTES;
use url::Url;

/// Bytes of the URL's digest in the client's name, as hex. Whoever wants another client's name
/// would have to meet 80 bits of it, and would find it taken by another URL.
const NAME_BYTES: usize = 10;

/// Why a text is no URL of a document.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UrlFault {
    #[error("must be at most 512 bytes of https://host/path as a URL parser would write it")]
    Form,
    #[error("must have no user information, query or fragment")]
    Parts,
    #[error("must have a path of at most 16 segments of letters, digits and - . _ ~ @ : + = , alone")]
    Path,
}

/// A URL that could be a client's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DocumentUrl {
    url: Url,
}

impl DocumentUrl {
    /// Reads the URL of one document (section 3 of the draft).
    ///
    /// # Errors
    /// [`UrlFault`].
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        let url = checked(text)?;
        if url.path() == "/" { Err(UrlFault::Path) } else { Ok(Self { url }) }
    }

    /// Reads what the URLs of several documents begin with: an origin or a path, up to a slash.
    ///
    /// # Errors
    /// [`UrlFault`].
    pub fn parse_prefix(text: &str) -> Result<Self, UrlFault> {
        let url = checked(text)?;
        if url.path().ends_with('/') { Ok(Self { url }) } else { Err(UrlFault::Path) }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// What it begins with by whole segments, longest first.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        let text = self.as_str();
        let authority = text.len().saturating_sub(self.url.path().len());
        let ends = text.match_indices('/').map(|(at, _)| at).filter(move |at| *at >= authority);
        let ends: Vec<usize> = ends.collect();
        ends.into_iter().rev().filter_map(move |at| text.get(..=at))
    }
}

/// One spelling only: what two parsers could read differently is refused, and so are dot
/// segments, encoded ones included. A path that a host decodes once more than we do (`%2e%2e`,
/// `..;`) could lead out of a prefix, so it has neither percent signs nor semicolons.
fn checked(text: &str) -> Result<Url, UrlFault> {
    if text.len() > MAX_DOCUMENT_URL_BYTES || !text.is_ascii() {
        return Err(UrlFault::Form);
    }
    let url = Url::parse(text).map_err(|_| UrlFault::Form)?;
    let has_parts = url.query().is_some() || url.fragment().is_some();
    if has_parts || !url.username().is_empty() || url.password().is_some() {
        return Err(UrlFault::Parts);
    }
    // Whether plain http is to be had, for development, is asked where it is fetched.
    if url.as_str() != text || !matches!(url.scheme(), "https" | "http") || !url.has_host() {
        return Err(UrlFault::Form);
    }
    let segments: Vec<&str> = url.path().split('/').skip(1).collect();
    let inner = segments.split_last().map_or(&[][..], |(_, inner)| inner);
    let is_fine = |c: u8| c.is_ascii_alphanumeric() || b"-._~@:+=,".contains(&c);
    let fine = segments.len() <= MAX_DOCUMENT_URL_SEGMENTS
        && !inner.iter().any(|segment| segment.is_empty())
        && segments.iter().all(|segment| segment.bytes().all(is_fine));
    if fine { Ok(url) } else { Err(UrlFault::Path) }
}

/// Whether a URL could be covered by both, where `prefix` says that one covers all under it.
#[must_use]
pub fn overlap(one: (&str, bool), other: (&str, bool)) -> bool {
    let covers = |(text, prefix): (&str, bool), url: &str| url == text || (prefix && url.starts_with(text));
    covers(one, other.0) || covers(other, one.0)
}

/// The name of the client that a document is: always the same one, so that of two nodes that
/// make it one finds it made. It shows the host, for people, and is no URL.
#[must_use]
pub fn client_name(url: &DocumentUrl) -> String {
    let digest = sha256(url.as_str().as_bytes());
    let digest: String = digest.iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let words = url.url.host_str().unwrap_or_default().split(|c: char| !c.is_ascii_alphanumeric());
    let host = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
    let host: String = host.chars().take(MAX_SLUG_BYTES - digest.len() - 1).collect();
    let host = if host.is_empty() { "client" } else { host.trim_end_matches('-') };
    format!("{host}-{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use stipend_token::id::is_slug;

    #[test]
    fn a_url_has_one_spelling_and_a_path() {
        for good in ["https://a.example/x", "https://a.example:8443/x/y.json", "https://a.example/x/", "http://h/x"] {
            assert_eq!(DocumentUrl::parse(good).map(|url| url.as_str().to_owned()), Ok(good.to_owned()));
        }
        let bad = [
            "",
            "https",
            "https://",
            "https://a.example",
            "https://a.example/",
            "HTTPS://a.example/x",
            "https://A.example/x",
            "https://a.example:443/x",
            "https://a.example/x#f",
            "https://a.example/x#",
            "https://a.example/x?y",
            "https://a.example/x?",
            "https://u@a.example/x",
            "https://u:p@a.example/x",
            "https://@a.example/x",
            "https://:@a.example/x",
            "https://a.example/./x",
            "https://a.example/x/../y",
            "https://a.example/x/..",
            "https://a.example/%2e%2e/x",
            "https://a.example/x/%2E/y",
            "https://a.example/a/..%2fb/x",
            "https://a.example/a/..;/b",
            "https://a.example/a;b/x",
            "https://a.example\\x",
            "https://a.example/a\\..\\b",
            "https://a.example//x",
            "https://a.example/a//x",
            " https://a.example/x",
            "https://a.example/x ",
            "https://a.example/x\n",
            "https://a.example/ä",
            "https://a.example/a b",
            "https:/a.example/x",
            "https:a.example/x",
            "ftp://a.example/x",
            "file:///etc/passwd",
            "urn:x:y",
            "https://0x7f.1/x",
            "https://127.1/x",
            "https://2130706433/x",
        ];
        for bad in bad {
            assert!(DocumentUrl::parse(bad).is_err(), "{bad:?}");
        }
        assert!(DocumentUrl::parse(&format!("https://a.example/{}", "x".repeat(494))).is_ok());
        assert!(DocumentUrl::parse(&format!("https://a.example/{}", "x".repeat(495))).is_err());
        assert!(DocumentUrl::parse(&format!("https://a.example{}", "/x".repeat(16))).is_ok());
        assert!(DocumentUrl::parse(&format!("https://a.example{}", "/x".repeat(17))).is_err());
    }

    #[test]
    fn a_prefix_ends_with_a_segment() {
        let prefixes = |text| {
            let url = DocumentUrl::parse(text).unwrap();
            url.prefixes().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(
            prefixes("https://a.example/x/y/z.json"),
            ["https://a.example/x/y/", "https://a.example/x/", "https://a.example/"]
        );
        assert_eq!(prefixes("https://a.example/x"), ["https://a.example/"]);
        assert!(DocumentUrl::parse_prefix("https://a.example/").is_ok());
        assert!(DocumentUrl::parse_prefix("https://a.example/x/").is_ok());
        for bad in ["https://a.example", "https://a.example/x", "https://a.example/x/../", "https://", "https:///"] {
            assert!(DocumentUrl::parse_prefix(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_two_may_cover_together_overlaps() {
        let (one, all, other) = (("https://a/x/y", false), ("https://a/x/", true), ("https://a/xx/", true));
        assert!(overlap(one, all) && overlap(all, one) && overlap(one, one) && overlap(("https://a/", true), all));
        assert!(!overlap(one, other) && !overlap(all, other) && !overlap(("https://a/x/", false), one));
    }

    #[test]
    fn the_name_of_a_client_is_a_slug_and_its_own() {
        let name = |text| client_name(&DocumentUrl::parse(text).unwrap());
        let long = format!("https://{}.example/x", "very-long-host-name-".repeat(3) + "a");
        for url in ["https://a.example/x", "https://[2001:db8::1]/x", "https://xn--bcher-kva.example/x", &long] {
            assert!(is_slug(&name(url)), "{}", name(url));
        }
        assert!(name("https://tools.example/agent.json").starts_with("tools-example-"));
        assert_ne!(name("https://a.example/x"), name("https://a.example/x/"));
        assert_eq!(name("https://a.example/x"), name("https://a.example/x"));
    }
}
