//! Owners are isolated: over every route of the document, what an admin of one owner may not
//! see is answered exactly like what does not exist.

use crate::routes::{Kind, Things, operations};
use crate::world::{Reply, World, with};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

/// Everything of an answer that a caller can compare.
fn face(reply: &Reply) -> (u16, String, Vec<(String, String)>) {
    let ignored = ["date", "stipend-request-id"];
    let mut headers: Vec<(String, String)> = reply
        .headers
        .iter()
        .filter(|(name, _)| !ignored.contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort_unstable();
    (reply.status, reply.text.clone(), headers)
}

async fn call(world: &World, token: &str, things: &Things, operation: &str) -> Reply {
    let case = things.case(operation);
    world.send(Some(token), case.method, &case.path, case.body.as_ref()).await
}

#[rstest]
#[tokio::test]
async fn what_is_hidden_looks_like_what_is_not_there(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let things = Things::new(&world, "acme", "mine").await;
    let nothing = Things::missing();
    let rivals = [
        world.boss("globex").await,
        world.admin("globex", "watch", json!([{"role": "auditor", "owner": "globex"}])).await,
        world.admin("globex", "nobody", json!([])).await,
    ];
    let before = state_of(&world, &things).await;
    let mut compared = 0;
    for operation in operations(&world).await {
        if things.case(&operation).kind != Kind::Owned {
            continue;
        }
        for rival in &rivals {
            let hidden = call(&world, rival, &things, &operation).await;
            let missing = call(&world, rival, &nothing, &operation).await;
            assert_eq!(hidden.problem(), (404, "not_found"), "{operation}: {}", hidden.text);
            assert_eq!(face(&hidden), face(&missing), "{operation}");
            compared += 1;
        }
    }
    assert!(compared > 60, "{compared}");
    assert_eq!(state_of(&world, &things).await, before, "nothing has changed");
}

async fn state_of(world: &World, things: &Things) -> Vec<Value> {
    let mut all = Vec::new();
    for path in [
        format!("/owners/{}", things.owner),
        format!("/agents/{}", things.agent),
        format!("/agents/{}", things.keyed),
        format!("/agents/{}", things.doomed),
        format!("/resources/{}", things.resource),
        format!("/exchange-rules/{}", things.rule),
        format!("/issuers/{}", things.issuer),
        format!("/registration-tokens/{}", things.registration),
        format!("/streams/{}", things.stream),
        format!("/client-documents/{}", things.document),
        "/revocations".to_owned(),
    ] {
        all.push(world.get(&path).await);
    }
    all
}

#[rstest]
#[tokio::test]
async fn lists_show_each_its_own(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    Things::new(&world, "acme", "ours").await;
    Things::new(&world, "globex", "theirs").await;
    let all = json!({"limit": 200});
    let (acme, globex) = (world.boss("acme").await, world.boss("globex").await);
    let everything = world.admin("acme", "all", json!([{"role": "auditor"}])).await;
    let nobody = world.admin("globex", "nobody", json!([])).await;
    let mut lists = 0;
    for operation in operations(&world).await {
        let case = Things::missing().case(&operation);
        if case.kind != Kind::List {
            continue;
        }
        let path = format!("{}?limit={}", case.path, all["limit"]);
        let ours = world.send(Some(&acme), Method::GET, &path, None).await;
        let theirs = world.send(Some(&globex), Method::GET, &path, None).await;
        assert!(ours.text.contains("acme") && !ours.text.contains("globex"), "{operation}: {}", ours.text);
        assert!(theirs.text.contains("globex") && !theirs.text.contains("acme"), "{operation}: {}", theirs.text);
        let seen = world.send(Some(&everything), Method::GET, &path, None).await.text;
        assert!(seen.contains("acme") && seen.contains("globex"), "{operation}");
        let none = world.send(Some(&nobody), Method::GET, &path, None).await;
        if case.path == "/audit" {
            assert_eq!(none.problem(), (403, "forbidden"));
        } else {
            assert_eq!(none.ok(), json!({"items": []}), "{operation}");
        }
        lists += 1;
    }
    assert_eq!(lists, 17);
}

#[rstest]
#[tokio::test]
async fn the_deployments_own_is_forbidden_to_owner_admins(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let things = Things::new(&world, "acme", "mine").await;
    let boss = world.boss("acme").await;
    let watch = world.admin("acme", "watch", json!([{"role": "auditor", "owner": "acme"}])).await;
    let mut tried = 0;
    for operation in operations(&world).await {
        if things.case(&operation).kind != Kind::Deployment {
            continue;
        }
        for token in [&boss, &watch] {
            let known = call(&world, token, &things, &operation).await;
            let unknown = call(&world, token, &Things::missing(), &operation).await;
            assert_eq!(known.problem(), (403, "forbidden"), "{operation}");
            assert!(known.header("www-authenticate").contains("insufficient_scope"), "{operation}");
            assert_eq!(face(&known), face(&unknown), "{operation}");
            tried += 1;
        }
    }
    assert_eq!(tried, 16);
}

#[rstest]
#[tokio::test]
async fn a_body_cannot_find_out_what_is_hidden(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let (theirs, none) = (Things::new(&world, "acme", "theirs").await, Things::missing());
    let mine = Things::new(&world, "globex", "mine").await;
    let boss = world.boss("globex").await;
    let agent = |uri: &str| {
        json!({
            "owner": "globex", "name": "probe", "auth_method": "client_secret_basic",
            "access": [{"resource": uri, "scopes": ["read"], "default_scopes": []}],
        })
    };
    let resource = |client: &str| {
        json!({
            "owner": "globex", "uri": "https://probe.globex.example", "name": "probe", "scopes": ["read"], "introspectors": [client],
        })
    };
    let access = |uri: &str| json!({"access": [{"resource": uri, "scopes": ["read"], "default_scopes": []}]});
    let revocation =
        |kind: &str, value: &str| json!({"kind": kind, "value": value, "reason": "test", "severity": "low"});
    let explain = |actor: &str, client: &str| {
        json!({
            "actor": actor, "audience": [mine.uri], "subject": {"client_id": client, "audience": [mine.uri], "scope": "read"},
        })
    };
    let sub = |client: &str| format!("agent:{client}");
    let patched = format!("/agents/{}", mine.agent);
    let introspected = format!("/resources/{}", mine.resource);
    let pairs = [
        (Method::POST, "/agents", agent(&theirs.uri), agent(&none.uri)),
        (Method::POST, "/resources", resource(&theirs.agent), resource(&none.agent)),
        (Method::PATCH, &patched, access(&theirs.uri), access(&none.uri)),
        (
            Method::PATCH,
            &introspected,
            json!({"introspectors": [theirs.agent]}),
            json!({"introspectors": [none.agent]}),
        ),
        (Method::POST, "/revocations", revocation("client", &theirs.agent), revocation("client", &none.agent)),
        (Method::POST, "/revocations", revocation("owner", &theirs.owner), revocation("owner", &none.owner)),
        (Method::POST, "/revocations", revocation("resource", &theirs.uri), revocation("resource", &none.uri)),
        (
            Method::POST,
            "/revocations",
            revocation("subject", &sub(&theirs.agent)),
            revocation("subject", &sub(&none.agent)),
        ),
        (Method::POST, "/revocations", revocation("issuer", &theirs.issuer), revocation("issuer", &none.issuer)),
        (
            Method::POST,
            "/revocations",
            revocation("subject", &format!("user:{}:alice", theirs.issuer)),
            revocation("subject", &format!("user:{}:alice", none.issuer)),
        ),
        (Method::POST, "/exchange-rules", theirs.rule_body(), none.rule_body()),
        (
            Method::POST,
            "/exchange-rules/explain",
            explain(&theirs.agent, &mine.keyed),
            explain(&none.agent, &mine.keyed),
        ),
        (
            Method::POST,
            "/exchange-rules/explain",
            explain(&mine.agent, &theirs.keyed),
            explain(&mine.agent, &none.keyed),
        ),
        (
            Method::POST,
            "/exchange-rules/explain",
            explain(&mine.agent, &theirs.ended),
            explain(&mine.agent, &none.ended),
        ),
    ];
    for (method, path, hidden, missing) in pairs {
        let to_hidden = world.send(Some(&boss), method.clone(), path, Some(&hidden)).await;
        let to_missing = world.send(Some(&boss), method, path, Some(&missing)).await;
        assert_eq!(face(&to_hidden), face(&to_missing), "{path} {hidden}");
    }
}

#[rstest]
#[tokio::test]
async fn holding_anothers_token_gives_no_right_over_it(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.server.create_resource("acme", crate::world::ORDERS, &["read"], &[]).await;
    let planner = world.server.create_client("acme", "planner", "agent", &[(crate::world::ORDERS, &["read"])]).await;
    let token = world.server.token(&planner, &[]).await;
    let rival = world.boss("globex").await;
    let base = json!({"kind": "token", "reason": "test", "severity": "low"});
    let live = with(base.clone(), json!({"token": token}));
    let dead = with(base, json!({"token": token.replace('.', "x.")}));
    let live = world.send(Some(&rival), Method::POST, "/revocations", Some(&live)).await;
    let dead = world.send(Some(&rival), Method::POST, "/revocations", Some(&dead)).await;
    assert_eq!(live.problem(), (400, "invalid_request"));
    assert_eq!(face(&live), face(&dead));
    let own = json!({"kind": "token", "token": token, "reason": "test", "severity": "low"});
    let revoked = world.send(Some(&world.boss("acme").await), Method::POST, "/revocations", Some(&own)).await;
    assert_eq!(revoked.status, 201, "{}", revoked.text);
    assert_eq!(revoked.body["owner"], "acme");
}
