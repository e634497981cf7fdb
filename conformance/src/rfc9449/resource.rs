//! RFC 9449 section 7: bound tokens at the endpoints that the profile calls protected.

use serde_json::{Value, json};

use crate::check::{Miss, Verdict, checks, ensure, fail};
use crate::dpop::{Change, Prover};
use crate::encode::now;
use crate::issuer::{Issuer, granted};
use crate::profile::Protected;
use crate::protected::{challenged, challenges, let_in};

checks! { "dpop";
    "DP18" M "RFC 9449 7" "a proof names the token by ath" => names_the_token;
    "DP18/target" M "RFC 9449 7" "and its method, URL and time" => names_the_request;
    "DP18/once" S "RFC 9449 11.1" "a proof is used once at a resource too" => once;
    "DP19" M "RFC 9449 7.1" "a proof by another key is refused" => another_key;
    "DP20" M "RFC 9449 7.2" "a bound token is no bearer token" => no_bearer_token;
    "DP20/unbound" M "RFC 9449 7.1" "an unbound token is no DPoP token" => no_dpop_token;
    "DP21" S "RFC 9449 7.1" "the challenge names the algorithms, and no error where nothing was sent" => challenge;
    "DP23" H "RFC 9110 11.1" "the scheme is read in any case" => any_case;
}

const ERRORS: &[&str] = &["invalid_dpop_proof", "invalid_token", "use_dpop_nonce"];

async fn bound(issuer: &Issuer, place: &Protected, prover: &Prover) -> Result<String, Miss> {
    let request = issuer.grant_at(place, &place.client, &place.scope)?;
    let issued = granted(issuer.proved(&request, prover, None, &[]).await?)?;
    ensure!(issued.reply.text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("DPoP")), "an unbound token");
    Ok(issued.token)
}

/// A good proof is let in; each of the changes is refused.
async fn refuses(issuer: &Issuer, place: &Protected, changes: &[(&str, Change)]) -> Verdict {
    let prover = Prover::new()?;
    let token = bound(issuer, place, &prover).await?;
    let call = issuer.call_with(place, "DPoP", &token);
    let_in(&issuer.proved(&call, &prover, Some(&token), &[]).await?)?;
    for (what, change) in changes {
        let reply = issuer.proved(&call, &prover, Some(&token), std::slice::from_ref(change)).await?;
        challenged(&reply, 401, "DPoP", ERRORS).map_err(|miss| miss.at(what))?;
    }
    Ok(format!("{} refused", changes.len()))
}

async fn names_the_token(issuer: &Issuer) -> Verdict {
    let changes = [
        ("no ath", Change::Claim("ath", Value::Null)),
        ("ath of another token", Change::Claim("ath", json!(crate::dpop::ath("another")))),
        ("ath of another type", Change::Claim("ath", json!([1]))),
    ];
    issuer.at_each(|place| refuses(issuer, place, &changes)).await
}

async fn names_the_request(issuer: &Issuer) -> Verdict {
    let endpoint = issuer.endpoint("token_endpoint")?;
    let changes = [
        ("another method", Change::Claim("htm", json!("PUT"))),
        ("the token endpoint", Change::Claim("htu", json!(endpoint))),
        ("an hour ago", Change::Claim("iat", json!(now() - 3_600))),
        ("an hour ahead", Change::Claim("iat", json!(now() + 3_600))),
        ("another type", Change::Header("typ", json!("JWT"))),
    ];
    issuer.at_each(|place| refuses(issuer, place, &changes)).await
}

async fn once(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let prover = Prover::new()?;
            let token = bound(issuer, place, &prover).await?;
            let call = issuer.call_with(place, "DPoP", &token);
            let nonce = issuer.nonce_for(&call, &prover, Some(&token)).await?;
            let sent = call.clone().header("DPoP", &prover.proof(&call, Some(&token), nonce.as_deref(), &[]));
            let_in(&sent.send().await?)?;
            challenged(&sent.send().await?, 401, "DPoP", ERRORS)
        })
        .await
}

async fn another_key(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let (own, other) = (Prover::new()?, Prover::new()?);
            let token = bound(issuer, place, &own).await?;
            let call = issuer.call_with(place, "DPoP", &token);
            let_in(&issuer.proved(&call, &own, Some(&token), &[]).await?)?;
            let reply = issuer.proved(&call, &other, Some(&token), &[]).await?;
            challenged(&reply, 401, "DPoP", ERRORS)
        })
        .await
}

async fn no_bearer_token(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let prover = Prover::new()?;
            let token = bound(issuer, place, &prover).await?;
            let call = issuer.call_with(place, "Bearer", &token);
            let bare = call.send().await?;
            ensure!(bare.status == 401, "without a proof: {}", bare.brief());
            let reply = issuer.proved(&call, &prover, Some(&token), &[]).await?;
            ensure!(reply.status == 401, "beside a good proof: {}", reply.brief());
            let call = issuer.call_with(place, "DPoP", &token);
            let reply = call.send().await?;
            challenged(&reply, 401, "DPoP", ERRORS).map_err(|miss| miss.at("as DPoP without a proof"))
        })
        .await
}

async fn no_dpop_token(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let prover = Prover::new()?;
            let token = issuer.token_at(place).await?.token;
            let_in(&issuer.call_with(place, "Bearer", &token).send().await?)?;
            let call = issuer.call_with(place, "DPoP", &token);
            let reply = issuer.proved(&call, &prover, Some(&token), &[]).await?;
            challenged(&reply, 401, "DPoP", ERRORS)
        })
        .await
}

async fn challenge(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let reply = issuer.call(place).send().await?;
            ensure!(reply.status == 401, "{}", reply.brief());
            let all = challenges(&reply);
            let Some(dpop) = all.iter().find(|one| one.scheme.eq_ignore_ascii_case("DPoP")) else {
                return fail(format!("no DPoP challenge in {:?}", reply.all("www-authenticate")));
            };
            let algs = dpop.get("algs").unwrap_or_default();
            ensure!(algs.split(' ').any(|alg| alg == "ES256"), "algs {algs:?}");
            let error = all.iter().find_map(|one| one.get("error"));
            ensure!(error.is_none(), "error {error:?} although nothing was sent");
            Ok(algs.to_owned())
        })
        .await
}

async fn any_case(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let prover = Prover::new()?;
            let token = bound(issuer, place, &prover).await?;
            for scheme in ["dpop", "DPOP"] {
                let call = issuer.call_with(place, scheme, &token);
                let reply = issuer.proved(&call, &prover, Some(&token), &[]).await?;
                let_in(&reply).map_err(|miss| miss.at(scheme))?;
            }
            Ok("dpop, DPOP".into())
        })
        .await
}
