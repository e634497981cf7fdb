//! The key-encryption keys: what each has wrapped, and wrapping anew what an earlier one has.
//! Rewrapping touches data keys only; the values stay as they were sealed.

use super::super::api::{KeyEncryptionKey, KeyEncryptionStatus};
use super::super::problem::Refusal;
use super::super::roles::Action;
use super::super::session::{Change, Session};
use crate::custody::{Place, SafeError};
use crate::deps;
use stipend_schema::custody::CredentialVersionRow;
use stipend_schema::{Row, Write, queries};

/// Versions wrapped anew by one call: whoever wants all calls again until none is left.
const REWRAP_PAGE: i64 = 50;

pub(in super::super) async fn status(session: &Session<'_>) -> Result<KeyEncryptionStatus, Refusal> {
    session.caller().check(Action::ReadKeyEncryption, None)?;
    read(session, 0).await
}

async fn read(session: &Session<'_>, rewrapped: i64) -> Result<KeyEncryptionStatus, Refusal> {
    let current = session.app.safe.current_kek().to_owned();
    let keks = session.read(|db| async move { queries::version_keks(&db).await }).await?;
    let remaining = keks.iter().filter(|(id, _)| *id != current).map(|(_, versions)| versions).sum();
    let keys = keks.into_iter().map(|(id, versions)| KeyEncryptionKey { id, versions }).collect();
    Ok(KeyEncryptionStatus { current, keys, remaining, rewrapped })
}

/// Wraps the next versions anew.
pub(in super::super) async fn rewrap(session: &Session<'_>) -> Result<KeyEncryptionStatus, Refusal> {
    let rewrapped = session
        .change("key-encryption", async |caller| {
            caller.check(Action::ManageKeyEncryption, None)?;
            let current = session.app.safe.current_kek().to_owned();
            let page = queries::Page { after: None, limit: REWRAP_PAGE };
            let rows =
                session.read(|db| async move { queries::versions_of_other_keks(&db, &current, &page).await }).await?;
            let mut writes = Vec::with_capacity(rows.len());
            let mut changes = Vec::new();
            for row in rows {
                let dep = deps::credential(&row.credential_id);
                if let Some(row) = wrapped_anew(session, row).await? {
                    writes.push(Write::Update(Row::CredentialVersion(row)));
                    if !changes.contains(&dep) {
                        changes.push(dep);
                    }
                }
            }
            let count = i64::try_from(writes.len()).unwrap_or(i64::MAX);
            // A value that is changed meanwhile is not written over.
            let deps = changes.clone();
            // The deployment's own: no owner's.
            let change = Change { writes, changes, owner: None, ..Change::none("", deps, count) };
            Ok(change.with("effect", "rewrapped").with("versions", count))
        })
        .await?;
    read(session, rewrapped).await
}

async fn wrapped_anew(
    session: &Session<'_>,
    row: CredentialVersionRow,
) -> Result<Option<CredentialVersionRow>, Refusal> {
    let id = row.credential_id.clone();
    let credential = session.read(|db| async move { queries::find_credential(&db, &id).await }).await?;
    let (Some(credential), Some(sealed)) = (credential, row.sealed.as_deref()) else { return Ok(None) };
    let place = Place { owner: &credential.owner_id, credential: &credential.id, version: &row.id };
    let sealed = session.app.safe.rewrap(place, sealed).await.map_err(|error| match error {
        SafeError::Unavailable => Refusal::unavailable(),
        SafeError::Damaged => Refusal::internal(),
    })?;
    Ok(Some(CredentialVersionRow { sealed: Some(sealed.bytes), kek_id: Some(sealed.kek_id), ..row }))
}
