//! Putting a request to the policies: which ones apply, what they are asked, what the record
//! says of it.

use super::facts::{Act, AgentFacts, AmountFact, Facts, Target};
use super::sets::{Applicable, Cited};
use crate::audit::Draft;
use crate::records::{Client, ClientKind, Credential, Records, RiskLevel, Unavailable};
use crate::telemetry::{Phase, phase};
use serde_json::Value;
use std::net::IpAddr;
use stipend_schema::Dep;
use stipend_token::AccessToken;

/// Statements that one record names; how many there were it says too.
const MAX_CITED: usize = 32;

/// A token that is about to be issued.
#[derive(Debug)]
pub struct TokenQuestion<'a> {
    pub client: &'a Client,
    pub grant_type: &'a str,
    /// Whether it is had for another token.
    pub exchange: bool,
    pub claims: &'a AccessToken,
    /// The most that it may hold, one in each unit.
    pub amounts: &'a [AmountFact],
    pub source: Option<IpAddr>,
    pub now: i64,
}

/// A use of a credential.
#[derive(Debug)]
pub struct CredentialQuestion<'a> {
    pub claims: &'a AccessToken,
    /// Owners of the token's parties.
    pub owners: &'a [String],
    pub credential: &'a Credential,
    pub amount: Option<AmountFact>,
    pub source: Option<IpAddr>,
    pub now: i64,
}

/// What the policies said.
#[derive(Debug, Default)]
pub struct Admission {
    pub deps: Vec<Dep>,
    risk: Option<RiskLevel>,
    denied: Vec<Cited>,
    /// Which policies were asked. `None`: there are none.
    asked: Option<Value>,
}

impl Admission {
    #[must_use]
    pub fn is_denied(&self) -> bool {
        !self.denied.is_empty()
    }

    /// Names what decided, in the record alone: whoever is refused is not told by which policy.
    pub fn note(&self, draft: &mut Draft) {
        if self.is_denied() {
            draft.put("policies", self.denied.iter().take(MAX_CITED).map(Cited::to_json).collect::<Vec<_>>());
            draft.put("policies_denied", self.denied.len());
        } else if let Some(asked) = &self.asked {
            draft.put("policy_sets", asked.clone());
        }
        // So that a dry run sees what was seen.
        if let Some(risk) = self.risk {
            draft.put("risk_level", risk.as_str());
        }
    }

    /// The policies that denied.
    #[must_use]
    pub fn denied(&self) -> &[Cited] {
        &self.denied
    }
}

/// Whether policies allow a token that rows allow.
///
/// # Errors
/// [`Unavailable`].
pub async fn of_token(records: &Records, question: &TokenQuestion<'_>) -> Result<Admission, Unavailable> {
    let TokenQuestion { client, claims, .. } = question;
    // Whoever could take a policy back must not be locked out by it; what admins may do, roles say.
    if client.kind == ClientKind::Admin {
        return Ok(Admission::default());
    }
    let mut targets = Vec::with_capacity(claims.aud.len());
    for audience in &claims.aud {
        let resource = records.find_resource(audience.as_str()).await?.ok_or(Unavailable)?;
        let (uri, owner) = (resource.audience.as_str().to_owned(), resource.owner_id.clone());
        targets.push(Target::Resource { uri, owner, environment: resource.environment });
    }
    let voucher = match &claims.user.idp {
        // Whoever trusts the issuer that vouched for the user has a say in what it is good for.
        Some(idp) => Some(records.find_issuer_by_id(idp).await?.ok_or(Unavailable)?.owner_id.clone()),
        None => None,
    };
    let owners = targets.iter().map(Target::owner).chain(claims.parties().filter_map(owner_of));
    let owners = owners.chain(voucher.as_deref());
    let applicable = Applicable::load(records, owners.chain([client.owner_id.as_str()])).await?;
    if applicable.is_empty() {
        return Ok(Admission { deps: applicable.deps, ..Admission::default() });
    }
    let amounts: Vec<Option<AmountFact>> =
        if question.amounts.is_empty() { vec![None] } else { question.amounts.iter().cloned().map(Some).collect() };
    let (grant_type, expires_in) = (question.grant_type.to_owned(), claims.exp.saturating_sub(question.now));
    let act = match question.exchange {
        true => Act::Exchange { grant_type, expires_in },
        false => Act::Issue { grant_type, expires_in },
    };
    let risk = risk(records, client, claims, question.now).await?;
    let facts = |(target, amount): (&Target, &Option<AmountFact>)| Facts {
        amount: amount.clone(),
        risk,
        ..facts(act.clone(), client, target.clone(), (claims, question.source, question.now))
    };
    let each = targets.iter().flat_map(|target| amounts.iter().map(move |amount| (target, amount)));
    Ok(Admission { risk, ..judged(applicable, &each.map(facts).collect::<Vec<_>>()) })
}

/// Whether policies allow that the agent gets a credential.
///
/// # Errors
/// [`Unavailable`].
pub async fn of_release(
    records: &Records,
    question: &CredentialQuestion<'_>,
    mode: &'static str,
) -> Result<Admission, Unavailable> {
    of_credential(records, question, || Act::Release { mode }).await
}

/// Whether policies allow a call with a credential.
///
/// # Errors
/// [`Unavailable`].
pub async fn of_call(
    records: &Records,
    question: &CredentialQuestion<'_>,
    (method, path, host): (&str, &str, &str),
) -> Result<Admission, Unavailable> {
    let act = || Act::Call { method: method.to_owned(), path: path.to_owned(), host: host.to_owned() };
    of_credential(records, question, act).await
}

async fn of_credential(
    records: &Records,
    question: &CredentialQuestion<'_>,
    act: impl FnOnce() -> Act,
) -> Result<Admission, Unavailable> {
    let CredentialQuestion { claims, owners, credential, .. } = question;
    let owners = owners.iter().map(String::as_str).chain([credential.owner_id.as_str()]);
    let applicable = Applicable::load(records, owners).await?;
    if applicable.is_empty() {
        return Ok(Admission { deps: applicable.deps, ..Admission::default() });
    }
    let client = records.find_client(&claims.client_id).await?.ok_or(Unavailable)?;
    let target = credential_target(credential);
    let risk = risk(records, &client, claims, question.now).await?;
    let facts = facts(act(), &client, target, (claims, question.source, question.now));
    let facts = Facts { amount: question.amount.clone(), risk, ..facts };
    Ok(Admission { risk, ..judged(applicable, &[facts]) })
}

/// Of all whom a token comes through the riskiest: or who is too risky would have another ask.
/// Each of them is among what the decision leans on, because the token names it.
async fn risk(
    records: &Records,
    client: &Client,
    claims: &AccessToken,
    now: i64,
) -> Result<Option<RiskLevel>, Unavailable> {
    let mut risk = client.settings.risk_at(now);
    for party in claims.parties().filter(|party| *party != client.id) {
        let party = records.find_client(party).await?;
        risk = risk.max(party.and_then(|party| party.settings.risk_at(now)));
    }
    Ok(risk)
}

fn judged(applicable: Applicable, questions: &[Facts]) -> Admission {
    let _timed = phase(Phase::Policy);
    let denied = applicable.denials(questions);
    Admission { denied, asked: Some(applicable.named()), deps: applicable.deps, risk: None }
}

fn facts(
    act: Act,
    client: &Client,
    target: Target,
    (claims, source, now): (&AccessToken, Option<IpAddr>, i64),
) -> Facts {
    Facts {
        act,
        agent: agent_facts(client),
        target,
        now,
        source,
        environment: claims.env,
        subject: claims.sub.clone(),
        actor: claims.act.current().map(|actor| actor.sub.clone()),
        scope: claims.scope.clone(),
        user: claims.user.clone(),
        amount: None,
        risk: None,
    }
}

/// An agent as policies see it.
pub(super) fn agent_facts(client: &Client) -> AgentFacts {
    let kind = match client.kind {
        ClientKind::Agent => "agent",
        ClientKind::Service => "service",
        ClientKind::Admin => "admin",
    };
    AgentFacts { id: client.id.clone(), owner: client.owner_id.clone(), kind, environment: client.environment }
}

pub(super) fn credential_target(credential: &Credential) -> Target {
    use crate::custody::CredentialKind;
    let kind = match credential.kind {
        CredentialKind::ApiKey => "api_key",
        CredentialKind::Basic => "basic",
        CredentialKind::OauthClientCredentials => "oauth_client_credentials",
        CredentialKind::Headers => "headers",
    };
    Target::Credential {
        id: credential.id.clone(),
        owner: credential.owner_id.clone(),
        kind,
        environment: credential.environment,
        template: credential.spec.template.clone(),
    }
}

/// The owner of a client, which is in its id. What has none there is no client of ours.
fn owner_of(client_id: &str) -> Option<&str> {
    client_id.split_once('.').map(|(owner, _)| owner)
}
