//! Who is asking: the holder of a registration token, or of a client's registration access
//! token. Both are random and looked up or compared by their hash alone.

use super::bounds::{Given, Stored};
use super::template::Template;
use crate::app::App;
use crate::reason::Reason;
use crate::records::ClientState;
use serde::de::DeserializeOwned;
use stipend_keys::{constant_time_eq, sha256};
use stipend_schema::queries::{self, ClientBundle};
use stipend_schema::registration::{ClientRegistrationRow, RegistrationTokenRow};
use stipend_schema::{Db, DbError, OwnerRow};
use stipend_token::id::is_identifier;

/// Longest token that is looked at.
const MAX_TOKEN_BYTES: usize = 128;

/// Reads from the database, to the end whatever becomes of the request.
pub(crate) async fn load<T, Fut>(app: &App, query: impl FnOnce(Db) -> Fut) -> Result<T, Reason>
where
    T: Send + 'static,
    Fut: Future<Output = Result<T, DbError>> + Send + 'static,
{
    let read = app.store.run(query(app.store.db().clone())).await;
    read.ok().and_then(Result::ok).ok_or(Reason::StoreUnavailable)
}

/// What a column holds.
pub(crate) fn column<T: DeserializeOwned>(text: &str) -> Result<T, Reason> {
    serde_json::from_str(text).map_err(|error| {
        tracing::error!(%error, "a stored registration can't be read by this version");
        Reason::Internal
    })
}

/// A registration token that somebody has shown, in whatever state.
pub(super) struct Initial {
    pub token: RegistrationTokenRow,
    pub owner: OwnerRow,
}

pub(super) async fn find_initial(app: &App, bearer: &str) -> Result<Option<Initial>, Reason> {
    if !bearer.starts_with(super::INITIAL) || bearer.len() > MAX_TOKEN_BYTES {
        return Ok(None);
    }
    let hash = sha256(bearer.as_bytes());
    load(app, |db| async move {
        let Some(token) = queries::find_registration_token_by_hash(&db, hash).await? else { return Ok(None) };
        let owner = queries::find_owner(&db, &token.owner_id).await?;
        Ok(owner.map(|owner| Initial { token, owner }))
    })
    .await
}

impl Initial {
    /// Whether another client may be registered by it.
    pub fn check(&self, now: i64) -> Result<(), Reason> {
        let Self { token, owner } = self;
        let stands = token.state == "active" && owner.state == "active";
        if stands && now < token.expires_at && token.uses < token.max_uses {
            Ok(())
        } else {
            Err(Reason::RegistrationTokenEnded)
        }
    }
}

/// A registered client, for the holder of its registration access token.
pub(super) struct Held {
    pub registration: ClientRegistrationRow,
    pub bundle: ClientBundle,
    pub token: RegistrationTokenRow,
    pub template: Template,
    pub stored: Stored,
    /// What the client has now of what its registration decides.
    pub now: Given,
}

/// # Errors
/// [`Reason::RegistrationUnknown`] for whatever is no live registration of that token.
pub(super) async fn open(app: &App, client_id: &str, bearer: &str) -> Result<Held, Reason> {
    if !is_identifier(client_id) || !bearer.starts_with(super::ACCESS) || bearer.len() > MAX_TOKEN_BYTES {
        return Err(Reason::RegistrationUnknown);
    }
    let id = client_id.to_owned();
    let found = load(app, |db| async move {
        let Some(registration) = queries::find_client_registration(&db, &id).await? else { return Ok(None) };
        let bundle = queries::find_client_bundle(&db, &id).await?;
        let token = queries::find_registration_token(&db, &registration.token_id).await?;
        Ok(bundle.zip(token).map(|(bundle, token)| (registration, bundle, token)))
    });
    let (registration, bundle, token) = found.await?.ok_or(Reason::RegistrationUnknown)?;
    if !constant_time_eq(&sha256(bearer.as_bytes()), &registration.access_hash) {
        return Err(Reason::RegistrationUnknown);
    }
    let state: ClientState =
        serde_json::from_value(bundle.client.state.as_str().into()).map_err(|_| Reason::Internal)?;
    // RFC 7592 section 2: a client that is no more has no registration either.
    if matches!(state, ClientState::Revoked | ClientState::Retired) {
        return Err(Reason::RegistrationUnknown);
    }
    let (template, stored) = (column(&token.template)?, column(&registration.metadata)?);
    let now = Given {
        scope_ceiling: bundle.client.scope_ceiling.as_deref().map(column).transpose()?,
        settings: column(&bundle.client.settings)?,
    };
    Ok(Held { registration, bundle, token, template, stored, now })
}

impl Held {
    /// Whether the client may be read and deleted.
    pub fn check(&self, now: i64) -> Result<(), Reason> {
        let row = &self.bundle.client;
        let stands = row.state == "active" && self.bundle.owner.state == "active";
        if stands && row.expires_at.is_none_or(|at| now < at) { Ok(()) } else { Err(Reason::RegistrationClosed) }
    }

    /// Whether it may be changed: not by what came in with a token that was revoked since.
    pub fn check_change(&self, now: i64) -> Result<(), Reason> {
        self.check(now)?;
        if self.token.state == "active" { Ok(()) } else { Err(Reason::RegistrationClosed) }
    }
}
