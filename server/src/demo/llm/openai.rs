//! Chat completions and the Responses API, as far as their clients look.

use super::prompt::Prompt;
use super::{CREATED, MODEL, State, bearer, events, json};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

const LIMITS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

pub(super) fn models(request: &HttpRequest, state: &State) -> HttpResponse {
    if !state.admits(bearer(request)) {
        return wrong_key();
    }
    let model = json!({"id": MODEL, "object": "model", "created": CREATED, "owned_by": "stand-in"});
    json(200, &json!({"object": "list", "data": [model]}))
}

pub(super) async fn chat(request: HttpRequest, body: Bytes, state: Data<State>) -> HttpResponse {
    if !state.admits(bearer(&request)) {
        return wrong_key();
    }
    let Some(prompt) = Prompt::read(&body, &["messages"], &LIMITS) else { return bad_request("messages") };
    if prompt.stream { events(&state, chat_events(&prompt)) } else { json(200, &completion(&prompt)) }
}

pub(super) async fn responses(request: HttpRequest, body: Bytes, state: Data<State>) -> HttpResponse {
    if !state.admits(bearer(&request)) {
        return wrong_key();
    }
    let Some(prompt) = Prompt::read(&body, &["instructions", "input"], &LIMITS) else { return bad_request("input") };
    if prompt.stream { events(&state, response_events(&prompt)) } else { json(200, &response(&prompt, "completed")) }
}

fn wrong_key() -> HttpResponse {
    let message = "Incorrect API key provided.";
    json(401, &error(message, "invalid_request_error", Value::Null, json!("invalid_api_key")))
}

fn bad_request(parameter: &str) -> HttpResponse {
    json(400, &error("The request can't be read.", "invalid_request_error", json!(parameter), Value::Null))
}

fn error(message: &str, kind: &str, param: Value, code: Value) -> Value {
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}

fn usage(prompt: &Prompt) -> Value {
    json!({
        "prompt_tokens": prompt.input,
        "completion_tokens": prompt.output(),
        "total_tokens": prompt.input + prompt.output(),
        "prompt_tokens_details": {"cached_tokens": 0},
    })
}

fn finish_reason(prompt: &Prompt) -> &'static str {
    if prompt.cut { "length" } else { "stop" }
}

fn completion(prompt: &Prompt) -> Value {
    let message = json!({"role": "assistant", "content": prompt.text(), "refusal": null});
    json!({
        "id": "chatcmpl-stand-in",
        "object": "chat.completion",
        "created": CREATED,
        "model": prompt.model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(prompt)}],
        "usage": usage(prompt),
    })
}

fn chat_events(prompt: &Prompt) -> Vec<String> {
    let asked = prompt.body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true));
    let chunk = |choices: Value, usage: Option<Value>| {
        let mut chunk = json!({
            "id": "chatcmpl-stand-in",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": prompt.model,
            "choices": choices,
        });
        // Every chunk has the member where it was asked for, and only the last has a value.
        if let Some(members) = chunk.as_object_mut().filter(|_| asked) {
            members.insert("usage".to_owned(), usage.unwrap_or(Value::Null));
        }
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: Value, reason: Value| json!([{"index": 0, "delta": delta, "finish_reason": reason}]);
    let mut events = vec![chunk(choice(json!({"role": "assistant", "content": ""}), Value::Null), None)];
    events.extend(prompt.words.iter().map(|word| chunk(choice(json!({"content": word}), Value::Null), None)));
    events.push(chunk(choice(json!({}), json!(finish_reason(prompt))), None));
    if asked {
        events.push(chunk(json!([]), Some(usage(prompt))));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

fn response(prompt: &Prompt, status: &str) -> Value {
    let done = status == "completed";
    let part = json!({"type": "output_text", "text": prompt.text(), "annotations": []});
    let message =
        json!({"id": "msg_stand_in", "type": "message", "role": "assistant", "status": status, "content": [part]});
    let usage = json!({
        "input_tokens": prompt.input,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": prompt.output(),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt.input + prompt.output(),
    });
    json!({
        "id": "resp_stand_in",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "metadata": {},
        "model": prompt.model,
        "output": if done { json!([message]) } else { json!([]) },
        "parallel_tool_calls": true,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": if done { usage } else { Value::Null },
    })
}

fn response_events(prompt: &Prompt) -> Vec<String> {
    let mut events: Vec<Value> = vec![json!({"type": "response.created", "response": response(prompt, "in_progress")})];
    events.extend(prompt.words.iter().map(|word| {
        json!({"type": "response.output_text.delta", "item_id": "msg_stand_in", "output_index": 0, "content_index": 0,
               "delta": word, "logprobs": []})
    }));
    events.push(json!({"type": "response.completed", "response": response(prompt, "completed")}));
    let numbered = events.into_iter().enumerate().map(|(number, mut event)| {
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(members) = event.as_object_mut() {
            members.insert("sequence_number".to_owned(), json!(number));
        }
        format!("event: {kind}\ndata: {event}\n\n")
    });
    numbered.collect()
}
