//! The token of a run: got, renewed before it ends, revoked. It leaves this process only for
//! the issuer.

use crate::cli::Session;
use crate::cli::error::CliError;
use crate::cli::oauth::{self, Wanted};
use crate::cli::print::Out;
use crate::cli::release::resource;
use parking_lot::Mutex;
use reqwest::Client;
use std::time::Duration;
use stipend_keys::Secret;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// Where the server says nothing of a token's life.
const DEFAULT_LIFE: Duration = Duration::from_secs(300);
/// Shortest wait between two tries to renew.
const MIN_WAIT: Duration = Duration::from_millis(500);
/// How much later than by our reckoning a token may end: the longest that a request takes.
const GRACE: Duration = Duration::from_secs(10);
/// Longest wait after one that failed.
const MAX_RETRY: Duration = Duration::from_secs(5);

/// A token that may be alive.
#[derive(Debug)]
struct Held {
    token: Secret<String>,
    life: Duration,
    ends: Instant,
}

/// All that it takes to get the token again.
#[derive(Debug)]
pub struct Keeper {
    http: Client,
    token_endpoint: String,
    revocation_endpoint: String,
    client: String,
    secret: Secret<String>,
    resource: [String; 1],
    scopes: Vec<String>,
    details: String,
    /// Newest last.
    held: Mutex<Vec<Held>>,
}

impl Keeper {
    pub async fn begin(session: &Session<'_>, scopes: Vec<String>, details: String) -> Result<Self, CliError> {
        let connection = session.api.connection;
        let metadata = session.api.metadata().await?;
        let keeper = Self {
            http: session.api.http.clone(),
            token_endpoint: metadata.token_endpoint.clone(),
            revocation_endpoint: metadata.revocation_endpoint.clone(),
            client: connection.client_id.clone(),
            secret: connection.load_secret()?,
            resource: [resource(&connection.issuer)],
            scopes,
            details,
            held: Mutex::new(Vec::new()),
        };
        keeper.renew().await?;
        Ok(keeper)
    }

    /// The newest token.
    pub fn token(&self) -> Option<Secret<String>> {
        self.held.lock().last().map(|held| held.token.clone())
    }

    async fn renew(&self) -> Result<(), CliError> {
        let wanted = Wanted { resources: &self.resource, scopes: &self.scopes, details: Some(&self.details) };
        // From before the request: it is renewed too early rather than too late.
        let asked = Instant::now();
        let got =
            oauth::client_credentials(&self.http, &self.token_endpoint, (&self.client, &self.secret), wanted).await?;
        let life = got.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs);
        let mut held = self.held.lock();
        // What has ended needs no revocation; so at most a few are held at a time.
        held.retain(|held| held.ends + GRACE > asked);
        held.push(Held { token: got.access_token, life, ends: asked + life });
        Ok(())
    }

    /// Renews until it is told to stop. A request under way is waited for: a token whose answer
    /// was dropped could not be revoked.
    pub async fn keep(&self, stop: &Notify, out: Out) {
        let mut failed = false;
        loop {
            let wait = self.wait(failed);
            tokio::select! {
                () = stop.notified() => return,
                () = sleep(wait) => {}
            }
            let renewed = self.renew().await;
            if let (Err(error), false) = (&renewed, failed) {
                out.note(format!("stipend: the token could not be renewed, which is tried again: {error}"));
            }
            failed = renewed.is_err();
        }
    }

    /// Two thirds of the token's life; less after a failure.
    fn wait(&self, failed: bool) -> Duration {
        let life = self.held.lock().last().map_or(DEFAULT_LIFE, |held| held.life);
        let wait = if failed { (life / 6).min(MAX_RETRY) } else { life * 2 / 3 };
        wait.max(MIN_WAIT)
    }

    /// Ends every token that may be alive.
    pub async fn revoke(&self) -> Result<(), CliError> {
        let held = std::mem::take(&mut *self.held.lock());
        let mut ended = Ok(());
        for held in held {
            let form = [("token", held.token.expose().as_str())];
            let client = (self.client.as_str(), &self.secret);
            let answer = oauth::form(&self.http, &self.revocation_endpoint, client, &form).await;
            ended = ended.and(answer.map(drop));
        }
        ended
    }
}
