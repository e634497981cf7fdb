//! What is issued for another server, and for whom.

use crate::foreign::{Foreign, with};
use crate::world::{CHAT, ID_JAG, ORDERS, ROOMS, World, error, parts};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::TestServer;
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn a_grant_says_who_acts_for_whom_at_which_server(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let subject = world.subject().await;
    let form = [("audience", CHAT), ("resource", ROOMS), ("scope", "chat.read")];
    let (status, body) = world.ask_with(&subject, &form).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    // RFC 8693 section 2.2.1: it is no access token, and used as none.
    let said = (&body["issued_token_type"], &body["token_type"], &body["scope"]);
    assert_eq!(said, (&json!(ID_JAG), &json!("N_A"), &json!("chat.read")));
    // As long as the subject token, which was made a moment ago.
    let life = body["expires_in"].as_i64().unwrap();
    assert!((270..=300).contains(&life), "{body}");
    assert!(body.get("refresh_token").is_none() && body.get("authorization_details").is_none(), "{body}");
    let (header, claims) = parts(body["access_token"].as_str().unwrap());
    assert_eq!(header["typ"], "oauth-id-jag+jwt");
    let (iat, jti) = (claims["iat"].as_i64().unwrap(), &claims["jti"]);
    let expected = json!({
        "iss": world.server.issuer, "sub": "agent:acme.planner", "aud": CHAT, "client_id": "f53f191f", "jti": jti,
        "iat": iat, "exp": iat + life, "resource": ROOMS, "scope": "chat.read", "act": {"sub": "agent:acme.messenger"},
    });
    assert_eq!(claims, expected, "and nothing else: no lineage, no environment, no budget");
    let record = world.record("token.issued").await;
    assert_eq!(record["detail"]["id_jag"], json!({"issuer": CHAT, "client_id": "f53f191f", "resources": [ROOMS]}));
    assert_eq!(record["detail"]["token"]["lineage"], json!([parts(&subject).1["jti"]]), "{record}");
}

#[tokio::test]
async fn only_a_rule_that_leads_there_yields_a_grant() {
    let world = World::new(Backend::Sqlite).await;
    let other = "https://mail.example";
    world.server.create_resource("acme", other, &["chat.read"], &[]).await;
    for (form, expected) in [
        // The planner's own token, by the planner: no rule lets it out.
        (vec![("audience", other)], "invalid_target"),
        (vec![("audience", "https://unknown.example")], "invalid_target"),
        (vec![("audience", "no uri")], "invalid_target"),
        (vec![("audience", CHAT), ("resource", "https://elsewhere.example")], "invalid_target"),
        (vec![("audience", CHAT), ("resource", ROOMS), ("resource", "https://elsewhere.example")], "invalid_target"),
        (vec![("audience", CHAT), ("resource", "rooms")], "invalid_target"),
        (vec![("audience", CHAT), ("scope", "chat.read chat.admin")], "invalid_scope"),
        (vec![("audience", CHAT), ("scope", "read")], "invalid_scope"),
        // One server, named.
        (vec![], "invalid_request"),
        (vec![("resource", CHAT)], "invalid_request"),
        (vec![("audience", CHAT), ("audience", other)], "invalid_request"),
        (vec![("audience", CHAT), ("audience", CHAT)], "invalid_request"),
        (
            vec![
                ("audience", CHAT),
                ("authorization_details", r#"[{"type":"budget","unit":"USD","decimals":6,"amount":5}]"#),
            ],
            "invalid_authorization_details",
        ),
    ] {
        let (status, body) = world.ask(&form).await;
        assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, expected), "{form:?} {body}");
    }
    let subject = world.subject().await;
    let own = [("requested_token_type", ID_JAG), ("audience", CHAT)];
    let (_, body) = world.server.exchange(&world.planner, &subject, &own).await;
    assert_eq!(error(&body), "invalid_target", "its own token leads abroad by no more than a rule either");
}

#[tokio::test]
async fn a_rule_that_leads_abroad_yields_no_access_token_and_the_other_way_round() {
    let world = World::new(Backend::Sqlite).await;
    let subject = world.subject().await;
    for kind in ["access_token", "jwt"] {
        let kind = format!("urn:ietf:params:oauth:token-type:{kind}");
        let form = [("audience", CHAT), ("requested_token_type", kind.as_str())];
        let (status, body) = world.server.exchange(&world.messenger, &subject, &form).await;
        assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"), "{body}");
    }
    // A rule for access tokens: no grants, for the very same resource.
    world.server.create_rule(&world.messenger.id, &world.planner.id, ORDERS, &["read"]).await;
    let (_, body) = world.ask_with(&subject, &[("audience", ORDERS)]).await;
    assert_eq!(error(&body), "invalid_target", "{body}");
    let (status, _) = world.server.exchange(&world.messenger, &subject, &[("audience", ORDERS)]).await;
    assert_eq!(status, StatusCode::OK);
}

/// The matrix of kinds, over the wire: a grant of ours in every other token's place.
#[tokio::test]
async fn a_grant_of_ours_is_no_token_of_ours() {
    let world = World::new(Backend::Sqlite).await;
    let (server, grant) = (&world.server, world.grant().await);
    for kind in ["access_token", "jwt"] {
        let kind = format!("urn:ietf:params:oauth:token-type:{kind}");
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", &grant),
            ("subject_token_type", &kind),
        ];
        let (status, body) = server.form("/oauth2/token", &world.messenger, &form).await;
        assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"), "as a subject token");
        let subject = world.subject().await;
        let form = [("actor_token", grant.as_str()), ("actor_token_type", &kind), ("resource", ORDERS)];
        let (status, body) = server.exchange(&world.messenger, &subject, &form).await;
        assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"), "as an actor token");
    }
    assert_eq!(server.introspect(&world.messenger, &grant).await, json!({"active": false}));
    let release = server.http.post(server.url("/credentials/acme.x/release")).bearer_auth(&grant);
    let answer = release.json(&json!({"mode": "plaintext"})).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "as an access token");
    let admin = server.http.get(server.url("/admin/v1/owners")).bearer_auth(&grant).send().await.unwrap();
    assert_eq!(admin.status(), StatusCode::UNAUTHORIZED);
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", grant.as_str()),
    ];
    let answer = server.http.post(server.url("/oauth2/token")).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "as a client assertion");
}

#[tokio::test]
async fn a_chain_of_actors_goes_along_and_a_budget_does_not() {
    let world = World::new(Backend::Sqlite).await;
    let server = &world.server;
    let line = json!({"agent": world.planner.id, "unit": "USD", "decimals": 6, "amount": 1_000_000});
    let line = server.create("/budgets", line).await["id"].as_str().unwrap().to_owned();
    let budget = r#"[{"type":"budget","unit":"USD","decimals":6,"amount":500000}]"#;
    let subject = server.token(&world.planner, &[("authorization_details", budget)]).await;
    assert!(parts(&subject).1["budget"].is_array());
    // First handed to another agent, whose token then goes abroad.
    let helper = server.create_client("acme", "helper", "agent", &[]).await;
    server.create_rule(&helper.id, &world.planner.id, ORDERS, &["read"]).await;
    let (_, body) = server.exchange(&helper, &subject, &[]).await;
    let delegated = body["access_token"].as_str().unwrap().to_owned();
    let rule = json!({
        "actor": {"client": world.messenger.id}, "subject": {"client": helper.id}, "to_audience": CHAT,
        "scopes": [{"scope": "chat.read", "stands_for": "read"}], "mode": "impersonation", "id_jag": {"issuer": CHAT},
    });
    server.create("/exchange-rules", rule).await;
    let (status, body) = world.ask_with(&delegated, &[("audience", CHAT)]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let (_, claims) = parts(body["access_token"].as_str().unwrap());
    assert_eq!(claims["act"], json!({"sub": "agent:acme.helper"}), "what carries act never yields what has none");
    assert_eq!(claims["client_id"], "acme.messenger", "as here, where the rule gives no other name");
    assert!(claims.get("budget").is_none() && claims.get("resource").is_none(), "{claims}");
    let (_, line) = server.admin(Method::GET, &format!("/budgets/{line}"), None).await;
    assert_eq!((&line["used"]["held"], &line["used"]["carved"]), (&json!(0), &json!(0)), "{line}");
}

#[tokio::test]
async fn life_is_short_and_never_longer_than_the_subjects() {
    let world = World::new(Backend::Sqlite).await;
    let subject = world.subject().await;
    world.server.clock.advance(240);
    let (_, body) = world.ask_with(&subject, &[("audience", CHAT)]).await;
    assert!(body["expires_in"].as_i64().unwrap() <= 60, "{body}");
    let (_, claims) = parts(body["access_token"].as_str().unwrap());
    assert_eq!(claims["exp"], parts(&subject).1["exp"]);
}

#[tokio::test]
async fn a_subject_that_is_dead_goes_nowhere() {
    let world = World::new(Backend::Sqlite).await;
    let subject = world.subject().await;
    let (status, _) = world.server.form("/oauth2/revoke", &world.planner, &[("token", &subject)]).await;
    assert_eq!(status, StatusCode::OK);
    let (status, body) = world.ask_with(&subject, &[("audience", CHAT)]).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"), "{body}");
    let path = format!("/exchange-rules/{}/disable", world.rule);
    world.server.create(&path, json!({})).await;
    let (_, body) = world.ask(&[("audience", CHAT)]).await;
    assert_eq!(error(&body), "invalid_request", "nor is a rule that is switched off of use: {body}");
}

/// With an `Idempotency-Key` a retry gets the same grant: signed again from what was recorded.
#[rstest]
#[tokio::test]
async fn a_retry_gets_the_same_grant(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let subject = world.subject().await;
    let mut answers = Vec::new();
    for _ in 0..2 {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", subject.as_str()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("requested_token_type", ID_JAG),
            ("audience", CHAT),
            ("resource", ROOMS),
        ];
        let request = world.server.http.post(world.server.url("/oauth2/token")).header("idempotency-key", "k-1");
        let request = request.basic_auth(&world.messenger.id, Some(&world.messenger.secret)).form(&form);
        answers.push(request.send().await.unwrap().json::<Value>().await.unwrap());
    }
    let (first, second) =
        (parts(answers[0]["access_token"].as_str().unwrap()), parts(answers[1]["access_token"].as_str().unwrap()));
    assert_eq!(first, second);
    assert_eq!((&answers[1]["token_type"], &answers[1]["issued_token_type"]), (&json!("N_A"), &json!(ID_JAG)));
}

#[tokio::test]
async fn what_a_rule_says_of_another_server_is_checked_and_explained() {
    let world = World::new(Backend::Sqlite).await;
    let base = json!({
        "actor": {"client": world.messenger.id}, "subject": {"client": world.planner.id}, "to_audience": CHAT,
        "scopes": [{"scope": "chat.read"}], "mode": "delegation",
    });
    for abroad in [
        json!({"issuer": "https://other.example"}),
        json!({"issuer": ""}),
        json!({"issuer": CHAT, "client_id": ""}),
        json!({"issuer": CHAT, "resources": ["rooms"]}),
        json!({"issuer": CHAT, "resources": [ROOMS, ROOMS]}),
        json!({"issuer": CHAT, "scope": "x"}),
        json!({}),
        json!(CHAT),
    ] {
        let mut body = base.clone();
        body["id_jag"] = abroad.clone();
        let (status, said) = world.server.admin(Method::POST, "/exchange-rules", Some(&body)).await;
        assert!(status.is_client_error(), "{abroad}: {status} {said}");
    }
    let (_, shown) = world.server.admin(Method::GET, &format!("/exchange-rules/{}", world.rule), None).await;
    assert_eq!(shown["spec"]["id_jag"]["client_id"], "f53f191f", "{shown}");
    let explain = |id_jag: bool| {
        json!({
            "actor": world.messenger.id, "audience": [CHAT], "id_jag": id_jag,
            "subject": {"client_id": world.planner.id, "audience": [ORDERS], "scope": "read"},
        })
    };
    for (id_jag, verdict) in [(true, "allows"), (false, "other_form")] {
        let said = world.server.create("/exchange-rules/explain", explain(id_jag)).await;
        assert_eq!(said["rules"][0]["verdicts"][0]["verdict"], verdict, "{said}");
        assert_eq!(said["allowed"], id_jag, "{said}");
    }
}

#[tokio::test]
async fn metadata_says_that_grants_are_issued() {
    let server = TestServer::start(Backend::Sqlite).await;
    let metadata = server.http.get(server.url("/.well-known/oauth-authorization-server")).send().await.unwrap();
    let metadata: Value = metadata.json().await.unwrap();
    assert_eq!(metadata["identity_chaining_requested_token_types_supported"], json!([ID_JAG]));
}

/// An ID token that was made for another client is no way out for this one, though its issuer's
/// registration accepts it.
#[tokio::test]
async fn an_id_token_goes_abroad_with_the_client_it_was_made_for() {
    let foreign = Foreign::trusting(Backend::Sqlite, json!(["subject_token"])).await;
    let server = &foreign.server;
    server.create_resource("acme", CHAT, &["chat.read"], &[]).await;
    let abroad = json!({"to_audience": CHAT, "scopes": [{"scope": "chat.read"}], "id_jag": {"issuer": CHAT}});
    foreign.rule(abroad).await;
    let ask = async |aud: Value| {
        let token = foreign.key.token("JWT", &with(foreign.claims(), json!({"aud": aud})));
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", token.as_str()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
            ("requested_token_type", ID_JAG),
            ("audience", CHAT),
        ];
        server.form("/oauth2/token", &foreign.desk, &form).await
    };
    let (status, body) = ask(json!("acme.desk")).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let (_, claims) = parts(body["access_token"].as_str().unwrap());
    assert_eq!(claims["sub"], format!("user:{}:alice", foreign.id));
    assert_eq!((&claims["acr"], &claims["amr"]), (&json!("urn:example:gold"), &json!(["pwd", "otp"])));
    for aud in [json!("somebody-else"), json!(["acme.desk", "somebody-else"]), json!("desk-at-idp"), json!([])] {
        let (status, body) = ask(aud.clone()).await;
        assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_request"), "{aud}");
    }
    let settings = json!({"settings": {"id_token_audiences": ["desk-at-idp"]}});
    let (status, said) = server.admin(Method::PATCH, "/agents/acme.desk", Some(&settings)).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    assert_eq!(ask(json!("desk-at-idp")).await.0, StatusCode::OK);
}
