//! The instruments, each named once. What a value is labelled with is a list in this module, and
//! every label's values are a list somewhere else in the source: no identifier, path, host or
//! anything else that a stranger chooses becomes one.

use super::request::{Ended, Verdict};
use super::trail::{Log, Phase, ended};
use opentelemetry::metrics::{Counter, Histogram, Meter};
use opentelemetry::{KeyValue, Value};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use stipend_schema::{CommitWatch, Outcome, TransactionReport, WorkReport};

/// Upper bounds of times, in seconds: what is done here takes from a tenth of a millisecond to the
/// two seconds after which it is given up.
const SECONDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Works in one transaction: up to the committer's 512.
const WORKS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
/// Of a request at the token endpoint that never said which grant it is.
const NO_GRANT: &str = "none";
/// Of a refusal that is no line's.
const NO_LEVEL: &str = "none";
/// The route that tokens are had at.
const TOKEN_ROUTE: &str = "/oauth2/token";

/// Everything that is counted as it happens.
#[derive(Debug)]
pub(super) struct Meters {
    requests: Histogram<f64>,
    pub active: AtomicI64,
    tokens: Counter<u64>,
    refusals: Counter<u64>,
    phases: Histogram<f64>,
    batches: Histogram<u64>,
    transactions: Histogram<f64>,
    queued: Histogram<f64>,
    works: Counter<u64>,
    ledger: Counter<u64>,
    revocations: Histogram<f64>,
    fetches: Histogram<f64>,
    upstreams: Histogram<f64>,
    rates: Counter<u64>,
    jobs: Counter<u64>,
    dropped: Counter<u64>,
    exports: Counter<u64>,
}

impl Meters {
    pub fn new(meter: &Meter) -> Self {
        let seconds = |name: &'static str, about: &'static str| {
            meter.f64_histogram(name).with_unit("s").with_description(about).with_boundaries(SECONDS.to_vec()).build()
        };
        let counter = |name: &'static str, unit: &'static str, about: &'static str| {
            meter.u64_counter(name).with_unit(unit).with_description(about).build()
        };
        let batches = meter.u64_histogram("stipend.commit.batch.size").with_unit("{work}");
        let batches = batches.with_description("Works that went into one transaction").with_boundaries(WORKS.to_vec());
        Self {
            requests: seconds("http.server.request.duration", "Requests, to the head of the answer"),
            active: AtomicI64::new(0),
            tokens: counter("stipend.token.requests", "{request}", "Requests at the token endpoint"),
            refusals: counter("stipend.refusals", "{request}", "Requests that were refused or failed, by the reason"),
            phases: seconds("stipend.phase.duration", "Parts of the work for a request"),
            batches: batches.build(),
            transactions: seconds("stipend.commit.transaction.duration", "Transactions of the committer"),
            queued: seconds("stipend.commit.queue.duration", "How long works waited for their transaction to begin"),
            works: counter("stipend.commit.works", "{work}", "Works that were submitted, by what became of them"),
            ledger: counter("stipend.ledger.refusals", "{work}", "Refusals of the ledger"),
            revocations: seconds("stipend.revocation.lag", "From a revocation's commit to this node's knowing it"),
            fetches: seconds("stipend.fetch.duration", "Fetches of documents that this node made by itself"),
            upstreams: seconds("stipend.upstream.duration", "Calls of upstreams, to the head of the answer"),
            rates: counter("stipend.rate.refusals", "{request}", "Requests that a rate held up"),
            jobs: counter("stipend.job.runs", "{run}", "Runs of what a node does by itself"),
            dropped: counter("stipend.telemetry.dropped", "{item}", "Telemetry that was given up"),
            exports: counter("stipend.telemetry.exports", "{export}", "Exports to the collector"),
        }
    }

    /// A request is over.
    pub fn request(&self, ended: &Ended, took: Duration, log: &Log) {
        self.active.fetch_sub(1, Ordering::Relaxed);
        self.requests.record(took.as_secs_f64(), &ended.shared());
        let verdict = ended.verdict();
        if ended.route.as_deref() == Some(TOKEN_ROUTE) {
            let grant = KeyValue::new("stipend.grant", log.facts.grant.unwrap_or(NO_GRANT));
            self.tokens.add(1, &[grant, KeyValue::new("stipend.outcome", verdict.as_str())]);
        }
        if let Some(reason) = ended.reason.filter(|_| verdict != Verdict::Granted) {
            self.refusals.add(1, &[KeyValue::new("stipend.reason", reason.as_str())]);
        }
        for recorded in &log.phases {
            let phase = KeyValue::new("stipend.phase", recorded.phase.as_str());
            self.phases.record(recorded.took.as_secs_f64(), &[phase]);
        }
    }

    pub fn revocation(&self, lag: Duration) {
        self.revocations.record(lag.as_secs_f64(), &[]);
    }

    pub fn fetch(&self, kind: &'static str, outcome: &'static str, took: Duration) {
        let labels = [KeyValue::new("stipend.fetch", kind), KeyValue::new("stipend.outcome", outcome)];
        self.fetches.record(took.as_secs_f64(), &labels);
    }

    pub fn upstream(&self, outcome: &'static str, took: Duration) {
        self.upstreams.record(took.as_secs_f64(), &[KeyValue::new("stipend.outcome", outcome)]);
    }

    pub fn rate(&self, limit: &'static str, outcome: &'static str) {
        self.rates.add(1, &[KeyValue::new("stipend.limit", limit), KeyValue::new("stipend.outcome", outcome)]);
    }

    pub fn job(&self, job: &'static str, outcome: &'static str) {
        self.jobs.add(1, &[KeyValue::new("stipend.job", job), KeyValue::new("stipend.outcome", outcome)]);
    }

    pub fn dropped(&self, signal: &'static str, why: &'static str, items: usize) {
        let items = u64::try_from(items).unwrap_or(u64::MAX);
        self.dropped.add(items, &[KeyValue::new("stipend.signal", signal), KeyValue::new("stipend.reason", why)]);
    }

    pub fn export(&self, signal: &'static str, outcome: &'static str) {
        self.exports.add(1, &[KeyValue::new("stipend.signal", signal), KeyValue::new("stipend.outcome", outcome)]);
    }
}

impl CommitWatch for Meters {
    fn transaction(&self, report: &TransactionReport) {
        self.batches.record(u64::try_from(report.works).unwrap_or(u64::MAX), &[]);
        let outcome = if report.committed { "committed" } else { "failed" };
        self.transactions.record(report.took.as_secs_f64(), &[KeyValue::new("stipend.outcome", outcome)]);
    }

    fn work(&self, report: &WorkReport<'_>) {
        ended(if report.ledger { Phase::Ledger } else { Phase::Commit }, report.took);
        if let Some(queued) = report.queued {
            self.queued.record(queued.as_secs_f64(), &[]);
        }
        let outcome = match report.outcome {
            _ if report.declined.is_some() => "declined",
            Outcome::Committed { .. } | Outcome::Settled { .. } => "committed",
            Outcome::Stale => "stale",
            Outcome::Exceeded { .. } => "exceeded",
            Outcome::Replayed { .. } => "replayed",
            Outcome::Conflict => "conflict",
            Outcome::Invalid(_) => "invalid",
            Outcome::Unavailable => "unavailable",
        };
        self.works.add(1, &[KeyValue::new("stipend.outcome", outcome)]);
        if let Some(declined) = report.declined {
            // A step that names no line is refused by none.
            let level = declined.level.and_then(|level| i64::try_from(level).ok());
            let level = level.map_or(Value::from(NO_LEVEL), Value::from);
            self.ledger
                .add(1, &[KeyValue::new("stipend.reason", declined.reason), KeyValue::new("stipend.level", level)]);
        }
    }
}
