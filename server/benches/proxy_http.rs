//! Calls a second through the proxy, client, server and provider on the same cores, beside the
//! floor in the same run: a bare reverse proxy of the same parts (actix-web and reqwest) that
//! checks and records nothing. Then releases, and the memory of streams that stay open: that
//! of client, server and provider together, whose share the floor's line shows.
//! `cargo bench -p stipend --bench proxy_http`. Times are printed, never asserted.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::as_conversions,
    clippy::disallowed_methods
)]

use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE};
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use serde_json::json;
use std::net::TcpListener;
use std::time::{Duration, Instant};
use stipend::demo::llm::Llm;
use stipend::testing::TestServer;
use stipend_keys::Secret;
use stipend_schema::Backend;
use stipend_schema::testing::sized;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const KEY: &str = "sk-bench-0123456789abcdef";
const WORKERS: usize = 2;
const STREAMS: usize = 1000;

/// What one kind of call is sent to, and the request, written out.
#[derive(Clone)]
struct Wire {
    address: String,
    request: String,
}

impl Wire {
    fn new(address: &str, path: &str, token: &str, body: &str) -> Self {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { address: address.to_owned(), request }
    }

    /// The call as often as it fits, on one connection.
    async fn repeat(self, until: Instant) -> Vec<Duration> {
        let mut connection = Connection::open(&self.address).await;
        let mut times = Vec::new();
        while Instant::now() < until || times.is_empty() {
            let began = Instant::now();
            connection.ask(&self.request).await;
            times.push(began.elapsed());
        }
        times
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

    /// Sends a request and reads the head of the answer, which must be 200: where it ends.
    async fn head(&mut self, request: &str) -> usize {
        self.stream.write_all(request.as_bytes()).await.unwrap();
        self.answer.clear();
        loop {
            assert_ne!(self.stream.read_buf(&mut self.answer).await.unwrap(), 0, "the connection was closed");
            if let Some(end) = self.answer.windows(4).position(|four| four == b"\r\n\r\n") {
                assert!(self.answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&self.answer));
                return end + 4;
            }
        }
    }

    /// The whole answer.
    async fn ask(&mut self, request: &str) {
        let end = self.head(request).await;
        let head = String::from_utf8_lossy(&self.answer[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let whole = |answer: &[u8]| match length {
            Some(length) => answer.len() >= end + length,
            None => answer.ends_with(b"\r\n0\r\n\r\n"),
        };
        while !whole(&self.answer) {
            assert_ne!(self.stream.read_buf(&mut self.answer).await.unwrap(), 0, "the connection was closed");
        }
    }
}

#[derive(Clone)]
struct Onward {
    http: reqwest::Client,
    url: String,
}

/// The floor's one handler.
async fn pass(request: HttpRequest, body: Bytes, onward: Data<Onward>) -> HttpResponse {
    let kind = request.headers().get(CONTENT_TYPE).map(|kind| kind.as_bytes().to_vec()).unwrap_or_default();
    let call = onward.http.post(&onward.url).header(AUTHORIZATION.as_str(), format!("Bearer {KEY}"));
    let answer = call.header(CONTENT_TYPE.as_str(), kind).body(body).send().await.unwrap();
    HttpResponse::Ok().streaming(answer.bytes_stream())
}

/// Starts the floor; it ends with the process.
fn floor(llm: &Llm) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let http = reqwest::Client::builder().no_proxy().http1_only().build().unwrap();
    let onward = Onward { http, url: format!("{}v1/chat/completions", llm.base_url().unwrap()) };
    let server = HttpServer::new(move || App::new().app_data(Data::new(onward.clone())).default_service(web::to(pass)))
        .workers(WORKERS)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
    drop(tokio::spawn(server));
    address
}

/// A server with an agent, and the wires of its calls: without a budget, metered, released.
async fn shop(backend: Backend, llm: &Llm, body: &str) -> (TestServer, [Wire; 3]) {
    let settings = [
        ("STIPEND_UPSTREAM_HTTP_HOSTS", "127.0.0.1"),
        ("STIPEND_UPSTREAM_NETWORKS", "127.0.0.0/8"),
        ("STIPEND_WORKERS", "2"),
    ];
    let server = TestServer::start_with(backend, &settings).await;
    server.create_owner("acme").await;
    let scopes: &[&str] = &["credential:release", "credential:use"];
    let agent = server.create_client("acme", "worker", "agent", &[(&server.url("/credentials"), scopes)]).await;
    let line = json!({"agent": agent.id, "unit": "USD", "decimals": 6, "amount": 999_999_999_999_999_i64});
    server.create("/budgets", line).await;
    let prices = json!({
        "as_of": "2026-01-01", "max_input_tokens": 1000, "max_output_tokens": 100,
        "models": [{"prefix": "", "input": 1_000_000, "cached_input": 1_000_000, "output": 2_000_000}],
    });
    for (name, metering) in [("plain", json!(null)), ("metered", json!({"prices": prices, "max_cost": 40}))] {
        let mut new = json!({
            "owner": "acme", "name": name, "value": {"api_key": {"key": KEY}}, "base_url": llm.base_url().unwrap(),
            "modes": ["proxy", "plaintext"],
        });
        if !metering.is_null() {
            new["metering"] = metering;
        }
        server.create("/credentials", new).await;
        let grant = json!({"credential": format!("acme.{name}"), "agent": agent.id, "modes": ["proxy", "plaintext"]});
        server.create("/grants", grant).await;
    }
    let (address, token) = (server.address(), server.token(&agent, &[]).await);
    let proxied = |name: &str| Wire::new(&address, &format!("/proxy/acme.{name}/v1/chat/completions"), &token, body);
    let release = Wire::new(&address, "/credentials/acme.plain/release", &token, r#"{"mode":"plaintext"}"#);
    let wires = [proxied("plain"), proxied("metered"), release];
    (server, wires)
}

/// Calls a second, and the times at the middle and of the slowest hundredth, in milliseconds.
#[derive(Clone, Copy)]
struct Measured {
    rate: f64,
    p50: f64,
    p99: f64,
}

/// The client has a thread of its own, as another process would.
async fn measure(wire: &Wire, connections: usize) -> Measured {
    let wire = wire.clone();
    let span = Duration::from_secs(sized("STIPEND_BENCH_SECONDS", 4) as u64);
    let client = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let began = Instant::now();
            let mut set = JoinSet::new();
            for _ in 0..connections {
                set.spawn(wire.clone().repeat(began + span));
            }
            let mut times: Vec<Duration> = set.join_all().await.into_iter().flatten().collect();
            times.sort_unstable();
            let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
            Measured { rate: times.len() as f64 / began.elapsed().as_secs_f64(), p50: at(50), p99: at(99) }
        })
    };
    tokio::task::spawn_blocking(client).await.unwrap()
}

fn print(backend: &str, what: &str, connections: usize, measured: Measured, floor: Measured) {
    let Measured { rate, p50, p99 } = measured;
    println!(
        "{backend:<10} {what:<24} {connections:>5} {rate:>9.0} {:>7.2} {p50:>8.2} {p99:>8.2} {:>+9.2} {:>+9.2}",
        rate / floor.rate,
        p50 - floor.p50,
        p99 - floor.p99
    );
}

/// Memory of this process, in KiB.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What so many open streams take, in KiB.
async fn streams(wire: &Wire) -> i64 {
    let before = resident();
    let mut open = Vec::new();
    for _ in 0..STREAMS {
        let mut connection = Connection::open(&wire.address).await;
        connection.head(&wire.request).await;
        open.push(connection);
    }
    resident() - before
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    // The floor has a client of its own, made before any server is.
    stipend::testing::install_crypto();
    let body = |stream: bool| {
        json!({"model": "stand-in-1", "max_tokens": 5, "stream": stream, "messages": [{"role": "user", "content": "one two three four"}]})
            .to_string()
    };
    let llm = Llm::start(Secret::new(KEY.to_owned())).unwrap();
    let floor = floor(&llm);
    let bare = Wire::new(&floor, "/", "none", &body(false));
    println!(
        "{:<10} {:<24} {:>5} {:>9} {:>7} {:>8} {:>8} {:>9} {:>9}",
        "database", "call", "conn", "calls/s", "ratio", "p50 ms", "p99 ms", "p50 added", "p99 added"
    );
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let (server, wires) = shop(backend, &llm, &body(false)).await;
        let name = format!("{backend:?}");
        for connections in [32, 256] {
            let floor = measure(&bare, connections).await;
            print(&name, "bare proxy (the floor)", connections, floor, floor);
            for (what, wire) in ["proxied, no budget", "proxied, metered", "plaintext release"].iter().zip(&wires) {
                // The first look at each record is slower than all that follow.
                measure(wire, 1).await;
                print(&name, what, connections, measure(wire, connections).await, floor);
            }
        }
        server.stop().await;
    }
    // The first event of a stream comes after the pace, its head before.
    llm.set_pace(Duration::from_secs(600));
    let (_server, [plain, metered, _]) = shop(Backend::Sqlite, &llm, &body(true)).await;
    let bare = streams(&Wire::new(&floor, "/", "none", &body(true))).await;
    println!("{STREAMS} open streams: {bare} KiB through the bare proxy");
    for (what, wire) in [("no budget", plain), ("metered", metered)] {
        let took = streams(&wire).await;
        println!("{STREAMS} open streams: {took} KiB, {what} ({:.2} of the bare proxy's)", took as f64 / bare as f64);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
