use super::super::join;
use super::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use stipend_token::constraint::{Body, Call, Counted, Host, Request, decide};

#[test]
fn the_file_reads_whole_and_names_each_provider_once() {
    let file: Value = serde_json::from_str(PROVIDERS).unwrap();
    assert_eq!(providers().len(), file["providers"].as_array().unwrap().len());
    let ids: Vec<_> = providers().iter().map(|provider| provider.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "openai",
            "anthropic",
            "google",
            "azure-openai",
            "mistral",
            "groq",
            "deepseek",
            "openrouter",
            "qwen",
            "custom"
        ]
    );
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    assert!(find_provider("openai").is_some() && find_provider("OpenAI").is_none());
    let note = file["note"].to_string();
    assert!(note.contains("Prices are examples") && note.contains("override"), "{note}");
}

#[test]
fn each_base_is_https_and_takes_the_paths_that_are_allowed() {
    for provider in providers() {
        let Some(base) = &provider.base_url else {
            assert!(["azure-openai", "custom"].contains(&provider.id.as_str()));
            continue;
        };
        assert_eq!((base.scheme(), base.port()), ("https", None), "{}", provider.id);
        let probe = provider.probe.as_ref().unwrap();
        let url = join(base, &probe.path, None).unwrap();
        assert!(url.as_str().ends_with(probe.path.as_str()) && probe.method.as_str() == "GET");
    }
}

#[test]
fn the_key_goes_where_the_provider_looks_for_it() {
    let put = |id: &str| {
        let headers = find_provider(id).unwrap().inject(&Secret::new("k-1".to_owned()));
        headers.iter().map(|(name, value)| format!("{name}: {}", value.expose())).collect::<Vec<_>>()
    };
    assert_eq!(put("anthropic"), ["anthropic-version: 2023-06-01", "x-api-key: k-1"]);
    assert_eq!(put("google"), ["x-goog-api-key: k-1"]);
    assert_eq!(put("azure-openai"), ["api-key: k-1"]);
    for id in ["openai", "mistral", "groq", "deepseek", "openrouter", "qwen", "custom"] {
        assert_eq!(put(id), ["authorization: Bearer k-1"]);
    }
}

#[test]
fn the_default_constraints_let_the_models_be_asked_and_the_account_alone() {
    let admits = |id: &str, method: &str, path: &str| {
        let (method, host) = (Method::parse(method).unwrap(), Host::parse("h.example").unwrap());
        let path = CanonicalPath::parse(path).unwrap();
        let request = Request {
            method: &method,
            host: &host,
            path: &path,
            method_overridden: false,
            body: &Body::parse_json(b"{}"),
        };
        let call =
            Call { request: Some(request), source: None, now: 0, counted: Counted { uses: Some(0), rates: &[] } };
        !decide(&find_provider(id).unwrap().constraints, &call).is_denied()
    };
    for (id, method, path) in [
        ("openai", "POST", "/v1/chat/completions"),
        ("openai", "POST", "/v1/responses"),
        ("anthropic", "POST", "/v1/messages"),
        ("google", "POST", "/v1beta/models/gemini-2.5-pro:streamGenerateContent"),
        ("azure-openai", "POST", "/openai/deployments/d/chat/completions"),
        ("qwen", "GET", "/v1/models"),
        ("custom", "POST", "/anything"),
    ] {
        assert!(admits(id, method, path), "{id} {method} {path}");
    }
    for (id, method, path) in [
        ("openai", "GET", "/v1/responses/resp_1"),
        ("openai", "GET", "/v1/chat/completions"),
        ("openai", "POST", "/v1/organization/admin_api_keys"),
        ("openai", "POST", "/v1/files"),
        ("anthropic", "POST", "/v1/messages/batches"),
        ("anthropic", "GET", "/v1/organizations/users"),
        ("google", "POST", "/v1beta/files"),
        ("azure-openai", "POST", "/openai/files"),
        ("custom", "DELETE", "/anything"),
    ] {
        assert!(!admits(id, method, path), "{id} {method} {path}");
    }
}

#[test]
fn every_known_provider_tells_its_usage() {
    for provider in providers() {
        assert_eq!(provider.usage.is_none(), provider.id == "custom");
        assert!(!provider.usage_in_stream || provider.usage == Some(UsageStyle::Openai));
    }
}

#[test]
fn what_a_template_does_not_know_is_refused() {
    let base = json!({"id": "x", "name": "X", "inject": {"header": "x-key"}, "usage_in_stream": false, "constraints": {},
        "prices": {"as_of": "2025-01-01", "max_input_tokens": 1, "max_output_tokens": 1,
                   "models": [{"prefix": "", "input": 1, "cached_input": 1, "output": 1}]}});
    assert!(serde_json::from_value::<Provider>(base.clone()).is_ok());
    for (name, value) in [
        ("other", json!(1)),
        ("base_url", json!("not a url")),
        ("inject", json!({"header": "x key"})),
        ("inject", json!({"header": "x-key", "suffix": "a"})),
        ("headers", json!({"x": "a\nb"})),
        ("headers", json!({"x y": "a"})),
        ("probe", json!({"method": "TRACE", "path": "/"})),
        ("probe", json!({"method": "GET", "path": "/a/../b"})),
        ("usage", json!("else")),
    ] {
        let mut changed = base.clone();
        changed[name] = value;
        assert!(serde_json::from_value::<Provider>(changed).is_err(), "{name}");
    }
}
