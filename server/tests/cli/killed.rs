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
