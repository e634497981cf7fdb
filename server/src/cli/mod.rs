//! The command line: `stipend serve` and a client of the admin API for people.
//!
//! Each file is one noun with its arguments, its calls and its view. Commands go through
//! HTTP with a token of their own like any other client; only `serve`, `migrate`,
//! `recover`, `demo`, `config` and `openapi` run code of the server in this process.

mod agent;
mod agent_args;
mod api;
mod approval;
mod audit;
mod audit_sink;
pub(crate) mod budget;
pub(crate) mod budget_tree;
mod budget_verify;
mod client_document;
pub mod connect;
mod constraints;
mod credential;
mod credential_args;
mod details;
mod doctor;
pub mod error;
mod grant;
mod issuer;
mod key_encryption;
mod keys;
mod launch;
mod node;
pub mod oauth;
mod owner;
mod parse;
mod policy;
pub mod print;
mod recover;
mod registration_token;
mod release;
mod resource;
mod revocation;
mod rule;
mod rule_abroad;
mod rule_explain;
mod stream;
mod token;
mod value;

pub use audit::verify::{Proof, verify_online};

use crate::clock::{Clock, SystemClock};
use crate::demo;
use api::{Api, read};
use clap::{CommandFactory, Parser, Subcommand};
use connect::Connection;
use error::CliError;
use print::Out;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  stipend demo                                    see it all work, in ten seconds
  stipend serve                                   run a server on SQLite in this directory
  export STIPEND_CLIENT_SECRET=sk_…               the first admin's, printed at the first start
  stipend owner create payments
  stipend agent create payments.refunds --access https://orders.example=orders:refund
  stipend doctor                                  what is wrong, and what to do

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 server can't be reached";

/// An OAuth 2.0 token-exchange authorization server for AI agents
#[derive(Debug, Parser)]
#[command(name = "stipend", version, after_help = AFTER_HELP, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub connection: Connection,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server (configured by STIPEND_* variables: see `stipend config`)
    Serve,
    /// Show the whole path on a fresh server in a temporary folder
    Demo(demo::Args),
    /// Bring the database's tables up to date, and do nothing else
    Migrate,
    /// Make a database that was restored from a backup safe to go on with (all nodes stopped)
    Recover(recover::Args),
    /// Owners: the teams that agents and resources belong to
    #[command(subcommand)]
    Owner(owner::Command),
    /// Agents, relying services and admins: everything that authenticates
    #[command(subcommand, visible_alias = "client")]
    Agent(Box<agent_args::Command>),
    /// Resources: what tokens are for
    #[command(subcommand)]
    Resource(resource::Command),
    /// Issuers that are not ours, and what their tokens are believed for
    #[command(subcommand)]
    Issuer(Box<issuer::Command>),
    /// Registration tokens: what lets programs register clients of an owner
    #[command(subcommand)]
    RegistrationToken(registration_token::Command),
    /// Client documents: which metadata documents are clients of an owner
    #[command(subcommand)]
    ClientDocument(client_document::Command),
    /// Exchange rules: who may exchange whose tokens, for what
    #[command(subcommand)]
    Rule(rule::Command),
    /// Approvals: exchanges that wait for people
    #[command(subcommand)]
    Approval(approval::Command),
    /// Budgets: what owners and agents may spend
    #[command(subcommand)]
    Budget(budget::Command),
    /// Credentials: keys of other services, in custody, for agents to use
    #[command(subcommand)]
    Credential(credential_args::Command),
    /// Grants: which agents may use which credentials, how, and within what
    #[command(subcommand)]
    Grant(Box<grant::Command>),
    /// Policies: what is forbidden although all of the above allows it
    #[command(subcommand)]
    Policy(policy::Command),
    /// Show agents, credentials, and what stands between them
    Topology,
    /// Run a program that may use credentials, and never sees one
    #[command(after_help = launch::EXAMPLES)]
    Run(launch::Run),
    /// Get, exchange, look into and revoke tokens
    #[command(subcommand)]
    Token(token::Command),
    /// Streams of security events: which services are told of revocations, and how that goes
    #[command(subcommand)]
    Stream(stream::Command),
    /// Revocations: what is dead although it was issued
    #[command(subcommand)]
    Revocation(revocation::Command),
    /// The record of every answer, and the proof that nobody changed it
    #[command(subcommand)]
    Audit(audit::Command),
    /// Where the audit is sent, and how that goes
    #[command(subcommand)]
    AuditSink(audit_sink::Command),
    /// The keys that tokens are signed with, and those that custody is sealed under
    #[command(subcommand)]
    Keys(keys::Command),
    /// Who this client is, and what it may do
    Whoami,
    /// Find out what is wrong, and what to do
    Doctor,
    /// Ask /readyz; for container health checks
    Healthcheck,
    /// Print the OpenAPI description of the admin API
    Openapi,
    /// Show every setting of the server, and check the ones in effect
    Config,
}

/// What a command works with.
#[derive(Debug)]
pub struct Session<'a> {
    pub api: Api<'a>,
    pub out: Out,
    /// Seconds.
    pub now: i64,
}

impl<'a> Session<'a> {
    /// # Errors
    /// [`CliError`] when the connection's settings are unusable.
    pub fn new(connection: &'a Connection, out: Out) -> Result<Self, CliError> {
        Ok(Self { api: Api::new(connection)?, out, now: SystemClock.now() })
    }

    /// All of a list: as it came for programs, a table for people.
    async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        headings: &[&str],
        if_empty: &str,
        row: impl Fn(T) -> Vec<String>,
    ) -> Result<(), CliError> {
        self.list_of((path, &[]), headings, if_empty, row).await
    }

    /// The part of a list that a query lets through.
    async fn list_of<T: DeserializeOwned>(
        &self,
        (path, of): (&[&str], &[(&str, String)]),
        headings: &[&str],
        if_empty: &str,
        row: impl Fn(T) -> Vec<String>,
    ) -> Result<(), CliError> {
        let items = self.api.list_of(path, of).await?;
        if self.out.json {
            self.out.value(&Value::Array(items));
            return Ok(());
        }
        let rows = items.iter().map(|item| read(item).map(&row)).collect::<Result<_, _>>()?;
        self.out.table(headings, rows, if_empty);
        Ok(())
    }

    /// An answer: as it came for programs, `view` for people.
    fn show<T: DeserializeOwned>(&self, answer: &Value, view: impl FnOnce(T)) -> Result<(), CliError> {
        if self.out.json {
            self.out.value(answer);
        } else {
            view(read(answer)?);
        }
        Ok(())
    }
}

/// Reads the command line, runs it, and answers the process's exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" with exit code 0.
            if error.use_stderr() && std::env::args_os().any(|arg| arg == "--json") {
                let message = error.render().to_string();
                Out::new(true, true).error(&CliError::usage(message.trim().trim_start_matches("error: ")));
            } else {
                let _ = error.print();
            }
            return u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    // Lost only to another thread, and there is none yet.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let out = Out::new(cli.connection.json, cli.connection.no_color);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            out.error(&CliError::failed("no_thread", format!("no thread can be started: {error}")));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli, out)) {
        Ok(code) => code,
        Err(error) => {
            out.error(&error);
            error.exit.into()
        }
    }
}

/// Runs one command, and answers the process's exit code.
///
/// # Errors
/// [`CliError`], with the exit code.
pub async fn run(mut cli: Cli, out: Out) -> Result<ExitCode, CliError> {
    if let Command::Run(program) = cli.command {
        cli.connection.client_id = program.agent.clone().unwrap_or(cli.connection.client_id);
        let session = Session::new(&cli.connection, out)?;
        return launch::run(&session, program).await;
    }
    answer(cli, out).await.map(|()| ExitCode::SUCCESS)
}

/// Runs a command that ends with its answer.
async fn answer(cli: Cli, out: Out) -> Result<(), CliError> {
    match cli.command {
        Command::Serve => return node::serve().await,
        Command::Demo(args) => return demo::command(&args, out).await,
        Command::Migrate => return node::migrate(out).await,
        Command::Recover(args) => return recover::run(args, out).await,
        Command::Openapi => return node::openapi(out),
        Command::Config => return node::config(out),
        Command::Healthcheck => return doctor::healthcheck(&cli.connection).await,
        Command::Budget(budget::Command::Verify) => return budget_verify::run(out).await,
        _ => {}
    }
    let session = Session::new(&cli.connection, out)?;
    match cli.command {
        Command::Owner(command) => owner::run(&session, command).await,
        Command::Agent(command) => agent::run(&session, *command).await,
        Command::Resource(command) => resource::run(&session, command).await,
        Command::Issuer(command) => issuer::run(&session, *command).await,
        Command::RegistrationToken(command) => registration_token::run(&session, command).await,
        Command::ClientDocument(command) => client_document::run(&session, command).await,
        Command::Rule(command) => rule::run(&session, command).await,
        Command::Approval(command) => approval::run(&session, command).await,
        Command::Budget(command) => budget::run(&session, command).await,
        Command::Credential(command) => credential::run(&session, command).await,
        Command::Grant(command) => grant::run(&session, *command).await,
        Command::Policy(command) => policy::run(&session, command).await,
        Command::Topology => grant::topology(&session).await,
        Command::Token(command) => token::run(&session, command).await,
        Command::Stream(command) => stream::run(&session, command).await,
        Command::Revocation(command) => revocation::run(&session, command).await,
        Command::Audit(command) => audit::run(&session, command).await,
        Command::AuditSink(command) => audit_sink::run(&session, command).await,
        Command::Keys(command) => keys::run(&session, command).await,
        Command::Whoami => node::whoami(&session).await,
        Command::Doctor => doctor::run(&session).await,
        Command::Serve
        | Command::Run(_)
        | Command::Demo(_)
        | Command::Migrate
        | Command::Recover(_)
        | Command::Openapi
        | Command::Config
        | Command::Healthcheck => Ok(()),
    }
}

/// The whole tree, for documentation and tests.
#[must_use]
pub fn tree() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_consistent() {
        tree().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_is_for() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path} has no description");
            for argument in command.get_arguments().filter(|argument| !argument.is_global_set()) {
                assert!(argument.get_help().is_some(), "{path} {} has no help", argument.get_id());
            }
            command.get_subcommands().filter(|sub| sub.get_name() != "help").for_each(|sub| check(sub, &path));
        }
        check(&tree(), "");
    }
}
