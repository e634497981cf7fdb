//! What is read of a request, and the answer that is made of it.

use super::{MAX_BODY_BYTES, MODEL};
use serde_json::Value;
use stipend_token::json::{self, Limits};

/// Words of an answer, where no limit is set.
const MAX_WORDS: usize = 64;
const LIMITS: Limits = Limits { max_bytes: MAX_BODY_BYTES, max_depth: 64 };
/// Texts within one another that are read.
const MAX_DEPTH: u32 = 8;

/// A request in either manner.
#[derive(Debug)]
pub(super) struct Prompt {
    pub model: String,
    pub stream: bool,
    /// Words read.
    pub input: usize,
    /// The answer, word by word, spaces included.
    pub words: Vec<String>,
    /// Whether a limit ended it.
    pub cut: bool,
    pub body: Value,
}

impl Prompt {
    /// Reads a request; none if it is not JSON, or says nothing under any of these names.
    pub fn read(bytes: &[u8], texts: &[&str], limits: &[&str]) -> Option<Self> {
        let body = json::parse_value(bytes, LIMITS).ok()?;
        let mut said = Vec::new();
        for name in texts {
            collect(body.get(*name).unwrap_or(&Value::Null), MAX_DEPTH, &mut said);
        }
        let last = said.last()?;
        let mut words: Vec<String> = ["You", "said:"].into_iter().chain(last.split_whitespace()).map(spaced).collect();
        let asked = limits.iter().filter_map(|name| body.get(*name)?.as_u64()).min();
        let limit = asked.and_then(|asked| usize::try_from(asked).ok()).unwrap_or(MAX_WORDS).min(MAX_WORDS);
        let cut = words.len() > limit;
        words.truncate(limit);
        let model = body.get("model").and_then(Value::as_str).unwrap_or(MODEL).to_owned();
        let stream = body.get("stream").and_then(Value::as_bool).unwrap_or(false);
        let input = said.iter().map(|text| text.split_whitespace().count()).sum();
        Some(Self { model, stream, input, words, cut, body })
    }

    pub fn text(&self) -> String {
        self.words.concat().trim_end().to_owned()
    }

    pub fn output(&self) -> usize {
        self.words.len()
    }
}

fn spaced(word: &str) -> String {
    format!("{word} ")
}

/// The texts in what is either a text, a list of parts, or an object with one of them.
fn collect(value: &Value, depth_left: u32, said: &mut Vec<String>) {
    let Some(depth_left) = depth_left.checked_sub(1) else { return };
    match value {
        Value::String(text) => said.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, depth_left, said)),
        Value::Object(members) => {
            for name in ["content", "text"] {
                collect(members.get(name).unwrap_or(&Value::Null), depth_left, said);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
