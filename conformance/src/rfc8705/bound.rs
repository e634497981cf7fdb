//! RFC 8705 section 3: tokens bound to a certificate.

use serde_json::{Value, json};

use crate::certificate::{Leaf, params, renewed, self_signed};
use crate::check::{Miss, Verdict, checks, ensure, skip};
use crate::encode::b64;
use crate::http::Request;
use crate::issuer::{Issuer, granted, is_active, refused};
use crate::jws::claims_of;
use crate::profile::Protected;
use crate::protected::{challenged, let_in};

checks! { "mtls";
    "MT1" S "RFC 8705 3.1" "cnf names the certificate by its SHA-256" => names_the_certificate;
    "MT1/introspection" M "RFC 8705 3.2" "introspection names it too" => introspected;
    "MT1/required" H "RFC 8705 3.4" "a client registered for bound tokens gets none without a certificate" => required;
    "MT2" M "RFC 8705 3" "at a resource: no certificate or another is 401 invalid_token" => at_a_resource;
    "MT3" M "RFC 9700 4.13" "a certificate in a header of anybody's is none" => in_a_header;
    "MT4" M "RFC 8705 3.3" "metadata says so, and where such clients go" => metadata;
    "MT5" M "RFC 8705 3.1" "a renewed certificate of the same key is another" => renewal;
    "TX31/certificate" S "RFC 8705 3" "an exchange keeps the certificate" => exchange;
}

fn client(issuer: &Issuer) -> Result<&str, Miss> {
    match &issuer.certificates()?.bound_client {
        Some(client) => Ok(client),
        None => skip("the profile has no certificates.bound_client"),
    }
}

fn leaf() -> Result<Leaf, Miss> {
    self_signed(&params("conformance", Vec::new()))
}

fn over(issuer: &Issuer, request: Request, leaf: &Leaf) -> Result<Request, Miss> {
    Ok(request.through(&issuer.showing(leaf)?))
}

async fn token(issuer: &Issuer, leaf: &Leaf) -> Result<String, Miss> {
    let request = issuer.grant(client(issuer)?)?.to(issuer.mtls_endpoint("token_endpoint")?);
    Ok(granted(over(issuer, request, leaf)?.send().await?)?.token)
}

fn thumbprint(claims: &Value) -> Option<&Value> {
    claims.get("cnf")?.get("x5t#S256")
}

async fn names_the_certificate(issuer: &Issuer) -> Verdict {
    let leaf = leaf()?;
    let token = token(issuer, &leaf).await?;
    let Some(claims) = claims_of(&token) else { return skip("access tokens of this issuer are opaque") };
    ensure!(thumbprint(&claims) == Some(&json!(leaf.thumbprint())), "cnf {:?}", claims.get("cnf"));
    Ok(leaf.thumbprint())
}

async fn introspected(issuer: &Issuer) -> Verdict {
    let leaf = leaf()?;
    let token = token(issuer, &leaf).await?;
    let reply = issuer.introspect(&token)?.send().await?;
    ensure!(is_active(&reply)?, "inactive");
    ensure!(thumbprint(&reply.json) == Some(&json!(leaf.thumbprint())), "cnf {:?}", reply.json.get("cnf"));
    Ok("x5t#S256".into())
}

async fn required(issuer: &Issuer) -> Verdict {
    token(issuer, &leaf()?).await?;
    refused(&issuer.grant(client(issuer)?)?.send().await?, &["invalid_request", "invalid_client"])
}

/// A token for an endpoint, bound to the certificate, where the client may have one.
async fn token_at(issuer: &Issuer, place: &Protected, leaf: &Leaf) -> Result<String, Miss> {
    let request = issuer.grant_at(place, client(issuer)?, &place.scope)?;
    let reply = over(issuer, request, leaf)?.send().await?;
    if matches!(reply.error(), "invalid_target" | "invalid_scope") {
        return skip("certificates.bound_client may have no tokens for it");
    }
    Ok(granted(reply)?.token)
}

async fn at_a_resource(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let (own, other) = (leaf()?, leaf()?);
            let token = token_at(issuer, place, &own).await?;
            let call = issuer.call_with(place, "Bearer", &token);
            let_in(&over(issuer, call.clone(), &own)?.send().await?)?;
            challenged(&call.send().await?, 401, "Bearer", &["invalid_token"]).map_err(|miss| miss.at("none"))?;
            let reply = over(issuer, call, &other)?.send().await?;
            challenged(&reply, 401, "Bearer", &["invalid_token"]).map_err(|miss| miss.at("another"))
        })
        .await
}

async fn in_a_header(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let own = leaf()?;
            let token = token_at(issuer, place, &own).await?;
            let call = issuer.call_with(place, "Bearer", &token);
            let_in(&over(issuer, call.clone(), &own)?.send().await?)?;
            let der = b64(own.der());
            for (header, value) in [
                ("client-cert", format!(":{der}:")),
                ("x-client-cert", der.clone()),
                ("x-ssl-client-cert", der.clone()),
            ] {
                let reply = call.clone().header(header, &value).send().await?;
                challenged(&reply, 401, "Bearer", &["invalid_token"]).map_err(|miss| miss.at(header))?;
            }
            Ok("three headers not believed".into())
        })
        .await
}

async fn metadata(issuer: &Issuer) -> Verdict {
    client(issuer)?;
    let said = issuer.meta.get("tls_client_certificate_bound_access_tokens");
    ensure!(said == Some(&json!(true)), "tls_client_certificate_bound_access_tokens {said:?}");
    let aliases = issuer.meta.get("mtls_endpoint_aliases").and_then(Value::as_object);
    for (name, url) in aliases.into_iter().flatten() {
        ensure!(url.as_str().is_some_and(|url| url.starts_with("https://")), "{name} {url}");
        ensure!(issuer.meta.get(name).is_some(), "{name} stands for nothing");
    }
    Ok(format!("true, {} aliases", aliases.map_or(0, serde_json::Map::len)))
}

async fn renewal(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let own = leaf()?;
            let renewed = renewed(&own, &params("conformance", Vec::new()))?;
            ensure!(renewed.thumbprint() != own.thumbprint(), "the runner made the same certificate again");
            let token = token_at(issuer, place, &own).await?;
            let call = issuer.call_with(place, "Bearer", &token);
            let_in(&over(issuer, call.clone(), &own)?.send().await?)?;
            let reply = over(issuer, call, &renewed)?.send().await?;
            challenged(&reply, 401, "Bearer", &["invalid_token"])
        })
        .await
}

async fn exchange(issuer: &Issuer) -> Verdict {
    let (own, other) = (leaf()?, leaf()?);
    let subject = token(issuer, &own).await?;
    let uri = issuer.resource("a")?.uri.clone();
    let request = issuer.exchange_as(client(issuer)?, &subject)?;
    let request = request.set("audience", &uri).set("scope", issuer.scope_of("a")?);
    refused(&request.send().await?, &["invalid_request"]).map_err(|miss| miss.at("without it"))?;
    let reply = over(issuer, request.clone(), &other)?.send().await?;
    refused(&reply, &["invalid_request"]).map_err(|miss| miss.at("with another"))?;
    let child = granted(over(issuer, request, &own)?.send().await?)?;
    let claims = issuer.child_claims(&child).await?;
    ensure!(thumbprint(&claims) == Some(&json!(own.thumbprint())), "cnf {:?}", claims.get("cnf"));
    Ok("kept".into())
}
