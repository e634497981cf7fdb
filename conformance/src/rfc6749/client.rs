//! RFC 6749 2.3: clients with a secret, and requests with two methods.

use std::time::Duration;

use crate::check::{Miss, Verdict, checks, ensure, skip};
use crate::client::{Credential, Login, asserted, basic, post, raw_basic};
use crate::encode::{nonce, percent_every_byte};
use crate::exchange::{ACCESS_TOKEN, TOKEN_EXCHANGE};
use crate::http::Reply;
use crate::issuer::{Issuer, granted, refused};
use crate::jws::hs256;

checks! { "client_secret";
    "T15" M "RFC 6749 5.2" "failed Basic gets 401 and WWW-Authenticate: Basic" => challenge;
    "T16" M "RFC 6749 2.3" "two authentication methods at once are refused" => two_methods;
    "K1" M "RFC 6749 2.3.1" "Basic, with id and secret form-decoded after Base64" => basic_is_form_decoded;
    "K2" M "RFC 6749 2.3.1" "client_secret_post works, and never from the query" => secret_in_body;
    "K3" M "RFC 6749 5.2" "unknown client, wrong secret, disabled client: invalid_client" => unknown_wrong_disabled;
    "K3/body" H "-" "and the same answer, byte for byte" => same_answer;
    "K3/time" H "-" "and in the same time" => same_time;
    "K4" H "RFC 7591 3.2.1" "an expired secret is invalid_client" => expired_secret;
    "K4/rotation" H "-" "two secrets are valid while rotating" => two_secrets;
    "K5" M "RFC 7591 2" "only the registered method is accepted" => registered_method_only;
    "K19" M "RFC 8725 3.5" "client_secret_jwt is not offered" => no_secret_jwt;
    "K32" S "CIMD 6.9" "client ids do not start with https://" => ids_are_not_urls;
    "K33" M "OAuth 2.1 4.2" "a public client gets no client_credentials and no exchange" => public_clients;
}

async fn challenge(issuer: &Issuer) -> Verdict {
    let client = issuer.client("basic")?;
    let reply = basic(issuer.bare_grant()?, &client.id, "wrong").send().await?;
    refused(&reply, &["invalid_client"])?;
    ensure!(reply.status == 401, "{}", reply.brief());
    let challenge = reply.header("www-authenticate");
    let scheme = challenge.split_ascii_whitespace().next().unwrap_or_default();
    ensure!(scheme.trim_end_matches(',').eq_ignore_ascii_case("basic"), "WWW-Authenticate {challenge:?}");
    Ok(format!("401, WWW-Authenticate: {challenge}"))
}

async fn two_methods(issuer: &Issuer) -> Verdict {
    let client = issuer.client("basic")?;
    let secret = client.secret()?;
    let mut cases = vec![
        ("Basic + body", post(issuer.grant("basic")?, &client.id, secret)),
        ("Basic + wrong body", post(issuer.grant("basic")?, &client.id, "wrong")),
    ];
    if let Some(other) = issuer.find_client("post") {
        let both = basic(issuer.grant("post")?, &other.id, other.secret()?);
        cases.push(("body + Basic", both));
        cases.push(("Basic of one, body of another", post(issuer.grant("basic")?, &other.id, other.secret()?)));
    }
    if let Some(jwt) = issuer.find_client("jwt") {
        let assertion = || jwt.assertion(issuer.url(), &[]);
        cases.push(("Basic + assertion", asserted(issuer.grant("basic")?, &assertion()?)));
        cases.push(("body + assertion", post(asserted(issuer.bare_grant()?, &assertion()?), &jwt.id, "x")));
        cases.push((
            "Basic of the key's client + assertion",
            asserted(basic(issuer.bare_grant()?, &jwt.id, "x"), &assertion()?),
        ));
        if issuer.find_client("post").is_some() {
            cases.push(("assertion + body of another", asserted(issuer.grant("post")?, &assertion()?)));
        }
    }
    let count = cases.len();
    for (what, request) in cases {
        refused(&request.send().await?, &["invalid_request"]).map_err(|miss| miss.at(what))?;
    }
    let other = issuer.clients().find(|login| login.id != client.id);
    if let Some(other) = other {
        let reply = issuer.grant("basic")?.with("client_id", &other.id).send().await?;
        refused(&reply, &["invalid_request", "invalid_client"]).map_err(|miss| miss.at("client_id of another"))?;
    }
    Ok(format!("{count} combinations: 400 invalid_request"))
}

async fn basic_is_form_decoded(issuer: &Issuer) -> Verdict {
    issuer.issue(&issuer.grant("basic")?).await?;
    let client = issuer.client("basic")?;
    let pair = format!("{}:{}", percent_every_byte(&client.id), percent_every_byte(client.secret()?));
    let reply = raw_basic(issuer.bare_grant()?, &pair).send().await?;
    granted(reply).map_err(|miss| miss.at("every byte escaped"))?;
    let reply = raw_basic(issuer.bare_grant()?, &pair);
    let lower = reply.clone().without_header("authorization");
    let lower = lower.header("authorization", &format!("bAsIc {}", crate::encode::b64(pair.as_bytes())));
    granted(lower.send().await?).map_err(|miss| miss.at("scheme in other case"))?;
    match issuer.find_client("odd") {
        Some(odd) => {
            issuer.issue(&issuer.grant("odd")?).await.map_err(|miss| miss.at(&odd.id))?;
            Ok(format!("%XX of every byte read; client {:?} works", odd.id))
        }
        None => Ok("%XX of every byte read".into()),
    }
}

async fn secret_in_body(issuer: &Issuer) -> Verdict {
    issuer.issue(&issuer.grant("post")?).await?;
    let client = issuer.client("post")?;
    let body = issuer.bare_grant()?.encoded();
    let query = post(issuer.token()?, &client.id, client.secret()?).in_query().raw(body);
    let reply = query.send().await?;
    refused(&reply, &["invalid_client", "invalid_request"]).map_err(|miss| miss.at("in the query"))?;
    Ok(format!("in the body 200, in the query {}", reply.brief()))
}

async fn unknown_wrong_disabled(issuer: &Issuer) -> Verdict {
    let mut seen = Vec::new();
    for (what, reply) in strangers(issuer).await? {
        let brief = refused(&reply, &["invalid_client"]).map_err(|miss| miss.at(what))?;
        seen.push(format!("{what} {brief}"));
    }
    Ok(seen.join(", "))
}

async fn strangers(issuer: &Issuer) -> Result<Vec<(&'static str, Reply)>, Miss> {
    let client = issuer.client("basic")?;
    let unknown = sibling(&client.id);
    let mut all = vec![
        ("unknown client", basic(issuer.bare_grant()?, &unknown, "wrong").send().await?),
        ("wrong secret", basic(issuer.bare_grant()?, &client.id, "wrong").send().await?),
    ];
    if issuer.find_client("disabled").is_some() {
        all.push(("disabled client", issuer.grant("disabled")?.send().await?));
    }
    Ok(all)
}

/// An id of the same make that nobody has.
fn sibling(id: &str) -> String {
    format!("{id}-nobody")
}

async fn same_answer(issuer: &Issuer) -> Verdict {
    let all = strangers(issuer).await?;
    let shape = |reply: &Reply| {
        let challenge = reply.header("www-authenticate").to_owned();
        (reply.status, reply.json.clone(), challenge)
    };
    let Some((_, first)) = all.first() else {
        return skip("no client");
    };
    for (what, reply) in &all {
        ensure!(shape(reply) == shape(first), "{what} answers {}, unknown client {}", reply.json, first.json);
    }
    Ok(format!("{} cases, one answer: {}", all.len(), first.json))
}

const TIMINGS: usize = 9;

async fn same_time(issuer: &Issuer) -> Verdict {
    let client = issuer.client("basic")?;
    let unknown = sibling(&client.id);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..TIMINGS {
        // A new secret each time: a cached refusal would be quick for both.
        first.push(basic(issuer.bare_grant()?, &unknown, &nonce()).send().await?.took);
        second.push(basic(issuer.bare_grant()?, &client.id, &nonce()).send().await?.took);
    }
    let (unknown, wrong) = (median(first), median(second));
    let (low, high) = (unknown.min(wrong), unknown.max(wrong));
    let near = high.saturating_sub(low) < Duration::from_millis(4) || low * 2 > high;
    ensure!(near, "median unknown {unknown:?}, wrong secret {wrong:?}");
    Ok(format!("median unknown {} ms, wrong secret {} ms", unknown.as_millis(), wrong.as_millis()))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

async fn expired_secret(issuer: &Issuer) -> Verdict {
    refused(&issuer.grant("expired_secret")?.send().await?, &["invalid_client"])
}

async fn two_secrets(issuer: &Issuer) -> Verdict {
    let rotating = |login: &&Login| login.profile.second_secret.is_some();
    let Some(login) = issuer.clients().find(rotating) else {
        return skip("the profile has no client with second_secret");
    };
    let second = login.profile.second_secret.as_ref().map(|s| s.0.as_str()).unwrap_or_default();
    for (what, secret) in [("first", login.secret()?), ("second", second)] {
        let request = match &login.credential {
            Credential::Post(_) => post(issuer.bare_grant()?, &login.id, secret),
            _ => basic(issuer.bare_grant()?, &login.id, secret),
        };
        granted(request.send().await?).map_err(|miss| miss.at(what))?;
    }
    Ok("both secrets work".into())
}

async fn registered_method_only(issuer: &Issuer) -> Verdict {
    let mut seen = Vec::new();
    let client = issuer.client("basic")?;
    let reply = post(issuer.bare_grant()?, &client.id, client.secret()?).send().await?;
    seen.push(refused(&reply, &["invalid_client"]).map_err(|miss| miss.at("Basic client by body"))?);
    if let Some(other) = issuer.find_client("post") {
        let reply = basic(issuer.bare_grant()?, &other.id, other.secret()?).send().await?;
        seen.push(refused(&reply, &["invalid_client"]).map_err(|miss| miss.at("body client by Basic"))?);
    }
    if let Some(jwt) = issuer.find_client("jwt") {
        for request in [basic(issuer.bare_grant()?, &jwt.id, "x"), post(issuer.bare_grant()?, &jwt.id, "x")] {
            let reply = request.send().await?;
            seen.push(refused(&reply, &["invalid_client"]).map_err(|miss| miss.at("key client by secret"))?);
        }
        let reply = issuer.bare_grant()?.with("client_id", &jwt.id).send().await?;
        seen.push(refused(&reply, &["invalid_client"]).map_err(|miss| miss.at("key client by id alone"))?);
    }
    Ok(format!("{} other ways refused", seen.len()))
}

async fn no_secret_jwt(issuer: &Issuer) -> Verdict {
    let advertised = issuer.meta_list("token_endpoint_auth_methods_supported");
    ensure!(!advertised.contains(&"client_secret_jwt"), "client_secret_jwt is advertised");
    let client = issuer.client("basic")?;
    let claims = client.assertion_claims(issuer.url()).to_string();
    let header = serde_json::json!({"alg": "HS256", "typ": "JWT"});
    let assertion = hs256(client.secret()?.as_bytes(), &header, claims.as_bytes());
    let reply = asserted(issuer.bare_grant()?, &assertion).send().await?;
    refused(&reply, &["invalid_client"]).map_err(|miss| miss.at("HS256 by the client's secret"))?;
    Ok(format!("not advertised; an assertion made with the secret: {}", reply.brief()))
}

async fn ids_are_not_urls(issuer: &Issuer) -> Verdict {
    for login in issuer.clients() {
        ensure!(!login.id.to_ascii_lowercase().starts_with("https://"), "client id {}", login.id);
    }
    Ok(format!("{} client ids", issuer.clients().count()))
}

async fn public_clients(issuer: &Issuer) -> Verdict {
    let id = match issuer.find_client("public") {
        Some(public) => public.id.clone(),
        None => issuer.client("basic")?.id.clone(),
    };
    let codes = ["invalid_client", "unauthorized_client"];
    let reply = issuer.bare_grant()?.with("client_id", &id).send().await?;
    refused(&reply, &codes).map_err(|miss| miss.at("client_credentials"))?;
    let exchange = issuer.token()?.with("grant_type", TOKEN_EXCHANGE).with("client_id", &id);
    let exchange = exchange.with("subject_token", "x").with("subject_token_type", ACCESS_TOKEN);
    let answer = exchange.send().await?;
    refused(&answer, &codes).map_err(|miss| miss.at("exchange"))?;
    Ok(format!("id alone: {}, {}", reply.brief(), answer.brief()))
}
