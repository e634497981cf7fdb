//! Whether the upstream takes a credential: the template's harmless call, made now.

use super::super::api::ProbeResult;
use super::super::problem::{Code, Refusal};
use super::super::roles::Action;
use super::super::session::{Change, Session};
use super::credentials::load;
use crate::custody::probe as call;
use crate::deps;

pub(in super::super) async fn probe(session: &Session<'_>, id: &str) -> Result<ProbeResult, Refusal> {
    let parts = load(session, session.caller(), id, Action::ManageCredential).await?;
    let found = session.app.records.find_credential(id).await?;
    let credential = found.filter(|credential| credential.active && credential.version.is_some());
    let not_ready = || Refusal::new(Code::InvalidState, "the credential is disabled or has no active version");
    let result = match call(session.app, &*credential.ok_or_else(not_ready)?).await {
        Ok(status) => ProbeResult { accepted: (200..300).contains(&status), status: Some(status), fault: None },
        Err(Some(fault)) => ProbeResult { accepted: false, status: None, fault: Some(fault.to_owned()) },
        Err(None) => {
            return Err(Refusal::new(Code::InvalidState, "the credential has no template with a harmless call"));
        }
    };
    let owner = parts.row.owner_id;
    session
        .change(id, async |_| {
            let change = Change::none(&owner, vec![deps::credential(id)], result.clone());
            Ok(change.with("effect", "probed").with("accepted", result.accepted).with("status", result.status))
        })
        .await
}
