//! RFC 8705 section 2: clients that authenticate by certificate.

use rcgen::{CertificateParams, SanType};
use serde_json::json;

use crate::certificate::{Leaf, Signer, expired, for_servers, name, params, self_signed};
use crate::check::{Miss, Verdict, checks, ensure, skip};
use crate::encode::b64;
use crate::issuer::{Issuer, granted, refused};
use crate::profile::Subject;

checks! { "mtls";
    "K20" M "RFC 8705 2.1" "a certificate of the authority for the registered name authenticates" => by_name;
    "K20/names" M "RFC 8705 2.1.2" "another name, or the name in another field, does not" => other_names;
    "K20/chain" M "RFC 8705 2.1" "the chain, the dates and the purpose are checked" => chain;
    "K20/none" M "RFC 8705 2" "no certificate, or a header in its place: invalid_client" => no_certificate;
    "K20/client_id" M "RFC 8705 2" "the request carries the client_id, and it is that client's certificate" => other_client;
    "K21" M "RFC 8705 2.1.2" "addresses are compared in binary" => addresses;
    "K22" M "RFC 8705 2.2" "a registered certificate authenticates, whoever signed it" => registered;
    "K22/other" M "RFC 8705 2.2" "one with the same names and another key does not" => not_registered;
}

const INVALID: &[&str] = &["invalid_client"];

fn subjects(issuer: &Issuer) -> Result<&[Subject], Miss> {
    match issuer.certificates()?.subjects.as_slice() {
        [] => skip("the profile has no certificates.subjects"),
        subjects => Ok(subjects),
    }
}

/// What a certificate for this subject says.
fn of(subject: &Subject) -> Result<CertificateParams, Miss> {
    Ok(match subject.kind.as_str() {
        "common_name" => params(&subject.value, Vec::new()),
        kind => params("conformance", vec![name(kind, &subject.value)?]),
    })
}

/// The certificate does not authenticate this client.
async fn refuses(issuer: &Issuer, what: &str, client_id: &str, leaf: &Leaf) -> Verdict {
    let request = issuer.by_certificate(client_id)?.through(&issuer.showing(leaf)?);
    refused(&request.send().await?, INVALID).map_err(|miss| miss.at(what))
}

async fn lets_in(issuer: &Issuer, client_id: &str, leaf: &Leaf) -> Result<(), Miss> {
    let request = issuer.by_certificate(client_id)?.through(&issuer.showing(leaf)?);
    granted(request.send().await?).map_err(|miss| miss.at(client_id))?;
    Ok(())
}

async fn by_name(issuer: &Issuer) -> Verdict {
    let authority = Signer::of(&issuer.certificates()?.authority)?;
    let mut seen = Vec::new();
    for subject in subjects(issuer)? {
        lets_in(issuer, &subject.client_id, &authority.issue(&of(subject)?)?).await?;
        seen.push(subject.kind.as_str());
    }
    let methods = issuer.meta_list("token_endpoint_auth_methods_supported");
    ensure!(methods.contains(&"tls_client_auth"), "works and is not advertised: {methods:?}");
    Ok(seen.join(", "))
}

async fn other_names(issuer: &Issuer) -> Verdict {
    let authority = Signer::of(&issuer.certificates()?.authority)?;
    let mut tried = 0;
    for subject in subjects(issuer)? {
        lets_in(issuer, &subject.client_id, &authority.issue(&of(subject)?)?).await?;
        let value = &subject.value;
        let mut wrong = vec![("no name", params("conformance", Vec::new()))];
        if subject.kind == "common_name" {
            wrong.push(("another common name", params(&format!("{value}x"), Vec::new())));
            wrong.push(("in capitals", params(&value.to_uppercase(), Vec::new())));
        } else {
            // RFC 8705 section 2.1.2: the one registered field counts, and not the subject.
            wrong.push(("in the common name", params(value, Vec::new())));
        }
        for (what, params) in wrong {
            let what = format!("{} {what}", subject.kind);
            refuses(issuer, &what, &subject.client_id, &authority.issue(&params)?).await?;
            tried += 1;
        }
        for kind in ["san_dns", "san_uri", "san_email"].into_iter().filter(|kind| *kind != subject.kind) {
            let Ok(other) = name(kind, value) else { continue };
            let what = format!("{} as {kind}", subject.kind);
            refuses(issuer, &what, &subject.client_id, &authority.issue(&params("x", vec![other]))?).await?;
            tried += 1;
        }
    }
    Ok(format!("{tried} refused"))
}

async fn chain(issuer: &Issuer) -> Verdict {
    let section = issuer.certificates()?;
    let authority = Signer::of(&section.authority)?;
    let Some(subject) = subjects(issuer)?.first() else { return skip("the profile has no certificates.subjects") };
    let (good, id) = (of(subject)?, &subject.client_id);
    lets_in(issuer, id, &authority.issue(&good)?).await?;
    refuses(issuer, "self-signed", id, &self_signed(&good)?).await?;
    let namesake = Signer::namesake(&section.authority)?;
    refuses(issuer, "of an authority of the same name", id, &namesake.issue(&good)?).await?;
    refuses(issuer, "expired", id, &authority.issue(&expired(good.clone()))?).await?;
    refuses(issuer, "for servers alone", id, &authority.issue(&for_servers(good.clone()))?).await
}

async fn no_certificate(issuer: &Issuer) -> Verdict {
    let authority = Signer::of(&issuer.certificates()?.authority)?;
    for subject in subjects(issuer)? {
        let leaf = authority.issue(&of(subject)?)?;
        lets_in(issuer, &subject.client_id, &leaf).await?;
        let bare = issuer.by_certificate(&subject.client_id)?;
        refused(&bare.send().await?, INVALID).map_err(|miss| miss.at("none"))?;
        let der = b64(leaf.der());
        for (header, value) in [
            ("client-cert", format!(":{der}:")),
            ("x-client-cert", der.clone()),
            ("x-ssl-client-cert", der.clone()),
            ("x-forwarded-client-cert", format!("Cert=\"{der}\"")),
        ] {
            let reply = bare.clone().header(header, &value).send().await?;
            refused(&reply, INVALID).map_err(|miss| miss.at(header))?;
        }
    }
    Ok("none, and in four headers: refused".into())
}

async fn other_client(issuer: &Issuer) -> Verdict {
    let authority = Signer::of(&issuer.certificates()?.authority)?;
    let subjects = subjects(issuer)?;
    let Some((first, rest)) = subjects.split_first() else { return skip("the profile has no certificates.subjects") };
    let leaf = authority.issue(&of(first)?)?;
    lets_in(issuer, &first.client_id, &leaf).await?;
    for other in rest {
        refuses(issuer, &other.client_id, &other.client_id, &leaf).await?;
    }
    refuses(issuer, "a client with a secret", &issuer.client("basic")?.id, &leaf).await?;
    let anonymous = issuer.by_certificate("")?.without("client_id").through(&issuer.showing(&leaf)?);
    refused(&anonymous.send().await?, &["invalid_client", "invalid_request"]).map_err(|miss| miss.at("no client_id"))
}

async fn addresses(issuer: &Issuer) -> Verdict {
    let authority = Signer::of(&issuer.certificates()?.authority)?;
    let Some(subject) = subjects(issuer)?.iter().find(|subject| subject.kind == "san_ip") else {
        return skip("the profile has no subject of kind san_ip");
    };
    let leaf = |names: Vec<SanType>| authority.issue(&params("conformance", names));
    lets_in(issuer, &subject.client_id, &leaf(vec![name("san_ip", &subject.value)?])?).await?;
    refuses(issuer, "another address", &subject.client_id, &leaf(vec![name("san_ip", "192.0.2.254")?])?).await?;
    let spelled = leaf(vec![name("san_dns", &subject.value.replace(':', "-"))?])?;
    refuses(issuer, "as a host name", &subject.client_id, &spelled).await?;
    let Ok(std::net::IpAddr::V6(address)) = subject.value.parse() else {
        return Ok("compared as an address".into());
    };
    // The registration is text, the certificate 16 bytes: any spelling of them is the same.
    Ok(format!("{} is {:?}", subject.value, address.segments()))
}

async fn registered(issuer: &Issuer) -> Verdict {
    let Some(own) = &issuer.certificates()?.self_signed else {
        return skip("the profile has no certificates.self_signed");
    };
    let http = issuer.showing_pem(&format!("{}{}", own.private_key_pem.0, own.certificate_pem))?;
    granted(issuer.by_certificate(&own.client_id)?.through(&http).send().await?)?;
    let methods = issuer.meta_list("token_endpoint_auth_methods_supported");
    ensure!(methods.contains(&"self_signed_tls_client_auth"), "works and is not advertised: {methods:?}");
    let other = issuer.by_certificate(&issuer.client("basic")?.id)?.through(&http).send().await?;
    refused(&other, INVALID).map_err(|miss| miss.at("as another client"))
}

async fn not_registered(issuer: &Issuer) -> Verdict {
    let Some(own) = &issuer.certificates()?.self_signed else {
        return skip("the profile has no certificates.self_signed");
    };
    let plain = issuer.by_certificate(&own.client_id)?;
    refused(&plain.send().await?, INVALID).map_err(|miss| miss.at("no certificate"))?;
    let twin = params("conformance", vec![name("san_dns", "conformance.example")?]);
    refuses(issuer, "a stranger's", &own.client_id, &self_signed(&twin)?).await?;
    // That an authority is trusted for others makes its certificates none of this client's.
    let authority = Signer::of(&issuer.certificates()?.authority)?;
    refuses(issuer, "of the authority", &own.client_id, &authority.issue(&twin)?).await?;
    let said = plain.with("client_assertion", &json!({}).to_string()).send().await?;
    refused(&said, &["invalid_client", "invalid_request"])
}
