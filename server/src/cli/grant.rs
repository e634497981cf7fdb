//! `stipend grant` and `stipend topology`: which agents may use which credentials.

use super::Session;
use super::constraints::{ConstraintArgs, text as constraints_text};
use super::credential::modes_text;
use super::credential_args::MODES;
use super::error::CliError;
use super::parse;
use super::print::{moment, relative, word};
use crate::admin::api::{ChangeState, CredentialGrant, Edge, NewGrant, PatchGrant};
use crate::custody::ReleaseMode;
use clap::{Args, Subcommand};
use serde_json::Value;
use std::path::PathBuf;
use stipend_token::constraint::Constraints;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Let an agent use a credential, from its next call on; nothing happens when it may already
    #[command(
        after_help = "Example:\n  stipend grant create --credential acme.llm --agent acme.planner --rate 10/1m --expires 2027-01-31\n\nThe agent needs access to the key-release service too: --access ISSUER/credentials=credential:use,\namong all else it may get tokens for, at `stipend agent create` or `update`"
    )]
    Create(Create),
    /// List grants
    List {
        /// Of this credential alone
        #[arg(long, value_name = "ID")]
        credential: Option<String>,
        /// Of this agent alone
        #[arg(long, value_name = "ID")]
        agent: Option<String>,
    },
    /// Show one grant
    Show {
        /// Its id, as `grant list` says it
        grant: String,
    },
    /// Change a grant, for the next call
    #[command(after_help = "Modes and constraints that are given replace all that were there.")]
    Update(Update),
    /// Take the credential from the agent, at once; the credential stays
    Delete {
        /// Its id
        grant: String,
    },
    /// Switch a grant off
    Disable {
        /// Its id
        grant: String,
        /// Why, for the audit
        #[arg(long)]
        reason: Option<String>,
    },
    /// Switch a grant on again
    Enable {
        /// Its id
        grant: String,
    },
}

#[derive(Args, Debug)]
pub struct Create {
    /// The credential
    #[arg(long, value_name = "ID")]
    credential: String,
    /// The agent that may use it
    #[arg(long, value_name = "ID")]
    agent: String,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    constraints: ConstraintArgs,
}

#[derive(Args, Debug)]
pub struct Update {
    /// Its id
    grant: String,
    #[command(flatten)]
    settings: Settings,
    /// No task's budget caps it
    #[arg(long, conflicts_with = "task")]
    no_task: bool,
    /// No key for jwe
    #[arg(long, conflicts_with = "encryption_jwk")]
    no_encryption_jwk: bool,
    /// It does not end by itself
    #[arg(long, conflicts_with = "expires")]
    no_expiry: bool,
    /// None but the credential's constraints
    #[arg(long, conflicts_with_all = ["constraints", "method", "path", "rate", "uses"])]
    no_constraints: bool,
    #[command(flatten)]
    constraints: ConstraintArgs,
}

#[derive(Args, Debug)]
struct Settings {
    /// How the agent may come by it, as far as the credential allows; may be repeated. proxy alone for a new one where left out
    #[arg(long, value_parser = parse::words::<ReleaseMode>(MODES))]
    mode: Vec<ReleaseMode>,
    /// One of the agent's tasks, whose budget caps what is spent
    #[arg(long)]
    task: Option<String>,
    /// A file with the agent's public key (JWK) for jwe: P-256, P-384, P-521, X25519 or RSA
    #[arg(long, value_name = "FILE")]
    encryption_jwk: Option<PathBuf>,
    /// When it ends (2027-01-31, or a time)
    #[arg(long, value_name = "WHEN", value_parser = parse::instant)]
    expires: Option<i64>,
}

impl Settings {
    /// As the API takes them; absent is absent.
    fn given(self, constraints: Option<Constraints>) -> Result<PatchGrant, CliError> {
        let jwk = self.encryption_jwk.as_deref().map(parse::object_file).transpose()?;
        Ok(PatchGrant {
            modes: (!self.mode.is_empty()).then_some(self.mode),
            constraints,
            task: self.task.map(Some),
            encryption_jwk: jwk.map(Some),
            expires_at: self.expires.map(Some),
        })
    }
}

pub async fn run(session: &Session<'_>, command: Command) -> Result<(), CliError> {
    let api = &session.api;
    let answer = match command {
        Command::List { credential, agent } => return list(session, credential, agent).await,
        Command::Delete { grant } => return delete(session, &grant).await,
        Command::Create(new) => create(session, new).await?,
        Command::Show { grant } => api.get(&["grants", &grant]).await?,
        Command::Update(update) => self::update(session, update).await?,
        Command::Disable { grant, reason } => api.post(&["grants", &grant, "disable"], &ChangeState { reason }).await?,
        Command::Enable { grant } => api.post(&["grants", &grant, "enable"], &ChangeState::default()).await?,
    };
    show(session, &answer)
}

async fn create(session: &Session<'_>, new: Create) -> Result<Value, CliError> {
    let settings = new.settings.given(new.constraints.written()?)?;
    let body = NewGrant {
        credential: new.credential,
        agent: new.agent,
        modes: settings.modes,
        constraints: settings.constraints,
        task: settings.task,
        encryption_jwk: settings.encryption_jwk,
        expires_at: settings.expires_at,
    };
    session.api.post(&["grants"], &body).await
}

async fn update(session: &Session<'_>, update: Update) -> Result<Value, CliError> {
    let cleared = update.no_constraints.then(Constraints::default);
    let mut patch = update.settings.given(update.constraints.written()?.or(cleared))?;
    if update.no_task {
        patch.task = Some(None);
    }
    if update.no_encryption_jwk {
        patch.encryption_jwk = Some(None);
    }
    if update.no_expiry {
        patch.expires_at = Some(None);
    }
    session.api.patch(&["grants", &update.grant], &patch).await
}

async fn delete(session: &Session<'_>, grant: &str) -> Result<(), CliError> {
    let answer = session.api.delete(&["grants", grant]).await?;
    if session.out.json {
        session.out.value(&answer);
    } else {
        session.out.line(format!("{grant} is gone. The credential stays."));
    }
    Ok(())
}

async fn list(session: &Session<'_>, credential: Option<String>, agent: Option<String>) -> Result<(), CliError> {
    let (out, now) = (session.out, session.now);
    let row = |grant: CredentialGrant| {
        vec![
            grant.id,
            grant.agent,
            grant.credential,
            modes_text(&grant.modes),
            out.state(grant.state.as_str()),
            constraints_text(&grant.constraints),
            grant.expires_at.map(|at| relative(now, at)).unwrap_or_default(),
        ]
    };
    let of = [("credential", credential), ("agent", agent)];
    let of: Vec<_> = of.into_iter().filter_map(|(name, id)| Some((name, id?))).collect();
    let headings = ["GRANT", "AGENT", "CREDENTIAL", "MODES", "STATE", "CONSTRAINTS", "ENDS"];
    session.list_of((&["grants"], &of), &headings, "No grants. Make one with `stipend grant create`.", row).await
}

fn show(session: &Session<'_>, answer: &Value) -> Result<(), CliError> {
    let (out, now) = (session.out, session.now);
    session.show(answer, |grant: CredentialGrant| {
        let jwk = grant.encryption_jwk.map(|jwk| Value::Object(jwk).to_string());
        out.facts(&[
            ("grant", grant.id),
            ("agent", grant.agent),
            ("credential", grant.credential),
            ("state", out.state(grant.state.as_str())),
            ("modes", modes_text(&grant.modes)),
            ("constraints", constraints_text(&grant.constraints)),
            ("task", grant.task.unwrap_or_default()),
            ("key for jwe", jwk.unwrap_or_default()),
            ("ends", grant.expires_at.map(|at| moment(now, at)).unwrap_or_default()),
            ("created", format!("{} by {}", moment(now, grant.created_at), grant.created_by)),
            ("changed", moment(now, grant.updated_at)),
        ]);
    })
}

/// `stipend topology`.
pub async fn topology(session: &Session<'_>) -> Result<(), CliError> {
    let (out, now) = (session.out, session.now);
    let row = |edge: Edge| {
        vec![
            edge.agent,
            edge.credential,
            modes_text(&edge.modes),
            out.state(&word(&edge.status)),
            edge.version.map(|version| version.to_string()).unwrap_or_default(),
            edge.last_used_at.map(|at| relative(now, at)).unwrap_or_default(),
            edge.uses.to_string(),
            if edge.exposed { "yes" } else { "no" }.to_owned(),
        ]
    };
    let headings = ["AGENT", "CREDENTIAL", "MODES", "STATUS", "VERSION", "LAST USED", "USES", "EXPOSED"];
    session.list(&["topology"], &headings, "No agent may use a credential: `stipend grant create`.", row).await
}
