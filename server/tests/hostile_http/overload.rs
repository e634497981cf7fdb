//! More than a node can do: so many are served, as many wait, and the rest is told so at once,
//! with nothing begun for it. What ends something is served when what begins something is not.

use crate::raw::PATIENCE;
use futures_util::future::join_all;
use reqwest::StatusCode;
use rstest::rstest;
use serde_json::{Value, json};
use stipend::admission::{Class, enter};
use stipend::testing::{TestClient, TestServer};
use stipend_schema::Backend;
use stipend_schema::testing::imbalances;
use tokio::time::timeout;

const ORDERS: &str = "https://orders.example";
const SEATS: usize = 8;
const FLOOD: usize = 200;

struct World {
    server: TestServer,
    agent: TestClient,
    service: TestClient,
}

async fn world(backend: Backend) -> World {
    let server = TestServer::start_with(backend, &[("STIPEND_MAX_UNDER_WAY", "8")]).await;
    server.create_owner("acme").await;
    let service = server.create_client("acme", "orders-api", "service", &[]).await;
    server.create_resource("acme", ORDERS, &["read"], &[&service.id]).await;
    let agent = server.create_client("acme", "planner", "agent", &[(ORDERS, &["read"])]).await;
    World { server, agent, service }
}

impl World {
    async fn post(&self, path: &str, client: &TestClient, form: &[(&str, &str)], key: Option<&str>) -> Answer {
        let mut request = self.server.http.post(self.server.url(path)).basic_auth(&client.id, Some(&client.secret));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.form(form).send().await.unwrap();
        let retry_after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        let kind = answer.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
        let status = answer.status();
        let bytes = answer.bytes().await.unwrap();
        Answer { status, retry_after, kind, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }
}

struct Answer {
    status: StatusCode,
    retry_after: Option<String>,
    kind: Option<String>,
    body: Value,
}

impl Answer {
    fn assert_shed(&self) {
        assert_eq!(self.status, StatusCode::SERVICE_UNAVAILABLE, "{}", self.body);
        assert_eq!(self.retry_after.as_deref(), Some("1"));
        assert_eq!(self.kind.as_deref(), Some("application/json"));
        assert_eq!(self.body["error"], "temporarily_unavailable");
    }
}

/// Charges, because each leaves a mark that can be counted: what was answered 200 was done once,
/// what was answered 503 not at all, and what is retried by its key is done once.
#[rstest]
#[tokio::test]
async fn a_flood_is_answered_to_the_last_request_and_only_what_was_accepted_was_done(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = world(backend).await;
    let budget = json!({"agent": world.agent.id, "unit": "call", "decimals": 0, "amount": 1_000_000});
    let line = world.server.create("/budgets", budget).await;
    let token = world.server.token(&world.agent, &[]).await;
    let charge = async |n: usize| {
        let form = [("token", token.as_str()), ("unit", "call"), ("amount", "1")];
        world.post("/budget/charges", &world.service, &form, Some(&format!("charge-{n}"))).await
    };
    let first = timeout(PATIENCE, join_all((0..FLOOD).map(charge))).await.expect("everybody is answered");
    let mut shed = Vec::new();
    for (n, answer) in first.iter().enumerate() {
        if answer.status == StatusCode::OK {
            assert_eq!(answer.body["spent"], 1, "{}", answer.body);
        } else {
            answer.assert_shed();
            shed.push(n);
        }
    }
    assert!(shed.len() < FLOOD && !shed.is_empty(), "{} of {FLOOD} shed", shed.len());
    let spent = async || {
        let id = line["id"].as_str().unwrap();
        world.server.admin(reqwest::Method::GET, &format!("/budgets/{id}"), None).await.1["used"]["spent"].clone()
    };
    assert_eq!(spent().await, json!(FLOOD - shed.len()));
    // Who comes again, as told, is served in the end, and whoever was served is served the same.
    for n in 0..FLOOD {
        let mut answer = charge(n).await;
        while answer.status == StatusCode::SERVICE_UNAVAILABLE {
            answer = charge(n).await;
        }
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    }
    assert_eq!(spent().await, json!(FLOOD));
    assert_eq!(imbalances(&world.server.database_url).await.unwrap(), Vec::<String>::new());
    assert_eq!(world.server.app.admission.seated(Class::Beginning, SEATS), 0);
}

/// All seats for new work taken, and nobody gets up: what ends and what looks is served.
#[tokio::test]
async fn revocation_introspection_and_health_get_through_when_new_work_is_shed() {
    let world = world(Backend::Sqlite).await;
    let token = world.server.token(&world.agent, &[]).await;
    world.server.introspect(&world.service, &token).await;
    let app = &world.server.app;
    let seated = || app.admission.seated(Class::Beginning, SEATS);
    let mut taken = Vec::new();
    // As many again would wait, until their time is over.
    for _ in 0..SEATS {
        let app = std::sync::Arc::clone(app);
        taken.push(tokio::spawn(async move {
            let sit = async {
                enter().await.unwrap();
                std::future::pending::<()>().await;
            };
            app.admission.serve(Class::Beginning, sit).await;
        }));
    }
    while seated() < SEATS {
        tokio::task::yield_now().await;
    }
    let grant: &[(&str, &str)] = &[("grant_type", "client_credentials")];
    // These wait for a seat first, and are told all the same.
    let asked = (0..2 * SEATS + 4).map(|_| world.post("/oauth2/token", &world.agent, grant, None));
    for answer in join_all(asked).await {
        answer.assert_shed();
    }
    let http = &world.server.http;
    for path in ["/healthz", "/readyz", "/oauth2/jwks", "/.well-known/openid-configuration"] {
        assert_eq!(http.get(world.server.url(path)).send().await.unwrap().status(), 200, "{path}");
    }
    assert_eq!(world.server.introspect(&world.service, &token).await["active"], true);
    let revoked = world.post("/oauth2/revoke", &world.agent, &[("token", &token)], None).await;
    assert_eq!(revoked.status, StatusCode::OK);
    assert_eq!(world.server.introspect(&world.service, &token).await["active"], false);
    for task in taken {
        task.abort();
        let _ = task.await;
    }
    assert_eq!(seated(), 0);
    assert_eq!(world.post("/oauth2/token", &world.agent, grant, None).await.status, StatusCode::OK);
}

/// The last to be refused are refused in the words of their API.
#[tokio::test]
async fn the_admin_api_says_it_as_a_problem() {
    let world = world(Backend::Sqlite).await;
    let bearer = world.server.admin_token().await;
    let url = world.server.url("/admin/v1/owners");
    let ask = || async { world.server.http.get(&url).bearer_auth(&bearer).send().await.unwrap() };
    let asked = (0..1500).map(|_| ask());
    let answers = timeout(PATIENCE, join_all(asked)).await.expect("everybody is answered");
    let mut shed = 0;
    for answer in answers {
        if answer.status() == StatusCode::OK {
            continue;
        }
        shed += 1;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!(answer.headers()["retry-after"], "1");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["code"], "unavailable", "{body}");
    }
    assert!(shed < 1500, "{shed}");
    assert_eq!(ask().await.status(), StatusCode::OK);
}
