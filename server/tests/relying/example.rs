//! `relying/examples/charging_service.rs`, started and called.

use crate::charging_service;
use crate::company::Company;
use serde_json::Value;
use stipend::clock::Clock;

struct Answer {
    status: u16,
    budget: Option<String>,
    body: String,
}

async fn ask(company: &Company, url: &str, token: &str, items: i64) -> Answer {
    let request = company.server.http.post(format!("{url}/refunds?items={items}")).bearer_auth(token);
    let answer = request.send().await.unwrap();
    let budget = answer.headers().get("agent-budget").map(|value| value.to_str().unwrap().to_owned());
    Answer { status: answer.status().as_u16(), budget, body: answer.text().await.unwrap() }
}

fn error(answer: &Answer) -> Value {
    serde_json::from_str::<Value>(&answer.body).unwrap()["error"].clone()
}

/// Runs the example for as long as the test lasts.
async fn start(company: &Company, directory: &std::path::Path) -> String {
    let (clock, issuer, client) = (company.clock(), company.server.issuer.clone(), company.credentials());
    let (tell, told) = tokio::sync::oneshot::channel();
    let directory = directory.to_owned();
    // A service of its own, in a thread and a runtime of its own.
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let listen = "127.0.0.1:0".parse().unwrap();
            let started =
                charging_service::start(&issuer, crate::company::ORDERS, client, (&directory, listen), move || {
                    clock.now()
                });
            let (server, address) = started.await.unwrap();
            tell.send(address).unwrap();
            server.await.unwrap();
        });
    });
    format!("http://{}", told.await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_charges_what_its_work_cost_to_the_last_unit() {
    let company = Company::new(2_000_000).await;
    let directory = tempfile::tempdir().unwrap();
    let url = start(&company, directory.path()).await;
    let token = company.token().await;
    let answer = ask(&company, &url, &token, 3).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "3 items refunded for acme.planner"));
    assert_eq!(answer.budget.as_deref(), Some("remaining=1250000, cost=750000"));
    let answer = ask(&company, &url, &token, 2).await;
    assert_eq!(answer.budget.as_deref(), Some("remaining=750000, cost=500000"));
    let refused = ask(&company, &url, &token, 1).await;
    assert_eq!((refused.status, error(&refused)), (403, "insufficient_budget".into()), "a dollar is not there");
    let state = company.read(&company.verified(&token).await).await;
    assert_eq!((state.spent, state.held), (1_250_000, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_counts_carved_lines_and_refuses_who_may_not() {
    let company = Company::new(5_000_000).await;
    let directory = tempfile::tempdir().unwrap();
    let url = start(&company, directory.path()).await;
    let carved = company.carved(1_500_000).await;
    let answer = ask(&company, &url, &carved, 2).await;
    assert_eq!(
        (answer.status, answer.budget.as_deref()),
        (200, Some("remaining=1000000, cost=500000")),
        "{}",
        answer.body
    );
    assert_eq!(ask(&company, &url, &carved, 1).await.budget.as_deref(), Some("remaining=750000, cost=250000"));
    let refused = ask(&company, &url, &carved, 1).await;
    assert_eq!((refused.status, error(&refused)), (403, "insufficient_budget".into()));
    let reader = company.server.token(&company.planner, &[("scope", "read")]).await;
    assert_eq!(error(&ask(&company, &url, &reader, 1).await), "insufficient_scope");
    let revoked = company.token().await;
    company.server.form("/oauth2/revoke", &company.planner, &[("token", &revoked)]).await;
    let refused = ask(&company, &url, &revoked, 1).await;
    assert_eq!((refused.status, error(&refused)), (401, "invalid_token".into()), "revoked at the next hold");
}
