//! RFC 7523 2.2 and 3: who the assertion is by, for and about.

use serde_json::{Value, json};

use crate::check::{Verdict, checks, skip};
use crate::client::{ASSERTION_TYPE, asserted};
use crate::issuer::{Issuer, granted, refused};
use crate::jws::{set, unset};
use crate::rfc7523::{REFUSALS, accepted, denied, with_header};

checks! { "private_key_jwt";
    "K7" M "RFC 7523 2.2" "client_assertion_type and one client_assertion, or a refusal" => assertion_parameters;
    "K8" M "RFC 7523 3" "iss and sub are there and are the client" => issuer_and_subject;
    "K9" M "RFC 7521 4.2" "client_id is optional and must agree" => client_id_agrees;
    "K10" M "RFC 7523bis 4" "aud is this issuer and nothing else" => audience;
    "K10/array" M "RFC 7519 4.1.3" "aud as an array of one is the same as a string" => audience_array;
    "K11" H "RFC 7523bis 6" "the token endpoint as aud only by a client's own switch" => legacy_audience;
    "K12" S "RFC 7523bis 4" "typ client-authentication+jwt, JWT or none; other kinds are refused" => types;
}

async fn assertion_parameters(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let fresh = || jwt.assertion(issuer.url(), &[]);
    granted(asserted(issuer.bare_grant()?, &fresh()?).send().await?)?;
    let complete = || -> Result<_, crate::check::Miss> { Ok(asserted(issuer.bare_grant()?, &fresh()?)) };
    let saml = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer";
    let cases = [
        ("no type", complete()?.without("client_assertion_type")),
        ("no assertion", complete()?.without("client_assertion")),
        ("empty type", complete()?.set("client_assertion_type", "")),
        ("SAML type", complete()?.set("client_assertion_type", saml)),
        ("type in other case", complete()?.set("client_assertion_type", &ASSERTION_TYPE.to_uppercase())),
        ("two in one", complete()?.set("client_assertion", &format!("{} {}", fresh()?, fresh()?))),
        ("not a JWT", complete()?.set("client_assertion", "x")),
        ("two dots", complete()?.set("client_assertion", "..")),
    ];
    for (what, request) in cases {
        refused(&request.send().await?, REFUSALS).map_err(|miss| miss.at(what))?;
    }
    Ok("accepted as registered, eight spoilt forms refused".into())
}

async fn issuer_and_subject(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let signer = jwt.signer()?;
    let other = &issuer.client("basic")?.id;
    let bad: Vec<Value> = vec![
        json!(other),
        json!(""),
        json!(null),
        json!([jwt.id]),
        json!({"id": jwt.id}),
        json!(1),
        json!(format!("{} ", jwt.id)),
        json!(jwt.id.to_uppercase()),
    ];
    let mut tried = 0;
    for member in ["iss", "sub"] {
        let mut claims = jwt.assertion_claims(issuer.url());
        unset(&mut claims, member);
        denied(issuer, &format!("{member} missing"), &signer.sign(&signer.header(), &claims)).await?;
        for value in &bad {
            let assertion = jwt.assertion(issuer.url(), &[(member, value.clone())])?;
            denied(issuer, &format!("{member} = {value}"), &assertion).await?;
            tried += 1;
        }
    }
    let both = jwt.assertion(issuer.url(), &[("iss", json!(other)), ("sub", json!(other))])?;
    denied(issuer, "iss and sub of another client", &both).await?;
    Ok(format!("{} variants refused", tried + 3))
}

async fn client_id_agrees(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let request =
        |assertion: String| -> Result<_, crate::check::Miss> { Ok(asserted(issuer.bare_grant()?, &assertion)) };
    let with = request(jwt.assertion(issuer.url(), &[])?)?.with("client_id", &jwt.id);
    granted(with.send().await?).map_err(|miss| miss.at("with client_id"))?;
    let other = &issuer.client("basic")?.id;
    let wrong = request(jwt.assertion(issuer.url(), &[])?)?.with("client_id", other);
    refused(&wrong.send().await?, REFUSALS).map_err(|miss| miss.at("client_id of another"))
}

async fn audience(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let url = issuer.url();
    let endpoint = issuer.endpoint("token_endpoint")?;
    accepted(issuer, "the issuer", &jwt.assertion(url, &[])?).await?;
    let slash = match url.strip_suffix('/') {
        Some(less) => less.to_owned(),
        None => format!("{url}/"),
    };
    let host = url.replacen("http", "HTTP", 1);
    let bad = [
        json!(endpoint),
        json!([url, endpoint]),
        json!([endpoint]),
        json!(slash),
        json!(host),
        json!([]),
        json!(""),
        json!(null),
        json!(1),
        json!({"aud": url}),
        json!([url, 1]),
        json!([url, url]),
        json!("https://other.example"),
        json!([[url]]),
        json!(format!("{url}#x")),
        json!(format!("{url}?x")),
        json!(format!(" {url}")),
        json!(jwt.id),
    ];
    for value in &bad {
        denied(issuer, &format!("aud = {value}"), &jwt.assertion(url, &[("aud", value.clone())])?).await?;
    }
    let signer = jwt.signer()?;
    let mut claims = jwt.assertion_claims(url);
    unset(&mut claims, "aud");
    denied(issuer, "aud missing", &signer.sign(&signer.header(), &claims)).await?;
    Ok(format!("the issuer accepted, {} other values refused", bad.len() + 1))
}

async fn audience_array(issuer: &Issuer) -> Verdict {
    let assertion = issuer.client("jwt")?.assertion(issuer.url(), &[("aud", json!([issuer.url()]))])?;
    accepted(issuer, "[issuer]", &assertion).await?;
    Ok("accepted".into())
}

async fn legacy_audience(issuer: &Issuer) -> Verdict {
    let endpoint = issuer.endpoint("token_endpoint")?;
    let off = issuer.client("jwt")?.assertion(endpoint, &[])?;
    denied(issuer, "client without the switch", &off).await?;
    let Some(legacy) = issuer.find_client("legacy_aud") else {
        return skip("off by default; the profile has no client `legacy_aud`");
    };
    accepted(issuer, "client with the switch", &legacy.assertion(endpoint, &[])?).await?;
    let foreign = legacy.assertion("https://other.example/token", &[])?;
    denied(issuer, "with the switch, a foreign endpoint", &foreign).await?;
    Ok("off by default, on for the client that has it".into())
}

/// Kinds of JWT that are not client assertions.
pub(crate) const OTHER_TYPES: &[&str] = &[
    "at+jwt",
    "application/at+jwt",
    "dpop+jwt",
    "oauth-id-jag+jwt",
    "txntoken+jwt",
    "secevent+jwt",
    "statuslist+jwt",
    "token-introspection+jwt",
    "logout+jwt",
    "AT+JWT",
];

async fn types(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let header = jwt.signer()?.header();
    let typed = |typ: &str| {
        let mut header = header.clone();
        set(&mut header, "typ", json!(typ));
        with_header(issuer, jwt, &header)
    };
    for typ in ["client-authentication+jwt", "JWT", "jwt"] {
        accepted(issuer, typ, &typed(typ)?).await?;
    }
    let mut untyped = header.clone();
    unset(&mut untyped, "typ");
    accepted(issuer, "no typ", &with_header(issuer, jwt, &untyped)?).await?;
    for typ in OTHER_TYPES {
        denied(issuer, typ, &typed(typ)?).await?;
    }
    Ok(format!("4 accepted, {} other kinds refused", OTHER_TYPES.len()))
}
