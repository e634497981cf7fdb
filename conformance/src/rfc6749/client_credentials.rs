//! RFC 6749 4.4: the client credentials grant.

use serde_json::Value;

use crate::check::{Verdict, checks, ensure, fail, skip};
use crate::exchange::{ACCESS_TOKEN, TOKEN_EXCHANGE};
use crate::issuer::{Issuer, granted, refused};

checks! { "client_credentials";
    "CC1" M "RFC 6749 4.4.2" "the client must authenticate" => client_must_authenticate;
    "CC2" S "RFC 6749 4.4.3" "no refresh token" => no_refresh_token;
    "CC3" S "RFC 9068 2.2" "sub and client_id name the client" => subject_is_the_client;
    "CC5" M "RFC 6749 3.3" "scope stays within the registered scope" => scope_is_bounded;
    "CC5/none" H "RFC 6749 3.3" "nothing left to grant is invalid_scope, not a token without scope" => nothing_granted_is_an_error;
    "CC6" M "RFC 9396 5" "authorization_details that cannot be granted are refused" => details_are_bounded;
    "CC7" H "RFC 6750 5.3" "life of at most 15 minutes by default, 60 at most" => short_life;
    "CC9" H "-" "a suspended client gets invalid_client" => suspended;
}

/// A scope that nobody has registered.
const EXCESS: &str = "stranger:everything";

async fn client_must_authenticate(issuer: &Issuer) -> Verdict {
    let anonymous = issuer.bare_grant()?.send().await?;
    refused(&anonymous, &["invalid_client"]).map_err(|miss| miss.at("anonymous"))?;
    let id = &issuer.client("basic")?.id;
    let named = issuer.bare_grant()?.with("client_id", id).send().await?;
    refused(&named, &["invalid_client"]).map_err(|miss| miss.at("id alone"))?;
    let exchange = issuer.token()?.with("grant_type", TOKEN_EXCHANGE);
    let exchange = exchange.with("subject_token", "x").with("subject_token_type", ACCESS_TOKEN);
    refused(&exchange.send().await?, &["invalid_client"]).map_err(|miss| miss.at("exchange"))?;
    Ok(format!("anonymous {}, id alone {}", anonymous.brief(), named.brief()))
}

async fn no_refresh_token(issuer: &Issuer) -> Verdict {
    let issued = issuer.issue(&issuer.grant("basic")?).await?;
    ensure!(issued.reply.json.get("refresh_token").is_none(), "a refresh_token was issued");
    Ok("none".into())
}

async fn subject_is_the_client(issuer: &Issuer) -> Verdict {
    let login = issuer.client("basic")?;
    let claims = issuer.issue(&issuer.grant("basic")?).await?.claims()?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    ensure!(text("client_id") == login.id, "client_id {:?}", text("client_id"));
    let expected = login.profile.sub.as_deref().unwrap_or(&login.id);
    ensure!(text("sub") == expected, "sub {:?}, expected {expected:?}", text("sub"));
    Ok(format!("sub {}", text("sub")))
}

async fn scope_is_bounded(issuer: &Issuer) -> Verdict {
    let scope = issuer.scope_of("a")?;
    let mut seen = Vec::new();
    for asked in [EXCESS.to_owned(), format!("{scope} {EXCESS}")] {
        let reply = issuer.grant("basic")?.set("scope", &asked).send().await?;
        if reply.status != 200 {
            seen.push(refused(&reply, &["invalid_scope"]).map_err(|miss| miss.at(&asked))?);
            continue;
        }
        let issued = granted(reply)?;
        let Some(returned) = issued.reply.text("scope") else {
            return fail(format!("{asked:?} narrowed without saying so: no scope in the answer"));
        };
        ensure!(!returned.contains(EXCESS), "granted {returned:?}");
        seen.push(format!("narrowed to {returned:?}"));
    }
    Ok(seen.join(", "))
}

async fn nothing_granted_is_an_error(issuer: &Issuer) -> Verdict {
    let reply = issuer.grant("basic")?.set("scope", EXCESS).send().await?;
    refused(&reply, &["invalid_scope"])
}

async fn details_are_bounded(issuer: &Issuer) -> Verdict {
    if issuer.meta.get("authorization_details_types_supported").is_none() {
        return skip("authorization_details are not advertised");
    }
    for bad in [r#"[{"type":"no-such-type"}]"#, "{", "[1]", r#"[{"actions":["x"]}]"#] {
        let reply = issuer.grant("basic")?.with("authorization_details", bad).send().await?;
        refused(&reply, &["invalid_authorization_details"]).map_err(|miss| miss.at(bad))?;
    }
    Ok("unknown type, broken JSON, no object, no type: 400 invalid_authorization_details".into())
}

async fn short_life(issuer: &Issuer) -> Verdict {
    let issued = issuer.issue(&issuer.grant("basic")?).await?;
    let life = issued.reply.json.get("expires_in").and_then(Value::as_i64).unwrap_or(i64::MAX);
    ensure!(life <= 900, "expires_in {life}");
    if let Ok(claims) = issued.claims() {
        let date = |name: &str| claims.get(name).and_then(Value::as_i64).unwrap_or_default();
        let span = date("exp") - date("iat");
        ensure!((span - life).abs() <= 2, "exp - iat is {span}, expires_in {life}");
    }
    Ok(format!("{life} s"))
}

async fn suspended(issuer: &Issuer) -> Verdict {
    refused(&issuer.grant("disabled")?.send().await?, &["invalid_client"])
}
