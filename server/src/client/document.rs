//! `private_key_jwt` by a client whose `client_id` is the URL of its metadata document
//! (draft-ietf-oauth-client-id-metadata-document). The keys are those that the document has now,
//! and the client's records follow it; what else the records say counts as for any client.

use super::assertion::{Named, SigningKeys, check_claims, verify};
use super::{AuthFailure, AuthenticatedClient};
use crate::app::App;
use crate::audit::Origin;
use crate::deps;
use crate::documents::{DocumentKeys, Resolved, resolve, settle};
use crate::federation::Issuer;
use crate::reason::Reason;
use crate::records::AuthMethod;
use std::sync::Arc;
use stipend_keys::Unverified;

pub(super) async fn authenticate(
    app: &App,
    url: &str,
    token: Unverified,
    origin: &Origin,
) -> Result<AuthenticatedClient, AuthFailure> {
    let fail = |reason| AuthFailure::new(reason, Some(url));
    let now = app.clock.now();
    let resolved = resolve(app, url).await.map_err(&fail)?;
    let verified = by_document(app, &resolved, token, now).await.map_err(&fail)?;
    let legacy = resolved.client.as_ref().is_some_and(|client| client.legacy_assertion_aud);
    let named = Named { client_id: url, burned_as: &resolved.client_id, legacy_audience: legacy };
    let burn = check_claims(app, &named, verified.claims(), now).map_err(&fail)?;
    // Only now: who can't prove to be the client changes nothing about it.
    let client = settle(app, &resolved, origin).await.map_err(&fail)?;
    if !client.stands(now) {
        return Err(fail(Reason::ClientNotActive));
    }
    let deps = vec![deps::client(&client.id), deps::owner(&client.owner_id), deps::client_documents()];
    Ok(AuthenticatedClient { client, method: AuthMethod::PrivateKeyJwt, burn: Some(burn), deps })
}

async fn by_document(
    app: &App,
    resolved: &Resolved,
    token: Unverified,
    now: i64,
) -> Result<stipend_keys::Verified, Reason> {
    match &resolved.read.document.keys {
        DocumentKeys::Inline(keys, _) => verify(app, SigningKeys::Registered(keys), token, now).await,
        DocumentKeys::Published(url) => {
            let published = Arc::new(Issuer::of_client(&resolved.client_id, &resolved.entry.owner_id, url));
            verify(app, SigningKeys::Published(&published), token, now).await
        }
    }
}
