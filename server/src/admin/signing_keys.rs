//! The signing keys as admins see and order them. The keyring itself carries the orders out.

use super::api::{Distrust, KeyStatus, Page, SigningKey};
use super::check;
use super::problem::{Code, Refusal};
use super::roles::Action;
use super::session::Session;
use crate::limits::MAX_DECISIONS;
use crate::ring::{self, KeyOrder, Ordered};
use stipend_schema::{SigningKeyRow, queries};

fn status(row: &SigningKeyRow, now: i64) -> KeyStatus {
    let ended = |at: Option<i64>| at.is_some_and(|at| now >= at);
    if row.distrusted_at.is_some() {
        KeyStatus::Distrusted
    } else if ended(row.remove_at) {
        KeyStatus::Removed
    } else if ended(row.retire_at) {
        KeyStatus::Retired
    } else if now >= row.activate_at {
        KeyStatus::Active
    } else if now >= row.publish_at {
        KeyStatus::Published
    } else {
        KeyStatus::Planned
    }
}

fn view(row: SigningKeyRow, now: i64) -> Result<SigningKey, Refusal> {
    Ok(SigningKey {
        status: status(&row, now),
        public_jwk: check::parse_column(&row.public_jwk)?,
        kid: row.kid,
        alg: row.alg,
        publish_at: row.publish_at,
        activate_at: row.activate_at,
        retire_at: row.retire_at,
        remove_at: row.remove_at,
        distrusted_at: row.distrusted_at,
        created_at: row.created_at,
    })
}

pub(super) async fn list(session: &Session<'_>) -> Result<Page<SigningKey>, Refusal> {
    session.caller().check(Action::ReadSigningKeys, None)?;
    let rows = session.read(|db| async move { queries::signing_keys(&db).await }).await?;
    let now = session.now();
    let items = rows.into_iter().map(|row| view(row, now)).collect::<Result<_, _>>()?;
    Ok(Page { items, next: None })
}

/// Publishes a successor; it signs once every cache of the key set knows it. With one already on
/// its way there is nothing to do.
pub(super) async fn rotate(session: &Session<'_>) -> Result<Page<SigningKey>, Refusal> {
    session.caller().check(Action::ManageSigningKeys, None)?;
    order(session, &KeyOrder::Rotate).await?;
    list(session).await
}

/// Takes a compromised key out at once, with everything it ever signed.
pub(super) async fn distrust(session: &Session<'_>, kid: &str, why: &Distrust) -> Result<Page<SigningKey>, Refusal> {
    session.caller().check(Action::ManageSigningKeys, None)?;
    check::reason(&why.reason)?;
    let by = session.caller().id().to_owned();
    order(session, &KeyOrder::Distrust { kid: kid.to_owned(), reason: why.reason.clone(), by }).await?;
    list(session).await
}

async fn order(session: &Session<'_>, order: &KeyOrder) -> Result<(), Refusal> {
    let by = Some((session.caller().id(), session.caller().owner()));
    for _ in 0..MAX_DECISIONS {
        match ring::order(session.app, order, &session.origin, by).await? {
            Ordered::Done | Ordered::NothingToDo => return Ok(()),
            Ordered::UnknownKey => return already_distrusted(session, order).await,
            Ordered::Overtaken => {
                session.app.tailer.catch_up().await;
            }
        }
    }
    Err(Refusal::new(Code::Overtaken, "the signing keys are changing: try again"))
}

/// Distrusting twice is distrusting once; only a key that never was is not found.
async fn already_distrusted(session: &Session<'_>, order: &KeyOrder) -> Result<(), Refusal> {
    let KeyOrder::Distrust { kid, .. } = order else { return Err(Refusal::internal()) };
    let rows = session.read(|db| async move { queries::signing_keys(&db).await }).await?;
    if rows.iter().any(|row| &row.kid == kid && row.distrusted_at.is_some()) {
        return Ok(());
    }
    Err(Refusal::not_found())
}
