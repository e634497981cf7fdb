//! `stipend rule`: who may exchange whose tokens, and why an exchange would be refused.

use super::Session;
use super::budget::caps_text;
use super::error::CliError;
use super::issuer;
use super::parse;
use super::print::{moment, word};
use super::rule_abroad::AbroadArgs;
use super::rule_explain::{EXPLAIN_EXAMPLES, ExplainArgs, explain};
use crate::admin::api::{AcceptRule, NewRule, Rule};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use stipend_token::Audience;
use stipend_token::budget::BudgetCap;
use stipend_token::rule::{Approval, Approver, ExchangeMode, PartySelector, ScopeEdge};

const CREATE_EXAMPLES: &str = "\
Examples:
  stipend rule create --actor payments.refunds --subject payments.planner \\
      --to https://orders.example --scopes orders:read,orders:refund
  stipend rule create --actor payments.desk --subject https://login.example \\
      --to https://orders.example --scopes orders:read
  stipend rule create --id payments.release --actor payments --subject planning \\
      --from https://orders.example --to https://ledger.example --scopes 'release<orders:pay'

A rule between owners works once each of them has accepted it";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Propose a rule, and accept it for the owners you administer
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Box<Create>),
    /// List rules
    List,
    /// Show one rule, and who has yet to accept it
    Show {
        /// Its id
        rule: String,
    },
    /// Accept a rule
    Accept {
        /// Its id
        rule: String,
        /// For this owner only; for all you administer where left out
        #[arg(long)]
        owner: Option<String>,
    },
    /// Switch a rule off, and take back its acceptance for the owners you administer
    Disable {
        /// Its id
        rule: String,
    },
    /// Switch a rule on, and accept it for the owners you administer
    Enable {
        /// Its id
        rule: String,
    },
    /// Delete a rule
    Delete {
        /// Its id
        rule: String,
    },
    /// Say why an exchange would be allowed or refused, without doing it
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Box<ExplainArgs>),
}

#[derive(Args, Debug)]
pub struct Create {
    /// Its id, <owner>.<name>: makes the command repeatable. A new one where left out
    #[arg(long)]
    id: Option<String>,
    /// Who may exchange: a client (payments.refunds), or any of an owner (payments)
    #[arg(long, value_parser = parse::party)]
    actor: PartySelector,
    /// Whose tokens: a client, any of an owner, or a trusted issuer (iss_…, https://login.example)
    #[arg(long, value_parser = parse::subject_party)]
    subject: PartySelector,
    /// Of an issuer's subjects only this one, by its name there
    #[arg(long, value_name = "NAME")]
    subject_name: Option<String>,
    /// Only tokens for this resource; any where left out
    #[arg(long, value_name = "URI", value_parser = audience)]
    from: Option<Audience>,
    /// The resource that the new token is for
    #[arg(long, value_name = "URI", value_parser = audience)]
    to: Audience,
    /// What goes along: SCOPE, or SCOPE<SUBJECT_SCOPE that stands for it; separated by commas
    #[arg(long, value_delimiter = ',', required = true, value_parser = parse::scope_edge)]
    scopes: Vec<ScopeEdge>,
    /// The new token does not name the actor in `act`
    #[arg(long)]
    impersonation: bool,
    /// Longest life of the new token (300, 5m)
    #[arg(long, value_parser = parse::duration)]
    ttl: Option<i64>,
    /// Most actors in the new token's chain
    #[arg(long, value_name = "N")]
    max_depth: Option<usize>,
    /// Most budget that goes along: UNIT=AMOUNT, or UNIT=AMOUNT/PER_CALL; may be repeated. Of
    /// other units then none
    #[arg(long, value_name = "CAP", value_parser = parse::budget_cap)]
    budget: Vec<BudgetCap>,
    /// Most tokens with a budget from one subject token
    #[arg(long, value_name = "N")]
    max_children: Option<i64>,
    /// Subject tokens that are bound to their holder's key may come without a proof of it: the new
    /// token is bound to the actor's key instead
    #[arg(long)]
    accept_bound_subject: bool,
    #[command(flatten)]
    abroad: AbroadArgs,
    /// Each exchange waits until people of these owners approve it: actor, subject, target;
    /// separated by commas
    #[arg(long, value_name = "OWNERS", value_delimiter = ',', value_parser = parse::approver)]
    approval: Vec<Approver>,
}

pub fn audience(text: &str) -> Result<Audience, String> {
    Audience::parse(text).map_err(|error| error.to_string())
}

pub async fn run(session: &Session<'_>, command: Command) -> Result<(), CliError> {
    let api = &session.api;
    let answer = match command {
        Command::List => return list(session).await,
        Command::Delete { rule } => return delete(session, &rule).await,
        Command::Explain(args) => return explain(session, *args).await,
        Command::Create(new) => create(session, *new).await?,
        Command::Show { rule } => api.get(&["exchange-rules", &rule]).await?,
        Command::Accept { rule, owner } => {
            api.post(&["exchange-rules", &rule, "accept"], &AcceptRule { owner }).await?
        }
        Command::Disable { rule } => api.post(&["exchange-rules", &rule, "disable"], &json!({})).await?,
        Command::Enable { rule } => api.post(&["exchange-rules", &rule, "enable"], &json!({})).await?,
    };
    show(session, &answer)
}

/// The issuer by its id, whatever it was called, and which of its subjects.
async fn subject_of(
    session: &Session<'_>,
    party: PartySelector,
    name: Option<String>,
) -> Result<PartySelector, CliError> {
    match (party, name) {
        (PartySelector::Issuer { id, .. }, subject) => {
            Ok(PartySelector::Issuer { id: issuer::id_of(session, id).await?, subject })
        }
        (_, Some(_)) => Err(CliError::usage("--subject-name goes with an issuer as --subject")),
        (party, None) => Ok(party),
    }
}

async fn create(session: &Session<'_>, new: Create) -> Result<Value, CliError> {
    let body = NewRule {
        id: new.id,
        actor: new.actor,
        subject: subject_of(session, new.subject, new.subject_name).await?,
        from_audience: new.from,
        to_audience: new.to,
        scopes: new.scopes,
        mode: if new.impersonation { ExchangeMode::Impersonation } else { ExchangeMode::Delegation },
        max_ttl_seconds: new.ttl,
        max_depth: new.max_depth,
        budget_ceiling: (!new.budget.is_empty()).then_some(new.budget),
        max_children: new.max_children,
        accept_bound_subject: new.accept_bound_subject,
        id_jag: new.abroad.into_abroad(),
        approval: (!new.approval.is_empty()).then_some(Approval { by: new.approval }),
    };
    session.api.post(&["exchange-rules"], &body).await
}

async fn delete(session: &Session<'_>, rule: &str) -> Result<(), CliError> {
    let answer = session.api.delete(&["exchange-rules", rule]).await?;
    if session.out.json {
        session.out.value(&answer);
    } else {
        session.out.line(format_args!("{rule} is gone."));
    }
    Ok(())
}

fn party(party: &PartySelector) -> String {
    match party {
        PartySelector::Client(client) => client.clone(),
        PartySelector::Owner(owner) => format!("any of {owner}"),
        PartySelector::Issuer { id, subject: None } => format!("any of {id}"),
        PartySelector::Issuer { id, subject: Some(name) } => format!("{name} of {id}"),
    }
}

fn edges(edges: &[ScopeEdge]) -> String {
    let each = |edge: &ScopeEdge| match &edge.stands_for {
        Some(held) => format!("{}<{held}", edge.scope),
        None => edge.scope.clone(),
    };
    edges.iter().map(each).collect::<Vec<_>>().join(" ")
}

async fn list(session: &Session<'_>) -> Result<(), CliError> {
    let out = session.out;
    let row = |rule: Rule| {
        vec![
            rule.id,
            party(&rule.spec.actor),
            party(&rule.spec.subject),
            rule.spec.to_audience.to_string(),
            edges(&rule.spec.scopes),
            out.state(rule.state.as_str()),
            rule.awaiting.join(" "),
        ]
    };
    let headings = ["RULE", "ACTOR", "SUBJECT", "TO", "SCOPES", "STATE", "AWAITING"];
    session.list(&["exchange-rules"], &headings, "No rules. Make one with `stipend rule create`.", row).await
}

fn show(session: &Session<'_>, answer: &Value) -> Result<(), CliError> {
    session.show(answer, |rule| facts(session, rule))
}

fn facts(session: &Session<'_>, rule: Rule) {
    let (out, now) = (session.out, session.now);
    let spec = rule.spec;
    if !rule.awaiting.is_empty() {
        let id = &rule.id;
        out.note(format!("It works once {} has accepted it: `stipend rule accept {id}`.", rule.awaiting.join(" and ")));
    }
    out.facts(&[
        ("rule", rule.id),
        ("actor", party(&spec.actor)),
        ("subject", party(&spec.subject)),
        ("from", spec.from_audience.map_or_else(|| "any".to_owned(), |from| from.to_string())),
        ("to", spec.to_audience.to_string()),
        ("scopes", edges(&spec.scopes)),
        ("mode", word(&spec.mode)),
        ("token life", spec.max_ttl_seconds.map(|ttl| format!("{ttl} s at most")).unwrap_or_default()),
        ("depth", spec.max_depth.map(|depth| format!("{depth} actors at most")).unwrap_or_default()),
        ("budget", spec.budget_ceiling.map(|caps| caps_text(&caps)).unwrap_or_default()),
        (
            "approval",
            spec.approval
                .map(|approval| approval.by.iter().map(word).collect::<Vec<_>>().join(" and "))
                .unwrap_or_default(),
        ),
        ("children", spec.max_children.map(|most| format!("{most} at most")).unwrap_or_default()),
        ("bound subjects", if spec.accept_bound_subject { "without their key".to_owned() } else { String::new() }),
        ("grants for", spec.id_jag.map(|abroad| abroad.issuer).unwrap_or_default()),
        ("state", out.state(rule.state.as_str())),
        ("accepted by", rule.accepted_by.join(" ")),
        ("awaiting", rule.awaiting.join(" ")),
        ("made by", rule.created_by),
        ("created", moment(now, rule.created_at)),
        ("changed", moment(now, rule.updated_at)),
    ]);
}
