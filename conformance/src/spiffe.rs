//! draft-ietf-oauth-spiffe-client-auth: workloads that authenticate by their SVIDs. The runner
//! plays the trust domain.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose};
use serde_json::{Value, json};

use crate::certificate::{Signer as Certifier, expired, name, params, self_signed};
use crate::check::{Miss, Verdict, checks, ensure, skip};
use crate::encode::{nonce, now};
use crate::http::Reply;
use crate::idp::{signer, with};
use crate::issuer::{CLIENT_CREDENTIALS, Issuer, granted, refused};
use crate::jws::{Signer, set};
use crate::profile::Spiffe;

checks! { "spiffe";
    "K23" M "spiffe-client-auth 3.1" "a JWT-SVID authenticates its workload" => jwt_svid;
    "K23/claims" M "spiffe-client-auth 3.1" "sub, aud and exp are required and checked" => jwt_claims;
    "K23/keys" M "spiffe-client-auth 5" "signed by the bundle of its trust domain" => jwt_keys;
    "K23/type" M "spiffe-client-auth 3.1" "its assertion type is its own" => jwt_type;
    "K24" M "spiffe-client-auth 3.2" "an X.509-SVID authenticates the workload in its URI name" => x509_svid;
    "K24/names" M "spiffe-client-auth 3.2" "exactly one URI name, and the registered one" => x509_names;
    "K24/roots" M "spiffe-client-auth 5.2.3" "by the trust domain's authorities and no others" => x509_roots;
    "K25" M "spiffe-client-auth 5" "the bundle of one domain never verifies an id of another" => other_domain;
}

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";
const INVALID: &[&str] = &["invalid_client"];

fn section(issuer: &Issuer) -> Result<&Spiffe, Miss> {
    match &issuer.profile.spiffe {
        Some(section) => Ok(section),
        None => skip("the profile has no [spiffe]"),
    }
}

fn jwt_client(issuer: &Issuer) -> Result<&str, Miss> {
    match &section(issuer)?.jwt_client_id {
        Some(id) => Ok(id),
        None => skip("the profile has no spiffe.jwt_client_id"),
    }
}

fn claims(issuer: &Issuer) -> Result<Value, Miss> {
    let id = &section(issuer)?.spiffe_id;
    Ok(json!({"sub": id, "aud": [issuer.url()], "iat": now(), "exp": now() + 120, "jti": nonce()}))
}

fn signed(signer: &Signer, claims: &Value) -> String {
    let mut header = json!({"alg": signer.alg, "typ": "JWT"});
    if let Some(kid) = &signer.kid {
        set(&mut header, "kid", json!(kid));
    }
    signer.sign(&header, claims)
}

async fn present(issuer: &Issuer, kind: &str, svid: &str) -> Result<Reply, Miss> {
    let request = issuer
        .token()?
        .with("grant_type", CLIENT_CREDENTIALS)
        .with("resource", &issuer.resource("a")?.uri)
        .with("scope", issuer.scope_of("a")?)
        .with("client_id", jwt_client(issuer)?)
        .with("client_assertion_type", kind)
        .with("client_assertion", svid);
    request.send().await
}

async fn good(issuer: &Issuer) -> Result<(), Miss> {
    let svid = signed(&signer(&section(issuer)?.key)?, &claims(issuer)?);
    granted(present(issuer, TYPE, &svid).await?).map_err(|miss| miss.at("a good SVID"))?;
    Ok(())
}

async fn jwt_svid(issuer: &Issuer) -> Verdict {
    good(issuer).await?;
    Ok(section(issuer)?.spiffe_id.clone())
}

async fn jwt_claims(issuer: &Issuer) -> Verdict {
    good(issuer).await?;
    let (key, id) = (signer(&section(issuer)?.key)?, &section(issuer)?.spiffe_id);
    let vectors = [
        ("no subject", "sub", Value::Null),
        ("another workload", "sub", json!(format!("{id}x"))),
        ("a slash more", "sub", json!(format!("{id}/"))),
        ("in capitals", "sub", json!(id.to_uppercase())),
        ("no audience", "aud", Value::Null),
        ("another audience", "aud", json!(["https://other.example"])),
        ("for another as well", "aud", json!([issuer.url(), "https://other.example"])),
        ("no end", "exp", Value::Null),
        ("expired", "exp", json!(now() - 120)),
        ("good from in an hour", "nbf", json!(now() + 3_600)),
    ];
    for (what, name, value) in &vectors {
        let svid = signed(&key, &with(&claims(issuer)?, &[(name, value.clone())]));
        refused(&present(issuer, TYPE, &svid).await?, INVALID).map_err(|miss| miss.at(what))?;
    }
    Ok(format!("{} refused", vectors.len()))
}

async fn jwt_keys(issuer: &Issuer) -> Verdict {
    good(issuer).await?;
    let own = signer(&section(issuer)?.key)?;
    let stranger = Signer::stranger(own.kid.as_deref()).map_err(Miss::Fail)?;
    let svid = signed(&stranger, &claims(issuer)?);
    refused(&present(issuer, TYPE, &svid).await?, INVALID).map_err(|miss| miss.at("a stranger's with the same kid"))?;
    let genuine = signed(&own, &claims(issuer)?);
    let vectors = crate::hostile::forged_signatures(issuer, &genuine)?;
    for (what, token) in &vectors {
        refused(&present(issuer, TYPE, token).await?, INVALID).map_err(|miss| miss.at(what))?;
    }
    Ok(format!("{} refused", vectors.len() + 1))
}

async fn jwt_type(issuer: &Issuer) -> Verdict {
    good(issuer).await?;
    let key = signer(&section(issuer)?.key)?;
    let svid = signed(&key, &claims(issuer)?);
    let reply = present(issuer, crate::client::ASSERTION_TYPE, &svid).await?;
    refused(&reply, INVALID).map_err(|miss| miss.at("as jwt-bearer"))?;
    let own = issuer.client("jwt")?.assertion(issuer.url(), &[])?;
    refused(&present(issuer, TYPE, &own).await?, INVALID).map_err(|miss| miss.at("a client's own assertion as SVID"))
}

fn x509_client(issuer: &Issuer) -> Result<(&str, Certifier), Miss> {
    let section = section(issuer)?;
    match (&section.x509_client_id, &section.authority) {
        (Some(id), Some(authority)) => Ok((id, Certifier::of(authority)?)),
        _ => skip("the profile has no spiffe.x509_client_id, or no spiffe.authority"),
    }
}

fn svid(uris: &[&str]) -> Result<CertificateParams, Miss> {
    let names: Result<Vec<_>, Miss> = uris.iter().map(|uri| name("san_uri", uri)).collect();
    let mut params = params("workload", names?);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

async fn shown(issuer: &Issuer, leaf: &crate::certificate::Leaf, id: &str) -> Result<Reply, Miss> {
    issuer.by_certificate(id)?.through(&issuer.showing(leaf)?).send().await
}

async fn good_x509(issuer: &Issuer) -> Result<(), Miss> {
    let (client, authority) = x509_client(issuer)?;
    let leaf = authority.issue(&svid(&[&section(issuer)?.spiffe_id])?)?;
    granted(shown(issuer, &leaf, client).await?).map_err(|miss| miss.at("a good SVID"))?;
    Ok(())
}

async fn x509_svid(issuer: &Issuer) -> Verdict {
    good_x509(issuer).await?;
    let (client, authority) = x509_client(issuer)?;
    let id = &section(issuer)?.spiffe_id;
    let bare = issuer.by_certificate(client)?.send().await?;
    refused(&bare, INVALID).map_err(|miss| miss.at("no certificate"))?;
    // Section 3.2: the client id may be the SPIFFE ID, which two clients of the profile share.
    let reply = shown(issuer, &authority.issue(&svid(&[id])?)?, id).await?;
    ensure!(reply.status == 200 || reply.error() == "invalid_client", "by SPIFFE ID: {}", reply.brief());
    Ok(format!("{client}; by its SPIFFE ID: {}", reply.brief()))
}

async fn x509_names(issuer: &Issuer) -> Verdict {
    good_x509(issuer).await?;
    let (client, authority) = x509_client(issuer)?;
    let id = section(issuer)?.spiffe_id.as_str();
    let (other, longer) = (format!("{id}x"), format!("{id}/"));
    for (what, uris) in [
        ("none", vec![]),
        ("another workload", vec![other.as_str()]),
        ("a slash more", vec![longer.as_str()]),
        ("two ids", vec![id, other.as_str()]),
        ("an id and an address", vec![id, "https://workload.example"]),
    ] {
        let leaf = authority.issue(&svid(&uris)?)?;
        refused(&shown(issuer, &leaf, client).await?, INVALID).map_err(|miss| miss.at(what))?;
    }
    let leaf = authority.issue(&expired(svid(&[id])?))?;
    refused(&shown(issuer, &leaf, client).await?, INVALID).map_err(|miss| miss.at("expired"))
}

async fn x509_roots(issuer: &Issuer) -> Verdict {
    good_x509(issuer).await?;
    let (client, _) = x509_client(issuer)?;
    let section = section(issuer)?;
    let good = svid(&[&section.spiffe_id])?;
    refused(&shown(issuer, &self_signed(&good)?, client).await?, INVALID).map_err(|miss| miss.at("self-signed"))?;
    if let Some(authority) = &section.authority {
        let namesake = Certifier::namesake(authority)?.issue(&good)?;
        refused(&shown(issuer, &namesake, client).await?, INVALID).map_err(|miss| miss.at("a namesake's"))?;
    }
    let Some(certificates) = &issuer.profile.certificates else { return Ok("two refused".into()) };
    let leaf = Certifier::of(&certificates.authority)?.issue(&good)?;
    refused(&shown(issuer, &leaf, client).await?, INVALID).map_err(|miss| miss.at("the authority of tls_client_auth"))
}

async fn other_domain(issuer: &Issuer) -> Verdict {
    good(issuer).await?;
    let other = signer(&section(issuer)?.other_key)?;
    let svid = signed(&other, &claims(issuer)?);
    refused(&present(issuer, TYPE, &svid).await?, INVALID).map_err(|miss| miss.at("signed by another domain"))?;
    let named = with(&claims(issuer)?, &[("iss", json!("spiffe://other.example"))]);
    refused(&present(issuer, TYPE, &signed(&other, &named)).await?, INVALID).map_err(|miss| miss.at("and named by iss"))
}
