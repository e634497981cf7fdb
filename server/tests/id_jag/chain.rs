//! Identity across two domains (draft-ietf-oauth-identity-chaining): two servers of this kind,
//! of which one accepts the grants of the other.

use crate::foreign::{FILES, GRANT, LOCAL};
use crate::world::{ID_JAG, error, parts};
use reqwest::StatusCode;
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::{TestClient, TestServer};
use stipend_schema::Backend;

const ORDERS: &str = "https://orders.example";

/// Domain A issues, domain B accepts; an agent has a client in each.
struct Domains {
    a: TestServer,
    b: TestServer,
    planner: TestClient,
    at_a: TestClient,
    at_b: TestClient,
    /// A's id at B.
    issuer: String,
}

impl Domains {
    async fn new(backend: Backend) -> Self {
        let (a, b) = (TestServer::start(backend).await, TestServer::start_with(backend, LOCAL).await);
        for server in [&a, &b] {
            server.create_owner("acme").await;
        }
        let at_b = b.create_client("acme", "visitor", "agent", &[]).await;
        b.create_resource("acme", FILES, &["read", "write"], &[]).await;
        let trusted =
            json!({"owner": "acme", "issuer": a.issuer, "keys": "discovery", "audiences": [], "uses": ["id_jag"]});
        let issuer = b.create("/issuers", trusted).await["id"].as_str().unwrap().to_owned();
        let rule = json!({
            "actor": {"client": at_b.id}, "subject": {"issuer": issuer}, "to_audience": FILES,
            "scopes": [{"scope": "read"}], "mode": "delegation", "max_ttl_seconds": 120,
        });
        b.create("/exchange-rules", rule).await;

        a.create_resource("acme", ORDERS, &["read", "write"], &[]).await;
        a.create_resource("acme", &b.issuer, &["read", "write"], &[]).await;
        let planner = a.create_client("acme", "planner", "agent", &[(ORDERS, &["read", "write"])]).await;
        let at_a = a.create_client("acme", "courier", "agent", &[]).await;
        let line = json!({"agent": planner.id, "unit": "USD", "decimals": 6, "amount": 1_000_000});
        a.create("/budgets", line).await;
        let rule = json!({
            "actor": {"client": at_a.id}, "subject": {"client": planner.id}, "to_audience": b.issuer,
            "scopes": [{"scope": "read"}, {"scope": "write"}], "mode": "delegation",
            "id_jag": {"issuer": b.issuer, "client_id": at_b.id, "resources": [FILES]},
        });
        a.create("/exchange-rules", rule).await;
        Self { a, b, planner, at_a, at_b, issuer }
    }

    /// Leg one, at A.
    async fn grant(&self, subject: &str) -> String {
        let form = [("requested_token_type", ID_JAG), ("audience", self.b.issuer.as_str()), ("resource", FILES)];
        let (status, body) = self.a.exchange(&self.at_a, subject, &form).await;
        assert_eq!((status, &body["token_type"]), (StatusCode::OK, &json!("N_A")), "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    /// Leg two, at B.
    async fn present(&self, grant: &str) -> (StatusCode, Value) {
        let form = [("grant_type", GRANT), ("assertion", grant)];
        self.b.form("/oauth2/token", &self.at_b, &form).await
    }
}

#[rstest]
#[tokio::test]
async fn who_is_meant_crosses_and_what_may_be_spent_does_not(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let domains = Domains::new(backend).await;
    let budget = r#"[{"type":"budget","unit":"USD","decimals":6,"amount":500000}]"#;
    let subject = domains.a.token(&domains.planner, &[("authorization_details", budget)]).await;
    let grant = domains.grant(&subject).await;
    let (status, body) = domains.present(&grant).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let token = parts(body["access_token"].as_str().unwrap()).1;
    assert_eq!(token["iss"], domains.b.issuer);
    assert_eq!(token["sub"], format!("user:{}:agent:acme.planner", domains.issuer), "nobody of B's own");
    assert_eq!((&token["aud"], &token["scope"]), (&json!(FILES), &json!("read")), "B's rule has less than A's");
    assert_eq!(token["act"], json!({"sub": format!("agent:{}", domains.at_b.id)}), "A's actors stay A's");
    assert!(token["exp"].as_i64() <= parts(&grant).1["exp"].as_i64());
    assert!(token.get("budget").is_none() && body.get("authorization_details").is_none(), "{body}");
    let details =
        [("authorization_details", budget), ("grant_type", GRANT), ("assertion", &domains.grant(&subject).await)];
    let (status, body) = domains.b.form("/oauth2/token", &domains.at_b, &details).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_authorization_details"), "{body}");
}

#[tokio::test]
async fn neither_server_takes_what_it_issued_itself_or_what_was_for_the_other() {
    let domains = Domains::new(Backend::Sqlite).await;
    let subject = domains.a.token(&domains.planner, &[]).await;
    let grant = domains.grant(&subject).await;
    let form = [("grant_type", GRANT), ("assertion", grant.as_str())];
    let (status, body) = domains.a.form("/oauth2/token", &domains.at_a, &form).await;
    assert_eq!((status, error(&body)), (StatusCode::BAD_REQUEST, "invalid_grant"), "A's own, at A: {body}");
    // A's access tokens and B's grants mean nothing at B.
    let form = [("grant_type", GRANT), ("assertion", subject.as_str())];
    let (_, body) = domains.b.form("/oauth2/token", &domains.at_b, &form).await;
    assert_eq!(error(&body), "invalid_grant", "an access token of A: {body}");
    assert_eq!(domains.present(&grant).await.0, StatusCode::OK, "and it is still good where it was meant for");
    assert_eq!(error(&domains.present(&grant).await.1), "invalid_grant", "once");
}

#[tokio::test]
async fn switching_the_other_domain_off_ends_all_that_came_from_it() {
    let domains = Domains::new(Backend::Sqlite).await;
    let subject = domains.a.token(&domains.planner, &[]).await;
    let (_, body) = domains.present(&domains.grant(&subject).await).await;
    let token = body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(domains.b.introspect(&domains.at_b, &token).await["active"], json!(true));
    let waiting = domains.grant(&subject).await;
    domains.b.create(&format!("/issuers/{}/disable", domains.issuer), json!({"reason": "incident"})).await;
    assert_eq!(domains.b.introspect(&domains.at_b, &token).await, json!({"active": false}));
    assert_eq!(error(&domains.present(&waiting).await.1), "invalid_grant");
    assert_eq!(domains.a.introspect(&domains.planner, &subject).await["active"], json!(true), "A goes on");
}
