//! `client_secret_basic` and `client_secret_post`.
//!
//! Argon2id costs tens of milliseconds and 19 MiB, so it runs once per secret and
//! record, in one bounded worker, and who asks the same meanwhile shares the run. A secret
//! proved before is compared by a keyed MAC.

use super::{AuthFailure, AuthenticatedClient};
use crate::admission::aside;
use crate::app::App;
use crate::deps;
use crate::limits::MAX_VALID_SECRETS;
use crate::pace::Pace;
use crate::reason::Reason;
use crate::records::{AuthMethod, Client, ClientSecret};
use std::iter;
use std::net::IpAddr;
use std::sync::Arc;
use stipend_keys::Secret;
use tokio::sync::oneshot;

pub(super) async fn authenticate(
    app: &App,
    id: &str,
    secret: Secret<String>,
    method: AuthMethod,
    (source, pace): (Option<IpAddr>, &Pace),
) -> Result<AuthenticatedClient, AuthFailure> {
    let fail = |reason| AuthFailure::new(reason, Some(id));
    let now = app.clock.now();
    let client = app.records.find_client(id).await.map_err(|_| fail(Reason::StoreUnavailable))?;
    let mac = app.mac.mac(&[id.as_bytes(), secret.expose().as_bytes()]);
    let stored = match client.as_ref().and_then(|client| proved_before(client, &mac, now)) {
        Some(stored) => stored,
        None => first_proof(app, client.as_deref(), (id, &secret, mac), source, pace).await.map_err(fail)?,
    };
    app.marks.note(stored, id, &secret, now);
    let client = client.as_ref().ok_or_else(|| fail(Reason::UnknownClient))?;
    if client.auth_method != method {
        return Err(fail(Reason::WrongAuthMethod));
    }
    if !client.stands(now) {
        return Err(fail(Reason::ClientNotActive));
    }
    let deps = vec![deps::client(&client.id), deps::owner(&client.owner_id)];
    Ok(AuthenticatedClient { client: Arc::clone(client), method, burn: None, deps })
}

fn proved_before<'c>(client: &'c Client, mac: &[u8; 32], now: i64) -> Option<&'c ClientSecret> {
    client
        .secrets
        .iter()
        .filter(|stored| now < stored.expires_at)
        .find(|stored| stored.proved.get().is_some_and(|known| stipend_keys::constant_time_eq(known, mac)))
}

/// Proves a secret that this node has not seen proved, unless too many failed before it. A secret
/// that was proved before, on whatever node, is never held up by somebody else's guessing.
async fn first_proof<'c>(
    app: &App,
    client: Option<&'c Client>,
    (id, secret, mac): (&str, &Secret<String>, [u8; 32]),
    source: Option<IpAddr>,
    pace: &Pace,
) -> Result<&'c ClientSecret, Reason> {
    let cells = &app.rates.cells;
    let held_up = app.failures.hold_up(cells, id, source, app.clock.micros()).await;
    if let Some(micros) = held_up
        && !app.marks.knows(id, secret, app.clock.now()).await
    {
        pace.hold_up(micros);
        return Err(Reason::TooManyFailures);
    }
    let proved = prove(app, client, secret, mac, app.clock.now()).await;
    if proved.as_ref().is_err_and(|reason| *reason != Reason::Busy) {
        app.failures.count(cells, id, source, app.clock.micros()).await;
        if held_up.is_some() {
            // It was good once and is no more: from now on it is a guess like any other.
            app.marks.forget(id, secret).await;
        }
    }
    proved
}

/// Runs Argon2id over the valid secrets of the client, once for all requests that ask the same
/// at the same time: this client, this secret, these hashes.
async fn prove<'c>(
    app: &App,
    client: Option<&'c Client>,
    secret: &Secret<String>,
    mac: [u8; 32],
    now: i64,
) -> Result<&'c ClientSecret, Reason> {
    let secrets = client.into_iter().flat_map(|client| &client.secrets);
    let valid: Vec<&ClientSecret> = secrets.filter(|stored| now < stored.expires_at).take(MAX_VALID_SECRETS).collect();
    let parts: Vec<&[u8]> = iter::once(&mac[..]).chain(valid.iter().map(|stored| stored.hash.as_bytes())).collect();
    let question = app.mac.mac(&parts);
    // Argon2id has a queue of its own, and a flood of wrong secrets must not keep seats.
    let matched = aside(app.proofs.ask(question, async || run(app, secret, &valid).await)).await?;
    match matched.and_then(|at| valid.get(at)) {
        Some(stored) => {
            // Losing this race to another request loses nothing.
            let _ = stored.proved.set(mac);
            Ok(stored)
        }
        None => Err(if client.is_some() { Reason::WrongSecret } else { Reason::UnknownClient }),
    }
}

/// Which of the hashes the secret matches. A failure always takes as many runs as a client can
/// have secrets, so that its time tells neither whether the client exists nor how many it has.
async fn run(app: &App, secret: &Secret<String>, valid: &[&ClientSecret]) -> Result<Option<usize>, Reason> {
    for at in 0..MAX_VALID_SECRETS {
        let copy = Secret::new(secret.expose().clone());
        let stored = valid.get(at);
        if verify(app, copy, stored.map(|stored| stored.hash.clone())).await? && stored.is_some() {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

async fn verify(app: &App, secret: Secret<String>, hash: Option<String>) -> Result<bool, Reason> {
    let (answer, answered) = oneshot::channel();
    app.secrets
        .try_verify(secret, hash, move |matches| {
            // A client that hung up needs no answer.
            let _ = answer.send(matches);
        })
        .map_err(|_| Reason::Busy)?;
    answered.await.map_err(|_| Reason::Busy)
}
