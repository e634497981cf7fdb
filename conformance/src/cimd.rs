//! draft-ietf-oauth-client-id-metadata-document: clients known by a document, and RFC 7591 with
//! keys and certificates in the place of a secret.

use serde_json::{Value, json};

use crate::check::{Miss, Verdict, checks, ensure};
use crate::client::asserted;
use crate::documents::{Agent, Host, Page};
use crate::encode::{nonce, now};
use crate::issuer::{Issuer, granted, refused};

checks! { "client_id_metadata_document";
    "MC2" S "MCP 2026-07-28, authorization" "metadata documents of clients are advertised, and honoured" => honoured;
    "K29" M "client-id-metadata-document 3" "a URL without a path, with dot segments, fragment or user information is no client" => url_form;
    "K29/document" M "client-id-metadata-document 4.1" "client_id in the document is its URL, byte for byte" => own_name;
    "K29/assertion" H "RFC 7523 3" "an assertion by a key that is not in the document is refused" => own_keys;
    "K30" M "client-id-metadata-document 4" "what is not answered with 200 and as JSON is no document, and no redirect is followed" => answers;
    "K30/size" S "client-id-metadata-document 6.6" "a document of more than 5 KB is refused" => size;
    "K30/again" M "client-id-metadata-document 4.4" "an error is not kept: what was mended is found" => mended;
    "K30/private" S "client-id-metadata-document 6.5" "special-use addresses are no clients" => private;
    "K30/members" H "client-id-metadata-document 4" "a document that can be read in two ways is refused" => ambiguous;
    "K31" M "client-id-metadata-document 4.1" "a document with a secret, or a method that needs one, is refused" => secrets;
    "K33/document" M "RFC 6749 4.4" "a document with the method none gets no client_credentials" => public;
}

/// A client whose document is published and should be taken.
async fn published(host: &Host) -> Result<Agent, Miss> {
    let agent = host.agent()?;
    host.publish(&agent.name, Page::json(&agent.document(json!({}))));
    Ok(agent)
}

async fn honoured(issuer: &Issuer) -> Verdict {
    let host = Host::start(issuer).await?;
    let advertised = issuer.meta.get("client_id_metadata_document_supported");
    ensure!(advertised == Some(&json!(true)), "client_id_metadata_document_supported is {advertised:?}");
    let agent = published(&host).await?;
    granted(agent.asks(issuer).await?)?;
    granted(agent.asks(issuer).await?).map_err(|miss| miss.at("again"))?;
    ensure!(host.hits(&agent.name) == 1, "fetched {} times for two requests", host.hits(&agent.name));
    Ok("a token".into())
}

/// The agent must be refused, as a client that nobody knows.
async fn denied(issuer: &Issuer, what: &str, agent: &Agent, client_id: &str) -> Result<(), Miss> {
    let reply = agent.asks_as(issuer, client_id).await.map_err(|miss| miss.at(what))?;
    refused(&reply, &["invalid_client"]).map_err(|miss| miss.at(what))?;
    Ok(())
}

async fn url_form(issuer: &Issuer) -> Verdict {
    let host = Host::start(issuer).await?;
    let agent = host.agent()?;
    let url = agent.url.as_str();
    let base = host.url("");
    let origin = base.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let vectors = [
        ("no path", origin),
        ("a dot segment", format!("{base}./{}", agent.name)),
        ("two dots", format!("{base}x/../{}", agent.name)),
        ("encoded dots", format!("{base}x/%2e%2e/{}", agent.name)),
        ("a fragment", format!("{url}#f")),
        ("an empty fragment", format!("{url}#")),
        ("user information", url.replacen("://", "://user:word@", 1)),
        ("a user", url.replacen("://", "://user@", 1)),
        ("another scheme", url.replacen("http", "ftp", 1)),
    ];
    for (what, client_id) in &vectors {
        // Wherever it would be looked for, the document says what was presented.
        host.publish(&agent.name, Page::json(&agent.document(json!({"client_id": client_id}))));
        denied(issuer, what, &agent, client_id).await?;
    }
    Ok(format!("{} of {}", vectors.len(), vectors.len()))
}

/// Each document in the place of a good one must be refused.
async fn spoilt(issuer: &Issuer, vectors: &[(&str, Value)]) -> Verdict {
    let host = Host::start(issuer).await?;
    for (what, changes) in vectors {
        let agent = host.agent()?;
        host.publish(&agent.name, Page::json(&agent.document(changes.clone())));
        denied(issuer, what, &agent, &agent.url).await?;
    }
    Ok(format!("{} of {}", vectors.len(), vectors.len()))
}

async fn own_name(issuer: &Issuer) -> Verdict {
    let host = Host::start(issuer).await?;
    let agent = host.agent()?;
    let names = [Value::Null, json!(format!("{}/", agent.url)), json!(agent.url.to_uppercase()), json!([agent.url])];
    for name in names {
        host.publish(&agent.name, Page::json(&agent.document(json!({"client_id": name}))));
        denied(issuer, &name.to_string(), &agent, &agent.url).await?;
    }
    Ok("4 of 4".into())
}

async fn own_keys(issuer: &Issuer) -> Verdict {
    let host = Host::start(issuer).await?;
    let (agent, stranger) = (published(&host).await?, host.agent()?);
    denied(issuer, "another key of the same kid", &stranger, &agent.url).await?;
    granted(agent.asks(issuer).await?)?;
    denied(issuer, "afterwards", &stranger, &agent.url).await?;
    Ok("refused".into())
}

async fn answers(issuer: &Issuer) -> Verdict {
    let host = Host::start(issuer).await?;
    let agent = host.agent()?;
    let good = agent.document(json!({}));
    let elsewhere = format!("to-{}", agent.name);
    host.publish(&elsewhere, Page::json(&good));
    let vectors = [
        ("404", Page::of(404, &good)),
        ("201", Page::of(201, &good)),
        ("500", Page::of(500, &good)),
        ("a redirect", Page::redirect(&host.url(&elsewhere))),
        ("HTML", Page::typed("text/html", &good)),
    ];
    for (what, page) in vectors {
        host.publish(&agent.name, page);
        denied(issuer, what, &agent, &agent.url).await?;
    }
    ensure!(host.hits(&elsewhere) == 0, "the redirect was followed");
    Ok("5 of 5".into())
}

async fn size(issuer: &Issuer) -> Verdict {
    spoilt(issuer, &[("6 KB", json!({"padding": "x".repeat(6 * 1024)}))]).await
}

async fn mended(issuer: &Issuer) -> Verdict {
    let host = Host::start(issuer).await?;
    let agent = host.agent()?;
    denied(issuer, "nothing there", &agent, &agent.url).await?;
    host.publish(&agent.name, Page::json(&agent.document(json!({}))));
    granted(agent.asks(issuer).await?)?;
    Ok("a token".into())
}

async fn private(issuer: &Issuer) -> Verdict {
    let host = Host::start(issuer).await?;
    let agent = host.agent()?;
    let addresses = ["10.0.0.1", "169.254.169.254", "[::1]", "[fd00::1]", "0.0.0.0", "192.168.0.1"];
    for address in addresses {
        denied(issuer, address, &agent, &format!("https://{address}/client.json")).await?;
    }
    Ok(format!("{} of {}", addresses.len(), addresses.len()))
}

async fn ambiguous(issuer: &Issuer) -> Verdict {
    let host = Host::start(issuer).await?;
    let agent = host.agent()?;
    let both = json!({"jwks_uri": host.url("keys.json")});
    host.publish("keys.json", Page::json(&json!({"keys": [agent.jwk()]})));
    host.publish(&agent.name, Page::json(&agent.document(both)));
    denied(issuer, "jwks and jwks_uri", &agent, &agent.url).await?;
    Ok("refused".into())
}

async fn secrets(issuer: &Issuer) -> Verdict {
    let method = |name: &str| json!({"token_endpoint_auth_method": name});
    let vectors = [
        ("client_secret", json!({"client_secret": "s"})),
        ("client_secret_expires_at", json!({"client_secret_expires_at": 0})),
        ("client_secret_basic", method("client_secret_basic")),
        ("client_secret_post", method("client_secret_post")),
        ("client_secret_jwt", method("client_secret_jwt")),
    ];
    spoilt(issuer, &vectors).await
}

async fn public(issuer: &Issuer) -> Verdict {
    let host = Host::start(issuer).await?;
    let agent = host.agent()?;
    let document = agent.document(json!({"token_endpoint_auth_method": "none"}));
    host.publish(&agent.name, Page::json(&document));
    denied(issuer, "none, with a signature", &agent, &agent.url).await?;
    let bare = issuer.bare_grant()?.with("client_id", &agent.url).send().await?;
    refused(&bare, &["invalid_client"]).map_err(|miss| miss.at("none"))?;
    Ok("refused".into())
}

/// RFC 7591 without a secret.
pub(crate) mod registered {
    use super::*;
    use crate::registration::plain_with;

    checks! { "registration";
        "K32/keys" S "client-id-metadata-document 6.9" "a client that registers keys is given no https:// URL for an id" => no_url;
        "RG3/uri" H "RFC 7591 2" "keys that a client publishes at its jwks_uri count" => keys_at_a_place;
        "RG3/private" H "RFC 7591 5" "a jwks_uri at a private address is refused" => private_place;
        "RG5/tls" M "RFC 8705 2.1.2" "two names of a certificate are refused" => two_subjects;
    }

    async fn no_url(issuer: &Issuer) -> Verdict {
        let host = Host::start(issuer).await?;
        let agent = host.agent()?;
        let metadata = plain_with(json!({"jwks": {"keys": [agent.jwk()]}}));
        let id = issuer.registered_as(metadata).await?.text("client_id").to_owned();
        ensure!(!id.starts_with("https://"), "{id}");
        Ok(id)
    }

    async fn keys_at_a_place(issuer: &Issuer) -> Verdict {
        let host = Host::start(issuer).await?;
        let agent = host.agent()?;
        let place = format!("keys-{}", agent.name);
        host.publish(&place, Page::json(&json!({"keys": [agent.jwk()]})));
        let client = issuer.registered_as(plain_with(json!({"jwks_uri": host.url(&place)}))).await?;
        ensure!(client.text("jwks_uri") == host.url(&place), "jwks_uri came back as {:?}", client.text("jwks_uri"));
        let (id, issued) = (client.text("client_id"), now());
        let claims = json!({
            "iss": id, "sub": id, "aud": issuer.url(), "jti": nonce(), "iat": issued, "exp": issued + 60,
        });
        let assertion = agent.signer.sign(&agent.signer.header(), &claims);
        granted(asserted(issuer.bare_grant()?, &assertion).send().await?)?;
        Ok("a token".into())
    }

    async fn unregistrable(issuer: &Issuer, more: Value) -> Verdict {
        let reply = issuer.register(&plain_with(more.clone()))?.send().await?;
        let fine = reply.status == 400 && reply.error() == "invalid_client_metadata";
        ensure!(fine, "{more}: {}", reply.brief());
        Ok("400".into())
    }

    async fn private_place(issuer: &Issuer) -> Verdict {
        unregistrable(issuer, json!({"jwks_uri": "https://169.254.169.254/keys"})).await
    }

    async fn two_subjects(issuer: &Issuer) -> Verdict {
        let names = json!({
            "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a.example",
            "tls_client_auth_san_uri": "urn:a",
        });
        unregistrable(issuer, names).await
    }
}
