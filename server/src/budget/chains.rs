//! Who pays for what a token does: the chains of lines a hold is charged to.

use super::Declined;
use crate::app::App;
use crate::deps;
use crate::reason::Reason;
use crate::records::BudgetLine;
use stipend_schema::Dep;
use stipend_token::budget::Unit;
use stipend_token::claims::AccessToken;

const OWNER: &str = "owner";
const AGENT: &str = "agent";

/// The chains, leaf first, with all that was looked at.
#[derive(Debug, Default)]
pub(super) struct Chains {
    pub paths: Vec<Vec<String>>,
    pub deps: Vec<Dep>,
}

/// The client the token's authority began with pays, and its owner; the client that acts now
/// is charged on its own lines as well, which only cap what it may spend of others' money.
///
/// # Errors
/// [`Reason::NoBudget`] when nobody pays in this unit.
pub(super) async fn of_token(app: &App, token: &AccessToken, unit: &Unit) -> Result<Chains, Declined> {
    let mut chains = Chains::default();
    let payer = token.lineage.clients.first().unwrap_or(&token.client_id);
    let pays = add_chain(app, payer, unit, true, &mut chains).await?;
    if !pays {
        return Err(Declined { reason: Reason::NoBudget, refusal: None, deps: chains.deps });
    }
    if *payer != token.client_id {
        add_chain(app, &token.client_id, unit, false, &mut chains).await?;
    }
    Ok(chains)
}

/// An agent without a line of its own spends from its owner's where it is the payer.
async fn add_chain(app: &App, client_id: &str, unit: &Unit, pays: bool, chains: &mut Chains) -> Result<bool, Reason> {
    let Some(client) = app.records.find_client(client_id).await? else { return Ok(false) };
    chains.deps.push(deps::budget_of(AGENT, client_id));
    let in_unit = |lines: &[BudgetLine]| lines.iter().find(|line| line.unit == *unit).cloned();
    let mut leaf = in_unit(&app.records.budget_lines(AGENT, client_id).await?);
    if leaf.is_none() && pays {
        chains.deps.push(deps::budget_of(OWNER, &client.owner_id));
        leaf = in_unit(&app.records.budget_lines(OWNER, &client.owner_id).await?);
    }
    let Some(leaf) = leaf else { return Ok(false) };
    let mut path = vec![leaf.id.clone()];
    if !leaf.carved
        && let Some(parent) = leaf.parent_id
    {
        path.push(parent);
    }
    chains.paths.push(path);
    Ok(true)
}
