//! What is remembered of an issue under its `Idempotency-Key`: the recorded claims, from which
//! the token can be made again. Never the token itself.

use super::id_jag::Leaving;
use super::presented::issued_type;
use super::{Issued, Round};
use crate::app::App;
use crate::reason::Reason;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stipend_token::AccessToken;

#[derive(Deserialize, Serialize)]
struct Kept {
    /// As drafted: the ledger's figures are in its own answer.
    claims: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued_token_type: Option<String>,
    /// The key that must sign, where the record names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leaving: Option<Leaving>,
}

pub(super) fn keep(
    claims: &AccessToken,
    issued_token_type: Option<&'static str>,
    leaving: Option<&Leaving>,
    kid: Option<&str>,
) -> Result<String, Reason> {
    let Ok(Value::Object(claims)) = serde_json::to_value(claims) else { return Err(Reason::Internal) };
    let (issued_token_type, kid) = (issued_token_type.map(str::to_owned), kid.map(str::to_owned));
    let kept = Kept { claims, issued_token_type, kid, leaving: leaving.cloned() };
    serde_json::to_string(&kept).map_err(|_| Reason::Internal)
}

/// The issue that a retry repeats, as long as its token is alive: what has been revoked since
/// is not signed again.
pub(super) fn restore(app: &App, kept: Option<&str>) -> Result<Issued, Round> {
    let broken = || {
        tracing::error!("what was kept for an Idempotency-Key can't be read");
        Round::refused(Reason::Internal)
    };
    let kept: Kept = kept.and_then(|kept| serde_json::from_str(kept).ok()).ok_or_else(broken)?;
    let claims = AccessToken::from_claims(&kept.claims).map_err(|_| broken())?;
    let now = app.clock.now();
    let keyring = app.ring.keyring();
    let signer = super::issue::signer(&keyring, kept.kid.as_deref(), now).map_err(Round::refused)?;
    if now >= claims.exp || app.live.kills(&claims, signer.kid()).is_some() {
        return Err(Round::refused(Reason::KeyTokenDead));
    }
    let issued_token_type = kept.issued_token_type.as_deref().and_then(issued_type);
    Ok(Issued { early: None, claims, issued_token_type, leaving: kept.leaving, since: now, kid: kept.kid })
}
