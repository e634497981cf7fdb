//! Patterns of paths.

use super::list::{Object, Pattern};
use super::path::{CanonicalPath, PathError};
use serde::{Deserialize, Serialize};

/// `"/charges"`: that path and all below it, by whole segments. `{"exact": "/charges"}`: that
/// path alone. `"/"` is every path. Both are compared in canonical form and with regard to case.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "RawPattern", into = "WrittenPattern")]
pub enum PathPattern {
    Prefix(CanonicalPath),
    Exact(CanonicalPath),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a path, or an object with the one member exact")]
enum RawPattern {
    Prefix(String),
    Exact(Object<RawExact>),
}

#[derive(Serialize)]
#[serde(untagged)]
enum WrittenPattern {
    Prefix(String),
    Exact(RawExact),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawExact {
    exact: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PathPatternError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("a prefix stands for whole segments and has no slash at its end")]
    SlashAtEnd,
    #[error("a pattern of paths has no asterisk: write what is above it, or %2A for the character")]
    Asterisk,
}

impl PathPattern {
    /// # Errors
    /// [`PathPatternError`].
    pub fn prefix(text: &str) -> Result<Self, PathPatternError> {
        if text.len() > 1 && text.ends_with('/') {
            return Err(PathPatternError::SlashAtEnd);
        }
        Ok(Self::Prefix(read(text)?))
    }

    /// # Errors
    /// [`PathPatternError`].
    pub fn exact(text: &str) -> Result<Self, PathPatternError> {
        Ok(Self::Exact(read(text)?))
    }

    #[must_use]
    pub fn matches(&self, path: &CanonicalPath) -> bool {
        match self {
            Self::Exact(exact) => exact == path,
            Self::Prefix(prefix) if prefix.as_str() == "/" => true,
            Self::Prefix(prefix) => {
                path.as_str().strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }
}

/// Whoever writes `/charges/*` means what is below `/charges`, not a path with an asterisk.
fn read(text: &str) -> Result<CanonicalPath, PathPatternError> {
    if text.contains('*') { Err(PathPatternError::Asterisk) } else { Ok(CanonicalPath::parse(text)?) }
}

impl Pattern for PathPattern {
    fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Prefix(_), Self::Exact(_)) => false,
            (Self::Prefix(path) | Self::Exact(path), _) => other.matches(path),
        }
    }
}

impl TryFrom<RawPattern> for PathPattern {
    type Error = PathPatternError;

    fn try_from(raw: RawPattern) -> Result<Self, PathPatternError> {
        match raw {
            RawPattern::Prefix(text) => Self::prefix(&text),
            RawPattern::Exact(Object(RawExact { exact })) => Self::exact(&exact),
        }
    }
}

impl From<PathPattern> for WrittenPattern {
    fn from(pattern: PathPattern) -> Self {
        match pattern {
            PathPattern::Prefix(path) => Self::Prefix(path.to_string()),
            PathPattern::Exact(path) => Self::Exact(RawExact { exact: path.to_string() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_stands_for_whole_segments() {
        let matches = |pattern: &PathPattern, path: &str| pattern.matches(&CanonicalPath::parse(path).unwrap());
        let prefix = PathPattern::prefix("/charges").unwrap();
        for path in ["/charges", "/charges/", "/charges/1", "/charges/1/refunds", "/%63harges/1"] {
            assert!(matches(&prefix, path), "{path}");
        }
        for path in
            ["/", "/chargesX", "/charges.json", "/charges:all", "/Charges", "/charge", "/v1/charges", "/charges%20x"]
        {
            assert!(!matches(&prefix, path), "{path}");
        }
        let exact = PathPattern::exact("/charges").unwrap();
        assert!(matches(&exact, "/charges") && !matches(&exact, "/charges/") && !matches(&exact, "/charges/1"));
        let root = PathPattern::prefix("/").unwrap();
        assert!(matches(&root, "/") && matches(&root, "/a/b/"));
        let only_root = PathPattern::exact("/").unwrap();
        assert!(matches(&only_root, "/") && !matches(&only_root, "/a"));
        assert!(exact.is_within(&prefix) && !prefix.is_within(&exact) && prefix.is_within(&root));
    }

    #[test]
    fn a_pattern_is_a_path_in_its_own_right() {
        let read = |text: &str| serde_json::from_str::<PathPattern>(text);
        for text in [r#""/charges""#, r#"{"exact":"/charges"}"#, r#""/""#, r#"{"exact":"/charges/"}"#] {
            assert_eq!(serde_json::to_string(&read(text).unwrap()).unwrap(), text);
        }
        assert_eq!(read(r#""/%63harges""#).unwrap(), PathPattern::prefix("/charges").unwrap());
        for text in [
            r#""""#,
            r#""charges""#,
            r#""/charges/""#,
            r#""/charges/*""#,
            r#""/charges/..""#,
            r#""/a?b""#,
            r#""/a%2fb""#,
            r#"{"exact":"a"}"#,
            r#"{"exact":"/a","exact":"/b"}"#,
            r#"{"exact":"/a","case":false}"#,
            r#"{"prefix":"/a"}"#,
            "{}",
            "null",
            "5",
            r#"["/a"]"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
