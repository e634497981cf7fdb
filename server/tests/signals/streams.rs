//! Streams: made, read, changed, removed; whose they are; and what they are told.

use crate::world::{ORDERS, World, claims};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::{TestClient, TestServer};
use stipend_keys::TokenKind;
use stipend_schema::Backend;

pub const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
pub const CREDENTIAL_CHANGE: &str = "https://schemas.openid.net/secevent/caep/event-type/credential-change";
pub const TOKEN_CLAIMS_CHANGE: &str = "https://schemas.openid.net/secevent/caep/event-type/token-claims-change";
pub const RISK_LEVEL_CHANGE: &str = "https://schemas.openid.net/secevent/caep/event-type/risk-level-change";
pub const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";
const POLL: &str = "urn:ietf:rfc:8936";

/// Lets a client manage a stream.
pub async fn allow(world: &World, client: &TestClient) {
    let ssf = world.server.url("/ssf");
    let access = json!({"access": [{"resource": ssf, "scopes": ["ssf.manage", "ssf.read"], "default_scopes": ["ssf.manage", "ssf.read"]}]});
    let (status, body) = world.server.admin(Method::PATCH, &format!("/agents/{}", client.id), Some(&access)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

/// A call of the stream endpoints as a client.
pub async fn call(
    world: &World,
    client: &TestClient,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> (StatusCode, Value) {
    let token = world.server.token(client, &[]).await;
    let mut request = world.server.http.request(method, world.server.url(path)).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
}

/// Makes a client's stream; its id.
pub async fn make(world: &World, client: &TestClient, asked: Value) -> String {
    let (status, body) = call(world, client, Method::POST, "/ssf/stream", Some(asked)).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    body["stream_id"].as_str().unwrap().to_owned()
}

/// What waits for a stream: the claims of each event, verified.
pub async fn poll(world: &World, client: &TestClient, stream: &str, asked: Value) -> Vec<Value> {
    let (status, body) = call(world, client, Method::POST, &format!("/ssf/poll/{stream}"), Some(asked)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let mut told = Vec::new();
    for (jti, set) in body["sets"].as_object().unwrap() {
        let said = world.verified(set.as_str().unwrap(), TokenKind::SecurityEvent).await;
        assert_eq!(said["jti"], jti.as_str());
        told.push(json!(said));
    }
    told.sort_by_key(|said| said["iat"].as_i64());
    told
}

pub async fn now(world: &World, client: &TestClient, stream: &str) -> Vec<Value> {
    poll(world, client, stream, json!({"returnImmediately": true})).await
}

pub async fn act(world: &World, method: Method, path: &str, body: Value) {
    let (status, answer) = world.server.admin(method, path, Some(&body)).await;
    assert!(status.is_success(), "{path}: {status} {answer}");
}

#[tokio::test]
async fn the_metadata_says_what_there_is() {
    let world = World::new(Backend::Sqlite).await;
    let url = world.server.url("/.well-known/ssf-configuration");
    let said: Value = world.server.http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(said["issuer"], world.server.issuer.as_str());
    assert_eq!(said["spec_version"], "1_0");
    assert_eq!(said["delivery_methods_supported"], json!(["urn:ietf:rfc:8935", POLL]));
    assert_eq!(said["authorization_schemes"], json!([{"spec_urn": "urn:ietf:rfc:6749"}]));
    assert_eq!(said["default_subjects"], "ALL");
    for (name, path) in [
        ("jwks_uri", "/oauth2/jwks"),
        ("configuration_endpoint", "/ssf/stream"),
        ("status_endpoint", "/ssf/status"),
        ("verification_endpoint", "/ssf/verify"),
    ] {
        assert_eq!(said[name], world.server.url(path), "{name}");
    }
}

#[rstest]
#[tokio::test]
async fn a_stream_is_made_read_changed_and_removed(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    allow(&world, &world.service).await;
    let service = &world.service;
    let (status, none) = call(&world, service, Method::GET, "/ssf/stream", None).await;
    assert_eq!((status, none), (StatusCode::OK, json!([])));
    let asked = json!({"events_requested": [SESSION_REVOKED, "urn:later"], "description": "orders", "unknown": 1});
    let (status, made) = call(&world, service, Method::POST, "/ssf/stream", Some(asked.clone())).await;
    assert_eq!(status, StatusCode::CREATED);
    let id = made["stream_id"].as_str().unwrap();
    assert_eq!(
        made,
        json!({
            "stream_id": id, "iss": world.server.issuer, "aud": service.id,
            "events_supported": [SESSION_REVOKED, CREDENTIAL_CHANGE, TOKEN_CLAIMS_CHANGE, RISK_LEVEL_CHANGE],
            "events_requested": [SESSION_REVOKED, "urn:later"], "events_delivered": [SESSION_REVOKED],
            "delivery": {"method": POLL, "endpoint_url": world.server.url(&format!("/ssf/poll/{id}"))},
            "description": "orders",
        })
    );
    let place = format!("/ssf/stream?stream_id={id}");
    let (_, read) = call(&world, service, Method::GET, &place, None).await;
    assert_eq!(read, made);
    let (_, all) = call(&world, service, Method::GET, "/ssf/stream", None).await;
    assert_eq!(all, json!([made]));
    let (status, body) = call(&world, service, Method::POST, "/ssf/stream", Some(asked)).await;
    assert_eq!((status, &body["error"]), (StatusCode::CONFLICT, &json!("conflict")));
    let patch = json!({"stream_id": id, "events_requested": [CREDENTIAL_CHANGE], "iss": world.server.issuer});
    let (status, patched) = call(&world, service, Method::PATCH, "/ssf/stream", Some(patch)).await;
    assert_eq!(status, StatusCode::OK, "{patched}");
    assert_eq!(patched["events_delivered"], json!([CREDENTIAL_CHANGE]));
    assert_eq!(patched["description"], "orders", "what a patch does not name stays");
    let (_, put) = call(&world, service, Method::PUT, "/ssf/stream", Some(json!({"stream_id": id}))).await;
    assert_eq!(put["events_delivered"], put["events_supported"]);
    assert!(put.get("description").is_none(), "what a put does not name is gone");
    for bad in [
        json!({"stream_id": id, "iss": "https://evil.example"}),
        json!({"stream_id": id, "aud": "somebody"}),
        json!({"stream_id": id, "delivery": {"method": "urn:ietf:rfc:8935", "endpoint_url": "http://receiver.example/"}}),
        json!({"stream_id": id, "delivery": {"method": "urn:ietf:rfc:8935", "endpoint_url": "https://127.0.0.1/"}}),
        json!({"stream_id": id, "delivery": {"method": "urn:ietf:rfc:8935", "endpoint_url": "https://u:p@receiver.example/"}}),
        json!({"stream_id": id, "delivery": {"method": "urn:ietf:rfc:8935"}}),
        json!({"stream_id": id, "delivery": {"method": "urn:other"}}),
        json!({"stream_id": id, "description": "x".repeat(1025)}),
        json!({"stream_id": id, "events_requested": "all"}),
        json!({}),
        json!([]),
    ] {
        let (status, body) = call(&world, service, Method::PATCH, "/ssf/stream", Some(bad.clone())).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}: {body}");
    }
    assert_eq!(call(&world, service, Method::GET, &place, None).await.1, put, "and nothing has changed");
    let (status, _) = call(&world, service, Method::DELETE, &place, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(call(&world, service, Method::GET, &place, None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(call(&world, service, Method::DELETE, &place, None).await.0, StatusCode::NOT_FOUND);
    make(&world, service, json!({})).await;
}

#[tokio::test]
async fn who_has_no_token_for_it_or_not_the_scope_or_no_stream_is_refused() {
    let world = World::new(Backend::Sqlite).await;
    allow(&world, &world.service).await;
    allow(&world, &world.foreign).await;
    let id = make(&world, &world.service, json!({})).await;
    let http = &world.server.http;
    let bare = http.get(world.server.url("/ssf/stream")).send().await.unwrap();
    assert_eq!(
        (bare.status(), &bare.headers()["www-authenticate"]),
        (StatusCode::UNAUTHORIZED, &"Bearer".parse().unwrap())
    );
    let elsewhere = http.get(world.server.url("/ssf/stream")).bearer_auth(world.token().await).send().await.unwrap();
    assert_eq!(elsewhere.status(), StatusCode::UNAUTHORIZED);
    let reader = world.server.token(&world.service, &[("scope", "ssf.read")]).await;
    let refused =
        http.post(world.server.url("/ssf/stream")).bearer_auth(&reader).json(&json!({})).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    // To another owner's client it does not exist.
    let foreign = &world.foreign;
    let body = json!({"stream_id": id, "status": "disabled"});
    let verify = json!({"stream_id": id});
    for (method, path, body) in [
        (Method::GET, format!("/ssf/stream?stream_id={id}"), None),
        (Method::DELETE, format!("/ssf/stream?stream_id={id}"), None),
        (Method::PATCH, "/ssf/stream".to_owned(), Some(verify.clone())),
        (Method::PUT, "/ssf/stream".to_owned(), Some(verify.clone())),
        (Method::GET, format!("/ssf/status?stream_id={id}"), None),
        (Method::POST, "/ssf/status".to_owned(), Some(body)),
        (Method::POST, "/ssf/verify".to_owned(), Some(verify)),
        (Method::POST, format!("/ssf/poll/{id}"), Some(json!({"returnImmediately": true}))),
    ] {
        for round in 0..2 {
            let (status, answer) = call(&world, foreign, method.clone(), &path, body.clone()).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path} {round}: {answer}");
        }
    }
    // Nor with a stream of its own.
    make(&world, foreign, json!({})).await;
    let (status, _) =
        call(&world, foreign, Method::POST, &format!("/ssf/poll/{id}"), Some(json!({"ack": ["x"]}))).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

/// SS1 to SS3 and SS10.
#[rstest]
#[tokio::test]
async fn a_revoked_token_is_told_to_its_service_and_to_nobody_else(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    for client in [&world.service, &world.foreign] {
        allow(&world, client).await;
    }
    let id = make(&world, &world.service, json!({})).await;
    let other = make(&world, &world.foreign, json!({})).await;
    let token = world.token().await;
    world.revoke(&token).await;
    let told = now(&world, &world.service, &id).await;
    let [said] = told.as_slice() else { panic!("{told:?}") };
    let jti = said["jti"].as_str().unwrap();
    let mut names: Vec<&str> = said.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["aud", "events", "iat", "iss", "jti", "sub_id", "txn"], "no sub and no exp");
    assert!(jti.starts_with("set_"));
    assert_eq!((&said["iss"], &said["aud"]), (&json!(world.server.issuer), &json!(world.service.id)));
    assert_eq!(said["sub_id"], json!({"format": "jwt_id", "iss": world.server.issuer, "jti": claims(&token)["jti"]}));
    let events = said["events"].as_object().unwrap();
    assert_eq!(events.len(), 1, "one event each");
    let event = &events[SESSION_REVOKED];
    assert_eq!(event["initiating_entity"], "system");
    assert!(!event["reason_admin"]["en"].as_str().unwrap().is_empty());
    assert!(event["event_timestamp"].is_i64());
    let record = world.audit("token.revoked").await;
    assert_eq!(record[0]["detail"]["request_id"], said["txn"], "the record of the cause");
    assert!(now(&world, &world.foreign, &other).await.is_empty(), "another owner's service learns nothing");
}

#[rstest]
#[case::admin("token")]
#[case::client("client")]
#[case::subject("subject")]
#[case::agent("agent")]
#[case::suspended("suspended")]
#[case::resource("resource")]
#[case::owner("owner")]
#[tokio::test]
async fn whatever_an_admin_ends_is_told(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] what: &str,
) {
    let world = World::new(backend).await;
    allow(&world, &world.service).await;
    // In an owner of its own: one that is disabled polls nothing.
    let agent = world.server.create_client("umbrella", "agent", "agent", &[(ORDERS, &["read"])]).await;
    let id = make(&world, &world.service, json!({})).await;
    let token = world.server.token(&agent, &[]).await;
    let revoke =
        |kind: &str, value: &Value| json!({"kind": kind, "value": value, "reason": "secret words", "severity": "high"});
    let subject = json!({"format": "iss_sub", "iss": world.server.issuer, "sub": "agent:umbrella.agent"});
    let post = Method::POST;
    let expected = match what {
        "token" => {
            act(&world, post, "/revocations", revoke("token", &claims(&token)["jti"])).await;
            json!({"format": "jwt_id", "iss": world.server.issuer, "jti": claims(&token)["jti"]})
        }
        "client" => {
            act(&world, post, "/revocations", revoke("client", &json!("umbrella.agent"))).await;
            subject
        }
        "subject" => {
            act(&world, post, "/revocations", revoke("subject", &json!("agent:umbrella.agent"))).await;
            subject
        }
        "agent" => {
            act(&world, post, "/agents/umbrella.agent/revoke", json!({"reason": "secret words", "severity": "high"}))
                .await;
            subject
        }
        "suspended" => {
            act(&world, post, "/agents/umbrella.agent/suspend", json!({"reason": "secret words"})).await;
            subject
        }
        "resource" => {
            act(&world, post, "/revocations", revoke("resource", &json!(ORDERS))).await;
            json!({"format": "uri", "uri": ORDERS})
        }
        "owner" => {
            act(&world, post, "/owners/umbrella/disable", json!({"reason": "secret words"})).await;
            subject
        }
        other => panic!("{other}"),
    };
    let told = now(&world, &world.service, &id).await;
    let revoked: Vec<&Value> = told.iter().filter(|said| said["events"].get(SESSION_REVOKED).is_some()).collect();
    assert_eq!(revoked.len(), 1, "{told:?}");
    assert_eq!(revoked[0]["sub_id"], expected);
    assert_eq!(revoked[0]["events"][SESSION_REVOKED]["initiating_entity"], "admin");
    let text = serde_json::to_string(&told).unwrap();
    assert!(!text.contains("secret words"), "the admin's words stay in the audit: {text}");
}

/// SS11.
#[rstest]
#[tokio::test]
async fn new_and_removed_secrets_are_told_and_a_new_client_is_not(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    allow(&world, &world.service).await;
    let id = make(&world, &world.service, json!({"events_requested": [CREDENTIAL_CHANGE]})).await;
    world.server.create_client("acme", "fresh", "agent", &[(ORDERS, &["read"])]).await;
    assert!(now(&world, &world.service, &id).await.is_empty());
    let made = world.server.create(&format!("/agents/{}/secrets", world.planner.id), json!({})).await;
    let secret = made["id"].as_str().unwrap();
    let path = format!("/agents/{}/secrets/{secret}", world.planner.id);
    assert!(world.server.admin(Method::DELETE, &path, None).await.0.is_success());
    let told = now(&world, &world.service, &id).await;
    let mut changes: Vec<&Value> = told.iter().map(|said| &said["events"][CREDENTIAL_CHANGE]["change_type"]).collect();
    changes.sort_by_key(|change| change.as_str());
    assert_eq!(changes, ["create", "revoke"], "{told:?}");
    for said in &told {
        assert_eq!(said["sub_id"]["sub"], "agent:acme.planner");
        assert_eq!(said["events"][CREDENTIAL_CHANGE]["credential_type"], "client_secret");
    }
    // Not asked for, not told.
    world.revoke(&world.token().await).await;
    assert_eq!(now(&world, &world.service, &id).await.len(), 2);
}

/// SS7 and SS8.
#[rstest]
#[tokio::test]
async fn a_paused_stream_keeps_its_events_and_a_disabled_one_has_none(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let service = &world.service;
    allow(&world, service).await;
    let id = make(&world, service, json!({})).await;
    let set = async |status: &str| {
        let body = json!({"stream_id": id, "status": status, "reason": "a test"});
        let (code, answer) = call(&world, service, Method::POST, "/ssf/status", Some(body)).await;
        assert_eq!((code, &answer), (StatusCode::OK, &json!({"stream_id": id, "status": status, "reason": "a test"})));
        assert_eq!(call(&world, service, Method::GET, &format!("/ssf/status?stream_id={id}"), None).await.1, answer);
    };
    set("paused").await;
    world.revoke(&world.token().await).await;
    assert!(now(&world, service, &id).await.is_empty());
    set("enabled").await;
    assert_eq!(now(&world, service, &id).await.len(), 1);
    set("disabled").await;
    world.revoke(&world.token().await).await;
    set("enabled").await;
    assert!(now(&world, service, &id).await.is_empty());
    let bad = json!({"stream_id": id, "status": "running"});
    assert_eq!(call(&world, service, Method::POST, "/ssf/status", Some(bad)).await.0, StatusCode::BAD_REQUEST);
    let verify = json!({"stream_id": id, "state": "VGhpcyBpcyBh"});
    assert_eq!(call(&world, service, Method::POST, "/ssf/verify", Some(verify)).await.0, StatusCode::NO_CONTENT);
    let told = now(&world, service, &id).await;
    assert_eq!(told[0]["sub_id"], json!({"format": "opaque", "id": id}));
    assert_eq!(told[0]["events"][VERIFICATION], json!({"state": "VGhpcyBpcyBh"}));
}

/// RFC 8936: what is acknowledged goes, and the rest comes again.
#[rstest]
#[tokio::test]
async fn polling_answers_until_it_is_acknowledged(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let service = &world.service;
    allow(&world, service).await;
    let id = make(&world, service, json!({})).await;
    for _ in 0..3 {
        world.revoke(&world.token().await).await;
    }
    let path = format!("/ssf/poll/{id}");
    let (_, first) =
        call(&world, service, Method::POST, &path, Some(json!({"maxEvents": 2, "returnImmediately": true}))).await;
    assert_eq!((first["sets"].as_object().unwrap().len(), &first["moreAvailable"]), (2, &json!(true)));
    let all = now(&world, service, &id).await;
    assert_eq!(all.len(), 3, "they come until they are acknowledged");
    let (one, other) = (all[0]["jti"].clone(), all[1]["jti"].as_str().unwrap());
    let mut errors = serde_json::Map::new();
    errors.insert(other.to_owned(), json!({"err": "invalid_audience", "description": "?"}));
    let (_, none) = call(
        &world,
        service,
        Method::POST,
        &path,
        Some(json!({"maxEvents": 0, "ack": [one, "set_unknown"], "setErrs": errors})),
    )
    .await;
    assert_eq!(none, json!({"sets": {}}));
    let left = now(&world, service, &id).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["jti"], all[2]["jti"]);
    for bad in
        [json!({"maxEvents": -1}), json!({"ack": vec!["x"; 1001]}), json!({"ack": "x"}), json!({"maxEvents": "1"})]
    {
        let (status, _) = call(&world, service, Method::POST, &path, Some(bad.clone())).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn a_long_poll_ends_with_the_first_event() {
    let world = World::new(Backend::Sqlite).await;
    let service = &world.service;
    allow(&world, service).await;
    let id = make(&world, service, json!({})).await;
    let token = world.token().await;
    let asked = std::time::Instant::now();
    let (told, ()) = tokio::join!(poll(&world, service, &id, json!({})), async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        world.revoke(&token).await;
    });
    assert_eq!(told.len(), 1);
    assert!(asked.elapsed() < std::time::Duration::from_secs(5));
}

/// What is written with the revocation outlives the process that wrote it.
#[rstest]
#[tokio::test]
async fn events_survive_a_restart_and_are_signed_by_whoever_is_asked(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let (issuer, url) = (server.issuer.clone(), server.database_url.clone());
    let world = World::on(server).await;
    allow(&world, &world.service).await;
    let id = make(&world, &world.service, json!({})).await;
    let reader = world.server.token(&world.service, &[]).await;
    world.revoke(&world.token().await).await;
    world.server.stop().await;
    let again = TestServer::start_on(&url, &[("STIPEND_ISSUER", &issuer)]).await;
    let poll = again.http.post(format!("http://{}/ssf/poll/{id}", again.address())).bearer_auth(reader);
    let answer: Value = poll.json(&json!({"returnImmediately": true})).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["sets"].as_object().unwrap().len(), 1, "{answer}");
    again.stop().await;
}

#[rstest]
#[tokio::test]
async fn events_are_kept_for_a_day_and_not_without_end(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    allow(&world, &world.service).await;
    let id = make(&world, &world.service, json!({})).await;
    world.revoke(&world.token().await).await;
    let series = match backend {
        Backend::Sqlite => "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 10005)",
        Backend::Postgres => "WITH s AS (SELECT generate_series(1, 10005) AS i)",
    };
    let insert = format!(
        "INSERT INTO signal_outbox (id, stream_id, claims, attempts, due_at, created_at, expires_at) \
         {series} SELECT 'old_' || i, '{id}', '{{}}', 0, 9000000000, i, 9000000000 FROM s"
    );
    world.server.execute(&insert).await;
    let clock = stipend::clock::Clock::now(&*world.server.clock);
    let db = world.server.app.store.db();
    assert_eq!(stipend_schema::sweep(db, clock).await.unwrap().signals, 6, "the oldest beyond ten thousand");
    assert_eq!(stipend_schema::sweep(db, clock).await.unwrap().signals, 0);
    assert_eq!(stipend_schema::sweep(db, clock + 86_400 + 61).await.unwrap().signals, 1);
}
