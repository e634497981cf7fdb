//! Policies over keys in custody.

use crate::world::{World, when};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::demo::llm::Llm;
use stipend_keys::Secret;
use stipend_schema::Backend;

const KEY: &str = "sk-canary-7f3a9b2c5d8e1f40";

struct Custody {
    world: World,
    token: String,
    llm: Llm,
}

impl Custody {
    async fn new(backend: Backend) -> Self {
        let world = World::new(backend).await;
        let llm = Llm::start(Secret::new(KEY.to_owned())).unwrap();
        let credential = json!({
            "owner": "acme", "name": "llm", "value": {"api_key": {"key": KEY}}, "base_url": llm.base_url().unwrap().to_string(),
            "modes": ["proxy", "wrapped", "plaintext"],
        });
        world.server.create("/credentials", credential).await;
        let grant =
            json!({"credential": "acme.llm", "agent": world.planner.id, "modes": ["proxy", "wrapped", "plaintext"]});
        world.server.create("/grants", grant).await;
        let token = world.token(&world.planner, &world.server.app.urls.credential_resource).await;
        Self { world, token, llm }
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let sent = self.world.server.http.post(self.world.server.url(path)).bearer_auth(&self.token).json(body);
        let answer = sent.header("x-forwarded-for", "10.1.2.3").send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn release(&self, mode: &str) -> (StatusCode, Value) {
        self.post("/credentials/acme.llm/release", &json!({"mode": mode})).await
    }

    async fn call(&self, path: &str) -> (StatusCode, Value) {
        let body = json!({"model": "stand-in-1", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
        self.post(&format!("/proxy/acme.llm{path}"), &body).await
    }
}

#[track_caller]
fn assert_denied((status, body): &(StatusCode, Value)) {
    assert_eq!((*status, &body["error"]), (StatusCode::FORBIDDEN, &json!("access_denied")), "{body}");
    assert_eq!(body["error_description"], "a policy does not allow this use of the credential");
    assert!(!body.to_string().contains("pol_") && !body.to_string().contains(KEY), "{body}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_forbidden_gives_nothing_away(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let custody = Custody::new(backend).await;
    let (status, wrapped) = custody.release("wrapped").await;
    assert_eq!(status, StatusCode::OK, "{wrapped}");
    let id = custody.world.forbid_when("no-clear", "credential:release", "context.mode == \"plaintext\"").await;
    assert_denied(&custody.release("plaintext").await);
    let record = custody.world.record("credential.released").await;
    assert_eq!((&record["outcome"], &record["reason"]), (&json!("refused"), &json!("policy_denied_use")), "{record}");
    assert_eq!(record["detail"]["policies"], json!([{"id": id, "version": 1, "statement": 1}]));
    let (_, shown) = custody.world.server.admin(Method::GET, "/credentials/acme.llm", None).await;
    assert!(shown["versions"][0].get("exposed_to").is_none(), "nobody has seen it: {shown}");
    assert_eq!(custody.release("wrapped").await.0, StatusCode::OK);
    // What was wrapped before is asked again when it is unwrapped, and the reference is not burned.
    let reference = json!({"reference": wrapped["reference"]});
    let all = custody.world.forbid_when("none", "credential:release", "principal.kind == \"agent\"").await;
    assert_denied(&custody.post("/credentials/unwrap", &reference).await);
    custody.world.remove(&all).await;
    let (status, value) = custody.post("/credentials/unwrap", &reference).await;
    assert_eq!((status, &value["value"]["api_key"]["key"]), (StatusCode::OK, &json!(KEY)), "{value}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_forbidden_never_leaves(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let custody = Custody::new(backend).await;
    assert_eq!(custody.call("/v1/chat/completions").await.0, StatusCode::OK);
    let calls = custody.llm.calls();
    for (name, condition) in [
        ("path", "context.path like \"/v1/chat/*\""),
        ("method", "context.method == \"POST\""),
        ("host", "context.host == \"127.0.0.1\""),
        ("source", "context has source && context.source.isInRange(ip(\"10.0.0.0/8\"))"),
        ("kind", "resource.kind == \"api_key\" && resource.environment == \"live\""),
        ("scope", "context.scope.contains(\"credential:use\")"),
    ] {
        let policy = custody.world.forbid_when(name, "credential:call", condition).await;
        assert_denied(&custody.call("/v1/chat/completions").await);
        custody.world.remove(&policy).await;
    }
    assert_eq!(custody.llm.calls(), calls, "nothing left");
    let record = custody.world.record("credential.proxied").await;
    assert_eq!(
        (&record["reason"], &record["detail"]["path"]),
        (&json!("policy_denied_use"), &json!("/v1/chat/completions"))
    );
    // What says nothing of calls stops none.
    custody.world.forbid_when("release", "credential:release", "true").await;
    custody.world.forbid_when("elsewhere", "credential:call", "context.path like \"/v1/admin/*\"").await;
    assert_eq!(custody.call("/v1/chat/completions").await.0, StatusCode::OK);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_use_costs_is_seen(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let custody = Custody::new(backend).await;
    let limit = "context has amount && context.amount.unit == \"call\" && context.amount.value > 5";
    custody.world.forbid_when("release", "credential:release", limit).await;
    custody.world.forbid_when("call", "credential:call", limit).await;
    assert_eq!(custody.release("plaintext").await.0, StatusCode::OK, "it costs nothing");
    let price = async |amount: i64| {
        let price = json!({"price": {"unit": "call", "decimals": 0, "amount": amount}});
        let (status, body) = custody.world.server.admin(Method::PATCH, "/credentials/acme.llm", Some(&price)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    };
    price(6).await;
    assert_denied(&custody.release("plaintext").await);
    assert_denied(&custody.call("/v1/chat/completions").await);
    price(5).await;
    // The policy has nothing against it; that there is no budget is the ledger's word.
    let (_, body) = custody.release("plaintext").await;
    assert_eq!(body["error"], "insufficient_budget", "{body}");
    let record = custody.world.record("credential.released").await;
    assert_eq!(record["detail"]["amounts"], json!([{"unit": "call", "decimals": 0, "value": 5}]), "{record}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_asked_before_constraints_and_after_grants(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let custody = Custody::new(backend).await;
    custody.world.forbid(Some("acme"), "all", &when("credential:call", "true")).await;
    let limits = json!({"constraints": {"paths": ["/elsewhere"]}});
    custody.world.server.admin(Method::PATCH, "/credentials/acme.llm", Some(&limits)).await;
    assert_denied(&custody.call("/v1/chat/completions").await);
    // For whom there is no grant there is no credential, and no policy to hear of.
    let (status, body) = custody.post("/credentials/acme.none/release", &json!({"mode": "plaintext"})).await;
    assert_eq!((status, &body["error"]), (StatusCode::NOT_FOUND, &json!("not_found")), "{body}");
}

/// A key in custody is out of the reach of who is judged too risky, from the next call on.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_too_risky_uses_no_key(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let custody = Custody::new(backend).await;
    let risky = "context has risk && context.risk > 50";
    custody.world.forbid_when("release", "credential:release", risky).await;
    custody.world.forbid_when("call", "credential:call", risky).await;
    let rate = async |level: &str| {
        let path = format!("/agents/{}/risk", custody.world.planner.id);
        let (status, body) = custody.world.server.admin(Method::POST, &path, Some(&json!({ "level": level }))).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    };
    rate("medium").await;
    assert_eq!(custody.release("plaintext").await.0, StatusCode::OK);
    assert_eq!(custody.call("/v1/chat/completions").await.0, StatusCode::OK);
    rate("high").await;
    assert_denied(&custody.release("plaintext").await);
    assert_denied(&custody.call("/v1/chat/completions").await);
    rate("low").await;
    assert_eq!(custody.release("plaintext").await.0, StatusCode::OK);
}
