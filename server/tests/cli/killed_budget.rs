//! `kill -9` amid holds and captures, again and again on one database: what was put aside is
//! still there, what was spent was spent once, to the unit.

use crate::front::{Front, Loses};
use crate::process::{Served, start};
use parking_lot::Mutex;
use rstest::rstest;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stipend::bootstrap::ADMIN;
use stipend::testing::{ADMIN_SECRET, install_crypto};
use stipend_schema::Backend;
use stipend_schema::testing::{TestDatabase, imbalances, sized};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const API: &str = "https://o.example";

/// A company on a server that is killed and started again behind one address.
struct Shop {
    database: TestDatabase,
    /// Before the server, for its clients.
    front: Front,
    /// Before the database, for the server; PostgreSQL only.
    behind: Option<Front>,
    served: Option<Served>,
    client: Client,
    agent_secret: String,
    line: String,
}

/// Who sends the service's orders, and what it was answered, by key.
#[derive(Clone)]
struct Client {
    http: reqwest::Client,
    issuer: String,
    service_secret: String,
    token: String,
    answered: Arc<Mutex<HashMap<String, Value>>>,
}

impl Shop {
    async fn open(backend: Backend, limit: i64) -> Self {
        install_crypto();
        let database = TestDatabase::new(backend).await;
        let behind = match url::Url::parse(database.url()).unwrap().port() {
            Some(port) if backend == Backend::Postgres => Some(Front::before(([127, 0, 0, 1], port).into()).await),
            _ => None,
        };
        let front = Front::before(([127, 0, 0, 1], 9).into()).await;
        let client = Client {
            // A connection for each order: what is lost on it is this order's answer.
            http: reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap(),
            issuer: format!("http://{}", front.address),
            service_secret: String::new(),
            token: String::new(),
            answered: Arc::default(),
        };
        let (agent_secret, line) = (String::new(), String::new());
        let mut shop = Self { database, front, behind, served: None, client, agent_secret, line };
        shop.start();
        shop.furnish(limit).await;
        shop
    }

    fn start(&mut self) {
        let mut database = url::Url::parse(self.database.url()).unwrap();
        if let Some(behind) = &self.behind {
            database.set_port(Some(behind.address.port())).unwrap();
        }
        let vars = [("STIPEND_BOOTSTRAP_SECRET", ADMIN_SECRET)];
        let (served, line) = start(&self.client.issuer, "127.0.0.1:0", database.as_str(), &vars);
        let address: SocketAddr = line["address"].as_str().unwrap().parse().unwrap();
        self.front.lead_to(address);
        self.served = Some(served);
    }

    /// SIGKILL: nothing is flushed, closed or said.
    fn kill(&mut self) {
        let mut served = self.served.take().unwrap();
        served.0.kill().unwrap();
        served.0.wait().unwrap();
    }

    /// The way on which this is lost.
    fn way(&self, loses: Loses) -> &Front {
        match loses {
            Loses::Nothing | Loses::Answers => &self.front,
            Loses::CommitAnswers => self.behind.as_ref().unwrap(),
        }
    }

    async fn furnish(&mut self, limit: i64) {
        let admin = self.client.get_token(ADMIN, ADMIN_SECRET).await;
        let make = async |path: &str, body: Value| {
            let request = self.client.http.post(format!("{}/admin/v1{path}", self.client.issuer));
            let answer = request.bearer_auth(&admin).json(&body).send().await.unwrap();
            let status = answer.status();
            let body: Value = answer.json().await.unwrap();
            assert!(status.is_success(), "{path}: {status} {body}");
            body
        };
        let client = |name: &str, kind: &str, access: Value| {
            json!({
                "owner": "acme", "name": name, "kind": kind, "purpose": "test",
                "auth_method": "client_secret_basic", "access": access,
            })
        };
        let secret = |made: Value| made["client_secret"].as_str().unwrap().to_owned();
        make("/owners", json!({"id": "acme", "name": "acme"})).await;
        let service = secret(make("/agents", client("api", "service", json!([]))).await);
        let resource = json!({
            "owner": "acme", "uri": API, "name": "api", "scopes": ["read"],
            "introspectors": ["acme.api"], "budget_capable": true,
        });
        make("/resources", resource).await;
        let access = json!([{"resource": API, "scopes": ["read"], "default_scopes": ["read"]}]);
        let agent = secret(make("/agents", client("planner", "agent", access)).await);
        let line = json!({"agent": "acme.planner", "unit": "call", "decimals": 0, "amount": limit});
        let line = make("/budgets", line).await["id"].as_str().unwrap().to_owned();
        (self.client.service_secret, self.agent_secret, self.line) = (service, agent, line);
    }

    /// A token that lives as long as a round.
    async fn new_token(&mut self) {
        self.client.token = self.client.get_token("acme.planner", &self.agent_secret).await;
    }

    /// What the agent's line says: held, spent and overage.
    async fn used(&self) -> (i64, i64, i64) {
        let sum = async |column| {
            let line = &self.line;
            let sql = format!("SELECT coalesce({column}, 0) AS value FROM budget_uses WHERE line_id = '{line}'");
            self.database.number(&sql).await.unwrap()
        };
        (sum("held").await, sum("spent").await, sum("overage").await)
    }

    /// The ids of all holds and captures there are.
    async fn journal(&self) -> BTreeSet<String> {
        let ids = "SELECT id AS value FROM budget_holds UNION ALL SELECT id AS value FROM budget_captures";
        self.database.texts(ids).await.unwrap().into_iter().collect()
    }

    /// Orders on record, refused ones too.
    async fn recorded(&self) -> i64 {
        let records = "SELECT count(*) AS value FROM audit_records WHERE event LIKE 'budget.%'";
        self.database.number(records).await.unwrap()
    }

    async fn assert_balanced(&self, round: usize) {
        assert_eq!(imbalances(self.database.url()).await.unwrap(), Vec::<String>::new(), "round {round}");
    }
}

impl Client {
    async fn get_token(&self, id: &str, secret: &str) -> String {
        let request = self.http.post(format!("{}/oauth2/token", self.issuer)).basic_auth(id, Some(secret));
        let answer = request.form(&[("grant_type", "client_credentials")]).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        body["access_token"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
    }

    /// One order: its answer, unless the server is gone. A key is answered once and for all.
    async fn order(&self, path: &str, key: &str, form: &[(&str, &str)]) -> Option<Value> {
        let request = self
            .http
            .post(format!("{}/budget/{path}", self.issuer))
            .basic_auth("acme.api", Some(&self.service_secret))
            .header("idempotency-key", key);
        let answer = request.form(form).send().await.ok()?;
        let status = answer.status().as_u16();
        let mut said: Value = answer.json().await.ok()?;
        said["status"] = json!(status);
        let before = self.answered.lock().insert(key.to_owned(), said.clone());
        assert!(before.as_ref().is_none_or(|before| *before == said), "{key}: {before:?}, then {said}");
        Some(said)
    }

    async fn hold(&self, key: &str, amount: &str) -> Option<String> {
        let form = [("token", self.token.as_str()), ("unit", "call"), ("amount", amount), ("expires_in", "3600")];
        let held = self.order("holds", key, &form).await?;
        assert_eq!(held["status"], 200, "{key}: {held}");
        Some(held["hold"].as_str().unwrap().to_owned())
    }

    async fn charge(&self, key: &str, amount: &str) -> Option<Value> {
        self.order("charges", key, &[("token", self.token.as_str()), ("unit", "call"), ("amount", amount)]).await
    }
}

/// Jobs of a round: half of them have their hold before the server is in danger.
const JOBS: usize = 24;
const HELD: i64 = 10;
const SPENT: [&str; 2] = ["4", "5"];

/// Holds ten, spends four and then five of them: or as much of it as the server lives to see.
async fn work(client: Client, job: String, told: Option<mpsc::UnboundedSender<()>>) -> Option<()> {
    let tell = || told.as_ref().map(|told| told.send(()));
    let hold = client.hold(&format!("{job}-hold"), &HELD.to_string()).await?;
    tell();
    for (part, last) in [(SPENT[0], "false"), (SPENT[1], "true")] {
        let form = [("amount", part), ("final", last)];
        let done = client.order(&format!("holds/{hold}/capture"), &format!("{job}-{part}"), &form).await?;
        assert_eq!((&done["status"], done["spent"].to_string().as_str()), (&json!(200), part), "{job}: {done}");
        tell();
    }
    Some(())
}

/// A number that nobody knows before, less than `below`.
fn random(below: u64) -> u64 {
    RandomState::new().hash_one(0) % below
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_when_the_server_is_killed_is_captured_to_the_unit(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let rounds = sized("STIPEND_ROUNDS", 3);
    let (jobs, all) = (i64::try_from(JOBS).unwrap(), i64::try_from(JOBS * rounds).unwrap());
    // Each job leaves one unit unspent; the last round's holds take what is left to the unit.
    let limit = all * (HELD - 1) + jobs;
    let mut shop = Shop::open(backend, limit).await;
    let (began, mut cut_short) = (Instant::now(), 0);
    for round in 0..rounds {
        shop.new_token().await;
        for job in 0..JOBS / 2 {
            shop.client.hold(&format!("{round}-{job}-hold"), &HELD.to_string()).await.unwrap();
        }
        let (told, mut answers) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        for job in 0..JOBS {
            tasks.spawn(work(shop.client.clone(), format!("{round}-{job}"), Some(told.clone())));
        }
        drop(told);
        for _ in 0..random(3 * 24) {
            answers.recv().await;
        }
        tokio::time::sleep(Duration::from_micros(random(3000))).await;
        shop.kill();
        cut_short += tasks.join_all().await.iter().filter(|done| done.is_none()).count();
        shop.assert_balanced(round).await;
        let (held, spent, _) = shop.used().await;
        assert!(held + spent <= limit, "round {round}: {held} held and {spent} spent of {limit}");
        let journal = shop.journal().await;
        for (key, said) in shop.client.answered.lock().iter() {
            let id = said["capture"].as_str().or(said["hold"].as_str()).unwrap();
            assert!(journal.contains(id), "round {round}: {key} was answered {said}");
        }
        shop.start();
        for job in 0..JOBS {
            work(shop.client.clone(), format!("{round}-{job}"), None).await.unwrap();
        }
        let done = i64::try_from((round + 1) * JOBS).unwrap();
        assert_eq!(shop.used().await, (0, done * (HELD - 1), 0), "round {round}");
        assert_eq!(shop.journal().await.len(), JOBS * (round + 1) * 3, "round {round}: a hold, two captures");
        shop.assert_balanced(round).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{backend:?}: {rounds} kills, {cut_short} of {all} jobs cut short, {seconds:.1} s");
}

/// Orders of every kind; what they must come to is in the test.
async fn orders(client: &Client, round: usize, (spare, idle, capture): (&str, &str, &str)) -> Vec<Option<Value>> {
    let key = |name: &str| format!("{round}-{name}");
    let token = client.token.as_str();
    let new = [("token", token), ("unit", "call"), ("amount", "7"), ("expires_in", "3600")];
    let refunds = [("capture", capture), ("amount", "1")];
    let (captures, voids) = (format!("holds/{spare}/capture"), format!("holds/{idle}/void"));
    let keys = ["a", "b", "c", "d", "hold", "part", "void", "refund", "refused"].map(key);
    let answers = tokio::join!(
        client.charge(&keys[0], "1"),
        client.charge(&keys[1], "1"),
        client.charge(&keys[2], "1"),
        client.charge(&keys[3], "1"),
        client.order("holds", &keys[4], &new),
        client.order(&captures, &keys[5], &[("amount", "2"), ("final", "true")]),
        client.order(&voids, &keys[6], &[]),
        client.order("refunds", &keys[7], &refunds),
        client.charge(&keys[8], "900000000"),
    );
    let (a, b, c, d, hold, part, void, refund, refused) = answers;
    vec![a, b, c, d, hold, part, void, refund, refused]
}

const ORDERS: usize = 9;

#[rstest]
#[case::of_the_server(Backend::Sqlite, Loses::Answers)]
#[case::of_the_server(Backend::Postgres, Loses::Answers)]
#[case::of_the_database(Backend::Postgres, Loses::CommitAnswers)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_when_the_answer_was_lost_is_answered_again(#[case] backend: Backend, #[case] loses: Loses) {
    let mut shop = Shop::open(backend, 1_000_000).await;
    let (rounds, began) = (sized("STIPEND_ROUNDS", 3), Instant::now());
    for round in 0..rounds {
        shop.new_token().await;
        let (spare, idle) = (format!("{round}-spare"), format!("{round}-idle"));
        let (spare, idle) = (shop.client.hold(&spare, "5").await.unwrap(), shop.client.hold(&idle, "6").await.unwrap());
        let taken = shop.client.charge(&format!("{round}-taken"), "3").await.unwrap();
        let ids = (spare.as_str(), idle.as_str(), taken["capture"].as_str().unwrap());
        let (before, recorded) = (shop.journal().await, shop.recorded().await);
        shop.way(loses).turn(loses);
        let client = shop.client.clone();
        let sent = orders(&client, round, ids);
        tokio::pin!(sent);
        tokio::select! {
            answers = &mut sent => panic!("round {round}: all was answered: {answers:?}"),
            () = shop.way(loses).has_lost(if loses == Loses::Answers { ORDERS } else { 1 }) => {}
        }
        shop.kill();
        let unanswered = sent.await.iter().filter(|answer| answer.is_none()).count();
        assert_eq!(unanswered, ORDERS, "round {round}");
        shop.way(loses).turn(Loses::Nothing);
        let journal = shop.journal().await;
        let committed: Vec<_> = journal.difference(&before).collect();
        let recorded = shop.recorded().await - recorded;
        // The first commit may be that of one order, and of one that leaves no id.
        assert!(if loses == Loses::Answers { recorded == 9 } else { recorded > 0 }, "round {round}: {recorded}");
        shop.assert_balanced(round).await;
        shop.start();
        // Twice: the second time all is certain to be answered from memory.
        let first = orders(&shop.client, round, ids).await;
        let again = orders(&shop.client, round, ids).await;
        assert_eq!(first, again, "round {round}");
        let said: BTreeSet<String> = first.iter().flatten().flat_map(ids_in).collect();
        assert!(committed.iter().all(|id| said.contains(*id)), "round {round}: {committed:?} of {said:?}");
        let after = shop.journal().await;
        // Four charges of a hold and a capture each, a hold, a capture.
        assert_eq!(after.len(), before.len() + 10, "round {round}");
        if loses == Loses::Answers {
            assert_eq!(after, journal, "round {round}: nothing was done again");
        }
        let times = i64::try_from(round + 1).unwrap();
        assert_eq!(shop.used().await, (7 * times, (4 + 2 + 3 - 1) * times, 0), "round {round}");
        shop.assert_balanced(round).await;
    }
    println!("{backend:?}, {loses:?} lost: {rounds} kills in {:.1} s", began.elapsed().as_secs_f64());
}

fn ids_in(said: &Value) -> Vec<String> {
    ["hold", "capture"].iter().filter_map(|name| said[*name].as_str().map(str::to_owned)).collect()
}
