//! `stipend budget`.

use super::Session;
use super::budget_tree;
use super::error::CliError;
use super::parse;
use super::print::moment;
use crate::admin::api::{Budget, ChangeState, IncreaseBudget, NewBudget, PatchBudget};
use clap::{Args, Subcommand};
use serde_json::Value;
use stipend_token::budget::{BudgetCap, Unit};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Give an owner or an agent a budget; nothing happens when it is there already
    #[command(
        after_help = "Amounts are integers in the unit's smallest part: millionths for money.\n\nExamples:\n  stipend budget create --owner payments --unit USD --amount 5000000 --window month@Europe/Berlin\n  stipend budget create --agent payments.refunds --unit call --amount 1000 --window rolling:3600"
    )]
    Create(Create),
    /// List budgets
    List,
    /// Show a budget, and what its window has used
    Show {
        /// Its id
        budget: String,
    },
    /// Show a budget and all under it, and how far each has burned down
    Tree {
        /// Its id
        budget: String,
    },
    /// Recompute every line from the journal of what was held, captured and carved
    #[command(
        after_help = "Reads STIPEND_DATABASE_URL itself and asks no server. Exits with 1 when a line and its journal differ."
    )]
    Verify,
    /// Change a budget's amounts; what is used stays used
    Update(Update),
    /// Raise a budget for a while
    Increase(Increase),
    /// Switch a budget off: nothing new is spent from it
    Disable {
        /// Its id
        budget: String,
        /// Why, for the audit
        #[arg(long)]
        reason: Option<String>,
    },
    /// Switch a budget on again
    Enable {
        /// Its id
        budget: String,
    },
}

#[derive(Args, Debug)]
pub struct Create {
    /// The owner whose budget it is
    #[arg(long, required_unless_present = "agent", conflicts_with = "agent")]
    owner: Option<String>,
    /// The agent whose budget it is; its owner's in the same unit is charged as well
    #[arg(long)]
    agent: Option<String>,
    /// One of the agent's tasks, by a name of its own
    #[arg(long, requires = "agent")]
    task: Option<String>,
    /// The unit: USD, call, token, or one of your own
    #[arg(long)]
    unit: String,
    /// Decimals of its smallest part; left out for money, call and token
    #[arg(long)]
    decimals: Option<i64>,
    /// How much, in the smallest part
    #[arg(long)]
    amount: u64,
    /// Most that one call may take
    #[arg(long)]
    per_call: Option<u64>,
    /// none, day@ZONE, week@ZONE, month@ZONE or rolling:SECONDS
    #[arg(long)]
    window: Option<String>,
}

#[derive(Args, Debug)]
pub struct Increase {
    /// Its id
    budget: String,
    /// How much more, in the smallest part; 0 ends an increase
    #[arg(long)]
    amount: u64,
    /// For how long (3600, 1h, 7d)
    #[arg(long = "for", value_name = "DURATION", value_parser = parse::duration, default_value = "1d")]
    seconds: i64,
    /// Why, for the audit
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Args, Debug)]
pub struct Update {
    /// Its id
    budget: String,
    /// How much, in the smallest part
    #[arg(long)]
    amount: Option<u64>,
    /// Most that one call may take
    #[arg(long, conflicts_with = "no_per_call")]
    per_call: Option<u64>,
    /// Let one call take all of it
    #[arg(long)]
    no_per_call: bool,
}

pub async fn run(session: &Session<'_>, command: Command) -> Result<(), CliError> {
    let api = &session.api;
    let answer = match command {
        Command::List => return list(session).await,
        Command::Create(new) => create(session, new).await?,
        Command::Tree { budget } => return budget_tree::run(session, &budget).await,
        // Done before there is a session: it asks no server.
        Command::Verify => return Ok(()),
        Command::Increase(more) => {
            let body = IncreaseBudget { amount: more.amount.into(), seconds: more.seconds, reason: more.reason };
            api.post(&["budgets", &more.budget, "increase"], &body).await?
        }
        Command::Show { budget } => api.get(&["budgets", &budget]).await?,
        Command::Update(update) => {
            let per_call = update.per_call.map(|per_call| Some(per_call.into()));
            let patch = PatchBudget {
                amount: update.amount.map(Into::into),
                per_call: if update.no_per_call { Some(None) } else { per_call },
            };
            api.patch(&["budgets", &update.budget], &patch).await?
        }
        Command::Disable { budget, reason } => {
            api.post(&["budgets", &budget, "disable"], &ChangeState { reason }).await?
        }
        Command::Enable { budget } => api.post(&["budgets", &budget, "enable"], &ChangeState::default()).await?,
    };
    show(session, &answer)
}

async fn create(session: &Session<'_>, new: Create) -> Result<Value, CliError> {
    let decimals = new.decimals.or_else(|| Unit::known_decimals(&new.unit));
    let decimals =
        decimals.ok_or_else(|| CliError::usage(format!("--decimals is needed for the unit {}", new.unit)))?;
    if let Some(agent) = &new.agent {
        parse::client_id(agent).map_err(|error| CliError::usage(format!("--agent {agent}: {error}")))?;
    }
    let body = NewBudget {
        owner: new.owner,
        agent: new.agent,
        task: new.task,
        unit: new.unit,
        decimals,
        amount: new.amount.into(),
        per_call: new.per_call.map(Into::into),
        window: new.window,
    };
    session.api.post(&["budgets"], &body).await
}

/// Whose line it is.
pub fn account(budget: &Budget) -> String {
    match (&budget.token, &budget.agent, &budget.task) {
        (Some(token), _, _) => token.clone(),
        (None, Some(agent), Some(task)) => format!("{agent}/{task}"),
        (None, Some(agent), None) => agent.clone(),
        (None, None, _) => budget.owner.clone(),
    }
}

/// Caps in a line of text, in the smallest parts.
pub fn caps_text(caps: &[BudgetCap]) -> String {
    let each = |cap: &BudgetCap| {
        let per_call = cap.per_call.map(|amount| format!(", {amount} a call")).unwrap_or_default();
        format!("{} of {}{per_call}", cap.amount, cap.unit.code())
    };
    if caps.is_empty() { "none".to_owned() } else { caps.iter().map(each).collect::<Vec<_>>().join("; ") }
}

/// Smallest parts as people write the unit: `2.000000 USD`.
pub fn written(parts: i64, budget: &Budget) -> String {
    let places = usize::try_from(budget.decimals).unwrap_or_default();
    let sign = if parts < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", parts.unsigned_abs(), width = places.saturating_add(1));
    let (whole, part) = digits.split_at(digits.len().saturating_sub(places));
    let point = if places == 0 { "" } else { "." };
    format!("{sign}{whole}{point}{part} {}", budget.unit)
}

async fn list(session: &Session<'_>) -> Result<(), CliError> {
    let out = session.out;
    let row = |budget: Budget| {
        vec![
            budget.id.clone(),
            account(&budget),
            written(budget.amount, &budget),
            budget.per_call.map(|amount| written(amount, &budget)).unwrap_or_default(),
            budget.window.clone(),
            out.state(budget.state.as_str()),
        ]
    };
    let headings = ["BUDGET", "ACCOUNT", "AMOUNT", "PER CALL", "WINDOW", "STATE"];
    session.list(&["budgets"], &headings, "No budgets. Make one with `stipend budget create`.", row).await
}

fn show(session: &Session<'_>, answer: &Value) -> Result<(), CliError> {
    let (out, now) = (session.out, session.now);
    session.show(answer, |budget: Budget| {
        let used = |of: fn(&crate::admin::api::BudgetUse) -> i64| {
            budget.used.as_ref().map(|used| written(of(used), &budget)).unwrap_or_default()
        };
        out.facts(&[
            ("budget", budget.id.clone()),
            ("account", account(&budget)),
            ("under", budget.parent.clone().unwrap_or_default()),
            ("state", out.state(budget.state.as_str())),
            ("amount", written(budget.amount, &budget)),
            ("increase", increase(&budget, now)),
            ("per call", budget.per_call.map(|amount| written(amount, &budget)).unwrap_or_default()),
            ("window", budget.window.clone()),
            ("spent", used(|used| used.spent)),
            ("held", used(|used| used.held)),
            ("carved", used(|used| used.carved)),
            ("overage", used(|used| used.overage)),
            ("remaining", used(|used| used.remaining)),
            ("created", moment(now, budget.created_at)),
            ("changed", moment(now, budget.updated_at)),
        ]);
    })
}

fn increase(budget: &Budget, now: i64) -> String {
    let more = budget.increase.zip(budget.increase_until).filter(|(_, until)| now < *until);
    more.map(|(more, until)| format!("{} until {}", written(more, budget), moment(now, until))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn amounts_are_written_with_the_units_decimals() {
        let budget = |unit: &str, decimals: i64| -> Budget {
            serde_json::from_value(json!({
                "id": "bl_1", "owner": "acme", "unit": unit, "decimals": decimals, "amount": 0, "window": "none",
                "state": "active", "enforce": "as", "created_at": 0, "updated_at": 0,
            }))
            .unwrap()
        };
        let usd = budget("USD", 6);
        let cases =
            [(2_000_000, "2.000000 USD"), (1, "0.000001 USD"), (-250_000, "-0.250000 USD"), (0, "0.000000 USD")];
        for (parts, text) in cases {
            assert_eq!(written(parts, &usd), text);
        }
        assert_eq!(written(42, &budget("call", 0)), "42 call");
    }
}
