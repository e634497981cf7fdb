//! `stipend budget tree`: a line, the lines under it, and how far each has burned down.

use super::Session;
use super::api::read;
use super::budget::{account, written};
use super::error::CliError;
use crate::admin::api::Budget;
use serde_json::{Value, json};

/// Lines shown at most.
const MAX_SHOWN: usize = 500;
/// Deepest level shown: owner, agent, task, and a token's descendants.
const MAX_LEVELS: usize = 32;
/// Characters of a bar.
const BAR: i64 = 20;

/// One line with its place in the tree.
struct Node {
    depth: usize,
    answer: Value,
    budget: Budget,
}

pub async fn run(session: &Session<'_>, root: &str) -> Result<(), CliError> {
    let nodes = gather(session, root).await?;
    if session.out.json {
        let each = |node: Node| json!({ "depth": node.depth, "budget": node.answer });
        session.out.value(&nodes.into_iter().map(each).collect());
        return Ok(());
    }
    let headings = ["ACCOUNT", "AMOUNT", "SPENT", "HELD", "CARVED", "LEFT", "BURNED"];
    session.out.table(&headings, nodes.iter().map(row).collect(), "");
    if nodes.len() >= MAX_SHOWN {
        session.out.note(format_args!("There are more: the first {MAX_SHOWN} are shown."));
    }
    Ok(())
}

/// Depth first, each line before what is under it.
async fn gather(session: &Session<'_>, root: &str) -> Result<Vec<Node>, CliError> {
    let mut nodes = Vec::new();
    let mut waiting = vec![(0, root.to_owned())];
    while let Some((depth, id)) = waiting.pop() {
        if nodes.len() >= MAX_SHOWN {
            break;
        }
        let answer = session.api.get(&["budgets", &id]).await?;
        let budget = read(&answer)?;
        nodes.push(Node { depth, answer, budget });
        if depth < MAX_LEVELS {
            let under = session.api.list(&["budgets", &id, "children"]).await?;
            let ids = under.iter().filter_map(|line| line.get("id").and_then(Value::as_str));
            waiting.extend(ids.map(|id| (depth.saturating_add(1), id.to_owned())));
        }
    }
    Ok(nodes)
}

fn row(node: &Node) -> Vec<String> {
    let budget = &node.budget;
    let used = budget.used.as_ref();
    let amount =
        |of: fn(&crate::admin::api::BudgetUse) -> i64| used.map(|used| written(of(used), budget)).unwrap_or_default();
    vec![
        format!("{}{}", "  ".repeat(node.depth), account(budget)),
        written(budget.amount, budget),
        amount(|used| used.spent),
        amount(|used| used.held),
        amount(|used| used.carved),
        amount(|used| used.remaining),
        used.map(|used| bar(budget.amount, used.remaining)).unwrap_or_default(),
    ]
}

/// How much of an amount is gone: `########............ 40 %`.
pub fn bar(amount: i64, remaining: i64) -> String {
    let gone = amount.saturating_sub(remaining).clamp(0, amount.max(0));
    let share = |of: i64| gone.saturating_mul(of).checked_div(amount).unwrap_or(of);
    let full = usize::try_from(share(BAR)).unwrap_or_default();
    let rest = usize::try_from(BAR).unwrap_or_default().saturating_sub(full);
    format!("{}{} {:>3} %", "#".repeat(full), ".".repeat(rest), share(100))
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn a_bar_shows_what_is_gone() {
        assert_eq!(bar(100, 60), "########............  40 %");
        assert_eq!(bar(100, 100), "....................   0 %");
        assert_eq!(bar(100, -5), "#################### 100 %");
        assert_eq!(bar(0, 0), "#################### 100 %");
    }
}
