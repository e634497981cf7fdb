//! Budgets that became less (CAEP section 3.2, token claims change): lowered or closed by an
//! admin, told with that change; or spent to the last, told by this node or another soon after.
//!
//! `amount` in an event is what can still be spent at most, by what the ledger said when the
//! event was made. The ledger alone decides; an event only spares a service a useless try.

use super::announce::{Concerning, clients_of, of_client, put};
use super::event::{Event, EventKind, Initiator};
use crate::app::App;
use crate::audit::{DONE, Draft, Origin};
use crate::budget::window_use;
use crate::jobs::own_origin;
use crate::limits::EXHAUSTIONS_EVERY;
use crate::records::Unavailable;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stipend_schema::ledger::BudgetLineRow;
use stipend_schema::signals::{OUTBOX_PAGE, exhaustions};
use stipend_schema::{DbError, Outcome, Table, Work, Write, queries};
use stipend_token::budget::AccountKind;

/// The events of a line of which there is less now.
pub(super) async fn of_line(
    app: &App,
    line: &BudgetLineRow,
    mut detail: Map<String, Value>,
) -> Result<Vec<Concerning>, Unavailable> {
    detail.insert("claims".to_owned(), json!({ "authorization_details": [left(app, line).await?] }));
    let kind = EventKind::TokenClaimsChange;
    match AccountKind::parse(&line.account_kind) {
        Some(AccountKind::Token) => {
            let sub_id = json!({ "format": "jwt_id", "iss": app.urls.issuer, "jti": line.account_id });
            let audiences = BTreeSet::from_iter(line.audience.clone());
            Ok(vec![Concerning { event: Event { kind, sub_id, detail }, audiences }])
        }
        Some(AccountKind::Agent | AccountKind::Task) => {
            let agent = line.account_id.split('/').next().unwrap_or_default();
            of_client(app, agent, kind, detail).await
        }
        Some(AccountKind::Owner) => {
            let mut events = Vec::new();
            for client in clients_of(app, &line.account_id).await? {
                events.extend(of_client(app, &client, kind, detail.clone()).await?);
            }
            Ok(events)
        }
        None => Ok(Vec::new()),
    }
}

/// What is left of a line, as a token's `authorization_details` would say it.
async fn left(app: &App, line: &BudgetLineRow) -> Result<Value, Unavailable> {
    let (db, row, now) = (app.store.db().clone(), line.clone(), app.clock.now());
    let read = app.store.run(async move { window_use(&db, &row, now).await }).await;
    let used = read.ok().and_then(Result::ok).ok_or(Unavailable)?;
    let amount = if line.state == "active" { used.remaining.max(0) } else { 0 };
    let mut left = json!({ "type": "budget", "unit": line.unit, "decimals": line.decimals, "amount": amount });
    if let (Some(per_call), Value::Object(members)) = (line.per_call, &mut left) {
        members.insert("per_call".to_owned(), per_call.min(amount).into());
    }
    Ok(left)
}

/// The job: tells of lines that were spent to the last.
pub async fn tell_exhaustions(app: Arc<App>) {
    loop {
        tokio::time::sleep(EXHAUSTIONS_EVERY).await;
        if tell(&app).await.is_err() {
            tracing::warn!("what was used up could not be told yet");
        }
    }
}

/// One round of it.
///
/// # Errors
/// [`Unavailable`]: what is not told yet, is another time.
pub async fn tell(app: &App) -> Result<(), Unavailable> {
    loop {
        let db = app.store.db().clone();
        let read = app.store.run(async move { lines(&db).await }).await;
        let (lines, ids) = read.ok().and_then(Result::ok).ok_or(Unavailable)?;
        let mut by_owner: BTreeMap<&str, Vec<&BudgetLineRow>> = BTreeMap::new();
        for line in &lines {
            by_owner.entry(&line.owner_id).or_default().push(line);
        }
        for (owner, lines) in by_owner {
            let gone: Vec<String> = lines.iter().map(|line| line.id.clone()).collect();
            let (origin, mut writes) = (own_origin(), Vec::new());
            for line in lines {
                let events = of_line(app, line, detail(app)).await?;
                writes.extend(put(app, events, &origin.request_id).await?);
            }
            commit(app, (Some(owner), &origin), gone, writes).await?;
        }
        // Swept with its token before anybody came to tell of it.
        let is_there = |id: &String| lines.iter().any(|line| &line.id == id);
        let gone: Vec<String> = ids.iter().filter(|id| !is_there(id)).cloned().collect();
        if !gone.is_empty() {
            commit(app, (None, &own_origin()), gone, Vec::new()).await?;
        }
        if i64::try_from(ids.len()).unwrap_or(OUTBOX_PAGE) < OUTBOX_PAGE {
            return Ok(());
        }
    }
}

/// The lines that were used up, and the ids of all that are said to be.
async fn lines(db: &stipend_schema::Db) -> Result<(Vec<BudgetLineRow>, Vec<String>), DbError> {
    let ids = exhaustions(db, OUTBOX_PAGE).await?;
    let mut lines = Vec::with_capacity(ids.len());
    for id in &ids {
        lines.extend(queries::find_budget_line(db, id).await?);
    }
    Ok((lines, ids))
}

fn detail(app: &App) -> Map<String, Value> {
    let said = json!({
        "event_timestamp": app.clock.now(), "initiating_entity": Initiator::System.as_str(),
        "reason_admin": { "en": "the budget was used up" },
    });
    if let Value::Object(said) = said { said } else { Map::new() }
}

/// The events, in the transaction that takes their causes away: of two nodes one tells.
async fn commit(
    app: &App,
    (owner, origin): (Option<&str>, &Origin),
    gone: Vec<String>,
    mut writes: Vec<Write>,
) -> Result<(), Unavailable> {
    let mut draft = Draft::new("budget.used_up", origin);
    draft.owner(owner);
    draft.put("lines", gone.clone());
    writes.extend(gone.into_iter().map(|line| Write::Delete(Table::BudgetExhaustion, line)));
    let work = Work { writes, ..Work::recording(app.live.applied(), draft.outcome(DONE)) };
    match app.committer.submit(work).await {
        // Another node was quicker.
        Outcome::Committed { .. } | Outcome::Conflict | Outcome::Stale => Ok(()),
        _ => Err(Unavailable),
    }
}
