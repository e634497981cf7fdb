//! Client authentication (RFC 6749 section 2.3, RFC 7521 section 4.2): the only maker of
//! [`AuthenticatedClient`]. Exactly one method per request, and the registered one.

mod assertion;
mod basic;
mod certificate;
mod document;
mod federated;
mod marks;
mod proofs;
mod secret;
mod spiffe_id;
mod throttle;

pub use basic::{BasicCredentials, MalformedBasic};
pub use marks::Marks;
pub use proofs::Proofs;
pub use spiffe_id::SpiffeId;
pub use throttle::Failures;

use crate::app::App;
use crate::audit::Origin;
use crate::certificate::ClientCertificate;
use crate::form::Params;
use crate::pace::Pace;
use crate::rates::HeldUp;
use crate::reason::Reason;
use crate::records::{AuthMethod, Client};
use crate::telemetry::{self, Phase, phase};
use std::sync::Arc;
use stipend_keys::{Secret, Unverified};
use stipend_schema::{Burn, Dep};
use stipend_token::json::str_member;

/// A client that has proved who it is.
#[derive(Debug)]
pub struct AuthenticatedClient {
    pub client: Arc<Client>,
    pub method: AuthMethod,
    /// A single-use assertion, used up with whatever is recorded of the request.
    pub burn: Option<Burn>,
    pub deps: Vec<Dep>,
}

/// A refused authentication, with the client that was claimed.
#[derive(Clone, Debug)]
pub struct AuthFailure {
    pub reason: Reason,
    pub claimed: Option<String>,
}

impl AuthFailure {
    fn new(reason: Reason, claimed: Option<&str>) -> Self {
        Self { reason, claimed: claimed.map(str::to_owned) }
    }
}

/// What the request brings to prove its client.
#[derive(Debug)]
pub struct Credentials<'a> {
    /// The `Authorization` header, if there is one.
    pub authorization: Option<&'a [u8]>,
    /// What the client proved on its connection.
    pub certificate: Option<&'a ClientCertificate>,
    pub params: &'a Params,
    pub origin: &'a Origin,
    pub pace: Pace,
}

/// What was presented, before anything is believed.
enum Presented {
    Secret { id: String, secret: Secret<String>, method: AuthMethod },
    Assertion { jwt: String, client_id: Option<String> },
    Svid { jwt: String, client_id: Option<String> },
    Certificate { id: String, certificate: ClientCertificate },
}

/// Authenticates the client of a request, and counts the request as one of its client's: after
/// that, so that nobody uses up what is another's.
///
/// # Errors
/// [`AuthFailure`]; nothing was burned and nothing changed.
pub async fn authenticate(app: &App, credentials: &Credentials<'_>) -> Result<AuthenticatedClient, AuthFailure> {
    let _timed = phase(Phase::Authenticate);
    let authenticated = prove(app, credentials).await?;
    let client = &authenticated.client;
    telemetry::client(&client.id);
    count(app, client, &credentials.pace).await.map_err(|reason| AuthFailure::new(reason, Some(&client.id)))?;
    Ok(authenticated)
}

/// Counts a request, once, as one of its client's and of its owner's.
///
/// # Errors
/// [`Reason::RateLimited`], or that nobody can tell.
pub async fn count(app: &App, client: &Client, pace: &Pace) -> Result<(), Reason> {
    if !pace.count() {
        return Ok(());
    }
    app.rates.admit(client, app.clock.micros()).await.map_err(|held| match held {
        HeldUp::For(micros) => {
            pace.hold_up(micros);
            Reason::RateLimited
        }
        HeldUp::Unknown => Reason::StoreUnavailable,
    })
}

async fn prove(app: &App, credentials: &Credentials<'_>) -> Result<AuthenticatedClient, AuthFailure> {
    match presented(credentials)? {
        Presented::Secret { id, secret, method } => {
            secret::authenticate(app, &id, secret, method, (credentials.origin.source, &credentials.pace)).await
        }
        Presented::Assertion { jwt, client_id } => {
            let certified = credentials.certificate.is_some();
            assertion::authenticate(app, &jwt, client_id.as_deref(), certified, credentials.origin).await
        }
        Presented::Svid { jwt, client_id } => svid(app, &jwt, client_id.as_deref()).await,
        Presented::Certificate { id, certificate } => certificate::authenticate(app, &id, &certificate).await,
    }
}

/// A JWT-SVID, of the client that `client_id` names or else of the one that its id is registered
/// for (RFC 7521 section 4.2: `client_id` is optional where the assertion says it).
async fn svid(app: &App, jwt: &str, client_id: Option<&str>) -> Result<AuthenticatedClient, AuthFailure> {
    let fail = |reason| AuthFailure::new(reason, client_id);
    let token = Unverified::parse(jwt).map_err(|_| fail(Reason::AssertionMalformed))?;
    let named = client_id.or(str_member(token.claims(), "sub").ok().flatten());
    let named = named.ok_or_else(|| fail(Reason::AssertionSubject))?.to_owned();
    let client = find_named(app, &named).await.map_err(&fail)?;
    if client.auth_method != AuthMethod::SpiffeJwt {
        return Err(AuthFailure::new(Reason::WrongAuthMethod, Some(&client.id)));
    }
    federated::authenticate(app, client, token).await
}

/// The client of this id, or the one client that this SPIFFE ID is registered for. Where it is
/// registered for several, it does not say which is meant.
async fn find_named(app: &App, named: &str) -> Result<Arc<Client>, Reason> {
    let mut id = named.to_owned();
    if spiffe_id::is_spiffe(named) {
        let workload = SpiffeId::parse(named).ok_or(Reason::UnknownClient)?;
        let found = app.records.clients_of_workload(workload.as_str()).await?;
        let Ok([only]) = <[String; 1]>::try_from(found) else { return Err(Reason::UnknownClient) };
        id = only;
    }
    app.records.find_client(&id).await?.ok_or(Reason::UnknownClient)
}

fn presented(credentials: &Credentials<'_>) -> Result<Presented, AuthFailure> {
    let params = credentials.params;
    let client_id = params.one("client_id");
    let fail = |reason| AuthFailure::new(reason, client_id);
    let basic = match credentials.authorization {
        Some(header) => Some(basic::parse(header).map_err(|error| {
            fail(match error {
                MalformedBasic::OtherScheme => Reason::UnknownAuthScheme,
                MalformedBasic::Malformed => Reason::MalformedBasic,
            })
        })?),
        None => None,
    };
    let post = params.one("client_secret");
    let assertion = params.one("client_assertion");
    let assertion_type = params.one("client_assertion_type");
    // RFC 6749 section 2.3: not more than one method in each request.
    let methods = [basic.is_some(), post.is_some(), assertion.is_some() || assertion_type.is_some()];
    if methods.into_iter().filter(|used| *used).count() > 1 {
        return Err(fail(Reason::SeveralAuthMethods));
    }
    if let Some(BasicCredentials { id, secret }) = basic {
        // A client_id in the body names the same client or none.
        if client_id.is_some_and(|named| named != id) {
            return Err(AuthFailure::new(Reason::ClientIdMismatch, Some(&id)));
        }
        return Ok(Presented::Secret { id, secret, method: AuthMethod::ClientSecretBasic });
    }
    if let Some(secret) = post {
        let id = client_id.ok_or_else(|| fail(Reason::NoClientAuthentication))?.to_owned();
        let secret = Secret::new(secret.to_owned());
        return Ok(Presented::Secret { id, secret, method: AuthMethod::ClientSecretPost });
    }
    match (assertion, assertion_type) {
        (Some(jwt), Some(assertion::JWT_BEARER)) => {
            Ok(Presented::Assertion { jwt: jwt.to_owned(), client_id: client_id.map(str::to_owned) })
        }
        (Some(jwt), Some(federated::JWT_SPIFFE)) => {
            Ok(Presented::Svid { jwt: jwt.to_owned(), client_id: client_id.map(str::to_owned) })
        }
        (Some(_), Some(_)) => Err(fail(Reason::AssertionTypeUnknown)),
        (Some(_), None) | (None, Some(_)) => Err(fail(Reason::AssertionTypeMissing)),
        // RFC 8705 section 2: client_id is required. Beside another method a certificate is no
        // second one: tokens may be bound to it all the same (section 3).
        (None, None) => match (client_id, credentials.certificate) {
            (Some(id), Some(certificate)) => {
                Ok(Presented::Certificate { id: id.to_owned(), certificate: certificate.clone() })
            }
            _ => Err(fail(Reason::NoClientAuthentication)),
        },
    }
}
