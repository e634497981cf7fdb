//! Charges, holds and captures a second over HTTP, client and server on the same cores, beside
//! the floors: `/healthz` on the same connections, introspection (all that a hold does except
//! to commit), and one caller, whose every request is a transaction of its own.
//! `cargo bench -p stipend --bench budget_http`. Times are printed, never asserted.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout, clippy::as_conversions)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stipend::testing::TestServer;
use stipend_schema::Backend;
use stipend_schema::testing::{imbalances, sized};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const API: &str = "https://models.example";
const AGENTS: usize = 64;

/// A server with agents that have a line each, and what its clients send.
struct Shop {
    server: TestServer,
    wire: Wire,
}

#[derive(Clone)]
struct Wire {
    address: String,
    authorization: String,
    tokens: Arc<[String]>,
}

impl Shop {
    async fn open(backend: Backend, owners_line: bool) -> Self {
        let server = TestServer::start_with(backend, &[("STIPEND_WORKERS", "2")]).await;
        server.create_owner("acme").await;
        let service = server.create_client("acme", "api", "service", &[]).await;
        let resource = json!({
            "owner": "acme", "uri": API, "name": "models", "scopes": ["read"],
            "introspectors": [service.id], "budget_capable": true,
        });
        server.create("/resources", resource).await;
        let line = |account: &str, id: &str| {
            let mut line = json!({"unit": "USD", "decimals": 6, "amount": 999_999_999_999_999_i64});
            line[account] = json!(id);
            line
        };
        if owners_line {
            server.create("/budgets", line("owner", "acme")).await;
        }
        let mut tokens = Vec::new();
        for agent in 0..AGENTS {
            let agent = server.create_client("acme", &format!("agent{agent}"), "agent", &[(API, &["read"])]).await;
            server.create("/budgets", line("agent", &agent.id)).await;
            tokens.push(server.token(&agent, &[]).await);
        }
        let authorization = STANDARD.encode(format!("{}:{}", service.id, service.secret));
        let wire = Wire { address: server.address(), authorization, tokens: tokens.into() };
        Self { server, wire }
    }
}

/// One connection, kept alive.
struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, answer: Vec::new() }
    }

    /// Sends a request and reads the answer to it, which must be 200: its body.
    async fn ask(&mut self, request: &str) -> &str {
        self.stream.write_all(request.as_bytes()).await.unwrap();
        self.answer.clear();
        let (mut from, mut length) = (0, None);
        loop {
            assert_ne!(self.stream.read_buf(&mut self.answer).await.unwrap(), 0, "the connection was closed");
            if length.is_none()
                && let Some(end) = self.answer.windows(4).position(|four| four == b"\r\n\r\n")
            {
                let head = std::str::from_utf8(&self.answer[..end]).unwrap();
                assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                let is_length = |line: &&str| line.to_ascii_lowercase().starts_with("content-length:");
                let said = head.lines().find(is_length).and_then(|line| line.split(' ').nth(1)).unwrap();
                (from, length) = (end + 4, Some(said.parse::<usize>().unwrap()));
            }
            if length.is_some_and(|length| self.answer.len() >= from + length) {
                return std::str::from_utf8(&self.answer[from..]).unwrap();
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Asks {
    Health,
    Introspection,
    Charge,
    HoldAndCapture,
}

impl Wire {
    fn post(&self, path: &str, form: &str) -> String {
        let Self { address, authorization, .. } = self;
        format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Basic {authorization}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
            form.len()
        )
    }

    /// One connection's requests in turn, for one of its agents after the other.
    async fn spend(self, asks: Asks, connection: usize, connections: usize, until: Instant) -> Vec<Duration> {
        let mut wire = Connection::open(&self.address).await;
        let mine = self.tokens.iter().skip(connection % AGENTS).step_by(connections.min(AGENTS));
        let requests: Vec<String> = match asks {
            Asks::Health => vec![format!("GET /healthz HTTP/1.1\r\nhost: {}\r\n\r\n", self.address)],
            Asks::Introspection => {
                mine.map(|token| self.post("/oauth2/introspect", &format!("token={token}"))).collect()
            }
            Asks::Charge | Asks::HoldAndCapture => {
                let path = if matches!(asks, Asks::Charge) { "/budget/charges" } else { "/budget/holds" };
                mine.map(|token| self.post(path, &format!("token={token}&unit=USD&amount=1000"))).collect()
            }
        };
        let mut times = Vec::new();
        for request in requests.iter().cycle() {
            let began = Instant::now();
            let body = wire.ask(request).await;
            times.push(began.elapsed());
            if matches!(asks, Asks::HoldAndCapture) {
                let id = body.split("\"hold\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
                let capture = self.post(&format!("/budget/holds/{id}/capture"), "amount=700&final=true");
                let began = Instant::now();
                wire.ask(&capture).await;
                times.push(began.elapsed());
            }
            if Instant::now() >= until {
                break;
            }
        }
        times
    }
}

/// The steps' times in order, and how long they took together. The client has a thread of its
/// own, as another process would.
async fn measure(wire: &Wire, asks: Asks, connections: usize) -> (Vec<Duration>, Duration) {
    let wire = wire.clone();
    let span = Duration::from_secs(sized("STIPEND_BENCH_SECONDS", 4) as u64);
    let client = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let began = Instant::now();
            let mut set = JoinSet::new();
            for connection in 0..connections {
                set.spawn(wire.clone().spend(asks, connection, connections, began + span));
            }
            let mut times: Vec<Duration> = set.join_all().await.into_iter().flatten().collect();
            times.sort_unstable();
            (times, began.elapsed())
        })
    };
    tokio::task::spawn_blocking(client).await.unwrap()
}

async fn print(shop: &Shop, what: &str, asks: Asks, connections: usize) {
    let (times, took) = measure(&shop.wire, asks, connections).await;
    let rate = times.len() as f64 / took.as_secs_f64();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
    let backend = format!("{:?}", shop.server.app.store.db().backend());
    println!("{backend:<10} {what:<38} {connections:>5} {rate:>10.0} {:>9.2} {:>9.2}", at(50), at(99));
}

async fn close(shop: Shop) {
    assert_eq!(imbalances(&shop.server.database_url).await.unwrap(), Vec::<String>::new());
    shop.server.stop().await;
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    println!("{:<10} {:<38} {:>5} {:>10} {:>9} {:>9}", "database", "request", "conn", "steps/s", "p50 ms", "p99 ms");
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let shop = Shop::open(backend, false).await;
        // The first look at each client, token and line is slower than all that follow.
        measure(&shop.wire, Asks::Charge, 8).await;
        print(&shop, "/healthz (the stack's floor)", Asks::Health, 64).await;
        print(&shop, "introspection, nothing committed", Asks::Introspection, 64).await;
        print(&shop, "charge, one caller (the floor)", Asks::Charge, 1).await;
        for connections in [32, 64, 256, 1000] {
            print(&shop, "charge", Asks::Charge, connections).await;
        }
        for connections in [64, 256] {
            print(&shop, "hold, capture", Asks::HoldAndCapture, connections).await;
        }
        close(shop).await;
        let shop = Shop::open(backend, true).await;
        measure(&shop.wire, Asks::Charge, 8).await;
        print(&shop, "charge, under one owner's line", Asks::Charge, 64).await;
        print(&shop, "hold, capture, under one owner's line", Asks::HoldAndCapture, 64).await;
        close(shop).await;
    }
}
