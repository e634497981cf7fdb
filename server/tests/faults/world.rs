//! A company whose service charges an agent while something breaks, and the proofs at the end.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};
use stipend::testing::{ADMIN_SECRET, KEK, TestClient, TestServer};
use stipend_schema::testing::imbalances;

pub const ORDERS: &str = "https://orders.example";
/// Longer than any promise, on a machine that is busy: what fails here hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Charges before, during and after a fault.
const CHARGES: usize = 6;
/// By then a fault must have been felt.
const MOST_CHARGES: usize = 900;

pub struct World {
    pub server: TestServer,
    pub agent: TestClient,
    pub service: TestClient,
    pub token: String,
    pub line: String,
}

/// An answer that says what it says.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

impl World {
    pub async fn on(server: TestServer) -> Self {
        server.create_owner("acme").await;
        let service = server.create_client("acme", "orders-api", "service", &[]).await;
        server.create_resource("acme", ORDERS, &["read"], &[&service.id]).await;
        let agent = server.create_client("acme", "planner", "agent", &[(ORDERS, &["read"])]).await;
        let budget = json!({"agent": agent.id, "unit": "call", "decimals": 0, "amount": 1000});
        let line = server.create("/budgets", budget).await["id"].as_str().unwrap().to_owned();
        let token = server.token(&agent, &[]).await;
        // Secrets are proved and records are in memory: what follows is the database's doing.
        assert_eq!(server.introspect(&service, &token).await["active"], true);
        Self { server, agent, service, token, line }
    }

    pub async fn post(&self, base: &str, path: &str, client: &TestClient, form: &[(&str, &str)]) -> Answer {
        self.keyed(base, path, client, form, None).await
    }

    /// Whatever the fault: an answer, and if it is none then one that says when to come again.
    async fn keyed(
        &self,
        base: &str,
        path: &str,
        client: &TestClient,
        form: &[(&str, &str)],
        key: Option<&str>,
    ) -> Answer {
        let mut request = self.server.http.post(format!("{base}{path}")).timeout(PATIENCE);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.basic_auth(&client.id, Some(&client.secret)).form(form).send().await.expect("an answer");
        let status = answer.status();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            assert!(answer.headers().contains_key("retry-after"));
        }
        let bytes = answer.bytes().await.unwrap();
        Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    /// The charge with this number, sent again each time it is called.
    pub async fn charge(&self, base: &str, number: usize) -> Answer {
        let form = [("token", self.token.as_str()), ("unit", "call"), ("amount", "1")];
        self.keyed(base, "/budget/charges", &self.service, &form, Some(&format!("charge-{number}"))).await
    }

    /// Charges before, while and after something is broken. While it is, an answer is 200 or 503 and
    /// what needs no database is served; afterwards each charge was made once, whatever it was
    /// answered, and all proofs pass.
    pub async fn endures(&self, breaks: impl AsyncFnOnce(), mends: impl AsyncFnOnce()) {
        let base = self.server.issuer.clone();
        for number in 0..CHARGES {
            assert_eq!(self.charge(&base, number).await.status, StatusCode::OK);
        }
        breaks().await;
        let (mut charged, mut felt) = (CHARGES, 0);
        // A full disk has room in what is already there.
        while felt == 0 {
            assert!(charged < MOST_CHARGES, "nobody felt the fault");
            let next = charged + CHARGES;
            for answer in join_all((charged..next).map(|number| self.charge(&base, number))).await {
                if answer.status != StatusCode::OK {
                    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.body);
                    assert_eq!(answer.body["error"], "temporarily_unavailable");
                    felt += 1;
                }
            }
            charged = next;
        }
        for path in ["/healthz", "/oauth2/jwks", "/.well-known/oauth-authorization-server"] {
            let answer = self.server.http.get(format!("{base}{path}")).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
        }
        mends().await;
        self.is_back(&base).await;
        for number in 0..charged {
            let answer = self.charge(&base, number).await;
            assert_eq!((answer.status, &answer.body["spent"]), (StatusCode::OK, &json!(1)), "{}", answer.body);
        }
        self.proofs(charged).await;
    }

    /// Waits until a node issues tokens, without anybody's help.
    pub async fn is_back(&self, base: &str) {
        let began = Instant::now();
        let form = [("grant_type", "client_credentials")];
        while self.post(base, "/oauth2/token", &self.agent, &form).await.status != StatusCode::OK {
            assert!(began.elapsed() < PATIENCE, "it is not back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What was spent is the sum of the answers, the books balance, and `stipend audit verify` and
    /// `budget verify` pass, as an operator runs them.
    pub async fn proofs(&self, spent: usize) {
        let (status, line) = self.server.admin(Method::GET, &format!("/budgets/{}", self.line), None).await;
        assert_eq!(status, StatusCode::OK, "{line}");
        assert_eq!(line["used"]["spent"], json!(spent), "{line}");
        assert_eq!(imbalances(&self.server.database_url).await.unwrap(), Vec::<String>::new());
        self.server.checkpoint().await;
        let issuer = self.server.issuer.clone();
        let database = self.server.database_url.clone();
        let run = move || {
            for words in [["audit", "verify"], ["budget", "verify"]] {
                let output = Command::new(env!("CARGO_BIN_EXE_stipend"))
                    .env_clear()
                    .envs([
                        ("STIPEND_ISSUER", issuer.as_str()),
                        ("STIPEND_CLIENT_ID", "stipend.admin"),
                        ("STIPEND_CLIENT_SECRET", ADMIN_SECRET),
                        ("STIPEND_DATABASE_URL", &database),
                        ("STIPEND_KEK", KEK),
                    ])
                    .args(words)
                    .output()
                    .unwrap();
                assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
            }
        };
        tokio::task::spawn_blocking(run).await.unwrap();
    }
}
