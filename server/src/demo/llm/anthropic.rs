//! The Messages API, as far as its clients look.

use super::prompt::Prompt;
use super::{MODEL, State, api_key, events, json};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

const MADE: &str = "2025-06-15T00:00:00Z";

pub(super) fn models(request: &HttpRequest, state: &State) -> HttpResponse {
    if !state.admits(api_key(request)) {
        return wrong_key();
    }
    let model = json!({"type": "model", "id": MODEL, "display_name": "Stand-in", "created_at": MADE});
    json(200, &json!({"data": [model], "has_more": false, "first_id": MODEL, "last_id": MODEL}))
}

pub(super) async fn messages(request: HttpRequest, body: Bytes, state: Data<State>) -> HttpResponse {
    if !state.admits(api_key(&request)) {
        return wrong_key();
    }
    if !request.headers().contains_key("anthropic-version") {
        return refuse(400, "invalid_request_error", "anthropic-version: header is required");
    }
    let read = Prompt::read(&body, &["system", "messages"], &["max_tokens"]);
    let Some(prompt) = read.filter(|prompt| prompt.body.get("max_tokens").is_some_and(Value::is_u64)) else {
        return refuse(400, "invalid_request_error", "messages and max_tokens are required");
    };
    if prompt.stream { events(&state, message_events(&prompt)) } else { json(200, &message(&prompt)) }
}

fn wrong_key() -> HttpResponse {
    refuse(401, "authentication_error", "invalid x-api-key")
}

fn refuse(status: u16, kind: &str, message: &str) -> HttpResponse {
    json(status, &json!({"type": "error", "error": {"type": kind, "message": message}}))
}

fn usage(input: usize, output: usize) -> Value {
    json!({"input_tokens": input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": output})
}

fn stop_reason(prompt: &Prompt) -> &'static str {
    if prompt.cut { "max_tokens" } else { "end_turn" }
}

fn message(prompt: &Prompt) -> Value {
    json!({
        "id": "msg_stand_in",
        "type": "message",
        "role": "assistant",
        "model": prompt.model,
        "content": [{"type": "text", "text": prompt.text()}],
        "stop_reason": stop_reason(prompt),
        "stop_sequence": null,
        "usage": usage(prompt.input, prompt.output()),
    })
}

fn message_events(prompt: &Prompt) -> Vec<String> {
    let start = json!({
        "id": "msg_stand_in",
        "type": "message",
        "role": "assistant",
        "model": prompt.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": usage(prompt.input, 1),
    });
    let mut events = vec![
        json!({"type": "message_start", "message": start}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "ping"}),
    ];
    events.extend(
        prompt.words.iter().map(
            |word| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}),
        ),
    );
    events.extend([
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": stop_reason(prompt), "stop_sequence": null},
               "usage": {"output_tokens": prompt.output()}}),
        json!({"type": "message_stop"}),
    ]);
    let named = events.into_iter().map(|event| {
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        format!("event: {kind}\ndata: {event}\n\n")
    });
    named.collect()
}
