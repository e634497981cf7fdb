//! The engine, the templates and the prices together, against the stand-in provider.

use crate::raw::{SHORT, collect, config, engine, next, timeouts, within};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use rstest::rstest;
use serde_json::{Value, json};
use std::time::Duration;
use stipend::demo::llm::Llm;
use stipend::demo::llm::hostile::Hostile;
use stipend::proxy::templates::{Provider, find_provider};
use stipend::proxy::usage::ensure_usage_in_stream;
use stipend::proxy::{End, Forward, Forwarded, RequestBody, UpstreamFault, Upstreams, Usage, join, prices};
use stipend_keys::Secret;
use stipend_token::constraint::{CanonicalPath, Method};
use url::Url;

const KEY: &str = "sk-canary-of-the-stand-in";
const AGENTS: &str = "the-agents-own-token";

fn key() -> Secret<String> {
    Secret::new(KEY.to_owned())
}

fn call(base: &Url, provider: &Provider, path: &str, body: Option<&Value>) -> Forward {
    let method = Method::parse(if body.is_some() { "POST" } else { "GET" }).unwrap();
    let mut call = Forward::new(method, join(base, &CanonicalPath::parse(path).unwrap(), None).unwrap());
    let mut headers = HeaderMap::new();
    for name in ["authorization", "x-api-key"] {
        headers.insert(name, HeaderValue::from_static(AGENTS));
    }
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    if let Some(body) = body {
        call.body = RequestBody::Whole(Bytes::from(body.to_string()));
    }
    call.headers = headers;
    call.inject = provider.inject(&key());
    call.mask = vec![key()];
    call.usage = provider.usage;
    call
}

async fn forwarded(engine: &Upstreams, call: Forward) -> Forwarded {
    within(engine.forward(call)).await.unwrap()
}

#[rstest]
#[case::chat("openai", "/v1/chat/completions", json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "one two three"}]}))]
#[case::response("openai", "/v1/responses", json!({"model": "gpt-4o", "input": "one two three"}))]
#[case::message("anthropic", "/v1/messages", json!({"model": "claude-sonnet-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": "one two three"}]}))]
#[tokio::test]
async fn a_call_is_answered_priced_and_within_its_estimate(#[case] id: &str, #[case] path: &str, #[case] body: Value) {
    let llm = Llm::start(key()).unwrap();
    let (base, provider, engine) = (llm.base_url().unwrap(), find_provider(id).unwrap(), engine());
    for stream in [false, true] {
        let mut body = body.clone();
        body["stream"] = json!(stream);
        let body = if provider.usage_in_stream { ensure_usage_in_stream(body) } else { body };
        let mut answer = forwarded(&engine, call(&base, provider, path, Some(&body))).await;
        assert_eq!(answer.status, 200);
        let (bytes, fault) = collect(&mut answer).await;
        assert_eq!(fault, None);
        assert!(String::from_utf8(bytes).unwrap().contains("three"));
        let reading = within(answer.meter.ended()).await;
        let usage = Usage { input_tokens: 3, output_tokens: 5, ..Usage::default() };
        assert_eq!((reading.end, reading.usage), (End::Complete, Some(usage)), "streamed: {stream}");
        assert_eq!(reading.model.as_deref(), body["model"].as_str());
        let cost = prices::cost(&provider.prices, reading.model.as_deref(), &usage);
        let estimate = prices::estimate(&provider.prices, &body, body.to_string().len() as u64);
        assert!(cost.parts() > 0 && cost <= estimate, "{cost} of {estimate}");
    }
    assert_eq!((llm.calls(), llm.refused()), (2, 0));
    llm.stop().await;
}

#[tokio::test]
async fn a_probe_shows_whether_a_key_works_and_a_rotated_key_is_the_next_calls() {
    let llm = Llm::start(key()).unwrap();
    let (base, engine) = (llm.base_url().unwrap(), engine());
    for id in ["openai", "anthropic"] {
        let provider = find_provider(id).unwrap();
        let probe = provider.probe.as_ref().unwrap();
        assert_eq!(forwarded(&engine, call(&base, provider, probe.path.as_str(), None)).await.status, 200);
        llm.change_key(Secret::new("sk-another-key-for-it".to_owned()));
        let mut answer = forwarded(&engine, call(&base, provider, probe.path.as_str(), None)).await;
        assert_eq!(answer.status, 401);
        collect(&mut answer).await;
        let reading = within(answer.meter.ended()).await;
        assert_eq!((reading.end, reading.usage), (End::Complete, None), "a refusal uses nothing");
        llm.change_key(key());
    }
    llm.stop().await;
}

#[tokio::test]
async fn a_stream_arrives_as_it_is_written() {
    let llm = Llm::start(key()).unwrap();
    llm.set_pace(Duration::from_millis(20));
    let provider = find_provider("openai").unwrap();
    let body = json!({"stream": true, "messages": [{"role": "user", "content": "a b c d e f g h"}]});
    let mut answer =
        forwarded(&engine(), call(&llm.base_url().unwrap(), provider, "/v1/chat/completions", Some(&body))).await;
    let mut chunks = 0;
    while let Some(chunk) = next(&mut answer).await {
        assert!(!chunk.unwrap().is_empty());
        chunks += 1;
    }
    assert!(chunks >= 8, "{chunks} chunks");
    llm.stop().await;
}

#[tokio::test]
async fn what_a_hostile_upstream_does_is_a_fault_or_harmless() {
    let hostile = Hostile::start().await.unwrap();
    let base = Url::parse(&format!("http://{}/v1", hostile.address())).unwrap();
    let provider = find_provider("openai").unwrap();
    let engine = Upstreams::new(config()).unwrap();
    let hasty = |path: &str| {
        let mut call = call(&base, provider, path, None);
        call.timeouts = timeouts(|bounds| (bounds.head, bounds.idle) = (SHORT, SHORT));
        call
    };
    for (path, fault) in [
        ("/hang", UpstreamFault::HeadTimeout),
        ("/endless-head", UpstreamFault::HeadTooLarge),
        ("/garbage", UpstreamFault::Protocol),
        ("/gzip", UpstreamFault::Encoded),
    ] {
        let mut call = hasty(path);
        if path != "/hang" {
            call.timeouts = timeouts(|_| {});
        }
        assert_eq!(within(engine.forward(call)).await.unwrap_err(), fault, "{path}");
    }
    for (path, fault) in
        [("/hang-body", Some(UpstreamFault::IdleTimeout)), ("/short", Some(UpstreamFault::Closed)), ("/long", None)]
    {
        let mut answer = forwarded(&engine, hasty(path)).await;
        assert_eq!(collect(&mut answer).await.1, fault, "{path}");
    }
    let answer = forwarded(&engine, hasty("/redirect")).await;
    assert_eq!((answer.status.as_u16(), answer.headers.contains_key("location")), (302, false));
    let mut answer = forwarded(&engine, hasty("/echo")).await;
    let shown = format!("{:?}", answer.headers);
    let body = String::from_utf8(collect(&mut answer).await.0).unwrap();
    assert!(shown.contains("Bearer ****") && body.contains("Bearer ****"), "{shown}\n{body}");
    for text in [&shown, &body] {
        assert!(!text.contains(KEY) && !text.contains(AGENTS), "{text}");
    }
}
