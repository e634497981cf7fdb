//! `stipend stream`: whom this deployment tells of revocations, and how that goes.

use super::Session;
use super::error::CliError;
use super::print::{moment, relative, word};
use crate::admin::api::{ChangeState, StopStream, Stream};
use clap::Subcommand;
use serde_json::Value;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List streams of security events; services make them for themselves
    List,
    /// Show one stream, and how its delivery goes
    Show {
        /// Its id
        stream: String,
    },
    /// Stop delivery and keep what comes, until `stream enable`
    Pause {
        /// Its id
        stream: String,
        /// Why, for the audit
        #[arg(long)]
        reason: String,
    },
    /// Stop a stream and drop what comes, until `stream enable`
    Disable {
        /// Its id
        stream: String,
        /// Why, for the audit
        #[arg(long)]
        reason: String,
    },
    /// Let a stream go on, whoever has stopped it
    Enable {
        /// Its id
        stream: String,
    },
    /// Remove a stream with what waits; its service can make another
    Delete {
        /// Its id
        stream: String,
    },
}

pub async fn run(session: &Session<'_>, command: Command) -> Result<(), CliError> {
    let api = &session.api;
    let answer = match command {
        Command::List => return list(session).await,
        Command::Delete { stream } => return delete(session, stream).await,
        Command::Show { stream } => api.get(&["streams", &stream]).await?,
        Command::Pause { stream, reason } => api.post(&["streams", &stream, "pause"], &StopStream { reason }).await?,
        Command::Disable { stream, reason } => {
            api.post(&["streams", &stream, "disable"], &StopStream { reason }).await?
        }
        Command::Enable { stream } => api.post(&["streams", &stream, "enable"], &ChangeState::default()).await?,
    };
    show(session, &answer)
}

async fn list(session: &Session<'_>) -> Result<(), CliError> {
    let (out, now) = (session.out, session.now);
    let row = |stream: Stream| {
        vec![
            stream.id,
            stream.client_id,
            stream.receiver.unwrap_or_else(|| word(&stream.delivery)),
            out.state(&word(&stream.state)),
            stream.waiting.to_string(),
            stream.delivered_at.map(|at| relative(now, at)).unwrap_or_default(),
            stream.failed.to_string(),
        ]
    };
    let headings = ["STREAM", "CLIENT", "RECEIVER", "STATE", "WAITING", "DELIVERED", "FAILED"];
    session.list(&["streams"], &headings, "No service has a stream.", row).await
}

fn show(session: &Session<'_>, answer: &Value) -> Result<(), CliError> {
    session.show(answer, |stream: Stream| {
        let (out, now) = (session.out, session.now);
        let at = |at: Option<i64>| at.map(|at| moment(now, at)).unwrap_or_default();
        out.facts(&[
            ("stream", stream.id),
            ("client", stream.client_id),
            ("owner", stream.owner),
            ("says", stream.description.unwrap_or_default()),
            ("delivery", word(&stream.delivery)),
            ("receiver", stream.receiver.unwrap_or_default()),
            ("events", stream.events.join("\n")),
            ("state", out.state(&word(&stream.state))),
            ("because", stream.held.or(stream.state_reason).unwrap_or_default()),
            ("waiting", stream.waiting.to_string()),
            ("delivered", stream.delivered.to_string()),
            ("last", at(stream.delivered_at)),
            ("failed", stream.failed.to_string()),
            ("last failure", at(stream.failed_at)),
            ("which was", stream.failure.unwrap_or_default()),
            ("made", moment(now, stream.created_at)),
        ]);
    })
}

async fn delete(session: &Session<'_>, stream: String) -> Result<(), CliError> {
    let answer = session.api.delete(&["streams", &stream]).await?;
    if session.out.json {
        session.out.value(&answer);
    } else {
        session.out.line(format_args!("{stream} is removed."));
    }
    Ok(())
}
