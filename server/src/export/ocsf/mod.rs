//! A record as an event of the Open Cybersecurity Schema Framework 1.3.0: pure, from the record's
//! text and nothing else.
//!
//! What OCSF has a place for goes there; the whole record is in `unmapped`, so that nothing is
//! lost, and its place in the chain is `metadata.uid` (`writer/n`). An event of no table is API
//! activity of the kind "other": it is never left out.

mod events;

#[cfg(test)]
use events::nouns;
pub use events::{Activity, Class, known};

use serde_json::{Map, Value, json};

/// The version of the schema.
pub const OCSF_VERSION: &str = "1.3.0";
/// What an endpoint or a user is called of which the record says nothing: the server itself.
const OURSELVES: &str = "stipend";
/// `type_uid` is the class times this, and the activity (OCSF, "Classification").
const TYPE_FACTOR: u32 = 100;

/// The event of a record's text; none for text that is no record.
#[must_use]
pub fn event(text: &str) -> Option<Value> {
    let record: Value = serde_json::from_str(text).ok()?;
    let name = record.get("event")?.as_str()?;
    let (class, activity) = known(name).unwrap_or((Class::ApiActivity, Activity::Other));
    let mut event = head(&record, name, class, activity)?;
    match class {
        Class::Authentication => {
            event.insert("user".to_owned(), subject(&record));
            event.insert("service".to_owned(), json!({"name": OURSELVES}));
            event.insert("is_remote".to_owned(), true.into());
        }
        Class::AuthorizeSession => {
            event.insert("user".to_owned(), subject(&record));
            event.insert("privileges".to_owned(), privileges(&record));
            if let Some(jti) = text_of(&record, "/jti") {
                event.insert("session".to_owned(), json!({"uid": jti}));
            }
        }
        Class::EntityManagement => {
            event.insert("entity".to_owned(), entity(&record, name));
            if let Some(why) = text_of(&record, "/detail/why") {
                event.insert("comment".to_owned(), why.into());
            }
        }
        Class::ApiActivity => {
            event.insert("api".to_owned(), api(&record, name));
        }
    }
    event.insert("actor".to_owned(), json!({"user": actor(&record)}));
    event.insert("src_endpoint".to_owned(), source(&record));
    event.insert("unmapped".to_owned(), record);
    Some(Value::Object(event))
}

/// What every event has.
fn head(record: &Value, name: &str, class: Class, activity: Activity) -> Option<Map<String, Value>> {
    let (category, category_name) = class.category();
    let (writer, n) = (text_of(record, "/writer")?, record.get("n")?.as_i64()?);
    let type_uid = class.uid().saturating_mul(TYPE_FACTOR).saturating_add(activity.id());
    let (status_id, status) = match text_of(record, "/outcome") {
        Some("refused") => (2, "Failure"),
        Some(_) => (1, "Success"),
        None => (0, "Unknown"),
    };
    let mut metadata = json!({
        "version": OCSF_VERSION, "uid": format!("{writer}/{n}"), "event_code": name,
        "log_name": "audit", "sequence": n,
        "product": {"name": "Stipend", "vendor_name": "Stipend", "version": env!("CARGO_PKG_VERSION")},
    });
    if let (Some(owner), Some(metadata)) = (text_of(record, "/owner_id"), metadata.as_object_mut()) {
        metadata.insert("tenant_uid".to_owned(), owner.into());
    }
    if let (Some(request), Some(metadata)) = (text_of(record, "/detail/request_id"), metadata.as_object_mut()) {
        metadata.insert("correlation_uid".to_owned(), request.into());
    }
    let (severity_id, severity) = severity(record, status_id);
    let event = json!({
        "metadata": metadata, "category_uid": category, "category_name": category_name,
        "class_uid": class.uid(), "class_name": class.name(),
        "activity_id": activity.id(), "activity_name": activity.name(),
        "type_uid": type_uid, "type_name": format!("{}: {}", class.name(), activity.name()),
        // Microseconds in the record, milliseconds here.
        "time": record.get("at")?.as_i64()? / 1000,
        "severity_id": severity_id, "severity": severity,
        "status_id": status_id, "status": status,
        "message": name,
    });
    let Value::Object(mut event) = event else { return None };
    if let Some(reason) = text_of(record, "/reason") {
        event.insert("status_detail".to_owned(), reason.into());
    }
    if let Some(count) = record.pointer("/detail/count").and_then(Value::as_i64).filter(|count| *count > 0) {
        event.insert("count".to_owned(), count.into());
    }
    Some(event)
}

/// Alerts of custody are critical, refusals low, the rest informational.
fn severity(record: &Value, status_id: u32) -> (u32, &'static str) {
    match (text_of(record, "/event"), status_id) {
        (Some("credential.alert"), _) => (5, "Critical"),
        (_, 2) => (2, "Low"),
        _ => (1, "Informational"),
    }
}

fn text_of<'a>(record: &'a Value, pointer: &str) -> Option<&'a str> {
    record.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Who did it: the client, or the person, or this server by itself.
fn actor(record: &Value) -> Value {
    match text_of(record, "/client_id").or_else(|| text_of(record, "/detail/claimed_client")) {
        Some(client) => user(client, text_of(record, "/owner_id"), 99),
        None => user(OURSELVES, None, 3),
    }
}

/// Who authenticates, or is given a token: the token's subject where there is one.
fn subject(record: &Value) -> Value {
    let subject = ["/detail/token/sub", "/detail/subject", "/detail/issued/sub"].iter();
    match subject.filter_map(|pointer| text_of(record, pointer)).next() {
        Some(subject) => user(subject, text_of(record, "/owner_id"), 99),
        None => actor(record),
    }
}

/// `type_id` 3 is the system itself, 99 something OCSF has no word for: an agent.
fn user(uid: &str, owner: Option<&str>, type_id: u32) -> Value {
    let kind = if type_id == 3 { "System" } else { "Agent" };
    let mut user = json!({"uid": uid, "name": uid, "type_id": type_id, "type": kind});
    if let (Some(owner), Some(user)) = (owner, user.as_object_mut()) {
        user.insert("org".to_owned(), json!({"uid": owner}));
    }
    user
}

/// The scopes of the token, or that there are none.
fn privileges(record: &Value) -> Value {
    let scope = ["/detail/token/scope", "/detail/scope", "/detail/issued/scope"].iter();
    let scope = scope.filter_map(|pointer| text_of(record, pointer)).next().unwrap_or("none");
    scope.split(' ').map(Value::from).collect()
}

/// Where it came from: the address, or this server by itself.
fn source(record: &Value) -> Value {
    match text_of(record, "/detail/source") {
        Some(source) if source.parse::<std::net::IpAddr>().is_ok() => json!({"ip": source}),
        Some(source) => json!({"name": source}),
        None => json!({"name": OURSELVES}),
    }
}

fn entity(record: &Value, name: &str) -> Value {
    let kind = name.split('.').next().unwrap_or(name);
    let named = ["/detail/target", "/detail/client", "/detail/credential", "/client_id"].iter();
    let uid = named.filter_map(|pointer| text_of(record, pointer)).next().unwrap_or(kind);
    json!({"type": kind, "uid": uid, "name": uid})
}

fn api(record: &Value, name: &str) -> Value {
    let mut api = json!({"operation": name, "service": {"name": OURSELVES}});
    if let (Some(request), Some(api)) = (text_of(record, "/detail/request_id"), api.as_object_mut()) {
        api.insert("request".to_owned(), json!({"uid": request}));
    }
    api
}

#[cfg(test)]
mod tests;
