//! RFC 7523 2.1 and 3.1: identity assertions of another issuer as grants
//! (draft-ietf-oauth-identity-assertion-authz-grant). The runner signs them itself.

use serde_json::{Value, json};

use crate::check::{Miss, Verdict, checks, ensure, skip};
use crate::client::basic;
use crate::encode::{nonce, now};
use crate::hostile::{forged_signatures, odd_encodings, other_algorithms};
use crate::http::{Reply, Request};
use crate::idp::{header, with};
use crate::issuer::{Issuer, granted, refused};
use crate::jwk::member;
use crate::jws::{Signer, malleate};
use crate::rfc9068::audiences;

checks! { "jwt_bearer";
    "JB1" M "RFC 7521 4.1" "exactly one assertion: invalid_request otherwise" => one_assertion;
    "JB2" M "RFC 7523 3" "iss, sub, aud, exp and jti are required" => required;
    "JB3" M "identity-assertion 4.4.1" "aud is the issuer and nothing else" => audience;
    "JB4" M "RFC 7523 3.1" "expired, not yet good or of nobody: invalid_grant" => dates;
    "JB4/keys" M "RFC 7523 3.1" "badly signed: invalid_grant" => signatures;
    "JB4/replay" H "RFC 7523 3" "an assertion is used once" => once;
    "JB5" M "RFC 7523 3.1" "credentials that are sent are checked" => client_is_checked;
    "JB6" M "RFC 7521 4.1" "no scope beyond the assertion's" => scope;
    "JB7" M "identity-assertion 4.4.1" "typ is exact, and client_id the client that asks" => for_this_client;
    "JB8" M "identity-assertion 4.4.1" "resource and scope only narrow, and the answer says what was granted" => narrowed;
    "JB9" M "identity-assertion 8.6.1.2" "a bound assertion without its proof: invalid_grant" => bound;
    "JB10" S "identity-assertion 4.4.3" "no refresh token" => no_refresh_token;
    "JB11" M "identity-chaining 2.4.2" "a subject that means nobody is refused" => no_subject;
    "JB12" M "identity-assertion 7.2" "metadata that promises the profile promises the grant" => metadata;
    "JB13" M "identity-assertion 8.4" "metadata does not say whose assertions are taken" => discreet;
    "MC5" M "MCP enterprise-managed authorization" "an identity assertion gets a token for the resource in it" => mcp;
}

pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TYP: &str = "oauth-id-jag+jwt";
const INVALID: &[&str] = &["invalid_grant"];

fn claims(issuer: &Issuer) -> Result<Value, Miss> {
    let idp = issuer.idp()?;
    if !idp.grants {
        return skip("the issuer takes no identity assertions, says the profile");
    }
    let scope = format!("{} {}", idp.scope, idp.wider_scope);
    issuer.of_a_tenant(json!({
        "iss": idp.issuer, "sub": "alice", "aud": issuer.url(), "client_id": issuer.client(&idp.client)?.id,
        "jti": nonce(), "iat": now(), "exp": now() + 300, "resource": issuer.resource(&idp.resource)?.uri,
        "scope": scope,
    }))
}

fn assertion(issuer: &Issuer, changes: &[(&str, Value)]) -> Result<String, Miss> {
    let signer = issuer.idp_signer()?;
    Ok(signer.sign(&header(&signer, json!(TYP)), &with(&claims(issuer)?, changes)))
}

fn bare(issuer: &Issuer, assertion: &str) -> Result<Request, Miss> {
    Ok(issuer.token()?.with("grant_type", JWT_BEARER).with("assertion", assertion))
}

fn request(issuer: &Issuer, assertion: &str) -> Result<Request, Miss> {
    let request = bare(issuer, assertion)?.with("scope", &issuer.idp()?.scope);
    issuer.sign_in(request, issuer.client(&issuer.idp()?.client)?)
}

async fn present(issuer: &Issuer, assertion: &str) -> Result<Reply, Miss> {
    request(issuer, assertion)?.send().await
}

/// A good one works, and each of these does not.
async fn refuses(issuer: &Issuer, vectors: &[(&str, &str, Value)]) -> Verdict {
    granted(present(issuer, &assertion(issuer, &[])?).await?).map_err(|miss| miss.at("a good assertion"))?;
    for (what, name, value) in vectors {
        let reply = present(issuer, &assertion(issuer, &[(name, value.clone())])?).await?;
        refused(&reply, INVALID).map_err(|miss| miss.at(what))?;
    }
    Ok(format!("{} refused", vectors.len()))
}

async fn one_assertion(issuer: &Issuer) -> Verdict {
    let good = assertion(issuer, &[])?;
    let missing = request(issuer, &good)?.without("assertion").send().await?;
    refused(&missing, &["invalid_request"]).map_err(|miss| miss.at("left out"))?;
    let two = request(issuer, &good)?.with("assertion", &assertion(issuer, &[])?).send().await?;
    refused(&two, &["invalid_request"]).map_err(|miss| miss.at("two"))?;
    granted(present(issuer, &good).await?)?;
    Ok("none and two: 400 invalid_request".into())
}

async fn required(issuer: &Issuer) -> Verdict {
    let vectors: Vec<_> =
        ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"].map(|name| (name, name, Value::Null)).into();
    refuses(issuer, &vectors).await
}

async fn audience(issuer: &Issuer) -> Verdict {
    let endpoint = issuer.endpoint("token_endpoint")?;
    let url = issuer.url();
    let vectors = [
        ("the token endpoint", "aud", json!(endpoint)),
        ("a slash more", "aud", json!(format!("{}/", url.trim_end_matches('/')))),
        ("in capitals", "aud", json!(url.to_uppercase())),
        ("another server", "aud", json!("https://other.example")),
        ("two", "aud", json!([url, "https://other.example"])),
        ("none in a list", "aud", json!([])),
    ];
    let seen = refuses(issuer, &vectors).await?;
    let listed = assertion(issuer, &[("aud", json!([url]))])?;
    granted(present(issuer, &listed).await?).map_err(|miss| miss.at("alone in a list"))?;
    Ok(seen)
}

async fn dates(issuer: &Issuer) -> Verdict {
    let vectors = [
        ("expired", "exp", json!(now() - 120)),
        ("good from in an hour", "nbf", json!(now() + 3_600)),
        ("made in an hour", "iat", json!(now() + 3_600)),
        ("an end in text", "exp", json!((now() + 60).to_string())),
        ("another issuer", "iss", json!("https://other.example")),
        ("the issuer itself", "iss", json!(issuer.url())),
    ];
    refuses(issuer, &vectors).await
}

async fn signatures(issuer: &Issuer) -> Verdict {
    let genuine = assertion(issuer, &[])?;
    let own = issuer.idp_signer()?;
    let stranger = Signer::stranger(own.kid.as_deref()).map_err(Miss::Fail)?;
    let mut vectors = forged_signatures(issuer, &genuine)?;
    vectors.extend(other_algorithms(&genuine));
    vectors.extend(odd_encodings(&genuine));
    let claims = claims(issuer)?;
    vectors.push(("a stranger's with the same kid".into(), stranger.sign(&header(&stranger, json!(TYP)), &claims)));
    for (what, token) in &vectors {
        refused(&present(issuer, token).await?, INVALID).map_err(|miss| miss.at(what))?;
    }
    granted(present(issuer, &genuine).await?).map_err(|miss| miss.at("the genuine one"))?;
    Ok(format!("{} refused", vectors.len()))
}

async fn once(issuer: &Issuer) -> Verdict {
    let one = assertion(issuer, &[])?;
    granted(present(issuer, &one).await?)?;
    refused(&present(issuer, &one).await?, INVALID).map_err(|miss| miss.at("a second time"))?;
    match malleate(&one) {
        Some(other) => refused(&present(issuer, &other).await?, INVALID).map_err(|miss| miss.at("re-signed")),
        None => Ok("once".into()),
    }
}

async fn client_is_checked(issuer: &Issuer) -> Verdict {
    let good = assertion(issuer, &[])?;
    let client = issuer.client(&issuer.idp()?.client)?;
    let wrong = basic(bare(issuer, &good)?, &client.id, "wrong").send().await?;
    refused(&wrong, &["invalid_client"]).map_err(|miss| miss.at("a wrong secret"))?;
    let nobody = bare(issuer, &good)?.send().await?;
    refused(&nobody, &["invalid_client"]).map_err(|miss| miss.at("no credentials"))?;
    granted(present(issuer, &good).await?)?;
    Ok(wrong.brief())
}

async fn scope(issuer: &Issuer) -> Verdict {
    let idp = issuer.idp()?;
    let narrow = assertion(issuer, &[("scope", json!(idp.scope))])?;
    let reply = request(issuer, &narrow)?.set("scope", &format!("{} {}", idp.scope, idp.wider_scope)).send().await?;
    if reply.status == 200 {
        let scope = reply.text("scope").unwrap_or_default();
        ensure!(scope == idp.scope, "scope {scope:?} of an assertion for {:?}", idp.scope);
        return Ok(format!("cut down to {scope}"));
    }
    refused(&reply, &["invalid_scope", "invalid_grant"])
}

async fn for_this_client(issuer: &Issuer) -> Verdict {
    let signer = issuer.idp_signer()?;
    let mut kinds = vec![json!("at+jwt"), json!("oauth-id-jag"), json!("id-jag+jwt"), json!("dpop+jwt"), json!(1)];
    if !issuer.idp()?.plain_grants {
        kinds.extend([Value::Null, json!("JWT")]);
    }
    for typ in kinds {
        let token = signer.sign(&header(&signer, typ.clone()), &claims(issuer)?);
        refused(&present(issuer, &token).await?, INVALID).map_err(|miss| miss.at(&format!("typ {typ}")))?;
    }
    let id = &issuer.client(&issuer.idp()?.client)?.id;
    let vectors = [
        ("another client", "client_id", json!(issuer.client("other")?.id)),
        ("a client in a list", "client_id", json!([id])),
        ("nobody", "client_id", json!("")),
    ];
    refuses(issuer, &vectors).await
}

async fn narrowed(issuer: &Issuer) -> Verdict {
    let idp = issuer.idp()?;
    let reply = present(issuer, &assertion(issuer, &[])?).await?;
    let issued = granted(reply)?;
    let scope = issued.reply.text("scope").unwrap_or(&idp.scope).to_owned();
    ensure!(scope == idp.scope, "scope {scope:?}, asked for {:?}", idp.scope);
    let elsewhere = issuer.resource("a")?.uri.clone();
    let own = &issuer.resource(&idp.resource)?.uri;
    ensure!(&elsewhere != own, "the profile's idp.resource must be another than `a`");
    let request = request(issuer, &assertion(issuer, &[])?)?.with("resource", &elsewhere);
    let seen = refused(&request.send().await?, &["invalid_target", "invalid_grant", "invalid_scope"])?;
    Ok(format!("scope {scope}; another resource: {seen}"))
}

async fn bound(issuer: &Issuer) -> Verdict {
    let key = crate::dpop::Prover::new()?;
    let token = assertion(issuer, &[("cnf", json!({"jkt": key.jkt()}))])?;
    refused(&present(issuer, &token).await?, INVALID).map_err(|miss| miss.at("without a proof"))?;
    granted(present(issuer, &assertion(issuer, &[])?).await?)?;
    Ok("400 invalid_grant".into())
}

async fn no_refresh_token(issuer: &Issuer) -> Verdict {
    let issued = granted(present(issuer, &assertion(issuer, &[])?).await?)?;
    ensure!(issued.reply.json.get("refresh_token").is_none(), "a refresh token");
    Ok("none".into())
}

async fn no_subject(issuer: &Issuer) -> Verdict {
    let vectors =
        [("an empty subject", "sub", json!("")), ("a list", "sub", json!(["alice"])), ("a number", "sub", json!(1))];
    refuses(issuer, &vectors).await
}

async fn metadata(issuer: &Issuer) -> Verdict {
    claims(issuer)?;
    let profiles = issuer.meta_list("authorization_grant_profiles_supported");
    let promised = profiles.contains(&"urn:ietf:params:oauth:grant-profile:id-jag");
    ensure!(promised, "authorization_grant_profiles_supported {profiles:?}");
    let grants = issuer.meta_list("grant_types_supported");
    ensure!(grants.contains(&JWT_BEARER), "grant_types_supported {grants:?}");
    Ok("both".into())
}

async fn discreet(issuer: &Issuer) -> Verdict {
    let idp = &issuer.idp()?.issuer;
    ensure!(!issuer.meta.to_string().contains(idp.as_str()), "the metadata names {idp}");
    Ok("not named".into())
}

async fn mcp(issuer: &Issuer) -> Verdict {
    let issued = granted(present(issuer, &assertion(issuer, &[])?).await?)?;
    let claims = issued.claims()?;
    let own = &issuer.resource(&issuer.idp()?.resource)?.uri;
    ensure!(audiences(&claims) == [own.as_str()], "aud {:?}", audiences(&claims));
    Ok(member(&claims, "sub").to_owned())
}
