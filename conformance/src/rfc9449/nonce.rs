//! RFC 9449 sections 8, 9 and 11.3: nonces, where the issuer demands them.

use serde_json::json;

use crate::check::{Miss, Verdict, checks, ensure, fail, skip};
use crate::dpop::{Change, Prover, demanded_nonce};
use crate::http::Reply;
use crate::issuer::{Issuer, granted, refused};
use crate::protected::{challenged, let_in};

checks! { "dpop_nonce";
    "DP15" M "RFC 9449 8" "a proof without nonce: 400 use_dpop_nonce and one DPoP-Nonce" => demanded;
    "DP15/reuse" M "RFC 9449 8" "a nonce is good for more than one proof" => again;
    "DP15/wrong" M "RFC 9449 8" "a nonce that was not given out is refused" => wrong;
    "DP15/guess" M "RFC 9449 8" "nonces are unpredictable" => unpredictable;
    "DP16" M "RFC 9449 11.3" "once a nonce was given, proofs without one are refused" => never_without;
    "DP17" S "RFC 9449 9" "a resource asks for one by its challenge" => at_a_resource;
}

async fn asked(issuer: &Issuer) -> Result<(Reply, String), Miss> {
    if !issuer.dpop()?.nonce {
        return skip("the issuer demands no nonces, says the profile");
    }
    let (request, prover) = (issuer.grant(&issuer.dpop()?.client)?, Prover::new()?);
    let reply = request.clone().header("DPoP", &prover.proof(&request, None, None, &[])).send().await?;
    match demanded_nonce(&reply).map(str::to_owned) {
        Some(nonce) => Ok((reply, nonce)),
        None => fail(format!("without a nonce: {}, DPoP-Nonce {:?}", reply.brief(), reply.header("dpop-nonce"))),
    }
}

async fn demanded(issuer: &Issuer) -> Verdict {
    let (reply, nonce) = asked(issuer).await?;
    refused(&reply, &["use_dpop_nonce"])?;
    ensure!(reply.all("dpop-nonce").len() == 1, "DPoP-Nonce {:?}", reply.all("dpop-nonce"));
    // RFC 9449 section 8.1: NQCHAR of RFC 6749.
    let legal = nonce.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    ensure!(legal, "characters of {nonce:?}");
    Ok(reply.brief())
}

/// A proof with this nonce.
async fn with(issuer: &Issuer, nonce: &str) -> Result<Reply, Miss> {
    let (request, prover) = (issuer.grant(&issuer.dpop()?.client)?, Prover::new()?);
    request.clone().header("DPoP", &prover.proof(&request, None, Some(nonce), &[])).send().await
}

async fn again(issuer: &Issuer) -> Verdict {
    let (_, nonce) = asked(issuer).await?;
    for round in ["first", "second"] {
        granted(with(issuer, &nonce).await?).map_err(|miss| miss.at(round))?;
    }
    Ok("twice".into())
}

async fn wrong(issuer: &Issuer) -> Verdict {
    let (_, nonce) = asked(issuer).await?;
    granted(with(issuer, &nonce).await?)?;
    for other in ["x".to_owned(), format!("{nonce}x"), nonce.chars().rev().collect()] {
        let reply = with(issuer, &other).await?;
        refused(&reply, &["use_dpop_nonce", "invalid_dpop_proof"]).map_err(|miss| miss.at(&other))?;
    }
    let (request, prover) = (issuer.grant(&issuer.dpop()?.client)?, Prover::new()?);
    let proof = prover.proof(&request, None, None, &[Change::Claim("nonce", json!([nonce]))]);
    refused(&request.header("DPoP", &proof).send().await?, &["use_dpop_nonce", "invalid_dpop_proof"])
}

async fn unpredictable(issuer: &Issuer) -> Verdict {
    let (_, nonce) = asked(issuer).await?;
    // What a stranger can tell from outside: long enough, and no date to be guessed.
    ensure!(nonce.len() >= 16, "{} characters", nonce.len());
    let digits = nonce.bytes().filter(u8::is_ascii_digit).count();
    ensure!(digits < nonce.len(), "a number: {nonce}");
    Ok(format!("{} characters", nonce.len()))
}

async fn never_without(issuer: &Issuer) -> Verdict {
    let (_, nonce) = asked(issuer).await?;
    granted(with(issuer, &nonce).await?)?;
    let (reply, _) = asked(issuer).await?;
    refused(&reply, &["use_dpop_nonce"])
}

async fn at_a_resource(issuer: &Issuer) -> Verdict {
    asked(issuer).await?;
    issuer
        .at_each(|place| async move {
            let prover = Prover::new()?;
            let request = issuer.grant_at(place, &place.client, &place.scope)?;
            let token = granted(issuer.proved(&request, &prover, None, &[]).await?)?.token;
            let call = issuer.call_with(place, "DPoP", &token);
            let reply = call.clone().header("DPoP", &prover.proof(&call, Some(&token), None, &[])).send().await?;
            let seen = challenged(&reply, 401, "DPoP", &["use_dpop_nonce"])?;
            ensure!(reply.all("dpop-nonce").len() == 1, "DPoP-Nonce {:?}", reply.all("dpop-nonce"));
            let_in(&issuer.proved(&call, &prover, Some(&token), &[]).await?)?;
            Ok(seen)
        })
        .await
}
