//! Budgets: the lines of owners, agents and tasks; those of tokens are seen here, and made with
//! their tokens. An agent's line lies under its owner's in the same unit, which is found when
//! the line is made and never changes; nor do account and unit.

use super::api::{Budget, BudgetUse, ChangeState, IncreaseBudget, ListQuery, NewBudget, Page, PatchBudget, State};
use super::caller::Caller;
use super::check;
use super::limits::{MAX_BUDGETS, MAX_REASON_BYTES};
use super::page;
use super::problem::{Code, Refusal};
use super::roles::Action;
use super::session::{Change, Session};
use crate::budget::{WindowUse, window_use};
use crate::deps;
use serde_json::Number;
use stipend_keys::random_id;
use stipend_schema::ledger::BudgetLineRow;
use stipend_schema::{Row, Write, queries};
use stipend_token::budget::{AccountKind, Amount, Unit, Window, is_task_name};

/// Longest temporary increase: 366 days.
const MAX_INCREASE_SECONDS: i64 = 366 * 86_400;

fn view(row: BudgetLineRow) -> Result<Budget, Refusal> {
    let kind = AccountKind::parse(&row.account_kind);
    let (agent, task) = match kind {
        Some(AccountKind::Agent) => (Some(row.account_id.clone()), None),
        Some(AccountKind::Task) => {
            row.account_id.split_once('/').map(|(agent, task)| (agent.to_owned(), task.to_owned())).unzip()
        }
        _ => (None, None),
    };
    Ok(Budget {
        id: row.id,
        agent,
        task,
        token: (kind == Some(AccountKind::Token)).then_some(row.account_id),
        audience: row.audience,
        enforce: row.enforce,
        owner: row.owner_id,
        parent: row.parent_id,
        unit: row.unit,
        decimals: row.decimals,
        amount: row.amount,
        per_call: row.per_call,
        increase: row.increase_until.map(|_| row.increase),
        increase_until: row.increase_until,
        window: row.time_window,
        expires_at: row.expires_at,
        state: if row.state == "active" { State::Active } else { State::Disabled },
        created_at: row.created_at,
        updated_at: row.updated_at,
        used: None,
    })
}

pub(super) async fn list(session: &Session<'_>, query: &ListQuery) -> Result<Page<Budget>, Refusal> {
    let (limit, wanted) = page::wanted(query)?;
    let owners = session.caller().owners(Action::ReadBudget);
    let rows = session.read(|db| async move { queries::list_budget_lines(&db, &owners, &wanted).await }).await?;
    page::cut(rows, limit, |row| row.id.clone(), view)
}

async fn load(session: &Session<'_>, caller: &Caller, id: &str, action: Action) -> Result<BudgetLineRow, Refusal> {
    let id = id.to_owned();
    let row = session.read(|db| async move { queries::find_budget_line(&db, &id).await }).await?;
    let row = row.ok_or_else(Refusal::not_found)?;
    caller.check(action, Some(&row.owner_id))?;
    Ok(row)
}

pub(super) async fn find(session: &Session<'_>, id: &str) -> Result<Budget, Refusal> {
    let row = load(session, session.caller(), id, Action::ReadBudget).await?;
    let now = session.now();
    let line = row.clone();
    let used = session.read(|db| async move { window_use(&db, &line, now).await }).await?;
    let WindowUse { held, spent, carved, overage, remaining, since } = used;
    Ok(Budget { used: Some(BudgetUse { held, spent, carved, overage, remaining, since }), ..view(row)? })
}

/// The lines directly under one, those of tokens as well.
pub(super) async fn children(session: &Session<'_>, id: &str, query: &ListQuery) -> Result<Page<Budget>, Refusal> {
    let (limit, wanted) = page::wanted(query)?;
    let parent = load(session, session.caller(), id, Action::ReadBudget).await?;
    let owners = session.caller().owners(Action::ReadBudget);
    let rows =
        session.read(|db| async move { queries::list_lines_under(&db, &parent.id, &owners, &wanted).await }).await?;
    page::cut(rows, limit, |row| row.id.clone(), view)
}

/// Answers the budget, and whether it is new.
pub(super) async fn create(session: &Session<'_>, new: &NewBudget) -> Result<(bool, Budget), Refusal> {
    let (kind, account) = account(new)?;
    let account = account.as_str();
    let owner = account.split('.').next().unwrap_or_default();
    session
        .change(owner, async |caller| {
            caller.check(Action::ManageBudget, Some(owner))?;
            let agent = account.split('/').next().unwrap_or_default();
            check_account(session, kind, agent).await?;
            let wanted = row(new, kind, account, owner, session.now())?;
            let parent = parent(session, kind, &wanted, agent).await?;
            let changes = vec![deps::budget_of(kind, account)];
            let mut read = changes.clone();
            read.extend([deps::budget_of(AccountKind::Agent, agent), deps::budget_of(AccountKind::Owner, owner)]);
            read.extend([deps::owner(owner), deps::client(agent)]);
            let lines = lines_of(session, kind, account).await?;
            if let Some(have) = in_unit(&lines, &wanted) {
                let same = (have.amount, have.per_call, &have.time_window)
                    == (wanted.amount, wanted.per_call, &wanted.time_window);
                if !same {
                    return Err(Refusal::new(
                        Code::AlreadyExists,
                        "the account has a budget in this unit, and it differs",
                    ));
                }
                return Ok(Change::none(owner, read, (false, view(have.clone())?)));
            }
            if lines.len() >= MAX_BUDGETS {
                return Err(Refusal::new(Code::TooManyBudgets, "the account has budgets in 32 units already"));
            }
            let row = BudgetLineRow { parent_id: parent, ..wanted };
            let answer = (true, view(row.clone())?);
            let id = row.id.clone();
            Ok(Change {
                writes: vec![Write::Insert(Row::BudgetLine(row))],
                changes,
                ..Change::none(owner, read, answer)
            }
            .with("effect", "created")
            .with("target", id)
            .with("account", account))
        })
        .await
}

fn account(new: &NewBudget) -> Result<(AccountKind, String), Refusal> {
    match (&new.owner, &new.agent, &new.task) {
        (Some(owner), None, None) => Ok((AccountKind::Owner, owner.clone())),
        (None, Some(agent), None) => Ok((AccountKind::Agent, agent.clone())),
        (None, Some(agent), Some(task)) if is_task_name(task) => Ok((AccountKind::Task, format!("{agent}/{task}"))),
        (None, Some(_), Some(_)) => Err(Refusal::field("/task", "is letters, digits, `-`, `_` and `.`, 64 at most")),
        _ => Err(Refusal::field("/owner", "name either an owner or an agent, and a task only with its agent")),
    }
}

/// The line above a new one: a task's is its agent's, or where that has none its owner's, as
/// an agent's is.
async fn parent(
    session: &Session<'_>,
    kind: AccountKind,
    wanted: &BudgetLineRow,
    agent: &str,
) -> Result<Option<String>, Refusal> {
    let mut above = Vec::new();
    if kind == AccountKind::Task {
        above.extend(lines_of(session, AccountKind::Agent, agent).await?);
    }
    if kind != AccountKind::Owner {
        above.extend(lines_of(session, AccountKind::Owner, &wanted.owner_id).await?);
    }
    Ok(in_unit(&above, wanted).map(|line| line.id.clone()))
}

async fn check_account(session: &Session<'_>, kind: AccountKind, account: &str) -> Result<(), Refusal> {
    if kind == AccountKind::Owner {
        return super::owners::load(session, account).await.map(|_| ());
    }
    let id = account.to_owned();
    let client = session.read(|db| async move { queries::find_client(&db, &id).await }).await?;
    match client {
        Some(client) if client.kind == "agent" => Ok(()),
        _ => Err(Refusal::field("/agent", "no such agent")),
    }
}

async fn lines_of(session: &Session<'_>, kind: AccountKind, account: &str) -> Result<Vec<BudgetLineRow>, Refusal> {
    let id = account.to_owned();
    session.read(|db| async move { queries::lines_of_account(&db, kind, &id).await }).await
}

fn in_unit<'a>(lines: &'a [BudgetLineRow], like: &BudgetLineRow) -> Option<&'a BudgetLineRow> {
    lines.iter().find(|line| line.unit == like.unit && line.decimals == like.decimals)
}

fn row(new: &NewBudget, kind: AccountKind, account: &str, owner: &str, now: i64) -> Result<BudgetLineRow, Refusal> {
    let unit = Unit::new(&new.unit, new.decimals).map_err(|error| Refusal::field("/unit", error.to_string()))?;
    let window = new.window.as_deref().unwrap_or("none");
    let window = Window::parse(window).map_err(|error| Refusal::field("/window", error.to_string()))?;
    Ok(BudgetLineRow {
        id: random_id("bl_"),
        owner_id: owner.to_owned(),
        account_kind: kind.as_str().to_owned(),
        account_id: account.to_owned(),
        parent_id: None,
        unit: unit.code().to_owned(),
        decimals: new.decimals,
        amount: amount("/amount", &new.amount)?,
        per_call: new.per_call.as_ref().map(|per_call| amount("/per_call", per_call)).transpose()?,
        time_window: window.to_string(),
        enforce: "as".to_owned(),
        state: State::Active.as_str().to_owned(),
        expires_at: None,
        created_at: now,
        updated_at: now,
        increase: 0,
        increase_until: None,
        audience: None,
    })
}

/// An integer as it is written: not 5.0, not 1e2.
fn amount(pointer: &str, number: &Number) -> Result<i64, Refusal> {
    let parsed = Amount::parse(&number.clone().into());
    parsed.map(Amount::parts).map_err(|error| Refusal::field(pointer, error.to_string()))
}

pub(super) async fn patch(session: &Session<'_>, id: &str, patch: &PatchBudget) -> Result<Budget, Refusal> {
    session
        .change(id, async |caller| {
            let row = load(session, caller, id, Action::ManageBudget).await?;
            refuse_token(&row)?;
            let mut changed = row.clone();
            if let Some(wanted) = &patch.amount {
                changed.amount = amount("/amount", wanted)?;
            }
            if let Some(per_call) = &patch.per_call {
                changed.per_call = per_call.as_ref().map(|wanted| amount("/per_call", wanted)).transpose()?;
            }
            store(session, row, changed)
        })
        .await
}

/// What a token's line is, the token says.
fn refuse_token(row: &BudgetLineRow) -> Result<(), Refusal> {
    if AccountKind::parse(&row.account_kind) == Some(AccountKind::Token) {
        return Err(Refusal::new(Code::InvalidState, "a token's budget can't be changed, only disabled"));
    }
    Ok(())
}

pub(super) async fn increase(session: &Session<'_>, id: &str, wanted: &IncreaseBudget) -> Result<Budget, Refusal> {
    session
        .change(id, async |caller| {
            let reason = wanted.reason.clone().unwrap_or_default();
            check::text("/reason", &reason, 0, MAX_REASON_BYTES)?;
            if !(1..=MAX_INCREASE_SECONDS).contains(&wanted.seconds) {
                return Err(Refusal::field("/seconds", "is 1 to 31622400"));
            }
            let row = load(session, caller, id, Action::ManageBudget).await?;
            refuse_token(&row)?;
            let increase = amount("/amount", &wanted.amount)?;
            let until = session.now().saturating_add(wanted.seconds);
            let increase_until = (increase > 0).then_some(until);
            let changed = BudgetLineRow { increase, increase_until, ..row.clone() };
            Ok(store(session, row, changed)?.with("why", reason).with("increase", increase).with("until", until))
        })
        .await
}

pub(super) async fn set_state(
    session: &Session<'_>,
    id: &str,
    to: State,
    why: &ChangeState,
) -> Result<Budget, Refusal> {
    session
        .change(id, async |caller| {
            let reason = why.reason.clone().unwrap_or_default();
            check::text("/reason", &reason, 0, MAX_REASON_BYTES)?;
            let row = load(session, caller, id, Action::ManageBudget).await?;
            let state = if to == State::Active { "active" } else { "closed" };
            let changed = BudgetLineRow { state: state.to_owned(), ..row.clone() };
            Ok(store(session, row, changed)?.with("why", reason))
        })
        .await
}

fn store(session: &Session<'_>, old: BudgetLineRow, mut new: BudgetLineRow) -> Result<Change<Budget>, Refusal> {
    let kind = AccountKind::parse(&old.account_kind).ok_or_else(Refusal::internal)?;
    let deps = vec![deps::budget_of(kind, &old.account_id)];
    if old == new {
        return Ok(Change::none(&old.owner_id, deps, view(old.clone())?));
    }
    new.updated_at = session.now();
    let answer = view(new.clone())?;
    let amount = new.amount;
    let effect = if is_lower(&new, &old, session.now()) { "lowered" } else { "changed" };
    Ok(Change {
        writes: vec![Write::Update(Row::BudgetLine(new))],
        changes: deps.clone(),
        ..Change::none(&old.owner_id, deps, answer)
    }
    .with("effect", effect)
    .with("amount", amount))
}

/// Whether a line admits less than it did: then whoever relies on it is told.
fn is_lower(new: &BudgetLineRow, old: &BudgetLineRow, now: i64) -> bool {
    let limit = |row: &BudgetLineRow| {
        let increase = if row.increase_until.is_some_and(|until| now < until) { row.increase } else { 0 };
        if row.state == "active" { row.amount.saturating_add(increase) } else { 0 }
    };
    let per_call = |row: &BudgetLineRow| row.per_call.unwrap_or(i64::MAX);
    limit(new) < limit(old) || per_call(new) < per_call(old)
}
