//! A collector for OTLP over HTTP, good or bad, that keeps what it was sent.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Manner {
    Takes,
    /// Takes, and says that it threw so many spans away.
    Rejects(i64),
    /// Never answers.
    Hangs,
    /// Answers after this.
    Slow(Duration),
    Status(u16),
    /// Closes the connection in place of an answer.
    Closes,
    /// Answers with more than anybody reads.
    Endless,
}

#[derive(Default)]
struct Kept {
    /// Path, head and body of each request.
    requests: Vec<(String, String, Vec<u8>)>,
}

pub struct Collector {
    pub base: String,
    kept: Arc<Mutex<Kept>>,
    manner: Arc<Mutex<Manner>>,
}

impl Collector {
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (kept, manner) = (Arc::default(), Arc::new(Mutex::new(manner)));
        let (keeps, behaves) = (Arc::clone(&kept), Arc::clone(&manner));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&keeps), Arc::clone(&behaves)));
            }
        });
        Self { base, kept, manner }
    }

    pub fn behave(&self, manner: Manner) {
        *self.manner.lock() = manner;
    }

    /// Settings of a node that sends here, soon.
    pub fn settings(&self) -> Vec<(&str, &str)> {
        vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &self.base),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
            ("STIPEND_METRICS_LISTEN", "127.0.0.1:0"),
        ]
    }

    pub fn requests(&self) -> Vec<(String, String, Vec<u8>)> {
        self.kept.lock().requests.clone()
    }

    pub fn traces(&self) -> Vec<ExportTraceServiceRequest> {
        self.decoded("/v1/traces")
    }

    fn decoded<M: Message + Default>(&self, path: &str) -> Vec<M> {
        let requests = self.requests();
        let bodies = requests.iter().filter(|(of, ..)| of == path).map(|(.., body)| body.as_slice());
        bodies.map(|body| M::decode(body).expect("a message of OTLP")).collect()
    }

    pub fn spans(&self) -> Vec<Span> {
        let resources = self.traces().into_iter().flat_map(|message| message.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    /// The metrics of the newest export.
    pub fn metrics(&self) -> BTreeMap<String, Metric> {
        let newest = self.decoded::<ExportMetricsServiceRequest>("/v1/metrics").pop().unwrap_or_default();
        let scopes = newest.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        scopes.flat_map(|scope| scope.metrics).map(|metric| (metric.name.clone(), metric)).collect()
    }

    /// The spans of a trace, once its root is there.
    pub async fn trace(&self, trace_id: &str) -> Vec<Span> {
        let of = |span: &Span| hex(&span.trace_id) == trace_id;
        self.until(|| self.spans().iter().any(|span| of(span) && span.kind == 2)).await;
        self.spans().into_iter().filter(of).collect()
    }

    /// The root span of a request that this header names.
    pub async fn request(&self, request_id: &str) -> Span {
        let of = |span: &Span| text(&span.attributes, "stipend.request_id") == request_id;
        self.until(|| self.spans().iter().any(of)).await;
        self.spans().into_iter().find(of).unwrap()
    }

    pub async fn until(&self, is: impl Fn() -> bool) {
        for _ in 0..600 {
            if is() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the collector was not sent what was waited for");
    }
}

async fn serve(mut socket: TcpStream, kept: Arc<Mutex<Kept>>, manner: Arc<Mutex<Manner>>) {
    while let Some((path, head, body)) = read(&mut socket).await {
        kept.lock().requests.push((path, head, body));
        let manner = *manner.lock();
        let answer = match manner {
            Manner::Takes => ok(&[]),
            Manner::Rejects(rejected_spans) => {
                let partial = ExportTracePartialSuccess { rejected_spans, error_message: "no".to_owned() };
                ok(&ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec())
            }
            Manner::Slow(pause) => {
                tokio::time::sleep(pause).await;
                ok(&[])
            }
            Manner::Hangs => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                return;
            }
            Manner::Status(status) => format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n").into_bytes(),
            Manner::Closes => return,
            Manner::Endless => {
                let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                let _ = socket.write_all(head).await;
                let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
                while socket.write_all(chunk.as_bytes()).await.is_ok() {}
                return;
            }
        };
        if socket.write_all(&answer).await.is_err() {
            return;
        }
    }
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\n";
    [format!("{head}content-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

async fn read(socket: &mut TcpStream) -> Option<(String, String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16384];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let path = head.split(' ').nth(1)?.to_owned();
    let length: usize =
        head.lines().find_map(|line| line.strip_prefix("content-length: "))?.trim().parse().expect("a length");
    while bytes.len() < end + length {
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    }
    Some((path, head, bytes[end..end + length].to_vec()))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An attribute as text; empty where there is none.
pub fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|one| one.key == key).and_then(|one| one.value.as_ref()?.value.clone());
    match found {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}
