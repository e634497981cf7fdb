//! Exchange rules: each owner accepts for itself.

use crate::world::{ORDERS, Reply, World, with};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::TestClient;
use stipend_schema::Backend;

/// acme's planner holds tokens for acme's orders; globex's helper would like to act with them.
pub struct Two {
    pub world: World,
    pub planner: TestClient,
    pub helper: TestClient,
    pub acme: String,
    pub globex: String,
}

impl Two {
    pub async fn new(backend: Backend) -> Self {
        let world = World::new(backend).await;
        world
            .server
            .create_resource("acme", ORDERS, &["read", "write"], &[])
            .await;
        let planner = world
            .server
            .create_client("acme", "planner", "agent", &[(ORDERS, &["read", "write"])])
            .await;
        let helper = world
            .server
            .create_client("globex", "helper", "agent", &[])
            .await;
        let (acme, globex) = (world.boss("acme").await, world.boss("globex").await);
        Self {
            world,
            planner,
            helper,
            acme,
            globex,
        }
    }

    pub fn body(&self) -> Value {
        json!({
            "id": "globex.helps", "actor": {"client": self.helper.id}, "subject": {"client": self.planner.id},
            "to_audience": ORDERS, "scopes": [{"scope": "read"}], "mode": "delegation",
        })
    }

    pub async fn call(&self, token: &str, method: Method, path: &str, body: Value) -> Reply {
        self.world
            .send(
                Some(token),
                method,
                &format!("/exchange-rules{path}"),
                Some(&body),
            )
            .await
    }

    /// What the token endpoint answers.
    async fn exchange(&self, form: &[(&str, &str)]) -> Value {
        let subject = self.world.server.token(&self.planner, &[]).await;
        self.world
            .server
            .exchange(&self.helper, &subject, form)
            .await
            .1
    }
}

#[rstest]
#[tokio::test]
async fn a_rule_works_once_both_have_accepted(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let two = Two::new(backend).await;
    let made = two.call(&two.globex, Method::POST, "", two.body()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(
        (&made.body["accepted_by"], &made.body["awaiting"]),
        (&json!(["globex"]), &json!(["acme"]))
    );
    assert_eq!(two.exchange(&[]).await["error"], "invalid_request");
    let mine_only = two
        .call(&two.globex, Method::POST, "/globex.helps/accept", json!({}))
        .await
        .ok();
    assert_eq!(
        mine_only["awaiting"],
        json!(["acme"]),
        "nobody accepts for another"
    );
    let theirs = two
        .call(
            &two.globex,
            Method::POST,
            "/globex.helps/accept",
            json!({"owner": "acme"}),
        )
        .await;
    assert_eq!(theirs.body["errors"][0]["pointer"], "/owner");
    let accepted = two
        .call(&two.acme, Method::POST, "/globex.helps/accept", json!({}))
        .await
        .ok();
    assert_eq!(
        (&accepted["accepted_by"], &accepted["awaiting"]),
        (&json!(["globex", "acme"]), &json!([]))
    );
    assert_eq!(two.exchange(&[("scope", "read")]).await["scope"], "read");
    let again = two
        .call(
            &two.acme,
            Method::POST,
            "/globex.helps/accept",
            json!({"owner": "acme"}),
        )
        .await
        .ok();
    assert_eq!(again, accepted);
}

#[rstest]
#[tokio::test]
async fn switching_a_rule_off_takes_ones_acceptance_back(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let two = Two::new(backend).await;
    two.world.post("/exchange-rules", two.body()).await.ok();
    assert_eq!(
        two.exchange(&[("scope", "read")]).await["scope"],
        "read",
        "a platform-admin accepts for all"
    );
    let off = two
        .call(&two.acme, Method::POST, "/globex.helps/disable", json!({}))
        .await
        .ok();
    assert_eq!(
        (&off["state"], &off["accepted_by"]),
        (&json!("disabled"), &json!(["globex"]))
    );
    assert_eq!(two.exchange(&[]).await["error"], "invalid_request");
    let on = two
        .call(&two.globex, Method::POST, "/globex.helps/enable", json!({}))
        .await
        .ok();
    assert_eq!(
        (&on["state"], &on["awaiting"]),
        (&json!("active"), &json!(["acme"])),
        "not for the other"
    );
    assert_eq!(two.exchange(&[]).await["error"], "invalid_request");
    two.call(&two.acme, Method::POST, "/globex.helps/enable", json!({}))
        .await
        .ok();
    assert_eq!(two.exchange(&[("scope", "read")]).await["scope"], "read");
}

#[rstest]
#[tokio::test]
async fn any_party_may_delete_a_rule(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let two = Two::new(backend).await;
    two.world.post("/exchange-rules", two.body()).await.ok();
    assert_eq!(two.exchange(&[("scope", "read")]).await["scope"], "read");
    let gone = two
        .call(&two.acme, Method::DELETE, "/globex.helps", json!({}))
        .await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    assert_eq!(two.exchange(&[]).await["error"], "invalid_request");
    for (method, path) in [
        (Method::GET, ""),
        (Method::DELETE, ""),
        (Method::POST, "/accept"),
        (Method::POST, "/enable"),
    ] {
        let reply = two
            .call(
                &two.acme,
                method,
                &format!("/globex.helps{path}"),
                json!({}),
            )
            .await;
        assert_eq!(reply.problem(), (404, "not_found"), "{path}");
    }
}

#[rstest]
#[tokio::test]
async fn a_rule_is_made_once_under_a_name_of_ones_own(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let two = Two::new(backend).await;
    let made = two.call(&two.globex, Method::POST, "", two.body()).await;
    let again = two.call(&two.globex, Method::POST, "", two.body()).await;
    assert_eq!((made.status, again.status), (201, 200));
    assert_eq!(made.body, again.body);
    let other = with(two.body(), json!({"scopes": [{"scope": "write"}]}));
    assert_eq!(
        two.call(&two.globex, Method::POST, "", other)
            .await
            .problem(),
        (409, "already_exists")
    );
    for id in ["acme.mine", "mine", "globexx.a", "stipend.a"] {
        let reply = two
            .call(
                &two.globex,
                Method::POST,
                "",
                with(two.body(), json!({"id": id})),
            )
            .await;
        assert_eq!(reply.body["errors"][0]["pointer"], "/id", "{id}");
    }
    let mut unnamed = two.body();
    unnamed.as_object_mut().unwrap().remove("id");
    let unnamed = two.call(&two.globex, Method::POST, "", unnamed).await.ok();
    assert!(unnamed["id"].as_str().unwrap().starts_with("rule_"));
}

#[rstest]
#[tokio::test]
async fn a_rule_that_says_nothing_sensible_is_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let two = Two::new(backend).await;
    for change in [
        json!({"scopes": []}),
        json!({"scopes": [{"scope": "a b"}]}),
        json!({"scopes": [{"scope": "a", "surprise": 1}]}),
        json!({"mode": "both"}),
        json!({"max_ttl_seconds": 0}),
        json!({"max_ttl_seconds": 3601}),
        json!({"max_depth": 0}),
        json!({"max_depth": 99}),
        json!({"actor": {"client": "noowner"}}),
        json!({"actor": {"owner": "A"}}),
        json!({"actor": {"everybody": "x"}}),
        json!({"actor": {}}),
        json!({"actor": {"client": "globex.helper", "owner": "globex"}}),
        json!({"actor": {"client": "globex.nobody"}}),
        json!({"to_audience": "orders"}),
    ] {
        let reply = two
            .world
            .post("/exchange-rules", with(two.body(), change.clone()))
            .await;
        assert_eq!(reply.problem(), (400, "invalid_request"), "{change}");
    }
    let nowhere = two
        .world
        .post(
            "/exchange-rules",
            with(two.body(), json!({"to_audience": "https://no.example"})),
        )
        .await;
    assert_eq!(nowhere.problem(), (404, "not_found"));
    assert_eq!(two.world.get("/exchange-rules").await, json!({"items": []}));
}
