//! `stipend owner`.

use super::Session;
use super::error::CliError;
use super::parse;
use super::print::{moment, relative};
use crate::admin::api::{ChangeState, Departed, Departure, NewOwner, Owner};
use clap::Subcommand;
use serde_json::Value;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create an owner; nothing happens when it is there already
    #[command(after_help = "Example:\n  stipend owner create payments --name \"Payments team\"")]
    Create {
        /// Its id: a-z, 0-9 and -
        id: String,
        /// What people call it; the id where left out
        #[arg(long)]
        name: Option<String>,
    },
    /// List owners
    List,
    /// Show one owner
    Show {
        /// Its id
        id: String,
    },
    /// Switch an owner off: all its clients and their tokens are dead at once
    Disable {
        /// Its id
        id: String,
        /// Why, for the audit
        #[arg(long)]
        reason: Option<String>,
    },
    /// Say that a person has gone: what nobody answers for then is suspended after a grace
    #[command(
        after_help = "Example:\n  stipend owner departed ann@payments.example --grace 3d --reason \"left the company\""
    )]
    Departed {
        /// The person, as `stipend agent transfer` named them
        person: String,
        /// How long those agents go on (3d, 12h); a week where left out
        #[arg(long, value_parser = parse::duration)]
        grace: Option<i64>,
        /// They go on no longer
        #[arg(long, conflicts_with = "grace")]
        at_once: bool,
        /// Why, for the audit
        #[arg(long)]
        reason: Option<String>,
    },
    /// Switch an owner on again; what was issued before stays dead
    Enable {
        /// Its id
        id: String,
    },
}

pub async fn run(session: &Session<'_>, command: Command) -> Result<(), CliError> {
    let api = &session.api;
    let answer = match command {
        Command::List => return list(session).await,
        Command::Departed { person, grace, at_once, reason } => {
            let gone = Departed { person, grace_seconds: if at_once { Some(0) } else { grace }, reason };
            return departed(session, &api.post(&["people", "departed"], &gone).await?);
        }
        Command::Create { id, name } => {
            let name = name.unwrap_or_else(|| id.clone());
            api.post(&["owners"], &NewOwner { id, name }).await?
        }
        Command::Show { id } => api.get(&["owners", &id]).await?,
        Command::Disable { id, reason } => api.post(&["owners", &id, "disable"], &ChangeState { reason }).await?,
        Command::Enable { id } => api.post(&["owners", &id, "enable"], &ChangeState::default()).await?,
    };
    show(session, &answer)
}

async fn list(session: &Session<'_>) -> Result<(), CliError> {
    let out = session.out;
    let row = |owner: Owner| {
        vec![owner.id, owner.name, out.state(owner.state.as_str()), relative(session.now, owner.created_at)]
    };
    let headings = ["OWNER", "NAME", "STATE", "CREATED"];
    session.list(&["owners"], &headings, "No owners. Make one with `stipend owner create`.", row).await
}

fn show(session: &Session<'_>, answer: &Value) -> Result<(), CliError> {
    let out = session.out;
    session.show(answer, |owner: Owner| {
        out.facts(&[
            ("owner", owner.id),
            ("name", owner.name),
            ("state", out.state(owner.state.as_str())),
            ("created", moment(session.now, owner.created_at)),
            ("changed", moment(session.now, owner.updated_at)),
        ]);
    })
}

fn departed(session: &Session<'_>, answer: &Value) -> Result<(), CliError> {
    let out = session.out;
    session.show(answer, |left: Departure| {
        if left.more {
            out.note("There are more: say it again.");
        }
        out.facts(&[
            ("gone", left.person),
            ("orphaned", left.orphaned.join("\n")),
            ("withdrawn", left.withdrawn.join("\n")),
            ("suspended", moment(session.now, left.suspend_at)),
        ]);
    })
}
