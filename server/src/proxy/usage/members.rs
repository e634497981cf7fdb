//! The members of an answer that tell of usage, as each provider writes them.

use super::Usage;
use super::scan::{Name, Place};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stipend_token::json::{self, Limits};

/// More tokens than this in one answer are no answer.
const MAX_TOKENS: u64 = 1_000_000_000_000;
/// Longest name of a model.
const MAX_MODEL_BYTES: usize = 128;
const LIMITS: Limits = Limits { max_bytes: 16 * 1024, max_depth: 8 };

/// Whose way of telling the usage.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageStyle {
    /// Chat completions, embeddings and the Responses API; what is compatible with them.
    Openai,
    Anthropic,
    /// The Generative Language API's `usageMetadata`.
    Google,
}

/// What has been found so far.
#[derive(Debug)]
pub(super) struct Found {
    style: UsageStyle,
    usage: Option<Usage>,
    /// Whether all that was found was told before the answer was made.
    early: bool,
    pub model: Option<String>,
}

impl Found {
    pub fn new(style: UsageStyle) -> Self {
        Self { style, usage: None, early: true, model: None }
    }

    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Whether the answer has told what it used in the end.
    pub fn is_whole(&self) -> bool {
        self.usage.is_some() && !self.early
    }

    pub fn take(&mut self, place: Place, raw: &[u8]) {
        // Anthropic's streams tell what was read within their first message, and what was
        // written at the top of a later one.
        let early = self.style == UsageStyle::Anthropic && matches!(place, Place::In(..));
        let (Place::Top(name) | Place::In(_, name)) = place;
        match name {
            Name::Model | Name::ModelVersion => self.take_model(raw),
            Name::Usage | Name::UsageMetadata => self.take_usage(name, early, raw),
            Name::Message | Name::Response | Name::Groq | Name::Other => {}
        }
    }

    fn take_model(&mut self, raw: &[u8]) {
        if let Ok(Value::String(model)) = json::parse_value(raw, LIMITS) {
            let plain = !model.is_empty() && model.len() <= MAX_MODEL_BYTES;
            if plain && model.bytes().all(|byte| byte.is_ascii_graphic()) {
                self.model = Some(model);
            }
        }
    }

    fn take_usage(&mut self, name: Name, early: bool, raw: &[u8]) {
        let Ok(members) = json::parse_object(raw, LIMITS) else { return };
        let read = match (self.style, name) {
            (UsageStyle::Openai, Name::Usage) => openai(&members),
            (UsageStyle::Anthropic, Name::Usage) => anthropic(&members),
            (UsageStyle::Google, Name::UsageMetadata) => google(&members),
            _ => None,
        };
        let Some(read) = read else { return };
        self.early &= early;
        self.usage = Some(match (self.style, self.usage) {
            // Told once, at the end. Where it is told again, the last one is right.
            (UsageStyle::Openai, _) | (_, None) => read,
            (UsageStyle::Anthropic | UsageStyle::Google, Some(before)) => before.max(read),
        });
    }
}

/// What stands in a count's place and is none makes the whole unbelievable.
struct Broken;

/// A count: absent, or an integer within bounds.
fn count(members: &Map<String, Value>, name: &str) -> Result<Option<u64>, Broken> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_u64().filter(|count| *count <= MAX_TOKENS).map(Some).ok_or(Broken),
    }
}

/// The first of several names that is there.
fn first(members: &Map<String, Value>, names: &[&str]) -> Result<Option<u64>, Broken> {
    for name in names {
        if let Some(count) = count(members, name)? {
            return Ok(Some(count));
        }
    }
    Ok(None)
}

fn detail(members: &Map<String, Value>, names: &[&str], inner: &str) -> Result<Option<u64>, Broken> {
    for name in names {
        if let Some(Value::Object(details)) = members.get(*name) {
            return count(details, inner);
        }
    }
    Ok(None)
}

/// `prompt_tokens` counts what was cached too.
fn openai(members: &Map<String, Value>) -> Option<Usage> {
    let read = || {
        let Some(input) = first(members, &["prompt_tokens", "input_tokens"])? else { return Ok(None) };
        let details = detail(members, &["prompt_tokens_details", "input_tokens_details"], "cached_tokens")?;
        let cached = details.or(count(members, "prompt_cache_hit_tokens")?).unwrap_or(0).min(input);
        // Embeddings have no output.
        let output = first(members, &["completion_tokens", "output_tokens"])?.unwrap_or(0);
        Ok::<_, Broken>(Some(Usage {
            input_tokens: input - cached,
            cached_input_tokens: cached,
            cache_write_tokens: 0,
            output_tokens: output,
        }))
    };
    read().ok().flatten()
}

/// `input_tokens` counts neither what was read from the cache nor what was written to it.
fn anthropic(members: &Map<String, Value>) -> Option<Usage> {
    let read = || {
        let (input, output) = (count(members, "input_tokens")?, count(members, "output_tokens")?);
        if input.is_none() && output.is_none() {
            return Ok(None);
        }
        Ok::<_, Broken>(Some(Usage {
            input_tokens: input.unwrap_or(0),
            cached_input_tokens: count(members, "cache_read_input_tokens")?.unwrap_or(0),
            cache_write_tokens: count(members, "cache_creation_input_tokens")?.unwrap_or(0),
            output_tokens: output.unwrap_or(0),
        }))
    };
    read().ok().flatten()
}

/// `promptTokenCount` counts what was cached too; thoughts are counted beside the answer.
fn google(members: &Map<String, Value>) -> Option<Usage> {
    let read = || {
        let Some(input) = count(members, "promptTokenCount")? else { return Ok(None) };
        let tools = count(members, "toolUsePromptTokenCount")?.unwrap_or(0);
        let cached = count(members, "cachedContentTokenCount")?.unwrap_or(0).min(input);
        let answered = count(members, "candidatesTokenCount")?.unwrap_or(0);
        let thoughts = count(members, "thoughtsTokenCount")?.unwrap_or(0);
        Ok::<_, Broken>(Some(Usage {
            input_tokens: (input - cached).saturating_add(tools),
            cached_input_tokens: cached,
            cache_write_tokens: 0,
            output_tokens: answered.saturating_add(thoughts),
        }))
    };
    read().ok().flatten()
}
