//! Requests as no library writes them, sent to this server byte by byte.

use crate::world::{Upstream, World, error, prices};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use stipend_schema::Backend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const OK: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";

/// All that comes back on one connection.
async fn exchange(world: &World, said: &[u8]) -> String {
    let mut socket = TcpStream::connect(world.server.address()).await.unwrap();
    let mut answer = Vec::new();
    // A server that has heard enough may close while this is still talking.
    let _ = socket.write_all(said).await;
    let _ = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap_or_default().parse().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_could_be_read_as_two_is_neither() {
    let upstream = Upstream::start(OK).await;
    let world = World::calling(Backend::Sqlite, &upstream.base, json!({})).await;
    let token = world.token(&world.agent).await;
    let smuggled = format!(
        "POST /proxy/{}/smuggled HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 0\r\n\r\n",
        world.credential
    );
    let head = |fields: &str| {
        format!(
            "POST /proxy/{}/outer HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n{fields}\r\n",
            world.credential
        )
    };
    let chunked = format!("0\r\n\r\n{smuggled}");
    for (name, said) in [
        ("both", format!("{}{chunked}", head("content-length: 6\r\ntransfer-encoding: chunked\r\n"))),
        ("both, the other way", format!("{}{chunked}", head("transfer-encoding: chunked\r\ncontent-length: 6\r\n"))),
        ("two lengths", format!("{}{smuggled}", head("content-length: 0\r\ncontent-length: 5\r\n"))),
        ("two lengths in one", format!("{}{smuggled}", head("content-length: 0, 5\r\n"))),
        ("a signed length", format!("{}{smuggled}", head("content-length: +0\r\n"))),
        ("a length of hex", format!("{}{smuggled}", head("content-length: 0x0\r\n"))),
        ("a coding that is not chunked", format!("{}{chunked}", head("transfer-encoding: xchunked\r\n"))),
        ("two codings", format!("{}{chunked}", head("transfer-encoding: chunked, identity\r\n"))),
        ("a space before the colon", format!("{}{chunked}", head("transfer-encoding : chunked\r\n"))),
        ("a folded line", format!("{}{chunked}", head("x-a: b\r\n transfer-encoding: chunked\r\n"))),
        (
            "a bare line feed",
            format!("{}{chunked}", head("x-a: b\ntransfer-encoding: chunked\r\ncontent-length: 6\r\n")),
        ),
        (
            "a chunk size that overflows",
            format!("{}fffffffffffffffff1\r\n{smuggled}", head("transfer-encoding: chunked\r\n")),
        ),
        ("a negative chunk size", format!("{}-1\r\n{smuggled}", head("transfer-encoding: chunked\r\n"))),
    ] {
        let answer = exchange(&world, said.as_bytes()).await;
        assert!(answer.matches("HTTP/1.1 ").count() < 2, "{name}: one answer: {answer}");
        let heads = upstream.seen();
        assert!(!heads.iter().any(|seen| seen.contains("/smuggled")), "{name}: {answer}\n{heads:?}");
        assert!(heads.is_empty(), "{name}: nothing of what is in doubt leaves: {answer}");
        // A body that can't be read is no reason to say anything more on the connection.
        let closed = answer.is_empty() && name.contains("chunk size");
        assert!(closed || status(&answer) == 400, "{name}: {answer}");
    }
    let plain = head("content-length: 0\r\nconnection: close\r\n");
    let whole = exchange(&world, plain.as_bytes()).await;
    assert_eq!((status(&whole), upstream.seen().len()), (200, 1), "a plain one is sent: {whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_target_nor_the_host_header_says_where_a_call_goes() {
    let (evil, upstream) = (Upstream::start(OK).await, Upstream::start(OK).await);
    let world = World::calling(Backend::Sqlite, &upstream.base, json!({})).await;
    let token = world.token(&world.agent).await;
    let path = format!("/proxy/{}/x", world.credential);
    let evil_host = evil.base.trim_start_matches("http://");
    for (target, host) in [
        (format!("{}{path}", evil.base), evil_host),
        (format!("http://u:p@{evil_host}{path}"), "x"),
        (path.clone(), evil_host),
        (path.clone(), "169.254.169.254"),
        (format!("{path}#@{evil_host}"), "x"),
        (format!("/proxy/{}/@{evil_host}/", world.credential), "x"),
        (format!("/proxy/{}//{evil_host}/x", world.credential), "x"),
    ] {
        let said = format!(
            "POST {target} HTTP/1.1\r\nhost: {host}\r\nx-forwarded-host: {evil_host}\r\nforwarded: host={evil_host}\r\nauthorization: Bearer {token}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        let before = upstream.seen().len();
        let answer = exchange(&world, said.as_bytes()).await;
        let went = upstream.seen().len() - before;
        assert_eq!(went, usize::from(status(&answer) == 200), "{target}: {answer}");
        assert!((200..500).contains(&status(&answer)), "{target}: {answer}");
    }
    assert!(evil.seen().is_empty());
    let own = format!("host: {}\r\n", upstream.base.trim_start_matches("http://"));
    for seen in upstream.seen() {
        assert!(seen.to_lowercase().contains(&own) && !seen.contains(evil_host) || seen.contains("/@"), "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_of_64_kib_is_refused_and_nothing_leaves() {
    let upstream = Upstream::start(OK).await;
    let world = World::calling(Backend::Sqlite, &upstream.base, json!({})).await;
    let token = world.token(&world.agent).await;
    let path = format!("/proxy/{}/x", world.credential);
    let long = "a".repeat(64 * 1024);
    let many: String = (0..100).map(|n| format!("x-{n}: y\r\n")).collect();
    for (name, target, fields) in [
        ("one header", path.clone(), format!("x-long: {long}\r\n")),
        ("many headers", path.clone(), many),
        ("the target", format!("{path}?{long}"), String::new()),
    ] {
        let said = format!(
            "POST {target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{fields}content-length: 0\r\nconnection: close\r\n\r\n"
        );
        let answer = exchange(&world, said.as_bytes()).await;
        assert!((400..500).contains(&status(&answer)), "{name}: {answer}");
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_10_mib_is_refused_before_anything_leaves_or_is_held() {
    let upstream = Upstream::start(OK).await;
    let metering = json!({"metering": {"prices": prices(), "max_cost": 40}});
    let world = World::calling(Backend::Sqlite, &upstream.base, metering).await;
    let line = world.budget(&world.agent, 100).await;
    let token = world.token(&world.agent).await;
    let kept = world.server.app.buffered.available_permits();
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(10 * 1024 * 1024));
    let declared = world.proxied(Method::POST, &token, "/x").header("content-type", "application/json");
    let told = declared.body(body.clone()).send().await.unwrap();
    assert_eq!(told.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let chunks =
        futures_util::stream::iter(body.into_bytes().chunks(64 * 1024).map(<[u8]>::to_vec).collect::<Vec<_>>());
    let chunks = futures_util::StreamExt::map(chunks, Ok::<_, std::io::Error>);
    let undeclared = world.proxied(Method::POST, &token, "/x").header("content-type", "application/json");
    match undeclared.body(reqwest::Body::wrap_stream(chunks)).send().await {
        Ok(answer) => assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE),
        // The connection may close on a client that is still sending.
        Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(world.used(&line).await, (0, 0));
    assert_eq!(world.server.app.buffered.available_permits(), kept);
    let refused = world.records().await.into_iter().find(|record| record["reason"] == "body_too_large");
    assert!(refused.is_some(), "both are on record");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selector_sees_a_body_that_comes_in_chunks() {
    let upstream = Upstream::start(OK).await;
    let constraints = json!({"constraints": {"max_amount": {"selector": "/amount", "amount": 500}}});
    let world = World::calling(Backend::Sqlite, &upstream.base, constraints).await;
    let token = world.token(&world.agent).await;
    let send = |amount: i64| {
        // Two chunks that part the number.
        let body = format!("{{\"amount\":{amount}}}");
        let (one, two) = body.split_at(11);
        let said = format!(
            "POST /proxy/{}/pay HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
            world.credential,
            one.len(),
            two.len()
        );
        let world = &world;
        async move { exchange(world, said.as_bytes()).await }
    };
    assert_eq!(status(&send(500).await), 200);
    let refused = send(501).await;
    assert_eq!(status(&refused), 403);
    assert!(refused.contains("\"exceeded\""), "{refused}");
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_stops_in_the_middle_of_its_body_holds_nothing() {
    let upstream = Upstream::start(OK).await;
    let metering = json!({"metering": {"prices": prices(), "max_cost": 40}});
    let world = World::calling(Backend::Sqlite, &upstream.base, metering).await;
    let line = world.budget(&world.agent, 100).await;
    let token = world.token(&world.agent).await;
    let kept = world.server.app.buffered.available_permits();
    let mut socket = TcpStream::connect(world.server.address()).await.unwrap();
    let head = format!(
        "POST /proxy/{}/x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n{{\"a\":",
        world.credential
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let permits = || world.server.app.buffered.available_permits();
    for _ in 0..100 {
        if permits() < kept {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(permits(), kept - 16, "a place for what it said it would send");
    drop(socket);
    for _ in 0..100 {
        if permits() == kept {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(permits(), kept, "given back");
    assert_eq!((world.used(&line).await, upstream.seen().len()), ((0, 0), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_query_is_no_token_and_never_goes_on() {
    let upstream = Upstream::start(OK).await;
    let world = World::calling(Backend::Sqlite, &upstream.base, json!({})).await;
    let token = world.token(&world.agent).await;
    let encoded: String = token.bytes().map(|byte| format!("%{byte:02x}")).collect();
    for query in [format!("access_token={token}"), format!("key={token}"), format!("key={encoded}")] {
        let alone = world.server.url(&format!("/proxy/{}/x?{query}", world.credential));
        let answer = world.server.http.get(&alone).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let beside = world.server.http.get(&alone).bearer_auth(&token).send().await.unwrap();
        assert!(beside.status().is_client_error(), "{}", beside.status());
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_idempotency_keys_are_none() {
    let world = World::new(Backend::Sqlite).await;
    let token = world.token(&world.agent).await;
    let url = world.server.url(&format!("/credentials/{}/release", world.credential));
    let release = |keys: &[&'static str]| {
        let request = world.server.http.post(&url).bearer_auth(&token).json(&json!({"mode": "plaintext"}));
        let request = keys.iter().fold(request, |request, key| request.header("idempotency-key", *key));
        async move {
            let answer = request.send().await.unwrap();
            (answer.status(), answer.json::<Value>().await.unwrap())
        }
    };
    for keys in [&["a", "b"][..], &["a", "a"], &[""]] {
        let (status, body) = release(keys).await;
        assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"), "{keys:?}");
    }
    let (first, again) = (release(&["a"]).await, release(&["a"]).await);
    assert_eq!(first.0, StatusCode::OK);
    assert_eq!(first.1["lease"], again.1["lease"], "one effect");
}
