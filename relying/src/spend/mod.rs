//! The client of the server's `/budget` API: hold, capture, extend, void, charge, refund,
//! report and read.
//!
//! Every order goes out with an `Idempotency-Key` and is repeated with the same one when its
//! outcome is not known, so that it is done once or not at all. It keeps nothing: what must
//! survive this process is for [`Holds`](crate::Holds) and [`Counter`](crate::Counter).
//! It follows no redirect, which would carry the service's secret elsewhere.

mod answer;
mod error;
mod tries;

pub use answer::{LineState, MAX_ANSWER_BYTES, Receipt, Reported, Threshold};
pub use error::SpendError;

use crate::error::FetchError;
use crate::fetch;
use answer::Body;
use reqwest::{Client, Method};
use std::time::Duration;
use stipend_keys::{Secret, random_id};
use stipend_token::budget::{Amount, Unit};
use tries::Tries;
use url::Url;
use url::form_urlencoded::byte_serialize;

/// Tries of one order at most, whatever the options say.
pub const MAX_TRIES: u32 = 10;
/// Longest life of a hold that can be asked for, in seconds.
pub const MAX_HOLD_SECONDS: i64 = 3600;
/// How long the server remembers an `Idempotency-Key`.
pub const KEY_LIFE_SECONDS: i64 = 86_400;
/// Header of the key.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The service's own credentials (RFC 6749 section 2.3.1, `client_secret_basic`).
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    pub id: String,
    pub secret: Secret<String>,
}

impl ClientCredentials {
    #[must_use]
    pub fn new(id: &str, secret: &str) -> Self {
        Self { id: id.to_owned(), secret: Secret::new(secret.to_owned()) }
    }
}

/// What one order is known by. One key, one effect, for a day.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// A key that nobody had.
    #[must_use]
    pub fn random() -> Self {
        Self(random_id("ik_"))
    }

    pub(crate) fn kept(text: String) -> Self {
        Self(text)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The bounds of one order.
#[derive(Clone, Debug)]
pub struct SpendOptions {
    /// Requests at most for one order.
    pub tries: u32,
    /// Longest wait for one answer.
    pub try_timeout: Duration,
    /// Longest time for the order with all its tries.
    pub deadline: Duration,
    /// First pause between two tries; each further one is twice as long.
    pub pause: Duration,
    /// Certificates (PEM) of authorities to trust besides the system's.
    pub ca_pem: Option<Vec<u8>>,
}

impl Default for SpendOptions {
    fn default() -> Self {
        Self {
            tries: 4,
            try_timeout: Duration::from_secs(3),
            deadline: Duration::from_secs(10),
            pause: Duration::from_millis(100),
            ca_pem: None,
        }
    }
}

/// Spends from the budgets of others, as one service. Make it once, share it.
#[derive(Debug)]
pub struct Spender {
    http: Client,
    endpoint: String,
    client: ClientCredentials,
    options: SpendOptions,
}

impl Spender {
    /// A client of the API at `endpoint`, which [`Verifier::budget_endpoint`] names.
    ///
    /// [`Verifier::budget_endpoint`]: crate::Verifier::budget_endpoint
    ///
    /// # Errors
    /// [`FetchError`] where the URL is neither https nor loopback, or the client can't be made.
    pub fn new(endpoint: &Url, client: ClientCredentials, options: SpendOptions) -> Result<Self, FetchError> {
        let http = fetch::client_for(endpoint, options.ca_pem.as_deref(), options.try_timeout)?;
        let endpoint = endpoint.as_str().trim_end_matches('/').to_owned();
        Ok(Self { http, endpoint, client, options })
    }

    /// Sets `amount` aside for `seconds` (1 to 3600), on every line that pays for the token.
    ///
    /// # Errors
    /// [`SpendError`], here and below. Amounts are in the unit's smallest part.
    pub async fn hold(
        &self,
        key: &IdempotencyKey,
        token: &str,
        unit: &Unit,
        amount: Amount,
        seconds: i64,
    ) -> Result<Receipt, SpendError> {
        let mut form = self.spending(token, unit, amount);
        form.push(("expires_in", seconds.clamp(1, MAX_HOLD_SECONDS).to_string()));
        self.run("holds", Some(key), &form, Body::held).await
    }

    /// Spends from a hold; with `last`, frees the rest of it.
    pub async fn capture(
        &self,
        key: &IdempotencyKey,
        hold: &str,
        amount: Amount,
        last: bool,
    ) -> Result<Receipt, SpendError> {
        let form = [("amount", amount.to_string()), ("final", last.to_string())];
        self.order(&of_hold(hold, "capture"), key, &form).await
    }

    /// Lets a hold live for `seconds` from now on.
    pub async fn extend(&self, key: &IdempotencyKey, hold: &str, seconds: i64) -> Result<Receipt, SpendError> {
        let form = [("expires_in", seconds.clamp(1, MAX_HOLD_SECONDS).to_string())];
        self.order(&of_hold(hold, "extend"), key, &form).await
    }

    /// Frees a hold.
    pub async fn void(&self, key: &IdempotencyKey, hold: &str) -> Result<Receipt, SpendError> {
        self.order(&of_hold(hold, "void"), key, &[]).await
    }

    /// Hold and capture in one.
    pub async fn charge(
        &self,
        key: &IdempotencyKey,
        token: &str,
        unit: &Unit,
        amount: Amount,
    ) -> Result<Receipt, SpendError> {
        self.order("charges", key, &self.spending(token, unit, amount)).await
    }

    /// Gives back what a capture spent, or a part.
    pub async fn refund(&self, key: &IdempotencyKey, capture: &str, amount: Amount) -> Result<Receipt, SpendError> {
        self.order("refunds", key, &[("capture", capture.to_owned()), ("amount", amount.to_string())]).await
    }

    /// Says what was spent from a carved line so far, in all; with `last`, for good.
    pub async fn report(
        &self,
        key: &IdempotencyKey,
        line: &str,
        spent: Amount,
        last: bool,
    ) -> Result<Reported, SpendError> {
        let form = [("line", line.to_owned()), ("spent", spent.to_string()), ("final", last.to_string())];
        self.run("reports", Some(key), &form, Body::reported).await
    }

    /// A line as the server keeps it.
    pub async fn read(&self, line: &str) -> Result<LineState, SpendError> {
        self.run(&format!("lines/{}", encoded(line)), None, &[], Body::line).await
    }

    /// Longest time one order may take.
    pub(crate) fn deadline(&self) -> Duration {
        self.options.deadline
    }

    fn spending(&self, token: &str, unit: &Unit, amount: Amount) -> Vec<(&'static str, String)> {
        vec![
            ("token", token.to_owned()),
            ("unit", unit.code().to_owned()),
            ("decimals", unit.decimals().to_string()),
            ("amount", amount.to_string()),
        ]
    }

    async fn order(
        &self,
        path: &str,
        key: &IdempotencyKey,
        form: &[(&'static str, String)],
    ) -> Result<Receipt, SpendError> {
        self.run(path, Some(key), form, Body::receipt).await
    }

    /// Without a key it is a question.
    async fn run<T>(
        &self,
        path: &str,
        key: Option<&IdempotencyKey>,
        form: &[(&'static str, String)],
        read: fn(&Body) -> Option<T>,
    ) -> Result<T, SpendError> {
        let url = format!("{}/{path}", self.endpoint);
        let request = || {
            // RFC 6749 section 2.3.1: both parts are form-encoded first.
            let secret = encoded(self.client.secret.expose());
            let method = if key.is_some() { Method::POST } else { Method::GET };
            let request = self.http.request(method, &url).basic_auth(encoded(&self.client.id), Some(secret));
            match key {
                Some(key) => request.header(IDEMPOTENCY_KEY, key.as_str()).form(form),
                None => request,
            }
        };
        Tries::new(&self.options).run(request, read).await
    }
}

fn of_hold(hold: &str, verb: &str) -> String {
    format!("holds/{}/{verb}", encoded(hold))
}

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}
