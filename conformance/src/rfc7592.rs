//! RFC 7592: management of a client by whoever registered it.

use serde_json::{Value, json};

use crate::check::{Verdict, checks, ensure};
use crate::issuer::{Issuer, granted};

checks! { "registration";
    "RG8" M "RFC 7592 2.1" "GET answers the registration, for its own token alone" => read;
    "RG8/update" M "RFC 7592 2.2" "PUT replaces it: what is left out is gone" => replace;
    "RG8/client_id" M "RFC 7592 2.2" "an update must carry the client's own client_id" => names_its_client;
    "RG8/server" M "RFC 7592 2.2" "an update must not set what is the server's" => server_set;
    "RG8/secret" M "RFC 7592 2.2" "a client can't choose its secret" => chosen_secret;
    "RG9" M "RFC 7592 2.3" "DELETE: 204, and the client is unknown" => delete;
    "RG9/tokens" S "RFC 7592 2.3" "its tokens die with it" => delete_ends_tokens;
    "RG9/methods" M "RFC 7592 2" "a method that is not supported: 405" => methods;
}

async fn read(issuer: &Issuer) -> Verdict {
    let client = issuer.registered().await?;
    let other = issuer.registered().await?;
    let reply = client.manage(issuer, "GET").send().await?;
    ensure!(reply.status == 200 && reply.is_json() && reply.no_store(), "{}", reply.brief());
    ensure!(reply.text("client_id") == Some(client.text("client_id")), "another client");
    ensure!(reply.text("registration_client_uri") == Some(client.text("registration_client_uri")), "another address");
    ensure!(reply.text("registration_access_token").is_some(), "no registration_access_token");
    for (what, token) in [("another client's token", other.text("registration_access_token")), ("nonsense", "nonsense")]
    {
        let reply = client.manage_with(issuer, "GET", token).send().await?;
        ensure!(reply.status == 401, "{what}: {}", reply.brief());
    }
    Ok("200, and 401 for others".into())
}

async fn replace(issuer: &Issuer) -> Verdict {
    let mut client = issuer.registered_as(crate::registration::plain_with(json!({"software_id": "one"}))).await?;
    let reply = client.update(issuer, json!({"client_name": "two"})).send().await?;
    ensure!(reply.status == 200, "{}", reply.brief());
    ensure!(reply.text("client_name") == Some("two") && reply.json.get("software_id").is_none(), "{}", reply.json);
    let rotated =
        reply.text("registration_access_token").is_some_and(|token| token != client.text("registration_access_token"));
    let old = client.manage(issuer, "GET").send().await?;
    ensure!(!rotated || old.status == 401, "a new token, and the old one still works: {}", old.brief());
    client.reply = reply;
    let after = client.manage(issuer, "GET").send().await?;
    ensure!(after.status == 200 && after.text("client_name") == Some("two"), "{}", after.brief());
    Ok(if rotated { "replaced, with a new token".into() } else { "replaced".into() })
}

/// Updates that must be refused, each on a client that is as it was afterwards.
async fn refused(issuer: &Issuer, updates: &[Value]) -> Verdict {
    let client = issuer.registered().await?;
    for update in updates {
        let reply = client.update(issuer, update.clone()).send().await?;
        ensure!(reply.status == 400, "{update}: {}", reply.brief());
    }
    let after = client.manage(issuer, "GET").send().await?;
    ensure!(after.status == 200 && after.text("client_name") == client.reply.text("client_name"), "{}", after.brief());
    Ok(format!("{} of {}", updates.len(), updates.len()))
}

async fn names_its_client(issuer: &Issuer) -> Verdict {
    let other = issuer.registered().await?;
    let updates = [json!({"client_id": null}), json!({"client_id": other.text("client_id")}), json!({"client_id": 1})];
    refused(issuer, &updates).await
}

async fn server_set(issuer: &Issuer) -> Verdict {
    let updates = [
        json!({"registration_access_token": "mine"}),
        json!({"registration_client_uri": "https://client.example/"}),
        json!({"client_secret_expires_at": 0}),
        json!({"client_id_issued_at": 0}),
    ];
    refused(issuer, &updates).await
}

async fn chosen_secret(issuer: &Issuer) -> Verdict {
    refused(issuer, &[json!({"client_secret": "chosen-by-the-client"})]).await
}

async fn delete(issuer: &Issuer) -> Verdict {
    let client = issuer.registered().await?;
    let reply = client.manage(issuer, "DELETE").send().await?;
    ensure!(reply.status == 204, "{}", reply.brief());
    for method in ["GET", "DELETE"] {
        let reply = client.manage(issuer, method).send().await?;
        ensure!(reply.status == 401, "{method} afterwards: {}", reply.brief());
    }
    let reply = client.asks(issuer).await?;
    ensure!(reply.error() == "invalid_client", "it still gets tokens: {}", reply.brief());
    Ok("204, then 401".into())
}

async fn delete_ends_tokens(issuer: &Issuer) -> Verdict {
    let client = issuer.registered().await?;
    let token = granted(client.asks(issuer).await?)?.token;
    ensure!(issuer.active(&token).await?, "a fresh token is inactive");
    client.manage(issuer, "DELETE").send().await?;
    ensure!(!issuer.active(&token).await?, "still active");
    Ok("inactive".into())
}

async fn methods(issuer: &Issuer) -> Verdict {
    let client = issuer.registered().await?;
    let reply = client.manage(issuer, "PATCH").send().await?;
    ensure!(reply.status == 405, "{}", reply.brief());
    Ok(format!("405, Allow: {}", reply.header("allow")))
}
