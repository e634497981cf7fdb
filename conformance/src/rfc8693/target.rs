//! RFC 8693 2.1 and 2.2.2: where the token is for and how far its scope goes.

use crate::check::{Verdict, checks, ensure};
use crate::exchange::ACCESS_TOKEN;
use crate::issuer::{Issuer, granted, refused};
use crate::jwk::member;
use crate::rfc9068::audiences;

checks! { "token_exchange";
    "TX9" M "RFC 8693 2.1" "resource is an absolute URI without fragment" => absolute_resource;
    "TX10" S "RFC 8693 2.2.2" "an unknown audience or resource is invalid_target" => unknown_target;
    "TX11" M "RFC 8693 2.1.1" "audience and resource may repeat and mix; each target must be allowed" => many_targets;
    "TX13" H "RFC 8693 5" "scope never grows: wider is invalid_scope" => scope_never_grows;
    "TX14" H "-" "a target without a rule is refused" => target_without_rule;
}

async fn absolute_resource(issuer: &Issuer) -> Verdict {
    let target = issuer.target()?.to_owned();
    let bad = [
        "relative".to_owned(),
        "/path".into(),
        format!("{target}#"),
        format!("{target}#part"),
        "https://".into(),
        format!("{target} "),
    ];
    for vector in &bad {
        let request = issuer.allowed().await?.without("audience").with("resource", vector);
        refused(&request.send().await?, &["invalid_target"]).map_err(|miss| miss.at(&format!("{vector:?}")))?;
        let beside = issuer.allowed().await?.with("resource", vector);
        refused(&beside.send().await?, &["invalid_target"])
            .map_err(|miss| miss.at(&format!("{vector:?} beside audience")))?;
    }
    let good = issuer.allowed().await?.without("audience").with("resource", &target);
    issuer.issue(&good).await.map_err(|miss| miss.at("the target as resource"))?;
    Ok(format!("the target as resource works, {} malformed values refused", bad.len()))
}

async fn unknown_target(issuer: &Issuer) -> Verdict {
    for name in ["audience", "resource"] {
        for vector in ["https://nobody.example/api", "urn:example:nobody"] {
            let request = issuer.allowed().await?.without("audience").with(name, vector);
            refused(&request.send().await?, &["invalid_target"])
                .map_err(|miss| miss.at(&format!("{name}={vector}")))?;
        }
    }
    Ok("400 invalid_target".into())
}

async fn many_targets(issuer: &Issuer) -> Verdict {
    let target = issuer.target()?.to_owned();
    let mixed = issuer.allowed().await?.with("resource", &target).with("audience", &target);
    let reply = mixed.send().await?;
    let issued = granted(reply).map_err(|miss| miss.at("the same target three times"))?;
    let claims = issuer.child_claims(&issued).await?;
    ensure!(audiences(&claims) == [target.as_str()], "aud {:?}", audiences(&claims));
    for extra in ["https://nobody.example/api".to_owned()].into_iter().chain(forbidden(issuer)) {
        for name in ["audience", "resource"] {
            let reply = issuer.allowed().await?.with(name, &extra).send().await?;
            if reply.status != 200 {
                refused(&reply, &["invalid_target"]).map_err(|miss| miss.at(&extra))?;
                continue;
            }
            let claims = issuer.child_claims(&granted(reply)?).await?;
            ensure!(!audiences(&claims).contains(&extra.as_str()), "granted for {extra}");
        }
    }
    Ok("repeats and a mix of one target granted once; one bad target among good ones refused".into())
}

fn forbidden(issuer: &Issuer) -> Option<String> {
    issuer.profile.resources.get("forbidden").map(|resource| resource.uri.clone())
}

async fn scope_never_grows(issuer: &Issuer) -> Verdict {
    let x = issuer.exchange()?;
    let wider = x.wider_scope.clone();
    let alone = issuer.allowed().await?.set("scope", &wider).send().await?;
    refused(&alone, &["invalid_scope"]).map_err(|miss| miss.at("wider scope"))?;
    let mixed = issuer.allowed().await?.set("scope", &format!("{} {wider}", x.scope)).send().await?;
    if mixed.status == 200 {
        let issued = granted(mixed)?;
        let claims = issuer.child_claims(&issued).await?;
        let carried = member(&claims, "scope");
        ensure!(!carried.split(' ').any(|scope| scope == wider), "granted {carried:?}");
    } else {
        refused(&mixed, &["invalid_scope"]).map_err(|miss| miss.at("wider scope beside a good one"))?;
    }
    let nothing = issuer.allowed().await?.without("scope").send().await?;
    if nothing.status == 200 {
        let issued = granted(nothing)?;
        let claims = issuer.child_claims(&issued).await?;
        ensure!(
            !member(&claims, "scope").split(' ').any(|scope| scope == wider),
            "without scope: {:?}",
            claims.get("scope")
        );
    }
    Ok("400 invalid_scope; never in the token".into())
}

async fn target_without_rule(issuer: &Issuer) -> Verdict {
    let uri = &issuer.resource("forbidden")?.uri;
    for name in ["audience", "resource"] {
        let request = issuer.allowed().await?.without("audience").without("scope").with(name, uri);
        let request = request.with("requested_token_type", ACCESS_TOKEN);
        refused(&request.send().await?, &["invalid_target"]).map_err(|miss| miss.at(name))?;
    }
    Ok("400 invalid_target".into())
}
