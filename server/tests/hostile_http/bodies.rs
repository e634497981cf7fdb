//! Bodies that are too large, too short, too long, too slow, or whose sender has gone.

use crate::raw::{Answer, FORM, GRANT, Raw, basic, issued, serves, token_request};
use std::time::Duration;
use stipend::limits::MAX_BODY_BYTES;
use stipend::testing::{TestClient, TestServer};
use stipend_schema::Backend;

async fn world() -> (TestServer, TestClient) {
    let server = TestServer::start(Backend::Sqlite).await;
    server.create_owner("acme").await;
    server.create_resource("acme", "https://orders.example", &["read"], &[]).await;
    let client = server.create_client("acme", "good", "agent", &[("https://orders.example", &["read"])]).await;
    (server, client)
}

fn head(client: &TestClient, length: usize) -> String {
    let basic = basic(client);
    format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {basic}\r\n{FORM}Content-Length: {length}\r\n\r\n"
    )
}

fn assert_json(answer: &Answer, status: u16) {
    assert_eq!((answer.status, answer.error().as_deref()), (status, Some("invalid_request")), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_body_beyond_its_limit_is_413_by_what_it_says_or_by_what_it_is() {
    let (server, client) = world().await;
    let mut said = Raw::to(&server).await;
    said.say(head(&client, MAX_BODY_BYTES + 1)).await;
    assert_json(&said.answer().await.unwrap(), 413);
    let mut huge = Raw::to(&server).await;
    huge.say(head(&client, usize::MAX / 2)).await;
    assert_json(&huge.answer().await.unwrap(), 413);
    let mut chunked = Raw::to(&server).await;
    let basic = basic(&client);
    chunked
        .say(format!(
            "POST /oauth2/token HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {basic}\r\n{FORM}Transfer-Encoding: chunked\r\n\r\n"
        ))
        .await;
    let chunk = format!("4000\r\n{}\r\n", "a".repeat(0x4000));
    for _ in 0..5 {
        chunked.say(&chunk).await;
    }
    assert_json(&chunked.answer().await.unwrap(), 413);
    serves(&server, &client).await;
    assert_eq!(issued(&server, &client).await, 1);
}

/// What is there beyond the length is the next request, and no part of this one. Where it is none,
/// the library closes at once, also over the answer to the one before.
#[tokio::test]
async fn a_body_longer_than_it_says_ends_where_it_said_and_the_rest_is_no_request() {
    let (server, client) = world().await;
    let mut raw = Raw::to(&server).await;
    raw.say(head(&client, GRANT.len()) + GRANT + "&scope=nothing\r\n\r\n").await;
    let statuses: Vec<u16> = raw.answers().await.iter().map(|answer| answer.status).collect();
    assert!([&[][..], &[200], &[400], &[200, 400]].contains(&&statuses[..]), "{statuses:?}");
    assert!(issued(&server, &client).await <= 1);
    serves(&server, &client).await;
}

/// A body that stops short: its sender waits, hangs up, or says that no more will come. One that
/// waits is told after ten seconds; a seat it never had.
#[tokio::test]
async fn a_body_that_never_comes_is_408_and_nothing_is_done_for_one_that_was_cut_off() {
    let (server, client) = world().await;
    let short = head(&client, GRANT.len() + 100) + GRANT;
    let mut waits = Raw::to(&server).await;
    waits.say(&short).await;
    let mut drips = Raw::to(&server).await;
    drips.say(&short).await;
    let mut hangs_up = Raw::to(&server).await;
    hangs_up.say(&short).await;
    drop(hangs_up);
    let mut half_closed = Raw::to(&server).await;
    half_closed.say(&short).await;
    half_closed.finish().await;
    let (cut_off, ()) = tokio::join!(half_closed.answers(), async {
        for _ in 0..3 {
            serves(&server, &client).await;
            drips.say("&").await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    });
    assert!(cut_off.iter().all(|answer| answer.status == 400), "{cut_off:?}");
    let (waited, dripped) = tokio::join!(waits.answers(), drips.answers());
    for answers in [waited, dripped] {
        assert_eq!(answers.len(), 1);
        assert_json(&answers[0], 408);
        assert_eq!(answers[0].header("connection"), Some("close"));
    }
    assert_eq!(issued(&server, &client).await, 3);
}

/// A client that says all and then that it will say no more. It has gone, as far as this server
/// can tell: it is answered or not, and the connection ends.
#[tokio::test]
async fn half_closed_sockets_end_and_others_go_on() {
    let (server, client) = world().await;
    let mut raw = Raw::to(&server).await;
    raw.say(token_request(&client, "")).await;
    raw.finish().await;
    let answers = raw.answers().await;
    assert!(answers.len() <= 1 && answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let mut early = Raw::to(&server).await;
    early.finish().await;
    assert!(early.answers().await.len() <= 1);
    serves(&server, &client).await;
}

/// Every kind of answer that no handler of ours was asked for.
#[tokio::test]
async fn what_is_refused_before_a_handler_is_json_all_the_same() {
    let (server, client) = world().await;
    let token = server.admin_token().await;
    for (line, expected) in [
        ("GET /nowhere HTTP/1.1", 404),
        ("GET /%ff%fe HTTP/1.1", 404),
        ("GET /status/%ff HTTP/1.1", 404),
        ("GET /budget/lines/%ff HTTP/1.1", 401),
        ("POST /budget/holds/%ff/capture HTTP/1.1", 400),
        ("GET /oauth2/token HTTP/1.1", 405),
        ("DELETE /oauth2/token HTTP/1.1", 405),
        ("OPTIONS /oauth2/token HTTP/1.1", 405),
        ("TRACE /oauth2/token HTTP/1.1", 405),
        ("POST /oauth2/jwks HTTP/1.1", 405),
        ("GET /ssf/stream?stream_id=a&stream_id=b HTTP/1.1", 400),
        ("GET /ssf/status?other=%ff HTTP/1.1", 401),
        ("GET /admin/v1/owners?limit=a HTTP/1.1", 400),
        ("GET /admin/v1/owners?limit=1&limit=2 HTTP/1.1", 400),
        ("GET /admin/v1/agents/%ff HTTP/1.1", 404),
        ("GET /admin/v1/nowhere HTTP/1.1", 404),
        ("PUT /admin/v1/owners HTTP/1.1", 405),
        ("GET /* HTTP/1.1", 404),
        ("OPTIONS * HTTP/1.1", 404),
    ] {
        let bearer =
            if line.contains("/admin/") { format!("Authorization: Bearer {token}\r\n") } else { String::new() };
        let mut raw = Raw::to(&server).await;
        raw.say(format!("{line}\r\nHost: a\r\n{bearer}Content-Length: 0\r\n\r\n")).await;
        let answer = raw.answer().await.unwrap();
        assert_eq!(answer.status, expected, "{line}: {answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{line}: {answer:?}");
        let body: serde_json::Value = serde_json::from_str(&answer.body).expect(line);
        assert!(body["error"].is_string() || body["code"].is_string(), "{line}: {body}");
    }
    serves(&server, &client).await;
}
