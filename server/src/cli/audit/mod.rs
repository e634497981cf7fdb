//! `stipend audit`: watch it, export it, prove it.

mod archive;
mod export;
mod tail;
pub mod verify;

use super::Session;
use super::error::CliError;
use crate::admin::api::Writer;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the newest records; with --follow, new ones as they come
    #[command(
        after_help = "Examples:\n  stipend audit tail --outcome refused\n  stipend audit tail --client payments.refunds --follow"
    )]
    Tail(Tail),
    /// Write all records and signed checkpoints to a file, to be kept and proved elsewhere
    #[command(
        after_help = "Example:\n  stipend audit export audit-2026-11.jsonl && stipend audit verify --file audit-2026-11.jsonl"
    )]
    Export {
        /// The file, one JSON object a line; must not exist yet
        file: PathBuf,
    },
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
        Command::Export { file } => export::to_new_file(session, &file).await,
        Command::Verify(verify) => verify::run(session, &verify).await,
        Command::Writers => writers(session).await,
    }
}

async fn writers(session: &Session<'_>) -> Result<(), CliError> {
    let row = |writer: Writer| vec![writer.writer, writer.n.to_string(), writer.hash];
    let headings = ["WRITER", "RECORDS", "HEAD"];
    session.list(&["audit", "writers"], &headings, "No records yet.", row).await
}
