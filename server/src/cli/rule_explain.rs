//! `stipend rule explain`: why an exchange would be allowed or refused, without doing it.

use super::Session;
use super::api::read;
use super::error::CliError;
use super::issuer;
use super::parse;
use super::print::word;
use super::resource::environment;
use super::rule::audience;
use crate::admin::api::{Explain, ExplainFederated, ExplainSubject, Explained, Verdict, VerdictWord};
use clap::Args;
use serde_json::{Map, Value};
use std::net::IpAddr;
use stipend_token::{Audience, Environment, ScopeSet};

pub const EXPLAIN_EXAMPLES: &str = "\
Examples:
  stipend rule explain --actor payments.refunds --subject payments.planner \\
      --subject-audience https://orders.example --subject-scope orders:read,orders:refund \\
      --scope orders:refund
  stipend rule explain --actor payments.refunds --subject-token - < token

Exits with 1 where the exchange would be refused";

#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// The client that would exchange
    #[arg(long, value_name = "CLIENT")]
    actor: String,
    /// The subject token; - reads it from standard input
    #[arg(long, value_name = "TOKEN", conflicts_with = "subject", required_unless_present_any = ["subject", "subject_issuer"])]
    subject_token: Option<String>,
    /// Instead of a token, imagine one issued to this client
    #[arg(long, value_name = "CLIENT", requires_all = ["subject_audience", "subject_scope"])]
    subject: Option<String>,
    /// Instead of a token, imagine a good one of this trusted issuer (iss_…, https://login.example)
    #[arg(long, value_name = "ISSUER", requires = "subject_name", conflicts_with_all = ["subject", "subject_token"])]
    subject_issuer: Option<String>,
    /// The name there of the imagined token's subject
    #[arg(long, value_name = "NAME", requires = "subject_issuer")]
    subject_name: Option<String>,
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

pub async fn explain(session: &Session<'_>, args: ExplainArgs) -> Result<(), CliError> {
    let subject = args.subject.map(|client_id| ExplainSubject {
        client_id,
        sub: args.subject_sub,
        audience: args.subject_audience,
        scope: args.subject_scope.map(|scope| scope.to_string()).unwrap_or_default(),
        act: args.subject_act,
        environment: args.subject_environment,
        lineage_clients: args.subject_lineage,
    });
    let federated = match (args.subject_issuer, args.subject_name) {
        (Some(named), Some(subject)) => {
            Some(ExplainFederated { issuer: issuer::id_of(session, named).await?, subject })
        }
        _ => None,
    };
    let question = Explain {
        actor: args.actor,
        subject_token: args.subject_token.as_deref().map(parse::token).transpose()?,
        subject,
        federated,
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
        VerdictWord::OtherSubject => "is for tokens of others".to_owned(),
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
