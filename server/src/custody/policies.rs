//! Policies over the use of credentials: asked once function, data and mode allow it, and before
//! the constraints are. They only restrict.

use super::admission::{Bearer, Refused};
use super::call::{ProxyCall, cost};
use super::spec::ReleaseMode;
use super::target::target;
use crate::app::App;
use crate::audit::Origin;
use crate::policy::{self, AmountFact, CredentialQuestion};
use crate::reason::Reason;
use crate::records::Credential;
use stipend_token::budget::{Amount, Unit};

/// Puts a use to the policies of all that it concerns. `call` is the agent's request where one is
/// forwarded; otherwise the agent is to get the value, by `mode`. `priced`: it costs its price.
pub(super) async fn restrict(
    app: &App,
    mut bearer: Bearer,
    credential: &Credential,
    (mode, call, priced): (ReleaseMode, Option<&ProxyCall>, bool),
    origin: &Origin,
) -> Result<Bearer, Box<Refused>> {
    let amount = amount(credential, call).filter(|_| priced);
    let question = CredentialQuestion {
        claims: &bearer.standing.token.claims,
        owners: &bearer.standing.owners,
        credential,
        amount: amount.clone(),
        source: origin.source,
        now: app.clock.now(),
    };
    let admission = match call {
        None => policy::of_release(&app.records, &question, mode.as_str()).await?,
        Some(call) => {
            let host = target(credential).and_then(|target| target.base.host_str().map(str::to_owned));
            let host = host.unwrap_or_default();
            let parts = (call.method.as_str(), call.path.as_str(), host.as_str());
            bearer.draft.put("method", parts.0);
            // The path is the template of what was called; a query may hold anything and is left out.
            bearer.draft.put("path", parts.1);
            bearer.draft.put("host", parts.2);
            policy::of_call(&app.records, &question, parts).await?
        }
    };
    if let Some(amount) = amount {
        bearer.draft.put("amounts", policy::seen_amounts(&[amount]));
    }
    admission.note(&mut bearer.draft);
    bearer.deps.extend(admission.deps.iter().cloned());
    if admission.is_denied() { Err(bearer.refused(Reason::UseDenied).into()) } else { Ok(bearer) }
}

/// What a use costs: its price, or the most that a call is held for. What can't be told is
/// refused later, by who must know it.
fn amount(credential: &Credential, call: Option<&ProxyCall>) -> Option<AmountFact> {
    let (unit, amount) = match call {
        Some(call) => {
            let cost = cost(credential, call).ok()??;
            (cost.unit, cost.amount)
        }
        None => {
            let price = credential.spec.price.as_ref().filter(|price| price.amount > Amount::ZERO)?;
            (price.unit()?, price.amount)
        }
    };
    Some(fact(&unit, amount))
}

fn fact(unit: &Unit, amount: Amount) -> AmountFact {
    AmountFact { unit: unit.code().to_owned(), decimals: unit.decimals().into(), value: amount.parts() }
}
