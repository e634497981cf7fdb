//! `stipend policy`: what is forbidden although rows allow it.

use super::Session;
use super::api::read;
use super::error::CliError;
use super::parse;
use super::print::{instant, moment};
use crate::admin::api::{
    DryRun, DryRunResult, NewPolicy, PatchPolicy, Policy, PolicyChecked, PolicyFault, PolicySchema, PolicyVersion,
    ValidatePolicy,
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const ADD_EXAMPLE: &str = "\
Example:
  cat > office-hours.cedar <<'END'
  forbid (principal in Owner::\"payments\", action == Action::\"credential:call\", resource)
  unless { 8 <= context.now.hour && context.now.hour < 18 && context.now.day_of_week <= 5 };
  END
  stipend policy dry-run --owner payments --file office-hours.cedar
  stipend policy add office-hours --owner payments --file office-hours.cedar

Rows allow, policies only forbid: `unless` says what alone is allowed";

const DRY_RUN_EXAMPLE: &str = "\
Examples:
  stipend policy dry-run --owner payments --file office-hours.cedar
  stipend policy dry-run --policy pol_… --days 30";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Store a policy; it applies at once
    #[command(after_help = ADD_EXAMPLE)]
    Add(Add),
    /// List policies
    List,
    /// Show one policy
    Show {
        /// Its id
        policy: String,
    },
    /// Change a policy: a new text is a new version, and applies at once
    Update {
        /// Its id
        policy: String,
        /// A file with the new text; - reads standard input
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// A new name
        #[arg(long)]
        name: Option<String>,
    },
    /// Switch a policy on
    Enable {
        /// Its id
        policy: String,
    },
    /// Switch a policy off
    Disable {
        /// Its id
        policy: String,
    },
    /// Remove a policy for ever; its texts stay, because records name them
    Remove {
        /// Its id
        policy: String,
    },
    /// Show every text that a policy had
    Versions {
        /// Its id
        policy: String,
    },
    /// Read a text as a new policy would be, and store nothing
    Validate {
        /// A file with the text; - reads standard input
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Say what a policy would have refused of what was recorded as allowed
    #[command(after_help = DRY_RUN_EXAMPLE)]
    DryRun(DryRunArgs),
    /// Print what policies can see, as a Cedar schema
    Schema,
}

#[derive(Args, Debug)]
pub struct Add {
    /// What it is called: a-z, 0-9 and -
    name: String,
    /// Whose it is; the deployment's, for everybody, where left out
    #[arg(long)]
    owner: Option<String>,
    /// A file with the text; - reads standard input
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// It does not apply until it is switched on
    #[arg(long)]
    disabled: bool,
}

#[derive(Args, Debug)]
pub struct DryRunArgs {
    /// Whose records; all of the deployment's where left out
    #[arg(long, conflicts_with = "policy")]
    owner: Option<String>,
    /// A file with the text; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "policy", required_unless_present = "policy")]
    file: Option<PathBuf>,
    /// A policy that there is, by its id, whatever its state
    #[arg(long, value_name = "ID")]
    policy: Option<String>,
    /// How far back to look: 1 to 31 days
    #[arg(long, value_name = "N", default_value = "7", value_parser = clap::value_parser!(i64).range(1..=31))]
    days: i64,
    /// Go on with records older than those of the answer before
    #[arg(long, value_name = "NEXT")]
    after: Option<String>,
}

fn text(path: &Path) -> Result<String, CliError> {
    parse::text_file(path)
}

pub async fn run(session: &Session<'_>, command: Command) -> Result<(), CliError> {
    let api = &session.api;
    let answer = match command {
        Command::List => return list(session).await,
        Command::Schema => return schema(session).await,
        Command::Validate { file } => return validate(session, &file).await,
        Command::DryRun(args) => return dry_run(session, args).await,
        Command::Versions { policy } => return versions(session, &policy).await,
        Command::Remove { policy } => return remove(session, &policy).await,
        Command::Add(new) => {
            let body = NewPolicy { owner: new.owner, name: new.name, text: text(&new.file)?, disabled: new.disabled };
            api.post(&["policies"], &body).await?
        }
        Command::Show { policy } => api.get(&["policies", &policy]).await?,
        Command::Update { policy, file, name } => {
            let text = file.as_deref().map(text).transpose()?;
            api.patch(&["policies", &policy], &PatchPolicy { name, text }).await?
        }
        Command::Enable { policy } => api.post(&["policies", &policy, "enable"], &json!({})).await?,
        Command::Disable { policy } => api.post(&["policies", &policy, "disable"], &json!({})).await?,
    };
    show(session, &answer)
}

fn whose(owner: Option<String>) -> String {
    owner.unwrap_or_else(|| "everybody".to_owned())
}

async fn list(session: &Session<'_>) -> Result<(), CliError> {
    let out = session.out;
    let row = |policy: Policy| {
        vec![
            policy.id,
            policy.name,
            whose(policy.owner),
            policy.version.to_string(),
            out.state(policy.state.as_str()),
            moment(session.now, policy.updated_at),
        ]
    };
    let headings = ["POLICY", "NAME", "FOR", "VERSION", "STATE", "CHANGED"];
    session.list(&["policies"], &headings, "No policies: what rows allow is allowed.", row).await
}

fn show(session: &Session<'_>, answer: &Value) -> Result<(), CliError> {
    let out = session.out;
    session.show(answer, |policy: Policy| {
        out.facts(&[
            ("policy", policy.id),
            ("name", policy.name),
            ("for", whose(policy.owner)),
            ("state", out.state(policy.state.as_str())),
            ("version", policy.version.to_string()),
            ("hash", policy.hash),
            ("made by", policy.created_by),
            ("created", moment(session.now, policy.created_at)),
            ("changed", moment(session.now, policy.updated_at)),
            ("text", policy.text.trim_end().to_owned()),
        ]);
    })
}

async fn remove(session: &Session<'_>, policy: &str) -> Result<(), CliError> {
    let answer = session.api.delete(&["policies", policy]).await?;
    if session.out.json {
        session.out.value(&answer);
    } else {
        session.out.line(format_args!("{policy} is removed."));
    }
    Ok(())
}

async fn versions(session: &Session<'_>, policy: &str) -> Result<(), CliError> {
    let out = session.out;
    let answer = session.api.get(&["policies", policy, "versions"]).await?;
    let items = answer.get("items").cloned().unwrap_or_default();
    if out.json {
        out.value(&items);
        return Ok(());
    }
    let versions: Vec<PolicyVersion> = read(&items)?;
    for version in versions {
        out.facts(&[
            ("version", version.version.to_string()),
            ("at", moment(session.now, version.at)),
            ("by", version.author),
            ("hash", version.hash),
            ("text", version.text.trim_end().to_owned()),
        ]);
        out.line("");
    }
    Ok(())
}

async fn schema(session: &Session<'_>) -> Result<(), CliError> {
    let answer = session.api.get(&["policies", "schema"]).await?;
    session.show(&answer, |schema: PolicySchema| session.out.line(schema.schema.trim_end()))
}

async fn validate(session: &Session<'_>, file: &Path) -> Result<(), CliError> {
    let out = session.out;
    let answer = session.api.post(&["policies", "validate"], &ValidatePolicy { text: text(file)? }).await?;
    let checked: PolicyChecked = read(&answer)?;
    if out.json {
        out.value(&answer);
    } else {
        let say = |kind: &str, fault: &PolicyFault| {
            let help = fault.help.as_deref().map(|help| format!(" ({help})")).unwrap_or_default();
            out.line(format_args!("{kind} at line {}, column {}: {}{help}", fault.line, fault.column, fault.message));
        };
        checked.errors.iter().for_each(|fault| say("error", fault));
        checked.warnings.iter().for_each(|fault| say("warning", fault));
        if let Some(statements) = checked.statements {
            out.line(format_args!("It would be stored: {statements} statement(s)."));
        }
    }
    match checked.valid {
        true => Ok(()),
        false => Err(CliError::failed("invalid_policy", "the text would not be stored")
            .hint("`stipend policy schema` shows what policies can see")),
    }
}

async fn dry_run(session: &Session<'_>, args: DryRunArgs) -> Result<(), CliError> {
    let until = session.now.saturating_add(1);
    let body = DryRun {
        owner: args.owner,
        text: args.file.as_deref().map(text).transpose()?,
        policy: args.policy,
        since: Some(until.saturating_sub(args.days.saturating_mul(86_400))),
        until: Some(until),
        after: args.after,
    };
    let answer = session.api.post(&["policies", "dry-run"], &body).await?;
    session.show(&answer, |result: DryRunResult| show_result(session, &result))
}

fn show_result(session: &Session<'_>, result: &DryRunResult) {
    let out = session.out;
    let unread: Vec<String> = result.not_evaluated.iter().map(|(why, count)| format!("{count} {why}")).collect();
    out.facts(&[
        ("from", instant(result.since)),
        ("until", instant(result.until)),
        ("records", result.records.to_string()),
        ("would refuse", result.would_refuse.to_string()),
        ("of these failed", if result.failed > 0 { result.failed.to_string() } else { String::new() }),
        ("not tried", unread.join("\n")),
    ]);
    out.line("");
    let counts = result.by_action.iter();
    let rows = counts.map(|(action, it)| vec![action.clone(), it.tried.to_string(), it.would_refuse.to_string()]);
    out.table(&["ACTION", "TRIED", "WOULD REFUSE"], rows.collect(), "Nothing was tried.");
    if !result.examples.is_empty() {
        out.line("");
        let rows = result.examples.iter().map(|one| {
            let statements: Vec<String> = one.statements.iter().map(usize::to_string).collect();
            let record = format!("{} {}", one.writer, one.n);
            vec![
                instant(one.at),
                one.action.clone(),
                one.agent.clone(),
                one.resource.clone(),
                statements.join(" "),
                record,
            ]
        });
        out.table(&["WHEN", "ACTION", "AGENT", "FOR", "BY STATEMENT", "RECORD"], rows.collect(), "");
    }
    if let Some(next) = &result.next {
        out.note(format_args!("There are older records: go on with --after {next}"));
    }
}
