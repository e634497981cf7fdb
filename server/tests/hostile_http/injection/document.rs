//! The OpenAPI document, as places where text goes.

use reqwest::Method;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use url::form_urlencoded;

/// Deepest place that is looked for.
const DEEPEST: usize = 8;

/// Where one string of a request is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// A member of the body, by its JSON pointer.
    Member(String),
    Query(String),
    /// The first part of the path that is a parameter.
    Path,
}

pub struct Route {
    pub method: Method,
    /// As the document has it, without `/admin/v1`.
    pub path: String,
    operation: Value,
    /// A body with all that is required.
    base: Option<Value>,
}

pub fn routes(document: &Value) -> Vec<Route> {
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let Ok(method) = method.to_ascii_uppercase().parse::<Method>() else { continue };
            let path = path.strip_prefix("/admin/v1").expect("a route of the admin API").to_owned();
            let schema = body_schema(operation);
            let base = schema.map(|schema| made(document, schema, "", 0));
            routes.push(Route { method, path, operation: operation.clone(), base });
        }
    }
    routes
}

fn body_schema(operation: &Value) -> Option<&Value> {
    let content = operation["requestBody"]["content"].as_object()?;
    content.values().next().map(|media| &media["schema"])
}

/// Every place of a route.
pub fn place_in(document: &Value, route: &Route) -> Vec<Place> {
    let mut places = Vec::new();
    if let Some(schema) = body_schema(&route.operation) {
        members(document, schema, "", 0, &mut places);
    }
    for parameter in route.operation["parameters"].as_array().into_iter().flatten() {
        if parameter["in"] == "query" {
            places.push(Place::Query(parameter["name"].as_str().unwrap().to_owned()));
        }
    }
    if route.path.contains('{') {
        places.push(Place::Path);
    }
    places
}

fn resolved<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).expect("a schema that is there"),
        None => schema,
    }
}

fn is(schema: &Value, kind: &str) -> bool {
    match &schema["type"] {
        Value::String(only) => only == kind,
        Value::Array(several) => several.iter().any(|one| one == kind),
        _ => false,
    }
}

fn variants(schema: &Value) -> impl Iterator<Item = &Value> {
    ["oneOf", "anyOf", "allOf"].into_iter().flat_map(|key| schema[key].as_array().into_iter().flatten())
}

fn members(document: &Value, schema: &Value, at: &str, depth: usize, places: &mut Vec<Place>) {
    let schema = resolved(document, schema);
    let here = Place::Member(at.to_owned());
    if depth > DEEPEST {
        return;
    }
    // A value of which the document does not say what it is may be text as well.
    let untyped = schema["type"].is_null() && variants(schema).next().is_none() && !at.is_empty();
    if (is(schema, "string") || untyped) && !places.contains(&here) {
        places.push(here);
    }
    for variant in variants(schema) {
        members(document, variant, at, depth + 1, places);
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        members(document, member, &format!("{at}/{name}"), depth + 1, places);
    }
    if schema["items"].is_object() {
        members(document, &schema["items"], &format!("{at}/0"), depth + 1, places);
    }
    if schema["additionalProperties"].is_object() {
        members(document, &schema["additionalProperties"], &format!("{at}/name"), depth + 1, places);
    }
}

/// What the document calls for, filled with what is there.
fn made(document: &Value, schema: &Value, name: &str, depth: usize) -> Value {
    let schema = resolved(document, schema);
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    if is(schema, "string") {
        return word(name).into();
    }
    if is(schema, "integer") || is(schema, "number") {
        return schema["minimum"].as_i64().unwrap_or(1).max(1).into();
    }
    if is(schema, "boolean") {
        return true.into();
    }
    if is(schema, "array") {
        return json!([made(document, &schema["items"], name, depth + 1)]);
    }
    if let Some(variant) = variants(schema).find(|variant| variant["type"] != "null").filter(|_| depth < DEEPEST) {
        return made(document, variant, name, depth + 1);
    }
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let member = |name: &str| (name.to_owned(), made(document, &schema["properties"][name], name, depth + 1));
    Value::Object(required.map(member).collect::<Map<_, _>>())
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// What a member of this name is called in the test's company.
fn word(name: &str) -> String {
    match name {
        "owner" => "acme".to_owned(),
        "agent" | "actor" | "client" | "client_id" => "acme.agent".to_owned(),
        "auth_method" => "private_key_jwt".to_owned(),
        "resource" | "to_audience" | "from_audience" => "https://acme.example".to_owned(),
        "scope" | "scopes" | "default_scopes" => "read".to_owned(),
        "unit" => "call".to_owned(),
        "mode" => "delegation".to_owned(),
        "text" => "forbid (principal, action, resource) when { context.scope.contains(\"never\") };".to_owned(),
        "uri" | "issuer" | "url" => format!("https://n{}.example", NEXT.fetch_add(1, Ordering::Relaxed)),
        "id" | "name" => "made".to_owned(),
        _ => "text".to_owned(),
    }
}

impl Route {
    /// The path and the body with this text in this place, and good values everywhere else.
    pub fn with(&self, place: &Place, text: &str) -> (String, Option<Value>) {
        let encoded = || form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
        let mut body = self.base.clone();
        // A thing is made anew each time.
        if let Some(Value::Object(members)) = &mut body {
            for name in ["id", "name"] {
                if let Some(Value::String(value)) = members.get_mut(name) {
                    *value = format!("n{}", NEXT.fetch_add(1, Ordering::Relaxed));
                }
            }
            if let Some(Value::String(value)) = members.get_mut("uri") {
                *value = format!("https://n{}.example", NEXT.fetch_add(1, Ordering::Relaxed));
            }
        }
        let mut path = self.filled(if *place == Place::Path { encoded() } else { self.thing().to_owned() });
        match place {
            Place::Member(pointer) => put(body.get_or_insert_with(|| json!({})), pointer, text),
            Place::Query(name) => path = format!("{path}?{name}={}", encoded()),
            Place::Path => {}
        }
        (path, body)
    }

    /// A thing of the company that the path may name.
    fn thing(&self) -> &'static str {
        match self.path.split('/').nth(1) {
            Some("owners") => "acme",
            Some("agents") => "acme.agent",
            _ => "nothing",
        }
    }

    fn filled(&self, first: String) -> String {
        let mut first = Some(first);
        let part = |part: &str| match part.starts_with('{') {
            true => first.take().unwrap_or_else(|| "1".to_owned()),
            false => part.to_owned(),
        };
        self.path.split('/').map(part).collect::<Vec<_>>().join("/")
    }
}

/// Puts a text at a JSON pointer, and what lacks on the way there.
fn put(value: &mut Value, pointer: &str, text: &str) {
    let Some((name, rest)) =
        pointer.trim_start_matches('/').split_once('/').or(Some((pointer.trim_start_matches('/'), "")))
    else {
        return;
    };
    if name.is_empty() {
        *value = text.into();
        return;
    }
    let next = if name == "0" {
        if !value.is_array() {
            *value = json!([null]);
        }
        &mut value[0]
    } else {
        if !value.is_object() {
            *value = json!({});
        }
        &mut value[name]
    };
    put(next, rest, text);
}
