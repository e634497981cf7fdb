//! A company with a service that charges, and an agent with a budget.

use serde_json::{Value, json};
use std::sync::Arc;
use stipend::clock::{Clock, ShiftedClock};
use stipend::testing::{TestClient, TestServer};
use stipend_relying::{
    AccessToken, Amount, ClientCredentials, LineState, Options, SpendOptions, Spender, Unit, Verifier,
};
use stipend_schema::Backend;

pub const ORDERS: &str = "https://orders.example";

pub struct Company {
    pub server: TestServer,
    pub planner: TestClient,
    pub service: TestClient,
    /// The planner's line.
    pub line: String,
}

impl Company {
    /// One whose planner has `amount` micro-dollars.
    pub async fn new(amount: i64) -> Self {
        let server = TestServer::start(Backend::Sqlite).await;
        server.create_owner("acme").await;
        let service = server.create_client("acme", "orders-api", "service", &[]).await;
        server.create_resource("acme", ORDERS, &["read", "refund"], &[&service.id]).await;
        let planner = server.create_client("acme", "planner", "agent", &[(ORDERS, &["read", "refund"])]).await;
        let usd = |account: &str, id: &str| {
            let mut line = json!({"unit": "USD", "decimals": 6, "amount": amount});
            line[account] = json!(id);
            line
        };
        server.create("/budgets", usd("owner", "acme")).await;
        let line = server.create("/budgets", usd("agent", &planner.id)).await;
        let line = line["id"].as_str().unwrap().to_owned();
        Self { server, planner, service, line }
    }

    /// A token with the planner's default line.
    pub async fn token(&self) -> String {
        self.server.token(&self.planner, &[]).await
    }

    /// A token with `amount` carved out for the service.
    pub async fn carved(&self, amount: i64) -> String {
        let details = json!([{"type": "budget", "unit": "USD", "decimals": 6, "amount": amount, "enforce": "rs"}]);
        self.server.token(&self.planner, &[("authorization_details", &details.to_string())]).await
    }

    pub fn now(&self) -> i64 {
        self.server.clock.now()
    }

    pub fn clock(&self) -> Arc<ShiftedClock> {
        Arc::clone(&self.server.clock)
    }

    pub fn credentials(&self) -> ClientCredentials {
        ClientCredentials::new(&self.service.id, &self.service.secret)
    }

    pub async fn verifier(&self) -> Verifier {
        Verifier::discover(&self.server.issuer, ORDERS, self.now(), Options::default()).await.unwrap()
    }

    pub async fn spender(&self) -> Spender {
        Spender::new(self.verifier().await.budget_endpoint(), self.credentials(), SpendOptions::default()).unwrap()
    }

    pub async fn verified(&self, token: &str) -> AccessToken {
        self.verifier().await.verify(token, self.now()).await.unwrap()
    }

    /// What the server says of a token's line.
    pub async fn read(&self, token: &AccessToken) -> LineState {
        self.spender().await.read(&token.budget.as_ref().unwrap()[0].id).await.unwrap()
    }

    /// The planner's own line, as the admin API says.
    pub async fn planner_line(&self) -> Value {
        let path = format!("/budgets/{}", self.line);
        let (status, body) = self.server.admin(reqwest::Method::GET, &path, None).await;
        assert!(status.is_success(), "{status} {body}");
        body
    }
}

pub fn usd() -> Unit {
    Unit::new("USD", 6).unwrap()
}

pub fn amount(parts: i64) -> Amount {
    Amount::new(parts).unwrap()
}
