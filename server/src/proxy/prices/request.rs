//! How much a request can cost at most, from the request alone.

use super::{Price, Prices, sum};
use serde_json::{Map, Value};
use stipend_token::budget::Amount;

/// Tokens that providers put around what they are sent: roles, the frame of tools.
const FRAME_TOKENS: u64 = 1024;
/// Choices taken for asked for where `n` is no count.
const MAX_CHOICES: u64 = 128;
/// Objects and arrays within one another that are searched; what is deeper counts as reaching
/// beyond the request.
const MAX_DEPTH: u32 = 64;
const OUTPUT_LIMITS: [&str; 4] = ["max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens"];
const CHOICES: [&str; 3] = ["n", "best_of", "candidateCount"];
/// Members by which a request has more read than it holds.
const REACHING_NAMES: [&str; 15] = [
    "cachedContent",
    "container",
    "conversation",
    "fileData",
    "file_data",
    "file_id",
    "file_url",
    "image_url",
    "inlineData",
    "inline_data",
    "input_audio",
    "mcp_servers",
    "plugins",
    "previous_response_id",
    "web_search_options",
];
/// The beginnings of a `type` that does the same: media, and tools that the provider runs.
const REACHING_TYPES: [&str; 15] = [
    "audio",
    "bash_",
    "code_execution",
    "code_interpreter",
    "computer",
    "document",
    "file",
    "image",
    "input_audio",
    "input_file",
    "input_image",
    "mcp",
    "video",
    "web_fetch",
    "web_search",
];

/// An upper bound on the price of a request, in micro-USD: no token is shorter than a byte of
/// the body, and no more is written than the request allows, or the table where it says
/// nothing. A request that refers to something else (files, images, earlier answers, the
/// provider's own tools) may have the longest context read.
///
/// The provider's tools cost extra by the call, and priority tiers by the token; neither is
/// in here.
#[must_use]
pub fn estimate(prices: &Prices, request: &Value, body_bytes: u64) -> Amount {
    let members = request.as_object();
    let price = prices.price(members.and_then(model));
    let mut input = body_bytes.saturating_add(FRAME_TOKENS);
    if reaches_beyond(request, MAX_DEPTH) {
        input = input.max(prices.0.max_input_tokens);
    }
    let output = members.and_then(output_limit).unwrap_or(prices.0.max_output_tokens);
    let output = output.saturating_mul(members.map_or(1, choices));
    sum([(input, dearest_input(price)), (output, price.output)])
}

fn dearest_input(price: Price) -> u64 {
    price.input.max(price.cached_input).max(price.cache_write)
}

/// A request that leaves the choice of the model to somebody else names none.
fn model(members: &Map<String, Value>) -> Option<&str> {
    if members.contains_key("models") { None } else { members.get("model").and_then(Value::as_str) }
}

/// The settings of a request: its own members, and those of `generationConfig`.
fn settings<'a>(members: &'a Map<String, Value>, names: &'a [&str]) -> impl Iterator<Item = &'a Value> {
    let inner = ["generationConfig", "generation_config"].into_iter().filter_map(|name| members.get(name)?.as_object());
    std::iter::once(members).chain(inner).flat_map(move |object| names.iter().filter_map(|name| object.get(*name)))
}

/// The largest limit, if there is one and each is a count: which of several an upstream goes by
/// is its own affair.
fn output_limit(members: &Map<String, Value>) -> Option<u64> {
    let set = settings(members, &OUTPUT_LIMITS).filter(|value| !value.is_null());
    set.map(Value::as_u64).collect::<Option<Vec<_>>>()?.into_iter().max()
}

fn choices(members: &Map<String, Value>) -> u64 {
    let set = settings(members, &CHOICES).filter(|value| !value.is_null());
    let prompts = members.get("prompt").and_then(Value::as_array).map_or(1, |prompts| prompts.len().max(1));
    let most = set.map(|value| value.as_u64().unwrap_or(MAX_CHOICES)).max().unwrap_or(1).max(1);
    most.saturating_mul(u64::try_from(prompts).unwrap_or(u64::MAX))
}

fn reaches_beyond(value: &Value, depth_left: u32) -> bool {
    let Some(depth_left) = depth_left.checked_sub(1) else { return true };
    match value {
        Value::Array(items) => items.iter().any(|item| reaches_beyond(item, depth_left)),
        Value::Object(members) => members.iter().any(|(name, member)| {
            let named = REACHING_NAMES.contains(&name.as_str()) && !member.is_null();
            let typed = name == "type" && member.as_str().is_some_and(is_reaching_type);
            named || typed || reaches_beyond(member, depth_left)
        }),
        _ => false,
    }
}

fn is_reaching_type(text: &str) -> bool {
    REACHING_TYPES.iter().any(|beginning| text.starts_with(beginning))
}
