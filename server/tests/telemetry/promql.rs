//! What a PromQL expression names: enough of the language for the files that are shipped.

use std::collections::BTreeSet;

const FUNCTIONS: [&str; 13] = [
    "rate",
    "increase",
    "sum",
    "max",
    "min",
    "avg",
    "count",
    "topk",
    "histogram_quantile",
    "clamp_min",
    "absent",
    "changes",
    "time",
];
const KEYWORDS: [&str; 6] = ["and", "or", "unless", "bool", "offset", "vector"];
const GROUPINGS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// One metric of an expression, with what its labels are compared to.
#[derive(Debug)]
pub struct Selector {
    pub metric: String,
    pub matchers: Vec<(String, String)>,
}

#[derive(Debug, Default)]
pub struct Named {
    pub selectors: Vec<Selector>,
    /// Labels that are grouped by.
    pub groupings: BTreeSet<String>,
}

/// # Panics
/// On what it can't read.
pub fn read(expression: &str) -> Named {
    let mut named = Named::default();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_alphabetic() || first == '_' {
            let (word, after) = split(rest, |c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
            rest = after.trim_start();
            if GROUPINGS.contains(&word) {
                let (inner, after) = between(rest, '(', ')');
                let labels = inner.split(',').map(str::trim).filter(|label| !label.is_empty());
                named.groupings.extend(labels.map(str::to_owned));
                rest = after;
            } else if rest.starts_with('(') {
                assert!(FUNCTIONS.contains(&word) || KEYWORDS.contains(&word), "{word}() in {expression}");
            } else if !KEYWORDS.contains(&word) && !FUNCTIONS.contains(&word) {
                let mut matchers = Vec::new();
                if rest.starts_with('{') {
                    let (inner, after) = between(rest, '{', '}');
                    matchers = self::matchers(inner);
                    rest = after;
                }
                named.selectors.push(Selector { metric: word.to_owned(), matchers });
            }
        } else if first.is_ascii_digit() {
            rest = split(rest, |c| c.is_ascii_alphanumeric() || c == '.').1;
        } else if first == '[' {
            rest = between(rest, '[', ']').1;
        } else {
            assert!("()+-*/<>=!,".contains(first), "{first:?} in {expression}");
            rest = &rest[1..];
        }
        rest = rest.trim_start();
    }
    named
}

fn matchers(inner: &str) -> Vec<(String, String)> {
    let pairs = inner.split("\",").map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (label, value) = pair.split_once('"').unwrap_or_else(|| panic!("{pair}"));
            let label = label.trim_end_matches(['=', '~', '!', ' ']);
            (label.to_owned(), value.trim_end_matches('"').to_owned())
        })
        .collect()
}

fn split(text: &str, takes: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !takes(c)).unwrap_or(text.len()))
}

fn between(text: &str, open: char, close: char) -> (&str, &str) {
    let inner = text.strip_prefix(open).unwrap_or_else(|| panic!("{open} before {text}"));
    inner.split_once(close).unwrap_or_else(|| panic!("no {close} in {text}"))
}

#[test]
fn expressions_are_read() {
    let named = read(
        "histogram_quantile(0.99, sum by (le, a_b) (rate(x_seconds_bucket{i=~\"$i\", r!=\"y,z\"}[$__rate_interval]))) > 1e3 or y",
    );
    let metrics: Vec<&str> = named.selectors.iter().map(|selector| selector.metric.as_str()).collect();
    assert_eq!(metrics, ["x_seconds_bucket", "y"]);
    assert_eq!(named.groupings.iter().map(String::as_str).collect::<Vec<_>>(), ["a_b", "le"]);
    let expected = [("i".to_owned(), "$i".to_owned()), ("r".to_owned(), "y,z".to_owned())];
    assert_eq!(named.selectors[0].matchers, expected);
}
