//! Requests whose length two readers could see differently (RFC 9112 section 11.2), and protocols
//! that are none. What is hidden behind them is a request that would be answered with a token.

use crate::raw::{Answer, GRANT, Raw, answered, basic, issued, serves, token_request};
use stipend::testing::{TestClient, TestServer};
use stipend_schema::Backend;

struct World {
    server: TestServer,
    /// Whose requests are hidden.
    hidden: TestClient,
    good: TestClient,
}

async fn world() -> World {
    let server = TestServer::start(Backend::Sqlite).await;
    server.create_owner("acme").await;
    server.create_resource("acme", "https://orders.example", &["read"], &[]).await;
    let hidden = server.create_client("acme", "hidden", "agent", &[("https://orders.example", &["read"])]).await;
    let good = server.create_client("acme", "good", "agent", &[("https://orders.example", &["read"])]).await;
    World { server, hidden, good }
}

/// A request with these lines that say how long it is, and what may be its body.
fn dubious(lines: &str, body: &str) -> String {
    format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: as.example\r\nContent-Type: application/x-www-form-urlencoded\r\n{lines}\r\n{body}"
    )
}

/// What the HTTP library answers by itself: no body, and the end of the connection. Pinned, as
/// README says so.
fn is_bare(answers: &[Answer], status: u16) -> bool {
    matches!(answers, [answer] if answer.status == status && answer.body.is_empty()
        && answer.header("content-length") == Some("0"))
}

#[tokio::test]
async fn a_length_that_could_be_read_in_two_ways_is_refused_and_what_is_behind_it_is_no_request() {
    let world = world().await;
    let hidden = token_request(&world.hidden, "");
    let chunks = "0\r\n\r\n";
    for (lines, body) in [
        // Content-Length beside Transfer-Encoding, in both orders.
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", chunks),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", chunks),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", chunks),
        // Encodings that one of two readers may not know.
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", chunks),
        ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", chunks),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunks),
        ("Transfer-Encoding: xchunked\r\n", chunks),
        ("Transfer-Encoding: gzip, chunked\r\n", chunks),
        ("Transfer-Encoding: chunked, identity\r\n", chunks),
        ("Transfer-Encoding: identity\r\n", chunks),
        ("Transfer-Encoding: \"chunked\"\r\n", chunks),
        ("Transfer-Encoding:\u{b}chunked\r\n", chunks),
        ("Transfer-Encoding : chunked\r\n", chunks),
        ("Transfer-Encoding: chu\r\n nked\r\n", chunks),
        ("X: y\r\n Transfer-Encoding: chunked\r\n", chunks),
        // Lengths.
        ("Content-Length: 0\r\nContent-Length: 5\r\n", ""),
        ("Content-Length: 0\r\nContent-Length: 0\r\n", ""),
        ("Content-Length: 0, 5\r\n", ""),
        ("Content-Length: +0\r\n", ""),
        ("Content-Length: -1\r\n", ""),
        ("Content-Length: 0x0\r\n", ""),
        ("Content-Length: 0 5\r\n", ""),
        ("Content-Length: \r\n", ""),
        ("Content-Length: 99999999999999999999999\r\n", ""),
        ("Content-Length : 0\r\n", ""),
        // What ends a line, and what a value may not have in it.
        ("X: a\rb\r\nContent-Length: 0\r\n", ""),
        ("X: a\0b\r\nContent-Length: 0\r\n", ""),
        ("X\0: a\r\nContent-Length: 0\r\n", ""),
        ("X: a\r\n folded\r\nContent-Length: 0\r\n", ""),
        ("Host: other.example\r\nContent-Length: 0\r\n", ""),
    ] {
        let answers = answered(&world.server, dubious(lines, body) + &hidden).await;
        assert!(is_bare(&answers, 400), "{lines:?}: {answers:?}");
    }
    assert_eq!(issued(&world.server, &world.hidden).await, 0);
    serves(&world.server, &world.good).await;
}

/// The head is good, so a handler has begun: it answers that the body can't be read, and the
/// connection ends there.
#[tokio::test]
async fn chunks_that_can_not_be_read_end_the_connection() {
    let world = world().await;
    let hidden = token_request(&world.hidden, "");
    for chunks in [
        "FFFFFFFFFFFFFFFFF\r\n",
        "10000000000000000\r\n",
        "-1\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        " 1\r\na\r\n0\r\n\r\n",
        "+1\r\na\r\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "1\na\r\n0\r\n\r\n",
        "1;\0\r\na\r\n0\r\n\r\n",
        "1;\na\r\n0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "1\r\na0\r\n\r\n",
    ] {
        let request = dubious("Transfer-Encoding: chunked\r\n", chunks);
        let answers = answered(&world.server, request + &hidden).await;
        assert!(answers.len() <= 2 && answers.iter().all(|answer| answer.status == 400), "{chunks:?}: {answers:?}");
    }
    assert_eq!(issued(&world.server, &world.hidden).await, 0);
    serves(&world.server, &world.good).await;
}

/// One that is chunked well is a request like any other, and so is what follows it.
#[tokio::test]
async fn chunks_that_can_be_read_are_a_body_and_what_follows_is_the_next_request() {
    let world = world().await;
    let (basic, length) = (basic(&world.good), GRANT.len());
    let chunked = format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: as.example\r\nAuthorization: Basic {basic}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n\
         {length:x};ext=1\r\n{GRANT}\r\n0\r\n\r\n"
    );
    let mut raw = Raw::to(&world.server).await;
    raw.say(chunked + &token_request(&world.good, "")).await;
    for _ in 0..2 {
        let answer = raw.answer().await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(issued(&world.server, &world.good).await, 2);
}

#[tokio::test]
async fn other_protocols_and_versions_are_none() {
    let world = world().await;
    let hidden = token_request(&world.hidden, "");
    for bytes in [
        "GET /healthz\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0",
        "GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET /healthz HTTP/1.2\r\nHost: a\r\n\r\n",
        "GET /healthz HTTP/1.1\r\n\r\n",
        "GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /healthz HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET /he\0althz HTTP/1.1\r\nHost: a\r\n\r\n",
        "GE\0T /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /oauth2/token HTTP/1.0\r\n\r\n",
        "POST /oauth2/token HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}",
    ] {
        let answers = answered(&world.server, bytes.to_owned() + &hidden).await;
        assert!(is_bare(&answers, 400), "{bytes:?}: {answers:?}");
    }
    assert_eq!(issued(&world.server, &world.hidden).await, 0);
    serves(&world.server, &world.good).await;
}

/// CONNECT makes no tunnel and an upgrade no other protocol. After either the library reads the
/// rest of the connection as a body without an end: nothing of it is a request.
#[tokio::test]
async fn what_asks_for_a_tunnel_is_answered_once_and_closed() {
    let world = world().await;
    let hidden = token_request(&world.hidden, "");
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    for (first, expected) in [
        ("CONNECT as.example:443 HTTP/1.1\r\nHost: as.example\r\n\r\n".to_owned(), &[404, 405][..]),
        ("CONNECT /oauth2/token HTTP/1.1\r\nHost: as.example\r\n\r\n".to_owned(), &[400, 404, 405]),
        (format!("GET /healthz HTTP/1.1\r\nHost: as.example\r\n{upgrade}\r\n"), &[400]),
        (dubious(&format!("{upgrade}Content-Length: {}\r\n", GRANT.len()), GRANT), &[400]),
        (dubious("Upgrade: h2c, WebSocket\r\nContent-Length: 0\r\n", ""), &[400, 401]),
    ] {
        let mut raw = Raw::to(&world.server).await;
        raw.say(first.clone() + &hidden).await;
        let answer = raw.answer().await.expect("an answer");
        assert!(expected.contains(&answer.status), "{first:?}: {answer:?}");
        assert!(answer.error().is_some(), "{first:?}: {answer:?}");
        raw.finish().await;
        let more: Vec<u16> = raw.answers().await.iter().map(|answer| answer.status).collect();
        assert!(more.iter().all(|status| *status == 400), "{first:?}: {more:?}");
    }
    assert_eq!(issued(&world.server, &world.hidden).await, 0);
    serves(&world.server, &world.good).await;
}

/// RFC 9110 section 7.8: an upgrade to HTTP/2 is an offer that need not be taken. RFC 9112 section
/// 3.2.2: the absolute form must be understood; whom it names has no say here.
#[tokio::test]
async fn an_offer_of_http_2_and_the_absolute_form_are_requests_like_others() {
    let world = world().await;
    let offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    let plain = token_request(&world.good, offer);
    let absolute = token_request(&world.good, "").replace("POST /oauth2", "POST http://evil.example/oauth2");
    for request in [plain, absolute] {
        let mut raw = Raw::to(&world.server).await;
        raw.say(request).await;
        let answer = raw.answer().await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let token: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let claims = token["access_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
        let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["iss"], world.server.issuer.as_str());
    }
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_order_and_none_after_one_that_is_broken() {
    let world = world().await;
    let jwks = "GET /oauth2/jwks HTTP/1.1\r\nHost: as.example\r\n\r\n";
    let nowhere = "GET /nowhere HTTP/1.1\r\nHost: as.example\r\n\r\n";
    let token = token_request(&world.good, "");
    let broken = "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
    let hidden = token_request(&world.hidden, "");
    let mut raw = Raw::to(&world.server).await;
    raw.say(format!("{jwks}{nowhere}{token}{jwks}{broken}{hidden}")).await;
    let statuses: Vec<u16> = raw.answers().await.iter().map(|answer| answer.status).collect();
    // What was asked before it is answered, unless the connection is closed over it first.
    let whole = [200, 404, 200, 200, 400];
    assert!(!statuses.is_empty() && whole.starts_with(&statuses[..statuses.len().min(4)]), "{statuses:?}");
    assert!(statuses.len() <= whole.len(), "{statuses:?}");
    assert_eq!(issued(&world.server, &world.hidden).await, 0);
    // An error of ours is no end: what follows it is a request.
    let mut raw = Raw::to(&world.server).await;
    raw.say(format!("{nowhere}{token}")).await;
    assert_eq!(raw.answer().await.unwrap().status, 404);
    assert_eq!(raw.answer().await.unwrap().status, 200);
}
