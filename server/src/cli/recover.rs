//! `stipend recover`: what a database needs that was restored from a backup. It works on the
//! database itself, because no node serves until it is done.

use super::error::CliError;
use super::node::config_of_process;
use super::print::Out;
use crate::bootstrap::OWNER;
use crate::clock::{Clock, SystemClock};
use crate::federation::MAX_FOREIGN_SECONDS;
use crate::limits::{LEEWAY_SECONDS, MAX_TTL_SECONDS};
use serde_json::json;
use stipend_schema::{Db, Limits, Lives, Recovered, recover};

const AFTER_HELP: &str = "A restored database has forgotten what happened since its backup: what was revoked, suspended, rotated, used \
up and spent. This makes the forgotten harmless. Every token is dead, here and for services that know only the published keys; every owner \
is off and every top budget closed until somebody has looked; open approvals are refused.

Stop all nodes, restore, then:
  stipend recover --yes
  stipend serve
  stipend owner enable payments           once its agents and secrets are as they should be
  stipend budget enable LINE              once its limit says what may still be spent";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Do it: every agent stops until its owner is enabled again
    #[arg(long)]
    yes: bool,
}

pub async fn run(args: Args, out: Out) -> Result<(), CliError> {
    if !args.yes {
        let what = "this ends every token, switches every owner off and closes every top budget";
        return Err(CliError::usage(what).hint("add --yes if the database was restored from a backup"));
    }
    let config = config_of_process()?;
    let failed = |error: stipend_schema::DbError| CliError::failed("database", error.to_string());
    let db = Db::connect(&config.database_url.0, Limits::for_reports()).await.map_err(failed)?;
    db.migrate().await.map_err(failed)?;
    let lives = Lives { tokens: MAX_TTL_SECONDS + LEEWAY_SECONDS, foreign: MAX_FOREIGN_SECONDS + LEEWAY_SECONDS };
    let done = recover(&db, OWNER, lives, SystemClock.micros()).await.map_err(failed)?;
    show(done, out);
    Ok(())
}

fn show(done: Recovered, out: Out) {
    let Recovered { owners_disabled, keys_distrusted, issuers_fenced, budgets_closed, approvals_ended, from, to } =
        done;
    if out.json {
        out.value(&json!({
            "owners_disabled": owners_disabled, "keys_distrusted": keys_distrusted, "issuers_fenced": issuers_fenced,
            "budgets_closed": budgets_closed, "approvals_ended": approvals_ended, "from": from, "to": to,
        }));
        return;
    }
    out.line(format!(
        "Recovered: {owners_disabled} owners off, {budgets_closed} top budgets closed, {keys_distrusted} signing keys \
         distrusted, {issuers_fenced} trusted issuers fenced, {approvals_ended} open approvals refused."
    ));
    out.line("Start the nodes. Then, owner by owner: `stipend owner enable`, `stipend budget enable`.");
}
