//! Versions of a credential: a new value comes into use at the next call, and the one before it
//! retires, at once or after a while.

use super::super::api::{ActivateVersion, Credential, RotateCredential};
use super::super::check;
use super::super::problem::{Code, Refusal};
use super::super::roles::Action;
use super::super::session::Session;
use super::credentials::{changed, check_value, load, refuse_destroyed, shredded};
use super::view::Parts;
use crate::custody::{CredentialValue, Place, SafeError};
use stipend_keys::random_id;
use stipend_schema::custody::{CredentialRow, CredentialVersionRow};
use stipend_schema::{Row, Write};

/// Longest time that a version retires: 30 days.
const MAX_RETIRE_SECONDS: i64 = 30 * 86_400;
/// Versions of one credential that have a value.
const MAX_KEPT_VERSIONS: usize = 32;

/// Seals a value as a version.
pub(super) async fn sealed(
    session: &Session<'_>,
    credential: &CredentialRow,
    value: &CredentialValue,
    number: i64,
) -> Result<CredentialVersionRow, Refusal> {
    let id = random_id("cv_");
    let place = Place { owner: &credential.owner_id, credential: &credential.id, version: &id };
    let sealed = session.app.safe.seal(place, value).await.map_err(|error| match error {
        SafeError::Unavailable => Refusal::unavailable(),
        SafeError::Damaged => Refusal::internal(),
    })?;
    Ok(CredentialVersionRow {
        credential_id: credential.id.clone(),
        number,
        state: "pending".to_owned(),
        sealed: Some(sealed.bytes),
        kek_id: Some(sealed.kek_id),
        fingerprint: session.app.safe.fingerprint(&credential.owner_id, value),
        created_at: session.now(),
        activated_at: None,
        retire_at: None,
        destroyed_at: None,
        compromised_at: None,
        id,
    })
}

pub(super) async fn first_version(
    session: &Session<'_>,
    credential: &CredentialRow,
    value: &CredentialValue,
) -> Result<CredentialVersionRow, Refusal> {
    let version = sealed(session, credential, value, 1).await?;
    Ok(in_use(version, session.now()))
}

/// A version as the one in use.
pub(super) fn in_use(version: CredentialVersionRow, now: i64) -> CredentialVersionRow {
    CredentialVersionRow { state: "active".to_owned(), activated_at: Some(now), retire_at: None, ..version }
}

fn check_retirement(seconds: i64) -> Result<(), Refusal> {
    if (0..=MAX_RETIRE_SECONDS).contains(&seconds) {
        Ok(())
    } else {
        Err(Refusal::field("/retire_after_seconds", format!("must be between 0 and {MAX_RETIRE_SECONDS}")))
    }
}

/// Takes the version in use out of use. First, because there is one active version at most.
fn retire(parts: &mut Parts, seconds: i64, now: i64) -> Option<Write> {
    let active = parts.versions.iter_mut().find(|version| version.state == "active")?;
    let retiring = seconds > 0;
    active.state = if retiring { "retiring" } else { "retired" }.to_owned();
    active.retire_at = retiring.then(|| now.saturating_add(seconds));
    Some(Write::Update(Row::CredentialVersion(active.clone())))
}

pub(in super::super) async fn rotate(
    session: &Session<'_>,
    id: &str,
    new: &RotateCredential,
) -> Result<Credential, Refusal> {
    session
        .change(id, async |caller| {
            check_retirement(new.retire_after_seconds)?;
            let mut parts = load(session, caller, id, Action::ManageCredential).await?;
            refuse_destroyed(&parts.row)?;
            if check::word(&new.value.kind())? != parts.row.kind {
                return Err(Refusal::field("/value", "must be of the credential's kind"));
            }
            check_value(session, &new.value)?;
            let kept = parts.versions.iter().filter(|version| version.state != "destroyed").count();
            if kept >= MAX_KEPT_VERSIONS {
                return Err(Refusal::new(Code::InvalidState, "the credential has 32 versions: destroy old ones"));
            }
            let now = session.now();
            let number = parts.versions.iter().map(|version| version.number).max().unwrap_or(0).saturating_add(1);
            let mut version = sealed(session, &parts.row, &new.value, number).await?;
            let mut writes = Vec::new();
            if new.activate {
                writes.extend(retire(&mut parts, new.retire_after_seconds, now));
                version = in_use(version, now);
            }
            writes.push(Write::Insert(Row::CredentialVersion(version.clone())));
            parts.versions.insert(0, version);
            Ok(changed(parts, writes, "rotated")?.with("version", number))
        })
        .await
}

/// Brings a version that waits, or an earlier one, into use.
pub(in super::super) async fn activate(
    session: &Session<'_>,
    id: &str,
    version_id: &str,
    how: &ActivateVersion,
) -> Result<Credential, Refusal> {
    session
        .change(id, async |caller| {
            check_retirement(how.retire_after_seconds)?;
            let mut parts = load(session, caller, id, Action::ManageCredential).await?;
            refuse_destroyed(&parts.row)?;
            let wanted = parts.versions.iter().find(|version| version.id == version_id).cloned();
            let wanted = wanted.ok_or_else(Refusal::not_found)?;
            if wanted.state == "destroyed" {
                return Err(Refusal::new(Code::InvalidState, "the version is destroyed, which is final"));
            }
            let mut writes = Vec::new();
            if wanted.state != "active" {
                let now = session.now();
                writes.extend(retire(&mut parts, how.retire_after_seconds, now));
                let version = in_use(wanted.clone(), now);
                writes.push(Write::Update(Row::CredentialVersion(version.clone())));
                if let Some(place) = parts.versions.iter_mut().find(|version| version.id == version_id) {
                    *place = version;
                }
            }
            Ok(changed(parts, writes, "activated")?.with("version", wanted.number))
        })
        .await
}

/// Destroys the value of a version that is not in use.
pub(in super::super) async fn destroy_version(
    session: &Session<'_>,
    id: &str,
    version_id: &str,
) -> Result<Credential, Refusal> {
    session
        .change(id, async |caller| {
            let mut parts = load(session, caller, id, Action::ManageCredential).await?;
            let found = parts.versions.iter_mut().find(|version| version.id == version_id);
            let version = found.ok_or_else(Refusal::not_found)?;
            if version.state == "active" {
                return Err(Refusal::new(Code::InvalidState, "the version is in use: rotate first"));
            }
            let mut writes = Vec::new();
            if version.state != "destroyed" {
                *version = shredded(version.clone(), session.now());
                writes.push(Write::Update(Row::CredentialVersion(version.clone())));
            }
            session.app.safe.forget(&version.id);
            let number = version.number;
            Ok(changed(parts, writes, "version_destroyed")?.with("version", number))
        })
        .await
}
