//! A database restored to a point in the past, beside tokens and services that remember more.

use crate::terminal::{Ran, run_in};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::KEK;
use stipend::testing::{TestClient, TestServer};
use stipend_schema::Backend;
use stipend_schema::testing::TestDatabase;

const MODELS: &str = "https://models.example";

struct Company {
    server: TestServer,
    service: TestClient,
    agent: TestClient,
    line: String,
}

/// Where a server is found, before and after its database was restored.
struct Address(String);

impl Address {
    fn free() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Self(listener.local_addr().unwrap().to_string())
    }

    fn issuer(&self) -> String {
        format!("http://{}", self.0)
    }

    async fn serve(&self, database: &TestDatabase) -> TestServer {
        let settings = [("STIPEND_ISSUER", &*self.issuer()), ("STIPEND_LISTEN", &*self.0)];
        TestServer::start_on(database.url(), &settings).await
    }

    async fn recover(&self, database: &TestDatabase, args: &[&str]) -> Ran {
        let issuer = self.issuer();
        let vars = [("STIPEND_ISSUER", &*issuer), ("STIPEND_DATABASE_URL", database.url()), ("STIPEND_KEK", KEK)];
        run_in(&vars, args).await
    }
}

impl Company {
    async fn found(server: TestServer) -> Self {
        server.create_owner("acme").await;
        let service = server.create_client("acme", "api", "service", &[]).await;
        let resource = json!({
            "owner": "acme", "uri": MODELS, "name": "models", "scopes": ["read"],
            "introspectors": [service.id], "budget_capable": true,
        });
        server.create("/resources", resource).await;
        let agent = server.create_client("acme", "planner", "agent", &[(MODELS, &["read"])]).await;
        let line = json!({"owner": "acme", "unit": "call", "decimals": 0, "amount": 10});
        let line = server.create("/budgets", line).await["id"].as_str().unwrap().to_owned();
        Self { server, service, agent, line }
    }

    /// The same people before another server.
    fn at(&self, server: TestServer) -> Self {
        Self { server, service: self.service.clone(), agent: self.agent.clone(), line: self.line.clone() }
    }

    async fn spend(&self, token: &str, amount: &str) -> (StatusCode, Value) {
        let form = [("token", token), ("unit", "call"), ("amount", amount)];
        self.server.form("/budget/charges", &self.service, &form).await
    }

    async fn is_active(&self, token: &str) -> Value {
        self.server.introspect(&self.service, token).await["active"].clone()
    }

    async fn post(&self, path: &str) {
        let (status, body) = self.server.admin(Method::POST, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_dead_comes_alive_and_no_budget_is_spent_twice(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (database, address) = (TestDatabase::new(backend).await, Address::free());
    let company = Company::found(address.serve(&database).await).await;
    let early = company.server.token(&company.agent, &[]).await;
    company.server.stop().await;
    let (unsafe_copy, backup) = (database.copy().await, database.copy().await);

    // Life goes on after the backup: a token is revoked, another issued, all is spent.
    let company = company.at(address.serve(&database).await);
    let late = company.server.token(&company.agent, &[]).await;
    assert_eq!(company.spend(&late, "10").await.0, StatusCode::OK);
    company.server.form("/oauth2/revoke", &company.agent, &[("token", &early)]).await;
    assert_eq!(company.is_active(&early).await, false);
    company.server.stop().await;

    // This is what a backup forgets, and why it must be said that it is one.
    let forgetful = company.at(address.serve(&unsafe_copy).await);
    assert_eq!(forgetful.is_active(&early).await, true);
    assert_eq!(forgetful.spend(&early, "10").await.0, StatusCode::OK);
    forgetful.server.stop().await;

    let refused = address.recover(&backup, &["recover"]).await;
    assert_eq!(refused.code, 2, "{refused:?}");
    let said = address.recover(&backup, &["recover", "--yes", "--json"]).await.done();
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["owners_disabled"], &said["budgets_closed"]), (&json!(1), &json!(1)), "{said}");
    let company = company.at(address.serve(&backup).await);
    let (status, _) = company.server.form("/oauth2/introspect", &company.service, &[("token", &early)]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "its owner is off");
    company.post("/owners/acme/enable").await;
    for dead in [&early, &late] {
        assert_eq!(company.is_active(dead).await, false);
        let (status, body) = company.spend(dead, "1").await;
        assert_eq!((status, &body["error"]), (StatusCode::FORBIDDEN, &json!("invalid_token")), "{body}");
    }
    // The next second: what is issued in the one of the recovery is dead as well.
    company.server.clock.advance(2);
    let fresh = company.server.token(&company.agent, &[]).await;
    assert_eq!(company.is_active(&fresh).await, true);
    let (status, body) = company.spend(&fresh, "1").await;
    assert_eq!((status, &body["error"]), (StatusCode::FORBIDDEN, &json!("insufficient_budget")), "{body}");
    company.post(&format!("/budgets/{}/enable", company.line)).await;
    let fresh = company.server.token(&company.agent, &[]).await;
    assert_eq!(company.spend(&fresh, "1").await.0, StatusCode::OK);
    company.server.stop().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_sees_its_database_go_back_stops_every_node(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (database, address) = (TestDatabase::new(backend).await, Address::free());
    let company = Company::found(address.serve(&database).await).await;
    let token = company.server.token(&company.agent, &[]).await;
    database.execute("DELETE FROM changes WHERE seq > 3; UPDATE feed_head SET seq = 3").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let issue = [("grant_type", "client_credentials")];
    assert_eq!(company.server.form("/oauth2/token", &company.agent, &issue).await.0, StatusCode::SERVICE_UNAVAILABLE);
    let (status, _) = company.server.form("/oauth2/introspect", &company.service, &[("token", &token)]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let ready = company.server.http.get(company.server.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let refused = TestServer::try_start_on(database.url(), &[("STIPEND_ISSUER", &address.issuer())]).await;
    assert!(refused.err().is_some_and(|error| error.to_string().contains("stipend recover")));
    company.server.stop().await;

    address.recover(&database, &["recover", "--yes"]).await.done();
    let company = company.at(address.serve(&database).await);
    company.post("/owners/acme/enable").await;
    assert_eq!(company.is_active(&token).await, false);
    company.server.stop().await;
}
