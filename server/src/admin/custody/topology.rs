//! The topology: agents, credentials, and what stands between them, as it is now.

use super::super::api::{Edge, EdgeStatus, ListQuery, Page};
use super::super::check;
use super::super::page;
use super::super::problem::Refusal;
use super::super::roles::Action;
use super::super::session::Session;
use crate::custody::GrantSpec;
use crate::records::{Client, Credential};
use std::collections::HashMap;
use stipend_schema::custody::{CredentialExposureRow, CredentialGrantRow, CredentialUseRow};
use stipend_schema::queries;

/// A page of edges that the caller may see, by the grant's id.
pub(in super::super) async fn edges(session: &Session<'_>, query: &ListQuery) -> Result<Page<Edge>, Refusal> {
    let (limit, wanted) = page::wanted(query)?;
    let owners = session.caller().owners(Action::ReadGrant);
    let rows =
        session.read(|db| async move { queries::list_grants(&db, &owners, (None, None), &wanted).await }).await?;
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let uses = session.read(|db| async move { queries::grant_uses(&db, &ids).await }).await?;
    let uses: HashMap<String, CredentialUseRow> = uses.into_iter().map(|row| (row.grant_id.clone(), row)).collect();
    let mut exposures: HashMap<String, Vec<CredentialExposureRow>> = HashMap::new();
    let mut edges = Vec::with_capacity(rows.len());
    for row in rows {
        if !exposures.contains_key(&row.credential_id) {
            let id = row.credential_id.clone();
            let found = session.read(|db| async move { queries::exposures_of_credential(&db, &id).await }).await?;
            exposures.insert(row.credential_id.clone(), found);
        }
        let seen = exposures.get(&row.credential_id).map(Vec::as_slice).unwrap_or_default();
        edges.push(edge(session, &row, uses.get(&row.id), seen).await?);
    }
    page::cut(edges, limit, |edge| edge.grant.clone(), Ok)
}

async fn edge(
    session: &Session<'_>,
    row: &CredentialGrantRow,
    used: Option<&CredentialUseRow>,
    seen: &[CredentialExposureRow],
) -> Result<Edge, Refusal> {
    let records = &session.app.records;
    let credential = records.find_credential(&row.credential_id).await?;
    let agent = records.find_client(&row.agent_id).await?;
    let spec: GrantSpec = check::parse_column(&row.spec)?;
    let of_credential = credential.as_ref().map(|credential| credential.spec.modes.as_slice()).unwrap_or_default();
    let modes: Vec<_> = spec.modes.iter().filter(|mode| of_credential.contains(mode)).copied().collect();
    let version = credential.as_ref().and_then(|credential| credential.version.as_ref());
    let exposed = version.is_some_and(|version| {
        seen.iter().any(|exposure| exposure.version_id == version.id && exposure.agent_id == row.agent_id)
    });
    let status = match status(session, row, agent.as_deref(), credential.as_deref()) {
        EdgeStatus::Active if modes.is_empty() => EdgeStatus::NoMode,
        status => status,
    };
    Ok(Edge {
        grant: row.id.clone(),
        agent: row.agent_id.clone(),
        credential: row.credential_id.clone(),
        status,
        version: version.map(|version| version.number),
        modes,
        last_used_at: used.map(|used| used.last_at),
        last_mode: used.map(|used| check::parse_word(&used.mode)).transpose()?,
        uses: used.map_or(0, |used| used.uses),
        exposed,
    })
}

fn status(
    session: &Session<'_>,
    row: &CredentialGrantRow,
    agent: Option<&Client>,
    credential: Option<&Credential>,
) -> EdgeStatus {
    let now = session.now();
    if row.state != "active" {
        EdgeStatus::Disabled
    } else if row.expires_at.is_some_and(|at| now >= at) {
        EdgeStatus::Expired
    } else if !agent.is_some_and(|agent| agent.stands(now)) {
        EdgeStatus::AgentNotReady
    } else if !credential.is_some_and(|credential| credential.active && credential.version.is_some()) {
        EdgeStatus::CredentialNotReady
    } else {
        EdgeStatus::Active
    }
}
