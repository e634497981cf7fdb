//! Who pays: the chains of lines that a hold is charged to, and those that a new token's
//! lines go under.

use super::Declined;
use crate::app::App;
use crate::deps;
use crate::reason::Reason;
use crate::records::{BudgetLine, Client, Unavailable};
use std::sync::Arc;
use stipend_schema::Dep;
use stipend_token::budget::{AccountKind, Enforce, Unit};
use stipend_token::claims::AccessToken;

/// The chains, leaf first, with all that was looked at.
#[derive(Debug, Default)]
pub(super) struct Chains {
    pub paths: Vec<Vec<String>>,
    pub deps: Vec<Dep>,
}

/// A token spends from the lines that it names and from all above them. The client that acts
/// now is charged on its own lines as well, which only cap what it may spend of others' money.
///
/// # Errors
/// [`Reason::NoBudget`] for a unit that the token does not name, [`Reason::BudgetCarved`] where
/// its service counts.
pub(super) async fn of_token(app: &App, token: &AccessToken, unit: &Unit) -> Result<Chains, Declined> {
    let line = token.budget.iter().flatten().find(|line| line.unit == *unit).ok_or(Reason::NoBudget)?;
    if line.enforce == Enforce::Service {
        return Err(Reason::BudgetCarved.into());
    }
    let path = app.records.budget_path(&line.id).await?.ok_or(Reason::NoBudget)?;
    let mut chains = Chains { paths: vec![path.lines.clone()], deps: Vec::new() };
    let payer = payer(token);
    if payer != token.client_id {
        chains.deps.push(deps::budget_of(AccountKind::Agent, &token.client_id));
        let own = app.records.budget_lines(AccountKind::Agent, &token.client_id).await?;
        if let Some(own) = own.iter().find(|own| own.unit == *unit) {
            let path = app.records.budget_path(&own.id).await?.ok_or(Reason::NoBudget)?;
            chains.paths.push(path.lines.clone());
        }
    }
    Ok(chains)
}

/// The client that the token's authority began with.
pub fn payer(token: &AccessToken) -> &str {
    token.lineage.clients.first().unwrap_or(&token.client_id)
}

/// The lines that a client's tokens go under where no other token is above them: its own, or
/// its owner's in units where it has none.
#[derive(Debug)]
pub struct Purse {
    client: Arc<Client>,
    own: Arc<Vec<BudgetLine>>,
    owners: Arc<Vec<BudgetLine>>,
    pub deps: Vec<Dep>,
}

impl Purse {
    /// # Errors
    /// [`Unavailable`].
    pub async fn open(app: &App, client: Arc<Client>) -> Result<Self, Unavailable> {
        let deps = vec![
            deps::budget_of(AccountKind::Agent, &client.id),
            deps::budget_of(AccountKind::Owner, &client.owner_id),
        ];
        let own = app.records.budget_lines(AccountKind::Agent, &client.id).await?;
        let owners = app.records.budget_lines(AccountKind::Owner, &client.owner_id).await?;
        Ok(Self { client, own, owners, deps })
    }

    /// The line of a unit.
    #[must_use]
    pub fn line(&self, unit: &Unit) -> Option<&BudgetLine> {
        self.own.iter().chain(self.owners.iter()).find(|line| line.unit == *unit)
    }

    /// The units of a token that nothing was asked for: those of the client's own lines, and
    /// only of a client that has none its owner's.
    pub fn default_units(&self) -> impl Iterator<Item = &Unit> {
        let lines = if self.own.is_empty() { &self.owners } else { &self.own };
        lines.iter().filter(|line| line.active).map(|line| &line.unit)
    }

    /// The line of one of the client's tasks.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn task(&mut self, app: &App, task: &str, unit: &Unit) -> Result<Option<BudgetLine>, Unavailable> {
        let account = format!("{}/{task}", self.client.id);
        self.deps.push(deps::budget_of(AccountKind::Task, &account));
        let lines = app.records.budget_lines(AccountKind::Task, &account).await?;
        Ok(lines.iter().find(|line| line.unit == *unit).cloned())
    }
}
