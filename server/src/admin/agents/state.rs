//! The life of a client: requested -> active <-> suspended -> revoked -> retired.
//!
//! Revoking is one transaction: the state, an entry that kills every token issued until now, and
//! the end of all credentials. There is no way back from it.

use super::super::api::{Agent, Severity};
use super::super::check;
use super::super::custody::compromised;
use super::super::limits::MAX_REASON_BYTES;
use super::super::problem::{Code, Refusal};
use super::super::revocations::{Entry, entry};
use super::super::roles::Action;
use super::super::session::{Change, Session};
use super::{deps_of, load, refuse_own, view};
use crate::deps;
use crate::records::ClientState;
use stipend_schema::{Row, Table, Write};
use stipend_token::revoked::RevokedKind;

/// What is done to the state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum Verb {
    Suspend,
    Resume,
    Revoke(Severity),
    Retire,
}

/// Where a verb leads; `None`: nowhere from here. A verb whose end is reached already leads to
/// where the client is.
fn next(from: ClientState, verb: Verb) -> Option<ClientState> {
    use ClientState::{Active, Requested, Retired, Revoked, Suspended};
    match (from, verb) {
        (Active | Suspended, Verb::Suspend) => Some(Suspended),
        (Suspended | Active, Verb::Resume) => Some(Active),
        (Requested | Active | Suspended | Revoked, Verb::Revoke(_)) => Some(Revoked),
        (Revoked | Retired, Verb::Retire) => Some(Retired),
        (Requested | Revoked | Retired, Verb::Suspend | Verb::Resume)
        | (Retired, Verb::Revoke(_))
        | (Requested | Active | Suspended, Verb::Retire) => None,
    }
}

pub(in super::super) async fn set_state(
    session: &Session<'_>,
    id: &str,
    verb: Verb,
    reason: Option<&str>,
) -> Result<Agent, Refusal> {
    session
        .change(id, async |caller| {
            let reason = reason.unwrap_or_default();
            let shortest = usize::from(matches!(verb, Verb::Revoke(_)));
            check::text("/reason", reason, shortest, MAX_REASON_BYTES)?;
            let mut bundle = load(session, caller, id, Action::ChangeAgent).await?;
            refuse_own(caller, &bundle.client)?;
            let from: ClientState = check::parse_word(&bundle.client.state)?;
            let Some(to) = next(from, verb) else {
                return Err(Refusal::new(Code::InvalidState, "the agent's state does not allow this"));
            };
            let orphaned = bundle.responsibility.as_ref().is_some_and(|row| row.orphaned_at.is_some());
            if verb == Verb::Resume && orphaned && to != from {
                return Err(Refusal::new(Code::InvalidState, "nobody answers for the agent: transfer it first"));
            }
            let (now, owner, deps) = (session.now(), bundle.client.owner_id.clone(), deps_of(&bundle.client));
            if to == from {
                return Ok(Change::none(&owner, deps, view::view(bundle, now)?));
            }
            let row = &mut bundle.client;
            row.state = check::word(&to)?;
            row.state_reason = (!reason.is_empty()).then(|| reason.to_owned());
            row.updated_at = now;
            let mut writes = vec![Write::Update(Row::Client(row.clone()))];
            let (mut severity, mut changes) = (None, vec![deps::client(id)]);
            if let Verb::Revoke(how_bad) = verb {
                severity = Some(how_bad.as_str());
                writes.push(Write::Insert(Row::Revocation(entry(&Entry {
                    kind: RevokedKind::Client,
                    value: id,
                    owner: Some(&owner),
                    reason,
                    severity: how_bad.as_str(),
                    by: caller.id(),
                    now,
                }))));
                let (marked, credentials) = compromised(session, id, how_bad).await?;
                writes.extend(marked);
                changes.extend(credentials);
                let (secrets, keys) = (std::mem::take(&mut bundle.secrets), std::mem::take(&mut bundle.keys));
                writes.extend(secrets.into_iter().map(|secret| Write::Delete(Table::ClientSecret, secret.id)));
                writes.extend(keys.into_iter().map(|key| Write::Delete(Table::ClientKey, key.id)));
            }
            let answer = view::view(bundle, now)?;
            // A credential that changes meanwhile is looked at again.
            let read = deps.into_iter().chain(changes.iter().cloned()).collect();
            let change = Change { writes, changes, ..Change::none(&owner, read, answer) }
                .with("effect", check::word(&to)?)
                .with("why", reason);
            Ok(match severity {
                Some(severity) => change.with("severity", severity),
                None => change,
            })
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_life_of_a_client() {
        use ClientState::{Active, Requested, Retired, Revoked, Suspended};
        let mut table = String::new();
        for from in [Requested, Active, Suspended, Revoked, Retired] {
            for verb in [Verb::Suspend, Verb::Resume, Verb::Revoke(Severity::High), Verb::Retire] {
                table.push_str(&format!("{from:?} {verb:?}: {:?}\n", next(from, verb)));
            }
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn nothing_leads_out_of_revoked_but_retiring() {
        for verb in [Verb::Suspend, Verb::Resume, Verb::Revoke(Severity::Low)] {
            assert!(matches!(next(ClientState::Revoked, verb), None | Some(ClientState::Revoked)));
            assert_eq!(next(ClientState::Retired, verb), None);
        }
    }
}
