//! RFC 7523 3 (9) and RFC 8725: the key that signs the assertion.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::check::{Miss, Verdict, checks, ensure};
use crate::client::Login;
use crate::encode::b64url;
use crate::issuer::Issuer;
use crate::jws::{Signer, as_der_signature, hs256, parts, set, unset};
use crate::rfc7523::{accepted, denied, present, with_header};

checks! { "private_key_jwt";
    "K16" M "RFC 7523 3 (9)" "signed by a key of that client, with that key's algorithm" => key_of_the_client;
    "K17" M "RFC 7515 4.1.4" "kid may be left out when the key is clear" => kid_is_optional;
    "K18" M "RFC 8725 3.10" "jwk, jku, x5u and x5c are never followed or trusted" => key_headers;
}

fn stranger(login: &Login) -> Result<Signer, Miss> {
    Signer::stranger(login.profile.kid.as_deref()).map_err(Miss::Fail)
}

async fn key_of_the_client(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let signer = jwt.signer()?;
    let claims = || jwt.assertion_claims(issuer.url());
    let mut tried = 0;
    for (what, assertion) in wrongly_signed(signer, &claims)? {
        denied(issuer, &what, &assertion).await?;
        tried += 1;
    }
    let wrong = stranger(jwt)?;
    denied(issuer, "another key, same kid", &wrong.sign(&wrong.header(), &claims())).await?;
    let others = issuer.clients().filter(|login| login.id != jwt.id);
    for other in others {
        if let Ok(key) = other.signer() {
            let mut header = key.header();
            denied(issuer, "the key of another client", &key.sign(&header, &claims())).await?;
            unset(&mut header, "kid");
            denied(issuer, "the key of another client, no kid", &key.sign(&header, &claims())).await?;
            tried += 2;
        }
    }
    Ok(format!("{} wrongly signed assertions refused", tried + 1))
}

/// Algorithm confusion, missing and misshapen signatures.
fn wrongly_signed(signer: &Signer, claims: &dyn Fn() -> Value) -> Result<Vec<(String, String)>, Miss> {
    let mut all = Vec::new();
    let header = |alg: &str| {
        let mut header = signer.header();
        set(&mut header, "alg", json!(alg));
        header
    };
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let unsigned = signer.sign(&header(alg), &claims());
        let (head, body, _) = parts(&unsigned).unwrap_or_default();
        all.push((format!("alg {alg:?} without signature"), format!("{head}.{body}.")));
        all.push((format!("alg {alg:?} with a signature"), unsigned.clone()));
    }
    for alg in ["ES384", "ES512", "RS256", "PS256", "EdDSA", "HS256", "es256"] {
        if alg != signer.alg {
            all.push((format!("alg {alg} over a signature of {}", signer.alg), signer.sign(&header(alg), &claims())));
        }
    }
    let mut secrets = signer.public_as_secrets();
    if let Some(jwk) = signer.public_jwk() {
        secrets.push(("jwk", jwk.to_string().into_bytes()));
    }
    secrets.push(("empty", Vec::new()));
    for (what, secret) in secrets {
        let body = claims().to_string();
        all.push((format!("HS256 with the public key ({what})"), hs256(&secret, &header("HS256"), body.as_bytes())));
    }
    let mut no_alg = signer.header();
    unset(&mut no_alg, "alg");
    all.push(("no alg".into(), signer.sign(&no_alg, &claims())));
    let honest = signer.sign(&signer.header(), &claims());
    let (head, body, signature) = parts(&honest).unwrap_or_default();
    all.push(("empty signature".into(), format!("{head}.{body}.")));
    all.push(("truncated signature".into(), honest.get(..honest.len() - 8).unwrap_or_default().to_owned()));
    all.push(("zero signature".into(), format!("{head}.{body}.{}", b64url(&[0; 64]))));
    all.push(("signature twice".into(), format!("{head}.{body}.{signature}{signature}")));
    if signer.alg == "ES256" {
        all.push(("ASN.1 signature".into(), as_der_signature(&honest).unwrap_or_default()));
    }
    Ok(all)
}

async fn kid_is_optional(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let mut header = jwt.signer()?.header();
    unset(&mut header, "kid");
    accepted(issuer, "no kid", &with_header(issuer, jwt, &header)?).await?;
    Ok("accepted without kid".into())
}

async fn key_headers(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let attacker = stranger(jwt)?;
    let key = attacker.public_jwk().unwrap_or_default();
    // A listener of ours: whoever connects has followed the header.
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| Miss::Fail(error.to_string()))?;
    let port = listener.local_addr().map(|address| address.port()).unwrap_or_default();
    let url = format!("http://127.0.0.1:{port}/keys");
    let members = [
        ("jwk", key.clone()),
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("x5c", json!(["MIIBszCCAVmgAwIBAgIUQjE="])),
        ("jwks", json!({"keys": [key]})),
    ];
    for (name, value) in &members {
        let mut header = attacker.header();
        set(&mut header, name, value.clone());
        let claims = jwt.assertion_claims(issuer.url());
        denied(issuer, &format!("attacker's key by {name}"), &attacker.sign(&header, &claims)).await?;
        unset(&mut header, "kid");
        let claims = jwt.assertion_claims(issuer.url());
        denied(issuer, &format!("attacker's key by {name}, no kid"), &attacker.sign(&header, &claims)).await?;
        let mut genuine = jwt.signer()?.header();
        set(&mut genuine, name, value.clone());
        let reply = present(issuer, &with_header(issuer, jwt, &genuine)?).await?;
        ensure!(reply.status < 500, "genuine key with {name}: {}", reply.brief());
    }
    let visit = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
    ensure!(visit.is_err(), "the issuer connected to the URL in the header");
    Ok(format!("{} ways to bring a key refused, no fetch seen", 2 * members.len()))
}
