//! The actix middleware in a real HTTP server, before a stand-in issuer and ledger.

use crate::ledger::{Fault, Ledger};
use crate::spending::{amount, spender_of, usd};
use crate::stand_in::{NOW, Reply, StandIn};
use actix_web::web::{self, Query};
use actix_web::{App, HttpResponse, HttpServer};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use stipend_relying::actix::{Caller, Charge, Guard};
use stipend_relying::{Counter, CounterOptions, HoldOptions, Holds, Options, Outcome, Verifier};
use tempfile::TempDir;

struct Service {
    issuer: StandIn,
    ledger: Ledger,
    holds: Holds,
    counter: Arc<Counter>,
    url: String,
    http: reqwest::Client,
    _directory: TempDir,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Service {
    async fn start() -> Self {
        Self::start_with(|guard| guard).await
    }

    async fn start_with(change: impl Fn(Guard) -> Guard) -> Self {
        Self::start_as(true, change).await
    }

    /// A price of 100, of which a handler says what it cost.
    async fn start_as(with_books: bool, change: impl Fn(Guard) -> Guard) -> Self {
        let (issuer, ledger) = (StandIn::start().await, Ledger::start(1000).await);
        let mut metadata = issuer.honest_metadata();
        metadata["budget_endpoint"] = json!(ledger.endpoint.as_str());
        issuer.metadata(Reply::Json(metadata.to_string()));
        let verifier =
            Verifier::discover(&issuer.issuer, "https://orders.example", NOW, Options::default()).await.unwrap();
        assert_eq!(*verifier.budget_endpoint(), ledger.endpoint);
        let directory = tempfile::tempdir().unwrap();
        let holds = Holds::open(&directory.path().join("holds"), spender_of(&ledger), HoldOptions::default()).unwrap();
        let counter = Arc::new(Counter::open(&directory.path().join("counter"), CounterOptions::default()).unwrap());
        let guard = Guard::new(Arc::new(verifier), || NOW).scope("orders:read").price(usd(), amount(100));
        let guard = if with_books { guard.holds(holds.clone()).counter(Arc::clone(&counter)) } else { guard };
        let guard = change(guard);
        let server = HttpServer::new(move || {
            App::new().wrap(guard.clone()).route("/work", web::get().to(work)).route("/panic", web::get().to(panics))
        });
        // Unless told so, actix goes on with a request whose caller has left.
        let server = server.workers(1).h1_allow_half_closed(false).disable_signals().bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        tokio::spawn(server.run());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { issuer, ledger, holds, counter, url, http, _directory: directory }
    }

    /// A token with a line of 500.
    fn token(&self, enforce: &str) -> String {
        let line = json!({"id": "bl_1", "unit": "USD", "decimals": 6, "amount": 500, "enforce": enforce});
        self.issuer.token_with("budget", json!([line]))
    }

    async fn ask(&self, path: &str, token: &str) -> Answer {
        self.send(self.http.get(format!("{}{path}", self.url)).bearer_auth(token)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null);
        Answer { status, headers, body }
    }

    /// Waits until nothing is held any more.
    async fn settled(&self) -> (i64, i64) {
        for _ in 0..200 {
            if self.ledger.balance().1 == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.ledger.balance()
    }
}

/// Says what it cost, sleeps, and answers with a status, as it is asked.
async fn work(caller: Caller, charge: Charge, query: Query<HashMap<String, i64>>) -> HttpResponse {
    if let Some(millis) = query.get("sleep") {
        tokio::time::sleep(Duration::from_millis(millis.unsigned_abs())).await;
    }
    if let Some(cost) = query.get("cost") {
        charge.cost(amount(*cost));
    }
    let status = query.get("status").map_or(200, |status| u16::try_from(*status).unwrap());
    let body = json!({"client": caller.client_id, "held": charge.held().parts()});
    HttpResponse::build(status.try_into().unwrap()).json(body)
}

async fn panics() -> HttpResponse {
    panic!("as the test wants it")
}

#[tokio::test]
async fn the_handler_says_what_it_cost_and_the_answer_what_is_left() {
    let service = Service::start().await;
    let token = service.token("as");
    let answer = service.ask("/work?cost=30", &token).await;
    assert_eq!((answer.status, &answer.body), (200, &json!({"client": "acme.planner", "held": 100})));
    assert_eq!(answer.header("agent-budget"), Some("remaining=970, cost=30"));
    assert_eq!(service.ask("/work", &token).await.header("agent-budget"), Some("remaining=870, cost=100"));
    assert_eq!(service.ask("/work?cost=0", &token).await.header("agent-budget"), Some("remaining=870, cost=0"));
    assert_eq!((service.ledger.balance(), service.holds.unfinished()), ((130, 0), 0));
}

#[tokio::test]
async fn a_failure_of_the_service_costs_nothing_and_one_of_the_caller_does() {
    let service = Service::start().await;
    let token = service.token("as");
    assert_eq!(service.ask("/work?status=500", &token).await.status, 500);
    assert_eq!(service.ledger.balance(), (0, 0));
    assert_eq!(service.ask("/work?status=404", &token).await.status, 404);
    assert_eq!(service.ledger.balance(), (100, 0));
    assert_eq!(service.ask("/work?status=503&cost=7", &token).await.status, 503);
    assert_eq!(service.ledger.balance(), (107, 0), "unless the handler said what it cost");
    assert_eq!(service.ask("/nowhere?status=404", &token).await.status, 404);
}

#[tokio::test]
async fn carved_lines_are_counted_here_and_the_server_hears_nothing() {
    let service = Service::start().await;
    let token = service.token("rs");
    assert_eq!(service.ask("/work?cost=30", &token).await.header("agent-budget"), Some("remaining=470, cost=30"));
    assert_eq!(service.ask("/work?status=500", &token).await.header("agent-budget"), Some("remaining=470, cost=0"));
    assert_eq!(service.ask("/work?cost=900", &token).await.header("agent-budget"), Some("remaining=370, cost=100"));
    for _ in 0..3 {
        assert_eq!(service.ask("/work", &token).await.status, 200);
    }
    let refused = service.ask("/work", &token).await;
    assert_eq!((refused.status, &refused.body["error"]), (403, &json!("insufficient_budget")));
    assert_eq!((&refused.body["required"], &refused.body["remaining"]), (&json!(100), &json!(70)));
    assert_eq!(refused.header("agent-budget"), Some("remaining=70, cost=0"));
    assert_eq!(service.counter.spent("bl_1"), Some(430));
    assert!(service.ledger.asked().is_empty());
}

#[tokio::test]
async fn refusals_have_their_status_challenge_and_body_and_no_cache_keeps_them() {
    let service = Service::start().await;
    let scope = service.issuer.token_with("scope", json!("orders:write"));
    let no_line = service.issuer.token_with("budget", json!([]));
    let call = || service.http.get(format!("{}/work", service.url));
    let cases = [
        (call(), 401, "invalid_token", Some("Bearer")),
        (call().header("authorization", "Basic eDp5"), 401, "invalid_token", Some("Bearer")),
        (call().bearer_auth("junk"), 401, "invalid_token", Some("Bearer error=\"invalid_token\"")),
        (call().bearer_auth("a").header("authorization", "Bearer b"), 400, "invalid_request", Some("Bearer error=")),
        (call().bearer_auth(&scope), 403, "insufficient_scope", Some("Bearer error=\"insufficient_scope\"")),
        (call().bearer_auth(&no_line), 403, "insufficient_budget", None),
    ];
    for (request, status, error, challenge) in cases {
        let answer = service.send(request).await;
        assert_eq!((answer.status, &answer.body["error"]), (status, &json!(error)));
        assert!(answer.body["error_description"].is_string());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let said = answer.header("www-authenticate");
        assert_eq!(said.is_some(), challenge.is_some(), "{error}: {said:?}");
        assert!(said.unwrap_or_default().starts_with(challenge.unwrap_or_default()), "{said:?}");
    }
    assert!(service.ledger.asked().is_empty());
    service.ledger.books.lock().unwrap().limit = 99;
    let refused = service.ask("/work", &service.token("as")).await;
    assert_eq!((refused.status, &refused.body["remaining"]), (403, &json!(99)), "the server's own words");
    service.ledger.books.lock().unwrap().revoked = true;
    let refused = service.ask("/work", &service.token("as")).await;
    assert_eq!((refused.status, &refused.body["error"]), (401, &json!("invalid_token")));
}

#[tokio::test]
async fn a_server_that_is_away_is_503_and_the_handler_does_not_run() {
    let service = Service::start().await;
    service.ledger.fail(&[Fault::DropRequest; 4]);
    let answer = service.ask("/work", &service.token("as")).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(answer.body["error"], "temporarily_unavailable");
}

#[tokio::test]
async fn work_that_was_done_is_answered_though_its_cost_waits() {
    let service = Service::start().await;
    let token = service.token("as");
    let slow = service.ask("/work?sleep=200&cost=40", &token);
    let (answer, ()) = tokio::join!(slow, async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        service.ledger.fail(&[Fault::DropRequest; 4]);
    });
    assert_eq!((answer.status, answer.header("agent-budget")), (200, None));
    assert_eq!(service.ledger.balance(), (0, 100));
    let settled = service.holds.recover(NOW).await;
    assert_eq!(settled[0].outcome, Outcome::Captured(40));
    assert_eq!(service.ledger.balance(), (40, 0));
}

#[tokio::test]
async fn a_caller_who_hangs_up_stops_no_work_and_pays_what_it_cost() {
    let service = Service::start().await;
    for (enforce, wait) in [("as", 300), ("rs", 300)] {
        let request = service.http.get(format!("{}/work?sleep={wait}&cost=40", service.url));
        let request = request.bearer_auth(service.token(enforce)).timeout(Duration::from_millis(150));
        assert!(request.send().await.unwrap_err().is_timeout());
    }
    assert_eq!(service.settled().await, (40, 0));
    for _ in 0..100 {
        if service.counter.spent("bl_1") == Some(40) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", service.counter.spent("bl_1"));
}

#[tokio::test]
async fn a_caller_who_hangs_up_during_the_hold_leaves_none_behind() {
    let service = Service::start().await;
    service.ledger.fail(&[Fault::Hang]);
    let request = service.http.get(format!("{}/work?cost=40", service.url));
    let request = request.bearer_auth(service.token("as")).timeout(Duration::from_millis(100));
    assert!(request.send().await.is_err());
    tokio::time::sleep(Duration::from_millis(100)).await;
    for _ in 0..200 {
        if service.ledger.balance() == (40, 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", service.ledger.balance());
}

#[tokio::test]
async fn a_handler_that_panics_or_takes_too_long_is_left_to_recovery() {
    let service = Service::start_with(|guard| guard.limits(60, Duration::from_millis(100))).await;
    let token = service.token("as");
    assert_eq!(service.ask("/work?sleep=5000", &token).await.status, 503);
    assert_eq!(service.ask("/panic", &token).await.status, 503);
    assert_eq!((service.ledger.balance(), service.holds.unfinished()), ((0, 200), 2));
    for settled in service.holds.recover(NOW).await {
        assert!(matches!(settled.outcome, Outcome::CapturedUnfinished { amount: 100, .. }), "{settled:?}");
    }
    assert_eq!(service.ledger.balance(), (200, 0));
}

#[tokio::test]
async fn a_price_may_depend_on_the_request_and_be_nothing() {
    let by_query =
        |guard: Guard| guard.price_by(usd(), |request| amount(i64::from(request.query_string().contains("paid")) * 5));
    let service = Service::start_with(by_query).await;
    let plain = service.issuer.token();
    assert_eq!(service.ask("/work", &plain).await.status, 200, "no budget is needed");
    assert_eq!(service.ask("/work?paid=1", &plain).await.status, 403);
    let answer = service.ask("/work?paid=1", &service.token("as")).await;
    assert_eq!(answer.header("agent-budget"), Some("remaining=995, cost=5"));
}

#[tokio::test]
async fn nothing_is_spent_that_the_service_keeps_no_books_of() {
    let service = Service::start_as(false, |guard| guard).await;
    for enforce in ["as", "rs"] {
        let answer = service.ask("/work", &service.token(enforce)).await;
        assert_eq!((answer.status, &answer.body["line"]), (403, &json!("bl_1")));
    }
}
