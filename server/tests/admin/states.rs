//! The state machine of agents, owners and resources, and what it does to the OAuth endpoints.

use crate::world::{ORDERS, World, jwk};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::TestClient;
use stipend_schema::Backend;

/// What is done to an agent: a verb of the table, as a request.
async fn act(world: &World, id: &str, verb: &str, method: &str) -> (u16, String) {
    let path = format!("/agents/{id}");
    let clone = format!("{}-clone", id.split('.').next_back().unwrap());
    let reply = match verb {
        "suspend" | "resume" | "retire" => world.post(&format!("{path}/{verb}"), json!({})).await,
        "revoke" => world.post(&format!("{path}/revoke"), json!({"reason": "test", "severity": "low"})).await,
        "narrow" => world.post(&format!("{path}/narrow"), json!({"ttl_seconds": 100})).await,
        "patch" => world.patch(&path, json!({"purpose": "patched"})).await,
        "reissue" => world.post(&format!("{path}/reissue"), json!({"name": clone})).await,
        "secret" => world.post(&format!("{path}/secrets"), json!({})).await,
        "key" => world.post(&format!("{path}/keys"), json!({"jwk": jwk()})).await,
        other => panic!("{method}: {other}"),
    };
    let state = world.get(&path).await["state"].as_str().unwrap().to_owned();
    let code = reply.body["code"].as_str().unwrap_or_default().to_owned();
    let said = if code.is_empty() { state } else { format!("{state} {code}") };
    (reply.status, said)
}

#[rstest]
#[tokio::test]
async fn the_state_machine_over_http(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values("client_secret_basic", "private_key_jwt")] method: &str,
) {
    let world = World::new(backend).await;
    let roads: [(&str, &[&str]); 4] =
        [("active", &[]), ("suspended", &["suspend"]), ("revoked", &["revoke"]), ("retired", &["revoke", "retire"])];
    let verbs = ["suspend", "resume", "revoke", "retire", "narrow", "patch", "reissue", "secret", "key"];
    let mut table = String::new();
    for (state, road) in roads {
        for verb in verbs {
            let name = format!("{state}-{verb}");
            let body = json!({"owner": "acme", "name": name, "auth_method": method, "purpose": "test"});
            world.post("/agents", body).await.ok();
            let id = format!("acme.{name}");
            for step in road {
                assert_eq!(act(&world, &id, step, method).await.0, 200);
            }
            assert_eq!(world.get(&format!("/agents/{id}")).await["state"], state);
            let (status, said) = act(&world, &id, verb, method).await;
            table.push_str(&format!("{state:<10} {verb:<8} {status} {said}\n"));
        }
    }
    insta::assert_snapshot!(format!("the_state_machine_with_{method}"), table);
}

/// A world in which everything works, and what is asked of it.
struct Running {
    world: World,
    planner: TestClient,
    refunds: TestClient,
    service: TestClient,
}

impl Running {
    async fn new(backend: Backend) -> Self {
        let world = World::new(backend).await;
        let server = &world.server;
        let service = server.create_client("globex", "orders-api", "service", &[]).await;
        server.create_resource("globex", ORDERS, &["read"], &[&service.id]).await;
        let planner = server.create_client("acme", "planner", "agent", &[(ORDERS, &["read"])]).await;
        let refunds = server.create_client("globex", "refunds", "agent", &[(ORDERS, &["read"])]).await;
        server.create_rule(&refunds.id, &planner.id, ORDERS, &["read"]).await;
        Self { world, planner, refunds, service }
    }

    async fn tokens(&self) -> [String; 2] {
        let root = self.world.server.token(&self.planner, &[]).await;
        let (status, body) = self.world.server.exchange(&self.refunds, &root, &[]).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        [root, body["access_token"].as_str().unwrap().to_owned()]
    }

    async fn active(&self, token: &str) -> bool {
        let said = self.world.server.introspect(&self.service, token).await;
        said["active"].as_bool().unwrap_or_else(|| panic!("{said}"))
    }

    async fn credentials(&self, client: &TestClient) -> (u16, Value) {
        let (status, body) =
            self.world.server.form("/oauth2/token", client, &[("grant_type", "client_credentials")]).await;
        (status.as_u16(), body["error"].clone())
    }

    async fn exchanged(&self, token: &str) -> (u16, Value) {
        let (status, body) = self.world.server.exchange(&self.refunds, token, &[]).await;
        (status.as_u16(), body["error"].clone())
    }

    async fn standing(&self, tokens: &[String; 2]) -> [bool; 2] {
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
    let said = run.world.post("/agents/acme.planner/suspend", json!({"reason": "odd"})).await.ok();
    assert_eq!((&said["state"], &said["state_reason"]), (&json!("suspended"), &json!("odd")));
    assert_eq!(said["readiness"], json!({"ready": false, "reasons": ["not_active"]}));
    assert_eq!(run.standing(&tokens).await, [false, false], "with all that descends from it");
    assert_eq!(run.credentials(&run.planner).await, (401, json!("invalid_client")));
    assert_eq!(run.exchanged(&tokens[0]).await, (400, json!("invalid_request")));
    let said = run.world.post("/agents/acme.planner/resume", json!({})).await.ok();
    assert_eq!((&said["state"], said.get("state_reason")), (&json!("active"), None));
    assert_eq!(run.standing(&tokens).await, [true, true], "a pause is no revocation");
    assert_eq!(run.credentials(&run.planner).await.0, 200);
    assert_eq!(run.exchanged(&tokens[0]).await.0, 200);
}

#[rstest]
#[tokio::test]
async fn a_suspended_actor_stops_what_it_was_given(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let run = Running::new(backend).await;
    let tokens = run.tokens().await;
    run.world.post("/agents/globex.refunds/suspend", json!({})).await.ok();
    assert_eq!(run.standing(&tokens).await, [true, false]);
    assert_eq!(run.exchanged(&tokens[0]).await, (401, json!("invalid_client")));
    run.world.post("/agents/globex.refunds/resume", json!({})).await.ok();
    assert_eq!(run.standing(&tokens).await, [true, true]);
}

#[rstest]
#[tokio::test]
async fn a_revoked_agent_is_over_for_good(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let run = Running::new(backend).await;
    let tokens = run.tokens().await;
    let how = json!({"reason": "stolen", "severity": "critical"});
    let said = run.world.post("/agents/acme.planner/revoke", how.clone()).await.ok();
    assert_eq!((&said["state"], &said["secrets"], &said["keys"]), (&json!("revoked"), &json!([]), &json!([])));
    assert_eq!(said["readiness"]["reasons"], json!(["not_active", "no_secret"]));
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
    assert_eq!(entry["expires_at"].as_i64(), Some(created + 3600 + 60), "longest life and leeway");
    assert_eq!(run.standing(&tokens).await, [false, false]);
    assert_eq!(run.credentials(&run.planner).await, (401, json!("invalid_client")));
    assert_eq!(run.exchanged(&tokens[0]).await, (400, json!("invalid_request")));
    assert_eq!(run.world.post("/agents/acme.planner/revoke", how).await.ok(), said, "twice is once");
    assert_eq!(run.world.get("/revocations").await["items"].as_array().unwrap().len(), 1);
    assert_eq!(run.world.post("/agents/acme.planner/retire", json!({})).await.ok()["state"], "retired");
    assert_eq!(run.standing(&tokens).await, [false, false]);
    assert_eq!(run.credentials(&run.planner).await, (401, json!("invalid_client")));
    assert_eq!(run.credentials(&run.refunds).await.0, 200, "the other agent goes on");
}

#[rstest]
#[tokio::test]
async fn a_disabled_owner_stops_its_agents_and_old_tokens_stay_dead(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let run = Running::new(backend).await;
    let boss = run.world.boss("acme").await;
    let tokens = run.tokens().await;
    run.world.post("/owners/acme/disable", json!({"reason": "unpaid"})).await.ok();
    assert_eq!(run.world.get("/owners/acme").await["state"], "disabled");
    assert_eq!(run.world.get("/agents/acme.planner").await["readiness"]["reasons"], json!(["owner_disabled"]));
    assert_eq!(run.standing(&tokens).await, [false, false]);
    assert_eq!(run.credentials(&run.planner).await, (401, json!("invalid_client")));
    assert_eq!(run.exchanged(&tokens[0]).await, (400, json!("invalid_request")));
    assert_eq!(run.world.send(Some(&boss), Method::GET, "/whoami", None).await.problem(), (401, "invalid_token"));
    run.world.post("/owners/acme/enable", json!({})).await.ok();
    assert_eq!(run.world.get("/agents/acme.planner").await["readiness"]["ready"], true);
    assert_eq!(run.standing(&tokens).await, [false, false], "what was issued until then stays dead");
    run.world.server.clock.advance(1);
    let fresh = run.tokens().await;
    assert_eq!(run.standing(&fresh).await, [true, true]);
    assert_eq!(run.standing(&tokens).await, [false, false]);
}

#[rstest]
#[tokio::test]
async fn a_disabled_resource_owner_stops_tokens_for_its_resources(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let run = Running::new(backend).await;
    let tokens = run.tokens().await;
    run.world.post("/owners/globex/disable", json!({})).await.ok();
    assert_eq!(run.credentials(&run.service).await.0, 401, "its introspector as well");
    assert_eq!(run.exchanged(&tokens[0]).await.0, 401);
    let (status, error) = run.credentials(&run.planner).await;
    assert_eq!((status, error), (400, json!("invalid_target")), "nobody gets a token for what is switched off");
}

#[rstest]
#[tokio::test]
async fn a_disabled_resource_takes_no_tokens_until_it_is_enabled(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let run = Running::new(backend).await;
    let tokens = run.tokens().await;
    let list = run.world.get("/resources").await;
    let item = list["items"].as_array().unwrap().iter().find(|item| item["uri"] == ORDERS).unwrap().clone();
    let path = format!("/resources/{}", item["id"].as_str().unwrap());
    assert_eq!(run.world.post(&format!("{path}/disable"), json!({"reason": "moved"})).await.ok()["state"], "disabled");
    assert_eq!(run.standing(&tokens).await, [false, false]);
    assert_eq!(run.credentials(&run.planner).await, (400, json!("invalid_target")));
    assert_eq!(run.exchanged(&tokens[0]).await.0, 400);
    assert_eq!(run.world.post(&format!("{path}/enable"), json!({})).await.ok()["state"], "active");
    assert_eq!(run.standing(&tokens).await, [true, true]);
    assert_eq!(run.credentials(&run.planner).await.0, 200);
}

#[rstest]
#[tokio::test]
async fn narrowing_narrows_and_never_widens(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.server.create_resource("acme", ORDERS, &["read", "write"], &[]).await;
    let agent = world.server.create_client("acme", "planner", "agent", &[(ORDERS, &["read", "write"])]).await;
    let path = "/agents/acme.planner/narrow";
    let access = |scopes: &[&str]| json!([{"resource": ORDERS, "scopes": scopes, "default_scopes": scopes}]);
    let body = json!({"access": access(&["read"]), "scope_ceiling": ["read"], "ttl_seconds": 100});
    let narrowed = world.post(path, body.clone()).await.ok();
    assert_eq!((&narrowed["access"], &narrowed["ttl_seconds"]), (&body["access"], &body["ttl_seconds"]));
    assert_eq!(world.post(path, body).await.ok(), narrowed, "the same again changes nothing");
    for wider in [
        json!({"access": access(&["read", "write"])}),
        json!({"scope_ceiling": ["read", "write"]}),
        json!({"ttl_seconds": 101}),
        json!({"access": [{"resource": "https://other.example", "scopes": ["read"], "default_scopes": []}]}),
        json!({"ttl_seconds": 50, "scope_ceiling": ["write"]}),
        json!({"access": [access(&["read"])[0], access(&["read"])[0]]}),
    ] {
        assert_eq!(world.post(path, wider.clone()).await.problem(), (409, "not_narrower"), "{wider}");
    }
    assert_eq!(world.get("/agents/acme.planner").await, narrowed, "and no half of them either");
    let (_, body) = world.server.form("/oauth2/token", &agent, &[("grant_type", "client_credentials")]).await;
    assert_eq!((&body["scope"], &body["expires_in"]), (&json!("read"), &json!(100)));
    assert_eq!(
        world.post(path, json!({"access": [], "scope_ceiling": []})).await.ok()["readiness"]["reasons"],
        json!(["no_access"])
    );
}

#[rstest]
#[tokio::test]
async fn a_reissued_agent_is_a_clone_with_credentials_of_its_own(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let run = Running::new(backend).await;
    run.world.post("/agents/acme.planner/revoke", json!({"reason": "stolen", "severity": "high"})).await.ok();
    let body = json!({"name": "planner-2", "ttl_seconds": 60});
    let made = run.world.post("/agents/acme.planner/reissue", body.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let clone = crate::world::client_of(&made.body);
    assert_ne!(clone.secret, run.planner.secret);
    assert_eq!(
        (&made.body["agent"]["reissue_of"], &made.body["agent"]["ttl_seconds"]),
        (&json!("acme.planner"), &json!(60))
    );
    assert_eq!(made.body["agent"]["state"], "active");
    let again = run.world.post("/agents/acme.planner/reissue", body).await;
    assert_eq!((again.status, again.body.get("client_secret")), (200, None));
    assert_eq!(run.credentials(&clone).await.0, 200);
    assert_eq!(run.credentials(&TestClient { id: clone.id, secret: run.planner.secret.clone() }).await.0, 401);
    let longer = run.world.post("/agents/acme.planner/reissue", json!({"name": "planner-3", "ttl_seconds": 301})).await;
    assert_eq!(longer.problem(), (409, "not_narrower"));
    let taken = run.world.post("/agents/acme.planner/reissue", json!({"name": "planner-2", "ttl_seconds": 61})).await;
    assert_eq!(taken.problem(), (409, "already_exists"));
}

#[rstest]
#[tokio::test]
async fn an_agents_own_end_stops_it(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let run = Running::new(backend).await;
    let tokens = run.tokens().await;
    let now = run.world.get("/agents/acme.planner").await["created_at"].as_i64().unwrap();
    run.world.patch("/agents/acme.planner", json!({"expires_at": now + 100})).await.ok();
    assert_eq!(run.standing(&tokens).await, [true, true]);
    run.world.server.clock.advance(101);
    assert_eq!(run.standing(&tokens).await, [false, false]);
    assert_eq!(run.credentials(&run.planner).await, (401, json!("invalid_client")));
    assert_eq!(run.world.get("/agents/acme.planner").await["readiness"]["reasons"], json!(["expired"]));
    let clone = run.world.post("/agents/acme.planner/reissue", json!({"name": "late"})).await;
    assert_eq!(clone.problem(), (409, "invalid_state"));
}
