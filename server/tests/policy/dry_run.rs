//! What a policy would have refused of what was recorded.

use crate::world::{ORDERS, VAULT, World, when};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::clock::Clock;
use stipend_schema::Backend;

impl World {
    async fn try_text(&self, owner: &str, text: &str) -> Value {
        self.server.create("/policies/dry-run", json!({"owner": owner, "text": text})).await
    }
}

#[rstest]
#[tokio::test]
async fn the_past_is_put_to_the_text_and_counted(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let plain = world.token(&world.planner, ORDERS).await;
    world.issue_from(&world.planner, VAULT, "192.0.2.7").await;
    let strong = world.with_user(json!({"acr": "urn:strong", "auth_time": world.server.clock.now()})).await;
    for subject in [&plain, &strong] {
        assert_eq!(world.exchange(subject).await.0, StatusCode::OK);
    }
    world.server.create(
        "/credentials",
        json!({"owner": "acme", "name": "llm", "value": {"api_key": {"key": "sk-0123456789"}}, "modes": ["plaintext"]}),
    ).await;
    world
        .server
        .create("/grants", json!({"credential": "acme.llm", "agent": world.planner.id, "modes": ["plaintext"]}))
        .await;
    let keys = world.token(&world.planner, &world.server.app.urls.credential_resource).await;
    let release = world.server.url("/credentials/acme.llm/release");
    let sent = world.server.http.post(release).bearer_auth(&keys).json(&json!({"mode": "plaintext"})).send().await;
    assert_eq!(sent.unwrap().status(), StatusCode::OK);
    world.token(&world.rival, VAULT).await;
    // Of acme: tokens for orders (twice: once for the user's), the vault and the keys, two
    // exchanges, one release. Not its administrators', and not the rival's.
    let all = world.try_text("acme", "forbid (principal, action, resource);").await;
    assert_eq!((&all["records"], &all["would_refuse"], &all["failed"]), (&json!(7), &json!(7), &json!(0)), "{all}");
    assert_eq!(
        all["by_action"],
        json!({
            "credential:release": {"tried": 1, "would_refuse": 1},
            "token:exchange": {"tried": 2, "would_refuse": 2},
            "token:issue": {"tried": 4, "would_refuse": 4},
        })
    );
    assert_eq!(all["examples"].as_array().unwrap().len(), 7);
    let newest = &all["examples"][0];
    assert_eq!((&newest["action"], &newest["resource"]), (&json!("credential:release"), &json!("acme.llm")), "{all}");
    assert_eq!((&newest["agent"], &newest["statements"]), (&json!("acme.planner"), &json!([1])));
    for (text, count) in [
        (when("token:issue", "context has source && context.source == ip(\"192.0.2.7\")"), 1),
        (when("token:issue", "context.scope.contains(\"write\")"), 2),
        (when("token:exchange", "context has actor && context.actor == \"agent:acme.helper\""), 2),
        (when("token:exchange", "context has acr && context has auth_age && context.auth_age < 60"), 1),
        (when("token:exchange", "!(context has acr)"), 1),
        (when("credential:release", "context.mode == \"plaintext\" && context.environment == \"live\""), 1),
        (when("credential:call", "true"), 0),
        (format!("forbid (principal, action, resource == Resource::\"{VAULT}\");"), 1),
        ("forbid (principal, action, resource) unless { resource in Owner::\"acme\" };".to_owned(), 2),
    ] {
        let said = world.try_text("acme", &text).await;
        assert_eq!(said["would_refuse"], count, "{text}: {said}");
    }
    let overflow = when("token:exchange", "context.now.epoch * 9223372036854775807 == 1");
    let said = world.try_text("acme", &overflow).await;
    assert_eq!((&said["would_refuse"], &said["failed"]), (&json!(2), &json!(2)), "{said}");
    // And what it says is what happens.
    world.forbid(Some("acme"), "real", &when("token:issue", "context.scope.contains(\"write\")")).await;
    assert_eq!(world.issue(&world.planner, ORDERS).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(world.issue(&world.planner, VAULT).await.0, StatusCode::OK);
}

#[rstest]
#[tokio::test]
async fn an_owner_tries_on_its_own_records_alone(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.token(&world.planner, ORDERS).await;
    world.token(&world.rival, VAULT).await;
    let boss = world.boss("globex", "owner-admin").await;
    let body = json!({"owner": "globex", "text": "forbid (principal, action, resource);"});
    let (status, said) = world.server.admin_as(&boss, Method::POST, "/policies/dry-run", Some(&body)).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    // Its own administrator's token is among its records, and no policy applies to that.
    assert_eq!((&said["would_refuse"], &said["not_evaluated"]), (&json!(1), &json!({"administrator": 1})), "{said}");
    assert_eq!(said["examples"][0]["agent"], "globex.rival");
    let everything = json!({"text": "forbid (principal, action, resource);"});
    let (_, said) = world.server.admin(Method::POST, "/policies/dry-run", Some(&everything)).await;
    assert_eq!(said["would_refuse"], 2, "{said}");
}

#[rstest]
#[tokio::test]
async fn what_can_not_be_tried_is_counted_and_windows_are_kept(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    world.token(&world.planner, ORDERS).await;
    world.token(&world.planner, VAULT).await;
    // As a version that recorded less would have written it.
    world
        .server
        .execute(&format!(
            "UPDATE audit_records SET record = replace(record, '\"env\"', '\"was\"') \
         WHERE event = 'token.issued' AND record LIKE '%{VAULT}%'"
        ))
        .await;
    let text = "forbid (principal, action, resource);";
    let said = world.try_text("acme", text).await;
    assert_eq!(
        (&said["would_refuse"], &said["not_evaluated"]),
        (&json!(1), &json!({"record_incomplete": 1})),
        "{said}"
    );
    let now = world.server.clock.now();
    let window = async |since: i64, until: i64| {
        let body = json!({"owner": "acme", "text": text, "since": since, "until": until});
        world.server.admin(Method::POST, "/policies/dry-run", Some(&body)).await
    };
    assert_eq!(window(now - 100_000, now - 50_000).await.1["records"], 0);
    assert_eq!(window(now - 1000, now + 10).await.1["records"], 2);
    for (since, until) in
        [(now, now), (now, now - 1), (now - 32 * 86_400, now), (i64::MIN, i64::MAX), (i64::MAX, i64::MIN)]
    {
        assert_eq!(window(since, until).await.0, StatusCode::BAD_REQUEST, "{since} {until}");
    }
    for body in [
        json!({"owner": "acme"}),
        json!({"owner": "acme", "text": text, "policy": "pol_x"}),
        json!({"owner": "acme", "policy": "pol_x"}),
        json!({"owner": "acme", "text": "permit (principal, action, resource);"}),
        json!({"owner": "acme", "text": text, "after": "nonsense"}),
    ] {
        let (status, said) = world.server.admin(Method::POST, "/policies/dry-run", Some(&body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {said}");
    }
}

#[rstest]
#[tokio::test]
async fn a_stored_policy_is_tried_by_its_id_and_long_pasts_in_pages(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    world.token(&world.planner, ORDERS).await;
    let new = json!({"owner": "acme", "name": "off", "text": when("token:issue", "true"), "disabled": true});
    let id = world.server.create("/policies", new).await["id"].clone();
    let said = world.server.create("/policies/dry-run", json!({"policy": id})).await;
    assert_eq!(said["would_refuse"], 1, "whatever its state: {said}");
    // Five thousand copies of the one record there is, which is more than one answer reads.
    world.server.execute(
        "INSERT INTO audit_records SELECT 'copies', s.n, r.at - s.n, r.event, r.outcome, r.owner_id, r.subject_owner_id, \
         r.client_id, r.jti, r.record, r.hash FROM (SELECT * FROM audit_records WHERE event = 'token.issued' AND \
         client_id = 'acme.planner' LIMIT 1) r, (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5100) \
         SELECT n FROM c) s",
    ).await;
    let mut body = json!({"policy": id});
    let first = world.server.create("/policies/dry-run", body.clone()).await;
    assert_eq!((&first["records"], first["examples"].as_array().unwrap().len()), (&json!(5000), 20));
    body["after"] = first["next"].clone();
    let second = world.server.create("/policies/dry-run", body).await;
    assert_eq!((&second["records"], &second["would_refuse"]), (&json!(101), &json!(101)), "{second}");
    assert!(second.get("next").is_none(), "{second}");
}
