//! `stipend audit-sink`: where the audit is sent, and how that goes.

use super::Session;
use super::api::read;
use super::error::CliError;
use super::parse;
use super::print::{Paint, moment, relative, word};
use crate::admin::api::{AuditSink, AuditSinkCreated, AuditSinkTried, ChangeState, NewAuditSink, PauseAuditSink};
use crate::export::Format;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

const FORMATS: &[&str] = &["native", "ocsf"];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send the audit to a webhook; the secret that deliveries are signed with is shown once
    #[command(
        after_help = "Example:\n  stipend audit-sink add https://siem.example/stipend --owner payments --name siem --outcome refused"
    )]
    Add(Box<Add>),
    /// List sinks
    List,
    /// Show one sink, and how its delivery goes
    Show {
        /// Its id
        sink: String,
    },
    /// Stop delivery, until `audit-sink resume`
    Pause {
        /// Its id
        sink: String,
        /// Why, for the audit
        #[arg(long)]
        reason: String,
    },
    /// Go on where delivery stopped, at once
    Resume {
        /// Its id
        sink: String,
    },
    /// Remove a sink: what it has not had it never gets
    Remove {
        /// Its id
        sink: String,
    },
    /// Send one message without records, and say whether it arrived
    Test {
        /// Its id
        sink: String,
    },
}

#[derive(Args, Debug)]
pub struct Add {
    /// Where to: an https URL
    url: String,
    /// Whose audit; the whole deployment's where left out
    #[arg(long)]
    owner: Option<String>,
    /// What people call it
    #[arg(long)]
    name: String,
    /// native, each record as it was hashed, or ocsf
    #[arg(long, value_parser = parse::words::<Format>(FORMATS), default_value = "native")]
    format: Format,
    /// Only this event; all where left out. May be repeated
    #[arg(long, value_name = "EVENT")]
    event: Vec<String>,
    /// Only this outcome: issued, done, refused
    #[arg(long)]
    outcome: Option<String>,
    /// Records of this time and newer (2026-11-01); from now on where left out
    #[arg(long, value_parser = parse::instant)]
    since: Option<i64>,
}

pub async fn run(session: &Session<'_>, command: Command) -> Result<(), CliError> {
    let api = &session.api;
    let answer = match command {
        Command::Add(add) => return create(session, *add).await,
        Command::List => return list(session).await,
        Command::Remove { sink } => return remove(session, sink).await,
        Command::Test { sink } => return test(session, sink).await,
        Command::Show { sink } => api.get(&["audit-sinks", &sink]).await?,
        Command::Pause { sink, reason } => {
            api.post(&["audit-sinks", &sink, "pause"], &PauseAuditSink { reason }).await?
        }
        Command::Resume { sink } => api.post(&["audit-sinks", &sink, "resume"], &ChangeState::default()).await?,
    };
    session.show(&answer, |sink: AuditSink| show(session, sink))
}

async fn create(session: &Session<'_>, add: Add) -> Result<(), CliError> {
    let new = NewAuditSink {
        owner: add.owner,
        name: add.name,
        url: add.url,
        format: add.format,
        events: add.event,
        outcome: add.outcome,
        since: add.since,
    };
    let answer = session.api.post(&["audit-sinks"], &new).await?;
    session.show(&answer, |made: AuditSinkCreated| {
        let secret = session.out.paint(Paint::Bold, made.secret.expose());
        show(session, made.audit_sink);
        session.out.line("");
        session.out.facts(&[("secret", secret)]);
        session.out.note("the secret is shown only now: the receiver verifies deliveries with it");
    })
}

async fn list(session: &Session<'_>) -> Result<(), CliError> {
    let (out, now) = (session.out, session.now);
    let row = |sink: AuditSink| {
        vec![
            sink.id,
            sink.name,
            sink.owner.unwrap_or_default(),
            sink.url,
            out.state(&word(&sink.state)),
            sink.lag_records.to_string(),
            sink.delivered_at.map(|at| relative(now, at)).unwrap_or_default(),
            sink.failed.to_string(),
        ]
    };
    let headings = ["SINK", "NAME", "OWNER", "URL", "STATE", "BEHIND", "DELIVERED", "FAILED"];
    session.list(&["audit-sinks"], &headings, "The audit is sent nowhere.", row).await
}

fn show(session: &Session<'_>, sink: AuditSink) {
    let (out, now) = (session.out, session.now);
    let at = |at: Option<i64>| at.map(|at| moment(now, at)).unwrap_or_default();
    let behind = match sink.lag_records {
        0 => "nothing".to_owned(),
        records => format!("{records} records, the oldest {} s old", sink.lag_seconds),
    };
    out.facts(&[
        ("sink", sink.id),
        ("name", sink.name),
        ("owner", sink.owner.unwrap_or_else(|| "all of them".to_owned())),
        ("url", sink.url),
        ("format", word(&sink.format)),
        ("events", sink.events.join("\n")),
        ("outcome", sink.outcome.unwrap_or_default()),
        ("since", moment(now, sink.since)),
        ("state", out.state(&word(&sink.state))),
        ("because", sink.state_reason.unwrap_or_default()),
        ("behind", behind),
        ("delivered", format!("{} records in {} batches", sink.records, sink.batches)),
        ("last", at(sink.delivered_at)),
        ("failed", format!("{} times, {} in a row", sink.failed, sink.attempts)),
        ("last failure", at(sink.failed_at)),
        ("which was", sink.failure.unwrap_or_default()),
        ("next try", at(sink.retry_at)),
        ("missed", Some(sink.missed).filter(|missed| *missed > 0).map(|missed| missed.to_string()).unwrap_or_default()),
    ]);
}

async fn remove(session: &Session<'_>, sink: String) -> Result<(), CliError> {
    let answer = session.api.delete(&["audit-sinks", &sink]).await?;
    if session.out.json {
        session.out.value(&answer);
    } else {
        session.out.line(format_args!("{sink} is removed."));
    }
    Ok(())
}

async fn test(session: &Session<'_>, sink: String) -> Result<(), CliError> {
    let answer: Value = session.api.post(&["audit-sinks", &sink, "test"], &json!({})).await?;
    let tried: AuditSinkTried = read(&answer)?;
    if session.out.json {
        session.out.value(&answer);
    } else if tried.arrived {
        session.out.line("It arrived.");
    }
    match tried.failure {
        Some(why) if !session.out.json => Err(CliError::failed("not_arrived", format!("it did not arrive: {why}"))),
        _ => Ok(()),
    }
}
