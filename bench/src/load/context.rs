//! What all flows of a run share, and the one way by which a request leaves: journalled,
//! sent, journalled.

use crate::clock::{Epoch, Micros};
use crate::error::BenchError;
use crate::http::Node;
use crate::load::history::{Attempt, Kind, Operation, Outcome, Request, Sight, Subject, Token, Verdict};
use crate::load::journal::Journal;
use crate::load::latency::Latency;
use crate::load::tokens;
use crate::setup::World;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often an operation without a definite answer is sent again at once, as a client would.
const RETRIES: u32 = 3;
/// Pause before the first retry; it doubles.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Context {
    pub epoch: Epoch,
    pub nodes: Vec<Node>,
    pub world: World,
    pub journal: Arc<Journal>,
    pub latency: Latency,
    /// A token of each planner that lasts for the run.
    pub standing: Vec<Arc<Token>>,
    pub sights: Mutex<Vec<Sight>>,
    /// The journal could not be written: nothing more is sent.
    pub broken: Mutex<Option<BenchError>>,
    next: AtomicU64,
}

impl Context {
    #[must_use]
    pub fn new(epoch: Epoch, nodes: Vec<Node>, world: World, journal: Journal) -> Self {
        Self {
            epoch,
            nodes,
            world,
            journal: Arc::new(journal),
            latency: Latency::default(),
            standing: Vec::new(),
            sights: Mutex::default(),
            broken: Mutex::default(),
            next: AtomicU64::new(1),
        }
    }

    /// An operation that is not sent yet. Its key is its own.
    #[must_use]
    pub fn operation(&self, kind: Kind, request: Request, subject: Subject) -> Operation {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let keyed = !matches!(kind, Kind::Introspect | Kind::Revoke);
        let key = keyed.then(|| format!("{}-{id}", self.world.owner));
        Operation { id, kind, key, request, subject, attempts: Vec::new(), issued: None }
    }

    /// Sends an operation once.
    pub async fn attempt(&self, operation: &Operation, number: usize, node: usize) -> Option<Attempt> {
        let (node, number) = (node % self.nodes.len().max(1), u64::try_from(number).unwrap_or(u64::MAX));
        let server = self.nodes.get(node)?;
        let client = self.world.clients.get(operation.request.client)?;
        let started = self.epoch.micros();
        self.kept(self.journal.sent(operation, number, node, started))?;
        let Request { path, form, .. } = &operation.request;
        let outcome = Outcome::of(server.form(path, client, operation.key.as_deref(), form).await);
        let attempt = Attempt { node, started, ended: self.epoch.micros(), outcome };
        self.kept(self.journal.answered(operation.id, number, &attempt))?;
        Some(attempt)
    }

    fn kept(&self, written: Result<(), BenchError>) -> Option<()> {
        let error = written.err();
        let is_kept = error.is_none() && self.broken.lock().is_none();
        if let Some(error) = error {
            self.broken.lock().get_or_insert(error);
        }
        is_kept.then_some(())
    }

    /// Sends an operation once more, and keeps what came of it. False where nothing was sent.
    pub async fn send(&self, operation: &mut Operation, node: usize) -> bool {
        let Some(attempt) = self.attempt(operation, operation.attempts.len(), node).await else { return false };
        self.keep(operation, attempt);
        true
    }

    /// Keeps an attempt, and the token that it brought.
    pub fn keep(&self, operation: &mut Operation, attempt: Attempt) {
        if let Outcome::Done(reply) = &attempt.outcome
            && operation.kind.issues()
            && operation.issued.is_none()
        {
            operation.issued = tokens::read(&self.world, operation, &reply.body).map(Arc::new);
        }
        operation.attempts.push(attempt);
    }

    /// Sends an operation until it is answered, or [`RETRIES`] are used up.
    pub async fn perform(&self, operation: &mut Operation, node: usize, due: Micros) {
        tokio::time::sleep_until(self.epoch.instant(due)).await;
        let mut pause = RETRY_PAUSE;
        for retry in 0..=RETRIES {
            let next = node + usize::try_from(retry).unwrap_or_default();
            if !self.send(operation, next).await {
                return;
            }
            if !matches!(operation.verdict(), Verdict::Unknown) {
                break;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.latency.record(operation.kind, due, self.epoch.micros());
    }
}
