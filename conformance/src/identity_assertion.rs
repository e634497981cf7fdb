//! draft-ietf-oauth-identity-assertion-authz-grant and -identity-chaining: exchanges that lead to
//! another authorization server.

use serde_json::{Value, json};

use crate::check::{Miss, Verdict, checks, ensure, skip};
use crate::dpop::Prover;
use crate::exchange::{ACCESS_TOKEN, ID_TOKEN, TOKEN_EXCHANGE};
use crate::http::Request;
use crate::issuer::{Issued, Issuer, granted, refused};
use crate::jwk::{member, signing_key, verifies};
use crate::jws::{claims_of, header_of};
use crate::profile::IdentityAssertion;
use crate::rfc7523::grant::JWT_BEARER;

checks! { "id_jag";
    "TX34" M "identity-assertion 4.3.3" "an ID token goes abroad only with the client it was made for" => made_for_the_client;
    "TX35" M "identity-assertion 4.3" "audience is required, and one" => names_its_audience;
    "TX35/claims" M "identity-assertion 3.1" "the grant has the right typ, all claims, and is signed" => well_formed;
    "TX16/id-jag" M "RFC 8693 2.2.1" "its token_type is N_A" => not_a_token;
    "TX36" M "identity-assertion 8.3" "a grant of one's own is no grant and no token here" => own_grant;
    "TX37" M "identity-assertion 8.6.1.1" "a proof with the request binds the grant, and N_A stays" => bound;
    "TX38" M "identity-chaining 2.3" "an unknown or forbidden server: invalid_target" => unknown_server;
    "TX35/scope" H "RFC 8693 5" "no scope beyond the subject token's" => scope;
}

pub(crate) const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

fn section(issuer: &Issuer) -> Result<&IdentityAssertion, Miss> {
    match &issuer.profile.id_jag {
        Some(section) => Ok(section),
        None => skip("the profile has no [id_jag]"),
    }
}

fn request_for(issuer: &Issuer, subject: &str, kind: &str) -> Result<Request, Miss> {
    let x = section(issuer)?;
    let request = issuer
        .token()?
        .with("grant_type", TOKEN_EXCHANGE)
        .with("requested_token_type", ID_JAG)
        .with("subject_token", subject)
        .with("subject_token_type", kind)
        .with("audience", &x.audience)
        .with("scope", &x.scope);
    issuer.sign_in(request, issuer.client(&x.client)?)
}

async fn request(issuer: &Issuer) -> Result<Request, Miss> {
    section(issuer)?;
    let subject = issuer.subject_token().await?.token;
    request_for(issuer, &subject, ACCESS_TOKEN)
}

async fn grant(issuer: &Issuer) -> Result<Issued, Miss> {
    issuer.issue(&request(issuer).await?).await.map_err(|miss| miss.at("an identity assertion"))
}

async fn made_for_the_client(issuer: &Issuer) -> Verdict {
    let x = section(issuer)?;
    if !x.id_tokens {
        return skip("no ID token goes there, says the profile");
    }
    let own = issuer.client(&x.client)?.id.clone();
    let good = issuer.id_token(&[("aud", json!(own))])?;
    granted(request_for(issuer, &good, ID_TOKEN)?.send().await?).map_err(|miss| miss.at("made for the client"))?;
    for aud in [json!(issuer.idp()?.audience), json!([own, "https://other.example"]), json!([])] {
        let token = issuer.id_token(&[("aud", aud.clone())])?;
        let reply = request_for(issuer, &token, ID_TOKEN)?.send().await?;
        refused(&reply, &["invalid_request", "invalid_grant"]).map_err(|miss| miss.at(&format!("aud {aud}")))?;
    }
    Ok("three other audiences refused".into())
}

async fn names_its_audience(issuer: &Issuer) -> Verdict {
    grant(issuer).await?;
    let missing = request(issuer).await?.without("audience").send().await?;
    refused(&missing, &["invalid_request", "invalid_target"]).map_err(|miss| miss.at("no audience"))?;
    let two = request(issuer).await?.with("audience", "https://other.example").send().await?;
    refused(&two, &["invalid_request", "invalid_target"]).map_err(|miss| miss.at("two audiences"))
}

async fn well_formed(issuer: &Issuer) -> Verdict {
    let x = section(issuer)?;
    let mut request = request(issuer).await?;
    if let Some(resource) = &x.resource {
        request = request.with("resource", resource);
    }
    let issued = issuer.issue(&request).await?;
    let header = header_of(&issued.token).unwrap_or_default();
    ensure!(member(&header, "typ") == "oauth-id-jag+jwt", "typ {:?}", header.get("typ"));
    let claims = claims_of(&issued.token).unwrap_or_default();
    for name in ["iss", "sub", "aud", "client_id", "jti", "exp", "iat"] {
        ensure!(claims.get(name).is_some(), "no {name}");
    }
    ensure!(member(&claims, "iss") == issuer.url(), "iss {:?}", claims.get("iss"));
    let aud = crate::rfc9068::audiences(&claims);
    ensure!(aud == [x.audience.as_str()], "aud {aud:?}");
    ensure!(member(&claims, "scope") == x.scope, "scope {:?}", claims.get("scope"));
    if let Some(resource) = &x.resource {
        let named = claims.get("resource");
        let held = named == Some(&json!(resource)) || named == Some(&json!([resource]));
        ensure!(held, "resource {named:?}");
    }
    let key = signing_key(&issuer.jwks, &issued.token);
    ensure!(
        key.is_some_and(|key| verifies(key, member(&header, "alg"), &issued.token)),
        "no key of the JWKS signed it"
    );
    let life = claims.get("exp").and_then(Value::as_i64).unwrap_or_default()
        - claims.get("iat").and_then(Value::as_i64).unwrap_or_default();
    ensure!((1..=3_600).contains(&life), "it lives {life} s");
    Ok(format!("all claims, for {life} s"))
}

async fn not_a_token(issuer: &Issuer) -> Verdict {
    let issued = grant(issuer).await?;
    let kind = issued.reply.text("token_type").unwrap_or_default();
    ensure!(kind == "N_A", "token_type {kind:?}");
    let issued_type = issued.reply.text("issued_token_type").unwrap_or_default();
    ensure!(issued_type == ID_JAG, "issued_token_type {issued_type:?}");
    ensure!(issued.reply.json.get("refresh_token").is_none(), "a refresh token");
    Ok("N_A".into())
}

async fn own_grant(issuer: &Issuer) -> Verdict {
    let token = grant(issuer).await?.token;
    let bearer = issuer.token()?.with("grant_type", JWT_BEARER).with("assertion", &token);
    let reply = issuer.sign_in(bearer, issuer.client(&section(issuer)?.client)?)?.send().await?;
    refused(&reply, &["invalid_grant", "unsupported_grant_type"]).map_err(|miss| miss.at("as a grant"))?;
    let subject = issuer.exchange_as(&issuer.exchange()?.actor_client, &token)?.send().await?;
    refused(&subject, &["invalid_request"]).map_err(|miss| miss.at("as a subject token"))?;
    ensure!(!issuer.active(&token).await?, "introspection calls it active");
    Ok(reply.brief())
}

async fn bound(issuer: &Issuer) -> Verdict {
    let prover = Prover::new()?;
    let request = request(issuer).await?;
    let issued = granted(issuer.proved(&request, &prover, None, &[]).await?)?;
    let kind = issued.reply.text("token_type").unwrap_or_default();
    ensure!(kind == "N_A", "token_type {kind:?}");
    let claims = claims_of(&issued.token).unwrap_or_default();
    let jkt = claims.get("cnf").map(|cnf| member(cnf, "jkt")).unwrap_or_default();
    ensure!(jkt == prover.jkt(), "cnf {:?}, the key is {}", claims.get("cnf"), prover.jkt());
    Ok(format!("cnf.jkt {jkt}, {kind}"))
}

async fn unknown_server(issuer: &Issuer) -> Verdict {
    grant(issuer).await?;
    let audience = &section(issuer)?.audience;
    let near = format!("{}/other", audience.trim_end_matches('/'));
    for other in ["https://other.example", "no uri", near.as_str(), issuer.url(), issuer.target()?] {
        let reply = request(issuer).await?.set("audience", other).send().await?;
        refused(&reply, &["invalid_target", "invalid_request"]).map_err(|miss| miss.at(other))?;
    }
    // A slash more or less after the host is the same URL; the grant then names the other server as
    // that writes itself.
    let bare = audience.trim_end_matches('/');
    let slash = if bare == audience { format!("{bare}/") } else { bare.to_owned() };
    let reply = request(issuer).await?.set("audience", &slash).send().await?;
    if reply.status == 200 {
        let claims = claims_of(&granted(reply)?.token).unwrap_or_default();
        let aud = crate::rfc9068::audiences(&claims);
        ensure!(aud == [audience.as_str()], "aud {aud:?} for {slash}");
    } else {
        refused(&reply, &["invalid_target", "invalid_request"]).map_err(|miss| miss.at(&slash))?;
    }
    let resource = request(issuer).await?.with("resource", "https://other.example/api").send().await?;
    refused(&resource, &["invalid_target", "invalid_request"]).map_err(|miss| miss.at("another resource there"))?;
    Ok("6 refused".into())
}

async fn scope(issuer: &Issuer) -> Verdict {
    grant(issuer).await?;
    let wider = format!("{} stranger:everything", section(issuer)?.scope);
    let reply = request(issuer).await?.set("scope", &wider).send().await?;
    refused(&reply, &["invalid_scope"])
}
