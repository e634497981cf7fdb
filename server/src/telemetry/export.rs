//! The way to a collector: OTLP over HTTP, in protobuf. Two tasks of their own, one for spans and
//! one for metrics; whoever has something to tell offers it to a bounded queue and goes on.
//!
//! A collector that is absent, slow or broken costs what waits for it, which is counted, and
//! nothing else: no request, no readiness, no more than a bounded part of a stop.

use super::meters::Meters;
use super::spans::Finished;
use super::{Reader, scope};
use crate::config::TelemetryConfig;
use crate::limits::{
    MAX_COLLECTOR_ANSWER, MAX_EXPORT_TRIES, MAX_QUEUED_TRACES, MAX_TRACES_AT_ONCE, TELEMETRY_FLUSH,
    TELEMETRY_RETRY_PAUSE,
};
use crate::store::Store;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use parking_lot::Mutex;
use prost::Message;
use reqwest::{Certificate, Client, redirect};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use url::Url;

const TRACES: &str = "traces";
const METRICS: &str = "metrics";

/// The tasks, and the way to them.
#[derive(Debug)]
pub(super) struct Exports {
    queue: Option<mpsc::Sender<Finished>>,
    meters: Arc<Meters>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Exports {
    /// # Errors
    /// That the collector's certificates can't be used.
    pub fn start(
        config: &TelemetryConfig,
        resource: &Resource,
        (reader, meters): (Reader, Arc<Meters>),
        store: &Store,
    ) -> Result<Self, String> {
        let (stop, stopped) = watch::channel(false);
        let post = |url: &Url, signal| {
            let sender = Sender::new(config, url.clone(), signal, (Arc::clone(&meters), stopped.clone()));
            sender.map_err(|error| format!("OTEL_EXPORTER_OTLP_CERTIFICATE: {error}"))
        };
        let mut tasks = Vec::new();
        let mut queue = None;
        if let Some(url) = &config.traces {
            let (offered, taken) = mpsc::channel(MAX_QUEUED_TRACES);
            let spans =
                Spans { taken, resource: resource.into(), delay: config.span_delay, sender: post(url, TRACES)? };
            tasks.push(store.background(spans.run()));
            queue = Some(offered);
        }
        if let Some(url) = &config.metrics {
            tasks.push(store.background(metrics(reader, config.metric_interval, post(url, METRICS)?)));
        }
        Ok(Self { queue, meters, stop, tasks: Mutex::new(tasks) })
    }

    /// Queues a request's spans; without room they are gone.
    pub fn offer(&self, finished: Finished) {
        let Some(queue) = &self.queue else { return };
        if queue.try_send(finished).is_err() {
            self.meters.dropped(TRACES, "queue_full", 1);
        }
    }

    /// Hands over what waits, within [`TELEMETRY_FLUSH`].
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock());
        let until = Instant::now() + TELEMETRY_FLUSH;
        for task in tasks {
            let aborted = task.abort_handle();
            if tokio::time::timeout_at(until, task).await.is_err() {
                aborted.abort();
                tracing::warn!("the collector did not take what was left in time");
            }
        }
    }
}

impl Drop for Exports {
    fn drop(&mut self) {
        for task in self.tasks.lock().iter() {
            task.abort();
        }
    }
}

/// Sends one signal to one place.
struct Sender {
    client: Client,
    url: Url,
    headers: HeaderMap,
    signal: &'static str,
    meters: Arc<Meters>,
    stopped: watch::Receiver<bool>,
    /// Told once per outage.
    failing: AtomicBool,
}

/// Why an export failed: for the log, without what the collector wrote.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("it can't be reached, or did not answer in time")]
    Unreachable,
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("its answer is too long or broken off")]
    Answer,
}

impl Fault {
    /// OTLP/HTTP: these may be tried again, and no others.
    fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable => true,
            Self::Status(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            Self::Answer => false,
        }
    }
}

impl Sender {
    fn new(
        config: &TelemetryConfig,
        url: Url,
        signal: &'static str,
        (meters, stopped): (Arc<Meters>, watch::Receiver<bool>),
    ) -> Result<Self, String> {
        let mut headers = config.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let client = client(config, &url)?;
        Ok(Self { client, url, headers, signal, meters, stopped, failing: AtomicBool::new(false) })
    }

    /// Sends a message, and again after a pause while there is hope and time. The answer, if it
    /// was taken.
    async fn send(&self, body: Vec<u8>) -> Option<Vec<u8>> {
        let body = bytes::Bytes::from(body);
        let mut pause = TELEMETRY_RETRY_PAUSE;
        for tried in 1..=MAX_EXPORT_TRIES {
            let fault = match self.post(body.clone()).await {
                Ok(answer) => {
                    self.meters.export(self.signal, "taken");
                    if self.failing.swap(false, Ordering::Relaxed) {
                        tracing::info!(signal = self.signal, "the collector takes telemetry again");
                    }
                    return Some(answer);
                }
                Err(fault) => fault,
            };
            self.meters.export(self.signal, "failed");
            if !self.failing.swap(true, Ordering::Relaxed) {
                tracing::warn!(signal = self.signal, %fault, "the collector does not take telemetry");
            }
            if tried == MAX_EXPORT_TRIES || !fault.is_passing() || self.pause(pause).await {
                break;
            }
            pause = pause.saturating_mul(2);
        }
        None
    }

    /// Whether the node stops.
    async fn pause(&self, pause: Duration) -> bool {
        let mut stopped = self.stopped.clone();
        tokio::time::timeout(pause, stopped.wait_for(|stopped| *stopped)).await.is_ok()
    }

    async fn post(&self, body: bytes::Bytes) -> Result<Vec<u8>, Fault> {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone()).body(body);
        let mut response = request.send().await.map_err(|_| Fault::Unreachable)?;
        if !response.status().is_success() {
            return Err(Fault::Status(response.status()));
        }
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| Fault::Answer)? {
            if answer.len().saturating_add(chunk.len()) > MAX_COLLECTOR_ANSWER {
                return Err(Fault::Answer);
            }
            answer.extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}

/// The collector is an operator's choice, so no address is refused; but it gets what it is sent
/// and leads nowhere else.
fn client(config: &TelemetryConfig, url: &Url) -> Result<Client, String> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let builder = Client::builder()
        .http1_only()
        .no_proxy()
        .referer(false)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .timeout(config.timeout)
        .pool_max_idle_per_host(1);
    let builder = match &config.ca {
        Some(path) => {
            let pem = std::fs::read(path).map_err(|error| error.to_string())?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| error.to_string())?;
            if certificates.is_empty() {
                return Err("no certificate in it".to_owned());
            }
            builder.tls_certs_only(certificates)
        }
        // Nobody is verified where nothing is encrypted.
        None if url.scheme() == "http" => builder.tls_certs_only([]),
        None => builder,
    };
    builder.build().map_err(|error| error.to_string())
}

/// The task of the spans.
struct Spans {
    taken: mpsc::Receiver<Finished>,
    resource: ResourceAttributesWithSchema,
    delay: Duration,
    sender: Sender,
}

impl Spans {
    async fn run(mut self) {
        let mut stopped = self.sender.stopped.clone();
        let mut batch = Vec::new();
        loop {
            let goes_on = self.gather(&mut batch, &mut stopped).await;
            if !batch.is_empty() {
                self.hand_over(std::mem::take(&mut batch)).await;
            }
            if !goes_on {
                break;
            }
        }
        self.taken.close();
        while self.taken.recv_many(&mut batch, MAX_TRACES_AT_ONCE).await > 0 {
            self.hand_over(std::mem::take(&mut batch)).await;
        }
    }

    /// Waits for a batch that is worth a message. False: the node stops.
    async fn gather(&mut self, batch: &mut Vec<Finished>, stopped: &mut watch::Receiver<bool>) -> bool {
        let mut until = None;
        while batch.len() < MAX_TRACES_AT_ONCE {
            let room = MAX_TRACES_AT_ONCE.saturating_sub(batch.len());
            let end = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return false,
                () = end => return true,
                taken = self.taken.recv_many(batch, room) => if taken == 0 { return false },
            }
            until = until.or_else(|| Some(Instant::now() + self.delay));
        }
        true
    }

    async fn hand_over(&self, batch: Vec<Finished>) {
        let (scope, requests) = (scope(), batch.len());
        let spans = batch.into_iter().flat_map(|finished| finished.spans(&scope)).collect();
        let resource_spans = group_spans_by_resource_and_scope(spans, &self.resource);
        let message = ExportTraceServiceRequest { resource_spans };
        match self.sender.send(message.encode_to_vec()).await {
            None => self.sender.meters.dropped(TRACES, "export_failed", requests),
            Some(answer) => {
                // What it took, but threw away.
                let answer = ExportTraceServiceResponse::decode(answer.as_slice()).unwrap_or_default();
                let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
                if let Some(rejected) = usize::try_from(rejected).ok().filter(|rejected| *rejected > 0) {
                    self.sender.meters.dropped(TRACES, "rejected", rejected);
                }
            }
        }
    }
}

/// The task of the metrics. They are totals, so an export that fails loses nothing for good.
async fn metrics(reader: Reader, interval: Duration, sender: Sender) {
    let mut stops = false;
    while !stops {
        stops = sender.pause(interval).await;
        let mut collected = ResourceMetrics::default();
        if reader.collect(&mut collected).is_ok() {
            let message = ExportMetricsServiceRequest::from(&collected);
            let _ = sender.send(message.encode_to_vec()).await;
        }
    }
}
