//! `kill -9` between a delivery and the note that it arrived: the batch comes again under the same
//! name, and nothing is missing.

use crate::receiver::{Manner, Receiver, verify};
use crate::world::{ALLOWED, assert_whole};
use reqwest::{Client, Method};
use rstest::rstest;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use stipend::testing::KEK;
use stipend_schema::Backend;
use stipend_schema::testing::TestDatabase;

const SECRET: &str = "sk_test_only_bootstrap_secret_0123456789";

struct Served {
    child: Child,
    issuer: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(issuer: &str, database: &str) -> Served {
    let listen = issuer.strip_prefix("http://").unwrap().to_owned();
    let mut command = Command::new(env!("CARGO_BIN_EXE_stipend"));
    command.arg("serve").env_clear().stdout(Stdio::null()).stderr(Stdio::piped()).envs(ALLOWED).envs([
        ("STIPEND_ISSUER", issuer),
        ("STIPEND_LISTEN", &listen),
        ("STIPEND_DATABASE_URL", database),
        ("STIPEND_BOOTSTRAP_SECRET", SECRET),
        ("STIPEND_KEK", KEK),
    ]);
    let mut child = command.spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = log.find(|line| line.as_ref().unwrap().contains("\"serving\"")).unwrap().unwrap();
    std::thread::spawn(move || log.for_each(drop));
    let line: Value = serde_json::from_str(&line).unwrap();
    Served { child, issuer: line["issuer"].as_str().unwrap().to_owned() }
}

async fn token(http: &Client, issuer: &str) -> String {
    let asked = http.post(format!("{issuer}/oauth2/token")).basic_auth("stipend.admin", Some(SECRET));
    let answer = asked.form(&[("grant_type", "client_credentials")]).send().await.unwrap();
    answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned()
}

/// With a token that is there already: to get one would be on record.
async fn call(http: &Client, (issuer, token): (&str, &str), method: Method, path: &str, body: Option<&Value>) -> Value {
    let mut asked = http.request(method, format!("{issuer}/admin/v1{path}")).bearer_auth(token);
    if let Some(body) = body {
        asked = asked.json(body);
    }
    asked.send().await.unwrap().json().await.unwrap()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_in_the_middle_of_a_delivery_leaves_no_gap(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    stipend::testing::install_crypto();
    let database = TestDatabase::new(backend).await;
    let receiver = Receiver::start().await;
    let http = Client::builder().no_proxy().build().unwrap();
    let mut served = serve("http://127.0.0.1:0", database.url());
    let issuer = served.issuer.clone();
    let admin = token(&http, &issuer).await;
    let sink = json!({"name": "siem", "url": receiver.url, "since": 0});
    let made = call(&http, (&issuer, &admin), Method::POST, "/audit-sinks", Some(&sink)).await;
    let (id, secret) = (made["audit_sink"]["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    receiver.until("a first batch", async |receiver| !receiver.taken().is_empty()).await;
    // It has the next batch and says nothing: then the node is gone.
    receiver.is(Manner::Hangs);
    let before = receiver.got().len();
    for _ in 0..5 {
        token(&http, &issuer).await;
    }
    receiver.until("a batch without an answer", async |receiver| receiver.got().len() > before).await;
    served.child.kill().unwrap();
    served.child.wait().unwrap();
    receiver.is(Manner::Answers(200));
    let unanswered = receiver.got().pop().unwrap();
    let again = serve(&issuer, database.url());
    token(&http, &again.issuer).await;
    receiver
        .until("the batch again", async |receiver| receiver.taken().iter().any(|got| got.id() == unanswered.id()))
        .await;
    let repeated = receiver.taken().into_iter().find(|got| got.id() == unanswered.id()).unwrap();
    assert_eq!(repeated.body, unanswered.body);
    verify(secret, &repeated);
    receiver
        .until("nothing behind", async |_| {
            call(&http, (&again.issuer, &admin), Method::GET, &format!("/audit-sinks/{id}"), None).await["lag_records"]
                == 0
        })
        .await;
    let records = receiver.records();
    assert_whole(&records);
    let had: HashSet<String> =
        records.iter().map(|record| format!("{}/{}", record["writer"].as_str().unwrap(), record["n"])).collect();
    let recorded = database.texts("SELECT writer || '/' || n AS value FROM audit_records").await.unwrap();
    let missing: Vec<&String> = recorded.iter().filter(|one| !had.contains(*one)).collect();
    // What was recorded since it was last looked at is on its way.
    assert!(missing.len() <= 3, "{missing:?}");
    let writers: HashSet<&str> = records.iter().map(|record| record["writer"].as_str().unwrap()).collect();
    assert_eq!(writers.len(), 2, "of the killed process and of the next");
}
