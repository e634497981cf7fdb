//! The key-encryption keys: what each has wrapped, and wrapping anew what an earlier one has:
//! the deployment's own secrets, signing keys that still sign, and versions of credentials.
//! Rewrapping touches data keys only; the values stay as they were sealed.

use super::super::api::{KeyEncryptionKey, KeyEncryptionStatus};
use super::super::problem::Refusal;
use super::super::roles::Action;
use super::super::session::{Change, Session};
use crate::custody::{Place, SafeError};
use crate::deps;
use crate::sealed::{self, Wrapped, secret_aad, signing_key_aad};
use stipend_keys::seal::kek_id;
use stipend_schema::custody::{CredentialVersionRow, ServerSecretRow};
use stipend_schema::{Dep, Row, SigningKeyRow, Write, queries};

/// Data keys wrapped anew by one call: whoever wants all calls again until none is left.
const REWRAP_PAGE: i64 = 50;
/// Pages of versions that one call looks at: those that don't open are passed over.
const MAX_PAGES: usize = 20;

pub(in super::super) async fn status(session: &Session<'_>) -> Result<KeyEncryptionStatus, Refusal> {
    session.caller().check(Action::ReadKeyEncryption, None)?;
    read(session, 0).await
}

async fn read(session: &Session<'_>, rewrapped: i64) -> Result<KeyEncryptionStatus, Refusal> {
    let current = session.app.safe.current_kek().to_owned();
    let now = session.now();
    let keys = session.read(|db| async move { sealed::by_key(&db, now).await }).await?;
    let remaining = keys.iter().filter(|(id, _)| **id != current).map(|(_, wrapped)| wrapped.total()).sum();
    let keys = keys.into_iter().map(|(id, wrapped)| {
        let Wrapped { versions, secrets, signing_keys } = wrapped;
        KeyEncryptionKey { id, versions, secrets, signing_keys }
    });
    Ok(KeyEncryptionStatus { current, keys: keys.collect(), remaining, rewrapped })
}

/// Wraps the next data keys anew. What is changed meanwhile, here or on another node, is not
/// written over: the committer refuses, and it is decided again.
pub(in super::super) async fn rewrap(session: &Session<'_>) -> Result<KeyEncryptionStatus, Refusal> {
    let rewrapped = session
        .change("key-encryption", async |caller| {
            caller.check(Action::ManageKeyEncryption, None)?;
            let mut page = Rewrapping::default();
            page.secrets(session).await?;
            page.signing_keys(session).await?;
            page.versions(session).await?;
            Ok(page.change())
        })
        .await?;
    read(session, rewrapped).await
}

/// One call's worth.
#[derive(Default)]
struct Rewrapping {
    writes: Vec<Write>,
    changes: Vec<Dep>,
    wrapped: Wrapped,
}

impl Rewrapping {
    async fn secrets(&mut self, session: &Session<'_>) -> Result<(), Refusal> {
        let rows = session.read(|db| async move { queries::server_secrets(&db).await }).await?;
        for row in rows.into_iter().filter(|row| is_due(session, &row.sealed)) {
            let sealed = anew(session, secret_aad(&row.name), &row.sealed).await?;
            self.add(deps::server_secret(&row.name), Row::ServerSecret(ServerSecretRow { sealed, ..row }));
            self.wrapped.secrets += 1;
        }
        Ok(())
    }

    async fn signing_keys(&mut self, session: &Session<'_>) -> Result<(), Refusal> {
        let now = session.now();
        let rows = session.read(|db| async move { sealed::signing_keys(&db, now).await }).await?;
        for row in rows.into_iter().filter(|row| is_due(session, &row.sealed_private)) {
            let sealed_private = anew(session, signing_key_aad(&row.kid), &row.sealed_private).await?;
            self.add(deps::keyring(), Row::SigningKey(SigningKeyRow { sealed_private, ..row }));
            self.wrapped.signing_keys += 1;
        }
        Ok(())
    }

    async fn versions(&mut self, session: &Session<'_>) -> Result<(), Refusal> {
        let current = session.app.safe.current_kek().to_owned();
        let mut after = None;
        for _ in 0..MAX_PAGES {
            let limit = REWRAP_PAGE.saturating_sub(self.wrapped.total());
            if limit <= 0 {
                break;
            }
            let (kek, page) = (current.clone(), queries::Page { after, limit });
            let rows =
                session.read(|db| async move { queries::versions_of_other_keks(&db, &kek, &page).await }).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last.id.clone());
            for row in rows {
                let dep = deps::credential(&row.credential_id);
                if let Some(row) = version_anew(session, row).await? {
                    self.add(dep, Row::CredentialVersion(row));
                    self.wrapped.versions += 1;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, dep: Dep, row: Row) {
        self.writes.push(Write::Update(row));
        if !self.changes.contains(&dep) {
            self.changes.push(dep);
        }
    }

    /// It depends on everything that it changes.
    fn change(self) -> Change<i64> {
        let Self { writes, changes, wrapped } = self;
        let effect = if writes.is_empty() { "none" } else { "rewrapped" };
        let change = Change::none("", changes.clone(), wrapped.total());
        // The deployment's own: no owner's.
        Change { owner: None, writes, changes, ..change }
            .with("effect", effect)
            .with("versions", wrapped.versions)
            .with("secrets", wrapped.secrets)
            .with("signing_keys", wrapped.signing_keys)
    }
}

/// Whether another key has wrapped it. What has no known format stays as it is.
fn is_due(session: &Session<'_>, sealed: &[u8]) -> bool {
    kek_id(sealed).is_ok_and(|id| id != session.app.safe.current_kek())
}

async fn anew(session: &Session<'_>, aad: Vec<u8>, sealed: &[u8]) -> Result<Vec<u8>, Refusal> {
    session.app.safe.rewrap_as(aad, sealed).await.map_err(refusal)
}

fn refusal(error: SafeError) -> Refusal {
    match error {
        SafeError::Unavailable => Refusal::unavailable(),
        SafeError::Damaged => Refusal::internal(),
    }
}

/// `None` for a version that is gone, or does not open: it stays as it is, and counts as
/// remaining.
async fn version_anew(
    session: &Session<'_>,
    row: CredentialVersionRow,
) -> Result<Option<CredentialVersionRow>, Refusal> {
    let id = row.credential_id.clone();
    let credential = session.read(|db| async move { queries::find_credential(&db, &id).await }).await?;
    let (Some(credential), Some(sealed)) = (credential, row.sealed.as_deref()) else { return Ok(None) };
    let place = Place { owner: &credential.owner_id, credential: &credential.id, version: &row.id };
    let sealed = match session.app.safe.rewrap(place, sealed).await {
        Ok(sealed) => sealed,
        Err(SafeError::Damaged) => {
            tracing::error!(credential = credential.id, version = row.number, "a version can't be rewrapped");
            return Ok(None);
        }
        Err(error @ SafeError::Unavailable) => return Err(refusal(error)),
    };
    Ok(Some(CredentialVersionRow { sealed: Some(sealed.bytes), kek_id: Some(sealed.kek_id), ..row }))
}
