//! `stipend approval`: exchanges that wait for people.

use super::Session;
use super::budget::caps_text;
use super::error::CliError;
use super::parse;
use super::print::{moment, relative, word};
use crate::admin::api::{ApprovalRequest, ApprovalStatus, Approve, Refuse};
use crate::approval::{Decision, Narrowing, Offer};
use clap::{Args, Subcommand};
use serde_json::Value;
use stipend_token::ScopeSet;
use stipend_token::budget::BudgetCap;

const APPROVE_EXAMPLES: &str = "\
Examples:
  stipend approval approve apr_…
  stipend approval approve apr_… --scope orders:read --ttl 1m --budget USD=500000

What is approved is issued once, and no more than it: less, where less is left by then";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List requests that wait for an answer
    List {
        /// All that are kept, a day beyond their end
        #[arg(long)]
        all: bool,
    },
    /// Show one request, and who has yet to answer
    Show {
        /// Its id
        request: String,
    },
    /// Say yes, for the owners you may answer for
    #[command(after_help = APPROVE_EXAMPLES)]
    Approve(Yes),
    /// Say no
    Refuse {
        /// Its id
        request: String,
        /// Why; its owners read it
        #[arg(long)]
        reason: String,
    },
}

#[derive(Args, Debug)]
pub struct Yes {
    /// Its id
    request: String,
    /// Why; its owners read it
    #[arg(long)]
    reason: Option<String>,
    /// Only these scopes, separated by commas
    #[arg(long, value_name = "SCOPES", value_parser = parse::scope_set)]
    scope: Option<ScopeSet>,
    /// A token of at most this life (300, 5m)
    #[arg(long, value_parser = parse::duration)]
    ttl: Option<i64>,
    /// At most this: UNIT=AMOUNT/PER_CALL; may be repeated. Of other units then nothing
    #[arg(long, value_name = "CAP", value_parser = parse::budget_cap)]
    budget: Vec<BudgetCap>,
    /// No budget at all
    #[arg(long, conflicts_with = "budget")]
    no_budget: bool,
}

pub async fn run(session: &Session<'_>, command: Command) -> Result<(), CliError> {
    let api = &session.api;
    let answer = match command {
        Command::List { all } => return list(session, all).await,
        Command::Show { request } => api.get(&["approvals", &request]).await?,
        Command::Refuse { request, reason } => api.post(&["approvals", &request, "refuse"], &Refuse { reason }).await?,
        Command::Approve(yes) => {
            let budget = (yes.no_budget || !yes.budget.is_empty()).then_some(yes.budget);
            let narrowing = Narrowing { scope: yes.scope, ttl_seconds: yes.ttl, budget };
            let body = Approve { reason: yes.reason, narrowing };
            api.post(&["approvals", &yes.request, "approve"], &body).await?
        }
    };
    show(session, &answer)
}

async fn list(session: &Session<'_>, all: bool) -> Result<(), CliError> {
    let out = session.out;
    let row = |request: ApprovalRequest| {
        vec![
            request.id,
            request.client_id,
            request.offer.resource.to_string(),
            request.offer.scope.to_string(),
            request.binding_message.unwrap_or_default(),
            out.state(&word(&request.status)),
            request.awaiting.join(" "),
            relative(session.now, request.expires_at),
        ]
    };
    let headings = ["REQUEST", "CLIENT", "FOR", "SCOPE", "SAYS", "STATE", "AWAITING", "ENDS"];
    let query: &[(&str, String)] = if all { &[] } else { &[("state", "pending".to_owned())] };
    session.list_of((&["approvals"], query), &headings, "Nothing waits for an answer.", row).await
}

fn show(session: &Session<'_>, answer: &Value) -> Result<(), CliError> {
    session.show(answer, |request| facts(session, request))
}

fn facts(session: &Session<'_>, request: ApprovalRequest) {
    let (out, now) = (session.out, session.now);
    if request.status == ApprovalStatus::Pending {
        let id = &request.id;
        out.note(format!("`stipend approval approve {id}` or `stipend approval refuse {id} --reason …` answers it."));
    }
    let offer = request.approved.unwrap_or(request.offer);
    let Offer { sub, act, resource, scope, mode, rules, ttl_seconds, budget, id_jag, credentials } = offer;
    out.facts(&[
        ("request", request.id),
        ("client", request.client_id),
        ("says", request.binding_message.unwrap_or_default()),
        ("on behalf of", sub),
        ("act", act.as_ref().map(Value::to_string).unwrap_or_default()),
        ("for", resource.to_string()),
        ("scope", scope.to_string()),
        ("budget", caps_text(&budget)),
        (
            "credentials",
            credentials
                .iter()
                .flatten()
                .filter_map(|one| one.get("identifier").and_then(Value::as_str))
                .collect::<Vec<_>>()
                .join(" "),
        ),
        ("grant abroad", id_jag.as_ref().map(Value::to_string).unwrap_or_default()),
        ("token life", format!("{ttl_seconds} s at most")),
        ("mode", word(&mode)),
        ("rules", rules.join(" ")),
        ("state", out.state(&word(&request.status))),
        ("answers", request.decisions.iter().map(|one| decision(now, one)).collect::<Vec<_>>().join("\n")),
        ("awaiting", request.awaiting.join(" ")),
        ("token", request.jti.unwrap_or_default()),
        ("made", moment(now, request.created_at)),
        ("ends", moment(now, request.expires_at)),
    ]);
}

fn decision(now: i64, decision: &Decision) -> String {
    let said = if decision.approved { "yes" } else { "no" };
    let why = decision.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{} says {said}, by {}, {}{why}", decision.owner, decision.by, moment(now, decision.at))
}
