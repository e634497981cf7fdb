//! The metadata documents that owners admit as clients, all of them at once.

use super::{LoadError, Loaded, column, word};
use crate::deps;
use crate::documents::{Entries, Entry, EntryState};
use std::sync::Arc;
use stipend_schema::{Db, queries};

pub(super) async fn load(db: Db, _all: String) -> Result<Loaded<Entries>, LoadError> {
    let mut entries = Entries::default();
    for row in queries::client_documents(&db).await? {
        let state: EntryState = word(&row.state, "state of a client document")?;
        let entry = Entry {
            id: row.id,
            owner_id: row.owner_id,
            active: state == EntryState::Active,
            template: column(&row.template, "template of a client document")?,
            max_clients: row.max_clients,
        };
        entries.insert(word(&row.covers, "reach of a client document")?, row.url, entry);
    }
    Ok(Loaded { value: Some(Arc::new(entries)), deps: vec![deps::client_documents()] })
}
