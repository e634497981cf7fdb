//! RFC 6749 3.2 and 5.2: what a request to the token endpoint must look like.

use crate::check::{Verdict, checks, ensure};
use crate::exchange::TOKEN_EXCHANGE;
use crate::issuer::{Issuer, granted, refused};
use crate::jws::claims_of;

checks! { "token_endpoint";
    "T1" M "RFC 6749 3.2" "only POST gets a token; the query is no place for parameters" => only_post;
    "T1/405" H "RFC 9110 15.5.6" "other methods get 405 with Allow" => method_not_allowed;
    "T2" H "RFC 6749 4.4.2" "the body is a form: charset tolerated, JSON and multipart refused" => form_only;
    "T4" M "RFC 6749 5.2" "grant_type missing: invalid_request; unknown: unsupported_grant_type" => grant_type_codes;
    "T4/client" M "RFC 6749 5.2" "a grant not allowed to this client: unauthorized_client" => grant_of_the_client;
    "T5" M "RFC 6749 3.2" "a repeated parameter is invalid_request" => repeated_parameters;
    "T6" M "RFC 6749 3.2" "an empty parameter counts as left out" => empty_is_omitted;
    "T7" M "RFC 6749 3.2" "unrecognised parameters are ignored" => unknown_ignored;
    "T11" M "RFC 6749 3.3" "scope outside the grammar is invalid_scope" => scope_grammar;
    "T14" M "RFC 6749 5.2" "errors are JSON with status 400, invalid_client may be 401" => error_status;
    "T17" M "RFC 6749 3.2" "TLS outside loopback" => tls_outside_loopback;
    "T20" M "RFC 9700 2.4" "password and implicit are not offered" => no_password_no_implicit;
}

async fn only_post(issuer: &Issuer) -> Verdict {
    let mut seen = Vec::new();
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let request = issuer.grant("basic")?;
        let request = if method == "GET" { request.in_query() } else { request };
        let reply = request.method(method).send().await?;
        ensure!(reply.json.get("access_token").is_none(), "{method} got a token");
        ensure!((400..500).contains(&reply.status), "{method}: {}", reply.brief());
        seen.push(format!("{method} {}", reply.status));
    }
    let head = issuer.grant("basic")?.in_query().method("HEAD").send().await?;
    ensure!((400..500).contains(&head.status), "HEAD: {}", head.brief());
    let query = issuer.grant("basic")?.in_query().send().await?;
    refused(&query, &["invalid_request"]).map_err(|miss| miss.at("POST with query"))?;
    Ok(format!("{}; parameters in the query: {}", seen.join(", "), query.brief()))
}

async fn method_not_allowed(issuer: &Issuer) -> Verdict {
    for method in ["GET", "PUT", "DELETE", "HEAD"] {
        let reply = issuer.grant("basic")?.in_query().method(method).send().await?;
        ensure!(reply.status == 405, "{method}: {}", reply.brief());
        ensure!(reply.header("allow").contains("POST"), "{method}: Allow {:?}", reply.header("allow"));
    }
    Ok("405, Allow: POST".into())
}

async fn form_only(issuer: &Issuer) -> Verdict {
    for media in [
        "application/x-www-form-urlencoded; charset=utf-8",
        "application/x-www-form-urlencoded;charset=UTF-8",
        "Application/X-WWW-Form-Urlencoded",
    ] {
        let reply = issuer.grant("basic")?.content_type(media).send().await?;
        granted(reply).map_err(|miss| miss.at(media))?;
    }
    let json = r#"{"grant_type":"client_credentials"}"#;
    let multipart = "--x\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\nclient_credentials\r\n--x--\r\n";
    let form = issuer.grant("basic")?.encoded();
    for (media, body) in [
        ("application/json", json),
        ("multipart/form-data; boundary=x", multipart),
        ("text/plain", form.as_str()),
        ("application/json", form.as_str()),
    ] {
        let reply = issuer.grant("basic")?.content_type(media).raw(body).send().await?;
        refused(&reply, &["invalid_request"]).map_err(|miss| miss.at(media))?;
    }
    Ok("three spellings of the form accepted; JSON, multipart, text/plain 400 invalid_request".into())
}

async fn grant_type_codes(issuer: &Issuer) -> Verdict {
    let missing = issuer.grant("basic")?.without("grant_type").send().await?;
    refused(&missing, &["invalid_request"]).map_err(|miss| miss.at("missing"))?;
    for unknown in ["urn:example:unknown", "CLIENT_CREDENTIALS", "client_credentials ", "null"] {
        let reply = issuer.grant("basic")?.set("grant_type", unknown).send().await?;
        refused(&reply, &["unsupported_grant_type"]).map_err(|miss| miss.at(unknown))?;
    }
    Ok("400 invalid_request; 400 unsupported_grant_type".into())
}

async fn grant_of_the_client(issuer: &Issuer) -> Verdict {
    let request = issuer.token()?.with("grant_type", TOKEN_EXCHANGE);
    let request = request.with("subject_token", "x").with("subject_token_type", crate::exchange::JWT);
    let request = issuer.sign_in(request, issuer.client("no_exchange")?)?;
    refused(&request.send().await?, &["unauthorized_client"])
}

async fn repeated_parameters(issuer: &Issuer) -> Verdict {
    let mut seen = 0;
    for client in ["basic", "post", "jwt"] {
        if issuer.find_client(client).is_none() {
            continue;
        }
        for name in issuer.grant(client)?.names() {
            if name == "resource" {
                continue;
            }
            let request = issuer.grant(client)?.with("client_id", &issuer.client(client)?.id);
            let request =
                if name == "client_id" { request.set("client_id", &issuer.client(client)?.id) } else { request };
            let Some(request) = request.repeat(&name) else {
                continue;
            };
            let reply = request.send().await?;
            refused(&reply, &["invalid_request"]).map_err(|miss| miss.at(&format!("{client} client, two {name}")))?;
            seen += 1;
        }
    }
    if issuer.profile.exchange.is_none() {
        return Ok(format!("{seen} repeats refused"));
    }
    let actor = &issuer.exchange()?.actor_client;
    let names = issuer.allowed().await?.names();
    for name in names.iter().chain([&String::from("requested_token_type")]) {
        if name == "audience" || name == "resource" || name.starts_with("client_") {
            continue;
        }
        let request = issuer.allowed().await?;
        let request = match name.as_str() {
            "requested_token_type" => request.with(name, crate::exchange::ACCESS_TOKEN),
            _ => request,
        };
        let Some(request) = request.repeat(name) else {
            continue;
        };
        let reply = request.send().await?;
        refused(&reply, &["invalid_request"]).map_err(|miss| miss.at(&format!("exchange by {actor}, two {name}")))?;
        seen += 1;
    }
    Ok(format!("{seen} repeats refused with 400 invalid_request"))
}

async fn empty_is_omitted(issuer: &Issuer) -> Verdict {
    let bare = issuer.grant("basic")?.without("scope").without("resource");
    let omitted = bare.send().await?;
    let empty = bare.with("scope", "").with("resource", "").with("client_id", "").send().await?;
    ensure!(
        omitted.status == empty.status && omitted.error() == empty.error(),
        "left out: {}, empty: {}",
        omitted.brief(),
        empty.brief()
    );
    let scopes = (omitted.text("scope"), empty.text("scope"));
    ensure!(scopes.0 == scopes.1, "left out: scope {:?}, empty: {:?}", scopes.0, scopes.1);
    let audience = |reply: &crate::http::Reply| {
        let claims = claims_of(reply.text("access_token").unwrap_or_default());
        claims.and_then(|claims| claims.get("aud").cloned())
    };
    ensure!(audience(&omitted) == audience(&empty), "the audience differs");
    let grant = issuer.grant("basic")?.set("grant_type", "").send().await?;
    refused(&grant, &["invalid_request"]).map_err(|miss| miss.at("empty grant_type"))?;
    Ok(format!("left out {}, empty {}", omitted.brief(), empty.brief()))
}

async fn unknown_ignored(issuer: &Issuer) -> Verdict {
    let request = issuer.grant("basic")?.with("foo", "bar").with("x[]", "1").with("", "2");
    issuer.issue(&request).await?;
    Ok("foo=bar, x[]=1 ignored".into())
}

async fn scope_grammar(issuer: &Issuer) -> Verdict {
    let scope = issuer.scope_of("a")?;
    let vectors = [
        ("quote", format!("{scope} a\"b")),
        ("backslash", format!("{scope} a\\b")),
        ("control", format!("{scope} a\u{7}b")),
        ("tab", format!("{scope}\t{scope}")),
        ("newline", format!("{scope}\n{scope}")),
        ("not ASCII", format!("{scope} £")),
        ("double space", format!("{scope}  {scope}")),
        ("leading space", format!(" {scope}")),
        ("trailing space", format!("{scope} ")),
        ("only a space", " ".to_owned()),
    ];
    for (what, vector) in &vectors {
        let reply = issuer.grant("basic")?.set("scope", vector).send().await?;
        refused(&reply, &["invalid_scope"]).map_err(|miss| miss.at(what))?;
    }
    Ok(format!("{} malformed scopes refused", vectors.len()))
}

async fn error_status(issuer: &Issuer) -> Verdict {
    let cases = [
        ("no grant_type", issuer.grant("basic")?.without("grant_type")),
        ("empty body", issuer.grant("basic")?.raw("")),
        ("unknown grant", issuer.grant("basic")?.set("grant_type", "x")),
        ("malformed scope", issuer.grant("basic")?.set("scope", "a\"b")),
        ("no client", issuer.bare_grant()?),
        ("unknown client", crate::client::basic(issuer.bare_grant()?, "nobody", "x")),
        ("broken Basic", issuer.bare_grant()?.header("authorization", "Basic !!!")),
        ("Basic without colon", crate::client::raw_basic(issuer.bare_grant()?, "nobody")),
    ];
    let codes = ["invalid_request", "unsupported_grant_type", "invalid_scope", "invalid_client"];
    let mut seen = Vec::new();
    for (what, request) in cases {
        let reply = request.send().await?;
        seen.push(refused(&reply, &codes).map_err(|miss| miss.at(what))?);
    }
    seen.dedup();
    Ok(seen.join(", "))
}

async fn tls_outside_loopback(issuer: &Issuer) -> Verdict {
    let members = ["issuer", "token_endpoint", "introspection_endpoint", "revocation_endpoint", "jwks_uri"];
    for member in members {
        let text = issuer.meta_text(member);
        if !text.is_empty() {
            ensure!(secure(text), "{member} is {text}");
        }
    }
    Ok("https, or http on loopback".into())
}

/// https, or plain http that cannot leave the machine.
pub(crate) fn secure(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else {
        return false;
    };
    let loopback = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}

async fn no_password_no_implicit(issuer: &Issuer) -> Verdict {
    for grant in ["password", "implicit"] {
        let request = issuer.grant("basic")?.set("grant_type", grant);
        let request = request.with("username", "a").with("password", "b");
        refused(&request.send().await?, &["unsupported_grant_type"]).map_err(|miss| miss.at(grant))?;
        ensure!(!issuer.meta_list("grant_types_supported").contains(&grant), "{grant} is advertised");
    }
    Ok("400 unsupported_grant_type, not advertised".into())
}
