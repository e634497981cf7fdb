//! Reading policies as people write them: bounded before any parser sees them, parsed, and
//! checked strictly against the schema, with the place of what is wrong.

use super::schema::validator;
use crate::limits::{MAX_POLICY_BYTES, MAX_POLICY_DEPTH, MAX_POLICY_STATEMENTS, MAX_POLICY_WORDS};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cedar_policy::ffi::DetailedError;
use cedar_policy::{Effect, PolicySet, ValidationMode};
use std::str::FromStr;
use stipend_keys::sha256;

/// Faults told of one text.
const MAX_FAULTS: usize = 8;
/// Longest message of a fault, in characters: it may quote the text.
const MAX_MESSAGE_CHARS: usize = 300;

/// What is wrong with a text, and where: lines and columns (in characters) from 1.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    pub message: String,
    pub help: Option<String>,
    pub line: usize,
    pub column: usize,
}

/// A text that may be stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checked {
    pub statements: usize,
    pub hash: String,
    /// What is suspicious and allowed, as a condition that is never true.
    pub warnings: Vec<Fault>,
}

/// What names a text in the audit: its SHA-256, base64url.
#[must_use]
pub fn text_hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(text.as_bytes()))
}

/// Reads a text. Takes milliseconds: call it where blocking is allowed.
///
/// # Errors
/// Every [`Fault`] found, at most eight.
pub fn check(text: &str) -> Result<Checked, Vec<Fault>> {
    let at_start = |message: String| vec![Fault { message, help: None, line: 1, column: 1 }];
    bounded(text).map_err(|fault| vec![fault])?;
    let set = PolicySet::from_str(text).map_err(|errors| faults(text, &DetailedError::from(&errors)))?;
    if set.templates().next().is_some() {
        return Err(at_start("slots (?principal, ?resource) are not supported: name who it is about".to_owned()));
    }
    let statements = set.policies().count();
    if !(1..=MAX_POLICY_STATEMENTS).contains(&statements) {
        return Err(at_start(format!("a policy has 1 to {MAX_POLICY_STATEMENTS} statements, not {statements}")));
    }
    if set.policies().any(|policy| policy.effect() == Effect::Permit) {
        let message = "permit has no meaning here: rows allow, and policies only forbid";
        let help = Some("write forbid (…) unless { … } to say what alone is allowed".to_owned());
        return Err(vec![Fault { message: message.to_owned(), help, ..first_word(text, "permit") }]);
    }
    let Some(validator) = validator() else { return Err(at_start("the server has no policy schema".to_owned())) };
    let result = validator.validate(&set, ValidationMode::Strict);
    let errors: Vec<Fault> = result
        .validation_errors()
        .flat_map(|error| faults(text, &DetailedError::from(error)))
        .take(MAX_FAULTS)
        .collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    let warnings = result.validation_warnings().flat_map(|warning| faults(text, &DetailedError::from(warning)));
    Ok(Checked { statements, hash: text_hash(text), warnings: warnings.take(MAX_FAULTS).collect() })
}

/// What is outside strings and comments.
enum Lexed {
    Code,
    Text,
    Escape,
    Comment,
}

/// Bounds that the parser lacks: it recurses over nested and chained expressions, so neither may
/// be deeper than the stack of a thread. And nothing that shows a reader other text than is there.
fn bounded(text: &str) -> Result<(), Fault> {
    let fault = |at: usize, message: String| {
        let (line, column) = position(text, at);
        Fault { message, help: None, line, column }
    };
    if text.len() > MAX_POLICY_BYTES {
        return Err(fault(0, format!("a policy has at most {MAX_POLICY_BYTES} bytes, not {}", text.len())));
    }
    let (mut state, mut depth, mut words, mut previous) = (Lexed::Code, 0_usize, 0_usize, ' ');
    for (at, char) in text.char_indices() {
        if (char.is_control() && !matches!(char, '\n' | '\r' | '\t')) || is_hidden(char) {
            return Err(fault(at, format!("the character U+{:04X} is not allowed", u32::from(char))));
        }
        match state {
            Lexed::Text if char == '\\' => state = Lexed::Escape,
            Lexed::Text if char == '"' => state = Lexed::Code,
            Lexed::Escape => state = Lexed::Text,
            Lexed::Comment if matches!(char, '\n' | '\r') => state = Lexed::Code,
            Lexed::Text | Lexed::Comment => {}
            Lexed::Code => match char {
                '"' => {
                    state = Lexed::Text;
                    words += 1;
                }
                '/' if previous == '/' => state = Lexed::Comment,
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                // One statement ends: what chains within it starts anew.
                ';' => words = 0,
                _ if is_word(char) && is_word(previous) => {}
                _ if char.is_whitespace() => {}
                _ => words += 1,
            },
        }
        if depth > MAX_POLICY_DEPTH {
            return Err(fault(at, format!("nested deeper than {MAX_POLICY_DEPTH} levels")));
        }
        if words > MAX_POLICY_WORDS {
            return Err(fault(at, format!("a statement has at most {MAX_POLICY_WORDS} words and operators")));
        }
        previous = char;
    }
    Ok(())
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Characters that reorder or hide what follows.
fn is_hidden(char: char) -> bool {
    matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}')
}

fn faults(text: &str, error: &DetailedError) -> Vec<Fault> {
    let at = error.source_locations.first().map_or(0, |label| label.loc.start);
    let (line, column) = position(text, at);
    let detail = error.source_locations.first().and_then(|label| label.label.clone());
    let short = |message: &str| message.chars().take(MAX_MESSAGE_CHARS).collect::<String>();
    let help = error.help.as_deref().or(detail.as_deref()).map(short);
    let mut found = vec![Fault { message: short(&of_statement(&error.message)), help, line, column }];
    found.extend(error.related.iter().flat_map(|related| faults(text, related)));
    found.truncate(MAX_FAULTS);
    found
}

/// Cedar numbers what it reads from zero, by names of its own; people count statements from one.
fn of_statement(message: &str) -> String {
    let named = message.strip_prefix("for policy `policy").and_then(|rest| rest.split_once("`, "));
    match named.and_then(|(number, rest)| Some((number.parse::<usize>().ok()?, rest))) {
        Some((number, rest)) => format!("statement {}: {rest}", number.saturating_add(1)),
        None => message.to_owned(),
    }
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count().saturating_add(1);
    let last = before.rsplit('\n').next().unwrap_or_default();
    (line, last.chars().count().saturating_add(1))
}

/// Where a word stands, roughly: for pointing only.
fn first_word(text: &str, word: &str) -> Fault {
    let (line, column) = position(text, text.find(word).unwrap_or(0));
    Fault { message: String::new(), help: None, line, column }
}
