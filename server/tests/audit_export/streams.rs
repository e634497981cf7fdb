//! Following the audit: no gap and no repetition across interruptions, and an end when it is time.

use crate::world::{ALLOWED, World, assert_whole};
use reqwest::{Method, Response, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use stipend::testing::TestServer;
use stipend_schema::Backend;

const ALL: [&str; 3] = ["admin:read", "admin:write", "admin:audit"];

/// A connection that follows, and what came of it so far.
struct Follower {
    answer: Response,
    waiting: String,
    last: Option<String>,
}

impl Follower {
    async fn open(server: &TestServer, token: &str, query: &str, last: Option<&str>) -> Self {
        let answer = ask(server, token, query, last).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let mut follower = Self { answer, waiting: String::new(), last: None };
        // It has begun when it says so.
        assert_eq!(follower.event().await, Some(None));
        assert!(follower.last.is_some());
        follower
    }

    /// The next event's data, `Some(None)` for one without; none where it has ended.
    async fn event(&mut self) -> Option<Option<Value>> {
        loop {
            if let Some((event, rest)) = self.waiting.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.waiting = rest;
                if let Some(id) = event.lines().find_map(|line| line.strip_prefix("id: ")) {
                    self.last = Some(id.to_owned());
                }
                let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                return Some(data.map(|data| serde_json::from_str(data).unwrap()));
            }
            let piece = tokio::time::timeout(Duration::from_secs(30), self.answer.chunk()).await.expect("in time");
            match piece {
                Ok(Some(piece)) => self.waiting.push_str(std::str::from_utf8(&piece).unwrap()),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// So many records of an event.
    async fn records(&mut self, event: &str, count: usize) -> Vec<Value> {
        let mut found = Vec::new();
        while found.len() < count {
            if let Some(record) = self.event().await.expect("still connected")
                && record["event"] == event
            {
                found.push(record);
            }
        }
        found
    }

    /// Reads to its end.
    async fn ended(&mut self) {
        while self.event().await.is_some() {}
    }
}

async fn ask(server: &TestServer, token: &str, query: &str, last: Option<&str>) -> Response {
    let url = format!("http://{}/admin/v1/audit/stream{query}", server.address());
    let mut request = server.http.get(url).bearer_auth(token);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    request.send().await.unwrap()
}

fn jtis(records: &[Value]) -> Vec<String> {
    records.iter().map(|record| record["jti"].as_str().unwrap().to_owned()).collect()
}

#[rstest]
#[tokio::test]
async fn a_follower_goes_on_from_its_cursor_without_gap_or_repetition(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    world.happen(2).await;
    let token = world.server.admin_token().await;
    let mut follower = Follower::open(&world.server, &token, "", None).await;
    let first = world.happen(3).await;
    let mut had = follower.records("token.issued", 2).await;
    assert_eq!(jtis(&had), first[..2], "nothing that was before, and in order");
    // Cut off in the middle of what there is.
    let cursor = follower.last.clone().unwrap();
    drop(follower);
    let while_away = world.happen(2).await;
    let (issuer, url) = (world.server.issuer.clone(), world.server.database_url.clone());
    world.server.stop().await;
    let settings = [("STIPEND_ISSUER", issuer.as_str()), ALLOWED[0], ALLOWED[1]];
    let listen = issuer.strip_prefix("http://").unwrap();
    let again = TestServer::start_on(&url, &[&settings[..], &[("STIPEND_LISTEN", listen)]].concat()).await;
    let mut follower = Follower::open(&again, &token, "?event=token.issued", Some(&cursor)).await;
    had.extend(follower.records("token.issued", 3).await);
    assert_eq!(jtis(&had), [first, while_away].concat());
    // By the parameter as by the header, and the header is the newer.
    let mut same = Follower::open(&again, &token, &format!("?event=token.issued&after={cursor}"), None).await;
    assert_eq!(jtis(&same.records("token.issued", 3).await), jtis(&had[2..]));
    let newest = follower.last.clone().unwrap();
    let mut newer = Follower::open(&again, &token, &format!("?after={cursor}"), Some(&newest)).await;
    let fresh = again.token(&world.planner, &[]).await;
    let fresh = stipend_keys::Unverified::parse(&fresh).unwrap().claims()["jti"].clone();
    assert_eq!(newer.records("token.issued", 1).await[0]["jti"], fresh);
    again.stop().await;
}

#[tokio::test]
async fn everything_comes_once_chain_by_chain() {
    let world = World::new(Backend::Sqlite).await;
    let token = world.server.admin_token().await;
    let mut follower = Follower::open(&world.server, &token, "", None).await;
    world.happen(250).await;
    let mut records = Vec::new();
    while records.iter().filter(|record: &&Value| record["event"] == "token.issued").count() < 250 {
        records.extend(follower.event().await.expect("connected"));
    }
    assert_whole(&records);
}

#[tokio::test]
async fn it_ends_with_the_token_with_the_role_and_with_the_server() {
    let world = World::new(Backend::Sqlite).await;
    let boss = json!([{"role": "owner-admin", "owner": "acme"}]);
    let revoked = world.admin("acme", "one", boss.clone(), &ALL).await;
    let mut follower = Follower::open(&world.server, &revoked, "", None).await;
    let body = json!({"reason": "test", "severity": "low"});
    world.server.create("/agents/acme.one/revoke", body).await;
    follower.ended().await;
    let demoted = world.admin("acme", "two", boss.clone(), &ALL).await;
    let mut follower = Follower::open(&world.server, &demoted, "", None).await;
    let (status, said) = world.server.admin(Method::PATCH, "/agents/acme.two", Some(&json!({"roles": []}))).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    follower.ended().await;
    let late = world.admin("acme", "three", boss, &ALL).await;
    let mut follower = Follower::open(&world.server, &late, "", None).await;
    world.server.clock.advance(3600);
    follower.ended().await;
    let token = world.server.admin_token().await;
    let mut follower = Follower::open(&world.server, &token, "", None).await;
    let began = Instant::now();
    world.server.stop().await;
    follower.ended().await;
    assert!(began.elapsed() < Duration::from_secs(10), "the server did not wait for who follows");
}

#[tokio::test]
async fn who_follows_sees_what_a_search_would_show() {
    let world = World::new(Backend::Sqlite).await;
    let (one, other) = (
        world.admin("globex", "boss", json!([{"role": "owner-admin", "owner": "globex"}]), &ALL).await,
        world.admin("acme", "budgets", json!([{"role": "budget-admin", "owner": "acme"}]), &ALL).await,
    );
    let reads = world.admin("acme", "reads", json!([{"role": "auditor", "owner": "acme"}]), &["admin:read"]).await;
    for (token, status) in [(&other, StatusCode::FORBIDDEN), (&reads, StatusCode::FORBIDDEN)] {
        assert_eq!(ask(&world.server, token, "", None).await.status(), status);
    }
    let mut follower = Follower::open(&world.server, &one, "", None).await;
    world.happen(3).await;
    world.server.create_client("globex", "worker", "agent", &[]).await;
    let first = follower.event().await.unwrap().unwrap();
    assert_eq!((&first["event"], &first["owner_id"]), (&json!("agent.created"), &json!("globex")), "{first}");
    for query in ["?after=x", "?after=", "?since=1", "?event=", "?event=a&event=b", "?format=xml", "?limit=1"] {
        assert_eq!(ask(&world.server, &one, query, None).await.status(), StatusCode::BAD_REQUEST, "{query}");
    }
    assert_eq!(ask(&world.server, &one, "", Some("no cursor")).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_caller_follows_so_often_and_a_place_is_given_back() {
    let world = World::new(Backend::Sqlite).await;
    let token = world.server.admin_token().await;
    let mut followers = Vec::new();
    for _ in 0..4 {
        followers.push(Follower::open(&world.server, &token, "", None).await);
    }
    let refused = ask(&world.server, &token, "", None).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "too_many_streams");
    let other = world.admin("acme", "boss", json!([{"role": "owner-admin", "owner": "acme"}]), &ALL).await;
    followers.push(Follower::open(&world.server, &other, "", None).await);
    drop(followers);
    let began = Instant::now();
    while ask(&world.server, &token, "", None).await.status() != StatusCode::OK {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn ocsf_is_what_the_search_and_the_stream_say_on_demand() {
    let world = World::new(Backend::Sqlite).await;
    let token = world.server.admin_token().await;
    let mut follower = Follower::open(&world.server, &token, "?format=ocsf&event=token.issued", None).await;
    let jtis = world.happen(1).await;
    let event = follower.event().await.unwrap().unwrap();
    assert_eq!((&event["class_uid"], &event["session"]["uid"]), (&json!(3003), &json!(jtis[0])), "{event}");
    let (status, page) = world.server.admin(Method::GET, "/audit?format=ocsf&oldest_first=true&limit=3", None).await;
    assert_eq!(status, StatusCode::OK);
    let first = &page["items"][0];
    assert_eq!(first["metadata"]["version"], "1.3.0");
    assert_eq!(first["unmapped"]["event"], "audit.writer_started");
    let next = page["next"].as_str().unwrap();
    let (_, second) =
        world.server.admin(Method::GET, &format!("/audit?oldest_first=true&limit=3&after={next}"), None).await;
    assert_eq!((&page["items"][2]["unmapped"]["n"], &second["items"][0]["n"]), (&json!(3), &json!(4)));
}
