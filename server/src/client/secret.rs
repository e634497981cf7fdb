//! `client_secret_basic` and `client_secret_post`.
//!
//! Argon2id costs tens of milliseconds and 19 MiB, so it runs once per secret and
//! record, in one bounded worker, and who asks the same meanwhile shares the run. A secret
//! proved before is compared by a keyed MAC.

use super::{AuthFailure, AuthenticatedClient};
use crate::app::App;
use crate::deps;
use crate::limits::MAX_VALID_SECRETS;
use crate::reason::Reason;
use crate::records::{AuthMethod, Client, ClientSecret};
use std::iter;
use std::net::IpAddr;
use stipend_keys::Secret;
use tokio::sync::oneshot;

pub(super) async fn authenticate(
    app: &App,
    id: &str,
    secret: Secret<String>,
    method: AuthMethod,
    source: Option<IpAddr>,
) -> Result<AuthenticatedClient, AuthFailure> {
    let fail = |reason| AuthFailure::new(reason, Some(id));
    let now = app.clock.now();
    let client = app.records.find_client(id).await.map_err(|_| fail(Reason::StoreUnavailable))?;
    let mac = app.mac.mac(&[id.as_bytes(), secret.expose().as_bytes()]);
    let proved = client.as_ref().is_some_and(|client| proved_before(client, &mac, now));
    if !proved {
        // A secret proved before is never held up by somebody else's guessing.
        if app.failures.blocked(id, source, now) {
            return Err(fail(Reason::TooManyFailures));
        }
        if let Err(reason) = prove(app, client.as_deref(), secret, mac, now).await {
            if reason != Reason::Busy {
                app.failures.count(id, source, now);
            }
            return Err(fail(reason));
        }
    }
    let client = client.ok_or_else(|| fail(Reason::UnknownClient))?;
    if client.auth_method != method {
        return Err(fail(Reason::WrongAuthMethod));
    }
    if !client.stands(now) {
        return Err(fail(Reason::ClientNotActive));
    }
    let deps = vec![deps::client(&client.id), deps::owner(&client.owner_id)];
    Ok(AuthenticatedClient { client, method, burn: None, deps })
}

fn proved_before(client: &Client, mac: &[u8; 32], now: i64) -> bool {
    client
        .secrets
        .iter()
        .filter(|stored| now < stored.expires_at)
        .any(|stored| stored.proved.get().is_some_and(|known| stipend_keys::constant_time_eq(known, mac)))
}

/// Runs Argon2id over the valid secrets of the client, once for all requests that ask the same
/// at the same time: this client, this secret, these hashes.
async fn prove(
    app: &App,
    client: Option<&Client>,
    secret: Secret<String>,
    mac: [u8; 32],
    now: i64,
) -> Result<(), Reason> {
    let secrets = client.into_iter().flat_map(|client| &client.secrets);
    let valid: Vec<&ClientSecret> = secrets.filter(|stored| now < stored.expires_at).take(MAX_VALID_SECRETS).collect();
    let parts: Vec<&[u8]> = iter::once(&mac[..]).chain(valid.iter().map(|stored| stored.hash.as_bytes())).collect();
    let question = app.mac.mac(&parts);
    let matched = app.proofs.ask(question, async || run(app, &secret, &valid).await).await?;
    match matched.and_then(|at| valid.get(at)) {
        Some(stored) => {
            // Losing this race to another request loses nothing.
            let _ = stored.proved.set(mac);
            Ok(())
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
