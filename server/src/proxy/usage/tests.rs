use super::*;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

fn read(style: UsageStyle, body: &str, length: usize) -> (Option<Usage>, Option<String>) {
    let mut reader = UsageReader::new(style);
    for chunk in body.as_bytes().chunks(length) {
        reader.read(chunk);
    }
    reader.finish()
}

/// However the body is cut, it says the same.
fn says(style: UsageStyle, body: &str) -> Option<(u64, u64, u64, u64)> {
    let whole = read(style, body, usize::MAX);
    for length in 1..20 {
        assert_eq!(read(style, body, length), whole, "in pieces of {length}");
    }
    whole.0.map(|said| (said.input_tokens, said.cached_input_tokens, said.cache_write_tokens, said.output_tokens))
}

fn model(style: UsageStyle, body: &str) -> Option<String> {
    read(style, body, usize::MAX).1
}

use UsageStyle::{Anthropic, Google, Openai};

#[test]
fn a_chat_completion_tells_its_usage() {
    let body = json!({
        "id": "c1", "model": "gpt-4o-2024-08-06",
        "choices": [{"message": {"content": "\"usage\":{\"prompt_tokens\":1}", "usage": {"prompt_tokens": 2}}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107,
                  "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 0}},
    });
    assert_eq!(says(Openai, &body.to_string()), Some((40, 60, 0, 7)));
    assert_eq!(says(Openai, &serde_json::to_string_pretty(&body).unwrap()), Some((40, 60, 0, 7)));
    assert_eq!(model(Openai, &body.to_string()).as_deref(), Some("gpt-4o-2024-08-06"));
    assert_eq!(says(Anthropic, &json!({"choices": [{"usage": {"input_tokens": 5}}]}).to_string()), None);
}

#[rstest]
#[case::responses(json!({"usage": {"input_tokens": 9, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 4}}}), (5, 4, 0, 3))]
#[case::embeddings(json!({"usage": {"prompt_tokens": 8, "total_tokens": 8}}), (8, 0, 0, 0))]
#[case::cache_hits(json!({"usage": {"prompt_tokens": 8, "completion_tokens": 1, "prompt_cache_hit_tokens": 6}}), (2, 6, 0, 1))]
#[case::more_cached_than_read(json!({"usage": {"prompt_tokens": 8, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 99}}}), (0, 8, 0, 1))]
#[case::null_details(json!({"usage": {"prompt_tokens": 8, "completion_tokens": 1, "prompt_tokens_details": null}}), (8, 0, 0, 1))]
fn ways_of_openai(#[case] body: serde_json::Value, #[case] usage: (u64, u64, u64, u64)) {
    assert_eq!(says(Openai, &body.to_string()), Some(usage));
}

#[test]
fn a_streamed_completion_tells_its_usage_at_the_end() {
    let body = "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"data: {\\\"usage\\\":{}}\"}}],\"usage\":null}\n\n\
        : a comment\n\nevent: x\nid: 5\r\ndata:{\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\r\n\r\ndata: [DONE]\n\n";
    assert_eq!(says(Openai, body), Some((3, 0, 0, 4)));
    assert_eq!(says(Openai, &body.replace("\r\n", "\n").replace('\n', "\r")), Some((3, 0, 0, 4)));
    assert_eq!(model(Openai, body).as_deref(), Some("m"));
    let groq = "data: {\"x_groq\":{\"id\":\"r\",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}}\n\n";
    assert_eq!(says(Openai, groq), Some((3, 0, 0, 4)));
    let parted = "data: {\"usage\":\ndata: {\"prompt_tokens\":3,\ndata: \"completion_tokens\":4}}\n\n";
    assert_eq!(says(Openai, parted), Some((3, 0, 0, 4)), "an event's data may have many lines");
}

#[test]
fn a_streamed_response_tells_its_usage_in_what_completes_it() {
    let long = "x".repeat(300_000);
    let body = format!(
        "event: response.output_text.delta\ndata: {{\"delta\":\"{long}\"}}\n\nevent: response.completed\n\
         data: {{\"type\":\"response.completed\",\"response\":{{\"model\":\"gpt-5\",\"output\":[{{\"text\":\"{long}\"}}],\
         \"usage\":{{\"input_tokens\":11,\"output_tokens\":12}}}}}}\n\n"
    );
    assert_eq!(read(Openai, &body, 1000).0, Some(Usage { input_tokens: 11, output_tokens: 12, ..Usage::default() }));
    assert_eq!(model(Openai, &body).as_deref(), Some("gpt-5"));
}

#[test]
fn a_message_tells_its_usage_whole_and_streamed() {
    let body = json!({"type": "message", "model": "claude-sonnet-4-5", "content": [{"type": "text", "text": "hi"}],
        "usage": {"input_tokens": 5, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 30, "output_tokens": 9,
                  "service_tier": "standard", "cache_creation": {"ephemeral_5m_input_tokens": 20}}});
    assert_eq!(says(Anthropic, &body.to_string()), Some((5, 30, 20, 9)));
    let event = |data: serde_json::Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
    let start = event(json!({"type": "message_start", "message": {"model": "claude-x", "usage":
        {"input_tokens": 5, "cache_read_input_tokens": 30, "cache_creation_input_tokens": null, "output_tokens": 1}}}));
    let delta = |count: u64| {
        event(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": count}}))
    };
    let body = format!("{start}{}{}{}", delta(4), delta(17), event(json!({"type": "message_stop"})));
    assert_eq!(says(Anthropic, &body), Some((5, 30, 0, 17)));
    assert_eq!(model(Anthropic, &body).as_deref(), Some("claude-x"));
    assert_eq!(says(Anthropic, &format!("{start}{}{}", delta(17), delta(3))), Some((5, 30, 0, 17)), "counts only grow");
    assert_eq!(says(Anthropic, &start), Some((5, 30, 0, 1)), "what was told before the agent went away");
}

#[test]
fn googles_metadata_is_read_whole_as_a_list_and_streamed() {
    let part = |out: u64| {
        json!({"modelVersion": "gemini-2.5-pro", "candidates": [],
        "usageMetadata": {"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": out, "thoughtsTokenCount": 5}})
    };
    assert_eq!(says(Google, &part(2).to_string()), Some((6, 4, 0, 7)));
    assert_eq!(says(Google, &json!([part(1), part(2), part(9)]).to_string()), Some((6, 4, 0, 14)));
    assert_eq!(says(Google, &format!("data: {}\r\n\r\ndata: {}\r\n\r\n", part(1), part(3))), Some((6, 4, 0, 8)));
    assert_eq!(model(Google, &part(1).to_string()).as_deref(), Some("gemini-2.5-pro"));
}

#[rstest]
#[case::negative(r#"{"usage":{"prompt_tokens":-1,"completion_tokens":4}}"#)]
#[case::float(r#"{"usage":{"prompt_tokens":1.0,"completion_tokens":4}}"#)]
#[case::exponent(r#"{"usage":{"prompt_tokens":1e3,"completion_tokens":4}}"#)]
#[case::text(r#"{"usage":{"prompt_tokens":"1","completion_tokens":4}}"#)]
#[case::huge(r#"{"usage":{"prompt_tokens":1,"completion_tokens":18446744073709551615}}"#)]
#[case::beyond_all(r#"{"usage":{"prompt_tokens":1,"completion_tokens":99999999999999999999999999}}"#)]
#[case::broken_detail(
    r#"{"usage":{"prompt_tokens":9,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":-5}}}"#
)]
#[case::named_twice(r#"{"usage":{"prompt_tokens":1,"prompt_tokens":2,"completion_tokens":4}}"#)]
#[case::no_object(r#"{"usage":[1,2]}"#)]
#[case::nothing(r#"{"usage":{}}"#)]
#[case::cut(r#"{"usage":{"prompt_tokens":1,"completion_tokens":4"#)]
#[case::in_a_string(r#"{"text":"\",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1},\""}"#)]
#[case::as_a_value(r#"{"a":"usage","b":{"prompt_tokens":1}}"#)]
#[case::deeper(r#"{"a":{"b":{"usage":{"prompt_tokens":1,"completion_tokens":1}}}}"#)]
#[case::in_another(r#"{"metadata":{"usage":{"prompt_tokens":1,"completion_tokens":1}}}"#)]
#[case::in_a_list(r#"{"a":["usage",{"prompt_tokens":1}]}"#)]
#[case::after_the_end(r#"{}{"usage":{"prompt_tokens":1,"completion_tokens":1}}"#)]
#[case::no_json("usage")]
#[case::empty("")]
#[case::closing("}}}]]]{\"usage\":1")]
#[case::odd_events("data\ndatax: {\"usage\":{\"prompt_tokens\":1}}\n\n data: {\"usage\":{\"prompt_tokens\":1}}\n\n")]
fn what_is_no_usage_is_not_believed(#[case] body: &str) {
    assert_eq!(says(Openai, body), None);
}

#[test]
fn usage_told_twice_is_the_last_whole_one() {
    let whole = r#""usage":{"prompt_tokens":1,"completion_tokens":2}"#;
    let later = r#""usage":{"prompt_tokens":3,"completion_tokens":1}"#;
    assert_eq!(says(Openai, &format!("{{{whole},{later}}}")), Some((3, 0, 0, 1)));
    assert_eq!(says(Openai, &format!("{{{whole},\"usage\":{{\"prompt_tokens\":-9}}}}")), Some((1, 0, 0, 2)));
    assert_eq!(says(Openai, &format!("{{{whole},\"usage\":{{\"prompt_tokens\":9")), Some((1, 0, 0, 2)));
    assert_eq!(says(Openai, r#"{"\u0075sage":{"prompt_tokens":7}}"#), Some((7, 0, 0, 0)), "a name in escapes");
}

#[test]
fn a_member_beyond_the_bound_is_passed_over_and_the_next_is_read() {
    let pad = "p".repeat(20_000);
    let body = format!(
        "data: {{\"usage\":{{\"prompt_tokens\":1,\"pad\":\"{pad}\"}}}}\n\ndata: {{\"{pad}\":1,\"usage\":{{\"prompt_tokens\":2}}}}\n\n"
    );
    assert_eq!(read(Openai, &body, 777).0.map(|said| said.input_tokens), Some(2));
    let deep = format!("{}{}", "[".repeat(100_000), "{\"usage\":{\"prompt_tokens\":1}}");
    assert_eq!(read(Openai, &deep, 777).0, None);
}

#[test]
fn a_model_is_a_short_visible_name() {
    for (body, name) in [
        (r#"{"model":"a/b:c"}"#, Some("a/b:c")),
        (r#"{"model":""}"#, None),
        (r#"{"model":"a\nb"}"#, None),
        (r#"{"model":"a b"}"#, None),
        (r#"{"model":"ä"}"#, None),
        (r#"{"model":7}"#, None),
        (r#"{"model":{"name":"x"}}"#, None),
        (r#"{"model":"a","model":"b"}"#, Some("b")),
    ] {
        assert_eq!(model(Openai, body).as_deref(), name, "{body}");
    }
    assert_eq!(model(Openai, &json!({"model": "m".repeat(129)}).to_string()), None);
}

#[test]
fn a_stream_is_asked_for_its_usage_where_it_would_say_nothing() {
    let asked = json!({"include_usage": true});
    let chat = |options: serde_json::Value| json!({"messages": [], "stream": true, "stream_options": options});
    assert_eq!(ensure_usage_in_stream(json!({"messages": [], "stream": true})), chat(asked.clone()));
    assert_eq!(ensure_usage_in_stream(chat(json!({"include_usage": false}))), chat(asked.clone()));
    assert_eq!(ensure_usage_in_stream(chat(json!({"x": 1}))), chat(json!({"x": 1, "include_usage": true})));
    assert_eq!(ensure_usage_in_stream(chat(json!("no"))), chat(asked.clone()));
    assert_eq!(ensure_usage_in_stream(json!({"prompt": "a", "stream": true}))["stream_options"], asked);
    for body in [
        json!({"messages": []}),
        json!({"messages": [], "stream": false}),
        json!({"messages": [], "stream": "true"}),
        json!({"input": "a", "stream": true}),
        json!({"input": "a", "prompt": {"id": "p"}, "stream": true}),
        json!({"prompt": {"id": "p"}, "stream": true}),
        json!([1]),
        json!(null),
    ] {
        assert_eq!(ensure_usage_in_stream(body.clone()), body);
    }
}

/// JSON in which the names that are looked for stand in all sorts of places.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        (0u64..100).prop_map(|number| json!(number)),
        "[a\"\\\\{}\\[\\],:]{0,6}".prop_map(|text| json!(text)),
        (0u64..100, 0u64..100).prop_map(|(read, written)| json!({"prompt_tokens": read, "completion_tokens": written})),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let name = prop_oneof![
            4 => Just("usage".to_owned()),
            2 => Just("message".to_owned()),
            2 => Just("response".to_owned()),
            2 => Just("other".to_owned()),
            1 => "[a\"\\\\{},:]{0,4}",
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
            proptest::collection::btree_map(name, inner, 0..5)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What the whole document says, by the same reading of one member.
fn by_parsing(body: &serde_json::Value) -> Option<Usage> {
    let told = |usage: &serde_json::Value| read(Openai, &json!({"usage": usage}).to_string(), usize::MAX).0;
    let documents = body.as_array().cloned().unwrap_or_else(|| vec![body.clone()]);
    let mut last = None;
    for members in documents.iter().filter_map(serde_json::Value::as_object) {
        for (name, value) in members {
            let usage = match name.as_str() {
                "usage" => Some(value),
                "message" | "response" => value.as_object().and_then(|inner| inner.get("usage")),
                _ => None,
            };
            last = usage.and_then(told).or(last);
        }
    }
    last
}

proptest! {
    #[test]
    fn what_is_found_on_the_way_is_what_parsing_the_whole_would_find(body in any_json(), length in 1usize..9, pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();
        prop_assume!(text.starts_with(['{', '[']));
        prop_assert_eq!(read(Openai, &text, length).0, by_parsing(&body), "{}", text);
    }

    #[test]
    fn no_body_makes_the_reader_fall(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for style in [Openai, Anthropic, Google] {
            let mut reader = UsageReader::new(style);
            reader.read(&bytes);
            let (usage, model) = reader.finish();
            prop_assert!(usage.is_none() && model.is_none(), "random bytes say nothing");
        }
    }

    #[test]
    fn nothing_said_in_the_text_changes_the_count(text in ".{0,200}", input in 0u64..1_000_000, output in 0u64..1_000_000) {
        let usage = json!({"prompt_tokens": input, "completion_tokens": output});
        let body = json!({"choices": [{"message": {"content": text, "tool": {"usage": text}}}], text.clone(): text, "usage": usage});
        let expected = Some(Usage { input_tokens: input, output_tokens: output, ..Usage::default() });
        prop_assume!(text != "usage" && text != "choices");
        prop_assert_eq!(read(Openai, &body.to_string(), 7).0, expected);
        let stream = format!("data: {}\n\ndata: {}\n\n", json!({"t": text}), body);
        prop_assert_eq!(read(Openai, &stream, 11).0, expected);
    }
}
