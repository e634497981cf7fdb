//! Policies as they are administered.

use crate::world::{ORDERS, World, assert_refused, when};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

const NOTHING: &str = "forbid (principal == Agent::\"acme.nobody\", action, resource);";

impl World {
    async fn call(&self, token: &str, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let body = (method != Method::GET && method != Method::DELETE).then_some(&body);
        self.server.admin_as(token, method, &format!("/policies{path}"), body).await
    }
}

#[rstest]
#[tokio::test]
async fn every_text_is_kept_and_the_newest_applies(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let boss = world.boss("acme", "owner-admin").await;
    let new = json!({"owner": "acme", "name": "hours", "text": NOTHING});
    let (status, made) = world.call(&boss, Method::POST, "", new.clone()).await;
    assert_eq!(
        (status, &made["version"], &made["state"]),
        (StatusCode::CREATED, &json!(1), &json!("enabled")),
        "{made}"
    );
    let id = made["id"].as_str().unwrap();
    let (status, again) = world.call(&boss, Method::POST, "", new).await;
    assert_eq!((status, &again), (StatusCode::OK, &made), "the same again is the same");
    let differs = json!({"owner": "acme", "name": "hours", "text": format!("{NOTHING}\n")});
    let (status, _) = world.call(&boss, Method::POST, "", differs).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let strict = when("token:issue", "true");
    let (_, changed) = world.call(&boss, Method::PATCH, &format!("/{id}"), json!({"text": strict})).await;
    assert_eq!((&changed["version"], &changed["text"]), (&json!(2), &json!(strict)), "{changed}");
    assert_refused(&world.issue(&world.planner, ORDERS).await);
    assert_eq!(world.record("token.refused").await["detail"]["policies"][0]["version"], 2);
    let (_, same) = world.call(&boss, Method::PATCH, &format!("/{id}"), json!({"text": strict})).await;
    assert_eq!(same["version"], 2, "the same text is no new version");
    let (_, named) = world.call(&boss, Method::PATCH, &format!("/{id}"), json!({"name": "days"})).await;
    assert_eq!((&named["version"], &named["name"]), (&json!(2), &json!("days")));
    let (_, versions) = world.call(&boss, Method::GET, &format!("/{id}/versions"), Value::Null).await;
    let items = versions["items"].as_array().unwrap();
    let texts: Vec<&Value> = items.iter().map(|item| &item["text"]).collect();
    assert_eq!(texts, [&json!(strict), &json!(NOTHING)], "{versions}");
    assert_eq!(items[0]["author"], "acme.boss-owner-admin");
    let (status, _) = world.call(&boss, Method::DELETE, &format!("/{id}"), Value::Null).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    world.token(&world.planner, ORDERS).await;
    let (_, removed) = world.call(&boss, Method::GET, &format!("/{id}"), Value::Null).await;
    assert_eq!(removed["state"], "removed", "records name it: {removed}");
    let (_, versions) = world.call(&boss, Method::GET, &format!("/{id}/versions"), Value::Null).await;
    assert_eq!(versions["items"].as_array().unwrap().len(), 2);
    let (_, list) = world.call(&boss, Method::GET, "", Value::Null).await;
    assert_eq!(list, json!({"items": []}));
    for path in ["enable", "disable"] {
        let (status, body) = world.call(&boss, Method::POST, &format!("/{id}/{path}"), json!({})).await;
        assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("invalid_state")), "{path}");
    }
    let (status, _) = world.call(&boss, Method::PATCH, &format!("/{id}"), json!({"text": NOTHING})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let (status, made) =
        world.call(&boss, Method::POST, "", json!({"owner": "acme", "name": "days", "text": NOTHING})).await;
    assert_eq!(status, StatusCode::CREATED, "its name is free again: {made}");
}

#[rstest]
#[tokio::test]
async fn a_disabled_policy_does_not_apply(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let new = json!({"owner": "acme", "name": "off", "text": when("token:issue", "true"), "disabled": true});
    let id = world.server.create("/policies", new).await["id"].as_str().unwrap().to_owned();
    world.token(&world.planner, ORDERS).await;
    for (path, refuses) in [("enable", true), ("disable", false), ("enable", true)] {
        let (status, _) = world.server.admin(Method::POST, &format!("/policies/{id}/{path}"), Some(&json!({}))).await;
        assert_eq!(status, StatusCode::OK);
        let answer = world.issue(&world.planner, ORDERS).await;
        if refuses { assert_refused(&answer) } else { assert_eq!(answer.0, StatusCode::OK) }
    }
}

#[rstest]
#[tokio::test]
async fn what_is_not_ones_own_is_not_there(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let (boss, rival) = (world.boss("acme", "owner-admin").await, world.boss("globex", "owner-admin").await);
    let mine = world.forbid(Some("acme"), "mine", NOTHING).await;
    let everybodys = world.forbid(None, "everybodys", NOTHING).await;
    for (token, id) in [(&rival, &mine), (&rival, &everybodys), (&boss, &everybodys)] {
        for (method, path, body) in [
            (Method::GET, String::new(), Value::Null),
            (Method::GET, "/versions".to_owned(), Value::Null),
            (Method::PATCH, String::new(), json!({"name": "x"})),
            (Method::POST, "/disable".to_owned(), json!({})),
            (Method::DELETE, String::new(), Value::Null),
        ] {
            let hidden = world.call(token, method.clone(), &format!("/{id}{path}"), body.clone()).await;
            let missing = world.call(token, method.clone(), &format!("/pol_none{path}"), body).await;
            assert_eq!(hidden.0, StatusCode::NOT_FOUND, "{method} {path}");
            assert_eq!(hidden, missing, "{method} {path}");
        }
        let dry = world.call(token, Method::POST, "/dry-run", json!({"policy": id})).await;
        assert_eq!(dry.0, StatusCode::NOT_FOUND, "{dry:?}");
    }
    for body in [json!({"owner": "acme", "text": NOTHING}), json!({"owner": "nowhere", "text": NOTHING})] {
        assert_eq!(world.call(&rival, Method::POST, "/dry-run", body).await.0, StatusCode::NOT_FOUND);
    }
    let all = json!({"text": NOTHING});
    assert_eq!(world.call(&rival, Method::POST, "/dry-run", all).await.0, StatusCode::FORBIDDEN);
    let (_, list) = world.call(&boss, Method::GET, "", Value::Null).await;
    let ids: Vec<&Value> = list["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
    assert_eq!(ids, [&json!(mine)], "neither others' nor the deployment's");
    for owner in [json!("acme"), json!(null)] {
        let mut body = json!({"name": "x", "text": NOTHING});
        if !owner.is_null() {
            body["owner"] = owner.clone();
        }
        let (status, _) = world.call(&rival, Method::POST, "", body).await;
        let expected = if owner.is_null() { StatusCode::FORBIDDEN } else { StatusCode::NOT_FOUND };
        assert_eq!(status, expected, "{owner}");
    }
    let auditor = world.boss("acme", "auditor").await;
    let (status, _) = world.call(&auditor, Method::GET, &format!("/{mine}"), Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _) = world.call(&auditor, Method::DELETE, &format!("/{mine}"), Value::Null).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "auditors look");
}

#[rstest]
#[tokio::test]
async fn a_faulty_text_changes_nothing_and_says_where_it_is_wrong(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let id = world.forbid(Some("acme"), "good", NOTHING).await;
    for text in [
        "",
        "permit (principal, action, resource);",
        "forbid (principal == ?principal, action, resource);",
        "forbid (principal, action, resource) when { context.colour == 1 };",
        "forbid (principal, action, resource) when { context.acr == \"x\" };",
        "forbid (principal, action, resource) when {{{{{{{{{{{{{{{{{{{{ true };",
        "forbid (principal, action, resource)",
        "forbid (principal, action, resource); \u{202e}",
    ] {
        let create = json!({"owner": "acme", "name": "bad", "text": text});
        for (method, path, body) in [
            (Method::POST, "/policies".to_owned(), create),
            (Method::PATCH, format!("/policies/{id}"), json!({"text": text})),
        ] {
            let (status, body) = world.server.admin(method, &path, Some(&body)).await;
            assert_eq!((status, &body["code"]), (StatusCode::BAD_REQUEST, &json!("invalid_request")), "{text}: {body}");
            let fault = &body["errors"][0];
            assert_eq!(fault["pointer"], "/text", "{body}");
            assert!(fault["detail"].as_str().unwrap().starts_with("line 1, column "), "{body}");
        }
        let said = world.server.create("/policies/validate", json!({"text": text})).await;
        assert_eq!((&said["valid"], &said["errors"][0]["line"]), (&json!(false), &json!(1)), "{said}");
    }
    let (_, shown) = world.server.admin(Method::GET, &format!("/policies/{id}"), None).await;
    assert_eq!((&shown["version"], &shown["text"]), (&json!(1), &json!(NOTHING)));
    let (_, list) = world.server.admin(Method::GET, "/policies", None).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let said = world.server.create("/policies/validate", json!({"text": NOTHING})).await;
    assert_eq!(
        (&said["valid"], &said["statements"], &said["hash"]),
        (&json!(true), &json!(1), &shown["hash"]),
        "{said}"
    );
    let never = "forbid (principal, action, resource) when { false };";
    let said = world.server.create("/policies/validate", json!({"text": never})).await;
    assert!(!said["warnings"].as_array().unwrap().is_empty(), "what never applies is suspicious: {said}");
    for (name, problem) in [("", 400), ("UPPER", 400), ("a b", 400), ("good", 409)] {
        let body = json!({"owner": "acme", "name": name, "text": never});
        let (status, body) = world.server.admin(Method::POST, "/policies", Some(&body)).await;
        assert_eq!(status.as_u16(), problem, "{name:?}: {body}");
    }
    let (_, schema) = world.server.admin(Method::GET, "/policies/schema", None).await;
    assert_eq!(schema["version"], 1);
    assert!(schema["schema"].as_str().unwrap().contains("action \"token:exchange\" appliesTo"), "{schema}");
}

#[rstest]
#[tokio::test]
async fn there_are_at_most_so_many(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    for number in 0..64 {
        world.forbid(Some("acme"), &format!("n{number}"), NOTHING).await;
    }
    let body = json!({"owner": "acme", "name": "one-more", "text": NOTHING});
    let (status, answer) = world.server.admin(Method::POST, "/policies", Some(&body)).await;
    assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("too_many_policies")), "{answer}");
    world.forbid(Some("globex"), "theirs", "forbid (principal, action, resource) when { false };").await;
    world.token(&world.planner, ORDERS).await;
}
