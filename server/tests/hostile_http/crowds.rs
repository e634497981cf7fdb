//! Many at once who mean no good, and one who does.

use crate::raw::{FORM, PATIENCE, Raw, basic, serves, token_request};
use futures_util::future::join_all;
use rstest::rstest;
use stipend::testing::{TestClient, TestServer};
use stipend_schema::Backend;

/// Sockets of which nothing comes. A node takes 4096 for each worker.
const IDLE: usize = 500;
const WRONG: usize = 300;

async fn world(backend: Backend) -> (TestServer, TestClient) {
    let server = TestServer::start(backend).await;
    server.create_owner("acme").await;
    server.create_resource("acme", "https://orders.example", &["read"], &[]).await;
    let client = server.create_client("acme", "good", "agent", &[("https://orders.example", &["read"])]).await;
    (server, client)
}

#[tokio::test]
async fn idle_sockets_and_half_requests_are_in_nobodys_way() {
    let (server, client) = world(Backend::Sqlite).await;
    let mut idle = Vec::new();
    for n in 0..IDLE {
        let mut raw = Raw::to(&server).await;
        match n % 4 {
            0 => {}
            1 => raw.say("POST /oauth2/token HTTP/1.1\r\nHost: a\r\n").await,
            // Each of these has its head and no body: more than there are seats.
            2 => raw.say(token_request(&client, "").split_inclusive("\r\n\r\n").next().unwrap()).await,
            _ => {
                raw.say("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await;
                assert_eq!(raw.answer().await.unwrap().status, 200);
            }
        }
        idle.push(raw);
    }
    for _ in 0..20 {
        serves(&server, &client).await;
    }
    drop(idle);
    serves(&server, &client).await;
}

/// Wrong secrets for a client that there is and for clients that there are not, on connections
/// that are closed before the answer and on such that wait for it. The good client is served each
/// time, also on a node that has never seen its secret, and nobody is authenticated.
#[rstest]
#[tokio::test]
async fn a_flood_of_wrong_secrets_stops_nobody(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let (server, client) = world(backend).await;
    serves(&server, &client).await;
    let flood = join_all((0..WRONG).map(|n| {
        let (server, known) = (&server, client.id.clone());
        async move {
            let id = if n % 2 == 0 { known } else { format!("acme.nobody{n}") };
            let guess = TestClient { id, secret: format!("wrong-{n}") };
            let mut raw = Raw::to(server).await;
            raw.say(token_request(&guess, "")).await;
            if n % 3 == 0 {
                return None;
            }
            Some(raw.answer().await.expect("an answer").status)
        }
    }));
    let good = async {
        for _ in 0..30 {
            serves(&server, &client).await;
        }
    };
    let (answers, ()) = tokio::join!(tokio::time::timeout(2 * PATIENCE, flood), good);
    for status in answers.expect("in time").into_iter().flatten() {
        assert!([401, 429, 503].contains(&status), "{status}");
    }
    let again = TestServer::start_on(&server.database_url, &[("STIPEND_ISSUER", &server.issuer)]).await;
    serves(&again, &client).await;
}

/// A body in pieces, each of them a packet, is the same request.
#[tokio::test]
async fn a_request_in_single_bytes_is_a_request() {
    let (server, client) = world(Backend::Sqlite).await;
    let mut raw = Raw::to(&server).await;
    let form = "grant_type=client_credentials";
    let head = format!("POST /oauth2/token HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {}\r\n{FORM}", basic(&client));
    for byte in format!("{head}Content-Length: {}\r\n\r\n{form}", form.len()).bytes() {
        raw.say([byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(raw.answer().await.unwrap().status, 200);
}
