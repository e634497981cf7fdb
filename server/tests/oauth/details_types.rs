//! The types of `authorization_details` that a client is registered for (RFC 9396 section 10).

use crate::budget_tokens::rich;
use crate::world::{World, claims, error};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

const BUDGET: &str = r#"[{"type":"budget","unit":"call","decimals":0,"amount":5}]"#;
const RELEASE: &str = r#"[{"type":"credential_release","identifier":"llm","actions":["proxy"]}]"#;
const BOTH: &str = r#"[{"type":"credential_release","identifier":"llm","actions":["proxy"]},{"type":"budget","unit":"call","decimals":0,"amount":5}]"#;

async fn limit(world: &World, client: &str, types: &[&str]) {
    let patch = json!({"settings": {"authorization_details_types": types}});
    let (status, said) = world.server.admin(Method::PATCH, &format!("/agents/{client}"), Some(&patch)).await;
    assert!(status.is_success(), "{said}");
}

async fn ask(world: &World, details: Option<&str>) -> (StatusCode, Value) {
    let mut form = vec![("grant_type", "client_credentials")];
    form.extend(details.map(|details| ("authorization_details", details)));
    world.server.form("/oauth2/token", &world.planner, &form).await
}

fn is_refused((status, body): &(StatusCode, Value)) {
    assert_eq!((*status, error(body)), (StatusCode::BAD_REQUEST, "invalid_authorization_details"), "{body}");
    assert_eq!(body["error_description"], "authorization_details has a type that the client is not registered for");
}

#[rstest]
#[tokio::test]
async fn a_client_asks_for_the_types_it_is_registered_for(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = rich(backend, 1000, 500).await;
    let first = ask(&world, Some(BOTH)).await;
    assert_eq!(first.0, StatusCode::OK, "every type, where none is named: {}", first.1);
    limit(&world, &world.planner.id, &["budget"]).await;
    assert_eq!(ask(&world, Some(BUDGET)).await.0, StatusCode::OK);
    is_refused(&ask(&world, Some(RELEASE)).await);
    is_refused(&ask(&world, Some(BOTH)).await);
    limit(&world, &world.planner.id, &["credential_release"]).await;
    assert_eq!(ask(&world, Some(RELEASE)).await.0, StatusCode::OK);
    is_refused(&ask(&world, Some(BUDGET)).await);
    limit(&world, &world.planner.id, &[]).await;
    is_refused(&ask(&world, Some(RELEASE)).await);
    is_refused(&ask(&world, Some(BUDGET)).await);
    let without = ask(&world, None).await;
    assert_eq!(without.0, StatusCode::OK, "{}", without.1);
}

#[tokio::test]
async fn who_exchanges_is_asked_and_not_whose_token_it_is() {
    let world = rich(Backend::Sqlite, 1000, 500).await;
    let (_, body) = ask(&world, Some(BOTH)).await;
    let subject = body["access_token"].as_str().unwrap().to_owned();
    limit(&world, &world.planner.id, &[]).await;
    let exchange = async |details| {
        let form = [("scope", "refund"), ("authorization_details", details)];
        world.server.exchange(&world.refunds, &subject, &form).await
    };
    let narrowed = exchange(RELEASE).await;
    assert_eq!(narrowed.0, StatusCode::OK, "{}", narrowed.1);
    limit(&world, &world.refunds.id, &["budget"]).await;
    is_refused(&exchange(RELEASE).await);
    // The ceiling of the subject token goes along all the same.
    let form = [("scope", "refund")];
    let (status, body) = world.server.exchange(&world.refunds, &subject, &form).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let held = &claims(body["access_token"].as_str().unwrap())["authorization_details"];
    assert_eq!(held[0]["identifier"], "llm", "{held}");
}

#[tokio::test]
async fn only_types_that_there_are_each_once() {
    let world = World::new(Backend::Sqlite).await;
    for types in [json!(["payment"]), json!(["budget", "budget"]), json!([""]), json!(["Budget"])] {
        let patch = json!({"settings": {"authorization_details_types": types}});
        let path = format!("/agents/{}", world.planner.id);
        let (status, problem) = world.server.admin(Method::PATCH, &path, Some(&patch)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{types}: {problem}");
        assert_eq!(problem["errors"][0]["pointer"], "/settings/authorization_details_types", "{problem}");
    }
    let (_, agent) = world.server.admin(Method::GET, &format!("/agents/{}", world.planner.id), None).await;
    assert!(agent["settings"].get("authorization_details_types").is_none(), "{agent}");
}
