//! Looking at lines: what has been used of them, for those whom they concern.

use super::Declined;
use crate::app::App;
use crate::audit::Origin;
use crate::client::{Credentials, authenticate};
use crate::deps;
use crate::grant::refuse_stranger;
use crate::introspection::burn;
use crate::reason::Reason;
use crate::records::{BudgetPath, Unavailable};
use serde::Serialize;
use std::sync::Arc;
use stipend_schema::ledger::{BudgetLineRow, BudgetUseRow};
use stipend_schema::{Db, DbError, Dep, queries};
use stipend_token::budget::Window;

/// A line as its service sees it. Amounts in the unit's smallest part.
#[derive(Clone, Debug, Serialize)]
pub struct LineState {
    line: String,
    unit: String,
    decimals: i64,
    amount: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_call: Option<i64>,
    enforce: String,
    held: i64,
    spent: i64,
    carved: i64,
    overage: i64,
    /// What the tightest of the line and those above it has left now.
    pub remaining: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
}

/// What a line has used in its present window.
#[derive(Clone, Copy, Debug, Default)]
pub struct WindowUse {
    pub held: i64,
    pub spent: i64,
    pub carved: i64,
    pub overage: i64,
    /// The limit of now, less all of these. Negative where the limit was lowered.
    pub remaining: i64,
    /// When the window counts from.
    pub since: i64,
}

/// # Errors
/// [`DbError`].
pub async fn window_use(db: &Db, row: &BudgetLineRow, now: i64) -> Result<WindowUse, DbError> {
    let since = Window::parse(&row.time_window).and_then(|window| window.counts_from(now)).unwrap_or(0);
    let uses = queries::uses_of_line(db, &row.id, since).await?;
    let sum = |of: fn(&BudgetUseRow) -> i64| uses.iter().map(of).fold(0_i64, i64::saturating_add);
    let mut used = WindowUse {
        held: sum(|used| used.held),
        spent: sum(|used| used.spent),
        carved: sum(|used| used.carved),
        overage: sum(|used| used.overage),
        remaining: 0,
        since,
    };
    let taken = used.held.saturating_add(used.spent).saturating_add(used.carved).saturating_add(used.overage);
    used.remaining = row.limit(now).saturating_sub(taken);
    Ok(used)
}

/// A token's line, for the services of its audience. For everybody else it does not exist.
///
/// # Errors
/// [`Reason`].
pub async fn read(
    app: &App,
    credentials: &Credentials<'_>,
    line_id: &str,
    origin: &Origin,
) -> Result<LineState, Reason> {
    let caller = match authenticate(app, credentials).await {
        Ok(caller) => caller,
        Err(failure) => return Err(refuse_stranger(app, &failure, origin).await),
    };
    burn(app, &caller, origin).await?;
    let path = find(app, &caller.client.id, line_id).await?.ok_or(Reason::NoSuchHold)?;
    let db = app.store.db().clone();
    let now = app.clock.now();
    let state =
        app.store.run(async move { state(&db, &path, now).await }).await.map_err(|_| Reason::StoreUnavailable)?;
    state.map_err(|_| Reason::StoreUnavailable)?.ok_or(Reason::NoSuchHold)
}

async fn state(db: &Db, path: &BudgetPath, now: i64) -> Result<Option<LineState>, DbError> {
    let mut state: Option<LineState> = None;
    // What a carved line has is all its own.
    let lines = if path.carved { 1 } else { path.lines.len() };
    for id in path.lines.iter().take(lines) {
        let Some(row) = queries::find_budget_line(db, id).await? else { return Ok(None) };
        let used = window_use(db, &row, now).await?;
        let remaining = used.remaining.max(0);
        match &mut state {
            Some(state) => state.remaining = state.remaining.min(remaining),
            None => {
                state = Some(LineState {
                    line: row.id,
                    unit: row.unit,
                    decimals: row.decimals,
                    amount: row.amount,
                    per_call: row.per_call,
                    enforce: row.enforce,
                    held: used.held,
                    spent: used.spent,
                    carved: used.carved,
                    overage: used.overage,
                    remaining,
                    expires_at: row.expires_at,
                });
            }
        }
    }
    Ok(state)
}

/// Who may report what was spent of a line: the services of its audience.
pub(super) async fn may_report(app: &App, client_id: &str, line_id: &str) -> Result<Vec<Dep>, Declined> {
    let path = find(app, client_id, line_id).await?.ok_or(Reason::NoSuchHold)?;
    Ok(path.audience.iter().map(|audience| deps::resource(audience)).collect())
}

async fn find(app: &App, client_id: &str, line_id: &str) -> Result<Option<Arc<BudgetPath>>, Unavailable> {
    let Some(path) = app.records.budget_path(line_id).await? else { return Ok(None) };
    let Some(audience) = &path.audience else { return Ok(None) };
    let resource = app.records.find_resource(audience).await?;
    let serves = resource.is_some_and(|resource| resource.introspectors.iter().any(|id| id == client_id));
    Ok(serves.then_some(path))
}
