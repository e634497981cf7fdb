//! From a base URL and a path to the URL that is called, and never past the base.

use super::limits::MAX_QUERY_BYTES;
use stipend_token::constraint::CanonicalPath;
use url::Url;

/// Why a path can't be put under a base.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JoinError {
    #[error("the base is no http or https URL of a host and a path alone")]
    Base,
    #[error("the path would be read as another one")]
    Path,
    #[error("the query is too long or has a character that must be percent-encoded")]
    Query,
}

/// The path below the base's own, with the query, which is passed on as it is written. Scheme,
/// host and port are the base's: another port than the scheme's is called only where the base
/// names it.
///
/// # Errors
/// [`JoinError`] where the result would be another origin or path than these say.
pub fn join(base: &Url, path: &CanonicalPath, query: Option<&str>) -> Result<Url, JoinError> {
    let alone = base.query().is_none() && base.fragment().is_none();
    let anonymous = base.username().is_empty() && base.password().is_none();
    if !matches!(base.scheme(), "http" | "https") || base.host().is_none() || !alone || !anonymous {
        return Err(JoinError::Base);
    }
    let whole = format!("{}{}", base.path().trim_end_matches('/'), path.as_str());
    let mut url = base.clone();
    url.set_path(&whole);
    if let Some(query) = query {
        if query.len() > MAX_QUERY_BYTES || !query.bytes().all(is_query_byte) {
            return Err(JoinError::Query);
        }
        url.set_query(Some(query));
    }
    // What was set is what is there, or the library read it differently from the checks.
    if url.path() != whole || url.origin() != base.origin() {
        return Err(JoinError::Path);
    }
    Ok(url)
}

/// RFC 3986 section 3.4, with the brackets and braces that clients leave as they are.
fn is_query_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'#' | b'"' | b'<' | b'>' | b'\\' | b'`')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(base: &str, path: &str, query: Option<&str>) -> Result<String, JoinError> {
        join(&Url::parse(base).unwrap(), &CanonicalPath::parse(path).unwrap(), query).map(String::from)
    }

    #[test]
    fn a_path_comes_below_the_base() {
        for (base, path, query, whole) in [
            ("https://api.example", "/v1/models", None, "https://api.example/v1/models"),
            ("https://api.example/v1", "/models", Some("a=b&c"), "https://api.example/v1/models?a=b&c"),
            ("https://api.example:8443/v1/", "/", Some(""), "https://api.example:8443/v1/?"),
            ("http://[::1]:80/x/y", "/a%20b/c:d", Some("q=%2e%2e"), "http://[::1]/x/y/a%20b/c:d?q=%2e%2e"),
            ("https://api.example/v1", "/@evil.example/x", None, "https://api.example/v1/@evil.example/x"),
        ] {
            assert_eq!(joined(base, path, query).as_deref(), Ok(whole), "{base} {path}");
        }
    }

    #[test]
    fn a_base_that_says_more_than_a_place_is_refused() {
        for base in [
            "https://u@h.example/",
            "https://u:p@h.example",
            "https://h.example/?a",
            "https://h.example/#a",
            "ftp://h.example",
            "data:x",
        ] {
            assert_eq!(joined(base, "/a", None), Err(JoinError::Base), "{base}");
        }
        for query in ["a b", "a#b", "a\nb", "ä", "a\"b", "a\0", &"a".repeat(MAX_QUERY_BYTES + 1)] {
            assert_eq!(joined("https://h.example", "/a", Some(query)), Err(JoinError::Query), "{query:?}");
        }
    }

    proptest! {
        #[test]
        fn no_path_and_query_leave_the_base(path in "/[!-~]{0,40}", query in proptest::option::of("[ -~]{0,40}")) {
            let base = Url::parse("https://h.example:444/v1/b").unwrap();
            let Ok(path) = CanonicalPath::parse(&path) else { return Ok(()) };
            if let Ok(url) = join(&base, &path, query.as_deref()) {
                prop_assert_eq!(url.origin(), base.origin());
                prop_assert!(url.path().starts_with("/v1/b/"));
                prop_assert!(url.fragment().is_none() && url.username().is_empty());
                prop_assert!(!url.path().split('/').any(|segment| segment == ".." || segment == "."));
            }
        }
    }
}
