//! A client with all that authenticating it takes.

use super::documents::find_document_client;
use super::responsibilities::find_responsibility;
use crate::db::{Db, DbError, Pools, read};
use crate::documents::DocumentClientRow;
use crate::responsibilities::ResponsibilityRow;
use crate::rows::{ClientKeyRow, ClientRow, ClientSecretRow, OwnerRow};
use crate::tables::{client_keys, client_secrets, clients, owners};
use diesel::prelude::*;
use diesel::sql_types::Text;

/// A client, its owner and its credentials. The parts are read one after the other: a change
/// in between shows in the feed, and the fence refuses what was decided on a mixture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientBundle {
    pub client: ClientRow,
    pub owner: OwnerRow,
    pub secrets: Vec<ClientSecretRow>,
    pub keys: Vec<ClientKeyRow>,
    /// Who answers for it, where somebody is named.
    pub responsibility: Option<ResponsibilityRow>,
    /// The document that it is known by, where it is.
    pub document: Option<DocumentClientRow>,
}

pub async fn find_client_bundle(db: &Db, id: &str) -> Result<Option<ClientBundle>, DbError> {
    let key = id.to_owned();
    let found = read!(
        db,
        get_results::<(ClientRow, OwnerRow)>,
        clients::table
            .inner_join(owners::table)
            .filter(clients::id.eq(key))
            .select((ClientRow::as_select(), OwnerRow::as_select()))
    )?;
    let Some((client, owner)) = found.into_iter().next() else {
        return Ok(None);
    };
    Ok(Some(ClientBundle {
        client,
        owner,
        secrets: find_client_secrets(db, id).await?,
        keys: find_client_keys(db, id).await?,
        responsibility: find_responsibility(db, id).await?,
        document: find_document_client(db, id).await?,
    }))
}

pub async fn find_client(db: &Db, id: &str) -> Result<Option<ClientRow>, DbError> {
    let id = id.to_owned();
    let found = read!(db, get_results::<ClientRow>, clients::table.find(id).select(ClientRow::as_select()))?;
    Ok(found.into_iter().next())
}

/// A client's secrets, oldest first.
pub async fn find_client_secrets(db: &Db, id: &str) -> Result<Vec<ClientSecretRow>, DbError> {
    let id = id.to_owned();
    read!(
        db,
        get_results::<ClientSecretRow>,
        client_secrets::table
            .filter(client_secrets::client_id.eq(id))
            .order((client_secrets::created_at, client_secrets::id))
            .limit(CREDENTIALS_LIMIT)
            .select(ClientSecretRow::as_select())
    )
}

/// Clients that a workload's SPIFFE ID is registered for: none, the one, or two of several.
pub async fn find_clients_by_spiffe_id(db: &Db, spiffe_id: &str) -> Result<Vec<String>, DbError> {
    // As the index has it, to the letter.
    let of = match &*db.pools {
        Pools::Pg(_) => "(settings::json ->> 'spiffe_id') = $1",
        Pools::Lite(_) => "json_extract(settings, '$.spiffe_id') = ?",
    };
    let text = format!("SELECT id FROM clients WHERE {of} AND auth_method IN ('spiffe_jwt', 'spiffe_x509') LIMIT 2");
    let spiffe_id = spiffe_id.to_owned();
    let found = read!(db, get_results::<ClientId>, diesel::sql_query(text).bind::<Text, _>(spiffe_id))?;
    Ok(found.into_iter().map(|client| client.id).collect())
}

#[derive(QueryableByName)]
struct ClientId {
    #[diesel(sql_type = Text)]
    id: String,
}

async fn find_client_keys(db: &Db, id: &str) -> Result<Vec<ClientKeyRow>, DbError> {
    let id = id.to_owned();
    read!(
        db,
        get_results::<ClientKeyRow>,
        client_keys::table
            .filter(client_keys::client_id.eq(id))
            .order((client_keys::created_at, client_keys::id))
            .limit(CREDENTIALS_LIMIT)
            .select(ClientKeyRow::as_select())
    )
}

/// Most secrets, and most keys, read for one client.
const CREDENTIALS_LIMIT: i64 = 64;
