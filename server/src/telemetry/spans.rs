//! Requests as spans: which are recorded, and what they say. A span is made from a [`Trail`] when
//! the request is over, by the task that exports it; the request's own task only draws two random
//! numbers.
//!
//! The attributes are the list in [`Ended::attributes`], and nothing else ever gets into one.

use super::request::Ended;
use super::trail::{Log, Phase, Recorded, Trail};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample, SpanData, SpanEvents, SpanLinks,
};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the request's span stands.
#[derive(Clone, Debug)]
pub struct Traced {
    pub trace_id: TraceId,
    pub(super) span_id: SpanId,
    /// The caller's span.
    pub(super) parent: Option<SpanId>,
    pub(super) state: TraceState,
}

/// Decides which requests are recorded.
#[derive(Debug)]
pub(super) struct Traces {
    sampler: Sampler,
    ids: RandomIdGenerator,
}

impl Traces {
    pub fn new(sampler: Sampler) -> Self {
        Self { sampler, ids: RandomIdGenerator::default() }
    }

    /// A span for a request, if it is to be recorded.
    pub fn begin(&self, parent: Option<SpanContext>) -> Option<Traced> {
        let trace_id = parent.as_ref().map_or_else(|| self.ids.new_trace_id(), SpanContext::trace_id);
        let above = parent.as_ref().map(SpanContext::span_id);
        // Nothing of the request is looked at: a name that a stranger chose is none.
        let context = parent.map(|parent| Context::new().with_remote_span_context(parent));
        let sampled = self.sampler.should_sample(context.as_ref(), trace_id, "", &SpanKind::Server, &[], &[]);
        if sampled.decision != SamplingDecision::RecordAndSample {
            return None;
        }
        Some(Traced { trace_id, span_id: self.ids.new_span_id(), parent: above, state: sampled.trace_state })
    }
}

/// A request that is over, on its way to the collector.
#[derive(Debug)]
pub(super) struct Finished {
    pub trail: Arc<Trail>,
    pub took: Duration,
    pub ended: Ended,
}

impl Finished {
    /// The request's span, and one for each of its phases.
    pub fn spans(self, scope: &InstrumentationScope) -> Vec<SpanData> {
        let Self { trail, took, ended } = self;
        let Some(traced) = &trail.traced else { return Vec::new() };
        let log = trail.log.lock();
        let start = UNIX_EPOCH + Duration::from_micros(u64::try_from(trail.at).unwrap_or(0));
        let ids: Vec<SpanId> = log.phases.iter().map(|_| RandomIdGenerator::default().new_span_id()).collect();
        let mut spans = Vec::with_capacity(ids.len().saturating_add(1));
        spans.push(root(traced, (start, took), &ended, &log, scope));
        for (recorded, id) in log.phases.iter().zip(&ids) {
            let parent = recorded.within.and_then(|place| ids.get(place)).copied().unwrap_or(traced.span_id);
            spans.push(child(traced, start, recorded, (*id, parent), scope));
        }
        spans
    }
}

fn root(
    traced: &Traced,
    (start, took): (SystemTime, Duration),
    ended: &Ended,
    log: &Log,
    scope: &InstrumentationScope,
) -> SpanData {
    let failed = ended.status.is_none_or(|status| status >= 500);
    SpanData {
        span_context: context(traced, traced.span_id),
        parent_span_id: traced.parent.unwrap_or(SpanId::INVALID),
        parent_span_is_remote: traced.parent.is_some(),
        span_kind: SpanKind::Server,
        name: ended.name(),
        start_time: start,
        end_time: start + took,
        attributes: ended.attributes(&log.facts),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        // HTTP semantic conventions: a refusal is no error of the server.
        status: if failed { Status::error("") } else { Status::Unset },
        instrumentation_scope: scope.clone(),
    }
}

fn child(
    traced: &Traced,
    start: SystemTime,
    recorded: &Recorded,
    (id, parent): (SpanId, SpanId),
    scope: &InstrumentationScope,
) -> SpanData {
    let outside = matches!(recorded.phase, Phase::Upstream | Phase::Fetch);
    SpanData {
        span_context: context(traced, id),
        parent_span_id: parent,
        parent_span_is_remote: false,
        span_kind: if outside { SpanKind::Client } else { SpanKind::Internal },
        name: Cow::Borrowed(recorded.phase.as_str()),
        start_time: start + recorded.from,
        end_time: start + recorded.from + recorded.took,
        attributes: vec![KeyValue::new("stipend.phase", recorded.phase.as_str())],
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: scope.clone(),
    }
}

fn context(traced: &Traced, id: SpanId) -> SpanContext {
    SpanContext::new(traced.trace_id, id, TraceFlags::SAMPLED, false, traced.state.clone())
}
