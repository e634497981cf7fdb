//! The ledger's proof, for tests that know only their database.

use crate::db::{Db, DbError, Limits};
use crate::queries::verify_ledger;

/// Where the books of a ledger at rest differ from its journal, a sentence for each place:
/// nothing, if no unit was lost and none counted twice.
///
/// # Errors
/// [`DbError`].
pub async fn imbalances(database_url: &str) -> Result<Vec<String>, DbError> {
    let db = Db::connect(database_url, Limits::for_reports()).await?;
    Ok(verify_ledger(&db).await?.faults)
}
