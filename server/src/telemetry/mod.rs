//! What a node tells of itself: metrics and traces. Off by default, and then one branch on the
//! path of a request.
//!
//! The instruments and the messages are OpenTelemetry's; one set of instruments feeds both
//! `/metrics` and OTLP. Nothing here is needed for an answer and nothing waits for a collector:
//! what can't be handed over at once is dropped and counted. No token, secret, form value, path
//! or query may get here, which is why the facts that do are typed and few ([`Ended`],
//! [`trail`]).

mod context;
mod export;
mod feed;
mod gauges;
mod meters;
mod request;
mod spans;
mod trail;

pub use context::{MAX_TRACEPARENT_BYTES, MAX_TRACESTATE_BYTES, MAX_TRACESTATE_MEMBERS, incoming};
pub use feed::MeasuredSink;
pub use request::{Ended, Verdict, known_method};
pub use trail::{MAX_PHASES, Phase, Timed, Trail, carried, client, grant, phase, trace_id};

use crate::app::App;
use crate::clock::{Clock, SystemClock};
use crate::config::TelemetryConfig;
use crate::limits::MAX_LABEL_SETS;
use crate::store::Store;
use export::Exports;
use meters::Meters;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::trace::SpanContext;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_prometheus::PrometheusExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{Instrument, InstrumentKind, Pipeline, SdkMeterProvider, Stream, Temporality};
use prometheus::{Registry, TextEncoder};
use spans::{Finished, Traces};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;
use stipend_keys::random_id;
use stipend_schema::CommitWatch;

const SCOPE: &str = "stipend";

/// A node's telemetry, or none. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Telemetry(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    meter: Meter,
    meters: Arc<Meters>,
    registry: Registry,
    /// The pipeline from the instruments to the reader lives as long as this.
    _provider: SdkMeterProvider,
    traces: Option<Traces>,
    exports: Option<Exports>,
}

/// One reader for both ways out: what is scraped is what is sent.
#[derive(Clone, Debug)]
struct Reader(Arc<PrometheusExporter>);

impl MetricReader for Reader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

impl Telemetry {
    /// Starts what the configuration asks for. No collector need be there.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn start(config: &TelemetryConfig, store: &Store) -> Result<Self, String> {
        if !config.exports() && config.scrape.is_none() {
            return Ok(Self::default());
        }
        let registry = Registry::new();
        let reader = opentelemetry_prometheus::exporter().with_registry(registry.clone()).scope_info_enabled(false);
        let reader = Reader(Arc::new(reader.build().map_err(|error| error.to_string())?));
        let resource = resource(config);
        // Beyond it, all further label sets of an instrument share one.
        let bounded = |_: &Instrument| Stream::builder().with_cardinality_limit(MAX_LABEL_SETS).build().ok();
        let provider = SdkMeterProvider::builder().with_resource(resource.clone()).with_reader(reader.clone());
        let provider = provider.with_view(bounded).build();
        let meter = provider.meter(SCOPE);
        let meters = Arc::new(Meters::new(&meter));
        let exports = match config.exports() {
            true => Some(Exports::start(config, &resource, (reader, Arc::clone(&meters)), store)?),
            false => None,
        };
        let traces = config.traces.as_ref().map(|_| Traces::new(config.sampler.clone()));
        Ok(Self(Some(Arc::new(Inner { meter, meters, registry, _provider: provider, traces, exports }))))
    }

    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Has the gauges look at this node.
    pub fn observe(&self, app: &Arc<App>) {
        if let Some(inner) = &self.0 {
            gauges::observe(inner, app);
        }
    }

    /// A request begins. `parent` is asked for the caller's span where it matters.
    pub fn begin(&self, parent: impl FnOnce() -> Option<SpanContext>) -> Option<Arc<Trail>> {
        let inner = self.0.as_ref()?;
        inner.meters.active.fetch_add(1, Ordering::Relaxed);
        let traced = inner.traces.as_ref().and_then(|traces| traces.begin(parent()));
        // The machine's clock, whatever the node's is: spans of many machines stand side by side.
        Some(Arc::new(Trail::new(SystemClock.micros(), traced)))
    }

    /// The request of this trail is over.
    pub fn end(&self, trail: Arc<Trail>, ended: Ended) {
        let (Some(inner), Some(took)) = (&self.0, trail.end()) else { return };
        inner.meters.request(&ended, took, &trail.log.lock());
        if let (Some(exports), true) = (&inner.exports, trail.traced.is_some()) {
            exports.offer(Finished { trail, took, ended });
        }
    }

    /// What the committer tells.
    #[must_use]
    pub fn commit_watch(&self) -> Option<Arc<dyn CommitWatch>> {
        let inner = self.0.as_ref()?;
        Some(Arc::<Meters>::clone(&inner.meters))
    }

    /// A revocation was applied so long after its commit.
    pub fn revocation_applied(&self, lag: Duration) {
        self.count(|meters| meters.revocation(lag));
    }

    /// A document was fetched, or not.
    pub fn fetched(&self, kind: &'static str, outcome: &'static str, took: Duration) {
        self.count(|meters| meters.fetch(kind, outcome, took));
    }

    /// An upstream answered, or did not.
    pub fn called_upstream(&self, outcome: &'static str, took: Duration) {
        self.count(|meters| meters.upstream(outcome, took));
    }

    /// A rate held a request up, or could not be asked.
    pub fn held_up(&self, limit: &'static str, outcome: &'static str) {
        self.count(|meters| meters.rate(limit, outcome));
    }

    /// A job of this node ran.
    pub fn job_ran(&self, job: &'static str, well: bool) {
        self.count(|meters| meters.job(job, if well { "done" } else { "failed" }));
    }

    fn count(&self, count: impl FnOnce(&Meters)) {
        if let Some(inner) = &self.0 {
            count(&inner.meters);
        }
    }

    /// All metrics in Prometheus's text format. `None`: off.
    #[must_use]
    pub fn scrape(&self) -> Option<String> {
        let inner = self.0.as_ref()?;
        TextEncoder::new().encode_to_string(&inner.registry.gather()).ok()
    }

    /// Hands over what waits, for as long as
    /// [`TELEMETRY_FLUSH`](crate::limits::TELEMETRY_FLUSH), and ends.
    pub async fn stop(&self) {
        if let Some(exports) = self.0.as_ref().and_then(|inner| inner.exports.as_ref()) {
            exports.stop().await;
        }
    }
}

/// Who tells. What the configuration says wins over what is said here.
fn resource(config: &TelemetryConfig) -> Resource {
    let own = [
        KeyValue::new("service.name", config.service_name.clone()),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", random_id("node_")),
    ];
    let given = config.resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    // OTEL_SERVICE_NAME wins over a service.name among the attributes where it was given.
    let named = config.service_name_given.then(|| KeyValue::new("service.name", config.service_name.clone()));
    Resource::builder_empty().with_attributes(own).with_attributes(given).with_attributes(named).build()
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(SCOPE).with_version(env!("CARGO_PKG_VERSION")).build()
}
