//! What clients and services ask of the nodes, and what they remember of the answers. They ask
//! again with the same key until they know, as a good client does, and now and then they ask twice
//! at once.

use super::super::{AuditDraft, Burn, Outcome, Position, Work};
use super::chance::Chance;
use super::database::{Database, TOKEN};
use super::node::Node;
use crate::change::Dep;
use crate::custody::Count;
use crate::ledger::{Answer, Spend, SpendKey, Step};
use parking_lot::Mutex;
use serde_json::Map;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use stipend_token::constraint::{Mode, Span};
use tokio::time::sleep;

/// Decisions of one request before it is given up, as the server's.
const MAX_DECISIONS: usize = 4;
/// How often a counter may be counted on in a whole run.
pub(super) const USES: u64 = 5;

/// What is asked, and how it is asked again.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub id: u64,
    pub event: &'static str,
    /// The token that it is asked with, or that is to be issued.
    pub jti: Option<String>,
    /// All that must be alive for it.
    pub tokens: Vec<String>,
    pub step: Option<Step>,
    pub burn: Option<[u8; 32]>,
    pub counts: bool,
    pub revokes: Option<String>,
}

/// What is known of a request in the end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Known {
    Answered(Box<Answer>),
    Committed,
    /// Used before, or a counter full.
    Refused,
    /// Its token was revoked before it was known.
    Dead,
}

/// What all clients together remember.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub known: BTreeMap<u64, Known>,
    /// Requests that may have been done although nobody was told.
    pub maybe: BTreeSet<u64>,
    pub burned: BTreeMap<[u8; 32], usize>,
    pub counted: usize,
    pub answered: u64,
    pub unknown: u64,
    pub stale: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Clients {
    pub db: Database,
    pub nodes: Arc<Vec<Node>>,
    pub memory: Arc<Mutex<Memory>>,
    pub chance: Chance,
}

enum Sent {
    Known(Known),
    /// Whether it may have been done.
    Unknown(bool),
}

impl Request {
    fn work(&self, basis: i64, now: i64) -> Work {
        let record = AuditDraft {
            event: self.event,
            outcome: "ok",
            reason: None,
            on_replay: None,
            owner_id: None,
            subject_owner_id: None,
            client_id: None,
            jti: self.jti.clone(),
            detail: Map::new(),
        };
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&self.id.to_be_bytes());
        let key = SpendKey { key_hash: hash, digest: hash, expires_at: i64::MAX, keep: None };
        // The jobs of a node have no key.
        let key = (self.event != "hold.expired").then_some(key);
        let spend = self.step.clone().map(|step| Spend { client_id: "service".to_owned(), step, key });
        let count = Count {
            key: "uses".to_owned(),
            span: Span::Ever,
            limit: USES,
            mode: Mode::Enforce,
            reason: "uses_exhausted",
            expires_at: now + 3600,
        };
        Work {
            deps: self.tokens.iter().map(|token| Dep::new(TOKEN, token)).collect(),
            burn: self.burn.map(|key_hash| Burn { key_hash, expires_at: i64::MAX }.into()),
            spend,
            counts: if self.counts { vec![count] } else { Vec::new() },
            changes: self.revokes.iter().map(|token| Dep::new(TOKEN, token)).collect(),
            ..Work::recording(basis, record)
        }
    }

    /// Without a key a request is asked once, and what became of it may stay unknown.
    fn can_be_repeated(&self) -> bool {
        self.revokes.is_some() || (self.step.is_some() && self.event != "hold.expired")
    }
}

impl Clients {
    /// Asks until it is known, and now and then twice at once. Equal requests have equal answers.
    pub async fn ask(&self, request: &Request) -> Option<Known> {
        let twice = request.step.is_some() && request.can_be_repeated() && self.chance.one_in(6);
        let (first, second) = if twice {
            let (first, second) = tokio::join!(self.ask_once(request), self.ask_once(request));
            (first, second)
        } else {
            (self.ask_once(request).await, None)
        };
        let both = [first.clone(), second].into_iter().flatten();
        let answers: Vec<Known> = both.filter(|known| matches!(known, Known::Answered(_))).collect();
        if let [one, other] = answers.as_slice()
            && one != other
        {
            self.db.state().violate(format!("one key, two answers: {one:?}, {other:?}"));
        }
        let known = answers.into_iter().next().or(first)?;
        self.remember(request, &known);
        Some(known)
    }

    async fn ask_once(&self, request: &Request) -> Option<Known> {
        loop {
            sleep(self.chance.millis(20)).await;
            let node = self.chance.pick(&self.nodes)?;
            match self.send(node, request).await {
                Sent::Known(known) => return Some(known),
                Sent::Unknown(maybe) => {
                    self.note_unknown(request, maybe);
                    if !request.can_be_repeated() {
                        return None;
                    }
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// One request to one node, decided as the server decides: on its own view first.
    async fn send(&self, node: &Node, request: &Request) -> Sent {
        let mut maybe = false;
        for _ in 0..MAX_DECISIONS {
            let Some(process) = node.process() else { return Sent::Unknown(maybe) };
            node.site.awake().await;
            let view = process.view();
            if view.knows_dead(request.tokens.iter()) {
                return Sent::Known(Known::Dead);
            }
            // Some thinking, in which the view grows old.
            sleep(self.chance.millis(4)).await;
            match process.committer.submit(request.work(view.applied, node.seconds())).await {
                Outcome::Settled { position, settled, .. } => {
                    self.check_recorded(&position);
                    return Sent::Known(Known::Answered(Box::new(settled.answer)));
                }
                Outcome::Committed { position, .. } => {
                    self.check_recorded(&position);
                    return Sent::Known(Known::Committed);
                }
                Outcome::Replayed { position, .. } | Outcome::Exceeded { position, .. } => {
                    self.check_recorded(&position);
                    return Sent::Known(Known::Refused);
                }
                Outcome::Stale => {
                    self.memory.lock().stale += 1;
                    process.catch_up().await;
                }
                Outcome::Unavailable => return Sent::Unknown(true),
                Outcome::Conflict => return Sent::Unknown(maybe),
                Outcome::Invalid(what) => {
                    self.db.state().violate(format!("a work was invalid: {what}"));
                    maybe = true;
                }
            }
        }
        Sent::Unknown(maybe)
    }

    fn note_unknown(&self, request: &Request, maybe: bool) {
        let mut memory = self.memory.lock();
        memory.unknown += 1;
        if maybe {
            memory.maybe.insert(request.id);
        }
    }

    /// No answer before its record.
    fn check_recorded(&self, position: &Position) {
        let mut state = self.db.state();
        if !state.tables.records.contains_key(&(position.writer.clone(), position.n)) {
            state.violate(format!("an answer has no record {}", position.n));
        }
    }

    fn remember(&self, request: &Request, known: &Known) {
        let mut memory = self.memory.lock();
        memory.answered += 1;
        memory.known.insert(request.id, known.clone());
        let done = matches!(known, Known::Committed)
            || matches!(known, Known::Answered(answer) if matches!(**answer, Answer::Done(_)));
        if let Some(key) = request.burn.filter(|_| done) {
            *memory.burned.entry(key).or_default() += 1;
        }
        memory.counted += usize::from(request.counts && done);
    }
}
