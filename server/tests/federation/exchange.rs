//! Foreign subject tokens at the token endpoint: who gets what for them, for how long, and what
//! ends it.

use crate::idp::Key;
use crate::world::{World, trust, with};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::TestClient;
use stipend_schema::Backend;

pub const ORDERS: &str = "https://orders.example";
const TYPE: &str = "urn:ietf:params:oauth:token-type:";

pub fn claims(token: &str) -> Value {
    serde_json::from_slice(&B64.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// The company at work: a desk that may act for the issuer's people, and one that may not.
pub struct Office {
    pub world: World,
    pub desk: TestClient,
    pub stranger: TestClient,
    pub service: TestClient,
}

impl Office {
    pub async fn new(backend: Backend) -> Self {
        let office = Self::without_rule(backend).await;
        office.rule(json!({})).await;
        office
    }

    pub async fn without_rule(backend: Backend) -> Self {
        let world = World::new(backend).await;
        let server = &world.server;
        let service = server.create_client("acme", "orders-api", "service", &[]).await;
        server.create_resource("acme", ORDERS, &["read", "refund"], &[&service.id]).await;
        let desk = server.create_client("acme", "desk", "agent", &[(ORDERS, &["read"])]).await;
        let stranger = server.create_client("acme", "stranger", "agent", &[(ORDERS, &["read"])]).await;
        Self { world, desk, stranger, service }
    }

    /// The desk may act for the issuer's people at orders.
    pub async fn rule(&self, changes: Value) -> Value {
        let rule = json!({
            "actor": {"client": self.desk.id}, "subject": {"issuer": self.world.id}, "to_audience": ORDERS,
            "scopes": [{"scope": "read"}], "mode": "delegation",
        });
        self.world.server.create("/exchange-rules", with(rule, changes)).await
    }

    pub async fn exchange(
        &self,
        client: &TestClient,
        token: &str,
        kind: &str,
        more: &[(&str, &str)],
    ) -> (StatusCode, Value) {
        let kind = if kind.contains(':') { kind.to_owned() } else { format!("{TYPE}{kind}") };
        let mut form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", token),
            ("subject_token_type", kind.as_str()),
        ];
        form.extend_from_slice(more);
        if !more.iter().any(|(name, _)| matches!(*name, "resource" | "audience")) {
            form.push(("resource", ORDERS));
        }
        self.world.server.form("/oauth2/token", client, &form).await
    }

    /// Alice's ID token exchanged by the desk.
    pub async fn acting(&self) -> String {
        self.acting_by(&self.world.id_token(json!({}))).await
    }

    pub async fn acting_by(&self, token: &str) -> String {
        let (status, body) = self.exchange(&self.desk, token, "id_token", &[]).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    /// That a token is refused, and the reason on record.
    pub async fn refusal(&self, token: &str, kind: &str) -> String {
        let (status, body) = self.exchange(&self.desk, token, kind, &[]).await;
        assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_request")), "{body}");
        self.newest("token.refused").await["reason"].as_str().unwrap_or_default().to_owned()
    }

    pub async fn newest(&self, event: &str) -> Value {
        let path = format!("/audit?event={event}&limit=1");
        let (status, found) = self.world.server.admin(Method::GET, &path, None).await;
        assert_eq!(status, StatusCode::OK, "{found}");
        found["items"][0].clone()
    }

    pub async fn active(&self, token: &str) -> bool {
        self.world.server.introspect(&self.service, token).await["active"] == json!(true)
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_becomes_a_token_for_its_subject(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let office = Office::new(backend).await;
    let world = &office.world;
    let signed_in = world.now() - 30;
    let id_token = world.id_token(json!({"auth_time": signed_in}));
    let foreign = world.verify(&id_token).await.unwrap();
    let (status, body) = office.exchange(&office.desk, &id_token, "id_token", &[]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!((&body["token_type"], &body["scope"]), (&json!("Bearer"), &json!("read")));
    assert_eq!(body["issued_token_type"], format!("{TYPE}access_token"));
    let made = claims(body["access_token"].as_str().unwrap());
    assert_eq!(made["sub"], format!("user:{}:alice", world.id));
    assert_eq!((&made["client_id"], &made["aud"]), (&json!(office.desk.id), &json!(ORDERS)));
    assert_eq!(made["act"], json!({"sub": "agent:acme.desk"}));
    assert_eq!((&made["lineage"], &made["lineage_clients"]), (&json!([foreign.digest]), &json!([office.desk.id])));
    assert_eq!((&made["idp"], &made["acr"]), (&json!(world.id), &json!("urn:example:gold")));
    assert_eq!((&made["amr"], &made["auth_time"]), (&json!(["pwd", "otp"]), &json!(signed_in)));
    assert!(made.get("may_act").is_none() && made.get("budget").is_none());
    // Both sides are on record: whose token, by which issuer, and what became of it.
    let record = office.newest("token.issued").await;
    assert_eq!(record["detail"]["federated"], json!({"issuer": world.id, "iss": world.idp.issuer}), "{record}");
    assert_eq!(record["detail"]["subject_token"]["jti"], json!(foreign.digest));
    assert_eq!(record["detail"]["token"]["jti"], made["jti"]);
    // The same ID token again, as long as it lives (RFC 8693 has no single use).
    office.acting_by(&id_token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_allowed_without_a_rule_of_its_own() {
    let office = Office::without_rule(Backend::Sqlite).await;
    let token = office.world.id_token(json!({}));
    assert_eq!(office.refusal(&token, "id_token").await, "not_theirs");
    // Rules for clients and owners are no rules for people.
    for subject in [json!({"owner": "acme"}), json!({"client": office.desk.id}), json!({"client": office.stranger.id})]
    {
        office.rule(json!({"subject": subject})).await;
        assert_eq!(office.refusal(&token, "id_token").await, "not_theirs", "{subject}");
    }
    let bob = json!({"issuer": office.world.id, "subject": "bob"});
    office.rule(json!({"subject": bob})).await;
    assert_eq!(office.refusal(&token, "id_token").await, "not_theirs");
    office.acting_by(&office.world.id_token(json!({"sub": "bob", "jti": "b"}))).await;
    office.rule(json!({})).await;
    office.acting_by(&token).await;
    let (status, body) = office.exchange(&office.stranger, &token, "id_token", &[]).await;
    assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_request")));
    for (more, error) in [
        (&[("resource", "https://elsewhere.example")][..], "invalid_target"),
        (&[("resource", ORDERS), ("scope", "refund")], "invalid_scope"),
        (&[("resource", ORDERS), ("scope", "read refund")], "invalid_scope"),
    ] {
        let (_, body) = office.exchange(&office.desk, &token, "id_token", more).await;
        assert_eq!(body["error"], error, "{more:?} {body}");
    }
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", token.as_str()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
    ];
    let (_, body) = office.world.server.form("/oauth2/token", &office.desk, &form).await;
    assert_eq!(body["error"], "invalid_target", "no target at all: {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_declared_type_must_fit() {
    let office = Office::new(Backend::Sqlite).await;
    let world = &office.world;
    let (id_token, claims) = (world.id_token(json!({})), world.idp.claims(world.now()));
    let access_token = world.key.token("at+jwt", &claims);
    for (token, kind, fine) in [
        (&id_token, "id_token", true),
        (&id_token, "jwt", true),
        (&id_token, "access_token", false),
        (&access_token, "access_token", true),
        (&access_token, "jwt", true),
        (&access_token, "id_token", false),
    ] {
        let (status, body) = office.exchange(&office.desk, token, kind, &[]).await;
        assert_eq!(status.is_success(), fine, "{kind} {body}");
        if !fine {
            assert_eq!(body["error"], "invalid_request", "{kind}");
        }
    }
    assert_eq!(office.refusal(&id_token, "access_token").await, "subject_type");
    // One of ours is never an ID token, and no opaque text is a JWT.
    let own = world.server.token(&office.desk, &[]).await;
    assert_eq!(office.refusal(&own, "id_token").await, "subject_type");
    for kind in ["id_token", "jwt", "access_token"] {
        assert_eq!(office.refusal("opaque", kind).await, "subject_malformed");
    }
    for kind in ["refresh_token", "saml1", "saml2", "id-jag", "txn_token", "urn:example:token", "ID_TOKEN"] {
        assert_eq!(office.refusal(&id_token, kind).await, "unsupported_token_type", "{kind}");
    }
    // Who acts is one of our clients: no foreign token says so.
    let more = [("actor_token", id_token.as_str()), ("actor_token_type", "urn:ietf:params:oauth:token-type:jwt")];
    let (_, body) = office.exchange(&office.desk, &id_token, "id_token", &more).await;
    assert_eq!(body["error"], "invalid_request", "{body}");
    let more = [("actor_token", id_token.as_str()), ("actor_token_type", "urn:ietf:params:oauth:token-type:id_token")];
    let (_, body) = office.exchange(&office.desk, &id_token, "id_token", &more).await;
    assert_eq!(body["error"], "invalid_request", "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_has_its_reason_on_record_and_tells_no_more() {
    let office = Office::new(Backend::Sqlite).await;
    let world = &office.world;
    let now = world.now();
    let mallory = Key::new("k1");
    for (token, reason) in [
        (world.id_token(json!({"iss": "https://unknown.example"})), "subject_issuer_unknown"),
        (mallory.token("JWT", &world.idp.claims(now)), "subject_signature"),
        (world.id_token(json!({"aud": "other"})), "subject_audience"),
        (world.id_token(json!({"aud": null})), "subject_audience"),
        (world.id_token(json!({"aud": ["stipend", "other"]})), "subject_audience"),
        (world.id_token(json!({"exp": now})), "subject_expired"),
        (world.id_token(json!({"exp": now - 61})), "subject_expired"),
        (world.id_token(json!({"nbf": now + 120})), "subject_expired"),
        (world.id_token(json!({"exp": "soon"})), "subject_malformed"),
        (world.id_token(json!({"sub": ""})), "subject_unnamed"),
        (world.id_token(json!({"cnf": {"jwk": {}}})), "subject_malformed"),
    ] {
        assert_eq!(office.refusal(&token, "id_token").await, reason);
    }
    world.patch(json!({"mapping": {"required": {"email_verified": ["true"]}}})).await;
    assert_eq!(office.refusal(&world.id_token(json!({})), "id_token").await, "subject_claims");
    // Which issuers are trusted, and for what, is told to nobody.
    world.patch(json!({"uses": ["client_assertion"], "mapping": {}})).await;
    let (_, use_) = office.exchange(&office.desk, &world.id_token(json!({})), "id_token", &[]).await;
    let elsewhere = world.id_token(json!({"iss": "https://unknown.example"}));
    let (_, unknown) = office.exchange(&office.desk, &elsewhere, "id_token", &[]).await;
    world.server.admin(Method::POST, &format!("/issuers/{}/disable", world.id), None).await;
    let (_, off) = office.exchange(&office.desk, &world.id_token(json!({})), "id_token", &[]).await;
    assert_eq!((&use_, &off), (&unknown, &unknown));
    assert_eq!(unknown["error"], "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_domains_actors_and_permissions_are_not_ours() {
    let office = Office::new(Backend::Sqlite).await;
    let world = &office.world;
    let posing = json!({
        "act": {"sub": "agent:acme.stranger"}, "may_act": {"sub": "agent:acme.stranger"},
        "scope": "read refund admin:write", "client_id": "stipend.admin", "env": "sandbox",
        "lineage": ["t_none"], "idp": "iss_other", "roles": ["platform-admin"], "groups": ["admin"],
        "authorization_details": [{"type": "credential_release", "identifier": "acme.key", "actions": ["release"]}],
        "budget": [{"id": "bl_1", "unit": "USD", "decimals": 6, "amount": 1, "enforce": "as"}],
    });
    let token = world.id_token(posing);
    let made = claims(&office.acting_by(&token).await);
    assert_eq!(made["act"], json!({"sub": "agent:acme.desk"}), "their actor is no part of our chain");
    assert_eq!((&made["idp"], &made["scope"], &made["env"]), (&json!(world.id), &json!("read"), &json!("live")));
    for name in ["may_act", "roles", "groups", "authorization_details", "budget"] {
        assert!(made.get(name).is_none(), "{name}");
    }
    let record = office.newest("token.issued").await;
    assert_eq!(record["detail"]["federated"]["act"], json!({"sub": "agent:acme.stranger"}));
    // Their may_act lets nobody in.
    let (_, body) = office.exchange(&office.stranger, &token, "id_token", &[]).await;
    assert_eq!(body["error"], "invalid_request");
    // And a token that is acted with already is not made to look as if it were not.
    let office = Office::without_rule(Backend::Sqlite).await;
    office.rule(json!({"mode": "impersonation"})).await;
    let made = claims(&office.acting().await);
    assert!(made.get("act").is_none(), "{made}");
    let acted = office.world.id_token(json!({"act": {"sub": "their-agent"}}));
    assert_eq!(office.refusal(&acted, "id_token").await, "not_theirs");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_descends_keeps_its_user_and_ends_with_it(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let office = Office::new(backend).await;
    let (world, server) = (&office.world, &office.world.server);
    server.create_rule(&office.stranger.id, &office.desk.id, ORDERS, &["read"]).await;
    let exp = world.now() + 100;
    let token = world.id_token(json!({"exp": exp}));
    let first = office.acting_by(&token).await;
    let (status, body) = server.exchange(&office.stranger, &first, &[("resource", ORDERS)]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let second = body["access_token"].as_str().unwrap().to_owned();
    let (parent, child) = (claims(&first), claims(&second));
    for name in ["sub", "idp", "acr", "amr", "auth_time"] {
        assert_eq!(child[name], parent[name], "{name}");
    }
    assert_eq!(child["act"], json!({"sub": "agent:acme.stranger", "act": {"sub": "agent:acme.desk"}}));
    assert_eq!(child["lineage"], json!([parent["lineage"][0], parent["jti"]]));
    assert_eq!(child["lineage_clients"], json!([office.desk.id]));
    for one in [&parent, &child] {
        assert_eq!(one["exp"], json!(exp), "no longer than the ID token");
    }
    assert!(office.active(&first).await && office.active(&second).await);
    // By its digest, as an admin has it from the audit or by the token itself.
    let revoke = json!({"kind": "token", "token": token, "reason": "lost laptop", "severity": "high"});
    let made = server.create("/revocations", revoke).await;
    assert_eq!((&made["value"], &made["owner"]), (&parent["lineage"][0], &json!("acme")));
    assert!(!office.active(&first).await && !office.active(&second).await);
    assert_eq!(office.refusal(&token, "id_token").await, "subject_revoked");
    // Others of the same person go on.
    office.acting_by(&world.id_token(json!({"jti": "another"}))).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn revoking_a_subject_or_an_issuer_reaches_all_that_came_of_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let office = Office::new(backend).await;
    let (world, server) = (&office.world, &office.world.server);
    let sub = format!("user:{}:alice", world.id);
    let revoke = |kind: &str, value: &str| json!({"kind": kind, "value": value, "reason": "test", "severity": "high"});
    for (kind, value) in [("subject", sub.as_str()), ("issuer", world.id.as_str())] {
        let (alice, bob) = (world.id_token(json!({})), world.id_token(json!({"sub": "bob", "jti": "b"})));
        let (mine, bobs) = (office.acting_by(&alice).await, office.acting_by(&bob).await);
        let (before, digest) = (world.now(), claims(&mine)["lineage"][0].clone());
        assert!(digest.as_str().unwrap().starts_with("d_"));
        let made = server.create("/revocations", revoke(kind, value)).await;
        assert_eq!(made["owner"], "acme");
        // A foreign token lives for a week at most, and that long it is remembered.
        assert!(made["expires_at"].as_i64().unwrap() >= before + 7 * 86_400, "{made}");
        assert!(!office.active(&mine).await, "{kind}");
        assert_eq!(office.active(&bobs).await, kind == "subject");
        assert_eq!(office.refusal(&alice, "id_token").await, "subject_revoked");
        server.clock.advance(2);
        office.acting_by(&world.id_token(json!({"jti": format!("after-{kind}")}))).await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn switching_an_issuer_off_ends_what_came_of_it(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let office = Office::new(backend).await;
    let (world, server) = (&office.world, &office.world.server);
    let (token, own) = (office.acting().await, server.token(&office.desk, &[]).await);
    let path = |verb: &str| format!("/issuers/{}{verb}", world.id);
    server.admin(Method::POST, &path("/disable"), Some(&json!({"reason": "breach"}))).await;
    assert!(!office.active(&token).await && office.active(&own).await);
    assert_eq!(office.refusal(&world.id_token(json!({})), "id_token").await, "subject_issuer_off");
    let (_, body) = server.exchange(&office.desk, &token, &[]).await;
    assert_eq!(body["error"], "invalid_request", "nor what came of it: {body}");
    server.admin(Method::POST, &path("/enable"), None).await;
    assert!(!office.active(&token).await, "what was ended does not come back");
    server.clock.advance(2);
    let anew = office.acting().await;
    assert!(office.active(&anew).await);
    let (status, _) = server.admin(Method::DELETE, &path(""), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert!(!office.active(&anew).await);
    assert_eq!(office.refusal(&world.id_token(json!({})), "id_token").await, "subject_issuer_unknown");
    // Registered again it is another issuer: the rule was for the one that is gone.
    trust(server, &world.idp.issuer, json!({})).await;
    server.clock.advance(2);
    assert_eq!(office.refusal(&world.id_token(json!({})), "id_token").await, "not_theirs");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_is_switched_off_on_every_node(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let office = Office::new(backend).await;
    let (world, server) = (&office.world, &office.world.server);
    let issuer = server.issuer.clone();
    let mut settings = crate::world::LOCAL.to_vec();
    settings.push(("STIPEND_ISSUER", &issuer));
    let other = stipend::testing::TestServer::start_on(&server.database_url, &settings).await;
    let token = office.acting().await;
    let form = |token: &str| {
        vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange".to_owned()),
            ("subject_token", token.to_owned()),
            ("subject_token_type", format!("{TYPE}id_token")),
            ("resource", ORDERS.to_owned()),
        ]
    };
    let there = async |path: &str, client: &TestClient, form: Vec<(&str, String)>| -> Value {
        let url = format!("http://{}{path}", other.address());
        let call = other.http.post(url).basic_auth(&client.id, Some(&client.secret)).form(&form);
        call.send().await.unwrap().json().await.unwrap()
    };
    let body = there("/oauth2/token", &office.desk, form(&world.id_token(json!({})))).await;
    assert!(body["access_token"].is_string(), "{body}");
    server.admin(Method::POST, &format!("/issuers/{}/disable", world.id), None).await;
    // What commits is exact at once, however old the other node's view.
    let body = there("/oauth2/token", &office.desk, form(&world.id_token(json!({})))).await;
    assert_eq!(body["error"], "invalid_request", "{body}");
    let begun = std::time::Instant::now();
    while there("/oauth2/introspect", &office.service, vec![("token", token.clone())]).await["active"] == json!(true) {
        assert!(begun.elapsed() < std::time::Duration::from_secs(1), "within a second");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_desk_pays_where_its_rule_says_how_much() {
    let office = Office::without_rule(Backend::Sqlite).await;
    let server = &office.world.server;
    server.create("/budgets", json!({"agent": office.desk.id, "unit": "call", "decimals": 0, "amount": 5})).await;
    office.rule(json!({"id": "acme.free"})).await;
    let made = claims(&office.acting().await);
    assert!(made.get("budget").is_none(), "no ceiling, no budget: {made}");
    server.admin(Method::DELETE, "/exchange-rules/acme.free", None).await;
    let ceiling = json!([{"unit": "call", "decimals": 0, "amount": 3}]);
    office.rule(json!({"budget_ceiling": ceiling})).await;
    let token = office.acting().await;
    assert_eq!(claims(&token)["budget"][0]["amount"], 3);
    let hold = |amount: &'static str| {
        let form =
            [("token", token.clone()), ("unit", "call".into()), ("decimals", "0".into()), ("amount", amount.into())];
        let form: Vec<(&str, String)> = form.to_vec();
        let (http, url) = (server.http.clone(), server.url("/budget/charges"));
        let call = http.post(url).basic_auth(&office.service.id, Some(&office.service.secret)).form(&form);
        async move { call.send().await.unwrap().status() }
    };
    assert_eq!(hold("3").await, StatusCode::OK);
    assert_eq!(hold("1").await, StatusCode::FORBIDDEN);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_the_issuer_accepts_or_nobody_is_let_in(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let office = Office::without_rule(backend).await;
    let (world, server) = (&office.world, &office.world.server);
    server.create_owner("globex").await;
    let audience = format!("{}/admin", server.issuer);
    let scopes = ["admin:read", "admin:write"];
    let mut bosses = Vec::new();
    for owner in ["acme", "globex"] {
        let boss = json!({
            "owner": owner, "name": "boss", "kind": "admin", "auth_method": "client_secret_basic",
            "roles": [{"role": "owner-admin", "owner": owner}],
            "access": [{"resource": audience, "scopes": scopes, "default_scopes": scopes}],
        });
        let made = server.create("/agents", boss).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let client = TestClient { id: text(&made["agent"]["id"]), secret: text(&made["client_secret"]) };
        bosses.push(server.token(&client, &[]).await);
    }
    let issuer = json!({
        "owner": "globex", "issuer": "https://globex.example", "audiences": ["stipend"], "uses": ["subject_token"],
        "keys": {"jwks": {"keys": [world.key.jwk()]}},
    });
    let (_, theirs) = server.admin_as(&bosses[1], Method::POST, "/issuers", Some(&issuer)).await;
    let rule = json!({
        "id": "acme.guests", "actor": {"client": office.desk.id}, "subject": {"issuer": theirs["id"]},
        "to_audience": ORDERS, "scopes": [{"scope": "read"}], "mode": "delegation",
    });
    let (status, proposed) = server.admin_as(&bosses[0], Method::POST, "/exchange-rules", Some(&rule)).await;
    assert_eq!(status, StatusCode::CREATED, "{proposed}");
    assert_eq!((&proposed["awaiting"], &proposed["subject_owner"]), (&json!(["globex"]), &json!("globex")));
    let guest = with(world.idp.claims(world.now()), json!({"iss": "https://globex.example", "sub": "gus"}));
    let guest = world.key.token("JWT", &guest);
    assert_eq!(office.refusal(&guest, "id_token").await, "not_theirs");
    // acme can't accept for them, nor see the issuer.
    let (status, _) = server
        .admin_as(&bosses[0], Method::POST, "/exchange-rules/acme.guests/accept", Some(&json!({"owner": "globex"})))
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let path = format!("/issuers/{}", theirs["id"].as_str().unwrap());
    assert_eq!(server.admin_as(&bosses[0], Method::GET, &path, None).await.0, StatusCode::NOT_FOUND);
    let (status, _) = server.admin_as(&bosses[1], Method::POST, "/exchange-rules/acme.guests/accept", None).await;
    assert_eq!(status, StatusCode::OK);
    let first = office.acting_by(&guest).await;
    // What descends needs their word as well, wherever it goes.
    server.create_rule(&office.stranger.id, &office.desk.id, ORDERS, &["read"]).await;
    let (_, body) = server.exchange(&office.stranger, &first, &[]).await;
    assert_eq!(body["error"], "invalid_request", "{body}");
    // Both owners have the record.
    let record = office.newest("token.refused").await;
    assert_eq!((&record["owner_id"], &record["subject_owner_id"]), (&json!("acme"), &json!("globex")));
    let record = office.newest("token.issued").await;
    assert_eq!((&record["owner_id"], &record["subject_owner_id"]), (&json!("acme"), &json!("globex")));
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_what_the_token_endpoint_would() {
    let office = Office::new(Backend::Sqlite).await;
    let (world, server) = (&office.world, &office.world.server);
    let ask = async |question: Value| {
        let base = json!({"actor": office.desk.id, "audience": [ORDERS], "scope": "read"});
        server.admin(Method::POST, "/exchange-rules/explain", Some(&with(base, question))).await
    };
    for question in [
        json!({"federated": {"issuer": world.id, "subject": "alice"}}),
        json!({"subject_token": world.id_token(json!({}))}),
        json!({"subject_token": world.key.token("at+jwt", &with(world.idp.claims(world.now()), json!({"aud": ["stipend", "x"]})))}),
    ] {
        let (status, said) = ask(question.clone()).await;
        assert_eq!((status, &said["allowed"]), (StatusCode::OK, &json!(true)), "{question} {said}");
        assert_eq!(said["granted"]["act"], json!({"sub": "agent:acme.desk"}));
    }
    for (question, reason) in [
        (json!({"federated": {"issuer": world.id, "subject": "alice"}, "actor": office.stranger.id}), "not_theirs"),
        (json!({"subject_token": world.id_token(json!({"aud": "other"}))}), "subject_audience"),
        (json!({"subject_token": world.id_token(json!({"iss": "https://x.example"}))}), "subject_issuer_unknown"),
    ] {
        let (_, said) = ask(question.clone()).await;
        assert_eq!((&said["allowed"], &said["reason"]), (&json!(false), &json!(reason)), "{question}");
    }
    let (status, _) = ask(json!({"federated": {"issuer": "iss_none", "subject": "alice"}})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let both = json!({"federated": {"issuer": world.id, "subject": "a"}, "subject_token": "x"});
    assert_eq!(ask(both).await.0, StatusCode::BAD_REQUEST);
}
