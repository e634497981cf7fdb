//! Hostile JWTs in every place where one is read.

use crate::world::{ORDERS, World, claims, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use reqwest::StatusCode;
use serde_json::{Value, json};
use stipend_schema::Backend;

fn join(header: &Value, payload: &str, signature: &str) -> String {
    format!("{}.{}.{signature}", B64.encode(header.to_string()), B64.encode(payload))
}

/// Tokens that are not ours, made from one that is.
fn hostile(good: &str) -> Vec<(String, String)> {
    let parts: Vec<&str> = good.split('.').collect();
    let (head, body, signature) = (header(good), claims(good), parts[2]);
    let mut list: Vec<(String, String)> = Vec::new();
    let mut add = |what: &str, token: String| list.push((what.to_owned(), token));
    for alg in ["none", "None", "nOnE", "HS256", "RS256", "ES384", "EdDSA", "", "ES256K"] {
        let mut head = head.clone();
        head["alg"] = json!(alg);
        add(alg, join(&head, &body.to_string(), signature));
        add(&format!("{alg} unsigned"), join(&head, &body.to_string(), ""));
    }
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("typ", json!("JWT")),
        ("typ", json!("dpop+jwt")),
        ("kid", json!("../../etc/passwd")),
        ("kid", json!("' OR 1=1 --")),
        ("kid", json!("x".repeat(300))),
        ("kid", json!(1)),
        ("jwk", json!({"kty": "EC"})),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/x")),
    ] {
        let mut head = head.clone();
        head[name] = value;
        add(name, join(&head, &body.to_string(), signature));
    }
    for (name, value) in [
        ("exp", json!(99_999_999_999_i64)),
        ("scope", json!("admin:write")),
        ("sub", json!("agent:acme.nobody")),
        ("aud", json!("https://ledger.example")),
        ("client_id", json!("acme.nobody")),
        ("authorization_details", json!([{"type": "credential_release", "identifier": "a", "actions": ["proxy"]}])),
    ] {
        let mut body = body.clone();
        body[name] = value;
        add(&format!("changed {name}"), join(&head, &body.to_string(), signature));
    }
    let doubled = body.to_string().replacen('{', "{\"sub\":\"agent:acme.refunds\",", 1);
    add("duplicate member", join(&head, &doubled, signature));
    add("five parts", format!("{good}.a.b"));
    add("two parts", format!("{}.{}", parts[0], parts[1]));
    add("padded", format!("{good}="));
    add("spaced", format!(" {good}"));
    add("line end", format!("{good}\n"));
    add("truncated", good[..good.len() - 4].to_owned());
    add("zero signature", format!("{}.{}.{}", parts[0], parts[1], B64.encode([0_u8; 64])));
    add("huge", format!("{}.{}.{}", parts[0], "A".repeat(20_000), parts[2]));
    list
}

#[tokio::test]
async fn no_hostile_token_is_accepted_anywhere() {
    let world = World::new(Backend::Sqlite).await;
    let good = world.subject().await;
    let own = world.server.token(&world.refunds, &[]).await;
    for (what, token) in hostile(&good) {
        let (status, body) = world.server.exchange(&world.refunds, &token, &[]).await;
        assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_request")), "subject: {what}");
        assert_eq!(
            world.server.introspect(&world.service, &token).await,
            json!({"active": false}),
            "introspect: {what}"
        );
        let (status, _) = world.server.form("/oauth2/revoke", &world.planner, &[("token", &token)]).await;
        assert_eq!(status, StatusCode::OK, "revoke: {what}");
        let admin = world.server.admin_as(&token.replace(['\n', ' '], ""), reqwest::Method::GET, "/owners", None).await;
        // A head of that size gets no further than the front door.
        let expected =
            if what == "huge" { StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE } else { StatusCode::UNAUTHORIZED };
        assert_eq!(admin.0, expected, "bearer: {what}");
    }
    for (what, token) in hostile(&own) {
        let form = [("actor_token", token.as_str()), ("actor_token_type", "urn:ietf:params:oauth:token-type:jwt")];
        let (status, body) = world.server.exchange(&world.refunds, &good, &form).await;
        assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_request")), "actor: {what}");
    }
    assert!(world.active(&good).await, "none of them revoked the real one");
}

#[tokio::test]
async fn a_token_of_another_issuer_is_foreign() {
    let (ours, theirs) = (World::new(Backend::Sqlite).await, World::new(Backend::Sqlite).await);
    let foreign = theirs.subject().await;
    assert_eq!(ours.server.introspect(&ours.service, &foreign).await, json!({"active": false}));
    let (status, _) = ours.server.exchange(&ours.refunds, &foreign, &[("resource", ORDERS)]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
