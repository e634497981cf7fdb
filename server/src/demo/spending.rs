//! The step in which money is spent: by the relying service, to the last unit.

use super::DemoError;
use super::narrator::Narrator;
use super::story::{Cast, expect};
use crate::admin::api::Budget;
use crate::cli::budget::written;
use crate::cli::budget_tree::bar;
use reqwest::Method;
use serde_json::Value;
use std::io::Write;
use stipend_keys::Secret;

/// From the owner's line down to the one that the service spends from.
const LEVELS: [&str; 4] = ["acme", "acme.planner", "planner's token", "refunds' token"];

pub(super) async fn spend(
    tell: &mut Narrator<'_, impl Write>,
    cast: &Cast,
    child: &Secret<String>,
) -> Result<(), DemoError> {
    tell.step("The relying service spends the two dollars, to the last millionth")?;
    let url = |path: &str| format!("{}/budget/{path}", cast.outside.metadata.issuer);
    let token = child.expose().as_str();
    let order = |amount| [("token", token), ("unit", "USD"), ("amount", amount)];
    tell.request("POST /budget/holds  token=refunds'  amount=1500000  (as orders-api)")?;
    let (_, held) = cast.outside.post(&url("holds"), &cast.service, &order("1500000")).await?;
    tell.members(&held, &["hold", "held", "remaining"])?;
    let capture = url(&format!("holds/{}/capture", held["hold"].as_str().unwrap_or_default()));
    tell.request("POST /budget/holds/…/capture  amount=1250000  final=true")?;
    let (_, spent) = cast.outside.post(&capture, &cast.service, &[("amount", "1250000"), ("final", "true")]).await?;
    tell.members(&spent, &["spent", "remaining"])?;
    tell.request("POST /budget/charges  amount=750000")?;
    let (_, last) = cast.outside.post(&url("charges"), &cast.service, &order("750000")).await?;
    tell.members(&last, &["spent", "remaining"])?;
    tell.request("POST /budget/charges  amount=1")?;
    let (status, refused) = cast.outside.post(&url("charges"), &cast.service, &order("1")).await?;
    tell.answer(&format!("{status}"))?;
    tell.members(&refused, &["error", "error_description", "line", "required", "remaining"])?;
    let as_it_must = held["remaining"] == 500_000
        && spent["remaining"] == 750_000
        && last["remaining"] == 0
        && status == 403
        && refused["error"] == "insufficient_budget";
    expect(as_it_must, &|| format!("{held} {spent} {last} {refused}"))?;
    tell.request("GET /admin/v1/budgets/…, from the owner's line down (stipend budget tree)")?;
    let burned = burn_down(tell, cast).await?;
    expect(burned == refused["line"], &|| format!("{burned} is not {}", refused["line"]))?;
    tell.shows("every level above is charged as well: the first that is empty stops the call, and is named")?;
    Ok(())
}

/// The owner's line, and under each the one that was spent from: how far they have burned
/// down. Answers the last.
async fn burn_down(tell: &mut Narrator<'_, impl Write>, cast: &Cast) -> Result<Value, DemoError> {
    let mut lines = cast.outside.admin(Method::GET, "/budgets", None).await?;
    if let Some(Value::Array(items)) = lines.get_mut("items") {
        items.retain(|line| line.get("parent").is_none());
    }
    let mut last = Value::Null;
    for (level, name) in LEVELS.into_iter().enumerate() {
        let Some(line) = spent_from(cast, &lines).await? else { break };
        let left = line.used.as_ref().map_or(0, |used| used.remaining);
        let name = format!("{}{name}", "  ".repeat(level));
        let (rest, whole) = (written(left, &line), written(line.amount, &line));
        tell.note(&format!("{name:<21} {rest} of {whole} left  {}", bar(line.amount, left)))?;
        lines = cast.outside.admin(Method::GET, &format!("/budgets/{}/children", line.id), None).await?;
        last = line.id.into();
    }
    Ok(last)
}

async fn spent_from(cast: &Cast, lines: &Value) -> Result<Option<Budget>, DemoError> {
    for line in lines["items"].as_array().into_iter().flatten() {
        let path = format!("/budgets/{}", line["id"].as_str().unwrap_or_default());
        let line = cast.outside.admin(Method::GET, &path, None).await?;
        let line: Budget = serde_json::from_value(line).map_err(|error| DemoError::Unexpected(error.to_string()))?;
        if line.used.as_ref().is_some_and(|used| used.spent > 0) {
            return Ok(Some(line));
        }
    }
    Ok(None)
}
