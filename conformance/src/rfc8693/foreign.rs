//! RFC 8693 2.1: subject tokens of an issuer that is not the one under test. The runner signs
//! them itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::check::{Miss, Verdict, checks, ensure, fail, skip};
use crate::encode::now;
use crate::exchange::{ACCESS_TOKEN, JWT};
use crate::hostile::{forged_signatures, odd_encodings, other_algorithms};
use crate::idp::{header, published_jwk};
use crate::issuer::{Issued, Issuer, granted, is_active, refused};
use crate::jwk::member;
use crate::jws::{Signer, set};

checks! { "foreign_subjects";
    "TX33" M "RFC 8725 3.8" "an ID token of a trusted issuer is exchanged" => accepted;
    "TX33/claims" M "RFC 8725 3.8" "wrong issuer, audience or dates: invalid_request" => wrong_claims;
    "TX33/keys" M "RFC 8725 3.8" "only its issuer's keys sign, whatever the header brings" => wrong_keys;
    "TX33/kind" M "RFC 8725 3.11" "a token of another kind is none" => wrong_kinds;
    "TX33/subject" M "RFC 8725 3.8" "a foreign subject is no subject of the issuer's own" => own_namespace;
    "TX33/rule" H "-" "trust in an issuer alone lets no client in" => no_rule;
    "TX33/scope" H "RFC 8693 5" "its scopes are no scopes here" => no_scopes;
    "TX33/rotation" S "RFC 7517 5" "a new key of the issuer is found, and one taken back is gone" => rotation;
    "JB14" H "identity-assertion 6.3" "of an issuer with many tenants, two users of one name are two subjects" => tenants;
    "TX32" M "RFC 9068 2.2.1" "auth_time, acr and amr survive the exchange" => authentication_survives;
    "IN15" S "RFC 9470 6.2" "introspection tells acr and auth_time" => authentication_is_told;
}

const CODES: &[&str] = &["invalid_request"];
/// How long a new key may take to be found.
const ROTATION: Duration = Duration::from_secs(30);

async fn exchanged(issuer: &Issuer, changes: &[(&str, Value)]) -> Result<Issued, Miss> {
    let token = issuer.id_token(changes)?;
    granted(issuer.foreign_exchange(&token)?.send().await?)
}

async fn refuses(issuer: &Issuer, what: &str, token: &str) -> Verdict {
    let reply = issuer.foreign_exchange(token)?.send().await?;
    refused(&reply, CODES).map_err(|miss| miss.at(what))
}

async fn accepted(issuer: &Issuer) -> Verdict {
    let child = exchanged(issuer, &[]).await?;
    let claims = child.claims()?;
    let aud = crate::rfc9068::audiences(&claims).join(" ");
    ensure!(aud == issuer.resource(&issuer.idp()?.resource)?.uri, "aud {aud}");
    ensure!(claims.get("iss") == Some(&json!(issuer.url())), "iss {:?}", claims.get("iss"));
    ensure!(member(&claims, "scope") == issuer.idp()?.scope, "scope {:?}", claims.get("scope"));
    Ok(format!("sub {}", member(&claims, "sub")))
}

async fn tenants(issuer: &Issuer) -> Verdict {
    let Some(claim) = &issuer.idp()?.tenant_claim else { return skip("the profile has no idp.tenant_claim") };
    let mut subjects = Vec::new();
    // The last two: what would be read alike if tenant and subject were only written in a row.
    for (tenant, user) in [("emea", "alice"), ("apac", "alice"), ("a", "b:c"), ("a:b", "c")] {
        let child = exchanged(issuer, &[(claim, json!(tenant)), ("sub", json!(user))]).await?;
        subjects.push(member(&child.claims()?, "sub").to_owned());
    }
    let mut different = subjects.clone();
    different.sort();
    different.dedup();
    ensure!(different.len() == subjects.len(), "one subject for several users: {subjects:?}");
    let again = member(&exchanged(issuer, &[(claim, json!("emea"))]).await?.claims()?, "sub").to_owned();
    ensure!(subjects.first() == Some(&again), "one user, and two subjects: {again}");
    for (what, value) in [("no tenant", Value::Null), ("an empty one", json!("")), ("one that is no text", json!(7))] {
        refuses(issuer, what, &issuer.id_token(&[(claim, value)])?).await?;
    }
    Ok(subjects.join(", "))
}

async fn wrong_claims(issuer: &Issuer) -> Verdict {
    exchanged(issuer, &[]).await?;
    let audience = &issuer.idp()?.audience;
    let hour = 3_600;
    let vectors: Vec<(&str, &str, Value)> = vec![
        ("another issuer", "iss", json!("https://other.example")),
        ("no issuer", "iss", Value::Null),
        ("the issuer in capitals", "iss", json!(issuer.idp()?.issuer.to_uppercase())),
        ("the issuer under test", "iss", json!(issuer.url())),
        ("another audience", "aud", json!("https://other.example")),
        ("no audience", "aud", Value::Null),
        ("an empty list of audiences", "aud", json!([])),
        ("for another as well", "aud", json!([audience, "https://other.example"])),
        ("an audience that is no text", "aud", json!({"a": audience})),
        ("expired", "exp", json!(now() - 120)),
        ("no end", "exp", Value::Null),
        ("an end in text", "exp", json!((now() + 300).to_string())),
        ("an end in a hundred years", "exp", json!(now() + 100 * 365 * 24 * hour)),
        ("made in an hour", "iat", json!(now() + hour)),
        ("good from in an hour", "nbf", json!(now() + hour)),
        ("no subject", "sub", Value::Null),
        ("an empty subject", "sub", json!("")),
        ("a subject that is no text", "sub", json!(7)),
    ];
    for (what, name, value) in &vectors {
        refuses(issuer, what, &issuer.id_token(&[(name, value.clone())])?).await?;
    }
    Ok(format!("{} refused", vectors.len()))
}

async fn wrong_keys(issuer: &Issuer) -> Verdict {
    let genuine = issuer.id_token(&[])?;
    granted(issuer.foreign_exchange(&genuine)?.send().await?)?;
    let own = issuer.idp_signer()?;
    let stranger = Signer::stranger(own.kid.as_deref()).map_err(Miss::Fail)?;
    let claims = issuer.id_claims()?;
    let mut vectors = forged_signatures(issuer, &genuine)?;
    vectors.extend(other_algorithms(&genuine));
    vectors.extend(odd_encodings(&genuine));
    let mut brings = |what: &str, name: &str, value: Value| {
        let mut header = header(&stranger, json!("JWT"));
        set(&mut header, name, value);
        vectors.push((what.to_owned(), stranger.sign(&header, &claims)));
    };
    brings("the same kid", "kid", json!(own.kid));
    brings("a key in jwk", "jwk", stranger.public_jwk().unwrap_or_default());
    brings("a jku", "jku", json!("https://evil.example/jwks"));
    brings("an x5u", "x5u", json!("https://evil.example/x5u"));
    for (what, token) in &vectors {
        refuses(issuer, what, token).await?;
    }
    // Its key is nobody else's: not even for the issuer under test.
    for (what, iss) in [("as the issuer under test", issuer.url()), ("as a stranger", "https://other.example")] {
        let token = issuer.id_token(&[("iss", json!(iss))])?;
        refuses(issuer, what, &token).await?;
    }
    Ok(format!("{} refused", vectors.len() + 2))
}

async fn wrong_kinds(issuer: &Issuer) -> Verdict {
    let (signer, claims) = (issuer.idp_signer()?, issuer.id_claims()?);
    exchanged(issuer, &[]).await?;
    for typ in ["at+jwt", "dpop+jwt", "client-authentication+jwt", "oauth-id-jag+jwt", "secevent+jwt", "logout+jwt"] {
        let token = signer.sign(&header(&signer, json!(typ)), &claims);
        refuses(issuer, typ, &token).await?;
    }
    let told =
        crate::idp::with(&claims, &[("events", json!({"http://schemas.openid.net/event/backchannel-logout": {}}))]);
    refuses(issuer, "with events", &signer.sign(&header(&signer, json!("JWT")), &told)).await?;
    let reply = issuer.foreign_exchange(&issuer.id_token(&[])?)?.set("subject_token_type", ACCESS_TOKEN).send().await?;
    refused(&reply, CODES).map_err(|miss| miss.at("an ID token as access token"))?;
    let reply = issuer.foreign_exchange(&issuer.id_token(&[])?)?.set("subject_token_type", JWT).send().await?;
    granted(reply).map_err(|miss| miss.at("an ID token as JWT"))?;
    Ok("8 kinds refused".into())
}

async fn own_namespace(issuer: &Issuer) -> Verdict {
    issuer.idp()?;
    let own = issuer.issue(&issuer.grant("basic")?).await?.claims()?;
    let own = member(&own, "sub").to_owned();
    let child = exchanged(issuer, &[("sub", json!(own))]).await?.claims()?;
    ensure!(member(&child, "sub") != own, "the foreign subject became {own}");
    Ok(member(&child, "sub").to_owned())
}

async fn no_rule(issuer: &Issuer) -> Verdict {
    exchanged(issuer, &[]).await?;
    let Some(other) = &issuer.idp()?.other_client else { return skip("the profile has no idp.other_client") };
    let reply = issuer.foreign_exchange_as(other, &issuer.id_token(&[])?)?.send().await?;
    refused(&reply, &["invalid_request", "invalid_target", "unauthorized_client"])
}

async fn no_scopes(issuer: &Issuer) -> Verdict {
    let wide = &issuer.idp()?.wider_scope;
    let token = issuer.id_token(&[("scope", json!(format!("{wide} {}", issuer.idp()?.scope)))])?;
    granted(issuer.foreign_exchange(&token)?.send().await?)?;
    let reply = issuer.foreign_exchange(&token)?.set("scope", wide).send().await?;
    refused(&reply, &["invalid_scope"])
}

async fn rotation(issuer: &Issuer) -> Verdict {
    let Some(published) = &issuer.published else { return skip("the profile has no idp.listen") };
    let old = issuer.idp_signer()?;
    let new = Signer::stranger(Some("conformance-rotated")).map_err(Miss::Fail)?;
    published.replace(&[published_jwk(&new)]);
    let (started, claims) = (Instant::now(), issuer.id_claims()?);
    let found = async {
        loop {
            let token = new.sign(&header(&new, json!("JWT")), &claims);
            let reply = issuer.foreign_exchange(&token)?.send().await?;
            if reply.status == 200 {
                break refuses(issuer, "signed by the key that was taken back", &issuer.id_token(&[])?).await;
            }
            if reply.status != 400 || started.elapsed() > ROTATION {
                break fail(format!("the new key was not found within {} s: {}", ROTATION.as_secs(), reply.brief()));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let found: Verdict = found.await;
    published.replace(&[published_jwk(&old)]);
    let found = found?;
    // The rows after this one sign with the old key again.
    while granted(issuer.foreign_exchange(&issuer.id_token(&[])?)?.send().await?).is_err() {
        ensure!(started.elapsed() < 2 * ROTATION, "the old key was not found again");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(format!("found, and the old one gone: {found}"))
}

async fn authentication_survives(issuer: &Issuer) -> Verdict {
    let said = issuer.id_claims()?;
    let auth_time = said.get("auth_time").cloned().unwrap_or_default();
    let child = exchanged(issuer, &[("auth_time", auth_time.clone())]).await?.claims()?;
    for (name, value) in
        [("auth_time", &auth_time), ("acr", &json!("urn:example:gold")), ("amr", &json!(["pwd", "otp"]))]
    {
        ensure!(child.get(name) == Some(value), "{name} {:?}, was {value}", child.get(name));
    }
    Ok("auth_time, acr and amr".into())
}

async fn authentication_is_told(issuer: &Issuer) -> Verdict {
    let child = exchanged(issuer, &[]).await?;
    let reply = issuer.introspect_child(&child.token)?.send().await?;
    ensure!(is_active(&reply)?, "inactive");
    for name in ["acr", "auth_time"] {
        ensure!(reply.json.get(name).is_some(), "no {name}");
    }
    Ok("both".into())
}
