//! `kill -9` under load: what was answered is recorded, and the chain of what was recorded
//! holds.

use crate::process::{Served, restart, serve};
use crate::terminal::run_in;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rstest::rstest;
use serde_json::Value;
use std::collections::HashSet;
use stipend::bootstrap::ADMIN;
use stipend_schema::Backend;
use stipend_schema::testing::TestDatabase;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const CLIENTS: usize = 8;
/// Answers before the blow.
const ANSWERS: usize = 300;

/// Asks for tokens until the server is gone; each answer's `jti` goes to `answered`.
async fn ask(issuer: String, secret: String, answered: mpsc::UnboundedSender<String>) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    loop {
        let request = http
            .post(format!("{issuer}/oauth2/token"))
            .basic_auth(ADMIN, Some(&secret))
            .form(&[("grant_type", "client_credentials")]);
        let Ok(answer) = request.send().await else { return };
        let Ok(body) = answer.json::<Value>().await else { return };
        let claims = body["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        answered.send(claims["jti"].as_str().unwrap().to_owned()).unwrap();
    }
}

fn kill(mut served: Served) {
    // SIGKILL: nothing is flushed, closed or said.
    served.0.kill().unwrap();
    served.0.wait().unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_on_record_though_the_server_was_killed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    stipend::testing::install_crypto();
    let database = TestDatabase::new(backend).await;
    let (served, issuer, secret) = serve(database.url(), &[]);
    let (sender, mut answered) = mpsc::unbounded_channel();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(ask(issuer.clone(), secret.clone(), sender.clone()));
    }
    drop(sender);
    let mut acknowledged = Vec::new();
    while acknowledged.len() < ANSWERS {
        acknowledged.push(answered.recv().await.unwrap());
    }
    kill(served);
    clients.join_all().await;
    while let Some(jti) = answered.recv().await {
        acknowledged.push(jti);
    }
    let port = issuer.rsplit(':').next().unwrap().to_owned();
    let (_again, issuer) = restart(database.url(), &port);
    let issued = "SELECT jti AS value FROM audit_records WHERE event = 'token.issued'";
    let recorded: HashSet<String> = database.texts(issued).await.unwrap().into_iter().collect();
    let lost: Vec<_> = acknowledged.iter().filter(|jti| !recorded.contains(*jti)).collect();
    assert!(lost.is_empty(), "{} of {} answers are not on record", lost.len(), acknowledged.len());
    let vars = [("STIPEND_ISSUER", issuer.as_str()), ("STIPEND_CLIENT_SECRET", &secret)];
    let proof = run_in(&vars, &["audit", "verify", "--json"]).await.json();
    assert_eq!(proof["heads_named_elsewhere"], 1, "the new process names where the killed one stopped: {proof}");
}

/// A company on a server that will be killed: its service's secret, and an agent's token.
async fn company(vars: &[(&str, &str)]) -> (String, String) {
    let run = async |line: &str| {
        let args: Vec<&str> = line.split(' ').collect();
        run_in(vars, &args).await.json()
    };
    let secret = |made: Value| made["client_secret"].as_str().unwrap().to_owned();
    run("owner create acme --json").await;
    let service = secret(run("agent create acme.api --kind service --json").await);
    let resource = "resource create https://o.example --owner acme --scopes read --introspector acme.api";
    run(&format!("{resource} --budget-capable --json")).await;
    let access = "--access https://o.example=read --defaults https://o.example=read";
    let agent = secret(run(&format!("agent create acme.planner {access} --json")).await);
    run("budget create --agent acme.planner --unit call --amount 1000000 --json").await;
    let own = [("STIPEND_ISSUER", vars[0].1), ("STIPEND_CLIENT_ID", "acme.planner"), ("STIPEND_CLIENT_SECRET", &agent)];
    let token = run_in(&own, &["token", "get", "--json"]).await.json();
    (service, token["access_token"].as_str().unwrap().to_owned())
}

/// One charge of 1 with a key of its own: the answer, unless the server is gone.
async fn charge(http: &reqwest::Client, issuer: &str, (service, token): (&str, &str), key: &str) -> Option<Value> {
    let request = http
        .post(format!("{issuer}/budget/charges"))
        .basic_auth("acme.api", Some(service))
        .header("idempotency-key", key)
        .form(&[("token", token), ("unit", "call"), ("amount", "1")]);
    let answer = request.send().await.ok()?;
    assert_eq!(answer.status(), 200);
    answer.json().await.ok()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_unit_is_lost_or_spent_twice_though_the_server_was_killed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    stipend::testing::install_crypto();
    let database = TestDatabase::new(backend).await;
    let (served, issuer, secret) = serve(database.url(), &[]);
    let (service, token) = company(&[("STIPEND_ISSUER", &issuer), ("STIPEND_CLIENT_SECRET", &secret)]).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let (sender, mut said) = mpsc::unbounded_channel();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (http, issuer, sender) = (http.clone(), issuer.clone(), sender.clone());
        let (service, token) = (service.clone(), token.clone());
        clients.spawn(async move {
            for n in 0.. {
                let key = format!("{client}-{n}");
                let answer = charge(&http, &issuer, (&service, &token), &key).await;
                let gone = answer.is_none();
                sender.send((key, answer)).unwrap();
                if gone {
                    return;
                }
            }
        });
    }
    drop(sender);
    let mut attempts = Vec::new();
    while attempts.len() < ANSWERS {
        attempts.push(said.recv().await.unwrap());
    }
    kill(served);
    clients.join_all().await;
    while let Some(attempt) = said.recv().await {
        attempts.push(attempt);
    }
    let port = issuer.rsplit(':').next().unwrap().to_owned();
    let (_again, issuer) = restart(database.url(), &port);
    for (key, answer) in &attempts {
        let again = charge(&http, &issuer, (&service, &token), key).await.unwrap();
        assert!(answer.as_ref().is_none_or(|answer| *answer == again), "{key}: {answer:?}, then {again}");
    }
    for kind in ["token", "agent"] {
        let spent = format!(
            "SELECT spent AS value FROM budget_uses JOIN budget_lines ON line_id = id WHERE account_kind = '{kind}'"
        );
        let spent = database.number(&spent).await.unwrap();
        assert_eq!(usize::try_from(spent).unwrap(), attempts.len(), "each key once, in the {kind}'s line");
    }
}
