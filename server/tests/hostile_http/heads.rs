//! Request heads that are too large, too many or too slow.

use crate::raw::{Raw, answered, serves, token_request};
use std::time::{Duration, Instant};
use stipend::limits::HEAD_DEADLINE;
use stipend::testing::TestServer;
use stipend_schema::Backend;

async fn world() -> (TestServer, stipend::testing::TestClient) {
    let server = TestServer::start(Backend::Sqlite).await;
    server.create_owner("acme").await;
    server.create_resource("acme", "https://orders.example", &["read"], &[]).await;
    let client = server.create_client("acme", "good", "agent", &[("https://orders.example", &["read"])]).await;
    (server, client)
}

fn lines(count: usize, value: usize) -> String {
    (0..count).map(|n| format!("X-{n}: {}\r\n", "v".repeat(value))).collect()
}

/// What arrives whole is told in our words; what the HTTP library gives up on, in its own: a
/// status, no body, and the end of the connection.
#[tokio::test]
async fn a_head_beyond_its_limits_is_431_or_400_and_costs_nobody_else_anything() {
    let (server, client) = world().await;
    // Sixty-odd lines, 16 KiB in all: ours.
    for more in [lines(64, 1), lines(1, 16 * 1024), lines(8, 2048)] {
        let mut raw = Raw::to(&server).await;
        raw.say(token_request(&client, &more)).await;
        let answer = raw.answer().await.unwrap();
        assert_eq!((answer.status, answer.error().as_deref()), (431, Some("invalid_request")), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    for more in [lines(50, 1), lines(1, 15 * 1024)] {
        let mut raw = Raw::to(&server).await;
        raw.say(token_request(&client, &more)).await;
        assert_eq!(raw.answer().await.unwrap().status, 200);
    }
    // More than 96 lines, more than 128 KiB: the library's.
    for (request, status) in [
        (token_request(&client, &lines(100, 1)), 431),
        (format!("GET /healthz HTTP/1.1\r\nHost: a\r\nX: {}", "v".repeat(140_000)), 431),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n", "u".repeat(140_000)), 431),
        (format!("GET /{}", "u".repeat(140_000)), 431),
        (format!("GET /healthz HTTP/1.1\r\nHost: a\r\nX-{}", "n".repeat(140_000)), 431),
    ] {
        let answers = answered(&server, &request).await;
        // A server that closes with bytes unread resets: then the answer may be lost on the way.
        assert!(answers.len() <= 1, "{answers:?}");
        for answer in answers {
            assert_eq!(answer.status, status);
            assert!(answer.body.is_empty(), "{answer:?}");
        }
    }
    // A long address that fits is one that nothing serves; one beyond what an address may be
    // (65534 bytes) can't be read.
    for (length, status) in [(8 * 1024, 404), (70_000, 400)] {
        let request = format!("GET /{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "u".repeat(length));
        let answers = answered(&server, request).await;
        assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [status]);
    }
    serves(&server, &client).await;
}

/// Slow heads: one byte at a time, or none any more. All at once, because each takes its ten seconds.
#[tokio::test]
async fn a_slow_head_is_408_and_the_end_while_others_are_served() {
    let (server, client) = world().await;
    let began = Instant::now();
    let drip = async {
        let mut raw = Raw::to(&server).await;
        raw.say("GET /healthz HTTP/1.1\r\nHost: a\r\n").await;
        let (mut read, mut write) = raw.0.into_split();
        let mut answer = Vec::new();
        let drop_by_drop = async {
            loop {
                let _ = tokio::io::AsyncWriteExt::write_all(&mut write, b"X: y\r\n").await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let read = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut answer);
        tokio::select! {
            _ = read => {}
            () = drop_by_drop => {}
            () = tokio::time::sleep(crate::raw::PATIENCE) => panic!("it is still open"),
        }
        String::from_utf8_lossy(&answer).into_owned()
    };
    let silent = async {
        let mut raw = Raw::to(&server).await;
        raw.say("GET /healthz HT").await;
        raw.answers().await
    };
    let mute = async { Raw::to(&server).await.answers().await };
    let others = async {
        for _ in 0..10 {
            serves(&server, &client).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let (drip, silent, mute, ()) = tokio::join!(drip, silent, mute, others);
    // Its clock is read now and then.
    assert!(began.elapsed() >= HEAD_DEADLINE - Duration::from_secs(2), "{:?}", began.elapsed());
    // The library's own answer: no body, as README says.
    assert!(drip.starts_with("HTTP/1.1 408 ") && drip.ends_with("\r\n\r\n"), "{drip:?}");
    for answers in [silent, mute] {
        assert!(matches!(&answers[..], [answer] if answer.status == 408 && answer.body.is_empty()), "{answers:?}");
    }
    serves(&server, &client).await;
}
