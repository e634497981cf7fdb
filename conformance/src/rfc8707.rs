//! RFC 8707: resource indicators on the client credentials grant.

use crate::check::{Verdict, checks, ensure};
use crate::issuer::{Issuer, granted, refused};
use crate::rfc9068::audiences;

checks! { "resource_indicators";
    "RI1" M "RFC 8707 2" "resource is an absolute URI without fragment" => absolute_without_fragment;
    "RI2" S "RFC 8707 2" "malformed or unknown: invalid_target" => unknown_resource;
    "RI3" S "RFC 8707 2.2" "resource works on client credentials" => works_on_client_credentials;
    "RI4" S "RFC 8707 2.2" "scope is cut down to what the resource knows" => scope_fits_the_resource;
    "RI5" S "MCP authorization" "scheme and host in capitals are the same, and aud is the registered form" => canonical;
    "RI6" H "RFC 8707 3" "path, port and case belong to the resource" => other_tenant;
}

async fn absolute_without_fragment(issuer: &Issuer) -> Verdict {
    let uri = &issuer.resource("a")?.uri;
    let path = url::Url::parse(uri).map(|url| url.path().to_owned()).unwrap_or_default();
    let host = uri.split_once("//").map_or("as.example", |(_, rest)| rest);
    let bad = [
        format!("{uri}#"),
        format!("{uri}#x"),
        path,
        host.to_owned(),
        format!("//{host}"),
        "relative".into(),
        "https://".into(),
        "https:///x".into(),
        "://x".into(),
        format!(" {uri}"),
        format!("{uri} "),
        format!("{uri}\n"),
    ];
    for vector in bad.iter().filter(|vector| !vector.is_empty()) {
        let reply = issuer.grant("basic")?.set("resource", vector).send().await?;
        refused(&reply, &["invalid_target"]).map_err(|miss| miss.at(&format!("{vector:?}")))?;
    }
    Ok(format!("{} malformed values: 400 invalid_target", bad.len()))
}

async fn unknown_resource(issuer: &Issuer) -> Verdict {
    let mut seen = Vec::new();
    let unknown = "https://nobody.example/api".to_owned();
    let forbidden = issuer.profile.resources.get("forbidden").map(|resource| resource.uri.clone());
    for uri in [Some(unknown), forbidden].into_iter().flatten() {
        let alone = issuer.grant("basic")?.set("resource", &uri).send().await?;
        seen.push(refused(&alone, &["invalid_target"]).map_err(|miss| miss.at(&uri))?);
        let second = issuer.grant("basic")?.with("resource", &uri).send().await?;
        refused(&second, &["invalid_target"]).map_err(|miss| miss.at(&format!("{uri} beside a good one")))?;
    }
    Ok(seen.join(", "))
}

async fn works_on_client_credentials(issuer: &Issuer) -> Verdict {
    let mut seen = Vec::new();
    for name in ["a", "b"] {
        let issued = issuer.issue(&issuer.grant_for("basic", name, issuer.scope_of(name)?)?).await?;
        if let Ok(claims) = issued.claims() {
            let uri = issuer.resource(name)?.uri.as_str();
            ensure!(audiences(&claims) == [uri], "aud {:?} for {uri}", audiences(&claims));
        }
        seen.push(issuer.resource(name)?.uri.as_str());
    }
    Ok(seen.join(", "))
}

async fn scope_fits_the_resource(issuer: &Issuer) -> Verdict {
    let own = issuer.resource("a")?;
    let bare = issuer.grant("basic")?.without("scope").send().await?;
    if bare.status != 200 {
        return refused(&bare, &["invalid_scope"]);
    }
    let issued = granted(bare)?;
    let scope = issued.reply.text("scope").unwrap_or_default();
    for word in scope.split_ascii_whitespace() {
        ensure!(own.scopes.iter().any(|s| s == word), "scope {word} is none of resource a");
    }
    Ok(format!("{scope:?} for resource a"))
}

async fn canonical(issuer: &Issuer) -> Verdict {
    let uri = &issuer.resource("a")?.uri;
    let (scheme, rest) = uri.split_once("://").unwrap_or(("https", uri));
    let (host, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).unwrap_or((rest, ""));
    let spelled = format!("{}://{}{path}", scheme.to_uppercase(), host.to_uppercase());
    let issued = issuer.issue(&issuer.grant("basic")?.set("resource", &spelled)).await;
    let claims = issued.map_err(|miss| miss.at(&spelled))?.claims()?;
    ensure!(audiences(&claims) == [uri.as_str()], "aud {:?} for {spelled}", audiences(&claims));
    Ok(spelled)
}

async fn other_tenant(issuer: &Issuer) -> Verdict {
    let uri = &issuer.resource("a")?.uri;
    let parent = uri.rsplit_once('/').map_or(uri.as_str(), |(parent, _)| parent);
    let near = [
        format!("{uri}/other"),
        format!("{parent}/other-tenant"),
        format!("{uri}x"),
        format!("{uri}/../other"),
        format!("{uri}%2f"),
        format!("{uri}?tenant=other"),
        format!("{uri}//"),
        format!("{uri}/."),
    ];
    for vector in &near {
        let reply = issuer.grant("basic")?.set("resource", vector).send().await?;
        refused(&reply, &["invalid_target"]).map_err(|miss| miss.at(vector))?;
    }
    Ok(format!("{} neighbours refused", near.len()))
}
