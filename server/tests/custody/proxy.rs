use crate::world::{KEY, LOCAL, Upstream, World, error};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::demo::llm::Llm;
use stipend_keys::Secret;
use stipend_schema::Backend;

const OK: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";

fn llm() -> (Llm, String) {
    let llm = Llm::start(Secret::new(KEY.to_owned())).unwrap();
    let base = llm.base_url().unwrap().to_string();
    (llm, base)
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_calls_the_provider_and_never_sees_the_key(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (llm, base) = llm();
    let world = World::calling(backend, &base, json!({})).await;
    let token = world.token(&world.agent).await;
    let answer = world.chat(&token, "one two three", false).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["usage"]["prompt_tokens"], 3, "{body}");
    assert_eq!((llm.calls(), llm.refused()), (1, 0), "the provider saw the right key");
    let record = world.record("credential.proxied").await;
    assert_eq!(record["detail"]["path"], "/v1/chat/completions", "{record}");
    assert!(!json!(world.records().await).to_string().contains(KEY));
    let (_, shown) = world.admin(Method::GET, &format!("/credentials/{}", world.credential), Value::Null).await;
    assert!(shown["versions"][0].get("exposed_to").is_none(), "the proxy exposes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_comes_as_it_is_made() {
    let (llm, base) = llm();
    llm.set_pace(std::time::Duration::from_millis(40));
    let world = World::calling(Backend::Sqlite, &base, json!({})).await;
    let token = world.token(&world.agent).await;
    let mut answer = world.chat(&token, "a b c", true).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut chunks = Vec::new();
    while let Some(chunk) = answer.chunk().await.unwrap() {
        chunks.push(chunk);
    }
    assert!(chunks.len() > 3, "in pieces, not at once: {}", chunks.len());
    let text = String::from_utf8(chunks.concat()).unwrap();
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_may_stand_where_a_library_puts_its_key_and_never_goes_on() {
    let upstream = Upstream::start(OK).await;
    let header = json!({"header": {"name": "x-api-key"}});
    let world = World::calling(Backend::Sqlite, &upstream.base, header).await;
    let token = world.token(&world.agent).await;
    let url = world.server.url(&format!("/proxy/{}/v1/messages", world.credential));
    for name in ["authorization", "x-api-key", "api-key", "x-goog-api-key"] {
        let value = if name == "authorization" { format!("Bearer {token}") } else { token.clone() };
        let answer =
            world.server.http.post(&url).header(name, value).header("cookie", "a=b").body("").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{name}");
    }
    for seen in upstream.seen() {
        assert!(seen.contains(&format!("x-api-key: {KEY}\r\n")), "{seen}");
        assert!(!seen.contains(&token) && !seen.contains("cookie"), "{seen}");
    }
    assert_eq!(upstream.seen().len(), 4);
    let two =
        world.server.http.post(&url).bearer_auth(&token).header("x-api-key", &token).body("").send().await.unwrap();
    assert_eq!(two.status(), StatusCode::BAD_REQUEST, "two are no token (RFC 6750 section 3.1)");
    let none = world.server.http.post(&url).body("").send().await.unwrap();
    assert!(none.headers()["www-authenticate"].to_str().unwrap().contains("resource_metadata="));
    assert_eq!(upstream.seen().len(), 4, "nothing left");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_constraint_does_not_allow_never_leaves() {
    let upstream = Upstream::start(OK).await;
    let constraints = json!({"constraints": {"methods": ["POST"], "paths": ["/v1/chat"]}});
    let world = World::calling(Backend::Sqlite, &upstream.base, constraints).await;
    let token = world.token(&world.agent).await;
    assert_eq!(
        world.proxied(Method::POST, &token, "/v1/chat/x").body("").send().await.unwrap().status(),
        StatusCode::OK
    );
    assert_eq!(upstream.seen().len(), 1);
    let (status, body) = {
        let answer = world.proxied(Method::POST, &token, "/v1/chatX").body("").send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!((status, error(&body)), (StatusCode::FORBIDDEN, "constraint_violated"));
    assert_eq!((&body["constraint"], &body["reason"]), (&json!("paths"), &json!("not_listed")));
    // Sent by hand: a client library would tidy these up.
    for (method, path, header) in [
        ("POST", "/v1/chat/../admin", ""),
        ("POST", "/v1/chat/%2e%2e/admin", ""),
        ("POST", "/v1/chat/%2E%2E/admin", ""),
        ("POST", "/v1/chat%2fadmin", ""),
        ("POST", "/v1//chat", ""),
        ("POST", "//v1/chat", ""),
        ("POST", "/v1/chat;x=y", ""),
        ("POST", "/v1/chat/.", ""),
        ("POST", "/v1/CHAT", ""),
        ("POST", "/v1/chat%00", ""),
        ("POST", "/v1/chat\\..\\admin", ""),
        ("POST", "/admin", ""),
        ("GET", "/v1/chat", ""),
        ("post", "/v1/chat", ""),
        ("DELETE", "/v1/chat", ""),
        ("POST", "/v1/chat", "x-http-method-override: DELETE\r\n"),
        ("POST", "/v1/chat", "X-HTTP-Method: DELETE\r\n"),
        ("POST", "/v1/chat?_method=DELETE", ""),
    ] {
        let status = raw(&world, method, path, &token, header).await;
        assert!((400..500).contains(&status), "{method} {path} {header:?}: {status}");
    }
    assert_eq!(upstream.seen().len(), 1, "{:?}", upstream.seen());
}

/// The status of a request written out by hand.
async fn raw(world: &World, method: &str, path: &str, token: &str, header: &str) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(world.server.address()).await.unwrap();
    let head = format!(
        "{method} /proxy/{}{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{header}content-length: 0\r\nconnection: close\r\n\r\n",
        world.credential
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or_default().parse().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_and_recipients_are_read_in_the_body_or_the_call_is_denied() {
    let upstream = Upstream::start(OK).await;
    let constraints = json!({"constraints": {
        "max_amount": {"selector": "/amount", "amount": 500},
        "recipients": {"selector": "/to", "domains": ["example.com"]},
    }});
    let world = World::calling(Backend::Sqlite, &upstream.base, constraints).await;
    let token = world.token(&world.agent).await;
    let send = |kind: &'static str, coding: Option<&'static str>, body: &'static str| {
        let request = world.proxied(Method::POST, &token, "/pay").header("content-type", kind).body(body);
        let request = coding.into_iter().fold(request, |request, coding| request.header("content-encoding", coding));
        async move {
            let answer = request.send().await.unwrap();
            let status = answer.status();
            (status, answer.json::<Value>().await.unwrap_or_default())
        }
    };
    let good = r#"{"amount":500,"to":"a@example.com"}"#;
    assert_eq!(send("application/json", None, good).await.0, StatusCode::OK);
    for (kind, coding, body, reason) in [
        ("application/json", None, r#"{"amount":501,"to":"a@example.com"}"#, "exceeded"),
        ("application/json", None, r#"{"amount":1,"amount":9000,"to":"a@example.com"}"#, "body_duplicate_member"),
        ("application/json", None, r#"{"to":"a@example.com"}"#, "unresolved"),
        ("application/json", None, r#"{"amount":"1","to":"a@example.com"}"#, "not_an_amount"),
        ("application/json", None, r#"{"amount":1,"to":"a@example.com.evil.example"}"#, "not_listed"),
        ("application/json", None, r#"{"amount":1,"#, "body_malformed"),
        ("application/json", Some("gzip"), good, "body_encoded"),
        ("text/plain", None, good, "body_other_type"),
        ("application/x-www-form-urlencoded", None, "amount=1&to=a@example.com", "body_other_type"),
    ] {
        let (status, answer) = send(kind, coding, body).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{body}: {answer}");
        assert_eq!(answer["reason"], reason, "{body}: {answer}");
    }
    assert_eq!(upstream.seen().len(), 1, "one of them left");
}

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_of_private_networks_are_refused_unless_they_are_named() {
    let upstream = Upstream::start(OK).await;
    let world = World::with(Backend::Sqlite, &LOCAL[..1]).await;
    let path = format!("/credentials/{}", world.credential);
    let (status, _) = world.admin(Method::PATCH, &path, json!({"base_url": upstream.base})).await;
    assert_eq!(status, StatusCode::OK);
    let token = world.token(&world.agent).await;
    let answer = world.proxied(Method::POST, &token, "/x").body("").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(upstream.seen().len(), 0);
    let record = world.record("credential.call_ended").await;
    assert_eq!(record["detail"]["fault"], "address_refused", "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_and_revocation_hold_at_the_next_call() {
    let (llm, base) = llm();
    let world = World::calling(Backend::Sqlite, &base, json!({})).await;
    let token = world.token(&world.agent).await;
    let call = || async { world.chat(&token, "hi", false).send().await.unwrap().status() };
    assert_eq!(call().await, StatusCode::OK);
    llm.change_key(Secret::new("sk-rotated-0011223344".to_owned()));
    assert_eq!(call().await, StatusCode::UNAUTHORIZED, "the provider refuses the old key");
    let path = format!("/credentials/{}/rotate", world.credential);
    world.admin(Method::POST, &path, json!({"value": {"api_key": {"key": "sk-rotated-0011223344"}}})).await;
    assert_eq!(call().await, StatusCode::OK, "with the same token, in mid-run");
    let (status, _) = world.server.form("/oauth2/revoke", &world.agent, &[("token", &token)]).await;
    assert_eq!(status, StatusCode::OK);
    let calls = llm.calls();
    assert_eq!(call().await, StatusCode::UNAUTHORIZED);
    assert_eq!(llm.calls(), calls, "nothing left");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_echoes_the_key_gives_nothing_away() {
    let echo = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx-seen: Bearer sk-canary-7f3a9b2c5d8e1f40\r\nconnection: close\r\n\r\nyour key is sk-canary-7f3a9b2c5d8e1f40!";
    let upstream = Upstream::start(echo).await;
    let world = World::calling(Backend::Sqlite, &upstream.base, json!({})).await;
    let token = world.token(&world.agent).await;
    let answer = world.proxied(Method::GET, &token, "/").send().await.unwrap();
    assert!(!format!("{:?}", answer.headers()).contains(KEY));
    let body = answer.text().await.unwrap();
    assert!(!body.contains(KEY) && body.starts_with("your key is ***"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_value_is_put_where_it_belongs() {
    let upstream = Upstream::start(OK).await;
    let world = World::with(Backend::Sqlite, &LOCAL).await;
    for (name, value, expected) in [
        ("basic", json!({"basic": {"username": "u", "password": "pa ss"}}), "authorization: Basic dTpwYSBzcw==\r\n"),
        (
            "headers",
            json!({"headers": {"headers": {"x-a": "1-first-value", "x-b": "2-second-value"}}}),
            "x-b: 2-second-value\r\n",
        ),
    ] {
        let new = json!({"owner": "acme", "name": name, "value": value, "base_url": upstream.base});
        let id = world.server.create("/credentials", new).await["id"].as_str().unwrap().to_owned();
        world.server.create("/grants", json!({"credential": id, "agent": world.agent.id})).await;
        let token = world.token(&world.agent).await;
        let url = world.server.url(&format!("/proxy/{id}/x"));
        let answer = world.server.http.get(url).bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let seen = upstream.seen().pop().unwrap();
        assert!(seen.contains(expected), "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_with_oauth_of_its_own_gets_a_token_that_is_fetched_once() {
    let tokens = Upstream::start(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{\"access_token\":\"upstream-token-123456\",\"token_type\":\"Bearer\",\"expires_in\":120}",
    )
    .await;
    let upstream = Upstream::start(OK).await;
    let world = World::with(Backend::Sqlite, &LOCAL).await;
    let value = json!({"oauth_client_credentials": {
        "token_url": format!("{}/token", tokens.base), "client_id": "us", "client_secret": "s3cr3t-of-ours", "scope": "chat",
    }});
    let new = json!({"owner": "acme", "name": "oauth", "value": value, "base_url": upstream.base});
    world.server.create("/credentials", new).await;
    world.server.create("/grants", json!({"credential": "acme.oauth", "agent": world.agent.id})).await;
    let token = world.token(&world.agent).await;
    let call = || async {
        let url = world.server.url("/proxy/acme.oauth/x");
        world.server.http.get(url).bearer_auth(&token).send().await.unwrap().status()
    };
    let calls = futures_util::future::join_all((0..8).map(|_| call())).await;
    assert!(calls.iter().all(|status| *status == StatusCode::OK), "{calls:?}");
    assert_eq!(tokens.seen().len(), 1, "one of many fetches it");
    assert!(tokens.seen()[0].contains("authorization: Basic dXM6czNjcjN0LW9mLW91cnM=\r\n"), "{:?}", tokens.seen());
    assert!(upstream.seen().iter().all(|seen| seen.contains("authorization: Bearer upstream-token-123456\r\n")));
    world.server.clock.advance(100);
    assert_eq!(call().await, StatusCode::OK);
    assert_eq!(tokens.seen().len(), 2, "fetched anew before it ends");
}
