//! RFC 6749 2.3.1 and 10.10: guessing a secret is slowed down.
//!
//! Runs last: an issuer that throttles by source may be cross with us for a
//! while.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::check::{Miss, Verdict, checks, ensure, fail};
use crate::client::basic;
use crate::encode::nonce;
use crate::issuer::{Issuer, granted};

checks! { "throttling";
    "T19" M "RFC 6749 2.3.1" "guessing is throttled; the right secret works afterwards" => guessing_is_throttled;
}

const AT_ONCE: usize = 8;
const PATIENCE_SECONDS: u64 = 60;

async fn guessing_is_throttled(issuer: &Issuer) -> Verdict {
    let client = issuer.client("basic")?;
    let limit = issuer.profile.capabilities.guesses;
    let mut tried = 0;
    let mut throttled = None;
    while tried < limit && throttled.is_none() {
        let mut round = JoinSet::new();
        for _ in 0..AT_ONCE {
            let guess = basic(issuer.bare_grant()?, &client.id, &nonce()).impatient();
            round.spawn(async move { guess.send().await });
        }
        while let Some(reply) = round.join_next().await {
            let reply = reply.map_err(|error| Miss::Fail(error.to_string()))??;
            tried += 1;
            match reply.status {
                400 | 401 => {}
                429 | 503 => throttled = Some(reply.status),
                _ => return fail(format!("guess {tried}: {}", reply.brief())),
            }
        }
    }
    ensure!(throttled.is_some(), "{tried} wrong secrets, none throttled");
    let waited = right_secret_works(issuer).await?;
    let status = throttled.unwrap_or_default();
    Ok(format!("{status} within {tried} guesses; the right secret worked after {waited} s"))
}

/// Seconds until the right secret was accepted again.
async fn right_secret_works(issuer: &Issuer) -> Result<u64, Miss> {
    for waited in 0..PATIENCE_SECONDS {
        let reply = issuer.grant("basic")?.impatient().send().await?;
        if granted(reply).is_ok() {
            return Ok(waited);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    fail(format!("the right secret was still refused after {PATIENCE_SECONDS} s"))
}
