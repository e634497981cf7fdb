//! Credentials, their versions, who may use them and who has seen them.

use super::lists::{OwnerFilter, Page};
use crate::custody::{
    CredentialExposureRow, CredentialGrantRow, CredentialRow, CredentialUseRow, CredentialVersionRow, ServerSecretRow,
};
use crate::db::{Db, DbError, read};
use crate::tables::{
    credential_exposures, credential_grants, credential_uses, credential_versions, credentials, server_secrets,
};
use diesel::prelude::*;

/// Most versions of one credential that are read.
pub const VERSIONS_LIMIT: i64 = 1000;
/// Most versions whose time is over that are read at once.
pub const DUE_VERSIONS_LIMIT: i64 = 200;
/// Most secrets of the deployment that are read.
const SECRETS_LIMIT: i64 = 16;
/// Most exposures of one credential or agent that are read.
pub const EXPOSURES_LIMIT: i64 = 1000;

pub async fn find_credential(db: &Db, id: &str) -> Result<Option<CredentialRow>, DbError> {
    let id = id.to_owned();
    let found =
        read!(db, get_results::<CredentialRow>, credentials::table.find(id).select(CredentialRow::as_select()))?;
    Ok(found.into_iter().next())
}

pub async fn list_credentials(db: &Db, owners: &OwnerFilter, page: &Page) -> Result<Vec<CredentialRow>, DbError> {
    let (after, limit) = page.parts();
    let only = owners.only();
    read!(db, get_results::<CredentialRow>, {
        let mut query =
            credentials::table.select(CredentialRow::as_select()).into_boxed::<B>().filter(credentials::id.gt(after));
        if let Some(only) = only {
            query = query.filter(credentials::owner_id.eq_any(only));
        }
        query.order(credentials::id.asc()).limit(limit)
    })
}

/// The versions of a credential, newest first.
pub async fn credential_versions(db: &Db, credential_id: &str) -> Result<Vec<CredentialVersionRow>, DbError> {
    let id = credential_id.to_owned();
    read!(
        db,
        get_results::<CredentialVersionRow>,
        credential_versions::table
            .filter(credential_versions::credential_id.eq(id))
            .order(credential_versions::number.desc())
            .limit(VERSIONS_LIMIT)
            .select(CredentialVersionRow::as_select())
    )
}

/// The version that is in use.
pub async fn active_version(db: &Db, credential_id: &str) -> Result<Option<CredentialVersionRow>, DbError> {
    let id = credential_id.to_owned();
    let found = read!(
        db,
        get_results::<CredentialVersionRow>,
        credential_versions::table
            .filter(credential_versions::credential_id.eq(id))
            .filter(credential_versions::state.eq("active"))
            .select(CredentialVersionRow::as_select())
    )?;
    Ok(found.into_iter().next())
}

pub async fn find_version(db: &Db, id: &str) -> Result<Option<CredentialVersionRow>, DbError> {
    let id = id.to_owned();
    let found = read!(
        db,
        get_results::<CredentialVersionRow>,
        credential_versions::table.find(id).select(CredentialVersionRow::as_select())
    )?;
    Ok(found.into_iter().next())
}

/// Versions with a sealed value, a page by id: for whatever must look at each of them.
pub async fn sealed_versions(db: &Db, page: &Page) -> Result<Vec<CredentialVersionRow>, DbError> {
    let (after, limit) = page.parts();
    read!(
        db,
        get_results::<CredentialVersionRow>,
        credential_versions::table
            .filter(credential_versions::id.gt(after))
            .filter(credential_versions::sealed.is_not_null())
            .order(credential_versions::id.asc())
            .limit(limit)
            .select(CredentialVersionRow::as_select())
    )
}

/// Retiring versions whose time is over at `now`.
pub async fn due_versions(db: &Db, now: i64) -> Result<Vec<CredentialVersionRow>, DbError> {
    read!(
        db,
        get_results::<CredentialVersionRow>,
        credential_versions::table
            .filter(credential_versions::state.eq("retiring"))
            .filter(credential_versions::retire_at.le(now))
            .order(credential_versions::id.asc())
            .limit(DUE_VERSIONS_LIMIT)
            .select(CredentialVersionRow::as_select())
    )
}

pub async fn find_grant(db: &Db, id: &str) -> Result<Option<CredentialGrantRow>, DbError> {
    let id = id.to_owned();
    let found = read!(
        db,
        get_results::<CredentialGrantRow>,
        credential_grants::table.find(id).select(CredentialGrantRow::as_select())
    )?;
    Ok(found.into_iter().next())
}

/// What lets an agent use a credential.
pub async fn grant_of(db: &Db, credential_id: &str, agent_id: &str) -> Result<Option<CredentialGrantRow>, DbError> {
    let (credential, agent) = (credential_id.to_owned(), agent_id.to_owned());
    let found = read!(
        db,
        get_results::<CredentialGrantRow>,
        credential_grants::table
            .filter(credential_grants::credential_id.eq(credential))
            .filter(credential_grants::agent_id.eq(agent))
            .select(CredentialGrantRow::as_select())
    )?;
    Ok(found.into_iter().next())
}

/// Grants by id, of one credential or one agent where named.
pub async fn list_grants(
    db: &Db,
    owners: &OwnerFilter,
    (credential_id, agent_id): (Option<&str>, Option<&str>),
    page: &Page,
) -> Result<Vec<CredentialGrantRow>, DbError> {
    let (after, limit) = page.parts();
    let only = owners.only();
    let (credential, agent) = (credential_id.map(str::to_owned), agent_id.map(str::to_owned));
    read!(db, get_results::<CredentialGrantRow>, {
        let mut query = credential_grants::table
            .select(CredentialGrantRow::as_select())
            .into_boxed::<B>()
            .filter(credential_grants::id.gt(after));
        if let Some(only) = only {
            query = query.filter(credential_grants::owner_id.eq_any(only));
        }
        if let Some(credential) = credential {
            query = query.filter(credential_grants::credential_id.eq(credential));
        }
        if let Some(agent) = agent {
            query = query.filter(credential_grants::agent_id.eq(agent));
        }
        query.order(credential_grants::id.asc()).limit(limit)
    })
}

/// How grants were used; those that never were are left out.
pub async fn grant_uses(db: &Db, grant_ids: &[String]) -> Result<Vec<CredentialUseRow>, DbError> {
    let ids = grant_ids.to_vec();
    read!(
        db,
        get_results::<CredentialUseRow>,
        credential_uses::table.filter(credential_uses::grant_id.eq_any(ids)).select(CredentialUseRow::as_select())
    )
}

/// Who has seen a credential, newest first.
pub async fn exposures_of_credential(db: &Db, credential_id: &str) -> Result<Vec<CredentialExposureRow>, DbError> {
    let id = credential_id.to_owned();
    read!(
        db,
        get_results::<CredentialExposureRow>,
        credential_exposures::table
            .filter(credential_exposures::credential_id.eq(id))
            .order((credential_exposures::last_at.desc(), credential_exposures::version_id.asc()))
            .limit(EXPOSURES_LIMIT)
            .select(CredentialExposureRow::as_select())
    )
}

/// What an agent has seen, newest first.
pub async fn exposures_of_agent(db: &Db, agent_id: &str) -> Result<Vec<CredentialExposureRow>, DbError> {
    let id = agent_id.to_owned();
    read!(
        db,
        get_results::<CredentialExposureRow>,
        credential_exposures::table
            .filter(credential_exposures::agent_id.eq(id))
            .order((credential_exposures::last_at.desc(), credential_exposures::version_id.asc()))
            .limit(EXPOSURES_LIMIT)
            .select(CredentialExposureRow::as_select())
    )
}

/// The secrets of the deployment itself.
pub async fn server_secrets(db: &Db) -> Result<Vec<ServerSecretRow>, DbError> {
    read!(
        db,
        get_results::<ServerSecretRow>,
        server_secrets::table
            .order(server_secrets::name.asc())
            .limit(SECRETS_LIMIT)
            .select(ServerSecretRow::as_select())
    )
}

/// The key-encryption keys that sealed versions need, and how many need each.
pub async fn version_keks(db: &Db) -> Result<Vec<(String, i64)>, DbError> {
    let rows = read!(
        db,
        get_results::<(Option<String>, i64)>,
        credential_versions::table
            .filter(credential_versions::kek_id.is_not_null())
            .group_by(credential_versions::kek_id)
            .select((credential_versions::kek_id, diesel::dsl::count_star()))
    )?;
    Ok(rows.into_iter().filter_map(|(kek, count)| Some((kek?, count))).collect())
}

/// Versions that are sealed under another key-encryption key than `kek_id`, a page by id.
pub async fn versions_of_other_keks(db: &Db, kek_id: &str, page: &Page) -> Result<Vec<CredentialVersionRow>, DbError> {
    let (after, limit) = page.parts();
    let kek = kek_id.to_owned();
    read!(
        db,
        get_results::<CredentialVersionRow>,
        credential_versions::table
            .filter(credential_versions::kek_id.ne(kek))
            .filter(credential_versions::id.gt(after))
            .order(credential_versions::id.asc())
            .limit(limit)
            .select(CredentialVersionRow::as_select())
    )
}
