use super::*;
use std::collections::BTreeSet;
use std::path::Path;

/// Event words in the source: whatever is handed to a draft or a route, and whatever else has a noun
/// of ours before a dot.
fn events_of(text: &str) -> Vec<String> {
    // What follows the tests of a file is not what it does.
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let mut found = Vec::new();
    for line in code.lines() {
        let is_place = ["Draft::new(", "serve(&app", ".event(", "refuse("].iter().any(|place| line.contains(place));
        for literal in line.split('"').skip(1).step_by(2) {
            let Some((noun, verb)) = literal.split_once('.') else { continue };
            if word(noun) && word(verb) && (is_place || nouns().contains(&noun)) {
                found.push(literal.to_owned());
            }
        }
    }
    found
}

fn sources(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("tests.rs") {
            found.extend(events_of(&std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn every_event_there_is_has_a_class_and_an_activity() {
    let mut found = BTreeSet::new();
    for folder in ["src", "../schema/src"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    }
    assert!(found.len() > 120, "{}", found.len());
    found.retain(|event| known(event).is_none());
    assert!(found.is_empty(), "say in export/ocsf/events.rs what these are: {found:?}");
}

/// What a class wants, from its page of the schema 1.3.0: required attributes with their types,
/// the activities it knows, and of which attributes one at least must be there.
struct Wanted {
    class: u32,
    category: i64,
    activities: &'static [i64],
    required: &'static [(&'static str, Kind)],
    one_of: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum Kind {
    Integer,
    /// An object that has one of these.
    Object(&'static [&'static str]),
}

const BASE: &[(&str, Kind)] = &[
    ("activity_id", Kind::Integer),
    ("category_uid", Kind::Integer),
    ("class_uid", Kind::Integer),
    ("severity_id", Kind::Integer),
    ("time", Kind::Integer),
    ("type_uid", Kind::Integer),
    ("metadata", Kind::Object(&["version"])),
];
const USER: Kind = Kind::Object(&["account", "name", "uid"]);

const SCHEMA: &[Wanted] = &[
    Wanted {
        class: 3002,
        category: 3,
        activities: &[0, 1, 2, 3, 4, 5, 6, 99],
        required: &[("user", USER)],
        one_of: &["service", "dst_endpoint"],
    },
    Wanted {
        class: 3003,
        category: 3,
        activities: &[0, 1, 2, 3, 99],
        required: &[("user", USER)],
        one_of: &["privileges", "group"],
    },
    Wanted {
        class: 3004,
        category: 3,
        activities: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 99],
        required: &[("entity", Kind::Object(&["name", "uid", "device", "group", "org", "policy", "user"]))],
        one_of: &["entity"],
    },
    Wanted {
        class: 6003,
        category: 6,
        activities: &[0, 1, 2, 3, 4, 99],
        required: &[
            ("actor", Kind::Object(&["process", "user", "session", "app_name"])),
            ("api", Kind::Object(&["operation"])),
            ("src_endpoint", Kind::Object(&["ip", "uid", "name", "hostname", "svc_name", "instance_uid"])),
        ],
        one_of: &["api"],
    },
];

fn validate(event: &Value) {
    let number = |name: &str| event[name].as_i64().unwrap_or_else(|| panic!("{name}: {event}"));
    let class =
        SCHEMA.iter().find(|wanted| i64::from(wanted.class) == number("class_uid")).expect("a class of the four");
    assert_eq!(number("category_uid"), class.category);
    assert!(class.activities.contains(&number("activity_id")), "{event}");
    assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"));
    assert!((0..=6).contains(&number("severity_id")) && (0..=2).contains(&number("status_id")), "{event}");
    for (name, kind) in BASE.iter().chain(class.required) {
        match kind {
            Kind::Integer => assert!(event[*name].is_i64() || event[*name].is_u64(), "{name}: {event}"),
            Kind::Object(any) => {
                let object = event[*name].as_object().unwrap_or_else(|| panic!("{name}: {event}"));
                assert!(any.iter().any(|member| object.contains_key(*member)), "{name}: {event}");
            }
        }
    }
    assert!(class.one_of.iter().any(|name| event.get(*name).is_some()), "{event}");
    let metadata = &event["metadata"];
    assert_eq!(metadata["version"], OCSF_VERSION);
    assert!(metadata["product"]["vendor_name"].is_string() && metadata["product"]["name"].is_string());
    if let Some(privileges) = event.get("privileges") {
        let privileges = privileges.as_array().unwrap();
        assert!(!privileges.is_empty() && privileges.iter().all(Value::is_string));
    }
}

fn record(name: &str, more: Value) -> String {
    let mut record = json!({
        "v": 1, "writer": "w_a", "n": 7, "prev": "x", "at": 1_700_000_000_123_456_i64, "event": name, "outcome": "done",
    });
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    record.to_string()
}

#[test]
fn every_event_is_valid_whatever_its_record_says_and_does_not_say() {
    let mut all = BTreeSet::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    all.retain(|event| known(event).is_some());
    all.insert("unheard.of".to_owned());
    let shapes = [
        json!({}),
        json!({"outcome": "refused", "reason": "scope_not_granted", "client_id": "acme.a", "owner_id": "acme", "jti": "t_1"}),
        json!({"detail": {"source": "192.0.2.7", "request_id": "req_1", "target": "x", "why": "y", "count": 4}}),
        json!({"detail": {"source": "[redacted]", "scope": "read write", "subject": "user:x", "count": -1}}),
        json!({"detail": "no object", "client_id": 7, "outcome": 1}),
    ];
    for name in &all {
        for shape in &shapes {
            validate(&event(&record(name, shape.clone())).unwrap());
        }
    }
    for text in ["", "[]", "{}", "{\"event\":\"token.issued\"}", "{\"event\":7}"] {
        assert_eq!(event(text), None, "{text}");
    }
}

#[test]
fn a_refused_token_and_a_new_agent_say_who_what_and_from_where() {
    let more = json!({
        "outcome": "refused", "reason": "invalid_secret", "client_id": "acme.planner", "owner_id": "acme",
        "detail": {"source": "192.0.2.7", "request_id": "req_1", "scope": "read write"},
    });
    let issued = event(&record("token.issued", more)).unwrap();
    assert_eq!(
        (&issued["class_uid"], &issued["type_uid"], &issued["status_id"]),
        (&json!(3003), &json!(300_301), &json!(2))
    );
    assert_eq!(issued["status_detail"], "invalid_secret");
    assert_eq!(issued["privileges"], json!(["read", "write"]));
    assert_eq!((&issued["src_endpoint"]["ip"], &issued["user"]["uid"]), (&json!("192.0.2.7"), &json!("acme.planner")));
    assert_eq!((&issued["metadata"]["uid"], &issued["time"]), (&json!("w_a/7"), &json!(1_700_000_000_123_i64)));
    let made = event(&record("agent.created", json!({"detail": {"target": "acme.planner"}}))).unwrap();
    assert_eq!((&made["class_uid"], &made["activity_name"]), (&json!(3004), &json!("Create")));
    assert_eq!(made["entity"], json!({"type": "agent", "uid": "acme.planner", "name": "acme.planner"}));
    assert_eq!(made["unmapped"]["event"], "agent.created");
}
