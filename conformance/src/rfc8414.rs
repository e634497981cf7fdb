//! RFC 8414: the metadata, and whether it is true.

mod advertised;

use serde_json::Value;

use crate::check::{Check, Verdict, checks, ensure};
use crate::issuer::{Issuer, metadata_url};
use crate::rfc6749::token::secure;

pub(crate) fn rows() -> Vec<Check> {
    documents::rows().into_iter().chain(advertised::rows()).collect()
}

mod documents {
    use super::*;

    checks! { "metadata";
        "MD1" M "RFC 8414 3.1" "GET at the well-known place of the issuer: 200 JSON" => served;
        "MD2" M "RFC 8414 3.3" "issuer is byte for byte the one asked for" => issuer_is_identical;
        "MD3" M "RFC 8414 5" "the same document at openid-configuration" => openid_place;
        "MD4" M "RFC 8414 2" "signing algorithms are listed with private_key_jwt, never none" => signing_algorithms;
        "MD5" M "RFC 8414 3.2" "no empty arrays" => no_empty_arrays;
        "MD6" M "RFC 8414 2" "response_types_supported is present and not empty" => response_types;
        "MD7" M "RFC 8414 2" "grant_types_supported is explicit" => explicit_grants;
        "MD9" M "RFC 8414 2" "introspection and revocation endpoints are listed" => endpoints;
        "MD9/methods" H "RFC 8414 2" "and how clients authenticate there" => endpoint_methods;
        "MD12" H "RFC 9110 8.8.3" "ETag, max-age, 304; the document does not change by itself" => stable_and_cacheable;
    }
}

async fn served(issuer: &Issuer) -> Verdict {
    let url = metadata_url(issuer.url(), "oauth-authorization-server");
    let reply = issuer.http.get(&url).send().await?;
    ensure!(reply.status == 200 && reply.is_json(), "{} {}", reply.brief(), reply.header("content-type"));
    let post = issuer.http.form(&url).send().await?;
    ensure!(post.status != 200, "POST gets 200");
    Ok(url)
}

async fn issuer_is_identical(issuer: &Issuer) -> Verdict {
    let stated = issuer.meta_text("issuer");
    ensure!(stated == issuer.url(), "{stated:?} for {:?}", issuer.url());
    ensure!(secure(stated) && !stated.contains(['?', '#']), "{stated}");
    Ok(stated.to_owned())
}

async fn openid_place(issuer: &Issuer) -> Verdict {
    let inserted = metadata_url(issuer.url(), "openid-configuration");
    let appended = format!("{}/.well-known/openid-configuration", issuer.url().trim_end_matches('/'));
    for url in [inserted, appended] {
        let reply = issuer.http.get(&url).send().await?;
        ensure!(reply.status == 200, "{url}: {}", reply.brief());
        ensure!(reply.json == issuer.meta, "{url} differs");
    }
    Ok("identical".into())
}

async fn signing_algorithms(issuer: &Issuer) -> Verdict {
    let mut seen = Vec::new();
    for endpoint in ["token", "introspection", "revocation"] {
        let methods = issuer.meta_list(&format!("{endpoint}_endpoint_auth_methods_supported"));
        let algorithms = issuer.meta_list(&format!("{endpoint}_endpoint_auth_signing_alg_values_supported"));
        let signs = methods.iter().any(|method| method.ends_with("_jwt"));
        ensure!(!signs || !algorithms.is_empty(), "{endpoint}: private_key_jwt without algorithms");
        ensure!(!algorithms.iter().any(|alg| alg.eq_ignore_ascii_case("none")), "{endpoint}: none");
        if signs {
            seen.push(format!("{endpoint}: {}", algorithms.join(" ")));
        }
    }
    Ok(seen.join("; "))
}

async fn no_empty_arrays(issuer: &Issuer) -> Verdict {
    let members = issuer.meta.as_object().into_iter().flatten();
    let empty: Vec<&str> = members
        .filter(|(_, value)| value.as_array().is_some_and(Vec::is_empty))
        .map(|(name, _)| name.as_str())
        .collect();
    ensure!(empty.is_empty(), "{}", empty.join(", "));
    Ok("none".into())
}

async fn response_types(issuer: &Issuer) -> Verdict {
    let types = issuer.meta_list("response_types_supported");
    ensure!(!types.is_empty(), "{:?}", issuer.meta.get("response_types_supported"));
    Ok(types.join(", "))
}

async fn explicit_grants(issuer: &Issuer) -> Verdict {
    let grants = issuer.meta_list("grant_types_supported");
    ensure!(grants.contains(&"client_credentials"), "{grants:?}");
    Ok(grants.join(", "))
}

async fn endpoints(issuer: &Issuer) -> Verdict {
    let mut seen = Vec::new();
    for endpoint in ["introspection", "revocation"] {
        if !issuer.profile.capabilities.missing.contains_key(endpoint) {
            seen.push(issuer.endpoint(&format!("{endpoint}_endpoint"))?);
        }
    }
    Ok(seen.join(", "))
}

async fn endpoint_methods(issuer: &Issuer) -> Verdict {
    let mut seen = Vec::new();
    for endpoint in ["introspection", "revocation"] {
        if issuer.profile.capabilities.missing.contains_key(endpoint) {
            continue;
        }
        let url = issuer.endpoint(&format!("{endpoint}_endpoint"))?;
        let methods = issuer.meta_list(&format!("{endpoint}_endpoint_auth_methods_supported"));
        ensure!(!methods.is_empty(), "{endpoint}: no authentication methods");
        seen.push(format!("{url}: {}", methods.join(" ")));
    }
    Ok(seen.join("; "))
}

async fn stable_and_cacheable(issuer: &Issuer) -> Verdict {
    let url = metadata_url(issuer.url(), "oauth-authorization-server");
    let again: Value = issuer.http.get(&url).send().await?.json;
    ensure!(again == issuer.meta, "the document changed");
    crate::rfc7517::cached(issuer, &url).await
}
