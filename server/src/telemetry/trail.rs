//! What one request did, as it did it: its phases and a few facts. Kept only where somebody
//! measures; elsewhere [`phase`] is a look at a thread's variable, and nothing more.
//!
//! Nothing of a body, of a header, of a path or of a query gets here: names of phases are a list,
//! and the facts are typed.

use super::spans::Traced;
use parking_lot::Mutex;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Phases of one request that are kept; beyond, they are only counted.
pub const MAX_PHASES: usize = 48;

/// A part of the work for a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Waiting for the request's body.
    Body,
    /// Who asks.
    Authenticate,
    /// Verifying a token that was shown, and whether it still counts.
    Verify,
    /// What records, rules and budgets say.
    Decide,
    /// What policies say.
    Policy,
    /// The wait for the commit.
    Commit,
    /// The same, of a work that the ledger decided.
    Ledger,
    Sign,
    /// Fetching a document of another issuer or client.
    Fetch,
    /// Opening a sealed value, which may ask a key service.
    Open,
    /// The upstream's answer, to its head.
    Upstream,
}

impl Phase {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Authenticate => "authenticate",
            Self::Verify => "verify",
            Self::Decide => "decide",
            Self::Policy => "policy",
            Self::Commit => "commit",
            Self::Ledger => "ledger",
            Self::Sign => "sign",
            Self::Fetch => "fetch",
            Self::Open => "open",
            Self::Upstream => "upstream",
        }
    }
}

/// One phase that ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recorded {
    pub phase: Phase,
    /// Since the request began.
    pub from: Duration,
    pub took: Duration,
    /// The phase that it is part of.
    pub within: Option<usize>,
}

/// What is known of a request when it ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub grant: Option<&'static str>,
    /// Who proved to be it; never what was merely claimed.
    pub client_id: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    pub phases: Vec<Recorded>,
    pub lost: u32,
    pub facts: Facts,
    current: Option<usize>,
    over: bool,
}

/// One request under way.
#[derive(Debug)]
pub struct Trail {
    pub(super) began: Instant,
    /// Of the machine's clock, in microseconds since the epoch.
    pub(super) at: i64,
    pub(super) traced: Option<Traced>,
    pub(super) log: Mutex<Log>,
}

tokio::task_local! {
    static TRAIL: Arc<Trail>;
}

impl Trail {
    pub(super) fn new(at: i64, traced: Option<Traced>) -> Self {
        Self { began: Instant::now(), at, traced, log: Mutex::default() }
    }

    /// Runs the handling of a request so that its phases are recorded here.
    pub async fn scope<T>(self: &Arc<Self>, work: impl Future<Output = T>) -> T {
        TRAIL.scope(Arc::clone(self), work).await
    }

    fn open(&self, phase: Phase) -> Option<usize> {
        let from = self.began.elapsed();
        let mut log = self.log.lock();
        if log.over || log.phases.len() >= MAX_PHASES {
            log.lost = log.lost.saturating_add(1);
            return None;
        }
        let (place, within) = (log.phases.len(), log.current);
        log.phases.push(Recorded { phase, from, took: Duration::ZERO, within });
        log.current = Some(place);
        Some(place)
    }

    fn close(&self, place: usize) {
        let now = self.began.elapsed();
        let mut log = self.log.lock();
        if log.over {
            return;
        }
        if let Some(recorded) = log.phases.get_mut(place) {
            recorded.took = now.saturating_sub(recorded.from);
            log.current = recorded.within;
        }
    }

    fn add(&self, phase: Phase, took: Duration) {
        let from = self.began.elapsed().saturating_sub(took);
        let mut log = self.log.lock();
        if log.over || log.phases.len() >= MAX_PHASES {
            log.lost = log.lost.saturating_add(1);
        } else {
            let within = log.current;
            log.phases.push(Recorded { phase, from, took, within });
        }
    }

    /// Ends it: what comes later is not recorded. Once.
    pub(super) fn end(&self) -> Option<Duration> {
        let took = self.began.elapsed();
        let mut log = self.log.lock();
        for recorded in &mut log.phases {
            // Somebody went away in the middle of it.
            if recorded.took.is_zero() {
                recorded.took = took.saturating_sub(recorded.from);
            }
        }
        (!std::mem::replace(&mut log.over, true)).then_some(took)
    }
}

/// A phase under way: it ends when this is dropped.
#[derive(Debug)]
#[must_use = "the phase ends when this is dropped"]
pub struct Timed(Option<(Arc<Trail>, usize)>);

impl Drop for Timed {
    fn drop(&mut self) {
        if let Some((trail, place)) = &self.0 {
            trail.close(*place);
        }
    }
}

/// Begins a phase of the request that this task serves, if there is one and somebody measures.
pub fn phase(phase: Phase) -> Timed {
    Timed(TRAIL.try_with(|trail| Some((Arc::clone(trail), trail.open(phase)?))).ok().flatten())
}

/// A phase that has just ended.
pub(super) fn ended(phase: Phase, took: Duration) {
    let _ = TRAIL.try_with(|trail| trail.add(phase, took));
}

/// Which grant a token request is about.
pub fn grant(grant: &'static str) {
    let _ = TRAIL.try_with(|trail| trail.log.lock().facts.grant = Some(grant));
}

/// Who has proved to be asking.
pub fn client(id: &str) {
    let _ = TRAIL.try_with(|trail| {
        if trail.traced.is_some() {
            trail.log.lock().facts.client_id = Some(id.to_owned());
        }
    });
}

/// The trace that this task's request is part of, if it is recorded.
#[must_use]
pub fn trace_id() -> Option<opentelemetry::trace::TraceId> {
    TRAIL.try_with(|trail| trail.traced.as_ref().map(|traced| traced.trace_id)).ok().flatten()
}

/// The same work, recorded with the request of this task though another task does it.
pub fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let trail = TRAIL.try_with(Arc::clone).ok();
    async move {
        match trail {
            Some(trail) => TRAIL.scope(trail, work).await,
            None => work.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn phases_nest_as_they_ran_and_stop_at_their_bound_and_at_the_end() {
        let trail = Arc::new(Trail::new(0, None));
        trail
            .scope(async {
                let outer = phase(Phase::Decide);
                drop(phase(Phase::Policy));
                ended(Phase::Commit, Duration::ZERO);
                drop(outer);
                drop(phase(Phase::Sign));
                carried(async { drop(phase(Phase::Open)) }).await;
                for _ in 0..MAX_PHASES {
                    drop(phase(Phase::Fetch));
                }
            })
            .await;
        let seen: Vec<_> = trail.log.lock().phases.iter().map(|one| (one.phase.as_str(), one.within)).collect();
        assert_eq!(
            seen[..6],
            [
                ("decide", None),
                ("policy", Some(0)),
                ("commit", Some(0)),
                ("sign", None),
                ("open", None),
                ("fetch", None)
            ]
        );
        let (kept, lost) = {
            let log = trail.log.lock();
            (log.phases.len(), log.lost)
        };
        assert_eq!((kept, lost), (MAX_PHASES, 5));
        assert!(trail.end().is_some() && trail.end().is_none(), "once");
        assert_eq!(trail.open(Phase::Sign), None);
        assert!(phase(Phase::Sign).0.is_none(), "outside of a request");
    }
}
