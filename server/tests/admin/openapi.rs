//! The document is the routes, and the routes are the document.

use crate::routes::{Things, operations_of};
use crate::world::World;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

async fn served(world: &World) -> Value {
    world.server.http.get(world.server.url("/openapi.json")).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn the_served_document_is_the_one_the_command_prints_with_this_server_in_it() {
    let world = World::new(Backend::Sqlite).await;
    let mut document = served(&world).await;
    let printed = serde_json::to_value(stipend::admin::openapi()).unwrap();
    let servers = document.as_object_mut().unwrap().remove("servers").unwrap();
    assert_eq!(servers, json!([{"url": world.server.issuer}]));
    assert_eq!(document, printed);
    assert!(printed["openapi"].as_str().unwrap().starts_with("3.1"));
}

#[rstest]
#[tokio::test]
async fn every_documented_operation_is_routed(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let nothing = Things::missing();
    for (operation, _) in operations_of(&served(&world).await) {
        let case = nothing.case(&operation);
        let reply = world.send(None, case.method, &case.path, case.body.as_ref()).await;
        assert_eq!(reply.problem(), (401, "no_token"), "{operation} is answered by its handler");
    }
}

#[tokio::test]
async fn what_the_document_does_not_name_is_not_routed() {
    let world = World::new(Backend::Sqlite).await;
    let document = served(&world).await;
    let nothing = Things::missing();
    for (path, item) in document["paths"].as_object().unwrap() {
        let named: Vec<String> = item.as_object().unwrap().keys().map(|verb| verb.to_uppercase()).collect();
        let known = nothing.case(&format!("{} {path}", named[0])).path;
        for verb in
            ["GET", "POST", "PUT", "PATCH", "DELETE"].iter().filter(|verb| !named.contains(&(**verb).to_owned()))
        {
            let reply = world.send(None, verb.parse::<Method>().unwrap(), &known, None).await;
            assert_eq!(reply.problem(), (405, "method_not_allowed"), "{verb} {path}");
            let mut allow: Vec<&str> = reply.header("allow").split(", ").collect();
            allow.sort_unstable();
            let mut named = named.clone();
            named.sort_unstable();
            assert_eq!(allow, named, "{path}");
        }
    }
}

#[test]
fn every_operation_says_what_it_answers() {
    let document = serde_json::to_value(stipend::admin::openapi()).unwrap();
    for (operation, said) in operations_of(&document) {
        let responses = said["responses"].as_object().unwrap();
        let good: Vec<&String> = responses.keys().filter(|status| status.starts_with('2')).collect();
        assert!(!good.is_empty(), "{operation} has no good answer");
        for status in good.iter().filter(|status| **status != "204") {
            let is_stream = operation.ends_with("/audit/stream");
            let kind = if is_stream { "text/event-stream" } else { "application/json" };
            let schema = &responses[*status]["content"][kind]["schema"];
            assert!(schema.is_object(), "{operation} {status} has no schema");
        }
        for status in ["400", "401", "403", "404", "409", "503"] {
            let schema = &responses[status]["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{operation} {status}");
        }
        assert!(said["summary"].is_string() || said["description"].is_string(), "{operation} says nothing");
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    let document = serde_json::to_value(stipend::admin::openapi()).unwrap();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let flows = &document["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"];
    assert_eq!(flows["scopes"].as_object().unwrap().len(), 3, "{flows}");
}

fn collect(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            into.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| collect(value, into));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, into)),
        _ => {}
    }
}
