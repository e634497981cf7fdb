//! The MCP authorization specification, as far as it asks more of an issuer than the RFCs do.

use crate::check::{Verdict, checks, ensure};
use crate::issuer::{Issuer, metadata_url};

checks! { "mcp";
    "MC1" M "MCP authorization" "OAuth or OpenID metadata, and nothing that OAuth 2.1 took away" => discovery;
}

async fn discovery(issuer: &Issuer) -> Verdict {
    let mut found = Vec::new();
    for name in ["oauth-authorization-server", "openid-configuration"] {
        let reply = issuer.http.get(&metadata_url(issuer.url(), name)).send().await?;
        if reply.status == 200 {
            ensure!(reply.text("issuer") == Some(issuer.url()), "{name} has issuer {:?}", reply.json.get("issuer"));
            found.push(name);
        }
    }
    ensure!(!found.is_empty(), "neither kind of metadata");
    let grants = issuer.meta_list("grant_types_supported");
    let gone = grants.iter().find(|grant| matches!(**grant, "password" | "implicit"));
    ensure!(gone.is_none(), "OAuth 2.1 has no {gone:?}");
    let responses = issuer.meta_list("response_types_supported");
    let gone = responses.iter().find(|kind| kind.split(' ').any(|word| word == "token"));
    ensure!(gone.is_none(), "response type {gone:?}");
    Ok(found.join(", "))
}
