//! One admin request: read, or decide and change.
//!
//! A change is load, decide, write: the decision names what it read, and the committer refuses
//! it when any of that changed meanwhile; then it is decided again from scratch, the caller
//! included. Nothing is written outside [`Session::change`], and every refusal is recorded.

use super::api::SCOPE_WRITE;
use super::caller::{Caller, authenticate, unproved};
use super::problem::{Code, Refusal};
use crate::app::App;
use crate::audit::{DONE, Draft, Origin};
use crate::binding::Presentation;
use crate::limits::MAX_DECISIONS;
use crate::reason::Reason;
use crate::signals::{Initiator, announce};
use serde_json::{Map, Value};
use std::future::Future;
use stipend_schema::{AuditDraft, Burn, Db, DbError, Dep, Outcome, Work, Write};

/// A request with a token that was good when it came.
#[derive(Debug)]
pub struct Session<'a> {
    pub app: &'a App,
    pub origin: Origin,
    /// The audit's word for what is done.
    pub event: &'static str,
    /// The thing named by the path, for the audit.
    pub target: Option<String>,
    shown: Presentation,
    caller: Caller,
}

/// What a decision wants done.
#[derive(Debug)]
pub struct Change<T> {
    /// Empty where the thing is as it should be already.
    pub writes: Vec<Write>,
    /// What this changes, for other decisions and the nodes' caches.
    pub changes: Vec<Dep>,
    /// What was read beside the caller.
    pub deps: Vec<Dep>,
    /// Whose thing it is: that owner sees the record.
    pub owner: Option<String>,
    /// Another owner it concerns.
    pub other_owner: Option<String>,
    /// What the record says beside event and target.
    pub detail: Map<String, Value>,
    pub answer: T,
}

impl<T> Change<T> {
    /// Nothing to write, on what was read.
    pub fn none(owner: &str, deps: Vec<Dep>, answer: T) -> Self {
        Self {
            writes: Vec::new(),
            changes: Vec::new(),
            deps,
            owner: Some(owner.to_owned()),
            other_owner: None,
            detail: Map::from_iter([("effect".to_owned(), Value::from("none"))]),
            answer,
        }
    }

    /// A detail for the record.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }
}

impl<'a> Session<'a> {
    /// # Errors
    /// 401, 403 for a missing scope, 503.
    pub async fn open(
        app: &'a App,
        origin: Origin,
        shown: Presentation,
        scope: &'static str,
        event: &'static str,
    ) -> Result<Self, Refusal> {
        let (caller, proof) = authenticate(app, &shown).await?;
        let session = Self { app, origin, event, target: None, shown, caller };
        if let Some(proof) = proof {
            session.use_up(proof).await?;
        }
        let refusal = if !session.caller.scope.contains(scope) {
            Refusal::new(Code::InsufficientScope, "the access token lacks the scope this needs")
        } else if scope == SCOPE_WRITE && session.caller.person().is_some_and(|person| !person.is_fresh) {
            Refusal::new(Code::StaleLogin, "for changes, log in again: the issuer's registration says how recently")
        } else {
            return Ok(session);
        };
        Err(session.refused(refusal).await)
    }

    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What the caller came with.
    #[must_use]
    pub fn shown(&self) -> &Presentation {
        &self.shown
    }

    #[must_use]
    pub fn now(&self) -> i64 {
        self.app.clock.now()
    }

    /// Reads from the database, to the end whatever becomes of the request.
    ///
    /// # Errors
    /// 503.
    pub async fn read<T, Fut>(&self, query: impl FnOnce(Db) -> Fut) -> Result<T, Refusal>
    where
        T: Send + 'static,
        Fut: Future<Output = Result<T, DbError>> + Send + 'static,
    {
        let work = query(self.app.store.db().clone());
        Ok(self.app.store.run(work).await??)
    }

    /// Decides and commits. Changes of the same `turn` wait for one another on this node, so
    /// that a crowd does not overtake itself; between nodes the committer's fence decides.
    ///
    /// # Errors
    /// The decision's refusal, or 503.
    pub async fn change<T>(
        &self,
        turn: &str,
        decide: impl AsyncFn(&Caller) -> Result<Change<T>, Refusal>,
    ) -> Result<T, Refusal> {
        let _turn = self.app.turns.take(turn).await?;
        let mut caller = self.caller.clone();
        for _ in 0..MAX_DECISIONS {
            // Before anything is read: a change in between makes the decision too old, never
            // too new.
            let basis = self.app.live.applied();
            let change = decide(&caller).await?;
            let (work, answer) = self.work(&caller, basis, change);
            let work = announce(self.app, work, None, Initiator::Admin).await.map_err(|_| Refusal::unavailable())?;
            match self.app.committer.submit(work).await {
                Outcome::Committed { .. } => return Ok(answer),
                Outcome::Stale | Outcome::Conflict => {
                    self.app.tailer.catch_up().await;
                    (caller, _) = authenticate(self.app, &self.shown).await?;
                }
                Outcome::Invalid(what) => {
                    tracing::error!(what, event = self.event, "an admin work was refused by the committer");
                    return Err(Refusal::internal());
                }
                Outcome::Replayed { .. }
                | Outcome::Settled { .. }
                | Outcome::Exceeded { .. }
                | Outcome::Unavailable => {
                    return Err(Refusal::unavailable());
                }
            }
        }
        Err(Refusal::new(Code::Overtaken, "the configuration is changing: try again"))
    }

    fn work<T>(&self, caller: &Caller, basis: i64, change: Change<T>) -> (Work, T) {
        let mut draft = self.draft();
        draft.client(caller.id(), change.owner.as_deref().unwrap_or(caller.owner()));
        draft.subject_owner(change.other_owner.as_deref().unwrap_or(caller.owner()));
        for (name, value) in change.detail {
            draft.put(&name, value);
        }
        let mut deps = caller.deps.clone();
        deps.extend(change.deps);
        let work = Work {
            deps,
            writes: change.writes,
            changes: change.changes,
            ..Work::recording(basis, draft.outcome(DONE))
        };
        (work, change.answer)
    }

    fn draft(&self) -> Draft {
        let mut draft = Draft::new(self.event, &self.origin);
        if let Some(target) = &self.target {
            draft.put("target", target.clone());
        }
        if let Some(person) = self.caller.person() {
            draft.put("person", person.describe());
        }
        draft
    }

    /// Uses up the proof of the request before anything else is done: a read commits nothing that
    /// could do it, and a change is decided more than once.
    async fn use_up(&self, proof: Burn) -> Result<(), Refusal> {
        let mut draft = Draft::new("admin.proof_used", &self.origin).replayed(Reason::DpopReplayed);
        draft.client(self.caller.id(), self.caller.owner());
        let work = Work { burn: Some(proof.into()), ..Work::recording(0, draft.outcome(DONE)) };
        match self.app.committer.submit(work).await {
            Outcome::Committed { .. } => Ok(()),
            Outcome::Replayed { .. } => Err(unproved(Reason::DpopReplayed)),
            _ => Err(Refusal::unavailable()),
        }
    }

    /// Records a refusal. What could not be recorded is answered 503.
    pub async fn refused(&self, refusal: Refusal) -> Refusal {
        if refusal.code.status() >= 500 {
            return refusal;
        }
        let mut draft = self.draft();
        draft.client(self.caller.id(), self.caller.owner());
        let record: AuditDraft = draft.refused_as(refusal.code.as_str());
        let work = Work::recording(self.app.live.applied(), record);
        match self.app.committer.submit(work).await {
            Outcome::Committed { .. } => refusal,
            _ => Refusal::unavailable(),
        }
    }
}
