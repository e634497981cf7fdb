//! Explaining an exchange tells what the token endpoint would do, and why.

use crate::rules::Two;
use crate::world::{ORDERS, with};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

/// Asserts that explaining says what the token endpoint does; answers what it said.
async fn agree(two: &Two, form: &[(&str, &str)]) -> Value {
    let subject = two.world.server.token(&two.planner, &[]).await;
    let (status, real) = two.world.server.exchange(&two.helper, &subject, form).await;
    let value = |name: &str| {
        form.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    };
    let question = json!({
        "actor": two.helper.id, "subject_token": subject, "audience": value("resource").into_iter().collect::<Vec<_>>(),
        "scope": value("scope"),
    });
    let imagined = with(
        question.clone(),
        json!({
            "subject_token": null, "subject": {"client_id": two.planner.id, "audience": [ORDERS], "scope": "read write"},
        }),
    );
    for question in [question, imagined] {
        let said = two
            .world
            .post("/exchange-rules/explain", question)
            .await
            .ok();
        assert_eq!(said["allowed"], status.is_success(), "{said} {real}");
        if status.is_success() {
            let scope: Vec<&str> = real["scope"].as_str().unwrap().split(' ').collect();
            assert_eq!(said["granted"]["scope"], json!(scope));
            assert!(said["granted"]["act"]["sub"].is_string());
        } else {
            assert_eq!(said["error"], real["error"], "{said}");
            assert!(said["reason"].is_string());
        }
    }
    two.world
        .post(
            "/exchange-rules/explain",
            json!({"actor": two.helper.id, "subject_token": subject}),
        )
        .await
        .ok()
}

#[rstest]
#[tokio::test]
async fn explaining_agrees_with_the_token_endpoint(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let two = Two::new(backend).await;
    let verdict = |said: &Value| {
        said["rules"][0]["verdicts"][0]["verdict"]
            .as_str()
            .map(str::to_owned)
    };
    let said = agree(&two, &[]).await;
    assert_eq!(
        (&said["allowed"], verdict(&said)),
        (&json!(false), None),
        "no rule at all"
    );
    two.call(&two.globex, Method::POST, "", two.body())
        .await
        .ok();
    let said = agree(&two, &[("scope", "read")]).await;
    assert_eq!(verdict(&said).as_deref(), Some("not_accepted"));
    assert_eq!(said["rules"][0]["verdicts"][0]["owner"], "acme");
    two.call(&two.acme, Method::POST, "/globex.helps/accept", json!({}))
        .await
        .ok();
    let said = agree(&two, &[("scope", "read")]).await;
    assert_eq!(verdict(&said).as_deref(), Some("allows"));
    agree(&two, &[]).await;
    agree(&two, &[("scope", "write")]).await;
    agree(&two, &[("scope", "read"), ("resource", ORDERS)]).await;
    agree(&two, &[("resource", "https://no.example")]).await;
    two.world
        .server
        .create_resource("globex", "https://other.example", &["read"], &[])
        .await;
    agree(&two, &[("resource", "https://other.example")]).await;
    two.call(&two.acme, Method::POST, "/globex.helps/disable", json!({}))
        .await
        .ok();
    let said = agree(&two, &[("scope", "read")]).await;
    assert_eq!(verdict(&said).as_deref(), Some("disabled"));
}

#[rstest]
#[tokio::test]
async fn explaining_a_token_or_actor_that_is_over_says_so(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let two = Two::new(backend).await;
    two.world.post("/exchange-rules", two.body()).await.ok();
    let subject = two.world.server.token(&two.planner, &[]).await;
    let question = json!({"actor": two.helper.id, "subject_token": subject});
    let ask = async |question: &Value| {
        two.world
            .post("/exchange-rules/explain", question.clone())
            .await
            .ok()["reason"]
            .clone()
    };
    assert_eq!(ask(&question).await, Value::Null);
    assert_eq!(
        ask(&with(question.clone(), json!({"subject_token": "garbage"}))).await,
        "subject_malformed"
    );
    two.world
        .post("/agents/acme.planner/suspend", json!({}))
        .await
        .ok();
    assert_eq!(ask(&question).await, "subject_not_standing");
    two.world
        .post("/agents/acme.planner/resume", json!({}))
        .await
        .ok();
    two.world
        .server
        .form("/oauth2/revoke", &two.planner, &[("token", &subject)])
        .await;
    assert_eq!(ask(&question).await, "subject_revoked");
    two.world
        .post("/agents/globex.helper/suspend", json!({}))
        .await
        .ok();
    assert_eq!(ask(&question).await, "client_not_active");
    two.world
        .post("/agents/globex.helper/resume", json!({}))
        .await
        .ok();
    let both = with(
        question,
        json!({"subject": {"client_id": two.planner.id, "audience": [ORDERS], "scope": "read"}}),
    );
    let neither = json!({"actor": two.helper.id});
    for question in [both, neither] {
        let reply = two.world.post("/exchange-rules/explain", question).await;
        assert_eq!(reply.body["errors"][0]["pointer"], "/subject");
    }
}
