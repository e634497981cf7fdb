//! A server in memory that does what the checker expects, in one lock, and one thing wrong if
//! it is told to. It signs nothing and keeps nothing.

use crate::fault::Fault;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One request, as it came.
pub struct Asked {
    pub method: String,
    pub path: String,
    pub client: String,
    pub key: Option<String>,
    pub form: BTreeMap<String, String>,
    pub body: Value,
    pub query: BTreeMap<String, String>,
}

#[derive(Default)]
struct Line {
    limit: i64,
    parent: Option<String>,
    held: i64,
    spent: i64,
    carved: i64,
}

impl Line {
    fn left(&self) -> i64 {
        self.limit - self.held - self.spent - self.carved
    }
}

#[derive(Clone)]
struct Token {
    jti: String,
    lineage: Vec<String>,
    lines: Vec<String>,
}

struct Hold {
    lines: Vec<String>,
    left: i64,
    ended: bool,
}

struct Capture {
    lines: Vec<String>,
    left: i64,
}

/// Whose secret everybody has.
pub const ADMIN: &str = "stipend.admin";

#[derive(Default)]
pub struct Fake {
    fault: Option<Fault>,
    next: u64,
    charges: u64,
    changes: u64,
    lines: BTreeMap<String, Line>,
    accounts: BTreeMap<String, String>,
    tokens: BTreeMap<String, Token>,
    revoked: BTreeSet<String>,
    holds: BTreeMap<String, Hold>,
    captures: BTreeMap<String, Capture>,
    answers: BTreeMap<String, (String, u16, Value)>,
    records: Vec<Value>,
}

type Answer = (u16, Value);

fn refusal(status: u16, error: &str) -> Answer {
    (status, json!({ "error": error, "error_description": "refused" }))
}

impl Fake {
    pub fn new(fault: Option<Fault>) -> Self {
        Self { fault, ..Self::default() }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn id(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}{}", self.next)
    }

    /// The answer, with the id of its record.
    pub fn answer(&mut self, asked: &Asked) -> (u16, Value, String) {
        let request = self.id("req_");
        let (status, body) = match asked.path.strip_prefix("/admin/v1") {
            Some(path) => self.admin(asked, path),
            None => self.oauth(asked, &request),
        };
        self.changes += u64::from(asked.key.is_some());
        if self.is(Fault::AnswersAreLost) && asked.key.is_some() && self.changes.is_multiple_of(7) {
            // A request that was not read decides nothing either, though one before it was.
            let status = if self.changes.is_multiple_of(2) { 500 } else { 408 };
            return (status, json!({}), request);
        }
        (status, body, request)
    }

    fn admin(&mut self, asked: &Asked, path: &str) -> Answer {
        let text = |name: &str| asked.body[name].as_str().map(str::to_owned);
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (asked.method.as_str(), parts.as_slice()) {
            ("POST", ["agents"]) => {
                let id = format!("{}.{}", text("owner").unwrap(), text("name").unwrap());
                (201, json!({ "agent": { "id": id }, "client_secret": "secret" }))
            }
            ("POST", ["budgets"]) => {
                let account = text("agent").or_else(|| text("owner")).unwrap();
                let parent = account.split_once('.').and_then(|(owner, _)| self.accounts.get(owner).cloned());
                let id = self.id("bl_");
                let limit = asked.body["amount"].as_i64().unwrap();
                self.lines.insert(id.clone(), Line { limit, parent, ..Line::default() });
                self.accounts.insert(account, id.clone());
                (201, json!({ "id": id }))
            }
            ("POST", _) => (201, json!({})),
            ("GET", ["budgets", id]) => {
                let line = &self.lines[*id];
                let used = json!({
                    "held": line.held, "spent": line.spent, "carved": line.carved, "overage": 0, "remaining": line.left(),
                });
                (200, json!({ "id": id, "amount": line.limit, "used": used }))
            }
            ("GET", ["audit"]) => {
                let from: usize = asked.query.get("after").map_or(0, |after| after.parse().unwrap());
                let items: Vec<&Value> = self.records.iter().skip(from).take(200).collect();
                let more = from + items.len() < self.records.len();
                (200, json!({ "items": items, "next": more.then(|| (from + items.len()).to_string()) }))
            }
            _ => refusal(404, "not_found"),
        }
    }

    fn oauth(&mut self, asked: &Asked, request: &str) -> Answer {
        let parts: Vec<&str> = asked.path.trim_start_matches('/').split('/').collect();
        let event = match parts.as_slice() {
            ["oauth2", "token"] => "token.issued",
            ["oauth2", "revoke"] => "token.revoked",
            ["oauth2", "introspect"] => return self.introspect(asked),
            ["budget", "holds"] => "budget.held",
            ["budget", "holds", _, "capture"] => "budget.captured",
            ["budget", "holds", _, "void"] => "budget.voided",
            ["budget", "charges"] => "budget.charged",
            ["budget", "refunds"] => "budget.refunded",
            _ => return refusal(404, "not_found"),
        };
        self.charges += u64::from(event == "budget.charged");
        let known = asked.key.as_ref().map(|key| format!("{} {event} {key}", asked.client));
        let digest = format!("{} {:?}", asked.path, asked.form);
        let (answer, repeated) = match known.as_ref().and_then(|known| self.answers.get(known).cloned()) {
            Some((same, status, body)) if same == digest || self.is(Fault::KeyIsReused) => {
                (self.again(asked, status, body), true)
            }
            Some(_) => (refusal(422, "idempotency_key_reused"), false),
            None => {
                let answer = self.act(asked, event, &parts);
                if let Some(known) = known {
                    self.answers.insert(known, (digest, answer.0, answer.1.clone()));
                }
                (answer, false)
            }
        };
        self.record(asked, event, request, (answer.0, repeated));
        answer
    }

    fn record(&mut self, asked: &Asked, event: &str, request: &str, (status, repeated): (u16, bool)) {
        let is_planted = event == "budget.charged" && self.charges == 15;
        if is_planted && self.is(Fault::RecordIsForgotten) {
            return;
        }
        let outcome = match (status, repeated, event) {
            (200, true, _) => "repeated",
            (200, false, "token.issued") => "issued",
            (200, ..) if is_planted && self.is(Fault::RecordSaysOtherwise) => "refused",
            (200, ..) => "done",
            _ => "refused",
        };
        let record = |request: &str| json!({ "event": event, "outcome": outcome, "client_id": asked.client, "detail": { "request_id": request } });
        self.records.push(record(request));
        if is_planted && self.is(Fault::RecordIsInvented) {
            self.records.push(record("req_nobody"));
        }
    }

    fn again(&mut self, asked: &Asked, status: u16, mut body: Value) -> Answer {
        let dead = asked.form.get("token").is_some_and(|token| self.is_dead(&self.tokens[token]));
        if self.is(Fault::RetryNeedsALiveToken) && dead {
            return refusal(403, "invalid_token");
        }
        if self.is(Fault::RetryIsDoneTwice) && asked.path == "/budget/charges" && status == 200 {
            let lines = self.tokens[&asked.form["token"]].lines.clone();
            self.take(&lines, |line| line.spent += amount(asked));
        }
        if self.is(Fault::RetryIsAnsweredOtherwise) && status == 200 {
            body["remaining"] = json!(body["remaining"].as_i64().unwrap_or_default() + 1);
        }
        (status, body)
    }

    fn act(&mut self, asked: &Asked, event: &str, parts: &[&str]) -> Answer {
        match event {
            "token.issued" => self.issue(asked),
            "token.revoked" => {
                if let Some(token) = self.tokens.get(&asked.form["token"]) {
                    self.revoked.insert(token.jti.clone());
                }
                (200, Value::Null)
            }
            "budget.held" | "budget.charged" => self.spend(asked, event == "budget.charged"),
            "budget.captured" => self.capture(asked, parts[2]),
            "budget.voided" => self.void(parts[2]),
            _ => self.refund(asked),
        }
    }

    fn is_dead(&self, token: &Token) -> bool {
        if self.is(Fault::ChildrenSurvive) {
            return self.revoked.contains(&token.jti);
        }
        token.lineage.iter().any(|jti| self.revoked.contains(jti))
    }

    fn introspect(&self, asked: &Asked) -> Answer {
        let token = &self.tokens[&asked.form["token"]];
        let planted = self.is(Fault::GoodTokenIsCalledDead) && self.charges > 15;
        let active = (!self.is_dead(token) || self.is(Fault::RevokedIsActive)) && !planted;
        (200, json!({ "active": active }))
    }

    fn issue(&mut self, asked: &Asked) -> Answer {
        let subject = asked.form.get("subject_token").map(|token| self.tokens[token].clone());
        if subject.as_ref().is_some_and(|subject| self.is_dead(subject)) && !self.is(Fault::RevokedSpends) {
            return refusal(400, "invalid_request");
        }
        let wanted: Value =
            asked.form.get("authorization_details").map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
        let wanted = &wanted[0];
        let own = self.accounts.get(&asked.client).map(|line| self.path(line)).unwrap_or_default();
        let above = subject.as_ref().map_or_else(|| own.clone(), |subject| subject.lines.clone());
        let left = above.iter().map(|line| self.lines[line].left()).min().unwrap_or_default();
        if left <= 0 && wanted.is_object() {
            let empty = above.iter().find(|line| self.lines[*line].left() <= 0);
            return (400, json!({ "error": "invalid_authorization_details", "line": empty }));
        }
        let jti = self.id("t_");
        let mut lineage = subject.as_ref().map(|subject| subject.lineage.clone()).unwrap_or_default();
        let mut claims = json!({ "jti": jti, "lineage": lineage, "budget": [] });
        lineage.push(jti.clone());
        let mut lines = Vec::new();
        if left > 0 {
            let more = i64::from(self.is(Fault::MoreIsGranted));
            let granted = wanted["amount"].as_i64().map_or(left, |amount| amount.min(left) + more);
            let (id, carve) = (self.id("bl_"), wanted["enforce"] == "rs");
            if carve && !self.is(Fault::CarvedIsNotTaken) {
                self.take(&above, |line| line.carved += granted);
            }
            let line = Line { limit: granted, parent: above.first().cloned(), ..Line::default() };
            self.lines.insert(id.clone(), line);
            let enforce = if carve { "rs" } else { "as" };
            claims["budget"] = json!([{ "id": id, "unit": "call", "amount": granted, "enforce": enforce }]);
            lines = [vec![id], above, if subject.is_some() { own } else { Vec::new() }].concat();
            let mut once = BTreeSet::new();
            lines.retain(|line| once.insert(line.clone()));
        }
        let text = format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims.to_string()));
        self.tokens.insert(text.clone(), Token { jti, lineage, lines });
        (200, json!({ "access_token": text, "scope": "work" }))
    }

    fn path(&self, line: &str) -> Vec<String> {
        let next = |line: &String| self.lines[line].parent.clone();
        std::iter::successors(Some(line.to_owned()), next).collect()
    }

    fn take(&mut self, lines: &[String], change: impl Fn(&mut Line)) {
        for line in lines {
            change(self.lines.get_mut(line).unwrap());
        }
    }

    fn left(&self, lines: &[String]) -> i64 {
        lines.iter().map(|line| self.lines[line].left()).min().unwrap_or_default().max(0)
    }

    fn spend(&mut self, asked: &Asked, is_charge: bool) -> Answer {
        let (token, amount) = (self.tokens[&asked.form["token"]].clone(), amount(asked));
        if self.is_dead(&token) && !self.is(Fault::RevokedSpends) {
            return refusal(403, "invalid_token");
        }
        let planted = is_charge && self.charges == 15;
        if planted && self.is(Fault::GoodTokenIsRefused) {
            return refusal(403, "invalid_token");
        }
        let slack = i64::from(self.is(Fault::OneTooMuch));
        let lacks = token.lines.iter().find(|line| self.lines[*line].left() + slack < amount).cloned();
        let lacks = lacks.or_else(|| (planted && self.is(Fault::EnoughIsRefused)).then(|| token.lines[1].clone()));
        if let Some(line) = lacks {
            let remaining = self.lines[&line].left().max(0).min(amount - 1);
            let error =
                json!({ "error": "insufficient_budget", "line": line, "required": amount, "remaining": remaining });
            return (403, error);
        }
        if is_charge {
            if !(planted && self.is(Fault::ChargeIsLost)) {
                self.take(&token.lines, |line| line.spent += amount);
            }
            let id = self.id("bc_");
            self.captures.insert(id.clone(), Capture { lines: token.lines.clone(), left: amount });
            return (200, json!({ "capture": id, "spent": amount, "held": 0, "remaining": self.left(&token.lines) }));
        }
        self.take(&token.lines, |line| line.held += amount);
        let id = self.id("bh_");
        self.holds.insert(id.clone(), Hold { lines: token.lines.clone(), left: amount, ended: false });
        (200, json!({ "hold": id, "spent": 0, "held": amount, "remaining": self.left(&token.lines) }))
    }

    fn capture(&mut self, asked: &Asked, hold: &str) -> Answer {
        let (amount, last) = (amount(asked), asked.form["final"] == "true");
        let Some(hold) = self.holds.get_mut(hold).filter(|hold| !hold.ended) else { return refusal(409, "hold_ended") };
        hold.left -= amount;
        hold.ended = last;
        let (lines, freed) = (hold.lines.clone(), if last { hold.left } else { 0 });
        self.take(&lines, |line| {
            line.spent += amount;
            line.held -= amount + freed;
        });
        let id = self.id("bc_");
        self.captures.insert(id.clone(), Capture { lines: lines.clone(), left: amount });
        (200, json!({ "capture": id, "spent": amount, "remaining": self.left(&lines) }))
    }

    fn void(&mut self, hold: &str) -> Answer {
        let Some(hold) = self.holds.get_mut(hold).filter(|hold| !hold.ended) else { return refusal(409, "hold_ended") };
        hold.ended = true;
        let (lines, left) = (hold.lines.clone(), hold.left);
        if !self.is(Fault::VoidFreesNothing) {
            self.take(&lines, |line| line.held -= left);
        }
        (200, json!({ "spent": 0, "held": 0, "remaining": self.left(&lines) }))
    }

    fn refund(&mut self, asked: &Asked) -> Answer {
        let amount = amount(asked);
        let capture = self.captures.get_mut(&asked.form["capture"]).filter(|capture| capture.left >= amount);
        let Some(capture) = capture else { return refusal(400, "invalid_request") };
        capture.left -= amount;
        let lines = capture.lines.clone();
        self.take(&lines, |line| line.spent -= amount);
        (200, json!({ "spent": -amount, "remaining": self.left(&lines) }))
    }
}

fn amount(asked: &Asked) -> i64 {
    asked.form["amount"].parse().unwrap()
}
