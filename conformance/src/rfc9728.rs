//! RFC 9728: metadata of the endpoints that the profile calls protected, and what an MCP client
//! makes of it.

use serde_json::Value;

use crate::check::{Miss, Verdict, checks, ensure, skip};
use crate::http::Reply;
use crate::issuer::{Issuer, metadata_url};
use crate::profile::Protected;
use crate::protected::{challenged, challenges};

checks! { "protected_resource";
    "PR1" M "RFC 9728 3" "metadata at the well-known place, with the resource's own identifier" => found;
    "PR1/pointer" M "RFC 9728 5.1" "the challenge leads there" => pointed_to;
    "PR2" M "RFC 9728 3.2" "lists without an element are left out" => no_empty_lists;
    "PR3" S "RFC 9728 2" "it names the issuer, the scopes and the ways to present a token" => says_enough;
    "PR3/bound" S "RFC 9728 2" "and the algorithms of proofs, as the issuer does" => says_proofs;
    "MC3" M "MCP authorization" "at least one authorization server, and no token for elsewhere is taken" => mcp_resource;
    "MC4" S "MCP authorization" "a 403 names all scopes that the call needs" => mcp_scopes;
}

fn list(document: &Value, name: &str) -> Vec<String> {
    let list = document.get(name).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

async fn metadata(issuer: &Issuer, place: &Protected) -> Result<Reply, Miss> {
    if !place.metadata {
        return skip("the profile says that it has no metadata");
    }
    let url = metadata_url(&issuer.resource(&place.resource)?.uri, "oauth-protected-resource");
    let reply = issuer.http.get(&url).send().await?;
    ensure!(reply.status == 200 && reply.is_json(), "GET {url}: {}", reply.brief());
    Ok(reply)
}

async fn found(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let reply = metadata(issuer, place).await?;
            let uri = &issuer.resource(&place.resource)?.uri;
            ensure!(reply.text("resource") == Some(uri.as_str()), "resource {:?}", reply.json.get("resource"));
            Ok(uri.clone())
        })
        .await
}

async fn pointed_to(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let own = metadata(issuer, place).await?;
            let reply = issuer.call(place).send().await?;
            let all = challenges(&reply);
            let pointer = all.iter().find_map(|one| one.get("resource_metadata")).unwrap_or_default().to_owned();
            let there = issuer.http.get(&pointer).send().await.map_err(|miss| miss.at(&pointer))?;
            ensure!(there.json == own.json, "{pointer} is another document");
            Ok(pointer)
        })
        .await
}

async fn no_empty_lists(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let reply = metadata(issuer, place).await?;
            for (name, value) in reply.json.as_object().into_iter().flatten() {
                ensure!(value.as_array().is_none_or(|list| !list.is_empty()), "{name} is empty");
            }
            Ok("none".into())
        })
        .await
}

async fn says_enough(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let document = metadata(issuer, place).await?.json;
            let servers = list(&document, "authorization_servers");
            ensure!(servers.iter().any(|server| server == issuer.url()), "authorization_servers {servers:?}");
            let scopes = list(&document, "scopes_supported");
            ensure!(scopes.contains(&place.scope), "scopes_supported {scopes:?}");
            let ways = list(&document, "bearer_methods_supported");
            ensure!(ways == ["header"], "bearer_methods_supported {ways:?}");
            Ok(scopes.join(" "))
        })
        .await
}

async fn says_proofs(issuer: &Issuer) -> Verdict {
    issuer.dpop()?;
    issuer
        .at_each(|place| async move {
            let document = metadata(issuer, place).await?.json;
            let mut here = list(&document, "dpop_signing_alg_values_supported");
            let mut there = issuer.meta_list("dpop_signing_alg_values_supported");
            here.sort_unstable();
            there.sort_unstable();
            ensure!(!here.is_empty() && here == there, "{here:?}, the issuer says {there:?}");
            Ok(here.join(" "))
        })
        .await
}

async fn mcp_resource(issuer: &Issuer) -> Verdict {
    let elsewhere = issuer.issue(&issuer.grant("basic")?).await?.token;
    let elsewhere = &elsewhere;
    issuer
        .at_each(|place| async move {
            let servers = list(&metadata(issuer, place).await?.json, "authorization_servers");
            ensure!(!servers.is_empty(), "no authorization_servers");
            let reply = issuer.call_with(place, "Bearer", elsewhere).send().await?;
            challenged(&reply, 401, "Bearer", &["invalid_token"])?;
            Ok(servers.join(" "))
        })
        .await
}

async fn mcp_scopes(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            metadata(issuer, place).await?;
            let Some(narrow) = &place.narrow_scope else { return skip("no narrow_scope") };
            let token = issuer.issue(&issuer.grant_at(place, &place.client, narrow)?).await?.token;
            let reply = issuer.call_with(place, "Bearer", &token).send().await?;
            ensure!(reply.status == 403, "{}", reply.brief());
            let all = challenges(&reply);
            let scope = all.iter().find_map(|one| one.get("scope")).unwrap_or_default().to_owned();
            let missing = place.scope.split(' ').find(|needed| !scope.split(' ').any(|word| word == *needed));
            ensure!(missing.is_none(), "scope {scope:?} lacks {missing:?}");
            Ok(scope)
        })
        .await
}
