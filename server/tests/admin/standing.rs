//! What the states of agents do to the OAuth endpoints, and to tokens
//! that were issued before.

use crate::world::{ORDERS, World};
use reqwest::StatusCode;
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::TestClient;
use stipend_schema::Backend;

/// A world in which everything works, and what is asked of it.
pub struct Running {
    pub world: World,
    pub planner: TestClient,
    pub refunds: TestClient,
    pub service: TestClient,
}

impl Running {
    pub async fn new(backend: Backend) -> Self {
        let world = World::new(backend).await;
        let server = &world.server;
        let service = server
            .create_client("globex", "orders-api", "service", &[])
            .await;
        server
            .create_resource("globex", ORDERS, &["read"], &[&service.id])
            .await;
        let planner = server
            .create_client("acme", "planner", "agent", &[(ORDERS, &["read"])])
            .await;
        let refunds = server
            .create_client("globex", "refunds", "agent", &[(ORDERS, &["read"])])
            .await;
        server
            .create_rule(&refunds.id, &planner.id, ORDERS, &["read"])
            .await;
        Self {
            world,
            planner,
            refunds,
            service,
        }
    }

    pub async fn tokens(&self) -> [String; 2] {
        let root = self.world.server.token(&self.planner, &[]).await;
        let (status, body) = self.world.server.exchange(&self.refunds, &root, &[]).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        [root, body["access_token"].as_str().unwrap().to_owned()]
    }

    pub async fn active(&self, token: &str) -> bool {
        let said = self.world.server.introspect(&self.service, token).await;
        said["active"].as_bool().unwrap_or_else(|| panic!("{said}"))
    }

    pub async fn credentials(&self, client: &TestClient) -> (u16, Value) {
        let (status, body) = self
            .world
            .server
            .form(
                "/oauth2/token",
                client,
                &[("grant_type", "client_credentials")],
            )
            .await;
        (status.as_u16(), body["error"].clone())
    }

    pub async fn exchanged(&self, token: &str) -> (u16, Value) {
        let (status, body) = self.world.server.exchange(&self.refunds, token, &[]).await;
        (status.as_u16(), body["error"].clone())
    }

    pub async fn standing(&self, tokens: &[String; 2]) -> [bool; 2] {
        [self.active(&tokens[0]).await, self.active(&tokens[1]).await]
    }
}

#[rstest]
#[tokio::test]
async fn a_suspended_agent_and_its_tokens_stop_until_it_is_resumed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let run = Running::new(backend).await;
    let tokens = run.tokens().await;
    assert_eq!(run.standing(&tokens).await, [true, true]);
    let said = run
        .world
        .post("/agents/acme.planner/suspend", json!({"reason": "odd"}))
        .await
        .ok();
    assert_eq!(
        (&said["state"], &said["state_reason"]),
        (&json!("suspended"), &json!("odd"))
    );
    assert_eq!(
        said["readiness"],
        json!({"ready": false, "reasons": ["not_active"]})
    );
    assert_eq!(
        run.standing(&tokens).await,
        [false, false],
        "with all that descends from it"
    );
    assert_eq!(
        run.credentials(&run.planner).await,
        (401, json!("invalid_client"))
    );
    assert_eq!(
        run.exchanged(&tokens[0]).await,
        (400, json!("invalid_request"))
    );
    let said = run
        .world
        .post("/agents/acme.planner/resume", json!({}))
        .await
        .ok();
    assert_eq!(
        (&said["state"], said.get("state_reason")),
        (&json!("active"), None)
    );
    assert_eq!(
        run.standing(&tokens).await,
        [true, true],
        "a pause is no revocation"
    );
    assert_eq!(run.credentials(&run.planner).await.0, 200);
    assert_eq!(run.exchanged(&tokens[0]).await.0, 200);
}

#[rstest]
#[tokio::test]
async fn a_suspended_actor_stops_what_it_was_given(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let run = Running::new(backend).await;
    let tokens = run.tokens().await;
    run.world
        .post("/agents/globex.refunds/suspend", json!({}))
        .await
        .ok();
    assert_eq!(run.standing(&tokens).await, [true, false]);
    assert_eq!(
        run.exchanged(&tokens[0]).await,
        (401, json!("invalid_client"))
    );
    run.world
        .post("/agents/globex.refunds/resume", json!({}))
        .await
        .ok();
    assert_eq!(run.standing(&tokens).await, [true, true]);
}

#[rstest]
#[tokio::test]
async fn a_revoked_agent_is_over_for_good(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let run = Running::new(backend).await;
    let tokens = run.tokens().await;
    let how = json!({"reason": "stolen", "severity": "critical"});
    let said = run
        .world
        .post("/agents/acme.planner/revoke", how.clone())
        .await
        .ok();
    assert_eq!(
        (&said["state"], &said["secrets"], &said["keys"]),
        (&json!("revoked"), &json!([]), &json!([]))
    );
    assert_eq!(
        said["readiness"]["reasons"],
        json!(["not_active", "no_secret"])
    );
    let entry = &run.world.get("/revocations").await["items"][0];
    for (name, value) in [
        ("kind", "client"),
        ("value", "acme.planner"),
        ("owner", "acme"),
        ("reason", "stolen"),
        ("severity", "critical"),
        ("revoked_by", "stipend.admin"),
    ] {
        assert_eq!(entry[name], value, "{entry}");
    }
    let created = entry["created_at"].as_i64().unwrap();
    assert_eq!(entry["issued_before"].as_i64(), Some(created));
    assert_eq!(
        entry["expires_at"].as_i64(),
        Some(created + 3600 + 60),
        "longest life and leeway"
    );
    assert_eq!(run.standing(&tokens).await, [false, false]);
    assert_eq!(
        run.credentials(&run.planner).await,
        (401, json!("invalid_client"))
    );
    assert_eq!(
        run.exchanged(&tokens[0]).await,
        (400, json!("invalid_request"))
    );
    assert_eq!(
        run.world
            .post("/agents/acme.planner/revoke", how)
            .await
            .ok(),
        said,
        "twice is once"
    );
    assert_eq!(
        run.world.get("/revocations").await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        run.world
            .post("/agents/acme.planner/retire", json!({}))
            .await
            .ok()["state"],
        "retired"
    );
    assert_eq!(run.standing(&tokens).await, [false, false]);
    assert_eq!(
        run.credentials(&run.planner).await,
        (401, json!("invalid_client"))
    );
    assert_eq!(
        run.credentials(&run.refunds).await.0,
        200,
        "the other agent goes on"
    );
}

#[rstest]
#[tokio::test]
async fn a_reissued_agent_is_a_clone_with_credentials_of_its_own(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let run = Running::new(backend).await;
    run.world
        .post(
            "/agents/acme.planner/revoke",
            json!({"reason": "stolen", "severity": "high"}),
        )
        .await
        .ok();
    let body = json!({"name": "planner-2", "ttl_seconds": 60});
    let made = run
        .world
        .post("/agents/acme.planner/reissue", body.clone())
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let clone = crate::world::client_of(&made.body);
    assert_ne!(clone.secret, run.planner.secret);
    assert_eq!(
        (
            &made.body["agent"]["reissue_of"],
            &made.body["agent"]["ttl_seconds"]
        ),
        (&json!("acme.planner"), &json!(60))
    );
    assert_eq!(made.body["agent"]["state"], "active");
    let again = run.world.post("/agents/acme.planner/reissue", body).await;
    assert_eq!((again.status, again.body.get("client_secret")), (200, None));
    assert_eq!(run.credentials(&clone).await.0, 200);
    assert_eq!(
        run.credentials(&TestClient {
            id: clone.id,
            secret: run.planner.secret.clone()
        })
        .await
        .0,
        401
    );
    let longer = run
        .world
        .post(
            "/agents/acme.planner/reissue",
            json!({"name": "planner-3", "ttl_seconds": 301}),
        )
        .await;
    assert_eq!(longer.problem(), (409, "not_narrower"));
    let taken = run
        .world
        .post(
            "/agents/acme.planner/reissue",
            json!({"name": "planner-2", "ttl_seconds": 61}),
        )
        .await;
    assert_eq!(taken.problem(), (409, "already_exists"));
}

#[rstest]
#[tokio::test]
async fn an_agents_own_end_stops_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let run = Running::new(backend).await;
    let tokens = run.tokens().await;
    let now = run.world.get("/agents/acme.planner").await["created_at"]
        .as_i64()
        .unwrap();
    run.world
        .patch("/agents/acme.planner", json!({"expires_at": now + 100}))
        .await
        .ok();
    assert_eq!(run.standing(&tokens).await, [true, true]);
    run.world.server.clock.advance(101);
    assert_eq!(run.standing(&tokens).await, [false, false]);
    assert_eq!(
        run.credentials(&run.planner).await,
        (401, json!("invalid_client"))
    );
    assert_eq!(
        run.world.get("/agents/acme.planner").await["readiness"]["reasons"],
        json!(["expired"])
    );
    let clone = run
        .world
        .post("/agents/acme.planner/reissue", json!({"name": "late"}))
        .await;
    assert_eq!(clone.problem(), (409, "invalid_state"));
}
