use super::*;
use reqwest::{Client, RequestBuilder};
use serde_json::json;

const KEY: &str = "sk-stand-in-key-0123456789";

struct Caller {
    llm: Llm,
    http: Client,
}

impl Caller {
    fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        Self { llm: Llm::start(Secret::new(KEY.to_owned())).unwrap(), http }
    }

    fn url(&self, path: &str) -> Url {
        self.llm.base_url().unwrap().join(path).unwrap()
    }

    fn openai(&self, path: &str, body: &Value) -> RequestBuilder {
        self.http.post(self.url(path)).bearer_auth(KEY).json(body)
    }

    fn anthropic(&self, body: &Value) -> RequestBuilder {
        let call = self.http.post(self.url("/v1/messages")).header("anthropic-version", "2023-06-01");
        call.header("x-api-key", KEY).json(body)
    }
}

async fn json_of(call: RequestBuilder) -> (u16, Value) {
    let answer = call.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn events_of(call: RequestBuilder) -> Vec<Value> {
    let text = call.send().await.unwrap().error_for_status().unwrap().text().await.unwrap();
    let data = text.split("\n\n").filter_map(|event| event.lines().find_map(|line| line.strip_prefix("data: ")));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[tokio::test]
async fn a_chat_is_answered_with_its_words_counted() {
    let caller = Caller::new();
    let messages = json!([{"role": "system", "content": "be brief"}, {"role": "user", "content": [{"type": "text", "text": "one two three"}]}]);
    let (status, said) =
        json_of(caller.openai("/v1/chat/completions", &json!({"model": "m", "messages": messages}))).await;
    assert_eq!((status, &said["choices"][0]["message"]["content"]), (200, &json!("You said: one two three")));
    assert_eq!((&said["usage"]["prompt_tokens"], &said["usage"]["completion_tokens"]), (&json!(5), &json!(5)));
    assert_eq!((&said["model"], &said["choices"][0]["finish_reason"]), (&json!("m"), &json!("stop")));
    let body = json!({"messages": messages, "max_tokens": 3});
    let (_, said) = json_of(caller.openai("/v1/chat/completions", &body)).await;
    assert_eq!(
        (&said["usage"]["completion_tokens"], &said["choices"][0]["finish_reason"]),
        (&json!(3), &json!("length"))
    );
    assert_eq!((caller.llm.calls(), caller.llm.refused()), (2, 0));
    caller.llm.stop().await;
}

#[tokio::test]
async fn a_stream_says_the_same_word_by_word_and_its_usage_when_asked() {
    let caller = Caller::new();
    let mut body = json!({"messages": [{"role": "user", "content": "one two"}], "stream": true});
    let events = events_of(caller.openai("/v1/chat/completions", &body)).await;
    let text: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "You said: one two ");
    assert!(events.iter().all(|event| event.get("usage").is_none()));
    body["stream_options"] = json!({"include_usage": true});
    let events = events_of(caller.openai("/v1/chat/completions", &body)).await;
    let last = events.last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["total_tokens"]), (&json!([]), &json!(6)));
    assert!(events[0]["usage"].is_null() && events[0].get("usage").is_some());
}

#[tokio::test]
async fn a_response_is_answered_whole_and_streamed() {
    let caller = Caller::new();
    let (_, said) =
        json_of(caller.openai("/v1/responses", &json!({"input": "one two", "instructions": "brief"}))).await;
    assert_eq!(said["output"][0]["content"][0]["text"], "You said: one two");
    assert_eq!((&said["usage"]["input_tokens"], &said["usage"]["output_tokens"]), (&json!(3), &json!(4)));
    let events = events_of(caller.openai("/v1/responses", &json!({"input": "one two", "stream": true}))).await;
    let last = events.last().unwrap();
    assert_eq!((&last["type"], &last["response"]["usage"]["output_tokens"]), (&json!("response.completed"), &json!(4)));
    assert!(events[0]["response"]["usage"].is_null());
}

#[tokio::test]
async fn a_message_is_answered_whole_and_streamed() {
    let caller = Caller::new();
    let mut body = json!({"model": "c", "max_tokens": 100, "system": "brief", "messages": [{"role": "user", "content": "one two"}]});
    let (_, said) = json_of(caller.anthropic(&body)).await;
    assert_eq!((&said["content"][0]["text"], &said["stop_reason"]), (&json!("You said: one two"), &json!("end_turn")));
    assert_eq!((&said["usage"]["input_tokens"], &said["usage"]["output_tokens"]), (&json!(3), &json!(4)));
    body["stream"] = json!(true);
    let events = events_of(caller.anthropic(&body)).await;
    assert_eq!(events[0]["message"]["usage"]["input_tokens"], 3);
    let delta = events.iter().find(|event| event["type"] == "message_delta").unwrap();
    assert_eq!(delta["usage"]["output_tokens"], 4);
    body.as_object_mut().unwrap().remove("max_tokens");
    let (status, said) = json_of(caller.anthropic(&body)).await;
    assert_eq!((status, &said["error"]["type"]), (400, &json!("invalid_request_error")));
}

#[tokio::test]
async fn a_wrong_key_is_refused_in_each_providers_manner_and_a_new_one_counts_at_once() {
    let caller = Caller::new();
    let chat = json!({"messages": [{"role": "user", "content": "hi"}]});
    caller.llm.change_key(Secret::new("sk-next".to_owned()));
    let (status, said) = json_of(caller.openai("/v1/chat/completions", &chat)).await;
    assert_eq!((status, &said["error"]["code"]), (401, &json!("invalid_api_key")));
    let (status, said) = json_of(caller.anthropic(&chat)).await;
    assert_eq!((status, &said["error"]["type"]), (401, &json!("authentication_error")));
    let models = |call: RequestBuilder| json_of(call);
    assert_eq!(models(caller.http.get(caller.url("/v1/models"))).await.0, 401);
    let (status, said) = models(caller.http.get(caller.url("/v1/models")).bearer_auth("sk-next")).await;
    assert_eq!((status, &said["data"][0]["id"]), (200, &json!(MODEL)));
    let (status, said) = models(caller.http.get(caller.url("/v1/models")).header("x-api-key", "sk-next")).await;
    assert_eq!((status, &said["data"][0]["type"]), (200, &json!("model")));
    assert_eq!((caller.llm.calls(), caller.llm.refused()), (2, 3));
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let caller = Caller::new();
    for body in [json!({}), json!([]), json!({"messages": []}), json!({"messages": 7}), json!(null)] {
        assert_eq!(json_of(caller.openai("/v1/chat/completions", &body)).await.0, 400, "{body}");
    }
}
