//! What a constraint reads in a request's body.

use super::call::Body;
use super::verdict::Reason;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest text of a selector.
const MAX_SELECTOR_BYTES: usize = 256;
/// Deepest member that a selector names.
const MAX_SELECTOR_DEPTH: usize = 16;

/// A JSON Pointer (RFC 6901), as a string and not as a URI fragment: `/amount`,
/// `/items/0/price`. It names one place of a JSON body, or none.
///
/// An index reads one element of an array; the others are not looked at. The empty pointer is
/// the body itself.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Selector {
    text: String,
    steps: Vec<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a selector is a JSON Pointer of at most 256 bytes and 16 steps")]
pub(super) struct SelectorError;

impl Selector {
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let rest = match text.strip_prefix('/') {
            Some(rest) => Some(rest),
            None if text.is_empty() => None,
            None => return Err(SelectorError),
        };
        let steps = rest.into_iter().flat_map(|rest| rest.split('/')).map(unescape);
        let steps = steps.collect::<Option<Vec<_>>>().ok_or(SelectorError)?;
        let bounded = text.len() <= MAX_SELECTOR_BYTES && steps.len() <= MAX_SELECTOR_DEPTH;
        if bounded { Ok(Self { text: text.to_owned(), steps }) } else { Err(SelectorError) }
    }

    /// The one value that it names.
    ///
    /// Some readers of JSON match members without regard to case, so a member with a sibling
    /// that differs by case alone could be read twice: it names no one value.
    pub fn read<'a>(&self, body: &'a Body) -> Result<&'a Value, Reason> {
        let mut value = match body {
            Body::Json(json) => json.value(),
            Body::None => return Err(Reason::Unresolved),
            Body::Unreadable(why) => return Err(Reason::Unreadable(*why)),
        };
        for step in &self.steps {
            value = match value {
                Value::Object(members) => {
                    if members.keys().any(|name| name != step && same_but_for_case(name, step)) {
                        return Err(Reason::Ambiguous);
                    }
                    members.get(step)
                }
                Value::Array(items) => index(step).and_then(|index| items.get(index)),
                _ => None,
            }
            .ok_or(Reason::Unresolved)?;
        }
        Ok(value)
    }
}

/// RFC 6901 section 4: `~1` is a slash and `~0` a tilde; no other escape is one.
fn unescape(step: &str) -> Option<String> {
    let mut text = String::with_capacity(step.len());
    let mut characters = step.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '~' => match characters.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            other => other,
        });
    }
    Some(text)
}

/// RFC 6901 section 4: digits without a leading zero. `-` is the place after the last element.
fn index(step: &str) -> Option<usize> {
    let plain = step.bytes().all(|byte| byte.is_ascii_digit()) && (step == "0" || !step.starts_with('0'));
    step.parse().ok().filter(|_| plain)
}

fn same_but_for_case(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() { a.eq_ignore_ascii_case(b) } else { fold(a) == fold(b) }
}

/// Upper case first: it takes `U+017F` to an S, and lower case takes `U+212A` to a k.
fn fold(name: &str) -> String {
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

impl TryFrom<String> for Selector {
    type Error = SelectorError;

    fn try_from(text: String) -> Result<Self, SelectorError> {
        Self::parse(&text)
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.text
    }
}

#[cfg(test)]
mod tests {
    use super::super::call::Unreadable;
    use super::*;

    fn read(selector: &str, body: &str) -> Result<String, Reason> {
        let body = Body::parse_json(body.as_bytes());
        Selector::parse(selector).unwrap().read(&body).map(ToString::to_string)
    }

    #[test]
    fn the_examples_of_the_rfc_resolve() {
        let body = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
        for (selector, value) in [
            ("/foo", r#"["bar","baz"]"#),
            ("/foo/0", r#""bar""#),
            ("/", "0"),
            ("/a~1b", "1"),
            ("/c%d", "2"),
            ("/e^f", "3"),
            ("/g|h", "4"),
            ("/i\\j", "5"),
            ("/k\"l", "6"),
            ("/ ", "7"),
            ("/m~0n", "8"),
        ] {
            assert_eq!(read(selector, body).unwrap(), value, "{selector}");
        }
        assert_eq!(read("", "5").unwrap(), "5");
        assert_eq!(read("/~01", r#"{"~1":1,"/":2}"#).unwrap(), "1");
    }

    #[test]
    fn what_names_nothing_does_not_resolve() {
        let body = r#"{"a":[1,2],"b":{"c":null},"d":"text"}"#;
        for selector in
            ["/x", "/a/2", "/a/-", "/a/00", "/a/01", "/a/+1", "/a/ 1", "/a/1e0", "/b/c/d", "/d/0", "/a/", "/A"]
        {
            assert!(matches!(read(selector, body), Err(Reason::Unresolved | Reason::Ambiguous)), "{selector}");
        }
        assert_eq!(read("/b/c", body).unwrap(), "null");
        assert_eq!(read("/a/99999999999999999999", body), Err(Reason::Unresolved));
    }

    #[test]
    fn what_could_be_read_twice_does_not_resolve() {
        for body in [r#"{"amount":1,"Amount":9}"#, r#"{"AMOUNT":9,"amount":1}"#, r#"{"Amount":1}"#] {
            assert_eq!(read("/amount", body), Err(Reason::Ambiguous), "{body}");
        }
        assert_eq!(read("/links", "{\"links\":1,\"lin\u{212a}s\":9}"), Err(Reason::Ambiguous));
        assert_eq!(read("/sum", "{\"sum\":1,\"\u{17f}um\":9}"), Err(Reason::Ambiguous));
        assert_eq!(read("/a/b", r#"{"a":{"b":1},"A":{"b":9}}"#), Err(Reason::Ambiguous));
        assert_eq!(read("/amount", r#"{"amount":1,"amount":9}"#), Err(Reason::Unreadable(Unreadable::DuplicateMember)));
        assert_eq!(
            read("/amount", r#"{"amount":1,"\u0061mount":9}"#),
            Err(Reason::Unreadable(Unreadable::DuplicateMember))
        );
        assert_eq!(read("/amount", r#"{"amount":1,"b":{"Amount":9}}"#).unwrap(), "1", "elsewhere");
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        let long = format!("/{}", "a".repeat(256));
        for text in ["amount", "$.amount", "#/amount", "/a~", "/a~2", "/~", " /a", &long, &"/a".repeat(17)] {
            assert_eq!(Selector::parse(text), Err(SelectorError), "{text}");
        }
        assert!(Selector::parse(&"/a".repeat(16)).is_ok());
    }
}
