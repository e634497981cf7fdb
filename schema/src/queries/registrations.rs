//! Tokens for registering clients, and the registrations made with them.

use super::lists::{OwnerFilter, Page};
use crate::db::{Db, DbError, read};
use crate::registration::{ClientRegistrationRow, RegistrationTokenRow};
use crate::tables::{client_registrations, registration_tokens};
use diesel::prelude::*;

pub async fn find_registration_token(db: &Db, id: &str) -> Result<Option<RegistrationTokenRow>, DbError> {
    let id = id.to_owned();
    let found = read!(
        db,
        get_results::<RegistrationTokenRow>,
        registration_tokens::table.find(id).select(RegistrationTokenRow::as_select())
    )?;
    Ok(found.into_iter().next())
}

/// The token of which this is the hash.
pub async fn find_registration_token_by_hash(db: &Db, hash: [u8; 32]) -> Result<Option<RegistrationTokenRow>, DbError> {
    let found = read!(
        db,
        get_results::<RegistrationTokenRow>,
        registration_tokens::table
            .filter(registration_tokens::hash.eq(hash.to_vec()))
            .select(RegistrationTokenRow::as_select())
    )?;
    Ok(found.into_iter().next())
}

pub async fn list_registration_tokens(
    db: &Db,
    owners: &OwnerFilter,
    page: &Page,
) -> Result<Vec<RegistrationTokenRow>, DbError> {
    let (after, limit) = page.parts();
    let only = owners.only();
    read!(db, get_results::<RegistrationTokenRow>, {
        let mut query = registration_tokens::table
            .select(RegistrationTokenRow::as_select())
            .into_boxed::<B>()
            .filter(registration_tokens::id.gt(after));
        if let Some(only) = only {
            query = query.filter(registration_tokens::owner_id.eq_any(only));
        }
        query.order(registration_tokens::id.asc()).limit(limit)
    })
}

pub async fn find_client_registration(db: &Db, client_id: &str) -> Result<Option<ClientRegistrationRow>, DbError> {
    let id = client_id.to_owned();
    let found = read!(
        db,
        get_results::<ClientRegistrationRow>,
        client_registrations::table.find(id).select(ClientRegistrationRow::as_select())
    )?;
    Ok(found.into_iter().next())
}
