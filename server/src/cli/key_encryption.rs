//! `stipend keys encryption` and `stipend keys rewrap`: the keys that wrap what is in custody.

use super::Session;
use super::api::read;
use super::error::CliError;
use crate::admin::api::KeyEncryptionStatus;
use serde_json::{Value, json};

/// Calls of one rewrapping; each wraps up to 50 data keys.
const MAX_CALLS: usize = 100_000;

pub async fn status(session: &Session<'_>) -> Result<(), CliError> {
    let answer = session.api.get(&["key-encryption"]).await?;
    show(session, &answer)
}

/// Wraps anew under the current key until an earlier one has nothing left.
pub async fn rewrap(session: &Session<'_>) -> Result<(), CliError> {
    let mut total: i64 = 0;
    for _ in 0..MAX_CALLS {
        let mut answer = session.api.post(&["key-encryption", "rewrap"], &json!({})).await?;
        let now: KeyEncryptionStatus = read(&answer)?;
        total = total.saturating_add(now.rewrapped);
        if now.remaining == 0 {
            session.out.progress("");
            if let Some(rewrapped) = answer.get_mut("rewrapped") {
                *rewrapped = total.into();
            }
            return show(session, &answer);
        }
        if now.rewrapped == 0 {
            break;
        }
        session.out.progress(format!("{total} wrapped anew, {} remain", now.remaining));
    }
    session.out.progress("");
    Err(CliError::failed("not_rewrapped", format!("{total} data keys were wrapped anew, and others could not be"))
        .hint("the server's log says why; the earlier key is still needed: `stipend keys encryption`"))
}

fn show(session: &Session<'_>, answer: &Value) -> Result<(), CliError> {
    let out = session.out;
    session.show(answer, |status: KeyEncryptionStatus| {
        let remaining = match status.remaining {
            0 => "nothing: earlier keys are not needed for credentials".to_owned(),
            versions => format!("{versions}: `stipend keys rewrap`"),
        };
        let line = |key: &crate::admin::api::KeyEncryptionKey| format!("{} wraps {}", key.id, key.versions);
        out.facts(&[
            ("current", status.current),
            ("in use", status.keys.iter().map(line).collect::<Vec<_>>().join("\n")),
            ("to wrap anew", remaining),
            ("wrapped anew", if status.rewrapped > 0 { status.rewrapped.to_string() } else { String::new() }),
        ]);
    })
}
