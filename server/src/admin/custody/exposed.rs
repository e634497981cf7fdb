//! What a severe revocation does to what the agent has seen: disclosure can't be revoked, so
//! the versions are marked, and where another waits it comes into use at once.

use super::super::api::Severity;
use super::super::problem::Refusal;
use super::super::session::Session;
use super::versions::in_use;
use crate::deps;
use std::collections::BTreeSet;
use stipend_schema::custody::CredentialVersionRow;
use stipend_schema::{Dep, Row, Write, queries};

/// The versions to mark and those to bring into use, and the credentials that this changes.
/// Nothing, unless the revocation is severe.
pub(in super::super) async fn compromised(
    session: &Session<'_>,
    agent: &str,
    severity: Severity,
) -> Result<(Vec<Write>, Vec<Dep>), Refusal> {
    if !matches!(severity, Severity::High | Severity::Critical) {
        return Ok((Vec::new(), Vec::new()));
    }
    let id = agent.to_owned();
    let seen = session.read(|db| async move { queries::exposures_of_agent(&db, &id).await }).await?;
    let credentials: BTreeSet<&String> = seen.iter().map(|exposure| &exposure.credential_id).collect();
    let now = session.now();
    let (mut writes, mut changes) = (Vec::new(), Vec::new());
    for credential in credentials {
        let id = credential.clone();
        let versions = session.read(|db| async move { queries::credential_versions(&db, &id).await }).await?;
        let known = |version: &&CredentialVersionRow| {
            version.sealed.is_some() && seen.iter().any(|exposure| exposure.version_id == version.id)
        };
        let mut marked: Vec<CredentialVersionRow> = versions.iter().filter(known).cloned().collect();
        for version in &mut marked {
            version.compromised_at.get_or_insert(now);
        }
        let waiting = versions.iter().filter(|version| version.state == "pending" && !known(version));
        let next = waiting.max_by_key(|version| version.number);
        let mut successor = None;
        if let (Some(active), Some(next)) = (marked.iter_mut().find(|version| version.state == "active"), next) {
            "retired".clone_into(&mut active.state);
            successor = Some(in_use(next.clone(), now));
        }
        if !marked.is_empty() {
            changes.push(deps::credential(credential));
        }
        // First what goes out of use: there is one active version at most.
        writes.extend(marked.into_iter().chain(successor).map(|row| Write::Update(Row::CredentialVersion(row))));
    }
    Ok((writes, changes))
}
