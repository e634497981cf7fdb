//! Asking a stream for its usage: without it, a chat completion that is streamed says nothing.

use serde_json::{Map, Value, json};

/// The body of a chat completion (or of the older completion) with
/// `stream_options.include_usage`, if it asks for a stream. Any other body stays as it is: the
/// Responses API tells its usage unasked, and refuses the option.
#[must_use]
pub fn ensure_usage_in_stream(mut body: Value) -> Value {
    let members = body.as_object_mut().filter(|members| is_streamed_completion(members));
    if let Some(members) = members {
        match members.get_mut("stream_options") {
            // What the agent says against it does not count: somebody pays.
            Some(Value::Object(options)) => {
                options.insert("include_usage".to_owned(), Value::Bool(true));
            }
            _ => {
                members.insert("stream_options".to_owned(), json!({"include_usage": true}));
            }
        }
    }
    body
}

fn is_streamed_completion(members: &Map<String, Value>) -> bool {
    let streamed = members.get("stream") == Some(&Value::Bool(true));
    let old = matches!(members.get("prompt"), Some(Value::String(_) | Value::Array(_)));
    streamed && !members.contains_key("input") && (members.contains_key("messages") || old)
}
