use super::super::templates::find_provider;
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn table() -> Value {
    json!({"as_of": "2025-10-01", "max_input_tokens": 1000, "max_output_tokens": 500, "models": [
        {"prefix": "a", "input": 1_000_000, "cached_input": 100_000, "output": 4_000_000, "cache_write": 1_250_000},
        {"prefix": "a-mini", "input": 100_000, "cached_input": 100_000, "output": 9_000_000},
    ]})
}

fn prices() -> Prices {
    serde_json::from_value(table()).unwrap()
}

fn usage(input: u64, cached: u64, write: u64, output: u64) -> Usage {
    Usage { input_tokens: input, cached_input_tokens: cached, cache_write_tokens: write, output_tokens: output }
}

#[test]
fn a_call_costs_what_the_longest_prefix_says() {
    let cost = |model: Option<&str>| cost(&prices(), model, &usage(1000, 2000, 400, 10)).parts();
    assert_eq!(cost(Some("a")), 1000 + 200 + 500 + 40);
    assert_eq!(cost(Some("a-2024-08-06")), 1740);
    assert_eq!(cost(Some("a-mini")), 100 + 200 + 40 + 90);
    assert_eq!(cost(Some("a-mini:free")), 430);
    let dearest = 1000 + 200 + 500 + 90;
    for unknown in [None, Some(""), Some("b"), Some("ab"), Some("a.5"), Some("A")] {
        assert_eq!(cost(unknown), dearest, "{unknown:?}");
    }
}

#[test]
fn the_smallest_use_is_not_free_and_no_use_is() {
    let smallest = usage(0, 1, 0, 0);
    assert_eq!(cost(&prices(), Some("a"), &smallest).parts(), 1);
    assert_eq!(cost(&prices(), Some("a"), &Usage::default()).parts(), 0);
    let all = u64::MAX;
    assert_eq!(cost(&prices(), None, &usage(all, all, all, all)).parts(), MAX_AMOUNT);
}

#[test]
fn the_templates_prices_are_in_the_right_unit() {
    // A dollar and a quarter for a million read, ten for a million written.
    let openai = &find_provider("openai").unwrap().prices;
    assert_eq!(cost(openai, Some("gpt-5-2025-08-07"), &usage(1_000_000, 0, 0, 1_000_000)).parts(), 11_250_000);
    assert_eq!(cost(openai, Some("gpt-4o-mini"), &usage(1_000_000, 0, 0, 0)).parts(), 150_000);
    let unknown = cost(openai, Some("gpt-9"), &usage(1_000_000, 0, 0, 0)).parts();
    assert_eq!(unknown, 150_000_000, "the dearest");
}

#[test]
fn a_table_that_would_give_calls_away_is_refused() {
    let change = |pointer: &str, value: Value| {
        let mut table = table();
        *table.pointer_mut(pointer).unwrap() = value;
        serde_json::from_value::<Prices>(table).map_err(|error| error.to_string())
    };
    for (pointer, value) in [
        ("/models", json!([])),
        ("/models/0/input", json!(0)),
        ("/models/0/cached_input", json!(0)),
        ("/models/0/cache_write", json!(0)),
        ("/models/0/input", json!(-1)),
        ("/models/0/input", json!(1.5)),
        ("/models/0/input", json!(MAX_PRICE + 1)),
        ("/models/0/output", json!(MAX_PRICE + 1)),
        ("/models/0/prefix", json!("a-mini")),
        ("/models/0/prefix", json!("a b")),
        ("/models/0/prefix", json!("x".repeat(129))),
        ("/as_of", json!("yesterday")),
        ("/max_input_tokens", json!(0)),
        ("/max_output_tokens", json!(0)),
        ("/max_output_tokens", json!(MAX_BOUND_TOKENS + 1)),
        ("/models/0", json!({"prefix": "a", "input": 1, "cached_input": 1, "output": 1, "more": 1})),
    ] {
        assert!(change(pointer, value.clone()).is_err(), "{pointer}: {value}");
    }
    assert!(change("/models/0/output", json!(0)).is_ok(), "embeddings write nothing");
    let written = serde_json::to_value(prices()).unwrap();
    assert_eq!(written, table(), "a table is written as it is read");
    assert_eq!(prices().as_of(), "2025-10-01");
}

#[test]
fn an_estimate_takes_the_request_at_its_largest() {
    // The frame is 1024 tokens: with 100 bytes, 1124 read at 1.25 is 1405, and 4 per token written.
    let of = |request: Value| estimate(&prices(), &request, 100).parts() - 1405;
    for (request, written) in [
        (json!({"model": "a", "max_tokens": 10}), 40),
        (json!({"model": "a", "max_completion_tokens": 10}), 40),
        (json!({"model": "a", "max_output_tokens": 10}), 40),
        (json!({"model": "a", "generationConfig": {"maxOutputTokens": 10, "candidateCount": 2}}), 80),
        (json!({"model": "a", "max_tokens": 10, "max_completion_tokens": 30}), 120),
        (json!({"model": "a", "max_tokens": 10, "n": 3}), 120),
        (json!({"model": "a", "max_tokens": 10, "n": 0}), 40),
        (json!({"model": "a", "max_tokens": 10, "n": 2, "best_of": 5}), 200),
        (json!({"model": "a", "max_tokens": 10, "n": null}), 40),
        (json!({"model": "a", "max_tokens": 10, "n": "3"}), 128 * 40),
        (json!({"model": "a", "max_tokens": 10, "n": 2.5}), 128 * 40),
        (json!({"model": "a", "max_tokens": 10, "prompt": ["x", "y"]}), 80),
        (json!({"model": "a"}), 2000),
        (json!({"model": "a", "max_tokens": null}), 2000),
        (json!({"model": "a", "max_tokens": -1}), 2000),
        (json!({"model": "a", "max_tokens": "10"}), 2000),
        (json!({"model": "a", "max_tokens": 10.0, "max_completion_tokens": 10}), 2000),
    ] {
        assert_eq!(of(request.clone()), written, "{request}");
    }
    let dearest = 500 * 9;
    for request in
        [json!({}), json!(null), json!([1]), json!({"model": 7}), json!({"model": "a", "models": ["a-mini"]})]
    {
        assert_eq!(of(request.clone()), dearest, "{request}");
    }
}

#[test]
fn what_refers_to_something_else_may_have_everything_read() {
    let mut table = table();
    table["max_input_tokens"] = json!(1_000_000);
    let prices: Prices = serde_json::from_value(table).unwrap();
    let of = |request: &Value| estimate(&prices, request, 100).parts();
    let with = |name: &str, value: Value| json!({"model": "a", "max_tokens": 1, name: value});
    for request in [
        with("previous_response_id", json!("r")),
        with(
            "messages",
            json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}]),
        ),
        with("messages", json!([{"content": [{"type": "image", "source": {"type": "base64", "data": ""}}]}])),
        with("input", json!([{"content": [{"type": "input_file", "file_id": "f"}]}])),
        with("contents", json!([{"parts": [{"inlineData": {"data": ""}}]}])),
        with("tools", json!([{"type": "web_search_20250305", "name": "web_search"}])),
        with("tools", json!([{"type": "file_search"}])),
        with("conversation", json!({"id": "c"})),
    ] {
        assert!(of(&request) >= 1_250_000, "{request}");
    }
    let mut deep = json!(1);
    for _ in 0..80 {
        deep = json!([deep]);
    }
    assert!(of(&with("messages", deep)) >= 1_250_000, "what can't be searched");
    for request in [
        with("previous_response_id", json!(null)),
        with("messages", json!([{"role": "user", "content": "image_url previous_response_id"}])),
        with("tools", json!([{"type": "function", "function": {"name": "image"}}])),
        with("response_format", json!({"type": "json_schema"})),
    ] {
        assert!(of(&request) < 10_000, "{request}");
    }
}

fn any_prices() -> impl Strategy<Value = Prices> {
    let price = prop_oneof![1..1000u64, 1..=MAX_PRICE];
    let model = (price.clone(), price.clone(), price.clone(), price)
        .prop_map(|(input, cached, write, output)| json!({"input": input, "cached_input": cached, "cache_write": write, "output": output}));
    proptest::collection::vec(model, 1..4).prop_map(|mut models| {
        for (model, prefix) in models.iter_mut().zip(["a", "a-b", "c"]) {
            model["prefix"] = json!(prefix);
        }
        serde_json::from_value(
            json!({"as_of": "2025-01-01", "max_input_tokens": 5000, "max_output_tokens": 700, "models": models}),
        )
        .unwrap()
    })
}

proptest! {
    #[test]
    fn no_use_within_a_requests_bounds_costs_more_than_its_estimate(
        prices in any_prices(),
        model in proptest::option::of("(a|b|c)(-b)?"),
        limit in proptest::option::of(0u64..10_000),
        choices in proptest::option::of(1u64..5),
        bytes in 0u64..100_000,
        shares in proptest::array::uniform4(0u64..=100),
    ) {
        let mut request = json!({});
        for (name, value) in [("model", model.clone().map(Value::from)), ("max_tokens", limit.map(Value::from)), ("n", choices.map(Value::from))] {
            if let Some(value) = value {
                request[name] = value;
            }
        }
        // Any parting of as many tokens as the body has bytes.
        let parts = shares[0] + shares[1] + shares[2] + 1;
        let share = |at: usize| bytes * shares[at] / parts;
        let written = limit.unwrap_or(700) * choices.unwrap_or(1) * shares[3] / 100;
        let used = usage(share(0), share(1), share(2), written);
        prop_assert!(estimate(&prices, &request, bytes) >= cost(&prices, model.as_deref(), &used));
    }

    #[test]
    fn more_use_never_costs_less_and_nothing_overflows(
        prices in any_prices(),
        model in proptest::option::of("[abc-]{0,4}"),
        used in proptest::array::uniform4(prop_oneof![0u64..100, any::<u64>()]),
        more in proptest::array::uniform4(prop_oneof![0u64..100, any::<u64>()]),
    ) {
        let [a, b, c, d] = used;
        let [e, f, g, h] = more;
        let less = cost(&prices, model.as_deref(), &usage(a, b, c, d));
        let most = cost(&prices, model.as_deref(), &usage(a.saturating_add(e), b.saturating_add(f), c.saturating_add(g), d.saturating_add(h)));
        prop_assert!(most >= less && most.parts() <= MAX_AMOUNT);
        prop_assert!(a == 0 || less.parts() > 0, "never free");
        prop_assert!(cost(&prices, None, &usage(a, b, c, d)) >= less, "an unknown model is no cheaper");
    }

    #[test]
    fn a_larger_request_is_never_estimated_cheaper(
        prices in any_prices(), bytes in any::<u64>(), more in any::<u64>(), limit in any::<u64>(), larger in any::<u64>(), choices in any::<u64>(),
    ) {
        let of = |bytes: u64, limit: u64| estimate(&prices, &json!({"model": "a", "max_tokens": limit, "n": choices}), bytes);
        prop_assert!(of(bytes.saturating_add(more), limit) >= of(bytes, limit));
        prop_assert!(of(bytes, limit.saturating_add(larger)) >= of(bytes, limit));
    }
}
