//! `stipend rule`: who may exchange whose tokens, and why an exchange would be refused.

use super::Session;
use super::api::read;
use super::budget::caps_text;
use super::error::CliError;
use super::parse;
use super::print::{moment, word};
use super::resource::environment;
use super::rule_abroad::AbroadArgs;
use crate::admin::api::{AcceptRule, Explain, ExplainSubject, Explained, NewRule, Rule, Verdict, VerdictWord};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::net::IpAddr;
use stipend_token::budget::BudgetCap;
use stipend_token::rule::{Approval, Approver, ExchangeMode, PartySelector, ScopeEdge};
use stipend_token::{Audience, Environment, ScopeSet};

const CREATE_EXAMPLES: &str = "\
Examples:
  stipend rule create --actor payments.refunds --subject payments.planner \\
      --to https://orders.example --scopes orders:read,orders:refund
  stipend rule create --id payments.release --actor payments --subject planning \\
      --from https://orders.example --to https://ledger.example --scopes 'release<orders:pay'

A rule between owners works once each of them has accepted it";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  stipend rule explain --actor payments.refunds --subject payments.planner \\
      --subject-audience https://orders.example --subject-scope orders:read,orders:refund \\
      --scope orders:refund
  stipend rule explain --actor payments.refunds --subject-token - < token

Exits with 1 where the exchange would be refused";

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
    /// Whose tokens: a client, or any of an owner
    #[arg(long, value_parser = parse::party)]
    subject: PartySelector,
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
    #[command(flatten)]
    abroad: AbroadArgs,
    /// Each exchange waits until people of these owners approve it: actor, subject, target;
    /// separated by commas
    #[arg(long, value_name = "OWNERS", value_delimiter = ',', value_parser = parse::approver)]
    approval: Vec<Approver>,
}

#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// The client that would exchange
    #[arg(long, value_name = "CLIENT")]
    actor: String,
    /// The subject token; - reads it from standard input
    #[arg(long, value_name = "TOKEN", conflicts_with = "subject", required_unless_present = "subject")]
    subject_token: Option<String>,
    /// Instead of a token, imagine one issued to this client
    #[arg(long, value_name = "CLIENT", requires_all = ["subject_audience", "subject_scope"])]
    subject: Option<String>,
    /// The imagined token's audience; may be repeated
    #[arg(long, value_name = "URI", value_parser = audience, requires = "subject")]
    subject_audience: Vec<Audience>,
    /// The imagined token's scopes, separated by commas
    #[arg(long, value_name = "SCOPES", value_parser = parse::scope_set, requires = "subject")]
    subject_scope: Option<ScopeSet>,
    /// The imagined token's `sub`; its client's own where left out
    #[arg(long, value_name = "SUB", requires = "subject")]
    subject_sub: Option<String>,
    /// The imagined token's `act`, as JSON
    #[arg(long, value_name = "JSON", value_parser = parse::object, requires = "subject")]
    subject_act: Option<Map<String, Value>>,
    /// A client of the imagined token's ancestors, root first; may be repeated
    #[arg(long, value_name = "CLIENT", requires = "subject")]
    subject_lineage: Vec<String>,
    /// The imagined token's environment: live or sandbox; live where left out
    #[arg(long, value_name = "ENV", value_parser = environment, requires = "subject")]
    subject_environment: Option<Environment>,
    /// The actor would send an actor token too
    #[arg(long)]
    actor_token: bool,
    /// A resource asked for; the subject token's own where left out. May be repeated
    #[arg(long, value_name = "URI", value_parser = audience)]
    audience: Vec<Audience>,
    /// The scopes asked for, separated by commas
    #[arg(long, value_name = "SCOPES", value_parser = parse::scope_set)]
    scope: Option<ScopeSet>,
    /// The address that the request would come from, for policies that ask
    #[arg(long, value_name = "ADDRESS")]
    source: Option<IpAddr>,
    /// An identity assertion grant is asked for, and the audience is its authorization server
    #[arg(long)]
    id_jag: bool,
}

fn audience(text: &str) -> Result<Audience, String> {
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

async fn create(session: &Session<'_>, new: Create) -> Result<Value, CliError> {
    let body = NewRule {
        id: new.id,
        actor: new.actor,
        subject: new.subject,
        from_audience: new.from,
        to_audience: new.to,
        scopes: new.scopes,
        mode: if new.impersonation { ExchangeMode::Impersonation } else { ExchangeMode::Delegation },
        max_ttl_seconds: new.ttl,
        max_depth: new.max_depth,
        budget_ceiling: (!new.budget.is_empty()).then_some(new.budget),
        max_children: new.max_children,
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
        ("grants for", spec.id_jag.map(|abroad| abroad.issuer).unwrap_or_default()),
        ("state", out.state(rule.state.as_str())),
        ("accepted by", rule.accepted_by.join(" ")),
        ("awaiting", rule.awaiting.join(" ")),
        ("made by", rule.created_by),
        ("created", moment(now, rule.created_at)),
        ("changed", moment(now, rule.updated_at)),
    ]);
}

async fn explain(session: &Session<'_>, args: ExplainArgs) -> Result<(), CliError> {
    let subject = args.subject.map(|client_id| ExplainSubject {
        client_id,
        sub: args.subject_sub,
        audience: args.subject_audience,
        scope: args.subject_scope.map(|scope| scope.to_string()).unwrap_or_default(),
        act: args.subject_act,
        environment: args.subject_environment,
        lineage_clients: args.subject_lineage,
    });
    let question = Explain {
        actor: args.actor,
        subject_token: args.subject_token.as_deref().map(parse::token).transpose()?,
        subject,
        actor_token_present: args.actor_token,
        audience: args.audience,
        scope: args.scope.map(|scope| scope.to_string()),
        source: args.source,
        id_jag: args.id_jag,
    };
    let answer = session.api.post(&["exchange-rules", "explain"], &question).await?;
    let said: Explained = read(&answer)?;
    if session.out.json {
        session.out.value(&answer);
    } else {
        show_explained(session, &said);
    }
    if said.allowed { Ok(()) } else { Err(refusal(&said)) }
}

fn show_explained(session: &Session<'_>, said: &Explained) {
    let out = session.out;
    let mut rows = Vec::new();
    for rule in &said.rules {
        for verdict in &rule.verdicts {
            rows.push(vec![rule.id.clone(), verdict.audience.to_string(), phrase(verdict)]);
        }
    }
    out.table(&["RULE", "FOR", "VERDICT"], rows, "No rule was weighed.");
    out.line("");
    let answer = if said.allowed { out.state("ok") } else { out.state("refused") };
    let Some(granted) = &said.granted else {
        out.facts(&[
            ("answer", answer),
            ("error", said.error.clone().unwrap_or_default()),
            ("reason", said.reason.clone().unwrap_or_default()),
            ("policies", said.policies.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        ]);
        return;
    };
    let rules = if granted.rules.is_empty() { "none was needed".to_owned() } else { granted.rules.join(" ") };
    out.facts(&[
        ("answer", answer),
        ("for", granted.aud.iter().map(Audience::as_str).collect::<Vec<_>>().join(" ")),
        ("scope", granted.scope.to_string()),
        ("act", granted.act.as_ref().map(Value::to_string).unwrap_or_default()),
        ("token life", format!("{} s", granted.expires_in)),
        ("mode", word(&granted.mode)),
        ("rules", rules),
        ("approval by", granted.approvers.join(" and ")),
    ]);
}

/// One verdict as a sentence.
fn phrase(verdict: &Verdict) -> String {
    match verdict.verdict {
        VerdictWord::Allows => {
            format!("allows {}", verdict.scope.as_ref().map(ScopeSet::to_string).unwrap_or_default())
        }
        VerdictWord::Disabled => "is disabled".to_owned(),
        VerdictWord::OtherActor => "is for another actor".to_owned(),
        VerdictWord::OtherSubject => "is for tokens of another client".to_owned(),
        VerdictWord::OtherAudience => "leads to another resource".to_owned(),
        VerdictWord::OtherOrigin => "is for tokens of another resource".to_owned(),
        VerdictWord::NotAccepted => format!("awaits {}", verdict.owner.as_deref().unwrap_or("an owner")),
        VerdictWord::Impersonates => "impersonates, while an actor token asks for delegation".to_owned(),
        VerdictWord::ScopeExceeded => "does not let these scopes through".to_owned(),
        VerdictWord::OtherForm => "is for the other of access tokens and identity assertion grants".to_owned(),
    }
}

/// A refusal with what would change it, where a rule was close.
fn refusal(said: &Explained) -> CliError {
    let error = said.error.as_deref().unwrap_or("refused");
    let reason = said.reason.as_deref().unwrap_or("no reason given");
    let failed = CliError::failed(error, format!("the exchange would be refused: {reason}"));
    let found = |word: VerdictWord| said.rules.iter().find(|rule| rule.verdicts.iter().any(|one| one.verdict == word));
    if let Some(rule) = found(VerdictWord::NotAccepted) {
        return failed.hint(format!("`stipend rule accept {}` by the owner it awaits", rule.id));
    }
    if let Some(rule) = found(VerdictWord::Disabled) {
        return failed.hint(format!("`stipend rule enable {}` switches it on", rule.id));
    }
    if found(VerdictWord::ScopeExceeded).is_some() {
        return failed.hint("ask for fewer scopes, or for one that a rule lets through: `stipend rule show`");
    }
    if reason == "policy_denied" {
        return failed.hint(match said.policies.first() {
            Some(policy) => format!("`stipend policy show {}` says what it forbids", policy.policy),
            None => {
                "the policy is not yours to see: ask who administers the other owners, or the deployment".to_owned()
            }
        });
    }
    match said.rules.is_empty() {
        true => failed.hint("no rule was weighed: is the actor active, and the subject token alive?"),
        false => failed.hint("`stipend rule create` would have to let it through"),
    }
}
