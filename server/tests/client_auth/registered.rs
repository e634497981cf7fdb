//! Clients that register their certificates, or the name in them, by themselves (RFC 7591 with
//! RFC 8705 sections 2.1.2 and 2.2.2).

use crate::authority::{Leaf, dns, params, self_signed};
use crate::world::{ORDERS, World};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

/// A registration token for these methods.
async fn token(world: &World, methods: &[&str]) -> String {
    let access = json!([{"resource": ORDERS, "scopes": ["read"], "default_scopes": ["read"]}]);
    let template = json!({"access": access, "auth_methods": methods});
    let body = json!({"owner": "acme", "name": "ci", "max_uses": 20, "template": template});
    let made = world.server.create("/registration-tokens", body).await;
    made["initial_access_token"].as_str().unwrap().to_owned()
}

async fn register(world: &World, token: &str, metadata: &Value) -> (StatusCode, Value) {
    let request = world.server.http.post(world.server.url("/oauth2/register"));
    let answer = request.bearer_auth(token).json(metadata).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

async fn update(world: &World, of: &Value, metadata: Value) -> (StatusCode, Value) {
    let mut metadata = metadata;
    metadata["client_id"] = of["client_id"].clone();
    let request = world.server.http.request(Method::PUT, of["registration_client_uri"].as_str().unwrap());
    let bearer = of["registration_access_token"].as_str().unwrap();
    let answer = request.bearer_auth(bearer).json(&metadata).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

fn jwks(leaves: &[&Leaf]) -> Value {
    let keys: Vec<Value> = leaves.iter().enumerate().map(|(at, leaf)| leaf.jwk(&format!("k{at}"))).collect();
    json!({ "keys": keys })
}

#[rstest]
#[tokio::test]
async fn a_client_registers_the_name_in_its_certificate(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::tls(backend).await;
    let token = token(&world, &["tls_client_auth", "private_key_jwt"]).await;
    let named = |name: &str| {
        let mut params = params("agent");
        params.subject_alt_names = vec![dns(name)];
        world.authority.issue(&params)
    };
    let metadata =
        json!({"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a.acme.example"});
    let (status, made) = register(&world, &token, &metadata).await;
    assert_eq!((status, &made["tls_client_auth_san_dns"]), (StatusCode::CREATED, &json!("a.acme.example")), "{made}");
    assert!(made.get("client_secret").is_none() && made.get("jwks").is_none(), "{made}");
    let id = made["client_id"].as_str().unwrap();
    let (a, b) = (named("a.acme.example"), named("b.acme.example"));
    assert!(world.is_let_in(&a, id).await && !world.is_let_in(&b, id).await);
    // RFC 7592: another name takes the place of the first.
    let (status, moved) = update(&world, &made, json!({"tls_client_auth_san_dns": "b.acme.example"})).await;
    assert_eq!((status, &moved["token_endpoint_auth_method"]), (StatusCode::OK, &json!("tls_client_auth")), "{moved}");
    assert!(world.is_let_in(&b, id).await && !world.is_let_in(&a, id).await);
    // Of another kind, so that the first is gone.
    let dn = json!({"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": r"CN=agent,O=Acme\, Inc."});
    let (status, moved) = update(&world, &moved, dn).await;
    assert_eq!((status, moved.get("tls_client_auth_san_dns")), (StatusCode::OK, None), "{moved}");
    assert!(world.is_let_in(&a, id).await && world.is_let_in(&b, id).await, "both are that subject");
    for bad in
        [json!({"tls_client_auth_san_dns": "*.example"}), json!({"token_endpoint_auth_method": "tls_client_auth"})]
    {
        let (status, body) = update(&world, &moved, bad).await;
        assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_client_metadata")));
    }
}

#[tokio::test]
async fn the_name_must_be_exactly_one_and_well_formed() {
    let world = World::tls(Backend::Sqlite).await;
    let token = token(&world, &["tls_client_auth"]).await;
    let bad = [
        json!({}),
        json!({"tls_client_auth_san_dns": "a.example", "tls_client_auth_san_ip": "192.0.2.1"}),
        json!({"tls_client_auth_subject_dn": "CN=a", "tls_client_auth_san_email": "a@a.example"}),
        json!({"tls_client_auth_san_dns": "*.example"}),
        json!({"tls_client_auth_san_ip": "300.0.0.1"}),
        json!({"tls_client_auth_san_uri": "no uri"}),
        json!({"tls_client_auth_san_email": "nobody"}),
        json!({"tls_client_auth_subject_dn": "nonsense"}),
        json!({"tls_client_auth_san_dns": 7}),
        json!({"tls_client_auth_san_dns": "a.example", "jwks": {"keys": []}}),
        json!({"tls_client_auth_san_dns": "a.example", "jwks_uri": "https://a.example/jwks"}),
    ];
    for mut metadata in bad {
        metadata["token_endpoint_auth_method"] = json!("tls_client_auth");
        let (status, body) = register(&world, &token, &metadata).await;
        assert_eq!(
            (status, &body["error"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_client_metadata")),
            "{metadata}"
        );
    }
}

#[rstest]
#[tokio::test]
async fn a_client_registers_its_certificates(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::tls(backend).await;
    let token = token(&world, &["self_signed_tls_client_auth"]).await;
    let (one, two) = (self_signed(&params("agent")), self_signed(&params("agent")));
    let (status, made) = register(&world, &token, &json!({"jwks": jwks(&[&one])})).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(made["token_endpoint_auth_method"], "self_signed_tls_client_auth", "the one method there is");
    assert_eq!(made["jwks"]["keys"][0]["x5c"], json!([one.base64()]));
    let id = made["client_id"].as_str().unwrap();
    assert!(world.is_let_in(&one, id).await && !world.is_let_in(&two, id).await);
    let (status, moved) = update(&world, &made, json!({"jwks": jwks(&[&two])})).await;
    assert_eq!(status, StatusCode::OK, "{moved}");
    assert!(world.is_let_in(&two, id).await && !world.is_let_in(&one, id).await);
    let mut bare = jwks(&[&one]);
    bare["keys"][0].as_object_mut().unwrap().remove("x5c");
    let mut other = jwks(&[&one]);
    other["keys"][0]["x5c"] = json!([two.base64()]);
    let bad = [
        json!({}),
        json!({"jwks": {"keys": []}}),
        json!({"jwks": bare}),
        json!({"jwks": other}),
        json!({"jwks_uri": "https://keys.example/jwks"}),
        json!({"jwks": jwks(&[&one]), "tls_client_auth_san_dns": "a.example"}),
    ];
    for metadata in bad {
        let (status, body) = register(&world, &token, &metadata).await;
        assert_eq!(
            (status, &body["error"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_client_metadata")),
            "{metadata}"
        );
    }
}

#[tokio::test]
async fn a_method_that_the_template_does_not_name_is_not_to_be_had() {
    let world = World::tls(Backend::Sqlite).await;
    let token = token(&world, &["private_key_jwt"]).await;
    let leaf = self_signed(&params("agent"));
    let bad = [
        json!({"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a.example"}),
        json!({"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": jwks(&[&leaf])}),
        json!({"tls_client_auth_san_dns": "a.example"}),
    ];
    for metadata in bad {
        let (status, body) = register(&world, &token, &metadata).await;
        assert_eq!(
            (status, &body["error"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_client_metadata")),
            "{metadata}"
        );
    }
}
