//! `stipend run`: a program that uses credentials in custody and holds none.
//!
//! It gets a token for the key-release service, opens a relay on this machine, starts the
//! program with the relay's address and a key of the relay's own in its environment, renews the
//! token while it runs, and revokes it when it has ended. The program is never given the token,
//! the client's secret or a credential; what it holds is of use on this machine and until its end.

mod child;
mod keeper;
mod relay;
mod variables;

use super::Session;
use super::details;
use super::error::CliError;
use super::parse;
use clap::Args;
use keeper::Keeper;
use relay::Relay;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use stipend_keys::random_id;
use stipend_token::budget::BudgetCap;
use tokio::sync::Notify;
use variables::Lent;

/// Marks the relay's own keys.
const KEY_PREFIX: &str = "rk_";

pub const EXAMPLES: &str = "\
Examples:
  stipend run --credential acme.llm=openai -- python agent.py
  stipend run --credential acme.llm=anthropic --budget USD=2000000/100000 -- ./agent
  stipend run --credential acme.shop -- sh -c \\
      'curl -H \"x-api-key: $STIPEND_PROXY_KEY\" $STIPEND_PROXY_URL/acme.shop/v1/orders'

The program's environment has STIPEND_PROXY_URL and STIPEND_PROXY_KEY: calls go to
$STIPEND_PROXY_URL/<credential>/<path>. For =openai it has OPENAI_BASE_URL and OPENAI_API_KEY
too, for =anthropic ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY, for any other name
<NAME>_BASE_URL and <NAME>_API_KEY. NO_PROXY has the relay; secrets of ours are taken out.

Signals are passed on. The exit code is the program's; 128 and the signal's number where one
ended it; 127 where there is no such program, 126 where it can't be started";

#[derive(Args, Debug)]
pub struct Run {
    /// The agent to authenticate as, in place of --client-id
    #[arg(long, value_name = "ID")]
    pub agent: Option<String>,
    /// A credential that the program may use, and the names its libraries look for (openai, anthropic, or any), separated by commas; may be repeated
    #[arg(long, value_name = "ID[=NAMES]", required = true, value_parser = variables::lent)]
    credential: Vec<Lent>,
    /// The token's scopes, separated by commas
    #[arg(long, value_delimiter = ',', default_value = crate::custody::SCOPE_USE)]
    scope: Vec<String>,
    /// A cap: UNIT=AMOUNT, or UNIT=AMOUNT/PER_CALL, in the unit's smallest part; may be repeated. It is each token's, and a renewed token has it afresh: what all of a run may spend is a task's budget
    #[arg(long, value_name = "CAP", value_parser = parse::budget_cap)]
    budget: Vec<BudgetCap>,
    /// The task that pays
    #[arg(long, requires = "budget")]
    task: Option<String>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the program to its end.
pub async fn run(session: &Session<'_>, run: Run) -> Result<ExitCode, CliError> {
    variables::check(&run.credential)?;
    // Before there is a token: from here on no signal ends us before it is revoked.
    let signals = child::Signals::listen()?;
    let keeper = Arc::new(Keeper::begin(session, run.scope.clone(), details(&run)).await?);
    let ended = lend(session, &run, &keeper, signals).await;
    if let Err(error) = keeper.revoke().await {
        session.out.note(format!("stipend: the token could not be revoked, and ends by itself: {error}"));
    }
    ended
}

async fn lend(
    session: &Session<'_>,
    run: &Run,
    keeper: &Arc<Keeper>,
    signals: child::Signals,
) -> Result<ExitCode, CliError> {
    let key = stipend_keys::Secret::new(random_id(KEY_PREFIX));
    let relay = Relay::start(session.api.connection, key.clone(), &run.credential, Arc::clone(keeper))?;
    let environment = variables::of_child(&run.credential, &relay.root(), &key, variables::direct_hosts());
    let started = child::start(&run.command, environment);
    let code = match started {
        Ok(child) => {
            let stop = Notify::new();
            let wait = async {
                let ended = child::wait(child, signals).await;
                stop.notify_one();
                ended
            };
            let (ended, ()) = tokio::join!(wait, keeper.keep(&stop, session.out));
            ended.map_err(|error| CliError::failed("lost_program", format!("the program was lost: {error}")))
        }
        Err((error, code)) => {
            session.out.error(&error);
            Ok(ExitCode::from(code))
        }
    };
    relay.stop().await;
    code
}

/// What the token is limited to: calls with these credentials, within these caps.
fn details(run: &Run) -> String {
    let mut all: Vec<Value> = run.credential.iter().map(|lent| json!(lent.release)).collect();
    all.extend(run.budget.iter().map(|cap| details::budget(cap, false, run.task.as_deref())));
    Value::Array(all).to_string()
}
