//! RFC 9701: introspection answers that are JWTs.

use serde_json::{Value, json};

use crate::check::{Miss, Verdict, checks, ensure, fail, skip};
use crate::encode::{nonce, now};
use crate::http::Reply;
use crate::issuer::{Issuer, refused};
use crate::jwk::{member, signing_key, verifies};
use crate::jws::{claims_of, header_of};

checks! { "signed_introspection";
    "IN16" M "RFC 9701 5" "a signed JWT of its own type, for the caller, with the answer inside" => signed;
    "IN16/inside" M "RFC 9701 5" "no claim of the token stands at its top" => inside_only;
    "IN16/inactive" M "RFC 9701 5" "an inactive answer is signed too, and says nothing else" => inactive;
    "IN16/accept" M "RFC 9701 4" "only who asks for it gets it" => only_on_request;
    "IN16/metadata" M "RFC 9701 7" "metadata names its algorithms" => algorithms;
    "IN16/kind" M "RFC 9701 8.1" "it is no access token" => no_access_token;
}

pub(crate) const MEDIA_TYPE: &str = "application/token-introspection+jwt";

async fn ask(issuer: &Issuer, token: &str) -> Result<Reply, Miss> {
    let reply = issuer.introspect(token)?.header("accept", MEDIA_TYPE).send().await?;
    let media = reply.header("content-type").split(';').next().unwrap_or_default().trim().to_owned();
    ensure!(reply.status == 200 && media.eq_ignore_ascii_case(MEDIA_TYPE), "{} of type {media:?}", reply.brief());
    Ok(reply)
}

/// The JWT of an answer, verified.
fn read(issuer: &Issuer, reply: &Reply) -> Result<(String, Value, Value), Miss> {
    let jwt = String::from_utf8_lossy(&reply.body).trim().to_owned();
    let (Some(header), Some(claims)) = (header_of(&jwt), claims_of(&jwt)) else { return fail("no JWT") };
    let key = signing_key(&issuer.jwks, &jwt);
    ensure!(key.is_some_and(|key| verifies(key, member(&header, "alg"), &jwt)), "no key of the JWKS signed it");
    Ok((jwt, header, claims))
}

async fn signed(issuer: &Issuer) -> Verdict {
    let token = issuer.inspectable().await?.token;
    let (_, header, claims) = read(issuer, &ask(issuer, &token).await?)?;
    ensure!(member(&header, "typ") == "token-introspection+jwt", "typ {:?}", header.get("typ"));
    ensure!(member(&claims, "iss") == issuer.url(), "iss {:?}", claims.get("iss"));
    let caller = &issuer.client(&issuer.introspection()?.client)?.id;
    ensure!(crate::rfc9068::audiences(&claims) == [caller.as_str()], "aud {:?}", claims.get("aud"));
    let made = claims.get("iat").and_then(Value::as_i64).unwrap_or_default();
    ensure!((made - now()).abs() <= 60, "iat {made}");
    let plain = issuer.introspect(&token)?.send().await?.json;
    ensure!(claims.get("token_introspection") == Some(&plain), "another answer than the plain one");
    Ok("the plain answer, signed".into())
}

async fn inside_only(issuer: &Issuer) -> Verdict {
    let token = issuer.inspectable().await?.token;
    let (_, _, claims) = read(issuer, &ask(issuer, &token).await?)?;
    for name in ["sub", "exp", "active", "scope", "client_id", "username"] {
        ensure!(claims.get(name).is_none(), "{name} at the top");
    }
    Ok("none".into())
}

async fn inactive(issuer: &Issuer) -> Verdict {
    let dead = issuer.inspectable().await?.token;
    let reply = issuer.revoke_as("basic", &dead)?.send().await?;
    ensure!(reply.status == 200, "revocation: {}", reply.brief());
    let unknown = nonce();
    for (what, token) in [("a revoked token", dead.as_str()), ("an unknown one", unknown.as_str())] {
        let (_, _, claims) = read(issuer, &ask(issuer, token).await?).map_err(|miss| miss.at(what))?;
        let said = claims.get("token_introspection");
        ensure!(said == Some(&json!({"active": false})), "{what}: {said:?}");
    }
    Ok("{\"active\":false}, signed".into())
}

async fn only_on_request(issuer: &Issuer) -> Verdict {
    let token = issuer.inspectable().await?.token;
    ask(issuer, &token).await?;
    for accept in ["application/json", "*/*", "text/html"] {
        let reply = issuer.introspect(&token)?.header("accept", accept).send().await?;
        ensure!(reply.is_json(), "Accept {accept}: {}", reply.header("content-type"));
    }
    let bad = issuer.introspect(&token)?.header("accept", MEDIA_TYPE).without("token").send().await?;
    refused(&bad, &["invalid_request"]).map_err(|miss| miss.at("an error"))?;
    let stranger = issuer.introspect(&token)?.without_header("authorization").header("accept", MEDIA_TYPE);
    let reply = stranger.without("client_assertion").without("client_id").without("client_secret").send().await?;
    // IN2 judges the code.
    ensure!(matches!(reply.status, 400 | 401), "nobody: {}", reply.brief());
    Ok("JSON for others, and for errors".into())
}

async fn algorithms(issuer: &Issuer) -> Verdict {
    let named = issuer.meta_list("introspection_signing_alg_values_supported");
    let token = issuer.inspectable().await?.token;
    let (_, header, _) = read(issuer, &ask(issuer, &token).await?)?;
    let alg = member(&header, "alg");
    ensure!(named.contains(&alg), "signed with {alg}, announced {named:?}");
    ensure!(!named.contains(&"none"), "none is announced");
    Ok(named.join(" "))
}

async fn no_access_token(issuer: &Issuer) -> Verdict {
    let token = issuer.inspectable().await?.token;
    let (jwt, _, _) = read(issuer, &ask(issuer, &token).await?)?;
    let told = issuer.introspect(&jwt)?.send().await?;
    ensure!(told.json.get("active") != Some(&json!(true)), "introspection calls its own answer active");
    if issuer.profile.exchange.is_none() {
        return skip("the profile has no [exchange]");
    }
    let reply = issuer.delegation(&issuer.exchange()?.actor_client, &jwt).await?.send().await?;
    refused(&reply, &["invalid_request"])
}
