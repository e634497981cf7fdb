//! `stipend budget verify`: the ledger proved on its database, without asking a server.

use super::error::CliError;
use super::node::config_of_process;
use super::print::Out;
use serde_json::json;
use stipend_schema::{Db, DbError, Limits, queries};

pub async fn run(out: Out) -> Result<(), CliError> {
    let config = config_of_process()?;
    let failed = |error: DbError| CliError::failed("database", error.to_string());
    let db = Db::connect(&config.database_url.0, Limits::for_reports()).await.map_err(failed)?;
    let proof = queries::verify_ledger(&db).await.map_err(failed)?;
    if proof.faults_in_all > 0 {
        let more = proof.faults_in_all.saturating_sub(proof.faults.len().try_into().unwrap_or(u64::MAX));
        let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
        let faults = proof.faults.join("\n  ");
        return Err(CliError::failed("ledger_differs", format!("lines and their journal differ:\n  {faults}{more}")));
    }
    if out.json {
        out.value(&json!({
            "holds": proof.holds, "captures": proof.captures, "carves": proof.carves, "periods": proof.periods,
        }));
    } else {
        out.line(format_args!(
            "The ledger adds up: {} holds, {} captures and {} carved lines make what {} periods of lines say.",
            proof.holds, proof.captures, proof.carves, proof.periods
        ));
    }
    Ok(())
}
