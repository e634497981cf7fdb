//! `POST /oauth2/register` (RFC 7591).

use crate::world::{ORDERS, REGISTER, World, key, with};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn a_client_registers_and_gets_tokens_within_the_template(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let (id, token) = world.token(json!({}), json!({"ttl_seconds": 120})).await;
    let reply = world.register(&token, json!({"client_name": "Refunds Agent"})).await;
    assert_eq!((reply.status, reply.header("cache-control")), (201, "no-store"), "{}", reply.body);
    assert_eq!(reply.header("content-type"), "application/json");
    let client_id = reply.text("client_id");
    assert!(client_id.starts_with("acme.refunds-agent-"), "{client_id}");
    // RFC 7591 section 3.2.1: with a secret, when it ends; and each value that the server set.
    let issued = reply.body["client_id_issued_at"].as_i64().unwrap();
    assert_eq!(reply.body["client_secret_expires_at"], json!(issued + 90 * 86_400));
    assert_eq!(reply.body["token_endpoint_auth_method"], "client_secret_basic");
    let grants = json!(["client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"]);
    assert!(
        grants.as_array().unwrap().iter().all(|grant| reply.body["grant_types"].as_array().unwrap().contains(grant))
    );
    assert_eq!((&reply.body["response_types"], &reply.body["scope"]), (&json!([]), &json!("read write")));
    assert_eq!(reply.body["access"], json!([{"resource": ORDERS, "scopes": ["read", "write"]}]));
    let uri = format!("{}/{client_id}", world.server.url(REGISTER));
    assert_eq!(reply.text("registration_client_uri"), uri);

    let (status, body) = world.get_token(&reply.client(), "read admin:write").await;
    assert_eq!((status, &body["scope"], &body["expires_in"]), (StatusCode::OK, &json!("read"), &json!(120)), "{body}");
    let agent = world.agent(&client_id).await;
    assert_eq!((&agent["kind"], &agent["roles"], &agent["owner"]), (&json!("agent"), &json!([]), &json!("acme")));
    assert_eq!(world.uses(&id).await, 1);
    let records = world.records("event=client.registered").await;
    assert_eq!((&records[0]["client_id"], &records[0]["owner_id"]), (&json!(client_id), &json!("acme")), "{records:?}");
}

#[tokio::test]
async fn all_that_is_registered_is_answered_and_what_is_unknown_is_ignored() {
    let world = World::new(Backend::Sqlite).await;
    let said = json!({
        "client_name": "Planner", "client_uri": "https://planner.example/", "logo_uri": "https://planner.example/logo",
        "tos_uri": "https://planner.example/tos", "policy_uri": "http://planner.example/policy",
        "contacts": ["ops@planner.example"], "software_id": "4NRB1", "software_version": "2.1",
        "scope": "write", "grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_post",
        "dpop_bound_access_tokens": true,
    });
    // Not ours, and nothing of it may have an effect.
    let unknown = json!({
        "redirect_uris": ["https://planner.example/cb"], "roles": [{"role": "platform-admin"}], "kind": "admin",
        "access": [{"resource": "https://other.example", "scopes": ["all"]}], "client_id": "acme.orders-api",
        "client_secret": "chosen-by-me", "client_name#de": "Planer", "x": {"y": [1.5, null]}, "jwks": null,
    });
    let reply = world.registered(with(said.clone(), unknown)).await;
    for (name, value) in said.as_object().unwrap() {
        assert_eq!(&reply.body[name], value, "{name}");
    }
    for name in ["redirect_uris", "roles", "kind", "client_name#de", "x", "jwks"] {
        assert!(reply.body.get(name).is_none(), "{name}");
    }
    assert_eq!(reply.body["access"], json!([{"resource": ORDERS, "scopes": ["read", "write"]}]));
    assert_ne!(reply.text("client_id"), "acme.orders-api");
    assert_ne!(reply.text("client_secret"), "chosen-by-me");
    let agent = world.agent(&reply.text("client_id")).await;
    assert_eq!((&agent["kind"], &agent["roles"]), (&json!("agent"), &json!([])));
    assert_eq!(agent["scope_ceiling"], json!(["write"]));
    assert_eq!(agent["settings"]["dpop_bound_access_tokens"], json!(true));
}

#[rstest]
#[tokio::test]
async fn a_client_with_keys_authenticates_by_them(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let (signer, jwks) = key();
    let reply = world.registered(json!({"jwks": jwks})).await;
    assert_eq!(reply.body["token_endpoint_auth_method"], "private_key_jwt");
    assert!(reply.body.get("client_secret").is_none() && reply.body.get("client_secret_expires_at").is_none());
    assert_eq!(reply.body["jwks"]["keys"][0]["kid"], jwks["keys"][0]["kid"]);
    let id = reply.text("client_id");
    assert!(id.starts_with("acme.client-"), "{id}");
    assert_eq!(world.sign_in(&id, &signer).await.0, StatusCode::OK);
    assert_eq!(world.sign_in(&id, &key().0).await.0, StatusCode::UNAUTHORIZED);
}

#[rstest]
#[tokio::test]
async fn nobody_registers_without_a_good_token(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let url = world.server.url(REGISTER);
    let none = world.send(Method::POST, &url, None, Some(&json!({}))).await;
    assert_eq!((none.status, none.header("www-authenticate")), (401, "Bearer realm=\"registration\""));
    let (revoked_id, revoked) = world.token(json!({}), json!({})).await;
    world.server.create(&format!("/registration-tokens/{revoked_id}/revoke"), json!({"reason": "leaked"})).await;
    let (_, used) = world.token(json!({"max_uses": 1}), json!({})).await;
    let registered = world.register(&used, json!({})).await;
    assert_eq!(registered.status, 201);
    let bad = [
        ("unknown", format!("rit_{}", "A".repeat(43))),
        ("of another kind", registered.text("registration_access_token")),
        ("an access token", world.server.admin_token().await),
        ("a secret", registered.text("client_secret")),
        ("long", format!("rit_{}", "A".repeat(4000))),
        ("revoked", revoked),
        ("used", used),
    ];
    for (what, bearer) in bad {
        let reply = world.register(&bearer, json!({"client_name": "x"})).await;
        assert_eq!(reply.error(), (401, "invalid_token"), "{what}");
        assert_eq!(
            reply.header("www-authenticate"),
            "Bearer realm=\"registration\", error=\"invalid_token\"",
            "{what}"
        );
        assert_eq!(reply.body["error_description"], "the access token is not valid here", "{what}");
    }
    // Late in its life, and after it.
    let (id, short) = world.token(json!({"expires_in_seconds": 600}), json!({})).await;
    world.server.clock.advance(500);
    assert_eq!(world.register(&short, json!({})).await.status, 201);
    world.server.clock.advance(100);
    assert_eq!(world.register(&short, json!({})).await.error(), (401, "invalid_token"));
    assert_eq!(world.uses(&id).await, 1);
    let (_, of_disabled) = world.token(json!({}), json!({})).await;
    world.server.create("/owners/acme/disable", json!({})).await;
    assert_eq!(world.register(&of_disabled, json!({})).await.error(), (401, "invalid_token"));
    let refused = world.records("event=registration.refused").await;
    let reasons: Vec<&str> = refused.iter().filter_map(|record| record["reason"].as_str()).collect();
    for reason in ["no_bearer", "registration_token_unknown", "registration_token_ended"] {
        assert!(reasons.contains(&reason), "{reason} in {reasons:?}");
    }
}

#[tokio::test]
async fn what_is_malformed_or_too_much_is_refused_and_uses_nothing() {
    let world = World::new(Backend::Sqlite).await;
    let (id, token) = world
        .token(
            json!({}),
            json!({"auth_methods": ["private_key_jwt", "client_secret_basic"], "grant_types": ["client_credentials"]}),
        )
        .await;
    let jwks = key().1;
    let two = json!({"keys": [jwks["keys"][0], jwks["keys"][0]]});
    let private = with(jwks["keys"][0].clone(), json!({"d": "AAAA"}));
    let statement = |text: &str| json!({"software_statement": text});
    let signed = world.server.admin_token().await;
    let metadata = "invalid_client_metadata";
    let cases: Vec<(Value, &str)> = vec![
        (json!({"jwks": jwks, "jwks_uri": "https://a.example/jwks"}), metadata),
        (json!({"token_endpoint_auth_method": "private_key_jwt"}), metadata),
        (json!({"token_endpoint_auth_method": "client_secret_basic", "jwks": jwks}), metadata),
        (json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}}), metadata),
        (json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": two}), metadata),
        (json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [private]}}), metadata),
        (json!({"jwks": {"keys": [{"kty": "oct", "k": "AAAA", "kid": "1", "alg": "HS256"}]}}), metadata),
        (json!({"jwks": "not an object"}), metadata),
        (json!({"token_endpoint_auth_method": "none"}), metadata),
        (json!({"token_endpoint_auth_method": "client_secret_jwt"}), metadata),
        (json!({"token_endpoint_auth_method": "client_secret_post"}), metadata),
        (json!({"grant_types": ["authorization_code"]}), metadata),
        (json!({"grant_types": ["client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"]}), metadata),
        (json!({"grant_types": []}), metadata),
        (json!({"grant_types": "client_credentials"}), metadata),
        (json!({"response_types": ["code"]}), metadata),
        (json!({"scope": "read admin:write"}), metadata),
        (json!({"scope": "read  write"}), metadata),
        (json!({"client_name": 7}), metadata),
        (json!({"client_name": "line\nbreak"}), metadata),
        (json!({"client_name": "x".repeat(201)}), metadata),
        (json!({"client_uri": "javascript:alert(1)"}), metadata),
        (json!({"logo_uri": "https://user@host.example/"}), metadata),
        (json!({"contacts": ["a", 1]}), metadata),
        (json!({"contacts": vec!["a"; 9]}), metadata),
        (json!({"dpop_bound_access_tokens": "yes"}), metadata),
        (statement("no JWT"), "invalid_software_statement"),
        (json!({"software_statement": 1}), "invalid_software_statement"),
        (statement(&signed), "unapproved_software_statement"),
    ];
    for (metadata, error) in cases {
        let reply = world.register(&token, metadata.clone()).await;
        assert_eq!(reply.error(), (400, error), "{metadata}: {}", reply.body);
        assert!(reply.body.get("client_id").is_none());
    }
    let raw = [
        ("application/json", "[]"),
        ("application/json", r#"{"scope":"read","scope":"write"}"#),
        ("application/json", "{"),
        ("text/plain", "{}"),
    ];
    for (kind, body) in raw {
        let request = world.server.http.post(world.server.url(REGISTER)).bearer_auth(&token);
        let answer = request.header("content-type", kind).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{body}");
        assert_eq!(answer.json::<Value>().await.unwrap()["error"], "invalid_client_metadata", "{body}");
    }
    let get = world.send(Method::GET, &world.server.url(REGISTER), Some(&token), None).await;
    assert_eq!((get.status, get.header("allow")), (405, "POST"));
    assert_eq!(world.uses(&id).await, 0);
    let (_, agents) = world.server.admin(Method::GET, "/agents?limit=200", None).await;
    assert_eq!(agents["items"].as_array().unwrap().len(), 2, "the admin and the service");
}

#[tokio::test]
async fn metadata_names_the_endpoint_that_works() {
    let world = World::new(Backend::Sqlite).await;
    let url = world.server.url("/.well-known/oauth-authorization-server");
    let metadata = world.send(Method::GET, &url, None, None).await;
    assert_eq!(metadata.text("registration_endpoint"), world.server.url(REGISTER));
}

#[tokio::test]
async fn neither_tokens_nor_secrets_are_in_the_audit_or_the_lists() {
    let world = World::new(Backend::Sqlite).await;
    let (id, token) = world.token(json!({}), json!({})).await;
    let reply = world.register(&token, json!({})).await;
    let updated = world.update(&reply, json!({})).await;
    let secrets = [
        token,
        reply.text("client_secret"),
        reply.text("registration_access_token"),
        updated.text("registration_access_token"),
    ];
    let mut seen = world.records("").await;
    for path in ["/registration-tokens".to_owned(), format!("/registration-tokens/{id}"), "/agents".to_owned()] {
        seen.push(world.server.admin(Method::GET, &path, None).await.1);
    }
    let seen = Value::from(seen).to_string();
    assert!(seen.contains("client.registered") && seen.contains("client.registration_changed"));
    for secret in secrets {
        assert!(!seen.contains(&secret) && !seen.contains(&secret[4..]));
    }
}
