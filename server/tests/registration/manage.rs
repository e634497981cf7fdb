//! `/oauth2/register/{client_id}` (RFC 7592).

use crate::world::{World, key};
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::json;
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn a_registration_is_read_with_its_own_token_and_no_other(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let (_, token) = world.token(json!({}), json!({})).await;
    let made = world.register(&token, json!({"client_name": "one", "scope": "read"})).await;
    let other = world.register(&token, json!({"client_name": "two"})).await;
    let read = world.manage(Method::GET, &made, None).await;
    assert_eq!((read.status, read.header("cache-control")), (200, "no-store"), "{}", read.body);
    assert!(read.body.get("client_secret").is_none(), "there is only its hash");
    let mut expected = made.body.clone();
    expected.as_object_mut().unwrap().remove("client_secret");
    assert_eq!(read.body, expected);
    let uri = made.text("registration_client_uri");
    let nowhere = world.server.url("/oauth2/register/acme.nobody");
    let unregistered = world.server.url(&format!("/oauth2/register/{}", world.service.id));
    let own = made.text("registration_access_token");
    let tries = [
        (&uri, Some(other.text("registration_access_token"))),
        (&uri, Some(token)),
        (&uri, Some(made.text("client_secret"))),
        (&uri, Some(world.server.admin_token().await)),
        (&uri, Some(String::new())),
        (&nowhere, Some(own.clone())),
        (&unregistered, Some(own)),
        (&uri, None),
    ];
    // Together: what is refused again within a second waits for its end.
    let calls = tries.iter().flat_map(|(uri, bearer)| {
        [Method::GET, Method::PUT, Method::DELETE].map(|method| (*uri, bearer.as_deref(), method))
    });
    let body = json!({"client_id": made.text("client_id")});
    let replies = calls.map(|(uri, bearer, method)| {
        let body = (method == Method::PUT).then_some(&body);
        world.send(method, uri, bearer, body)
    });
    for reply in join_all(replies).await {
        assert_eq!(reply.error(), (401, "invalid_token"), "{reply:?}");
        assert!(reply.header("www-authenticate").starts_with("Bearer realm=\"registration\""));
    }
    assert_eq!(world.manage(Method::GET, &made, None).await.body, expected, "nothing has changed");
    let patch = world.manage(Method::PATCH, &made, Some(&json!({}))).await;
    assert_eq!((patch.status, patch.header("allow")), (405, "GET, PUT, DELETE"));
}

#[rstest]
#[tokio::test]
async fn an_update_replaces_what_was_said_and_the_token(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let said = json!({"client_name": "one", "client_uri": "https://one.example/", "scope": "read"});
    let made = world.registered(said).await;
    let client = made.client();
    assert_eq!(world.get_token(&client, "write").await.0, StatusCode::BAD_REQUEST);
    let changed = world.update(&made, json!({"client_name": "two", "client_uri": null})).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!((&changed.body["client_name"], &changed.body["scope"]), (&json!("two"), &json!("read write")));
    assert!(changed.body.get("client_uri").is_none(), "what is left out is gone");
    assert_eq!(changed.body["client_id_issued_at"], made.body["client_id_issued_at"]);
    // The scope that was left out is the template's again, and the secret is the same.
    assert!(changed.body.get("client_secret").is_none());
    assert_eq!(world.get_token(&client, "write").await.0, StatusCode::OK);
    assert_eq!(world.agent(&client.id).await["purpose"], "two");
    assert_ne!(changed.text("registration_access_token"), made.text("registration_access_token"));
    assert_eq!(world.manage(Method::GET, &made, None).await.error(), (401, "invalid_token"), "the old one is dead");
    assert_eq!(world.manage(Method::GET, &changed, None).await.body, changed.body);
}

#[tokio::test]
async fn an_update_names_its_client_and_sets_nothing_of_the_servers() {
    let world = World::new(Backend::Sqlite).await;
    let made = world.registered(json!({"client_name": "one"})).await;
    let (id, secret) = (made.text("client_id"), made.text("client_secret"));
    let wrong = [
        json!({"client_id": null}),
        json!({"client_id": 1}),
        json!({"client_id": world.service.id}),
        json!({"registration_access_token": made.text("registration_access_token")}),
        json!({"registration_client_uri": made.text("registration_client_uri")}),
        json!({"client_secret_expires_at": 0}),
        json!({"client_id_issued_at": 1}),
        json!({"client_secret": "chosen-by-me"}),
        json!({"client_secret": format!("{secret}x")}),
        json!({"client_secret": 1}),
        json!({"scope": "admin:write"}),
        json!({"grant_types": ["authorization_code"]}),
        json!({"software_statement": "x.y.z"}),
    ];
    for metadata in wrong {
        let reply = world.update(&made, metadata.clone()).await;
        assert_eq!(reply.status, 400, "{metadata}");
        assert!(reply.text("error").starts_with("invalid_"), "{metadata}: {}", reply.body);
    }
    let missing = world.manage(Method::PUT, &made, Some(&json!({"client_name": "two"}))).await;
    assert_eq!(missing.error(), (400, "invalid_client_metadata"));
    assert_eq!(world.manage(Method::GET, &made, None).await.body["client_name"], "one", "nothing has changed");
    let same = world.update(&made, json!({"client_secret": secret})).await;
    assert_eq!(same.status, 200, "the secret that it has may be sent: {}", same.body);
    assert_eq!(world.get_token(&made.client(), "read").await.0, StatusCode::OK);
    assert_eq!(same.text("client_id"), id);
}

#[rstest]
#[tokio::test]
async fn a_change_of_method_takes_the_old_credentials_away(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::new(backend).await;
    let made = world.registered(json!({})).await;
    let client = made.client();
    let (signer, jwks) = key();
    let keyed = world.update(&made, json!({"jwks": jwks, "token_endpoint_auth_method": "private_key_jwt"})).await;
    assert_eq!(keyed.status, 200, "{}", keyed.body);
    assert!(keyed.body.get("client_secret_expires_at").is_none());
    assert_eq!(world.get_token(&client, "read").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(world.sign_in(&client.id, &signer).await.0, StatusCode::OK);
    // The same key again under the same kid, and then another.
    let again = world.update(&keyed, json!({"jwks": jwks})).await;
    assert_eq!(again.status, 200, "{}", again.body);
    assert_eq!(world.sign_in(&client.id, &signer).await.0, StatusCode::OK);
    let (next, jwks) = key();
    let rotated = world.update(&again, json!({"jwks": jwks})).await;
    assert_eq!(world.sign_in(&client.id, &signer).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(world.sign_in(&client.id, &next).await.0, StatusCode::OK);
    let back = world.update(&rotated, json!({})).await;
    assert_ne!(back.text("client_secret"), client.secret, "a new secret, not the old one back");
    assert_eq!(world.sign_in(&client.id, &next).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(world.get_token(&client, "read").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(world.get_token(&back.client(), "read").await.0, StatusCode::OK);
    let agent = world.agent(&client.id).await;
    assert_eq!((agent["keys"].as_array().unwrap().len(), agent["secrets"].as_array().unwrap().len()), (0, 1));
}

#[tokio::test]
async fn a_secret_past_the_middle_of_its_life_is_followed_by_another() {
    let world = World::new(Backend::Sqlite).await;
    let (_, token) = world.token(json!({}), json!({"secret_expires_in_seconds": 1000})).await;
    let made = world.register(&token, json!({})).await;
    // Far from the borders: the clock goes on while this runs.
    world.server.clock.advance(400);
    let early = world.update(&made, json!({})).await;
    assert!(early.body.get("client_secret").is_none(), "{}", early.body);
    world.server.clock.advance(200);
    let due = world.update(&early, json!({})).await;
    let issued = due.body["client_id_issued_at"].as_i64().unwrap();
    let end = due.body["client_secret_expires_at"].as_i64().unwrap();
    assert!((issued + 1600..issued + 1700).contains(&end), "{}", due.body);
    for client in [made.client(), due.client()] {
        assert_eq!(world.get_token(&client, "read").await.0, StatusCode::OK, "both are good");
    }
    world.server.clock.advance(500);
    assert_eq!(world.get_token(&made.client(), "read").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(world.get_token(&due.client(), "read").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_stranger_takes_nobodys_turn() {
    let world = World::new(Backend::Sqlite).await;
    let made = world.registered(json!({})).await;
    let uri = made.text("registration_client_uri");
    let _turn = world.server.app.turns.take(&made.text("client_id")).await.unwrap();
    let guess = format!("rat_{}", "A".repeat(43));
    let stranger = world.send(Method::GET, &uri, Some(&guess), None).await;
    assert_eq!(stranger.error(), (401, "invalid_token"), "it was not made to wait");
    assert_eq!(world.manage(Method::GET, &made, None).await.status, 503, "its own does");
}
