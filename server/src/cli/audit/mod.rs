//! `stipend audit`: watch it, export it, prove it.

mod archive;
mod export;
mod follow;
mod lines;
mod redact;
mod tail;
pub mod verify;

use super::Session;
use super::error::CliError;
use super::parse;
use crate::admin::api::{RedactedRecord, Writer};
use crate::export::{Format, RedactField};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What can be taken out of records.
const KINDS: &[&str] = &["source", "subject", "person", "federated", "text"];
/// How records are written.
const FORMATS: &[&str] = &["native", "ocsf"];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the newest records; with --follow, new ones as they come
    #[command(
        after_help = "Examples:\n  stipend audit tail --outcome refused\n  stipend audit tail --client payments.refunds --follow"
    )]
    Tail(Tail),
    /// Print records as they come, one JSON object a line, and go on after every interruption
    #[command(after_help = "Example:\n  stipend audit follow --outcome refused --format ocsf")]
    Follow(Follow),
    /// Write all records and signed checkpoints to a file, to be kept and proved elsewhere; or
    /// with --format those of some time, for another system
    #[command(
        after_help = "Examples:\n  stipend audit export audit-2026-11.jsonl && stipend audit verify --file audit-2026-11.jsonl\n  stipend audit export --format ocsf --since 2026-11-01 --until 2026-12-01 november.jsonl"
    )]
    Export {
        /// The file, one JSON object a line; must not exist yet
        file: PathBuf,
        #[command(flatten)]
        lines: Lines,
    },
    /// Take personal data out of records, for good; the chain is proved as before
    #[command(
        after_help = "Example:\n  stipend audit redact --record w_…/1234 --field source --field person --reason 'erasure request 17'"
    )]
    Redact(Redact),
    /// Prove that no record was changed, removed, added or moved
    Verify(Verify),
    /// List the chains of records: one for each start of a server process
    Writers,
}

#[derive(Args, Debug)]
pub struct Tail {
    /// How many
    #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    lines: u16,
    /// Stay, and print new records as they come
    #[arg(short, long)]
    follow: bool,
    /// Only this event (token.issued, agent.revoked, …)
    #[arg(long)]
    event: Option<String>,
    /// Only this outcome: issued, done or refused
    #[arg(long)]
    outcome: Option<String>,
    /// Only this client
    #[arg(long)]
    client: Option<String>,
    /// Only this token, by its jti
    #[arg(long)]
    jti: Option<String>,
}

#[derive(Args, Debug)]
pub struct Follow {
    /// Only this event (token.issued, agent.revoked, …)
    #[arg(long)]
    event: Option<String>,
    /// Only this outcome: issued, done or refused
    #[arg(long)]
    outcome: Option<String>,
    /// Only this client
    #[arg(long)]
    client: Option<String>,
    /// Only this token, by its jti
    #[arg(long)]
    jti: Option<String>,
    /// Go on from this cursor of an earlier event; from now on where left out
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// native, each record with its hash, or ocsf
    #[arg(long, value_parser = parse::words::<Format>(FORMATS), default_value = "native")]
    format: Format,
}

#[derive(Args, Debug)]
pub struct Lines {
    /// native, each record with its hash, or ocsf: lines for another system, which prove nothing
    #[arg(long, value_parser = parse::words::<Format>(FORMATS))]
    format: Option<Format>,
    /// Records of this time and newer (2026-11-01)
    #[arg(long, value_parser = parse::instant, requires = "format")]
    since: Option<i64>,
    /// Records older than this
    #[arg(long, value_parser = parse::instant, requires = "format")]
    until: Option<i64>,
}

#[derive(Args, Debug)]
pub struct Redact {
    /// A record; may be repeated, up to 100 times
    #[arg(long, value_name = "WRITER/N", value_parser = redact::record, required = true)]
    record: Vec<RedactedRecord>,
    /// A kind of personal data: source, subject, person, federated or text. May be repeated
    #[arg(long, value_name = "KIND", value_parser = parse::words::<RedactField>(KINDS))]
    field: Vec<RedactField>,
    /// Any text that has this in it; is not recorded. May be repeated
    #[arg(long, value_name = "TEXT")]
    value: Vec<String>,
    /// Why, for the audit
    #[arg(long)]
    reason: String,
}

#[derive(Args, Debug)]
pub struct Verify {
    /// A file written by `audit export`, instead of asking the server
    #[arg(long)]
    file: Option<PathBuf>,
    /// The issuer's keys to check checkpoints with (a JWK set), instead of those in the file
    #[arg(long, requires = "file")]
    keys: Option<PathBuf>,
    /// An earlier proof (`audit verify --json`): what it saw must still be there
    #[arg(long, value_name = "PROOF")]
    known: Option<PathBuf>,
}

pub async fn run(session: &Session<'_>, command: Command) -> Result<(), CliError> {
    match command {
        Command::Tail(tail) => tail::run(session, &tail).await,
        Command::Follow(follow) => follow::run(session, &follow).await,
        Command::Export { file, lines } => match lines.format {
            Some(format) => lines::to_new_file(session, &file, format, (lines.since, lines.until)).await,
            None => export::to_new_file(session, &file).await,
        },
        Command::Redact(args) => redact::run(session, args).await,
        Command::Verify(verify) => verify::run(session, &verify).await,
        Command::Writers => writers(session).await,
    }
}

async fn writers(session: &Session<'_>) -> Result<(), CliError> {
    let row = |writer: Writer| vec![writer.writer, writer.n.to_string(), writer.hash];
    let headings = ["WRITER", "RECORDS", "HEAD"];
    session.list(&["audit", "writers"], &headings, "No records yet.", row).await
}
