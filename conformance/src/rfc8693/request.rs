//! RFC 8693 2.1: the parameters of the request.

use crate::check::{Verdict, checks, ensure};
use crate::encode::nonce;
use crate::exchange::{ACCESS_TOKEN, ID_TOKEN, JWT, TOKEN_EXCHANGE};
use crate::issuer::{Issuer, refused};
use crate::jws::header_of;

checks! { "token_exchange";
    "TX1" M "RFC 8693 2.1" "the grant's URN, to the letter" => grant_urn;
    "TX2" M "RFC 8693 2.1" "subject_token and subject_token_type are required" => subject_required;
    "TX3" M "RFC 8693 2.1" "actor_token and actor_token_type go together" => actor_pair;
    "TX6" H "RFC 8693 3" "the declared type must be the actual one" => declared_type;
    "TX7" M "RFC 8693 3" "unknown, refresh and SAML token types are refused" => unknown_types;
    "TX8" S "RFC 8693 2.1" "requested_token_type: access_token and jwt, access_token when absent" => requested_types;
}

async fn grant_urn(issuer: &Issuer) -> Verdict {
    issuer.issue(&issuer.allowed().await?).await?;
    for near in [
        "token-exchange",
        "urn:ietf:params:oauth:grant-type:TOKEN-EXCHANGE",
        "urn:ietf:params:oauth:grant-type:token-exchange/",
    ] {
        let reply = issuer.allowed().await?.set("grant_type", near).send().await?;
        refused(&reply, &["unsupported_grant_type"]).map_err(|miss| miss.at(near))?;
    }
    Ok(format!("{TOKEN_EXCHANGE} works, three near misses refused"))
}

async fn subject_required(issuer: &Issuer) -> Verdict {
    for name in ["subject_token", "subject_token_type"] {
        let left_out = issuer.allowed().await?.without(name).send().await?;
        refused(&left_out, &["invalid_request"]).map_err(|miss| miss.at(&format!("no {name}")))?;
        let empty = issuer.allowed().await?.set(name, "").send().await?;
        refused(&empty, &["invalid_request"]).map_err(|miss| miss.at(&format!("empty {name}")))?;
    }
    Ok("left out or empty: 400 invalid_request".into())
}

async fn actor_pair(issuer: &Issuer) -> Verdict {
    let bare = || async {
        let request = issuer.allowed().await?;
        Ok::<_, crate::check::Miss>(request.without("actor_token").without("actor_token_type"))
    };
    let token = issuer.issue(&issuer.grant("basic")?).await?.token;
    let only_token = bare().await?.with("actor_token", &token).send().await?;
    refused(&only_token, &["invalid_request"]).map_err(|miss| miss.at("token alone"))?;
    let only_type = bare().await?.with("actor_token_type", ACCESS_TOKEN).send().await?;
    refused(&only_type, &["invalid_request"]).map_err(|miss| miss.at("type alone"))?;
    let empty_type = bare().await?.with("actor_token", &token).with("actor_token_type", "").send().await?;
    refused(&empty_type, &["invalid_request"]).map_err(|miss| miss.at("empty type"))?;
    Ok("one without the other: 400 invalid_request".into())
}

async fn declared_type(issuer: &Issuer) -> Verdict {
    let as_id = issuer.allowed().await?.set("subject_token_type", ID_TOKEN).send().await?;
    refused(&as_id, &["invalid_request"]).map_err(|miss| miss.at("access token as id_token"))?;
    let handle = issuer.allowed().await?.set("subject_token", &nonce()).set("subject_token_type", JWT);
    refused(&handle.send().await?, &["invalid_request"]).map_err(|miss| miss.at("handle as jwt"))?;
    if let Some(jwt) = issuer.find_client("jwt") {
        let assertion = jwt.assertion(issuer.url(), &[])?;
        let reply = issuer.allowed().await?.set("subject_token", &assertion).send().await?;
        refused(&reply, &["invalid_request"]).map_err(|miss| miss.at("assertion as access_token"))?;
    }
    if let Some(actor) = issuer.actor_token(&issuer.exchange()?.actor_client).await? {
        let request = issuer.allowed().await?.set("actor_token", &actor.token);
        let reply = request.set("actor_token_type", ID_TOKEN).send().await?;
        refused(&reply, &["invalid_request"]).map_err(|miss| miss.at("actor token as id_token"))?;
    }
    Ok("400 invalid_request".into())
}

async fn unknown_types(issuer: &Issuer) -> Verdict {
    let types = [
        "urn:ietf:params:oauth:token-type:refresh_token",
        "urn:ietf:params:oauth:token-type:saml1",
        "urn:ietf:params:oauth:token-type:saml2",
        "urn:example:unknown",
        "access_token",
        "URN:IETF:PARAMS:OAUTH:TOKEN-TYPE:ACCESS_TOKEN",
    ];
    for kind in types {
        let reply = issuer.allowed().await?.set("subject_token_type", kind).send().await?;
        refused(&reply, &["invalid_request"]).map_err(|miss| miss.at(&format!("subject: {kind}")))?;
        let token = issuer.subject_token().await?.token;
        let request = issuer.allowed().await?.set("actor_token", &token).set("actor_token_type", kind);
        refused(&request.send().await?, &["invalid_request"]).map_err(|miss| miss.at(&format!("actor: {kind}")))?;
    }
    Ok(format!("{} types refused for subject and actor", types.len()))
}

async fn requested_types(issuer: &Issuer) -> Verdict {
    let mut seen = Vec::new();
    for kind in [None, Some(""), Some(ACCESS_TOKEN), Some(JWT)] {
        let request = issuer.allowed().await?;
        let request = match kind {
            Some(kind) => request.with("requested_token_type", kind),
            None => request,
        };
        let issued = issuer.issue(&request).await.map_err(|miss| miss.at(kind.unwrap_or("absent")))?;
        let given = issued.reply.text("issued_token_type").unwrap_or_default().to_owned();
        let expected = kind.filter(|kind| !kind.is_empty()).unwrap_or(ACCESS_TOKEN);
        ensure!(given == expected, "asked {kind:?}, issued_token_type {given:?}");
        ensure!(kind != Some(JWT) || header_of(&issued.token).is_some(), "the jwt is no JWT");
        seen.push(given.rsplit(':').next().unwrap_or_default().to_owned());
    }
    for kind in [
        "urn:ietf:params:oauth:token-type:refresh_token",
        "urn:ietf:params:oauth:token-type:saml2",
        "urn:example:unknown",
    ] {
        let reply = issuer.allowed().await?.with("requested_token_type", kind).send().await?;
        refused(&reply, &["invalid_request"]).map_err(|miss| miss.at(kind))?;
    }
    Ok(format!("{}; three others 400 invalid_request", seen.join(", ")))
}
