//! `stipend revocation`: what is dead although it was validly issued.

use super::Session;
use super::agent_args::SEVERITIES;
use super::api::read;
use super::error::CliError;
use super::parse;
use super::print::{moment, relative, word};
use crate::admin::api::{NewRevocation, Revocation, RevokeKind, Severity};
use clap::{Args, Subcommand};

const KINDS: &[&str] = &["token", "client", "subject", "resource", "owner", "issuer"];

const CREATE_EXAMPLES: &str = "\
Examples:
  stipend revocation create --kind token --token - --reason \"in a log\" < token
  stipend revocation create --kind client --value payments.refunds --reason \"prompt injection\" --severity high
  stipend revocation create --kind resource --value https://orders.example --reason \"moved\"

Kinds other than token: what was issued until now is dead, what is issued later lives.
To stop an agent itself: `stipend agent suspend` or `stipend agent revoke`";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List revocations that may still match a living token
    List,
    /// Revoke a token and its descendants, or all that was issued for something until now
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Create),
}

#[derive(Args, Debug)]
pub struct Create {
    /// What is revoked
    #[arg(long, value_parser = parse::words::<RevokeKind>(KINDS))]
    kind: RevokeKind,
    /// The client id, `sub`, resource URI or owner id; for kind token its `jti`
    #[arg(long, required_unless_present = "token")]
    value: Option<String>,
    /// For kind token: the token itself; - reads it from standard input
    #[arg(long, value_name = "TOKEN", conflicts_with = "value")]
    token: Option<String>,
    /// Why, for the audit
    #[arg(long)]
    reason: String,
    /// How bad it is
    #[arg(long, default_value = "medium", value_parser = parse::words::<Severity>(SEVERITIES))]
    severity: Severity,
}

pub async fn run(session: &Session<'_>, command: Command) -> Result<(), CliError> {
    match command {
        Command::List => list(session).await,
        Command::Create(new) => create(session, new).await,
    }
}

async fn create(session: &Session<'_>, new: Create) -> Result<(), CliError> {
    if new.token.is_some() && new.kind != RevokeKind::Token {
        return Err(CliError::usage(format!("--token goes with --kind token, not {}", word(&new.kind))));
    }
    let body = NewRevocation {
        kind: new.kind,
        value: new.value,
        token: new.token.as_deref().map(parse::token).transpose()?,
        reason: new.reason,
        severity: new.severity,
    };
    let answer = session.api.post(&["revocations"], &body).await?;
    let out = session.out;
    if out.json {
        out.value(&answer);
        return Ok(());
    }
    let made: Revocation = read(&answer)?;
    out.facts(&[
        ("revocation", made.id),
        ("kind", made.kind),
        ("value", made.value),
        ("owner", made.owner.unwrap_or_default()),
        ("dead", dead(session.now, made.issued_before)),
        ("kept until", moment(session.now, made.expires_at)),
        ("severity", made.severity),
        ("reason", made.reason),
        ("by", made.revoked_by),
    ]);
    Ok(())
}

fn dead(now: i64, issued_before: Option<i64>) -> String {
    issued_before.map_or_else(|| "whenever issued".to_owned(), |at| format!("issued until {}", moment(now, at)))
}

async fn list(session: &Session<'_>) -> Result<(), CliError> {
    let row = |found: Revocation| {
        vec![
            found.id,
            found.kind,
            found.value,
            found.severity,
            found.reason,
            found.revoked_by,
            relative(session.now, found.created_at),
            relative(session.now, found.expires_at),
        ]
    };
    let headings = ["REVOCATION", "KIND", "VALUE", "SEVERITY", "REASON", "BY", "MADE", "KEPT UNTIL"];
    session.list(&["revocations"], &headings, "Nothing is revoked.", row).await
}
