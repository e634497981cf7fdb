//! What leaves the audit for good, by age or by redaction; what remains is proved, and tampering
//! that looks like either is found.

use crate::receiver::{Manner, Receiver};
use crate::world::{World, issued};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::cli::connect::Connection;
use stipend::cli::print::Out;
use stipend::cli::{Proof, Session, verify_online};
use stipend::export::prune;
use stipend_schema::Backend;

const DAY: i64 = 86_400;
const KEPT: [(&str, &str); 1] = [("STIPEND_AUDIT_RETENTION_DAYS", "30")];

/// Proves the audit as `stipend audit verify` does.
async fn verify(world: &World, known: Option<&Proof>) -> Result<Proof, String> {
    let secret = stipend_keys::Secret::new(stipend::testing::ADMIN_SECRET.to_owned());
    let connection = Connection::to(&world.server.issuer, stipend::bootstrap::ADMIN, &secret);
    let session = Session::new(&connection, Out::new(true, true)).unwrap();
    verify_online(&session, known).await.map_err(|error| error.message)
}

/// The number of the first record that is there.
async fn first(world: &World) -> i64 {
    let (_, body) = world.server.admin(Method::GET, "/audit/writers", None).await;
    let path = format!("/audit/export?writer={}", body["items"][0]["writer"].as_str().unwrap());
    let (status, page) = world.server.admin(Method::GET, &path, None).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let record: Value = serde_json::from_str(page["records"][0]["record"].as_str().unwrap()).unwrap();
    record["n"].as_i64().unwrap()
}

/// Things happen, are signed, and get old; then other things happen.
async fn aged(world: &World) {
    world.happen(5).await;
    world.server.checkpoint().await;
    world.happen(3).await;
    world.server.clock.advance(31 * DAY);
    world.happen(2).await;
    world.server.checkpoint().await;
    world.happen(1).await;
}

#[rstest]
#[tokio::test]
async fn what_is_old_goes_behind_a_signed_cut_and_the_rest_is_proved_from_there(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::with(backend, &KEPT).await;
    aged(&world).await;
    let before = verify(&world, None).await.unwrap();
    assert_eq!(first(&world).await, 1);
    let removed = prune(&world.server.app).await.unwrap();
    assert!(removed > 5, "{removed}");
    assert_eq!(first(&world).await, removed as i64 + 1);
    let proof = verify(&world, Some(&before)).await.unwrap();
    assert_eq!(proof.chains[0].pruned_to, removed as i64);
    let said = world.audit("audit.pruned").await;
    assert_eq!((said.len(), &said[0]["detail"]["n"]), (1, &json!(removed)));
    // Nothing more is old enough, and what is cut stays cut.
    assert_eq!(prune(&world.server.app).await.unwrap(), 0);
    verify(&world, Some(&proof)).await.unwrap();
    // The checkpoint and what came after are still there: three that were old but after it.
    assert!(world.audit("token.issued").await.len() >= 6);
    // A record after the cut that is missing is a fault, the first of them and any other.
    let (cut, newest) = (removed + 1, removed + 4);
    for n in [cut, newest] {
        world.server.execute(&format!("CREATE TABLE kept_{n} AS SELECT * FROM audit_records WHERE n = {n}")).await;
        world.server.execute(&format!("DELETE FROM audit_records WHERE n = {n}")).await;
        let said = verify(&world, None).await.unwrap_err();
        assert!(said.contains("missing"), "{n}: {said}");
        world.server.execute(&format!("INSERT INTO audit_records SELECT * FROM kept_{n}")).await;
    }
    verify(&world, None).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_beginning_that_is_gone_without_a_good_statement_is_a_fault(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::with(backend, &KEPT).await;
    aged(&world).await;
    prune(&world.server.app).await.unwrap();
    verify(&world, None).await.unwrap();
    // Somebody cuts further than was signed, up to a checkpoint that is signed.
    world.server.execute("CREATE TABLE saved AS SELECT * FROM audit_prunings").await;
    world.server.execute("DELETE FROM audit_prunings").await;
    assert!(verify(&world, None).await.unwrap_err().contains("missing"));
    // The statement with another number, or another's signature on it.
    world.server.execute("INSERT INTO audit_prunings SELECT * FROM saved").await;
    world.server.execute("UPDATE audit_prunings SET n = n + 1").await;
    assert!(verify(&world, None).await.is_err());
    world.server.execute("DELETE FROM audit_prunings").await;
    world
        .server
        .execute(
            "INSERT INTO audit_prunings SELECT s.writer, s.n, s.hash, s.at, c.jws FROM saved s, audit_checkpoints c LIMIT 1",
        )
        .await;
    let said = verify(&world, None).await.unwrap_err();
    assert!(said.contains("signature"), "a checkpoint is no pruning: {said}");
    world.server.execute("DELETE FROM audit_prunings").await;
    world.server.execute("INSERT INTO audit_prunings SELECT * FROM saved").await;
    verify(&world, None).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn what_an_active_sink_has_not_had_is_kept_for_it_and_what_a_paused_one_misses_is_counted(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::with(backend, &KEPT).await;
    let receiver = Receiver::start().await;
    receiver.is(Manner::Answers(500));
    let sink = world.sink(&receiver, json!({"owner": "acme", "events": ["token.issued"], "since": 0})).await;
    aged(&world).await;
    receiver.until("a first try", async |receiver| !receiver.got().is_empty()).await;
    assert_eq!(prune(&world.server.app).await.unwrap(), 0, "it has had nothing yet");
    let pause = json!({"reason": "test"});
    let path = format!("/audit-sinks/{}", sink.id);
    world.server.create(&format!("{path}/pause"), pause).await;
    let removed = prune(&world.server.app).await.unwrap();
    assert!(removed > 0);
    receiver.is(Manner::Answers(200));
    world.server.create(&format!("{path}/resume"), json!({})).await;
    receiver.until("what is left", async |receiver| issued(&receiver.records()).len() >= 6).await;
    receiver.until("counted", async |_| world.show(&sink).await["missed"].as_i64().unwrap() > 0).await;
    verify(&world, None).await.unwrap();
}

#[tokio::test]
async fn nothing_is_pruned_where_nothing_is_said() {
    let world = World::new(Backend::Sqlite).await;
    aged(&world).await;
    world.server.clock.advance(4000 * DAY);
    assert_eq!(prune(&world.server.app).await.unwrap(), 0);
}

async fn redact(world: &World, body: &Value) -> (StatusCode, Value) {
    world.server.admin(Method::POST, "/audit/redactions", Some(body)).await
}

fn named(record: &Value) -> Value {
    json!({"writer": record["writer"], "n": record["n"]})
}

#[rstest]
#[tokio::test]
async fn a_record_is_redacted_and_all_else_of_it_is_proved(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    world.happen(3).await;
    let before = verify(&world, None).await.unwrap();
    let record = world.audit("token.issued").await[1].clone();
    let source = record["detail"]["source"].as_str().unwrap().to_owned();
    let body = json!({"records": [named(&record)], "fields": ["source"], "reason": "erasure request 17"});
    let (status, said) = redact(&world, &body).await;
    assert_eq!((status, &said["redacted"]), (StatusCode::OK, &json!([named(&record)])), "{said}");
    let left = world.audit("token.issued").await.into_iter().find(|one| one["n"] == record["n"]).unwrap();
    assert_eq!((&left["detail"]["source"], &left["redacted"]), (&json!("[redacted]"), &json!(["source"])));
    assert_eq!(left["detail"]["request_id"], "[redacted]", "else the address could be guessed from the hash");
    assert_eq!((&left["jti"], &left["hash"]), (&record["jti"], &record["hash"]));
    let proof = verify(&world, Some(&before)).await.unwrap();
    let name = format!("{}/{}", record["writer"].as_str().unwrap(), record["n"]);
    assert_eq!(proof.redacted, std::slice::from_ref(&name));
    let told = &world.audit("audit.redacted").await[0];
    assert_eq!((&told["detail"]["records"], &told["detail"]["why"]), (&json!([name]), &json!("erasure request 17")));
    // Again, nothing of it is there; another kind still is, and the record stays proved.
    assert_eq!(redact(&world, &body).await.1["redacted"], json!([]));
    let who = json!({"records": [named(&record)], "values": ["acme.planner"], "reason": "more"});
    assert_eq!(redact(&world, &who).await.1["redacted"], json!([named(&record)]));
    verify(&world, Some(&proof)).await.unwrap();
    let all = world.server.admin(Method::GET, "/audit?event=audit.redacted", None).await.1.to_string();
    assert!(!all.contains("acme.planner") && !source.is_empty(), "what was taken out is not said again: {all}");
}

#[rstest]
#[tokio::test]
async fn tampering_that_looks_like_a_redaction_is_found(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    world.happen(3).await;
    let records = world.audit("token.issued").await;
    let (one, other) = (&records[0], &records[1]);
    let n = &one["n"];
    // Without a statement.
    world.server.execute("CREATE TABLE saved AS SELECT * FROM audit_records").await;
    let put_back = async |n: &Value| {
        world.server.execute(&format!("DELETE FROM audit_records WHERE n = {n}")).await;
        world.server.execute(&format!("INSERT INTO audit_records SELECT * FROM saved WHERE n = {n}")).await;
    };
    let edit = format!("UPDATE audit_records SET record = replace(record, '127.0.0.1', '[redacted]') WHERE n = {n}");
    world.server.execute(&edit).await;
    assert!(verify(&world, None).await.unwrap_err().contains("stored hash"));
    put_back(n).await;
    verify(&world, None).await.unwrap();
    // More than the statement says.
    let body = json!({"records": [named(one)], "fields": ["source"], "reason": "test"});
    assert_eq!(redact(&world, &body).await.0, StatusCode::OK);
    verify(&world, None).await.unwrap();
    let edit = format!("UPDATE audit_records SET record = replace(record, '\"issued\"', '\"refused\"') WHERE n = {n}");
    world.server.execute(&edit).await;
    assert!(verify(&world, None).await.unwrap_err().contains("neither the record nor what was left"));
    // Another record's statement.
    put_back(n).await;
    let edit = format!("UPDATE audit_records SET record = replace(record, 'acme', 'evil') WHERE n = {}", other["n"]);
    world.server.execute(&edit).await;
    world.server.execute(&format!("UPDATE audit_redactions SET n = {}", other["n"])).await;
    assert!(verify(&world, None).await.unwrap_err().contains("stored hash"));
    put_back(&other["n"]).await;
    // A statement that nobody signed.
    world.server.execute(&format!("UPDATE audit_redactions SET n = {n}, jws = replace(jws, '.', '.A')")).await;
    assert!(verify(&world, None).await.is_err());
    world.server.execute("DELETE FROM audit_redactions").await;
    verify(&world, None).await.unwrap();
}

#[tokio::test]
async fn who_may_redact_and_what_is_no_redaction() {
    let world = World::new(Backend::Sqlite).await;
    world.happen(1).await;
    let record = named(&world.audit("token.issued").await[0]);
    let all = ["admin:read", "admin:write", "admin:audit"];
    let body = json!({"records": [record], "fields": ["source"], "reason": "test"});
    for (name, roles) in
        [("boss", json!([{"role": "owner-admin", "owner": "acme"}])), ("auditor", json!([{"role": "auditor"}]))]
    {
        let token = world.admin("acme", name, roles, &all).await;
        let (status, _) = world.server.admin_as(&token, Method::POST, "/audit/redactions", Some(&body)).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{name}");
    }
    let many: Vec<Value> = (1..=101).map(|n| json!({"writer": "w_a", "n": n})).collect();
    for (body, status) in [
        (json!({"records": [], "fields": ["source"], "reason": "test"}), 400),
        (json!({"records": [record], "reason": "test"}), 400),
        (json!({"records": [record], "fields": ["event"], "reason": "test"}), 400),
        (json!({"records": [record], "values": ["abc"], "reason": "test"}), 400),
        (json!({"records": [record], "fields": ["source"], "reason": ""}), 400),
        (json!({"records": [record, record], "fields": ["source"], "reason": "test"}), 400),
        (json!({"records": many, "fields": ["source"], "reason": "test"}), 400),
        (json!({"records": [{"writer": "w_none", "n": 1}], "fields": ["source"], "reason": "test"}), 404),
    ] {
        assert_eq!(redact(&world, &body).await.0.as_u16(), status, "{body}");
    }
    verify(&world, None).await.unwrap();
    assert!(verify(&world, None).await.unwrap().redacted.is_empty());
}
