//! What the agent sends never makes a second request, another host or another sender of it.

use crate::raw::{KEY, OK, Raw, collect, engine};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use stipend::proxy::{Forward, RequestBody, UpstreamFault};
use stipend_keys::Secret;

const EMPTY: &str = "HTTP/1.1 204 No Content\r\n\r\n";

fn add(call: &mut Forward, name: &str, value: &str) {
    call.headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
}

async fn sent(raw: &Raw, call: Forward) -> Vec<String> {
    let (answer, head, _peer) = raw.answer(&engine(), call, EMPTY.as_bytes()).await;
    assert_eq!(answer.unwrap().status, 204);
    let mut lines: Vec<String> = head.trim_end().split("\r\n").map(str::to_lowercase).collect();
    lines[1..].sort();
    lines
}

#[tokio::test]
async fn of_the_agents_own_credentials_and_hops_nothing_reaches_the_upstream() {
    let raw = Raw::bind().await;
    let mut call = raw.call("GET");
    for (name, value) in [
        ("Authorization", "Bearer agents-token"),
        ("X-Api-Key", "agents-token"),
        ("x_api_key", "agents-token"),
        ("Api-Key", "agents-token"),
        ("X-Goog-Api-Key", "agents-token"),
        ("Cookie", "a=agents-token"),
        ("Host", "evil.example"),
        ("Host", "second.example"),
        ("Connection", "keep-alive, x-listed"),
        ("X-Listed", "1"),
        ("Upgrade", "websocket"),
        ("TE", "trailers"),
        ("Expect", "100-continue"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("Proxy-Authorization", "Basic x"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("Agent-Budget", "1"),
        ("Accept-Encoding", "gzip, br"),
        ("Accept", "text/event-stream"),
        ("Idempotency-Key", "k-1"),
        ("User-Agent", "sdk/1"),
    ] {
        add(&mut call, name, value);
    }
    let host = format!("host: {}", raw.address);
    let key = format!("x-api-key: {KEY}");
    let expected = [
        "get /v1/things http/1.1",
        "accept-encoding: identity",
        "accept: text/event-stream",
        &host,
        "idempotency-key: k-1",
        "user-agent: sdk/1",
        &key,
    ];
    assert_eq!(sent(&raw, call).await, expected);
}

#[tokio::test]
async fn lengths_and_codings_of_the_agent_do_not_frame_the_request() {
    let raw = Raw::bind().await;
    let hidden = "0\r\n\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n";
    let length = format!("content-length: {}", hidden.len());
    for (name, value) in [
        ("Content-Length", "3"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Transfer-Encoding", "identity"),
        ("transfer_encoding", "chunked"),
        ("content_length", "3"),
    ] {
        let mut call = raw.call("POST");
        add(&mut call, name, value);
        add(&mut call, "Transfer-Encoding", "chunked");
        add(&mut call, "Content-Length", "1");
        call.body = RequestBody::Whole(Bytes::from(hidden));
        let lines = sent(&raw, call).await;
        let framing: Vec<_> = lines[1..]
            .iter()
            .filter(|line| {
                line.replace('_', "-").starts_with("content-length") || line.replace('_', "-").starts_with("transfer")
            })
            .collect();
        assert_eq!(framing, [&length], "{name}: {value}");
    }
}

#[tokio::test]
async fn a_post_without_a_body_says_so_and_a_get_says_nothing() {
    let raw = Raw::bind().await;
    assert!(sent(&raw, raw.call("POST")).await.contains(&"content-length: 0".to_owned()));
    assert!(!sent(&raw, raw.call("GET")).await.iter().any(|line| line.starts_with("content-length")));
}

#[tokio::test]
async fn a_value_with_a_line_break_is_never_sent() {
    assert!(HeaderValue::from_bytes(b"a\r\nx: y").is_err(), "the agent's can't be built");
    let raw = Raw::bind().await;
    let mut call = raw.call("GET");
    call.inject = vec![(HeaderName::from_static("authorization"), Secret::new("Bearer a\r\nX: y".into()))];
    assert_eq!(engine().forward(call).await.unwrap_err(), UpstreamFault::Injection);
    assert!(!raw.is_called().await);
}

#[tokio::test]
async fn a_second_answer_on_the_connection_reaches_nobody() {
    let raw = Raw::bind().await;
    let engine = engine();
    let said = format!("{OK}Content-Length: 3\r\n\r\none{OK}Content-Length: 6\r\n\r\nstolen");
    let (first, _, _peer) = raw.answer(&engine, raw.call("GET"), said.as_bytes()).await;
    assert_eq!(collect(&mut first.unwrap()).await, (b"one".to_vec(), None));
    let said = format!("{OK}Content-Length: 3\r\n\r\ntwo");
    let (second, _, _peer) = raw.answer(&engine, raw.call("GET"), said.as_bytes()).await;
    assert_eq!(collect(&mut second.unwrap()).await, (b"two".to_vec(), None), "on a connection of its own");
}

#[tokio::test]
async fn of_an_answer_only_what_is_for_the_agent_gets_through() {
    let raw = Raw::bind().await;
    let said = format!(
        "{OK}Set-Cookie: a=b\r\nAlt-Svc: h3=\":443\"\r\nStrict-Transport-Security: max-age=1\r\nConnection: close, x-hop\r\n\
         X-Hop: 1\r\nAgent-Budget: 5\r\nContent-Type: text/plain\r\nX-Request-Id: r\r\nContent-Length: 2\r\n\r\nhi"
    );
    let (answer, _, _peer) = raw.answer(&engine(), raw.call("GET"), said.as_bytes()).await;
    let mut answer = answer.unwrap();
    let names: Vec<_> = answer.headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["content-type", "x-request-id"]);
    assert_eq!(collect(&mut answer).await, (b"hi".to_vec(), None));
}

#[tokio::test]
async fn a_redirect_is_answered_and_leads_nowhere() {
    let raw = Raw::bind().await;
    let elsewhere = Raw::bind().await;
    for status in [301, 302, 303, 307, 308] {
        let said = format!(
            "HTTP/1.1 {status} Moved\r\nLocation: http://{}/x\r\nRefresh: 0; url=http://{0}/\r\nContent-Length: 0\r\n\r\n",
            elsewhere.address
        );
        let (answer, _, _peer) = raw.answer(&engine(), raw.call("POST"), said.as_bytes()).await;
        let answer = answer.unwrap();
        assert_eq!((answer.status.as_u16(), answer.headers.len()), (status, 0));
    }
    assert!(!elsewhere.is_called().await);
}
