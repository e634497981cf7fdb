//! A stand-in for the server's `/budget` API: a small exact ledger behind loopback HTTP that
//! remembers every `Idempotency-Key` and can be told to fail before or after its effect.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::form_urlencoded;

pub const CLIENT: &str = "acme.orders-api";
pub const SECRET: &str = "sk_of+the service";

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Done, and the connection closed without a word.
    DropAnswer,
    /// Not done, and the connection closed.
    DropRequest,
    /// Not done: 503 with `Retry-After: 0`.
    Busy,
    /// Done, and answered 503.
    BusyAfter,
    /// Done, and never answered.
    Hang,
    /// Done, and half of the answer sent.
    Half,
    Redirect,
    /// A page of 200 kB.
    Large,
    /// 403 in HTML.
    Html,
}

#[derive(Default)]
struct Hold {
    amount: i64,
    left: i64,
    ended: bool,
}

#[derive(Default)]
pub struct Books {
    pub limit: i64,
    pub spent: i64,
    holds: HashMap<String, Hold>,
    captures: HashMap<String, i64>,
    /// hold -> what each capture of it took
    pub taken: HashMap<String, Vec<i64>>,
    /// (operation, key) -> (what was asked, what was answered)
    keys: HashMap<(String, String), (String, u16, Value)>,
    /// line -> (spent, final)
    pub reports: HashMap<String, (i64, bool)>,
    pub faults: VecDeque<Fault>,
    /// Every request: path and key.
    pub asked: Vec<(String, String)>,
    /// Refuse every hold: the token was revoked.
    pub revoked: bool,
}

impl Books {
    pub fn held(&self) -> i64 {
        self.holds.values().filter(|hold| !hold.ended).map(|hold| hold.left).sum()
    }

    pub fn holds(&self) -> usize {
        self.holds.len()
    }

    /// As the server does after a day.
    pub fn forget_keys(&mut self) {
        self.keys.clear();
    }

    fn remaining(&self) -> i64 {
        self.limit - self.spent - self.held()
    }

    fn receipt(&self, hold: Option<&str>, capture: Option<&str>, spent: i64, held: i64) -> (u16, Value) {
        let mut body = json!({"spent": spent, "overage": 0, "held": held, "remaining": self.remaining()});
        for (name, id) in [("hold", hold), ("capture", capture)] {
            if let Some(id) = id {
                body[name] = json!(id);
            }
        }
        (200, body)
    }

    fn new_hold(&mut self, amount: i64) -> Result<String, (u16, Value)> {
        if self.revoked {
            return Err((403, json!({"error": "invalid_token", "error_description": "the token is not active"})));
        }
        if amount > self.remaining() {
            let body = json!({
                "error": "insufficient_budget", "error_description": "the budget does not have that much left",
                "line": "bl_1", "required": amount, "remaining": self.remaining(),
            });
            return Err((403, body));
        }
        let id = format!("bh_{}", self.holds.len() + 1);
        self.holds.insert(id.clone(), Hold { amount, left: amount, ended: false });
        Ok(id)
    }

    fn capture(&mut self, id: &str, amount: i64, last: bool) -> (u16, Value) {
        let Some(hold) = self.holds.get_mut(id) else { return error(404, "not_found") };
        if hold.ended {
            return error(409, "hold_ended");
        }
        assert!(amount <= hold.amount, "the tests capture no more than was held");
        hold.left -= amount;
        hold.ended = last;
        let left = if last { 0 } else { hold.left };
        self.taken.entry(id.to_owned()).or_default().push(amount);
        self.spent += amount;
        let capture = format!("bc_{}", self.captures.len() + 1);
        self.captures.insert(capture.clone(), amount);
        self.receipt(Some(id), Some(&capture), amount, left)
    }

    fn act(&mut self, path: &str, form: &HashMap<String, String>) -> (u16, Value) {
        let amount = form.get("amount").map_or(0, |amount| amount.parse().unwrap());
        let parts: Vec<&str> = path.trim_start_matches("/budget/").split('/').collect();
        match parts.as_slice() {
            ["holds"] => match self.new_hold(amount) {
                Ok(id) => self.receipt(Some(&id), None, 0, amount),
                Err(refused) => refused,
            },
            ["charges"] => match self.new_hold(amount) {
                Ok(id) => self.capture(&id, amount, true),
                Err(refused) => refused,
            },
            ["holds", id, "capture"] => self.capture(id, amount, form.get("final").is_some_and(|last| last == "true")),
            ["holds", id, "extend"] => self.receipt(Some(id), None, 0, 0),
            ["holds", id, "void"] => match self.holds.get_mut(*id) {
                None => error(404, "not_found"),
                Some(hold) if hold.ended => error(409, "hold_ended"),
                Some(hold) => {
                    hold.ended = true;
                    self.receipt(Some(id), None, 0, 0)
                }
            },
            ["refunds"] => {
                let Some(captured) = self.captures.get_mut(&form["capture"]) else { return error(404, "not_found") };
                *captured -= amount;
                self.spent -= amount;
                self.receipt(None, None, -amount, 0)
            }
            ["reports"] => self.report(&form["line"], form["spent"].parse().unwrap(), form["final"] == "true"),
            ["lines", id] => {
                let body = json!({
                    "line": id, "unit": "USD", "decimals": 6, "amount": self.limit, "held": self.held(),
                    "spent": self.spent, "carved": 0, "overage": 0, "remaining": self.remaining(),
                    "enforce": "as",
                });
                (200, body)
            }
            _ => error(404, "not_found"),
        }
    }

    fn report(&mut self, line: &str, spent: i64, last: bool) -> (u16, Value) {
        let kept = self.reports.entry(line.to_owned()).or_default();
        if kept.1 {
            return error(409, "hold_ended");
        }
        if spent < kept.0 {
            return error(400, "invalid_request");
        }
        *kept = (spent, last);
        (200, json!({"spent": spent, "overage": 0, "held": 0, "remaining": 0}))
    }
}

fn error(status: u16, error: &str) -> (u16, Value) {
    (status, json!({"error": error, "error_description": error}))
}

/// Answers one request of the API; `authorization` is the header as it came.
pub fn serve(books: &Mutex<Books>, path: &str, authorization: &str, key: &str, body: &str) -> (u16, Value) {
    // RFC 6749 section 2.3.1: both parts are form-encoded before they are put together.
    let wanted = STANDARD.encode(format!("{CLIENT}:sk_of%2Bthe+service"));
    let mut books = books.lock().unwrap();
    books.asked.push((path.to_owned(), key.to_owned()));
    if authorization != format!("Basic {wanted}") {
        return error(401, "invalid_client");
    }
    let form: HashMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let operation = path.rsplit('/').next().unwrap().to_owned();
    let said = format!("{path} {body}");
    if let Some((before, status, answer)) = books.keys.get(&(operation.clone(), key.to_owned())) {
        return if *before == said { (*status, answer.clone()) } else { error(422, "idempotency_key_reused") };
    }
    let (status, answer) = books.act(path, &form);
    if !key.is_empty() {
        books.keys.insert((operation, key.to_owned()), (said, status, answer.clone()));
    }
    (status, answer)
}

/// The API on a port of its own.
pub struct Ledger {
    pub endpoint: url::Url,
    pub books: Arc<Mutex<Books>>,
}

impl Ledger {
    pub async fn start(limit: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/budget", listener.local_addr().unwrap()).parse().unwrap();
        let books = Arc::new(Mutex::new(Books { limit, ..Books::default() }));
        let served = Arc::clone(&books);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&served)));
            }
        });
        Self { endpoint, books }
    }

    pub fn fail(&self, faults: &[Fault]) {
        self.books.lock().unwrap().faults.extend(faults);
    }

    /// (spent, held)
    pub fn balance(&self) -> (i64, i64) {
        let books = self.books.lock().unwrap();
        (books.spent, books.held())
    }

    pub fn asked(&self) -> Vec<(String, String)> {
        self.books.lock().unwrap().asked.clone()
    }
}

async fn answer(stream: TcpStream, books: Arc<Mutex<Books>>) -> Option<()> {
    let mut stream = stream;
    let (head, body) = read(&mut stream).await?;
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
        line.map(|line| line[name.len() + 1..].trim().to_owned()).unwrap_or_default()
    };
    let path = head.split(' ').nth(1)?.to_owned();
    let fault = books.lock().unwrap().faults.pop_front();
    let plain = |status: u16, more: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{more}\r\n{body}")
    };
    let early = match fault {
        Some(Fault::DropRequest) => return None,
        Some(Fault::Busy) => Some(plain(503, "retry-after: 0\r\n", "{\"error\":\"temporarily_unavailable\"}")),
        Some(Fault::Redirect) => Some(plain(307, &format!("location: {path}\r\n"), "")),
        Some(Fault::Large) => Some(plain(200, "", &" ".repeat(200_000))),
        Some(Fault::Html) => Some(plain(403, "content-type: text/html\r\n", "<h1>no</h1>")),
        Some(Fault::DropAnswer | Fault::BusyAfter | Fault::Hang | Fault::Half) | None => None,
    };
    let text = match early {
        Some(text) => text,
        None => {
            let (status, said) = serve(&books, &path, &header("authorization"), &header("idempotency-key"), &body);
            let said = said.to_string();
            match fault {
                Some(Fault::DropAnswer) => return None,
                Some(Fault::BusyAfter) => plain(503, "retry-after: 0\r\n", "{}"),
                Some(Fault::Hang) => {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                    return None;
                }
                Some(Fault::Half) => plain(200, "", &said).split_at(plain(200, "", &said).len() - 9).0.to_owned(),
                _ => plain(status, "", &said),
            }
        }
    };
    // The client may have left.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
    Some(())
}

/// Head and body of a request.
pub async fn read(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = all.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(all[..end].to_vec()).unwrap();
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned));
            let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
            if all.len() >= end + 4 + length {
                return Some((head, String::from_utf8(all[end + 4..end + 4 + length].to_vec()).unwrap()));
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => all.extend_from_slice(&buffer[..read]),
        }
    }
}
