//! RFC 8725 3.1 to 3.3, 3.8 to 3.12: who signed, how, and as what.

use serde_json::{Value, json};

use crate::check::{Miss, Verdict, checks, ensure, skip};
use crate::encode::{nonce, now};
use crate::hostile::{encrypted, forged_signatures, odd_encodings, other_algorithms};
use crate::issuer::{Issued, Issuer};
use crate::jws::{parts, set, unset};
use crate::places::{Place, offer, offer_everywhere};
use crate::rfc7523::identity::OTHER_TYPES;
use crate::rfc7523::{denied, present, with_header};

checks! { "jwt";
    "JV1" M "RFC 8725 3.1" "alg must be the key's own, wherever a JWT is read" => algorithm_of_the_key;
    "JV2" M "RFC 8725 3.2" "none, empty, truncated and public-key-HMAC signatures are refused" => forged_signature;
    "JV3" M "RFC 7515 4.1.11" "an unknown crit is refused" => unknown_critical;
    "JV4" M "RFC 7515 2" "padding, whitespace, odd bits and extra parts are refused" => strict_encoding;
    "JV5" M "RFC 8725 3.8" "a key signs only for its own issuer" => key_of_the_issuer;
    "JV6" M "RFC 8725 3.9" "a JWT for somebody else is refused" => audience_matters;
    "JV7" M "RFC 8725 3.12" "no kind of JWT passes for another" => kinds_are_apart;
    "JV8" M "RFC 8725 3.10" "kid is a lookup key and nothing else" => hostile_kids;
    "JV8/type" H "RFC 7515 4.1.4" "a kid that is no string is refused" => mistyped_kids;
    "JV12" S "RFC 8725 3.4" "encrypted JWTs are not accepted" => no_encryption;
}

/// A genuine access token: an inspectable one, if there are any.
async fn genuine(issuer: &Issuer) -> Result<Issued, Miss> {
    let issued = match issuer.profile.introspection {
        Some(_) => issuer.inspectable().await?,
        None => issuer.issue(&issuer.grant("basic")?).await?,
    };
    match parts(&issued.token) {
        Some(_) => Ok(issued),
        // Where those are opaque, the ordinary ones are tried.
        None => issuer.issue(&issuer.grant("basic")?).await,
    }
}

/// The token that must survive the attack on its copies.
async fn bystander(issuer: &Issuer) -> Result<String, Miss> {
    match issuer.profile.introspection {
        Some(_) => Ok(issuer.inspectable().await?.token),
        None => Ok(String::new()),
    }
}

/// The attacked token itself, where introspection knows it.
async fn watched(issuer: &Issuer, token: &str) -> Result<String, Miss> {
    match issuer.profile.introspection {
        Some(_) if issuer.active(token).await.unwrap_or(false) => Ok(token.to_owned()),
        _ => bystander(issuer).await,
    }
}

async fn algorithm_of_the_key(issuer: &Issuer) -> Verdict {
    let token = genuine(issuer).await?.token;
    let vectors = other_algorithms(&token);
    let watched = watched(issuer, &token).await?;
    let offered = offer_everywhere(issuer, &watched, &vectors).await?;
    let mut assertions = 0;
    if let Some(jwt) = issuer.find_client("jwt") {
        let honest = jwt.assertion(issuer.url(), &[])?;
        for (what, assertion) in other_algorithms(&honest) {
            offer(issuer, Place::Assertion, &what, &assertion).await?;
            assertions += 1;
        }
    }
    Ok(format!("{} relabelled tokens refused", offered + assertions))
}

async fn forged_signature(issuer: &Issuer) -> Verdict {
    let token = genuine(issuer).await?.token;
    let vectors = forged_signatures(issuer, &token)?;
    let watched = watched(issuer, &token).await?;
    let offered = offer_everywhere(issuer, &watched, &vectors).await?;
    issuer.alive().await?;
    Ok(format!("{offered} forged tokens refused; client_assertion: see K16"))
}

async fn unknown_critical(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let base = jwt.signer()?.header();
    let mut tried = 0;
    for (crit, more) in [
        (json!(["example"]), Some(("example", json!(1)))),
        (json!(["example"]), None),
        (json!(["b64"]), Some(("b64", json!(false)))),
        (json!([]), None),
        (json!("exp"), None),
        (json!(["alg"]), None),
        (json!([1]), None),
        (json!(null), None),
        (json!(["typ", "typ"]), None),
    ] {
        let mut header = base.clone();
        set(&mut header, "crit", crit.clone());
        if let Some((name, value)) = more {
            set(&mut header, name, value);
        }
        denied(issuer, &format!("crit {crit}"), &with_header(issuer, jwt, &header)?).await?;
        tried += 1;
    }
    Ok(format!("{tried} validly signed assertions with crit refused"))
}

async fn strict_encoding(issuer: &Issuer) -> Verdict {
    let token = genuine(issuer).await?.token;
    let watched = watched(issuer, &token).await?;
    let offered = offer_everywhere(issuer, &watched, &odd_encodings(&token)).await?;
    let mut assertions = 0;
    if let Some(jwt) = issuer.find_client("jwt") {
        let count = odd_encodings(&jwt.assertion(issuer.url(), &[])?).len();
        for at in 0..count {
            // A fresh one each time: a refusal for replay would hide the fault.
            let fresh = jwt.assertion(issuer.url(), &[])?;
            if let Some((what, assertion)) = odd_encodings(&fresh).into_iter().nth(at) {
                offer(issuer, Place::Assertion, &what, &assertion).await?;
                assertions += 1;
            }
        }
    }
    Ok(format!("{} odd encodings refused", offered + assertions))
}

/// Claims as this issuer would make them, for a token it did not make.
fn access_claims(issuer: &Issuer) -> Result<Value, Miss> {
    let scope = issuer.profile.exchange.as_ref().map_or("", |x| x.subject_scope.as_str());
    Ok(json!({
        "iss": issuer.url(), "sub": "root", "client_id": issuer.client("basic")?.id,
        "aud": issuer.resource("a")?.uri, "iat": now(), "exp": now() + 120, "jti": nonce(), "scope": scope,
    }))
}

async fn key_of_the_issuer(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let signer = jwt.signer()?;
    let mut header = signer.header();
    set(&mut header, "typ", json!("at+jwt"));
    let mut vectors = Vec::new();
    // A registered client's key, in the issuer's name and in the client's own.
    for iss in [issuer.url(), &jwt.id, "https://other.example"] {
        let mut claims = access_claims(issuer)?;
        set(&mut claims, "iss", json!(iss));
        vectors.push((format!("access token by a client's key, iss {iss}"), signer.sign(&header, &claims)));
        let mut plain = header.clone();
        unset(&mut plain, "kid");
        vectors.push((format!("the same without kid, iss {iss}"), signer.sign(&plain, &claims)));
    }
    let watched = bystander(issuer).await?;
    let offered = offer_everywhere(issuer, &watched, &vectors).await?;
    ensure!(offered > 0, "no place to offer them");
    Ok(format!("{offered} tokens signed by a client's registered key refused"))
}

async fn audience_matters(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let elsewhere = jwt.assertion("https://other.example", &[])?;
    denied(issuer, "assertion for another server", &elsewhere).await?;
    let resource = jwt.assertion(&issuer.resource("a")?.uri, &[])?;
    denied(issuer, "assertion for a resource", &resource).await?;
    let mut claims = jwt.assertion_claims(issuer.url());
    unset(&mut claims, "aud");
    let signer = jwt.signer()?;
    denied(issuer, "assertion for nobody", &signer.sign(&signer.header(), &claims)).await?;
    Ok("assertions for another server, for a resource, for nobody refused; tokens: see IN5, TX30".into())
}

async fn kinds_are_apart(issuer: &Issuer) -> Verdict {
    let mut offered = 0;
    let token = issuer.issue(&issuer.grant("basic")?).await?.token;
    offer(issuer, Place::Assertion, "access token", &token).await?;
    let jwt = issuer.client("jwt")?;
    let signer = jwt.signer()?;
    for place in Place::of_access_tokens(issuer) {
        for typ in OTHER_TYPES.iter().chain(&["client-authentication+jwt", "JWT"]) {
            let mut header = signer.header();
            set(&mut header, "typ", json!(typ));
            let assertion = with_header(issuer, jwt, &header)?;
            offer(issuer, place, &format!("client's JWT of typ {typ}"), &assertion).await?;
            offered += 1;
        }
    }
    Ok(format!("an access token as assertion and {offered} assertions as tokens refused"))
}

async fn hostile_kids(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let kids = [
        json!("../../../../../../dev/null"),
        json!("' OR '1'='1"),
        json!("'; DROP TABLE clients; --"),
        json!("\u{0}"),
        json!("a\r\nX-Injected: 1"),
        json!("|sleep 5"),
        json!("${jndi:ldap://127.0.0.1/x}"),
        json!("{{7*7}}"),
        json!("http://127.0.0.1/keys"),
        json!("k".repeat(3_000)),
        json!(""),
        json!("\u{1f600}"),
    ];
    for kid in &kids {
        let mut header = jwt.signer()?.header();
        set(&mut header, "kid", kid.clone());
        let reply = present(issuer, &with_header(issuer, jwt, &header)?).await?;
        let what = format!("kid {:?}", kid.as_str().unwrap_or_default().get(..24).unwrap_or_default());
        ensure!(matches!(reply.status, 200 | 400 | 401), "{what}: {}", reply.brief());
        ensure!(reply.took.as_secs() < 4, "{what} took {:?}", reply.took);
        // The file /dev/null, or a missing row, is an empty HMAC key.
        set(&mut header, "alg", json!("HS256"));
        let claims = jwt.assertion_claims(issuer.url()).to_string();
        denied(issuer, &what, &crate::jws::hs256(b"", &header, claims.as_bytes())).await?;
    }
    issuer.alive().await?;
    Ok(format!("{} hostile kids harmless", kids.len()))
}

async fn mistyped_kids(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    for kid in [json!(1), json!(null), json!(["x"]), json!({"$ne": ""}), json!(true)] {
        let mut header = jwt.signer()?.header();
        set(&mut header, "kid", kid.clone());
        denied(issuer, &format!("kid {kid}"), &with_header(issuer, jwt, &header)?).await?;
    }
    Ok("number, null, array, object, boolean refused".into())
}

async fn no_encryption(issuer: &Issuer) -> Verdict {
    let vectors = encrypted();
    let watched = bystander(issuer).await?;
    let offered = offer_everywhere(issuer, &watched, &vectors).await?;
    for (what, jwe) in &vectors {
        offer(issuer, Place::Assertion, what, jwe).await?;
    }
    if offered == 0 {
        return skip("no place to offer them");
    }
    Ok(format!("{} refused", offered + vectors.len()))
}
