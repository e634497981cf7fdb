//! The stories: what one flow does, step after step. The first step is due when the plan says;
//! each further one a short while after the answer before it. A story that loses an answer for
//! good ends there; what it asked is settled at the end of the run.

use crate::clock::Micros;
use crate::load::context::Context;
use crate::load::history::{Kind, Operation, Request, Subject, Token, Verdict};
use crate::load::plan::{Flow, Story};
use crate::setup::UNIT;
use fastrand::Rng;
use serde_json::{Value, json};
use std::sync::Arc;

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// Life of a hold, in seconds: the longest there is, so that none ends by itself in a run.
const HOLD_SECONDS: &str = "3600";
/// From an answer to the next step.
const GAP: std::ops::Range<u64> = 1_000..30_000;
/// After this a revoked token must be dead to whoever asks.
const REVOKED: Micros = 1_050_000;
/// How many times a duplicate is sent at once.
const COPIES: usize = 3;

pub(super) struct Teller<'a> {
    context: &'a Context,
    planner: usize,
    worker: usize,
    rng: Rng,
    due: Micros,
    told: Vec<Operation>,
}

/// Tells the story of a flow: all that was asked in it.
pub async fn tell(context: Arc<Context>, flow: Flow, began: Micros) -> Vec<Operation> {
    let mut teller = Teller {
        context: &context,
        planner: flow.planner,
        worker: flow.worker,
        rng: Rng::with_seed(flow.seed),
        due: began.saturating_add(flow.at),
        told: Vec::new(),
    };
    // None: the story ended early.
    let _ = match flow.story {
        Story::Token => teller.token().await,
        Story::Introspect => teller.introspect_standing().await,
        Story::Charge => teller.charge_standing(None).await.map(|_| ()),
        Story::HoldAndCapture => teller.hold_and_capture().await,
        Story::HoldAndVoid => teller.hold_and_void().await,
        Story::HoldAndLeave => teller.hold_and_leave().await,
        Story::ChargeAndRefund => teller.charge_and_refund().await,
        Story::HandOn => teller.hand_on().await,
        Story::Carve => teller.carve().await,
        Story::Revoke => teller.revoke().await,
        Story::RevokeParent => teller.revoke_parent().await,
        Story::Retry => teller.retry().await,
        Story::Duplicate => teller.duplicate().await,
        Story::Reuse => teller.reuse().await,
    };
    teller.told
}

/// A token for the standing of a planner, asked for as often as it takes.
pub async fn standing(context: &Context, planner: usize) -> (Operation, Option<Arc<Token>>) {
    let (request, subject) = token_request(context, planner, None);
    let mut operation = context.operation(Kind::Token, request, subject);
    context.perform(&mut operation, planner, context.epoch.micros()).await;
    let token = operation.issued.clone();
    (operation, token)
}

fn token_request(context: &Context, planner: usize, amount: Option<i64>) -> (Request, Subject) {
    let agent = context.world.planners.get(planner);
    let mut form = vec![("grant_type", "client_credentials".to_owned())];
    form.extend(amount.map(|amount| ("authorization_details", details(amount, false))));
    let request =
        Request { client: agent.map(|agent| agent.client).unwrap_or_default(), path: "/oauth2/token".to_owned(), form };
    let lines = agent.map(|agent| agent.path.clone()).unwrap_or_default();
    (request, Subject { lines, amount: amount.unwrap_or_default(), ..Subject::default() })
}

/// RFC 9396: a budget asked for.
fn details(amount: i64, carve: bool) -> String {
    let enforce = if carve { "rs" } else { "as" };
    json!([{"type": "budget", "unit": UNIT, "decimals": 0, "amount": amount, "enforce": enforce}]).to_string()
}

impl Teller<'_> {
    /// Does one step: what it was answered, if that was good.
    async fn step(&mut self, kind: Kind, request: Request, subject: Subject) -> Option<Value> {
        let operation = self.context.operation(kind, request, subject);
        self.run(operation).await
    }

    async fn run(&mut self, mut operation: Operation) -> Option<Value> {
        let node = self.rng.usize(0..64);
        self.context.perform(&mut operation, node, self.due).await;
        self.due = self.context.epoch.micros().saturating_add(self.rng.u64(GAP));
        let said = match operation.verdict() {
            Verdict::Done(_, reply) => Some(reply.body.clone()),
            Verdict::Refused(..) | Verdict::Unknown => None,
        };
        self.told.push(operation);
        said
    }

    /// Whether the last step had a definite answer, good or not.
    fn is_answered(&self) -> Option<()> {
        let last = self.told.last()?;
        (!matches!(last.verdict(), Verdict::Unknown)).then_some(())
    }

    fn issued(&self) -> Option<Arc<Token>> {
        self.told.last()?.issued.clone()
    }

    fn standing(&self) -> Option<Arc<Token>> {
        self.context.standing.get(self.planner).cloned()
    }

    async fn get_token(&mut self, amount: Option<i64>) -> Option<Arc<Token>> {
        let (request, subject) = token_request(self.context, self.planner, amount);
        self.step(Kind::Token, request, subject).await?;
        self.issued()
    }

    async fn exchange(&mut self, token: &Arc<Token>, worker: usize, amount: i64, carve: bool) -> Option<Arc<Token>> {
        let client = self.context.world.workers.get(worker)?.client;
        let form = vec![
            ("grant_type", TOKEN_EXCHANGE.to_owned()),
            ("subject_token", token.text.clone()),
            ("subject_token_type", ACCESS_TOKEN.to_owned()),
            ("scope", "work".to_owned()),
            ("authorization_details", details(amount, carve)),
        ];
        let request = Request { client, path: "/oauth2/token".to_owned(), form };
        let lines = token.lines.clone();
        let subject = Subject { token: Some(Arc::clone(token)), amount, lines, carve, ..Subject::default() };
        self.step(Kind::Exchange, request, subject).await?;
        self.issued()
    }

    fn spending(&self, path: String, form: Vec<(&'static str, String)>) -> Request {
        Request { client: self.context.world.service, path, form }
    }

    fn charge_request(&self, token: &Arc<Token>, amount: i64, forbidden: bool) -> (Request, Subject) {
        let form = vec![("token", token.text.clone()), ("unit", UNIT.to_owned()), ("amount", amount.to_string())];
        let (token, lines) = (Some(Arc::clone(token)), token.lines.clone());
        let subject = Subject { token, amount, lines, forbidden, ..Subject::default() };
        (self.spending("/budget/charges".to_owned(), form), subject)
    }

    async fn charge(&mut self, token: &Arc<Token>, amount: i64, forbidden: bool) -> Option<Value> {
        let (request, subject) = self.charge_request(token, amount, forbidden);
        self.step(Kind::Charge, request, subject).await
    }

    async fn charge_standing(&mut self, amount: Option<i64>) -> Option<Value> {
        let token = self.standing()?;
        let amount = amount.unwrap_or_else(|| self.rng.i64(1..10));
        self.charge(&token, amount, false).await
    }

    async fn hold(&mut self, token: &Arc<Token>, amount: i64) -> Option<String> {
        let form = vec![
            ("token", token.text.clone()),
            ("unit", UNIT.to_owned()),
            ("amount", amount.to_string()),
            ("expires_in", HOLD_SECONDS.to_owned()),
        ];
        let (held, lines) = (Some(Arc::clone(token)), token.lines.clone());
        let subject = Subject { token: held, amount, lines, ..Subject::default() };
        let said = self.step(Kind::Hold, self.spending("/budget/holds".to_owned(), form), subject).await?;
        said.get("hold")?.as_str().map(str::to_owned)
    }

    async fn capture(&mut self, hold: &str, lines: &[String], amount: i64, rest: Option<i64>) -> Option<Value> {
        let kind = if rest.is_some() { Kind::LastCapture } else { Kind::Capture };
        let form = vec![("amount", amount.to_string()), ("final", rest.is_some().to_string())];
        let request = self.spending(format!("/budget/holds/{hold}/capture"), form);
        let subject = Subject { amount, lines: lines.to_vec(), frees: rest.unwrap_or_default(), ..Subject::default() };
        self.step(kind, request, subject).await
    }

    async fn introspect(&mut self, token: &Arc<Token>) -> Option<Value> {
        let request = self.spending("/oauth2/introspect".to_owned(), vec![("token", token.text.clone())]);
        let subject = Subject { token: Some(Arc::clone(token)), ..Subject::default() };
        self.step(Kind::Introspect, request, subject).await
    }

    async fn revoke_token(&mut self, token: &Arc<Token>) -> Option<Value> {
        let client = self.context.world.planners.get(self.planner)?.client;
        let request = Request { client, path: "/oauth2/revoke".to_owned(), form: vec![("token", token.text.clone())] };
        let subject = Subject { token: Some(Arc::clone(token)), ..Subject::default() };
        self.step(Kind::Revoke, request, subject).await
    }

    async fn token(&mut self) -> Option<()> {
        let amount = self.rng.bool().then(|| self.rng.i64(1..1000));
        self.get_token(amount).await.map(|_| ())
    }

    async fn introspect_standing(&mut self) -> Option<()> {
        let token = self.standing()?;
        self.introspect(&token).await.map(|_| ())
    }

    async fn hold_and_capture(&mut self) -> Option<()> {
        let (token, amount) = (self.standing()?, self.rng.i64(5..20));
        let hold = self.hold(&token, amount).await?;
        let part = self.rng.i64(1..amount - 2);
        self.capture(&hold, &token.lines, part, None).await?;
        let last = self.rng.i64(1..=amount - part);
        self.capture(&hold, &token.lines, last, Some(amount - part - last)).await.map(|_| ())
    }

    async fn hold_and_void(&mut self) -> Option<()> {
        let (token, amount) = (self.standing()?, self.rng.i64(1..20));
        let hold = self.hold(&token, amount).await?;
        let request = self.spending(format!("/budget/holds/{hold}/void"), Vec::new());
        let subject = Subject { lines: token.lines.clone(), frees: amount, ..Subject::default() };
        self.step(Kind::Void, request, subject).await.map(|_| ())
    }

    async fn hold_and_leave(&mut self) -> Option<()> {
        let (token, amount) = (self.standing()?, self.rng.i64(1..20));
        self.hold(&token, amount).await.map(|_| ())
    }

    async fn charge_and_refund(&mut self) -> Option<()> {
        let (token, amount) = (self.standing()?, self.rng.i64(2..10));
        let capture = self.charge(&token, amount, false).await?.get("capture")?.as_str()?.to_owned();
        let back = self.rng.i64(1..=amount);
        let form = vec![("capture", capture), ("amount", back.to_string())];
        let request = self.spending("/budget/refunds".to_owned(), form);
        let subject = Subject { amount: back, lines: token.lines.clone(), frees: back, ..Subject::default() };
        self.step(Kind::Refund, request, subject).await.map(|_| ())
    }

    async fn hand_on(&mut self) -> Option<()> {
        let (parent, amount) = (self.get_token(None).await?, self.rng.i64(4..16));
        if parent.lines.is_empty() {
            return None;
        }
        let child = self.exchange(&parent, self.worker, amount, false).await?;
        let first = child.granted / 2;
        if first == 0 {
            return None;
        }
        self.charge(&child, first, false).await?;
        // One more than the child has left: refused, whatever there is above it.
        self.charge(&child, child.granted - first + 1, true).await;
        self.is_answered()?;
        self.charge(&child, child.granted - first, false).await.map(|_| ())
    }

    async fn carve(&mut self) -> Option<()> {
        let (parent, amount) = (self.get_token(None).await?, self.rng.i64(4..16));
        if parent.lines.is_empty() {
            return None;
        }
        self.exchange(&parent, self.worker, amount, true).await.map(|_| ())
    }

    async fn revoke(&mut self) -> Option<()> {
        let token = self.get_token(None).await?;
        let held = if token.lines.is_empty() { None } else { self.hold(&token, 4).await };
        self.is_answered()?;
        let order = self.told.len() - 1;
        self.revoke_token(&token).await?;
        if held.is_some() {
            self.send_again(order).await;
        }
        self.hold(&token, 3).await;
        self.exchange(&token, self.worker, 3, false).await;
        self.introspect(&token).await;
        self.due = self.due.saturating_add(REVOKED);
        self.introspect(&token).await;
        self.charge(&token, 2, false).await;
        // What is held may be captured though its token is dead.
        self.capture(&held?, &token.lines, 4, Some(0)).await.map(|_| ())
    }

    async fn revoke_parent(&mut self) -> Option<()> {
        let parent = self.get_token(None).await?;
        if parent.lines.is_empty() {
            return None;
        }
        let child = self.exchange(&parent, self.worker, 6, false).await?;
        self.charge(&child, 3, false).await;
        self.is_answered()?;
        self.revoke_token(&parent).await?;
        self.charge(&child, 1, false).await;
        self.due = self.due.saturating_add(REVOKED);
        self.introspect(&child).await.map(|_| ())
    }

    /// Sent again, to another node, once it is answered.
    async fn retry(&mut self) -> Option<()> {
        self.charge_standing(None).await;
        self.send_again(0).await
    }

    /// One of what was told, to another node: the answer must be the same, also where its
    /// token is dead by now.
    async fn send_again(&mut self, order: usize) -> Option<()> {
        let operation = self.told.get_mut(order)?;
        let node = operation.attempts.last()?.node + 1;
        self.context.send(operation, node).await;
        Some(())
    }

    /// Sent several times at once, to all nodes.
    async fn duplicate(&mut self) -> Option<()> {
        let (token, amount) = (self.standing()?, self.rng.i64(1..10));
        let (request, subject) = self.charge_request(&token, amount, false);
        let (mut operation, context) = (self.context.operation(Kind::Charge, request, subject), self.context);
        tokio::time::sleep_until(context.epoch.instant(self.due)).await;
        let node = self.rng.usize(0..64);
        let (first, second, third) = tokio::join!(
            context.attempt(&operation, 0, node),
            context.attempt(&operation, 1, node + 1),
            context.attempt(&operation, COPIES - 1, node + 2),
        );
        for attempt in [first, second, third].into_iter().flatten() {
            context.keep(&mut operation, attempt);
        }
        context.latency.record(Kind::Charge, self.due, context.epoch.micros());
        self.told.push(operation);
        Some(())
    }

    /// The key of a charge, used for another one: refused, and nothing is done.
    async fn reuse(&mut self) -> Option<()> {
        let (token, amount) = (self.standing()?, self.rng.i64(1..10));
        self.charge(&token, amount, false).await?;
        let key = self.told.last()?.key.clone();
        let (request, subject) = self.charge_request(&token, amount + 1, true);
        let other = Operation { key, ..self.context.operation(Kind::Charge, request, subject) };
        self.run(other).await.map(|_| ())
    }
}
