//! Metadata documents that owners admit, and the clients that came of them.

use super::lists::{OwnerFilter, Page};
use crate::db::{Db, DbError, read};
use crate::documents::{ClientDocumentRow, DocumentClientRow};
use crate::tables::{client_documents, document_clients};
use diesel::prelude::*;

/// Most entries of the deployment that are read at once. More must not be made.
pub const CLIENT_DOCUMENTS_LIMIT: i64 = 4096;
/// Most clients of one entry that are read at once. More must not be made.
pub const DOCUMENT_CLIENTS_LIMIT: i64 = 256;

pub async fn find_client_document(db: &Db, id: &str) -> Result<Option<ClientDocumentRow>, DbError> {
    let id = id.to_owned();
    let found = read!(
        db,
        get_results::<ClientDocumentRow>,
        client_documents::table.find(id).select(ClientDocumentRow::as_select())
    )?;
    Ok(found.into_iter().next())
}

/// All of the deployment that are not revoked.
pub async fn client_documents(db: &Db) -> Result<Vec<ClientDocumentRow>, DbError> {
    read!(
        db,
        get_results::<ClientDocumentRow>,
        client_documents::table
            .filter(client_documents::state.ne("revoked"))
            .order(client_documents::id.asc())
            .limit(CLIENT_DOCUMENTS_LIMIT)
            .select(ClientDocumentRow::as_select())
    )
}

pub async fn list_client_documents(
    db: &Db,
    owners: &OwnerFilter,
    page: &Page,
) -> Result<Vec<ClientDocumentRow>, DbError> {
    let (after, limit) = page.parts();
    let only = owners.only();
    read!(db, get_results::<ClientDocumentRow>, {
        let mut query = client_documents::table
            .select(ClientDocumentRow::as_select())
            .into_boxed::<B>()
            .filter(client_documents::id.gt(after));
        if let Some(only) = only {
            query = query.filter(client_documents::owner_id.eq_any(only));
        }
        query.order(client_documents::id.asc()).limit(limit)
    })
}

/// By which document a client is known, if it is.
pub async fn find_document_client(db: &Db, client_id: &str) -> Result<Option<DocumentClientRow>, DbError> {
    let id = client_id.to_owned();
    let found = read!(
        db,
        get_results::<DocumentClientRow>,
        document_clients::table.find(id).select(DocumentClientRow::as_select())
    )?;
    Ok(found.into_iter().next())
}

/// The clients that came of an entry.
pub async fn clients_of_document(db: &Db, document_id: &str) -> Result<Vec<String>, DbError> {
    let id = document_id.to_owned();
    read!(
        db,
        get_results::<String>,
        document_clients::table
            .filter(document_clients::document_id.eq(id))
            .order(document_clients::client_id.asc())
            .limit(DOCUMENT_CLIENTS_LIMIT)
            .select(document_clients::client_id)
    )
}
