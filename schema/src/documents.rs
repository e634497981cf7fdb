//! Clients known by a metadata document, as they are stored: which documents an owner admits, and
//! which client came of which. `template` is JSON whose shape belongs to the server.

use crate::rows::row;
use crate::tables;

row! {
    /// One document, or all whose URLs begin alike (`covers`: `one`, `prefix`).
    #[derive(Debug, diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    ClientDocumentRow of client_documents (id) {
        id: String,
        owner_id: String,
        name: String,
        url: String,
        covers: String,
        template: String,
        max_clients: i64,
        state: String,
        created_by: String,
        created_at: i64,
        updated_at: i64,
    }
}

row! {
    /// A client's other name, its document's URL. `digest` is of what was last read there, at
    /// `read_at`, and made the client's.
    #[derive(Debug, diesel::AsChangeset)]
    #[diesel(primary_key(client_id))]
    #[diesel(treat_none_as_null = true)]
    DocumentClientRow of document_clients (client_id) {
        client_id: String,
        document_id: String,
        url: String,
        digest: String,
        read_at: i64,
        created_at: i64,
        updated_at: i64,
    }
}
