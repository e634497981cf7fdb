//! The policies of one owner, compiled. Compiling takes a millisecond; judging by them
//! microseconds.

use super::{LoadError, Loaded};
use crate::deps;
use crate::policy::{Compiled, DEPLOYMENT};
use std::sync::Arc;
use stipend_schema::{Db, queries};

/// Nothing where nothing is enabled.
pub(super) async fn load(db: Db, owner_id: String) -> Result<Loaded<Compiled>, LoadError> {
    let owner = (owner_id != DEPLOYMENT).then_some(owner_id.as_str());
    let rows = queries::policies_of(&db, owner).await?;
    let deps = vec![deps::policies_of(&owner_id)];
    // A megabyte of policies takes longer to read than a task may stay on its thread.
    let compiled = tokio::task::spawn_blocking(move || Compiled::new(&owner_id, &rows)).await;
    let compiled = compiled.map_err(|_| LoadError::Corrupt("policies"))?;
    Ok(Loaded { value: compiled.map(Arc::new), deps })
}
