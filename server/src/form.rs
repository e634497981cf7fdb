//! `application/x-www-form-urlencoded` (RFC 6749 appendix B), read strictly: bad percent
//! encodings and bad UTF-8 are refused, not repaired, and a parameter that may appear
//! once appears once.

use crate::limits::MAX_PARAMETERS;
use crate::reason::Reason;

/// Parameters that are tokens or secrets: verified or compared, and looked for by nothing but a hash.
const VERIFIED: [&str; 7] =
    ["token", "assertion", "subject_token", "actor_token", "client_assertion", "client_secret", "auth_req_id"];
/// RFC 8707 section 2 and RFC 8693 section 2.1: only these may be repeated.
const REPEATABLE: [&str; 2] = ["resource", "audience"];

/// The parameters of one request. Empty values were dropped: RFC 6749 section 3.2 treats
/// parameters sent without a value as omitted.
#[derive(Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// # Errors
    /// [`Reason::BadEncoding`], [`Reason::RepeatedParameter`] or [`Reason::TooManyParameters`].
    pub fn parse(body: &[u8]) -> Result<Self, Reason> {
        let mut params: Vec<(String, String)> = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        for pair in body.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            if seen.len() >= MAX_PARAMETERS {
                return Err(Reason::TooManyParameters);
            }
            let mut halves = pair.splitn(2, |b| *b == b'=');
            let name = decode_component(halves.next().unwrap_or_default()).ok_or(Reason::BadEncoding)?;
            let value = decode_component(halves.next().unwrap_or_default()).ok_or(Reason::BadEncoding)?;
            // What is looked for has no U+0000, which not every database takes as a question. What is
            // verified may have anything, and is then no good token (RFC 7662 section 2.2).
            if name.contains('\0') || (value.contains('\0') && !VERIFIED.contains(&name.as_str())) {
                return Err(Reason::BadEncoding);
            }
            if !REPEATABLE.contains(&name.as_str()) && seen.contains(&name) {
                return Err(Reason::RepeatedParameter);
            }
            seen.push(name.clone());
            if !value.is_empty() {
                params.push((name, value));
            }
        }
        Ok(Self(params))
    }

    #[must_use]
    pub fn one(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// Every parameter with its value.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

/// Decodes one name or value: `+` is a space, `%XX` a byte, the whole UTF-8.
#[must_use]
pub fn decode_component(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex(*rest.next()?)? << 4 | hex(*rest.next()?)?,
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_vector_of_appendix_b_decodes() {
        assert_eq!(decode_component(b"+%25%26%2B%C2%A3%E2%82%AC").unwrap(), " %&+£€");
    }

    #[test]
    fn what_does_not_decode_is_refused() {
        for bad in [&b"a=%"[..], b"a=%4", b"a=%zz", b"%ff=a", b"a=%c3%28", b"scope=x%00", b"token%00=a"] {
            assert_eq!(Params::parse(bad).unwrap_err(), Reason::BadEncoding, "{bad:?}");
        }
        assert_eq!(Params::parse(b"token=x%00").unwrap().one("token"), Some("x\0"), "a token that is none");
    }

    #[test]
    fn only_targets_repeat_even_when_the_repeat_is_empty_or_encoded() {
        for bad in ["scope=a&scope=b", "scope=a&scope=", "scope=&scope=", "scope=a&sc%6fpe=b"] {
            assert_eq!(Params::parse(bad.as_bytes()).unwrap_err(), Reason::RepeatedParameter, "{bad}");
        }
        let params = Params::parse(b"resource=a&resource=b&audience=c&audience=d").unwrap();
        assert_eq!(params.all("resource").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn empty_is_omitted_and_unknown_is_kept_apart() {
        let params = Params::parse(b"scope=&foo=bar&&baz&=x").unwrap();
        assert_eq!((params.one("scope"), params.one("foo"), params.one("baz")), (None, Some("bar"), None));
    }

    #[test]
    fn parameters_are_bounded() {
        let many: Vec<String> = (0..=MAX_PARAMETERS).map(|n| format!("p{n}=1")).collect();
        assert_eq!(Params::parse(many.join("&").as_bytes()).unwrap_err(), Reason::TooManyParameters);
    }

    proptest! {
        #[test]
        fn whatever_comes_in_never_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Params::parse(&body);
        }
    }
}
