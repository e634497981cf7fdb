//! Traces, as a collector sees them.

use crate::collector::{Collector, Manner, hex, text};
use crate::world::World;
use opentelemetry_proto::tonic::trace::v1::Span;
use reqwest::{RequestBuilder, StatusCode};
use std::collections::BTreeMap;
use stipend::grant::TOKEN_EXCHANGE;
use stipend_schema::Backend;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";

async fn world(collector: &Collector, more: &[(&str, &str)]) -> World {
    let settings: Vec<_> = collector.settings().into_iter().chain(more.iter().copied()).collect();
    World::with(Backend::Sqlite, &settings).await
}

fn exchange(world: &World, subject: &str) -> RequestBuilder {
    let form = [("grant_type", TOKEN_EXCHANGE), ("subject_token", subject), ("subject_token_type", ACCESS)];
    let request = world.server.http.post(world.server.url("/oauth2/token"));
    request.basic_auth(&world.refunds.id, Some(&world.refunds.secret)).form(&form)
}

/// Sends a request and answers its id.
async fn sent(request: RequestBuilder, status: StatusCode) -> String {
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), status);
    answer.headers()["stipend-request-id"].to_str().unwrap().to_owned()
}

/// Names of the spans under a span, in the order in which they began.
fn under(spans: &[Span], id: &[u8]) -> Vec<String> {
    let mut under: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id == id).collect();
    under.sort_by_key(|span| span.start_time_unix_nano);
    under.iter().map(|span| span.name.clone()).collect()
}

#[tokio::test]
async fn an_exchange_is_one_tree_under_its_callers_span() {
    let collector = Collector::start(Manner::Takes).await;
    let world = world(&collector, &[("OTEL_SERVICE_NAME", "as"), ("OTEL_RESOURCE_ATTRIBUTES", "a.b=c")]).await;
    let subject = world.subject().await;
    let request = exchange(&world, &subject).header("traceparent", PARENT).header("tracestate", "vendor=1,other=2");
    let id = sent(request, StatusCode::OK).await;
    let spans = collector.trace(TRACE).await;
    let root = spans.iter().find(|span| span.kind == 2).unwrap();
    assert_eq!((root.name.as_str(), hex(&root.parent_span_id).as_str()), ("POST /oauth2/token", "b7ad6b7169203331"));
    assert_eq!(root.trace_state, "vendor=1,other=2");
    let attributes: BTreeMap<String, String> =
        root.attributes.iter().map(|one| (one.key.clone(), text(&root.attributes, &one.key))).collect();
    let jti = attributes["stipend.jti"].clone();
    assert!(jti.starts_with("t_"), "{jti}");
    let expected = [
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("http.route", "/oauth2/token"),
        ("stipend.client_id", "acme.refunds"),
        ("stipend.grant", "token_exchange"),
        ("stipend.jti", jti.as_str()),
        ("stipend.outcome", "granted"),
        ("stipend.request_id", id.as_str()),
        ("url.scheme", "http"),
    ];
    let seen: Vec<_> = attributes.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(seen, expected, "this and nothing else");
    assert_eq!(under(&spans, &root.span_id), ["body", "authenticate", "decide", "commit", "sign"]);
    let decide = spans.iter().find(|span| span.name == "decide").unwrap();
    assert_eq!(under(&spans, &decide.span_id), ["verify"]);
    assert_eq!(spans.len(), 7);
    for span in &spans {
        assert!(span.start_time_unix_nano >= root.start_time_unix_nano, "{}", span.name);
        assert!(span.end_time_unix_nano <= root.end_time_unix_nano, "{}", span.name);
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.events.is_empty(), "{}", span.name);
        assert_eq!((span.trace_id.as_slice(), span.span_id.len()), (root.trace_id.as_slice(), 8));
        if span.kind != 2 {
            assert_eq!(span.attributes.len(), 1, "{:?}", span.attributes);
            assert_eq!(text(&span.attributes, "stipend.phase"), span.name);
        }
    }
    let resource = collector.traces()[0].resource_spans[0].resource.clone().unwrap().attributes;
    assert_eq!((text(&resource, "service.name").as_str(), text(&resource, "a.b").as_str()), ("as", "c"));
    assert_eq!(text(&resource, "service.version"), env!("CARGO_PKG_VERSION"));
    assert!(!text(&resource, "service.instance.id").is_empty());
}

#[tokio::test]
async fn a_refusal_says_why_and_names_no_client_that_was_only_claimed() {
    let collector = Collector::start(Manner::Takes).await;
    let world = world(&collector, &[]).await;
    let wrong = world.server.http.post(world.server.url("/oauth2/token"));
    let wrong = wrong.basic_auth(&world.planner.id, Some("wrong")).form(&[("grant_type", "client_credentials")]);
    let root = collector.request(&sent(wrong, StatusCode::UNAUTHORIZED).await).await;
    assert_eq!(text(&root.attributes, "stipend.reason"), "wrong_secret");
    assert_eq!(text(&root.attributes, "stipend.outcome"), "refused");
    assert_eq!(text(&root.attributes, "stipend.client_id"), "", "claimed, and not proved");
    assert_eq!(root.status.clone().unwrap_or_default().code, 0, "a client's error is none of the server");
    let refused = exchange(&world, "x.y.z");
    let root = collector.request(&sent(refused, StatusCode::BAD_REQUEST).await).await;
    assert_eq!(text(&root.attributes, "stipend.client_id"), "acme.refunds", "it did prove who it is");
    assert!(root.parent_span_id.is_empty(), "{root:?}");
    let nowhere = world.server.http.get(world.server.url("/x/secret-path?secret-query=1")).send().await.unwrap();
    assert_eq!(nowhere.status(), StatusCode::NOT_FOUND);
    collector.until(|| collector.spans().iter().any(|span| span.name == "GET")).await;
    let spans = collector.spans();
    let root = spans.iter().find(|span| span.name == "GET").unwrap();
    assert_eq!(text(&root.attributes, "http.route"), "", "it matched none");
}

#[tokio::test]
async fn what_is_no_trace_context_begins_a_trace_of_its_own() {
    let collector = Collector::start(Manner::Takes).await;
    let world = world(&collector, &[]).await;
    let get = || world.server.form_request("/oauth2/token", &world.planner, &[("grant_type", "client_credentials")]);
    let upper = PARENT.to_uppercase();
    let long = format!("{}-{}", PARENT.replacen("00", "cc", 1), "x".repeat(300));
    for bad in ["", "nonsense", &upper, &long, &PARENT.replacen("00", "ff", 1), &format!("{PARENT}-x")] {
        let root = collector.request(&sent(get().header("traceparent", bad), StatusCode::OK).await).await;
        assert!(hex(&root.trace_id) != TRACE && root.parent_span_id.is_empty(), "{bad}");
    }
    let twice = get().header("traceparent", PARENT).header("traceparent", PARENT);
    let root = collector.request(&sent(twice, StatusCode::OK).await).await;
    assert!(hex(&root.trace_id) != TRACE && root.parent_span_id.is_empty());
    let broken = get().header("traceparent", PARENT).header("tracestate", "A=1,a=1,a=2");
    let root = collector.request(&sent(broken, StatusCode::OK).await).await;
    assert_eq!((hex(&root.trace_id).as_str(), root.trace_state.as_str()), (TRACE, ""), "the parent holds");
    let bytes = reqwest::header::HeaderValue::from_bytes(b"\xff\xfe").unwrap();
    let root = collector.request(&sent(get().header("traceparent", bytes), StatusCode::OK).await).await;
    assert!(root.parent_span_id.is_empty());
}

#[tokio::test]
async fn the_sampler_decides_and_a_caller_only_where_it_may() {
    let unsampled = PARENT.replace("-01", "-00");
    for (sampler, arg, by_parent, by_unsampled, alone) in [
        ("parentbased_always_on", "1", true, false, true),
        ("parentbased_always_off", "1", true, false, false),
        ("always_on", "1", true, true, true),
        ("always_off", "1", false, false, false),
        ("traceidratio", "0", false, false, false),
        ("parentbased_traceidratio", "0", true, false, false),
    ] {
        let collector = Collector::start(Manner::Takes).await;
        let world = world(&collector, &[("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", arg)]).await;
        let get =
            || world.server.form_request("/oauth2/token", &world.planner, &[("grant_type", "client_credentials")]);
        let ids = [
            (sent(get().header("traceparent", PARENT), StatusCode::OK).await, by_parent),
            (sent(get().header("traceparent", &unsampled), StatusCode::OK).await, by_unsampled),
            (sent(get(), StatusCode::OK).await, alone),
        ];
        // A stop hands over what there is.
        world.server.stop().await;
        let spans = collector.spans();
        for (id, expected) in ids {
            let found = spans.iter().any(|span| text(&span.attributes, "stipend.request_id") == id);
            assert_eq!(found, expected, "{sampler}");
        }
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_a_span_that_says_so() {
    use tokio::io::AsyncWriteExt;
    let collector = Collector::start(Manner::Takes).await;
    let world = world(&collector, &[]).await;
    let mut socket = tokio::net::TcpStream::connect(world.server.address()).await.unwrap();
    let head = format!("POST /oauth2/token HTTP/1.1\r\nhost: x\r\ntraceparent: {PARENT}\r\ncontent-length: 100\r\n");
    let head = format!("{head}content-type: application/x-www-form-urlencoded\r\n\r\ngrant_type=");
    socket.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    drop(socket);
    let spans = collector.trace(TRACE).await;
    let root = spans.iter().find(|span| span.kind == 2).unwrap();
    let (status, error) = (text(&root.attributes, "http.response.status_code"), text(&root.attributes, "error.type"));
    assert!(
        (status.as_str(), error.as_str()) == ("", "cancelled") || status == "400",
        "it was given up, or answered to nobody: {root:?}"
    );
}
