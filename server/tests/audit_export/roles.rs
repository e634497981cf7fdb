//! Whose audit goes where: by role, by scope, by owner; and what is refused.

use crate::receiver::Receiver;
use crate::world::{World, issued};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

const ALL: [&str; 3] = ["admin:read", "admin:write", "admin:audit"];

#[rstest]
#[tokio::test]
async fn an_owners_sink_gets_that_owners_records_and_no_other(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let (acme, globex) = (Receiver::start().await, Receiver::start().await);
    let boss = world.admin("globex", "boss", json!([{"role": "owner-admin", "owner": "globex"}]), &ALL).await;
    let body = json!({"name": "siem", "owner": "globex", "url": globex.url});
    let (status, made) = world.server.admin_as(&boss, Method::POST, "/audit-sinks", Some(&body)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    world.sink(&acme, json!({"owner": "acme"})).await;
    let jtis = world.happen(3).await;
    let other = world.server.create_client("globex", "worker", "agent", &[]).await;
    acme.until("acme's", async |receiver| issued(&receiver.records()) == jtis).await;
    globex
        .until("globex's", async |receiver| receiver.records().iter().any(|record| record["event"] == "agent.created"))
        .await;
    for (receiver, owner) in [(&acme, "acme"), (&globex, "globex")] {
        for record in receiver.records() {
            let theirs = record["owner_id"] == owner || record["subject_owner_id"] == owner;
            assert!(theirs, "{owner}: {record}");
        }
    }
    assert!(globex.records().iter().any(|record| record.to_string().contains(&other.id)));
}

#[tokio::test]
async fn who_may_not_read_an_audit_has_none_of_it_sent() {
    let world = World::new(Backend::Sqlite).await;
    let receiver = Receiver::start().await;
    let roles = |role: &str| json!([{"role": role, "owner": "acme"}]);
    let boss = world.admin("acme", "boss", roles("owner-admin"), &ALL).await;
    let writes = world.admin("acme", "writes", roles("owner-admin"), &["admin:read", "admin:write"]).await;
    let auditor = world.admin("acme", "auditor", roles("auditor"), &ALL).await;
    let budgets = world.admin("acme", "budgets", roles("budget-admin"), &ALL).await;
    let foreign = world.admin("globex", "foreign", json!([{"role": "owner-admin", "owner": "globex"}]), &ALL).await;
    let body = |owner: Value| json!({"name": "siem", "owner": owner, "url": receiver.url});
    let cases = [
        (&writes, json!("acme"), StatusCode::FORBIDDEN, "insufficient_scope"),
        (&auditor, json!("acme"), StatusCode::FORBIDDEN, "forbidden"),
        (&budgets, json!("acme"), StatusCode::FORBIDDEN, "forbidden"),
        (&foreign, json!("acme"), StatusCode::NOT_FOUND, "not_found"),
        (&boss, Value::Null, StatusCode::FORBIDDEN, "forbidden"),
        (&auditor, Value::Null, StatusCode::FORBIDDEN, "forbidden"),
    ];
    for (token, owner, status, code) in cases {
        let (was, said) = world.server.admin_as(token, Method::POST, "/audit-sinks", Some(&body(owner.clone()))).await;
        assert_eq!((was, &said["code"]), (status, &json!(code)), "{owner}: {said}");
    }
    let own = world.sink(&receiver, json!({"owner": "acme"})).await;
    let all = world.sink(&receiver, json!({})).await;
    let get = async |token: &str, id: &str| {
        world.server.admin_as(token, Method::GET, &format!("/audit-sinks/{id}"), None).await.0
    };
    assert_eq!(get(&boss, &own.id).await, StatusCode::OK);
    assert_eq!(get(&auditor, &own.id).await, StatusCode::OK);
    assert_eq!(get(&budgets, &own.id).await, StatusCode::FORBIDDEN);
    assert_eq!(get(&foreign, &own.id).await, StatusCode::NOT_FOUND);
    for token in [&boss, &auditor, &foreign] {
        assert_eq!(get(token, &all.id).await, StatusCode::NOT_FOUND, "the deployment's sinks are not there for owners");
        let listed = world.server.admin_as(token, Method::GET, "/audit-sinks", None).await.1;
        assert!(!listed.to_string().contains(&all.id), "{listed}");
        for (method, path) in [(Method::DELETE, ""), (Method::POST, "/resume"), (Method::POST, "/test")] {
            let path = format!("/audit-sinks/{}{path}", all.id);
            assert_eq!(world.server.admin_as(token, method, &path, None).await.0, StatusCode::NOT_FOUND);
        }
    }
    let path = format!("/audit-sinks/{}", own.id);
    assert_eq!(world.server.admin_as(&auditor, Method::DELETE, &path, None).await.0, StatusCode::FORBIDDEN);
    assert_eq!(world.server.admin_as(&boss, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(get(&boss, &own.id).await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_no_sink_is_refused_and_changes_nothing() {
    let world = World::new(Backend::Sqlite).await;
    let now = world.server.now();
    let cases = [
        (json!({"name": "a", "url": "http://siem.example/in"}), "/url"),
        (json!({"name": "a", "url": "https://10.0.0.1/in"}), "/url"),
        (json!({"name": "a", "url": "https://user:pw@siem.example/in"}), "/url"),
        (json!({"name": "a", "url": "ftp://siem.example/in"}), "/url"),
        (json!({"name": "a", "url": "no url"}), "/url"),
        (json!({"name": "a", "url": format!("https://siem.example/{}", "x".repeat(600))}), "/url"),
        (json!({"name": "", "url": "https://siem.example/in"}), "/name"),
        (json!({"name": "a", "url": "https://siem.example/in", "since": now + 1000}), "/since"),
        (json!({"name": "a", "url": "https://siem.example/in", "since": -1}), "/since"),
        (json!({"name": "a", "url": "https://siem.example/in", "events": [""]}), "/events/0"),
        (json!({"name": "a", "url": "https://siem.example/in", "events": vec!["e"; 65]}), "/events"),
    ];
    for (body, pointer) in cases {
        let (status, said) = world.server.admin(Method::POST, "/audit-sinks", Some(&body)).await;
        assert_eq!(
            (status, &said["errors"][0]["pointer"]),
            (StatusCode::BAD_REQUEST, &json!(pointer)),
            "{body}: {said}"
        );
    }
    for body in [
        json!({"name": "a", "url": "https://siem.example/in", "format": "xml"}),
        json!({"name": "a", "url": "https://siem.example/in", "secret": "mine"}),
        json!({"url": "https://siem.example/in"}),
    ] {
        let (status, said) = world.server.admin(Method::POST, "/audit-sinks", Some(&body)).await;
        assert_eq!((status, &said["code"]), (StatusCode::BAD_REQUEST, &json!("invalid_request")), "{body}: {said}");
    }
    let listed = world.server.admin(Method::GET, "/audit-sinks", None).await.1;
    assert_eq!(listed["items"], json!([]));
}

#[rstest]
#[tokio::test]
async fn an_owner_has_so_many_sinks_and_no_more_however_many_ask_at_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let body = json!({"name": "a", "owner": "acme", "url": "https://siem.invalid/in", "events": ["no.such_event"]});
    let asked = (0..20).map(|_| world.server.admin(Method::POST, "/audit-sinks", Some(&body)));
    let answers = futures_util::future::join_all(asked).await;
    let made = answers.iter().filter(|(status, _)| *status == StatusCode::CREATED).count();
    assert_eq!(made, 16);
    for (status, said) in answers.iter().filter(|(status, _)| *status != StatusCode::CREATED) {
        let full = (*status, &said["code"]) == (StatusCode::CONFLICT, &json!("too_many_sinks"));
        assert!(full || *status == StatusCode::SERVICE_UNAVAILABLE, "{said}");
    }
    // Another owner has room of its own.
    let body = json!({"name": "a", "owner": "globex", "url": "https://siem.invalid/in"});
    assert_eq!(world.server.admin(Method::POST, "/audit-sinks", Some(&body)).await.0, StatusCode::CREATED);
}

/// The secret is in the answer that makes it and nowhere else, in clear.
#[rstest]
#[tokio::test]
async fn a_secret_is_shown_once_and_stored_sealed(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let receiver = Receiver::start().await;
    let sink = world.sink(&receiver, json!({})).await;
    let bare = sink.secret.strip_prefix("whsec_").unwrap();
    let row = stipend_schema::sinks::find_sink(world.server.app.store.db(), &sink.id).await.unwrap().unwrap();
    assert!(!String::from_utf8_lossy(&row.sealed_secret).contains(bare) && !row.spec.contains(bare));
    for path in [format!("/audit-sinks/{}", sink.id), "/audit-sinks".to_owned(), "/audit?limit=200".to_owned()] {
        let said = world.server.admin(Method::GET, &path, None).await.1.to_string();
        assert!(!said.contains(bare), "{path}");
    }
    assert!(!format!("{row:?}").contains(bare));
}
