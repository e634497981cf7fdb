//! How risky an agent is, as somebody outside judges it: a risk engine, or people. What follows
//! from it, policies say.

use super::super::api::{Agent, RateAgent};
use super::super::check;
use super::super::limits::MAX_REASON_BYTES;
use super::super::problem::{Code, Refusal};
use super::super::roles::Action;
use super::super::session::{Change, Session};
use super::{deps_of, load, refuse_ended, view};
use crate::deps;
use crate::records::{ClientSettings, Risk};
use serde_json::{Map, Value};
use stipend_schema::{Row, Write};

/// Longest time for which a judgement holds: a year.
const MAX_RISK_SECONDS: i64 = 31_536_000;

/// Sets the level, or takes away what was said.
pub(in super::super) async fn rate(
    session: &Session<'_>,
    id: &str,
    wanted: Option<&RateAgent>,
) -> Result<Agent, Refusal> {
    session
        .change(id, async |caller| {
            let mut bundle = load(session, caller, id, Action::RateAgent).await?;
            refuse_ended(&bundle.client)?;
            if bundle.client.kind == "admin" {
                return Err(Refusal::new(
                    Code::InvalidState,
                    "an admin is under no policy: its risk is judged nowhere",
                ));
            }
            let now = session.now();
            let mut settings: ClientSettings = check::parse_column(&bundle.client.settings)?;
            let before = settings.risk_at(now);
            let risk = wanted.map(|wanted| risk(wanted, caller.id(), now)).transpose()?;
            let (owner, deps) = (bundle.client.owner_id.clone(), deps_of(&bundle.client));
            let said = |risk: Option<&Risk>| risk.map(|risk| (risk.level, risk.reason.clone(), risk.expires_at));
            if said(settings.risk.as_ref()) == said(risk.as_ref()) {
                return Ok(Change::none(&owner, deps, view::view(bundle, now)?));
            }
            settings.risk = risk;
            let row = &mut bundle.client;
            row.settings = check::column(&settings)?;
            row.updated_at = now;
            let writes = vec![Write::Update(Row::Client(row.clone()))];
            let mut detail = Map::new();
            detail.extend(before.map(|before| ("previous".to_owned(), Value::from(before.as_str()))));
            detail.extend(settings.risk_at(now).map(|level| ("current".to_owned(), Value::from(level.as_str()))));
            let answer = view::view(bundle, now)?;
            let change = Change { writes, changes: vec![deps::client(id)], ..Change::none(&owner, deps, answer) };
            let why = wanted.and_then(|wanted| wanted.reason.clone()).unwrap_or_default();
            Ok(change.with("effect", "rated").with("risk", detail).with("why", why))
        })
        .await
}

fn risk(wanted: &RateAgent, by: &str, now: i64) -> Result<Risk, Refusal> {
    if let Some(reason) = &wanted.reason {
        check::text("/reason", reason, 1, MAX_REASON_BYTES)?;
    }
    if wanted.expires_in_seconds.is_some_and(|seconds| !(1..=MAX_RISK_SECONDS).contains(&seconds)) {
        return Err(Refusal::field("/expires_in_seconds", "is 1 to 31536000"));
    }
    Ok(Risk {
        level: wanted.level,
        reason: wanted.reason.clone(),
        expires_at: wanted.expires_in_seconds.map(|seconds| now.saturating_add(seconds)),
        by: by.to_owned(),
        at: now,
    })
}
