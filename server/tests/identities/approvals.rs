//! Exchanges for users of another issuer that wait for people: what is kept, and that everything
//! is asked again when the token is fetched.

use crate::idp::{Face, KEYS, Key};
use crate::world::{ID_TOKEN, World, error, issued};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn people_approve_for_a_user_of_another_issuer(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let token = world.id_token(json!({"email": "canary-of-alice@example.com", "name": "Alice Canary"}));
    let (_, asked) = world.ask(&token, ID_TOKEN).await;
    let handle = asked["auth_req_id"].as_str().unwrap().to_owned();
    assert_eq!(error(&world.poll(&handle, &[]).await), (400, "authorization_pending"));
    let (_, page) = world.server.admin(Method::GET, "/approvals", None).await;
    let request = &page["items"][0];
    let sub = format!("user:{}:alice", world.issuer);
    assert_eq!((&request["offer"]["sub"], &request["awaiting"]), (&json!(sub), &json!(["acme"])), "{request}");
    assert_eq!(request["subject_owner"], "acme", "the issuer's owner answers for its users");
    world.approve().await;
    let claims = issued(&world.poll(&handle, &[]).await);
    assert_eq!(claims["sub"], json!(sub));
    assert_eq!(claims["act"], json!({"sub": "agent:acme.desk"}));
    assert_eq!((&claims["idp"], &claims["acr"]), (&json!(world.issuer), &json!("urn:example:gold")));
    assert!(claims["lineage"][0].as_str().unwrap().starts_with("d_"), "{claims}");
    assert_eq!(error(&world.poll(&handle, &[]).await), (400, "invalid_grant"), "once");
    let record = world.record("token.issued").await;
    assert_eq!(record["detail"]["federated"]["issuer"], json!(world.issuer), "{record}");
}

#[tokio::test]
async fn neither_the_token_nor_what_is_not_read_of_it_is_kept() {
    let world = World::new(Backend::Sqlite).await;
    let token = world.id_token(json!({"email": "canary-of-alice@example.com", "groups": ["canary-group"]}));
    world.ask(&token, ID_TOKEN).await;
    let path = world.server.database_url.trim_start_matches("sqlite://").to_owned();
    let mut stored = std::fs::read(&path).unwrap();
    stored.extend(std::fs::read(format!("{path}-wal")).unwrap_or_default());
    let holds = |text: &str| stored.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds("urn:example:gold"), "what is read is kept");
    for secret in [token.rsplit('.').next().unwrap(), "canary-of-alice", "canary-group"] {
        assert!(!holds(secret), "{secret}");
    }
}

/// What was true when people were asked is of no use when it is not any more.
#[rstest]
#[tokio::test]
async fn everything_is_asked_again_when_the_token_is_fetched(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let path = format!("/issuers/{}", world.issuer);
    let original = json!({"audiences": ["stipend", world.server.issuer], "uses": ["subject_token", "id_jag"],
        "algorithms": ["ES256"], "mapping": {}});
    for (change, because) in [
        (json!({"audiences": ["another"]}), "subject_audience"),
        (json!({"uses": ["id_jag"]}), "subject_issuer_use"),
        (json!({"algorithms": ["EdDSA"]}), "subject_signature"),
        (json!({"mapping": {"required": {"acr": ["urn:example:platinum"]}}}), "subject_claims"),
        // It was not read then, so it was not kept: nobody can tell, and that is a no.
        (json!({"mapping": {"required": {"email_verified": ["true"]}}}), "subject_claims"),
        (json!({"mapping": {"subject": "email"}}), "subject_unnamed"),
    ] {
        let handle =
            world.approved(&world.id_token(json!({"email": "a@example.com", "email_verified": true})), ID_TOKEN).await;
        world.admin(Method::PATCH, &path, change.clone()).await;
        assert_eq!(error(&world.poll(&handle, &[]).await), (400, "invalid_grant"), "{change}");
        assert_eq!(world.record("token.refused").await["detail"]["because"], because, "{change}");
        world.admin(Method::PATCH, &path, original.clone()).await;
        issued(&world.poll(&handle, &[]).await);
    }
    let ends: [(Method, String, Value, &str); 2] = [
        (
            Method::POST,
            "/revocations".to_owned(),
            json!({
                "kind": "subject", "value": format!("user:{}:alice", world.issuer), "reason": "test", "severity": "low",
            }),
            "subject_revoked",
        ),
        (Method::POST, format!("{path}/disable"), json!({}), "subject_issuer_off"),
    ];
    for (method, path, body, because) in ends {
        // What a revocation of this second covers is over with it.
        world.server.clock.advance(1);
        let handle = world.approved(&world.id_token(json!({"jti": because})), ID_TOKEN).await;
        world.server.clock.advance(1);
        world.admin(method, &path, body).await;
        assert_eq!(error(&world.poll(&handle, &[]).await), (400, "invalid_grant"), "{because}");
        assert_eq!(world.record("token.refused").await["detail"]["because"], because);
    }
}

#[rstest]
#[tokio::test]
async fn a_key_that_its_issuer_took_back_or_gave_another_its_name_ends_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let handle = world.approved(&world.id_token(json!({})), ID_TOKEN).await;
    // The same name, another key: what was signed with the first is nobody's word any more.
    world.idp.publish(&[&Key::new("k1")]);
    world.server.clock.advance(301);
    assert_eq!(error(&world.poll(&handle, &[]).await), (400, "expired_token"), "five minutes are over");
    world.idp.publish(&[&world.key]);
    world.server.clock.advance(301);
    let ask = world.id_token(json!({"exp": world.server.now() + 3000}));
    let form = [
        ("subject_token", ask.as_str()),
        ("subject_token_type", ID_TOKEN),
        ("resource", crate::world::MAIL),
        ("requested_expiry", "2000"),
    ];
    let (_, asked) = world.form("/oauth2/bc-authorize", &form, &[]).await;
    let handle = asked["auth_req_id"].as_str().unwrap_or_else(|| panic!("{asked}")).to_owned();
    world.approve().await;
    for keys in [vec![Key::new("k1")], vec![Key::new("k2")], vec![]] {
        world.idp.publish(&keys.iter().collect::<Vec<_>>());
        world.server.clock.advance(301);
        assert_eq!(error(&world.poll(&handle, &[]).await), (400, "invalid_grant"));
        assert_eq!(world.record("token.refused").await["detail"]["because"], "subject_signature");
    }
    world.idp.publish(&[&world.key]);
    world.server.clock.advance(301);
    issued(&world.poll(&handle, &[]).await);
}

/// A host of keys that is away says nothing of its keys: its client asks again, and gets what was
/// approved when it is back.
#[tokio::test]
async fn an_issuer_that_is_away_puts_it_off() {
    let world = World::new(Backend::Sqlite).await;
    let token = world.id_token(json!({"exp": world.server.now() + 6000}));
    let form = [
        ("subject_token", token.as_str()),
        ("subject_token_type", ID_TOKEN),
        ("resource", crate::world::MAIL),
        ("requested_expiry", "3600"),
    ];
    let (_, asked) = world.form("/oauth2/bc-authorize", &form, &[]).await;
    let handle = asked["auth_req_id"].as_str().unwrap().to_owned();
    world.approve().await;
    // Another process has no keys of it yet, and can't get any.
    world.idp.face(KEYS, Face::Closed);
    world.server.stop().await;
    let settings = [
        ("STIPEND_FETCH_HTTP_HOSTS", "127.0.0.1"),
        ("STIPEND_FETCH_NETWORKS", "127.0.0.0/8"),
        ("STIPEND_ISSUER", world.server.issuer.as_str()),
    ];
    let other = stipend::testing::TestServer::start_on(&world.server.database_url, &settings).await;
    let poll = async || {
        let form = [("grant_type", stipend::grant::CIBA), ("auth_req_id", handle.as_str())];
        let request = other.http.post(format!("http://{}/oauth2/token", other.address()));
        let answer = request.basic_auth(&world.desk.id, Some(&world.desk.secret)).form(&form).send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    let away = poll().await;
    assert_eq!(error(&away), (400, "invalid_request"), "{}", away.1);
    assert!(away.1["error_description"].as_str().unwrap().contains("try again later"), "{}", away.1);
    world.idp.publish(&[&world.key]);
    other.clock.advance(11);
    issued(&poll().await);
    other.stop().await;
}

/// The token's own end, and what comes of it.
#[rstest]
#[tokio::test]
async fn a_request_ends_with_its_token_and_its_token_with_the_request(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let short = world.id_token(json!({"exp": world.server.now() + 100}));
    let (_, asked) = world.ask(&short, ID_TOKEN).await;
    assert!((90..=100).contains(&asked["expires_in"].as_i64().unwrap()), "{asked}");
    world.approve().await;
    world.server.clock.advance(101);
    let handle = asked["auth_req_id"].as_str().unwrap();
    assert_eq!(error(&world.poll(handle, &[]).await), (400, "expired_token"));
    let now = world.server.now();
    let claims =
        issued(&world.poll(&world.approved(&world.id_token(json!({"exp": now + 200})), ID_TOKEN).await, &[]).await);
    assert!(claims["exp"].as_i64().unwrap() <= now + 200, "{claims}");
    // It dies with its issuer, as everything does that came from there.
    let token = world.poll(&world.approved(&world.id_token(json!({"jti": "last"})), ID_TOKEN).await, &[]).await.1;
    let token = token["access_token"].as_str().unwrap().to_owned();
    assert_eq!(world.server.introspect(&world.desk, &token).await["active"], true);
    world.admin(Method::POST, &format!("/issuers/{}/disable", world.issuer), json!({})).await;
    assert_eq!(world.server.introspect(&world.desk, &token).await["active"], false);
}
