//! Budgets in tokens: asked for, by default, narrowed, carved, and issued once for a key.

use crate::world::{LEDGER, ORDERS, World, claims, error};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::TestClient;
use stipend_schema::Backend;

/// A world where acme has `owner` calls and the planner `planner` of them.
pub async fn rich(backend: Backend, owner: i64, planner: i64) -> World {
    let world = World::new(backend).await;
    world.server.create("/budgets", line("owner", "acme", owner)).await;
    world.server.create("/budgets", line("agent", &world.planner.id, planner)).await;
    world
}

pub fn line(account: &str, id: &str, amount: i64) -> Value {
    json!({account: id, "unit": "call", "decimals": 0, "amount": amount})
}

pub fn details(amount: i64) -> String {
    json!([{"type": "budget", "unit": "call", "decimals": 0, "amount": amount}]).to_string()
}

fn carved(amount: i64) -> String {
    json!([{"type": "budget", "unit": "call", "decimals": 0, "amount": amount, "enforce": "rs"}]).to_string()
}

/// A client credentials request: status and body.
pub async fn ask(world: &World, client: &TestClient, form: &[(&str, &str)]) -> (StatusCode, Value) {
    let mut full = vec![("grant_type", "client_credentials")];
    full.extend_from_slice(form);
    world.server.form("/oauth2/token", client, &full).await
}

pub async fn get(world: &World, client: &TestClient, form: &[(&str, &str)]) -> String {
    let (status, body) = ask(world, client, form).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body["access_token"].as_str().unwrap().to_owned()
}

pub async fn charge(world: &World, token: &str, amount: &str) -> (StatusCode, Value) {
    let form = [("token", token), ("unit", "call"), ("amount", amount)];
    world.server.form("/budget/charges", &world.service, &form).await
}

/// The line of an account, as the admin sees it.
pub async fn of_account(world: &World, account: &str, id: &str) -> Value {
    let (_, lines) = world.server.admin(Method::GET, "/budgets", None).await;
    let lines = lines["items"].as_array().unwrap();
    let found = lines.iter().find(|line| match account {
        "owner" => line["owner"] == id && line.get("parent").is_none() && line.get("agent").is_none(),
        "agent" => line["agent"] == id && line.get("task").is_none(),
        _ => line[account] == id,
    });
    let path = format!("/budgets/{}", found.unwrap()["id"].as_str().unwrap());
    world.server.admin(Method::GET, &path, None).await.1
}

#[rstest]
#[tokio::test]
async fn who_asks_for_nothing_gets_the_agents_lines_as_caps(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = rich(backend, 1000, 300).await;
    let (status, body) = ask(&world, &world.planner, &[]).await;
    assert_eq!(status, StatusCode::OK);
    let claim = &claims(body["access_token"].as_str().unwrap())["budget"];
    assert_eq!((claim[0]["amount"].as_i64(), &claim[0]["enforce"]), (Some(300), &json!("as")));
    let granted = &body["authorization_details"][0];
    assert_eq!(
        (&granted["type"], &granted["amount"], &granted["id"]),
        (&json!("budget"), &json!(300), &claim[0]["id"])
    );
    // One that has no line of its own spends from its owner's.
    let theirs = claims(&get(&world, &world.refunds, &[]).await);
    assert_eq!(theirs["budget"][0]["amount"], 1000);
    // Two resources could each spend all of it, so neither gets any.
    let both = [("resource", ORDERS), ("resource", LEDGER), ("scope", "read")];
    assert!(claims(&get(&world, &world.planner, &both).await).get("budget").is_none());
    charge(&world, body["access_token"].as_str().unwrap(), "300").await;
    let empty = get(&world, &world.planner, &[]).await;
    assert_eq!(claims(&empty)["budget"][0]["amount"], 0, "a cap of nothing says why nothing can be spent");
    assert_eq!(charge(&world, &empty, "1").await.1["remaining"], 0);
}

#[rstest]
#[tokio::test]
async fn asking_for_more_narrows_and_for_what_is_gone_is_refused_with_the_level(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = rich(backend, 1000, 300).await;
    let (_, body) = ask(&world, &world.planner, &[("authorization_details", &details(100))]).await;
    assert_eq!(body["authorization_details"][0]["amount"], 100, "{body}");
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(charge(&world, token, "101").await.0, StatusCode::FORBIDDEN);
    assert_eq!(charge(&world, token, "100").await.0, StatusCode::OK);
    let (_, body) = ask(&world, &world.planner, &[("authorization_details", &details(999))]).await;
    assert_eq!(body["authorization_details"][0]["amount"], 200, "what is left: {body}");
    charge(&world, body["access_token"].as_str().unwrap(), "200").await;
    let (status, body) = ask(&world, &world.planner, &[("authorization_details", &details(5))]).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_authorization_details"));
    let planners = of_account(&world, "agent", &world.planner.id).await;
    assert_eq!((&body["line"], &body["required"], &body["remaining"]), (&planners["id"], &json!(5), &json!(0)));
    let (_, records) = world.server.admin(Method::GET, "/audit?outcome=refused&event=token.issued", None).await;
    assert_eq!(records["items"][0]["ledger"]["declined"]["insufficient"]["line_id"], planners["id"], "{records}");
}

#[tokio::test]
async fn bad_details_are_named_and_change_nothing() {
    let world = rich(Backend::Sqlite, 1000, 300).await;
    let before = world.server.admin(Method::GET, "/budgets", None).await.1;
    let with = |member: &str, value: &str| {
        let text = json!({"type": "budget", "unit": "call", "decimals": 0, "amount": 5}).to_string();
        let object: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
        let members = object.iter().map(|(name, old)| {
            format!("\"{name}\":{}", if name == member { value.to_owned() } else { old.to_string() })
        });
        let mut members: Vec<String> = members.collect();
        if !object.contains_key(member) {
            members.push(format!("\"{member}\":{value}"));
        }
        format!("[{{{}}}]", members.join(","))
    };
    let amounts = ["-1", "0", "0.5", "5.0", "\"5\"", "1e2", "9007199254740993", "9223372036854775808", "NaN", "null"];
    let mut bad: Vec<String> = amounts.iter().map(|amount| with("amount", amount)).collect();
    bad.extend(amounts.iter().map(|amount| with("per_call", amount)));
    bad.extend([
        with("amount", "1000000000000000"),
        with("amount", "5,\"amount\":6"),
        with("unit", "\"\""),
        with("unit", "\"EUR\""),
        with("decimals", "2"),
        with("type", "\"payment_initiation\""),
        with("currency", "\"USD\""),
        with("enforce", "\"both\""),
        with("task", "\"nobody-made-this\""),
        with("unit", "\"token\""),
        "[]".into(),
        "{}".into(),
        "[1]".into(),
    ]);
    let subject = get(&world, &world.planner, &[]).await;
    for text in bad {
        let (status, body) = ask(&world, &world.planner, &[("authorization_details", &text)]).await;
        assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_authorization_details"), "{text}");
        let form = [("scope", "refund"), ("authorization_details", text.as_str())];
        let (status, body) = world.server.exchange(&world.refunds, &subject, &form).await;
        assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_authorization_details"), "{text}");
    }
    let twice = [("authorization_details", details(1)), ("authorization_details", details(2))];
    let twice: Vec<(&str, &str)> = twice.iter().map(|(name, text)| (*name, text.as_str())).collect();
    assert_eq!(error(&ask(&world, &world.planner, &twice).await.1), "invalid_request");
    assert_eq!(world.server.admin(Method::GET, "/budgets", None).await.1, before);
    let path =
        format!("/budgets/{}/children", of_account(&world, "agent", &world.planner.id).await["id"].as_str().unwrap());
    let (_, under) = world.server.admin(Method::GET, &path, None).await;
    assert_eq!(under["items"].as_array().unwrap().len(), 1, "the subject's own: {under}");
}

#[tokio::test]
async fn a_budget_is_for_one_resource_that_takes_budgets() {
    let world = rich(Backend::Sqlite, 1000, 300).await;
    let asked = details(5);
    let both = [("resource", ORDERS), ("resource", LEDGER), ("scope", "read"), ("authorization_details", &asked)];
    let (status, body) = ask(&world, &world.planner, &both).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_authorization_details"));
    let plain = json!({
        "owner": "acme", "uri": "https://plain.example", "name": "plain", "scopes": ["read"],
        "introspectors": [world.service.id],
    });
    world.server.create("/resources", plain).await;
    let access: &[(&str, &[&str])] = &[("https://plain.example", &["read"]), (ORDERS, &["read"])];
    let agent = world.server.create_client("acme", "visitor", "agent", access).await;
    let (status, body) = ask(&world, &agent, &[("authorization_details", &asked)]).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_authorization_details"));
    let bare = get(&world, &agent, &[]).await;
    assert!(claims(&bare).get("budget").is_none());
    assert_eq!(charge(&world, &bare, "1").await.0, StatusCode::FORBIDDEN);
    // What passes a resource that takes no budgets has none behind it, though the payer has.
    world.server.create_rule(&world.refunds.id, &agent.id, "https://plain.example", &["read"]).await;
    world.server.create_rule(&world.refunds.id, &world.refunds.id, ORDERS, &["read"]).await;
    let own = get(&world, &agent, &[("resource", ORDERS), ("authorization_details", &asked)]).await;
    let through = [("resource", "https://plain.example"), ("scope", "read")];
    let (_, body) = world.server.exchange(&world.refunds, &own, &through).await;
    let through = body["access_token"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned();
    assert_eq!(claims(&through)["budget"], json!([]));
    let (_, body) = world.server.exchange(&world.refunds, &through, &[("resource", ORDERS), ("scope", "read")]).await;
    let back = body["access_token"].as_str().unwrap_or_else(|| panic!("{body}"));
    assert_eq!(claims(back)["budget"], json!([]));
    assert_eq!(charge(&world, back, "1").await.0, StatusCode::FORBIDDEN);
}

#[rstest]
#[tokio::test]
async fn an_agents_default_budget_and_its_tasks_are_its_own(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = rich(backend, 1000, 300).await;
    let access = json!([{
        "resource": ORDERS, "scopes": ["read"], "default_scopes": ["read"],
        "default_budget": [{"unit": "call", "decimals": 0, "amount": 20, "per_call": 5}, {"unit": "USD", "decimals": 6, "amount": 1}],
    }]);
    let path = format!("/agents/{}", world.planner.id);
    let (status, body) = world.server.admin(Method::PATCH, &path, Some(&json!({ "access": access }))).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let token = get(&world, &world.planner, &[]).await;
    let claim = claims(&token)["budget"].clone();
    assert_eq!((&claim[0]["amount"], &claim[0]["per_call"], claim.get(1)), (&json!(20), &json!(5), None));
    assert_eq!(charge(&world, &token, "6").await.1["per_call"], 5);
    let task = json!({"agent": world.planner.id, "task": "nightly", "unit": "call", "decimals": 0, "amount": 7});
    let task = world.server.create("/budgets", task).await;
    assert_eq!(task["parent"], of_account(&world, "agent", &world.planner.id).await["id"]);
    let asked =
        |task: &str| json!([{"type": "budget", "unit": "call", "decimals": 0, "amount": 50, "task": task}]).to_string();
    let nightly = get(&world, &world.planner, &[("authorization_details", &asked("nightly"))]).await;
    assert_eq!(claims(&nightly)["budget"][0]["amount"], 7);
    charge(&world, &nightly, "5").await;
    for (account, id, spent) in [("task", "nightly", 5), ("agent", world.planner.id.as_str(), 5), ("owner", "acme", 5)]
    {
        assert_eq!(of_account(&world, account, id).await["used"]["spent"], spent, "{account}");
    }
    let (status, body) = ask(&world, &world.refunds, &[("authorization_details", &asked("nightly"))]).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_authorization_details"), "another's task");
}

#[rstest]
#[tokio::test]
async fn one_key_issues_one_token(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = rich(backend, 1000, 300).await;
    let issue = |amount: i64, key: &'static str| {
        let request = world
            .server
            .http
            .post(world.server.url("/oauth2/token"))
            .basic_auth(&world.planner.id, Some(&world.planner.secret))
            .header("idempotency-key", key)
            .form(&[("grant_type", "client_credentials"), ("authorization_details", &carved(amount))]);
        async move {
            let answer = request.send().await.unwrap();
            (answer.status(), answer.json::<Value>().await.unwrap())
        }
    };
    let mut tasks = tokio::task::JoinSet::new();
    (0..16).for_each(|_| drop(tasks.spawn(issue(100, "job-1"))));
    let answers = tasks.join_all().await;
    let about = |body: &Value| {
        let claims = claims(body["access_token"].as_str().unwrap_or_else(|| panic!("{body}")));
        (claims["jti"].clone(), claims["budget"].clone(), body["authorization_details"].clone())
    };
    let first = about(&answers[0].1);
    assert!(answers.iter().all(|(status, body)| *status == StatusCode::OK && about(body) == first));
    assert_eq!(of_account(&world, "agent", &world.planner.id).await["used"]["carved"], 100, "carved once");
    let (status, body) = issue(101, "job-1").await;
    assert_eq!((status, error(&body)), (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"));
    let (status, body) = issue(1, "not a key").await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"));
    world.server.clock.advance(100);
    let left = issue(100, "job-1").await.1["expires_in"].as_i64().unwrap();
    assert!((150..=200).contains(&left), "what is left of its life: {left}");
    // What was revoked since is not made again.
    let token = answers[0].1["access_token"].as_str().unwrap();
    world.server.form("/oauth2/revoke", &world.planner, &[("token", token)]).await;
    let (status, body) = issue(100, "job-1").await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"), "{body}");
    issue(10, "job-2").await;
    world.server.clock.advance(300);
    assert_eq!(issue(10, "job-2").await.0, StatusCode::BAD_REQUEST, "it is over");
}

#[rstest]
#[tokio::test]
async fn a_carved_line_is_counted_by_its_service_and_the_rest_comes_back(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = rich(backend, 1000, 300).await;
    let token = get(&world, &world.planner, &[("authorization_details", &carved(100))]).await;
    let claim = &claims(&token)["budget"][0];
    let line = claim["id"].as_str().unwrap();
    assert_eq!((&claim["enforce"], &claim["amount"]), (&json!("rs"), &json!(100)));
    let used = of_account(&world, "owner", "acme").await["used"].clone();
    assert_eq!((&used["carved"], &used["remaining"]), (&json!(100), &json!(900)));
    let (status, body) = charge(&world, &token, "1").await;
    assert_eq!((status, error(&body)), (StatusCode::CONFLICT, "hold_ended"), "the service counts: {body}");
    let report = async |client: &TestClient, spent: &str, last: &str| {
        let form = [("line", line), ("spent", spent), ("final", last)];
        world.server.form("/budget/reports", client, &form).await
    };
    assert_eq!(report(&world.stranger, "1", "true").await.0, StatusCode::NOT_FOUND);
    assert_eq!(report(&world.service, "-1", "true").await.0, StatusCode::BAD_REQUEST);
    let (status, body) = report(&world.service, "40", "false").await;
    assert_eq!((status, &body["spent"], &body["remaining"]), (StatusCode::OK, &json!(40), &json!(60)), "{body}");
    assert_eq!(report(&world.service, "39", "false").await.0, StatusCode::BAD_REQUEST, "not backwards");
    assert_eq!(report(&world.service, "45", "true").await.0, StatusCode::OK);
    assert_eq!(report(&world.service, "46", "true").await.0, StatusCode::CONFLICT, "the last was the last");
    assert_eq!(of_account(&world, "owner", "acme").await["used"]["carved"], 100, "its token may still be used");
    // It can't be handed on: nobody here knows what is left of it.
    let (_, child) = world.server.exchange(&world.refunds, &token, &[("scope", "refund")]).await;
    assert_eq!(claims(child["access_token"].as_str().unwrap())["budget"], json!([]));
    let form = [("scope", "refund"), ("authorization_details", &details(1))];
    let (status, body) = world.server.exchange(&world.refunds, &token, &form).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_authorization_details"));
    assert_eq!(body["line"].as_str(), Some(line), "{body}");
    world.server.clock.advance(300 + 120);
    stipend::jobs::settle_carves(&world.server.app).await;
    for (account, id) in [("owner", "acme"), ("agent", world.planner.id.as_str())] {
        let used = of_account(&world, account, id).await["used"].clone();
        assert_eq!((&used["carved"], &used["spent"]), (&json!(0), &json!(45)), "{account}");
    }
}

#[tokio::test]
async fn a_line_is_read_by_its_service_and_by_nobody_else() {
    let world = rich(Backend::Sqlite, 1000, 300).await;
    let token = get(&world, &world.planner, &[("authorization_details", &details(100))]).await;
    charge(&world, &token, "30").await;
    let line = claims(&token)["budget"][0]["id"].as_str().unwrap().to_owned();
    let read = async |client: &TestClient, line: &str| {
        let url = world.server.url(&format!("/budget/lines/{line}"));
        let answer = world.server.http.get(url).basic_auth(&client.id, Some(&client.secret)).send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    let (status, body) = read(&world.service, &line).await;
    let seen = json!({
        "line": line, "unit": "call", "decimals": 0, "amount": 100, "enforce": "as", "held": 0, "spent": 30,
        "carved": 0, "overage": 0, "remaining": 70, "expires_at": claims(&token)["exp"],
    });
    assert_eq!((status, body), (StatusCode::OK, seen.clone()));
    let by_form = world.server.form(&format!("/budget/lines/{line}"), &world.service, &[]).await;
    assert_eq!(by_form, (StatusCode::OK, seen));
    let agents = of_account(&world, "agent", &world.planner.id).await["id"].as_str().unwrap().to_owned();
    for (client, line) in [(&world.stranger, &line), (&world.planner, &line), (&world.service, &agents)] {
        assert_eq!(read(client, line).await.0, StatusCode::NOT_FOUND, "{} {line}", client.id);
    }
    let wrong = TestClient { id: world.service.id.clone(), secret: "wrong".to_owned() };
    assert_eq!(read(&wrong, &line).await.0, StatusCode::UNAUTHORIZED);
    // What is above is tighter: the service is told what it can really spend.
    let path = format!("/budgets/{agents}");
    world.server.admin(Method::PATCH, &path, Some(&json!({"amount": 50}))).await;
    assert_eq!(read(&world.service, &line).await.1["remaining"], 20);
}

#[tokio::test]
async fn the_metadata_says_what_details_there_are() {
    let world = World::new(Backend::Sqlite).await;
    let fetch = async |url: &str| world.server.http.get(url).send().await.unwrap().json::<Value>().await.unwrap();
    let metadata = fetch(&world.server.url("/.well-known/oauth-authorization-server")).await;
    assert_eq!(metadata["authorization_details_types_supported"], json!(["budget", "credential_release"]));
    assert_eq!(metadata["budget_endpoint"], world.server.url("/budget"));
    let types = fetch(metadata["authorization_details_types_metadata_endpoint"].as_str().unwrap()).await;
    for example in types["budget"]["examples"].as_array().unwrap() {
        let text = json!([example]).to_string();
        assert!(stipend_token::budget::parse_details(&text).is_ok(), "{text}");
    }
    let known = types["budget"]["schema"]["properties"].as_object().unwrap();
    let mut named: Vec<&str> = known.keys().map(String::as_str).collect();
    named.sort_unstable();
    assert_eq!(named, ["amount", "decimals", "enforce", "per_call", "task", "type", "unit"]);
}
