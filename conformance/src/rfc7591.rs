//! RFC 7591: dynamic client registration.

use serde_json::{Value, json};

use crate::check::{Miss, Verdict, checks, ensure};
use crate::encode::b64url;
use crate::issuer::{Issuer, granted};
use crate::jws::Signer;
use crate::registration::{plain, plain_with};

checks! { "registration";
    "RG1" M "RFC 7591 3.2.1" "201, JSON, no-store, with the client_id and all that was registered" => answers_all;
    "RG1/works" H "RFC 7591 3.2.1" "what was registered gets a token" => registered_works;
    "RG2" M "RFC 7591 3.2.1" "with a client_secret comes client_secret_expires_at" => secret_has_an_end;
    "RG3" M "RFC 7591 2" "jwks and jwks_uri together are refused" => two_key_sources;
    "RG4" M "RFC 7591 2" "unknown metadata is ignored" => unknown_ignored;
    "RG5" M "RFC 7591 3.2.2" "wrong metadata: 400 and invalid_client_metadata" => errors;
    "RG5/members" H "RFC 7591 2" "a body that can be read in two ways is refused" => ambiguous_bodies;
    "RG6" H "RFC 7591 3" "nobody registers without a good token" => closed;
    "RG6/bounds" H "RFC 7591 3" "no grants, scopes or methods beyond what the token gives" => bounded;
    "RG1/id" S "draft-ietf-oauth-client-id-metadata-document 6.9" "no client id that is made begins with https://" => no_urls;
    "RG7" M "RFC 7591 3.2.2" "a software statement that nobody vouches for is refused by name" => software_statement;
    "RG6/public" M "RFC 6749 4.4" "a client without a credential does not register for client_credentials" => no_public_clients;
}

async fn answers_all(issuer: &Issuer) -> Verdict {
    let said = json!({"client_uri": "https://client.example/", "software_id": "conformance"});
    let client = issuer.registered_as(plain_with(said.clone())).await?;
    let reply = &client.reply;
    ensure!(reply.is_json() && reply.no_store(), "{} {}", reply.header("content-type"), reply.header("cache-control"));
    for (name, value) in plain_with(said).as_object().into_iter().flatten() {
        ensure!(reply.json.get(name) == Some(value), "{name} came back as {:?}", reply.json.get(name));
    }
    ensure!(!client.text("token_endpoint_auth_method").is_empty(), "the method that the server chose is not said");
    Ok("all members".into())
}

async fn registered_works(issuer: &Issuer) -> Verdict {
    granted(issuer.registered().await?.asks(issuer).await?)?;
    Ok("a token".into())
}

async fn secret_has_an_end(issuer: &Issuer) -> Verdict {
    let client = issuer.registered().await?;
    ensure!(client.reply.text("client_secret").is_some(), "no client_secret for the usual method");
    let end = client.reply.json.get("client_secret_expires_at").and_then(Value::as_i64);
    let issued = client.reply.json.get("client_id_issued_at").and_then(Value::as_i64).unwrap_or_default();
    ensure!(end.is_some_and(|end| end == 0 || end > issued), "client_secret_expires_at {end:?}");
    Ok(format!("{}", end.unwrap_or_default()))
}

async fn refused(issuer: &Issuer, what: &str, metadata: &Value, error: &str) -> Verdict {
    let reply = issuer.register(metadata)?.send().await?;
    ensure!(reply.status == 400 && reply.error() == error, "{what}: {}", reply.brief());
    ensure!(reply.json.get("client_id").is_none(), "{what}: a client all the same");
    Ok(reply.brief())
}

const METADATA: &str = "invalid_client_metadata";

async fn two_key_sources(issuer: &Issuer) -> Verdict {
    let both = json!({
        "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}, "jwks_uri": "https://client.example/jwks",
    });
    refused(issuer, "both", &plain_with(both), METADATA).await
}

async fn unknown_ignored(issuer: &Issuer) -> Verdict {
    let unknown = json!({"x_conformance": {"a": [1, null]}, "client_name#de": "Konformität"});
    let client = issuer.registered_as(plain_with(unknown)).await?;
    ensure!(client.reply.json.get("x_conformance").is_none(), "it came back");
    Ok("ignored".into())
}

async fn errors(issuer: &Issuer) -> Verdict {
    let vectors = [
        ("a name that is no text", json!({"client_name": 7})),
        ("grant_types that is no list", json!({"grant_types": "client_credentials"})),
        ("an unknown method", json!({"token_endpoint_auth_method": "by_looks"})),
        (
            "keys that are none",
            json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "x"}]}}),
        ),
        (
            "a symmetric key",
            json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "oct", "k": "AA", "kid": "1"}]}}),
        ),
    ];
    for (what, more) in &vectors {
        refused(issuer, what, &plain_with(more.clone()), METADATA).await?;
    }
    Ok(format!("{} of {}", vectors.len(), vectors.len()))
}

async fn ambiguous_bodies(issuer: &Issuer) -> Verdict {
    let bodies = ["", "[]", "{", r#"{"client_name":"a","client_name":"b"}"#, r#"{"client_name":"a"} {}"#];
    for body in bodies {
        let reply = issuer.register(&plain())?.raw(body).send().await?;
        ensure!(reply.status == 400, "{body:?}: {}", reply.brief());
    }
    Ok(format!("{} of {}", bodies.len(), bodies.len()))
}

async fn closed(issuer: &Issuer) -> Verdict {
    let own = issuer.registered().await?;
    let anonymous = issuer.anonymous_registration(&plain())?;
    let reply = anonymous.send().await?;
    ensure!(reply.status == 401, "without a token: {}", reply.brief());
    ensure!(reply.header("www-authenticate").starts_with("Bearer"), "no challenge");
    let granted = granted(own.asks(issuer).await?)?;
    let others = [
        ("nonsense", "nonsense"),
        ("an access token", granted.token.as_str()),
        ("a client's registration access token", own.text("registration_access_token")),
    ];
    for (what, token) in others {
        let reply = anonymous.clone().header("authorization", &format!("Bearer {token}")).send().await?;
        ensure!(reply.status == 401 && reply.error() == "invalid_token", "{what}: {}", reply.brief());
    }
    Ok("401".into())
}

async fn bounded(issuer: &Issuer) -> Verdict {
    for (what, more) in [
        ("another grant", json!({"grant_types": ["password"]})),
        ("a scope of nobody", json!({"scope": "stranger:everything"})),
    ] {
        refused(issuer, what, &plain_with(more), METADATA).await?;
    }
    let client = issuer.registered_as(plain_with(json!({"roles": ["admin"], "client_secret": "mine"}))).await?;
    ensure!(client.text("client_secret") != "mine", "the client chose its own secret");
    Ok("refused".into())
}

async fn no_urls(issuer: &Issuer) -> Verdict {
    let id = issuer.registered().await?.text("client_id").to_owned();
    ensure!(!id.starts_with("https://"), "{id}");
    Ok(id)
}

async fn no_public_clients(issuer: &Issuer) -> Verdict {
    refused(issuer, "none", &plain_with(json!({"token_endpoint_auth_method": "none"})), METADATA).await
}

/// RFC 7591 section 2.3: its values would win over all others, so it must be somebody's.
async fn software_statement(issuer: &Issuer) -> Verdict {
    let signer = Signer::stranger(Some("1")).map_err(Miss::Fail)?;
    let claims = json!({"iss": "https://vendor.example", "software_id": "x", "client_name": "from the statement"});
    let signed = signer.sign(&json!({"alg": "ES256", "kid": "1"}), &claims);
    let unsigned = format!("{}.{}.", b64url(br#"{"alg":"none"}"#), b64url(claims.to_string().as_bytes()));
    let mut seen = String::new();
    for (what, statement) in [("a stranger's", signed.as_str()), ("unsigned", &unsigned), ("garbage", "x")] {
        let reply = issuer.register(&plain_with(json!({"software_statement": statement})))?.send().await?;
        let named = matches!(reply.error(), "invalid_software_statement" | "unapproved_software_statement");
        ensure!(reply.status == 400 && named, "{what}: {}", reply.brief());
        seen = reply.brief();
    }
    Ok(seen)
}
