//! Hostile text in every place that takes text: each string of each request that the OpenAPI
//! document describes, each query, each part of a path, and each parameter of the OAuth endpoints.
//! The routes come from the document, so that a new one is covered by being there.

mod document;
mod forms;
mod node;

use document::{Place, Route, place_in, routes};
use futures_util::StreamExt;
use futures_util::stream;
use node::Node;
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use stipend_schema::Backend;
use stipend_schema::testing::TestDatabase;

/// Requests under way at once.
const AT_ONCE: usize = 8;
/// A line of a log that somebody would like to see there.
const FORGED: &str = "forged by a request";

/// One of each kind of harm.
pub fn payloads() -> Vec<String> {
    vec![
        "x'); DROP TABLE owners;-- \" OR '1'='1' \\ %27 ${jndi:ldap://a} {{7*7}} <script>".to_owned(),
        "a\0b".to_owned(),
        format!("a\r\n{{\"level\":\"ERROR\",\"message\":\"{FORGED}\"}}\r\n\u{1b}[31m\u{7}"),
        "a\nb".to_owned(),
        "invoice\u{202e}fdp\u{2066}x".to_owned(),
        "\u{1f980} \u{1d54f} e\u{301}".to_owned(),
        "\u{e9}".repeat(4000),
    ]
}

/// What nobody touches, before and after.
async fn witness(node: &Node) -> Vec<Value> {
    let mut seen = Vec::new();
    for path in ["/owners/quiet", "/agents/quiet.agent", "/resources?limit=200", "/budgets?limit=200"] {
        let (status, body) = node.admin(&Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        let own = |item: &&Value| item["owner"] == "quiet";
        seen.push(match body["items"].as_array() {
            Some(items) => items.iter().filter(own).cloned().collect(),
            None => body,
        });
    }
    seen
}

async fn company(node: &Node) {
    for owner in ["acme", "quiet"] {
        node.create("/owners", json!({"id": owner, "name": owner})).await;
        let uri = format!("https://{owner}.example");
        node.create(
            "/resources",
            json!({"owner": owner, "uri": uri, "name": owner, "scopes": ["read"], "budget_capable": true}),
        )
        .await;
        let agent = json!({
            "owner": owner, "name": "agent", "auth_method": "client_secret_basic",
            "access": [{"resource": uri, "scopes": ["read"], "default_scopes": ["read"]}],
        });
        node.create("/agents", agent).await;
        node.create("/budgets", json!({"owner": owner, "unit": "call", "decimals": 0, "amount": 100})).await;
    }
}

/// Where a value was taken, it is read back as it was sent.
fn reads_back(answer: &Value, name: &str, payload: &str) -> bool {
    !has(answer, &|member, _| member == name) || has(answer, &|_, text| text == payload)
}

/// Whether a text in it is such a one, by the name of its member and by what it says.
fn has(value: &Value, is: &dyn Fn(&str, &str) -> bool) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(name, member)| match member {
            Value::String(text) => is(name, text),
            other => has(other, is),
        }),
        Value::Array(items) => items.iter().any(|item| match item {
            Value::String(text) => is("", text),
            other => has(other, is),
        }),
        _ => false,
    }
}

/// One request with hostile text in one place: whether it was taken.
async fn one(node: &Node, route: &Route, place: &Place, payload: &str) -> bool {
    let (path, body) = route.with(place, payload);
    let (status, answer) = node.admin(&route.method, &path, body.as_ref()).await;
    let what = || format!("{} {} {place:?} {payload:.40?}: {status} {answer}", route.method, route.path);
    assert!(status.is_success() || status.is_client_error(), "{}", what());
    assert!(answer.is_object() || status == StatusCode::NO_CONTENT || route.path.ends_with("/export"), "{}", what());
    if let (true, Place::Member(pointer)) = (status.is_success(), place) {
        let name = pointer.rsplit('/').next().unwrap_or_default();
        assert!(reads_back(&answer, name, payload), "{}", what());
    }
    status.is_success()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_text_is_refused_or_kept_as_it_is_wherever_it_comes(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    stipend::testing::install_crypto();
    let database = TestDatabase::new(backend).await;
    let mut node = Node::start(database.url());
    node.log_in().await;
    company(&node).await;
    let before = witness(&node).await;
    let tables = tables(&database, backend).await;
    let document = node.document().await;
    let routes = routes(&document);
    // Every place in the document is one that is filled; what can't be is named here, and why.
    let places: Vec<(&Route, Place)> = routes
        .iter()
        .flat_map(|route| place_in(&document, route).into_iter().map(move |place| (route, place)))
        .collect();
    assert!(routes.len() > 90 && places.len() > 300, "{} routes, {} places", routes.len(), places.len());
    let texts = payloads();
    let all = places.iter().flat_map(|(route, place)| texts.iter().map(move |text| (*route, place, text)));
    let node_ref = &node;
    let taken: Vec<bool> = stream::iter(all)
        .map(|(route, place, text)| async move { one(node_ref, route, place, text).await })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    // Free text is taken: refusing everything would prove nothing.
    let accepted = taken.iter().filter(|taken| **taken).count();
    assert!(accepted > 50, "{accepted} of {}", taken.len());
    forms::every_parameter(&node, AT_ONCE).await;
    assert_eq!(witness(&node).await, before);
    assert_eq!(self::tables(&database, backend).await, tables);
    let log = node.stop();
    for line in log.split('\n').filter(|line| !line.is_empty()) {
        let parsed: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("not one JSON object: {line:?}"));
        assert!(parsed.is_object() && parsed["message"] != FORGED, "{line:?}");
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
    }
    assert!(log.contains("\"request\""), "nothing was logged");
}

async fn tables(database: &TestDatabase, backend: Backend) -> BTreeSet<String> {
    let sql = match backend {
        Backend::Sqlite => "SELECT name AS value FROM sqlite_master WHERE type = 'table'",
        Backend::Postgres => {
            "SELECT table_name::text AS value FROM information_schema.tables WHERE table_schema = 'public'"
        }
    };
    database.texts(sql).await.unwrap().into_iter().collect()
}
