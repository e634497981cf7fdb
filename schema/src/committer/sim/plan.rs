//! What is asked next: issues over three levels, shared and carved, and everything that can be done
//! with what they granted, by clients that know only what they were answered.

use super::client::{Clients, Known, Request};
use super::database::ISSUED;
use crate::ledger::{Answer, NewHold, NewLine, NewToken, Receipt, Step};
use crate::rows::BudgetLineRow;
use parking_lot::Mutex;
use std::sync::Arc;
use stipend_token::budget::{AccountKind, Amount, Enforce, Unit, Window};

/// What the owner has: little, so that it is fought for.
const OWNERS: i64 = 300;
const AGENTS: [&str; 3] = ["one", "two", "three"];
const AGENTS_LIMIT: i64 = 150;
const MAX_DEPTH: usize = 3;

#[derive(Clone, Debug)]
struct Token {
    jti: String,
    ancestors: Vec<String>,
    /// Its line and all above.
    path: Vec<String>,
    carved: bool,
}

/// What the clients have been granted, as far as they were told.
#[derive(Debug, Default)]
struct Had {
    requests: u64,
    tokens: Vec<Token>,
    holds: Vec<(String, i64)>,
    captures: Vec<(String, i64)>,
}

#[derive(Clone, Debug)]
pub(super) struct Plan {
    clients: Clients,
    had: Arc<Mutex<Had>>,
}

fn line(id: &str, parent: Option<&str>, amount: i64) -> BudgetLineRow {
    BudgetLineRow {
        id: id.to_owned(),
        owner_id: "acme".to_owned(),
        account_kind: AccountKind::Agent.as_str().to_owned(),
        account_id: id.to_owned(),
        parent_id: parent.map(str::to_owned),
        unit: "call".to_owned(),
        decimals: 0,
        amount,
        per_call: None,
        time_window: Window::None.to_string(),
        enforce: Enforce::Server.as_str().to_owned(),
        state: "active".to_owned(),
        expires_at: None,
        created_at: 0,
        updated_at: 0,
        increase: 0,
        increase_until: None,
        audience: None,
    }
}

fn amount(parts: i64) -> Amount {
    Amount::new(parts).unwrap_or_default()
}

impl Plan {
    pub fn new(clients: Clients) -> Self {
        let mut state = clients.db.state();
        state.tables.lines.insert("acme".to_owned(), line("acme", None, OWNERS));
        for agent in AGENTS {
            state.tables.lines.insert(agent.to_owned(), line(agent, Some("acme"), AGENTS_LIMIT));
        }
        drop(state);
        Self { clients, had: Arc::default() }
    }

    fn request(&self, event: &'static str) -> Request {
        let mut had = self.had.lock();
        had.requests += 1;
        Request {
            id: had.requests,
            event,
            jti: None,
            tokens: Vec::new(),
            step: None,
            burn: None,
            counts: false,
            revokes: None,
        }
    }

    /// One client's next request, and what comes of it.
    pub async fn step(&self) {
        let chance = &self.clients.chance;
        match chance.below(20) {
            0..=3 => self.issue().await,
            4..=8 => self.spend(true).await,
            9..=10 => self.spend(false).await,
            11..=13 => self.capture().await,
            14 => self.end_hold().await,
            15 => self.refund().await,
            16 => self.revoke().await,
            17 => self.report().await,
            18 => self.use_up().await,
            _ => self.count().await,
        }
    }

    fn some_token(&self) -> Option<Token> {
        self.clients.chance.pick(&self.had.lock().tokens).cloned()
    }

    async fn issue(&self) {
        let chance = &self.clients.chance;
        let parent = self
            .some_token()
            .filter(|token| !token.carved && token.ancestors.len() + 1 < MAX_DEPTH && !chance.one_in(3));
        let agent = chance.pick(&AGENTS).copied().unwrap_or("one");
        let (ancestors, above) = match parent {
            Some(parent) => {
                let ancestors = parent.ancestors.iter().chain([&parent.jti]).cloned().collect();
                (ancestors, parent.path)
            }
            None => (Vec::new(), vec![agent.to_owned(), "acme".to_owned()]),
        };
        let mut request = self.request(ISSUED);
        let (jti, line_id) = (format!("t{}", request.id), format!("b{}", request.id));
        let carved = chance.one_in(5);
        let asked = NewLine {
            line_id: line_id.clone(),
            owner_id: "acme".to_owned(),
            unit: Unit::new("call", 0).unwrap(),
            amount: amount(1 + i64::try_from(chance.below(60)).unwrap_or_default()),
            per_call: None,
            enforce: if carved { Enforce::Service } else { Enforce::Server },
            above: above.clone(),
            required: true,
            max_children: Some(4),
            due_at: 0,
        };
        let new = NewToken { jti: jti.clone(), audience: "aud".to_owned(), expires_at: i64::MAX, lines: vec![asked] };
        request.jti = Some(jti.clone());
        request.tokens.clone_from(&ancestors);
        request.step = Some(Step::Issue(new));
        self.clients.db.state().lineage.insert(jti.clone(), ancestors.clone());
        if self.done(&request).await.is_some() {
            let path = [line_id].into_iter().chain(above).collect();
            self.had.lock().tokens.push(Token { jti, ancestors, path, carved });
        }
    }

    /// The receipt of a request that was done.
    async fn done(&self, request: &Request) -> Option<Receipt> {
        match self.clients.ask(request).await? {
            Known::Answered(answer) => match *answer {
                Answer::Done(receipt) => Some(receipt),
                Answer::Declined(_) => None,
            },
            Known::Committed | Known::Refused | Known::Dead => None,
        }
    }

    /// A charge, or a hold only.
    async fn spend(&self, at_once: bool) {
        let Some(token) = self.some_token() else { return };
        let mut request = self.request(if at_once { "budget.charged" } else { "budget.held" });
        let (hold_id, capture_id) = (format!("h{}", request.id), format!("c{}", request.id));
        let much = 1 + i64::try_from(self.clients.chance.below(12)).unwrap_or_default();
        let now = self.clients.nodes.first().map_or(0, super::node::Node::seconds);
        let hold = NewHold {
            hold_id: hold_id.clone(),
            paths: vec![token.path.clone()],
            jti: Some(token.jti.clone()),
            amount: amount(much),
            expires_at: now + 2,
        };
        request.tokens = token.ancestors.iter().chain([&token.jti]).cloned().collect();
        request.step =
            Some(if at_once { Step::Charge { hold, capture_id: capture_id.clone() } } else { Step::Hold(hold) });
        if self.done(&request).await.is_some() {
            let mut had = self.had.lock();
            if at_once {
                had.captures.push((capture_id, much));
            } else {
                had.holds.push((hold_id, much));
            }
        }
    }

    async fn capture(&self) {
        let chance = &self.clients.chance;
        let Some((hold_id, held)) = chance.pick(&self.had.lock().holds).cloned() else { return };
        let much = 1 + i64::try_from(chance.below(u64::try_from(held).unwrap_or(1))).unwrap_or_default();
        let mut request = self.request("budget.captured");
        let capture_id = format!("c{}", request.id);
        let last = chance.one_in(2);
        request.step = Some(Step::Capture { capture_id: capture_id.clone(), hold_id, amount: amount(much), last });
        if self.done(&request).await.is_some() {
            self.had.lock().captures.push((capture_id, much));
        }
    }

    /// Freed by its service, or by a node's job once its time is over.
    async fn end_hold(&self) {
        let Some((hold_id, _)) = self.clients.chance.pick(&self.had.lock().holds).cloned() else { return };
        let job = self.clients.chance.one_in(2);
        let mut request = self.request(if job { "hold.expired" } else { "budget.voided" });
        request.step = Some(if job { Step::Expire { hold_id } } else { Step::Void { hold_id } });
        self.clients.ask(&request).await;
    }

    async fn refund(&self) {
        let Some((capture_id, much)) = self.clients.chance.pick(&self.had.lock().captures).cloned() else { return };
        let much = 1 + i64::try_from(self.clients.chance.below(u64::try_from(much).unwrap_or(1))).unwrap_or_default();
        let mut request = self.request("budget.refunded");
        request.step = Some(Step::Refund { capture_id, amount: amount(much) });
        self.clients.ask(&request).await;
    }

    async fn revoke(&self) {
        let Some(token) = self.some_token() else { return };
        let mut request = self.request("token.revoked");
        request.revokes = Some(token.jti);
        self.clients.ask(&request).await;
    }

    /// What the service of a carved line has spent, and in the end what it has not.
    async fn report(&self) {
        let carved = self.had.lock().tokens.iter().filter(|token| token.carved).cloned().collect::<Vec<_>>();
        let Some(token) = self.clients.chance.pick(&carved) else { return };
        let Some(line_id) = token.path.first().cloned() else { return };
        let mut request = self.request("budget.reported");
        let spent = amount(i64::try_from(self.clients.chance.below(40)).unwrap_or_default());
        request.step = Some(Step::Report { line_id, spent, last: self.clients.chance.one_in(3) });
        self.clients.ask(&request).await;
    }

    /// One of few assertions, that others may be using at this moment.
    async fn use_up(&self) {
        let mut request = self.request("assertion.used");
        request.burn = Some([u8::try_from(self.clients.chance.below(4)).unwrap_or_default(); 32]);
        self.clients.ask(&request).await;
    }

    async fn count(&self) {
        let mut request = self.request("credential.used");
        request.counts = true;
        self.clients.ask(&request).await;
    }
}
