//! `authorization_details` of the type `credential_release`: a ceiling in the token that only
//! narrows, wherever the token goes, and whose counted limits are counted where they were set.

use crate::budget_tokens::{ask, get, rich};
use crate::world::{LEDGER, ORDERS, World, claims, error};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::TestClient;
use stipend_keys::TokenKind;
use stipend_schema::Backend;

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

fn credential(identifier: &str, actions: &[&str], constraints: Value) -> Value {
    let mut release = json!({"type": "credential_release", "identifier": identifier, "actions": actions});
    if constraints != json!({}) {
        release["constraints"] = constraints;
    }
    release
}

/// The credential of most tests.
fn qwen(constraints: Value) -> Value {
    credential("qwen-apikey-prod", &["release", "proxy"], constraints)
}

async fn own(world: &World, details: &Value) -> String {
    get(world, &world.planner, &[("authorization_details", &details.to_string())]).await
}

/// An exchange by refunds for `refund`.
async fn hand_on(world: &World, subject: &str, details: &Value) -> (StatusCode, Value) {
    let details = details.to_string();
    let form = [("scope", "refund"), ("authorization_details", details.as_str())];
    world.server.exchange(&world.refunds, subject, &form).await
}

fn token((status, body): (StatusCode, Value)) -> String {
    assert_eq!(status, StatusCode::OK, "{body}");
    body["access_token"].as_str().unwrap().to_owned()
}

fn ceiling(token: &str) -> Value {
    claims(token)["authorization_details"].clone()
}

fn jti(token: &str) -> Value {
    claims(token)["jti"].clone()
}

fn refused((status, body): (StatusCode, Value), description: &str, case: &str) {
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_authorization_details"), "{case}: {body}");
    assert_eq!(body["error_description"], description, "{case}");
}

#[rstest]
#[tokio::test]
async fn what_is_asked_for_is_the_ceiling_of_the_token(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let bare = get(&world, &world.planner, &[]).await;
    assert!(claims(&bare).get("authorization_details").is_none(), "who asks for nothing has no ceiling");
    let asked = json!([
        qwen(json!({"paths": ["/v1/chat"], "methods": ["POST"], "rate": {"count": 10, "per_s": 60}, "uses": 5})),
        credential("mail", &["proxy"], json!({})),
    ]);
    let (_, body) = ask(&world, &world.planner, &[("authorization_details", &asked.to_string())]).await;
    // By identifier, and the actions in one order: the same token however it is asked for.
    let granted = json!([asked[1], asked[0]]);
    assert_eq!(body["authorization_details"], granted);
    let token = body["access_token"].as_str().unwrap();
    let mut said = granted;
    said[1]["counted"] = json!([{"jti": jti(token), "uses": 5, "rate": [{"count": 10, "per_s": 60}]}]);
    assert_eq!(ceiling(token), said);
    let seen = world.server.introspect(&world.service, token).await;
    assert_eq!((&seen["active"], &seen["authorization_details"]), (&json!(true), &said), "RFC 9396 section 9.2");
    let path = format!("/audit?jti={}", jti(token).as_str().unwrap());
    let (_, audit) = world.server.admin(Method::GET, &path, None).await;
    assert_eq!(audit["items"][0]["detail"]["token"]["credentials"], json!(["mail", "qwen-apikey-prod"]));
}

#[rstest]
#[tokio::test]
async fn an_exchange_narrows_and_never_widens(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let held = qwen(json!({"methods": ["GET", "POST"], "paths": ["/v1"]}));
    let parent = own(&world, &json!([held, credential("mail", &["proxy"], json!({}))])).await;
    let asked =
        credential("qwen-apikey-prod", &["proxy"], json!({"methods": ["POST", "PUT"], "paths": ["/v1/chat", "/v2"]}));
    let (_, body) = hand_on(&world, &parent, &json!([asked])).await;
    let narrowed = credential("qwen-apikey-prod", &["proxy"], json!({"methods": ["POST"], "paths": ["/v1/chat"]}));
    assert_eq!(body["authorization_details"], json!([narrowed]), "{body}");
    let child = token((StatusCode::OK, body));
    assert_eq!(ceiling(&child), json!([narrowed]));
    // Asking for fewer constraints takes none away.
    let mut unconstrained = narrowed.clone();
    unconstrained.as_object_mut().unwrap().remove("constraints");
    assert_eq!(ceiling(&token(hand_on(&world, &child, &json!([unconstrained])).await)), json!([narrowed]));
    let not_held = "the subject token is not for this credential";
    refused(hand_on(&world, &child, &json!([credential("mail", &["proxy"], json!({}))])).await, not_held, "narrowed");
    let both = json!([narrowed, credential("other", &["proxy"], json!({}))]);
    refused(hand_on(&world, &child, &both).await, not_held, "nothing is granted in part");
    let wider = json!([credential("qwen-apikey-prod", &["release"], json!({}))]);
    let description = "the subject token does not allow this action with the credential";
    refused(hand_on(&world, &child, &wider).await, description, "an action");
    let rates = |from: u32| (from..from + 5).map(|n| json!({"count": n, "per_s": n})).collect::<Value>();
    let parent = own(&world, &json!([qwen(json!({"rate": rates(1)}))])).await;
    let description = "the constraints of the subject token and of the request together are too many";
    refused(hand_on(&world, &parent, &json!([qwen(json!({"rate": rates(6)}))])).await, description, "rates");
}

/// Who asks for nothing of it has all of it, and none where the subject token says nothing.
#[rstest]
#[tokio::test]
async fn a_ceiling_is_inherited_and_made_where_there_was_none(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = rich(backend, 1000, 300).await;
    let held = json!([qwen(json!({"uses": 5}))]);
    let parent = own(&world, &held).await;
    let said = ceiling(&parent);
    assert_eq!(ceiling(&world.delegated(&parent).await), said);
    let budget = json!({"type": "budget", "unit": "call", "decimals": 0, "amount": 7});
    let (_, body) = hand_on(&world, &parent, &json!([budget])).await;
    let types: Vec<_> = body["authorization_details"].as_array().unwrap().iter().map(|each| &each["type"]).collect();
    assert_eq!(types, ["budget", "credential_release"], "both as granted: {body}");
    assert_eq!(body["authorization_details"][1], held[0]);
    assert_eq!(ceiling(body["access_token"].as_str().unwrap()), said, "a budget was asked for, and nothing else");
    let (_, body) = hand_on(&world, &parent, &json!([held[0], budget])).await;
    assert_eq!(body["authorization_details"][0]["amount"], 7, "budgets come first: {body}");
    assert_eq!(ceiling(body["access_token"].as_str().unwrap()), said);

    let bare = world.subject().await;
    assert_eq!(ceiling(&world.delegated(&bare).await), Value::Null);
    let child = token(hand_on(&world, &bare, &held).await);
    assert_eq!(ceiling(&child)[0]["counted"], json!([{"jti": jti(&child), "uses": 5}]));
    assert_eq!(claims(&child)["budget"][0]["amount"], 300, "the budget comes as if nothing had been asked for");
}

#[rstest]
#[tokio::test]
async fn no_detour_loses_the_ceiling(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.server.create_rule(&world.refunds.id, &world.planner.id, LEDGER, &["read"]).await;
    world.server.create_rule(&world.refunds.id, &world.refunds.id, ORDERS, &["read"]).await;
    let parent = own(&world, &json!([qwen(json!({"paths": ["/v1"], "uses": 5}))])).await;
    let over = [("resource", LEDGER), ("scope", "read")];
    let through = token(world.server.exchange(&world.refunds, &parent, &over).await);
    assert_eq!(claims(&through)["aud"], LEDGER);
    let back = [("resource", ORDERS), ("scope", "read")];
    let back = token(world.server.exchange(&world.refunds, &through, &back).await);
    assert_eq!(claims(&back)["aud"], ORDERS);
    assert_eq!((ceiling(&through), ceiling(&back)), (ceiling(&parent), ceiling(&parent)));
    let wider = json!([credential("mail", &["proxy"], json!({}))]);
    let form = [("scope", "read"), ("authorization_details", &wider.to_string())];
    let answer = world.server.exchange(&world.refunds, &back, &form).await;
    refused(answer, "the subject token is not for this credential", "after a detour");

    let rule = json!({
        "actor": {"client": world.stranger.id}, "subject": {"client": world.planner.id}, "to_audience": ORDERS,
        "scopes": [{"scope": "read"}], "mode": "impersonation",
    });
    world.server.create("/exchange-rules", rule).await;
    let posed = token(world.server.exchange(&world.stranger, &parent, &[("scope", "read")]).await);
    assert!(claims(&posed).get("act").is_none());
    assert_eq!(ceiling(&posed), ceiling(&parent), "impersonation");
    // The holder itself narrows its token by no rule.
    let again = token(world.server.exchange(&world.planner, &parent, &[("scope", "read")]).await);
    assert_eq!(ceiling(&again), ceiling(&parent));
}

/// The actor token says who acts, and nothing of it is read besides.
#[tokio::test]
async fn an_actor_tokens_ceiling_caps_nothing() {
    let world = World::new(Backend::Sqlite).await;
    let parent = own(&world, &json!([qwen(json!({}))])).await;
    let details = json!([credential("mail", &["proxy"], json!({}))]).to_string();
    let actor = get(&world, &world.refunds, &[("authorization_details", &details)]).await;
    let form = [("scope", "refund"), ("actor_token", actor.as_str()), ("actor_token_type", ACCESS_TOKEN)];
    let child = token(world.server.exchange(&world.refunds, &parent, &form).await);
    assert_eq!(ceiling(&child), json!([qwen(json!({}))]));
}

#[rstest]
#[tokio::test]
async fn a_child_never_has_its_parents_uses_afresh(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.server.create_rule(&world.refunds.id, &world.refunds.id, ORDERS, &["read", "refund"]).await;
    let minute = |count: u32| json!({"count": count, "per_s": 60});
    let counted = |token: &str| ceiling(token)[0]["counted"].clone();
    let root = own(&world, &json!([qwen(json!({"uses": 10, "rate": minute(5)}))])).await;
    let first = json!({"jti": jti(&root), "uses": 10, "rate": [minute(5)]});
    assert_eq!(counted(&root), json!([first]));
    // What is asked for again, or more of it, is counted where it was.
    for same in [json!({}), json!({"uses": 10}), json!({"uses": 99, "rate": minute(6)})] {
        let child = token(hand_on(&world, &root, &json!([qwen(same.clone())])).await);
        assert_eq!(counted(&child), json!([first]), "{same}");
    }
    let child = token(hand_on(&world, &root, &json!([qwen(json!({"uses": 3, "rate": minute(9)}))])).await);
    let second = json!({"jti": jti(&child), "uses": 3});
    assert_eq!(counted(&child), json!([first, second]));
    let observed = json!([{"rate": minute(1), "mode": "observe"}]);
    let last = token(hand_on(&world, &child, &json!([qwen(observed)])).await);
    let third = json!({"jti": jti(&last), "rate": [minute(1)], "mode": "observe"});
    assert_eq!(counted(&last), json!([first, second, third]));
    assert_eq!(ceiling(&last)[0]["constraints"][0]["uses"], 3);
}

#[rstest]
#[tokio::test]
async fn one_key_issues_one_ceiling(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let issue = async |details: &Value| {
        let form = [("grant_type", "client_credentials"), ("authorization_details", &details.to_string())];
        let request = world.server.http.post(world.server.url("/oauth2/token")).header("idempotency-key", "job-1");
        let request = request.basic_auth(&world.planner.id, Some(&world.planner.secret)).form(&form);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    let asked = json!([qwen(json!({"uses": 5, "time_of_day": {"zone": "UTC", "from": "08:00", "to": "18:00"}}))]);
    let first = issue(&asked).await.1;
    let second = issue(&asked).await.1;
    let about = |body: &Value| (claims(body["access_token"].as_str().unwrap()), body["authorization_details"].clone());
    assert_eq!(about(&first), about(&second));
    assert_eq!(second["authorization_details"], asked);
    assert_eq!(about(&second).0["authorization_details"][0]["counted"][0]["uses"], 5);
    let (status, body) = issue(&json!([qwen(json!({"uses": 6}))])).await;
    assert_eq!((status, error(&body)), (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"));
}

#[tokio::test]
async fn what_is_malformed_is_refused_with_a_reason_of_its_own() {
    let world = World::new(Backend::Sqlite).await;
    let subject = world.subject().await;
    let list =
        "authorization_details must be a JSON list of 1 to 16 objects, each with a type, none with a member twice";
    let members = "a credential_release has identifier and actions, and may have constraints";
    let identifiers =
        "an identifier is 1 to 128 letters, digits, hyphens, underscores and dots, and begins with a letter or digit";
    let actions = "actions names release, proxy or both, each once";
    let constraints = "constraints has a member that is unknown or of the wrong form";
    let repeated = "ask for at most 8 credentials, each once";
    let with = |name: &str, value: Value| {
        let mut release = qwen(json!({}));
        release[name] = value;
        json!([release]).to_string()
    };
    let numbered = |count: usize| {
        let all = (0..count).map(|n| credential(&format!("c{n}"), &["proxy"], json!({})));
        Value::from_iter(all).to_string()
    };
    let twice = with("identifier", json!("a")).replacen("{", "{\"identifier\":\"b\",", 1);
    let inner = with("constraints", json!({"uses": 5})).replacen("\"uses\":5", "\"uses\":5,\"uses\":6", 1);
    let cases = [
        ("[]".to_owned(), list),
        ("{}".to_owned(), list),
        (twice, list),
        (inner, list),
        (with("constraints", json!([[[[[[[[]]]]]]]])), list),
        (with("constraints", json!({"paths": [format!("/{}", "a".repeat(9000))]})), list),
        (
            with("type", json!("payment")),
            "authorization_details has a type that is not supported: use budget or credential_release",
        ),
        (with("counted", json!([{"jti": "t_1", "uses": 1_000_000}])), members),
        (with("counted", json!([])), members),
        (with("locations", json!(["https://a.example"])), members),
        (with("identifier", json!(7)), members),
        (with("identifier", json!("../a")), identifiers),
        (with("identifier", json!("a".repeat(129))), identifiers),
        (with("actions", json!([])), actions),
        (with("actions", json!(["use"])), actions),
        (with("actions", json!(["proxy", "proxy"])), actions),
        (with("constraints", json!({"method": ["POST"]})), constraints),
        (with("constraints", json!({"paths": ["/a/../b"]})), constraints),
        (with("constraints", json!({"uses": 0})), constraints),
        (with("constraints", json!([])), constraints),
        (with("constraints", json!(null)), constraints),
        (numbered(9), repeated),
        (json!([qwen(json!({})), qwen(json!({"uses": 5}))]).to_string(), repeated),
        (numbered(17), list),
    ];
    for (text, description) in cases {
        refused(ask(&world, &world.planner, &[("authorization_details", &text)]).await, description, &text);
        let form = [("scope", "refund"), ("authorization_details", text.as_str())];
        refused(world.server.exchange(&world.refunds, &subject, &form).await, description, &text);
    }
    let (_, audit) = world.server.admin(Method::GET, "/audit?outcome=refused&limit=200", None).await;
    let reasons: Vec<_> =
        audit["items"].as_array().unwrap().iter().filter_map(|each| each["reason"].as_str()).collect();
    for reason in ["member", "identifier", "actions", "constraints", "repeated"] {
        assert!(reasons.contains(&format!("credential_{reason}").as_str()), "{reason}: {reasons:?}");
    }
    let (status, body) = ask(&world, &world.planner, &[("authorization_details", &numbered(8))]).await;
    assert_eq!(status, StatusCode::OK, "eight are not too many: {body}");
}

/// An empty list of constraints admits nothing, and is granted as such.
#[tokio::test]
async fn a_list_that_admits_nothing_is_kept() {
    let world = World::new(Backend::Sqlite).await;
    let parent = own(&world, &json!([qwen(json!({"methods": []}))])).await;
    let child = token(hand_on(&world, &parent, &json!([qwen(json!({"methods": ["GET"]}))])).await);
    assert_eq!(ceiling(&child), json!([qwen(json!({"methods": []}))]));
}

#[tokio::test]
async fn a_ceiling_that_makes_the_token_too_large_is_refused() {
    let world = World::new(Backend::Sqlite).await;
    let paths =
        |count: usize| json!([qwen(json!({"paths": (0..count).map(|n| format!("/v1/{n:0>60}")).collect::<Value>()}))]);
    let token = own(&world, &paths(20)).await;
    assert!(token.len() <= 4096, "{} bytes", token.len());
    let (status, body) = ask(&world, &world.planner, &[("authorization_details", &paths(60).to_string())]).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"));
    let description =
        "the token would be larger than allowed: ask for fewer resources, scopes, credentials or constraints";
    assert_eq!(body["error_description"], description);
}

#[tokio::test]
async fn a_services_client_asks_for_a_ceiling_as_an_agent_does() {
    let world = World::new(Backend::Sqlite).await;
    let access: &[(&str, &[&str])] = &[(ORDERS, &["read"])];
    let job: TestClient = world.server.create_client("acme", "nightly", "service", access).await;
    let details = json!([credential("mail", &["proxy"], json!({}))]);
    let token = get(&world, &job, &[("authorization_details", &details.to_string())]).await;
    assert_eq!(ceiling(&token), details);
}

/// Whoever signed it: a ceiling that is not understood is none that can be handed on or shown.
#[tokio::test]
async fn a_claim_that_we_would_not_write_is_in_no_token_of_ours() {
    let world = World::new(Backend::Sqlite).await;
    let good = own(&world, &json!([qwen(json!({"uses": 5}))])).await;
    let signed = |claim: Value| {
        let app = &world.server.app;
        let keyring = app.ring.keyring();
        let mut payload = claims(&good);
        payload["authorization_details"] = claim;
        let signer = keyring.signing_key(app.clock.now()).unwrap();
        signer.sign(TokenKind::AccessToken, payload.to_string().as_bytes()).unwrap()
    };
    let with = |name: &str, value: Value| {
        let mut claim = ceiling(&good);
        claim[0][name] = value;
        claim
    };
    let counted = |jti: Value| with("counted", json!([{"jti": jti, "uses": 5}]));
    assert!(world.active(&signed(counted(jti(&good)))).await, "the same claim, signed the same way");
    assert!(world.active(&signed(json!([]))).await);
    for (what, claim) in [
        ("no list", json!({})),
        ("null", Value::Null),
        ("another type", with("type", json!("payment_initiation"))),
        ("an unknown member", with("locations", json!(["https://a.example"]))),
        ("an unknown constraint", with("constraints", json!({"uses": 5, "colour": "red"}))),
        ("twice", json!([ceiling(&good)[0], ceiling(&good)[0]])),
        ("a limit that nobody counts", with("counted", json!([{"jti": jti(&good), "uses": 6}]))),
        ("counted under another token", counted(json!("t_other"))),
        ("counted nowhere", with("counted", json!([]))),
    ] {
        let token = signed(claim);
        assert!(!world.active(&token).await, "{what}");
        let (status, body) = world.server.exchange(&world.refunds, &token, &[("scope", "refund")]).await;
        assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"), "{what}");
    }
}

/// As far as our schemas use it: whether a value is valid by a JSON Schema. Patterns are taken to
/// match, so what only a pattern refuses is not told here.
fn is_valid(root: &Value, schema: &Value, value: &Value) -> bool {
    let within = |name: &str, most: bool, measure: Option<usize>| match (schema[name].as_u64(), measure) {
        (Some(bound), Some(measure)) if most => measure as u64 <= bound,
        (Some(bound), Some(measure)) => measure as u64 >= bound,
        _ => true,
    };
    let number = value.as_u64().map(|number| number as usize);
    let (text, items) = (value.as_str().map(str::len), value.as_array().map(Vec::len));
    let bounds = [("minimum", false, number), ("maximum", true, number), ("minLength", false, text)];
    let more = [("maxLength", true, text), ("minItems", false, items), ("maxItems", true, items)];
    schema.as_object().unwrap().iter().all(|(keyword, rule)| match keyword.as_str() {
        "$ref" => is_valid(root, root.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap(), value),
        "type" => match rule.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_u64(),
            other => panic!("{other}"),
        },
        "const" => value == rule,
        "enum" => rule.as_array().unwrap().contains(value),
        "not" => !is_valid(root, rule, value),
        "anyOf" => rule.as_array().unwrap().iter().any(|one| is_valid(root, one, value)),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| is_valid(root, rule, item))),
        "uniqueItems" => value.as_array().is_none_or(|items| (1..items.len()).all(|n| !items[..n].contains(&items[n]))),
        "required" => rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
        "dependentRequired" => rule.as_object().unwrap().iter().all(|(name, needs)| {
            value.get(name).is_none()
                || needs.as_array().unwrap().iter().all(|need| value.get(need.as_str().unwrap()).is_some())
        }),
        "properties" => rule
            .as_object()
            .unwrap()
            .iter()
            .all(|(name, rule)| value.get(name).is_none_or(|value| is_valid(root, rule, value))),
        "additionalProperties" => {
            value.as_object().is_none_or(|map| map.keys().all(|name| schema["properties"].get(name).is_some()))
        }
        "minimum" | "maximum" | "minLength" | "maxLength" | "minItems" | "maxItems" => {
            bounds.into_iter().chain(more).all(|(name, most, measure)| within(name, most, measure))
        }
        "pattern" | "description" | "default" | "$schema" | "$defs" => true,
        other => panic!("{other} is not known here"),
    })
}

/// The schema and the reader agree on what is a `credential_release`.
#[tokio::test]
async fn the_schema_says_what_is_read() {
    use stipend_token::constraint::CredentialRelease;
    let world = World::new(Backend::Sqlite).await;
    let url = world.server.url("/oauth2/authorization-details-types");
    let types: Value = world.server.http.get(url).send().await.unwrap().json().await.unwrap();
    let document = &types["credential_release"];
    let schema = &document["schema"];
    let examples = document["examples"].as_array().unwrap();
    for example in examples {
        assert!(is_valid(schema, schema, example), "{example}");
        let (status, body) =
            ask(&world, &world.planner, &[("authorization_details", &json!([example]).to_string())]).await;
        assert_eq!((status, &body["authorization_details"][0]["identifier"]), (StatusCode::OK, &example["identifier"]));
    }
    let rate = json!({"count": 1, "per_s": 1});
    let amount = json!({"amount": 0, "selector": "/a"});
    let hours = json!({"zone": "UTC", "from": "08:00", "to": "24:00"});
    let good = [
        ("methods", json!([])),
        ("methods", json!(["GET", "VERSION-CONTROL"])),
        ("hosts", json!(["a.example", "*.example", "10.0.0.1", "[::1]"])),
        ("paths", json!(["/", "/a", {"exact": "/a/"}])),
        ("rate", rate.clone()),
        ("rate", json!([rate, {"count": 1_000_000_000, "per_s": 31_622_400}])),
        ("max_amount", amount.clone()),
        (
            "max_amount",
            json!([amount, {"amount": 999_999_999_999_999_i64, "selector": "", "unit": "usd", "unit_selector": "/u"}]),
        ),
        ("recipients", json!({"selector": "/to", "domains": []})),
        ("source", json!(["10.0.0.0/8", "::/0"])),
        ("time_of_day", hours.clone()),
        (
            "time_of_day",
            json!([hours, {"zone": "Europe/Berlin", "from": "22:00", "to": "06:00", "days": ["sat", "sun"]}]),
        ),
        ("uses", json!(1)),
        ("uses", json!(1_000_000_000)),
        ("mode", json!("observe")),
    ];
    let bad = [
        ("methods", json!(["TRACE"])),
        ("methods", json!("GET")),
        ("methods", json!(vec!["GET"; 65])),
        ("hosts", json!([5])),
        ("paths", json!([{"exact": "/a", "prefix": "/b"}])),
        ("paths", json!([{}])),
        ("rate", json!([])),
        ("rate", json!({"count": 0, "per_s": 1})),
        ("rate", json!({"count": 1, "per_s": 31_622_401})),
        ("rate", json!({"count": 1})),
        ("rate", json!({"count": 1, "per_s": 1, "burst": 1})),
        ("max_amount", json!({"amount": -1, "selector": "/a"})),
        ("max_amount", json!({"amount": 1_000_000_000_000_000_i64, "selector": "/a"})),
        ("max_amount", json!({"amount": 1, "selector": "/a", "unit": "usd"})),
        ("max_amount", json!({"amount": 1, "selector": "/a", "unit": "", "unit_selector": "/u"})),
        ("recipients", json!({"selector": "/to"})),
        ("source", json!("10.0.0.0/8")),
        ("time_of_day", json!({"zone": "UTC", "from": "08:00", "to": "18:00", "days": ["Mon"]})),
        ("time_of_day", json!({"zone": "UTC", "from": "08:00"})),
        ("uses", json!(0)),
        ("uses", json!(1.5)),
        ("uses", json!(1_000_000_001)),
        ("mode", json!("warn")),
        ("limit", json!(1)),
    ];
    let with = |(name, value): &(&str, Value)| qwen(json!({ *name: value }));
    for (value, expected) in
        good.iter().map(|each| (with(each), true)).chain(bad.iter().map(|each| (with(each), false)))
    {
        assert_eq!(CredentialRelease::parse(&value).is_ok(), expected, "read: {value}");
        assert_eq!(is_valid(schema, schema, &value), expected, "schema: {value}");
    }
    let mut named: Vec<_> = good.iter().map(|(name, _)| *name).collect();
    named.dedup();
    let mut known: Vec<_> = schema["$defs"]["set"]["properties"].as_object().unwrap().keys().collect();
    known.sort_unstable();
    named.sort_unstable();
    assert_eq!(known, named, "every constraint has its examples");
    for (name, value) in
        [("counted", json!([])), ("locations", json!([])), ("actions", json!([])), ("actions", json!(["use"]))]
    {
        let mut release = qwen(json!({}));
        release[name] = value;
        assert!(!is_valid(schema, schema, &release) && CredentialRelease::parse(&release).is_err(), "{release}");
    }
}
