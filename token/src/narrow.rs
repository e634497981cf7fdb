//! The narrowing law: what a token exchange may yield (RFC 8693).
//!
//! One pure decision. Scope, audience, life, depth and environment of the result
//! are each within the subject token, the rule, the client and the target. It
//! never reads earlier actors, and its outcome depends on no order of the rules.

use crate::chain::Actor;
use crate::claims::{AccessToken, Environment};
use crate::lineage::Lineage;
use crate::rule::{ExchangeMode, ExchangeRule};
use crate::{ActorChain, Audience, ScopeSet, Timestamp};

mod edge;
pub use edge::RuleVerdict;

/// Why a grant is refused. The server maps each to one OAuth error code.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, thiserror::Error)]
pub enum Refusal {
    #[error("no resource was requested and the client has no default")]
    NoDefaultTarget,
    #[error("the requested resource is unknown or not allowed for this client")]
    TargetNotAllowed,
    #[error("scope is required: this client has no default scope for the resource")]
    ScopeRequired,
    #[error("none of the requested scopes is allowed at the requested resource")]
    ScopeNotAllowed,
    #[error("the requested scope exceeds what the subject token, the rule, the client and the resource allow")]
    ScopeWider,
    #[error("the subject token has expired")]
    SubjectExpired,
    #[error("the actor token has expired")]
    ActorExpired,
    #[error("the actor token does not belong to the authenticated client")]
    ActorNotClient,
    #[error("may_act in the subject token names another actor")]
    MayActMismatch,
    #[error("the subject token was not issued to this client and no exchange rule lets the client use it")]
    NotTheirs,
    #[error("no exchange rule leads from the subject token to the requested resource")]
    NoRule,
    #[error("the actor chain would be deeper than allowed")]
    TooDeep,
    #[error("the token has been exchanged too many times")]
    LineageTooLong,
    #[error("tokens do not cross between sandbox and live")]
    EnvironmentCrossed,
}

/// The client that exchanges: authenticated, and the current actor.
#[derive(Clone, Debug)]
pub struct Presenter<'a> {
    pub client_id: &'a str,
    pub subject: &'a str,
    pub owner_id: &'a str,
    pub environment: Environment,
    pub scope_ceiling: Option<&'a ScopeSet>,
    pub ttl_seconds: i64,
}

/// A resource that was asked for, as registered.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    pub audience: &'a Audience,
    pub owner_id: &'a str,
    pub scopes: &'a ScopeSet,
    /// `None`: serves both environments.
    pub environment: Option<Environment>,
    pub ttl_seconds: i64,
}

/// Whom another issuer vouches for: the subject of a token that is not ours. What of that token
/// is the subject's goes into an [`AccessToken`] without scope and audience, whose `jti` is its
/// digest and whose client is the presenter.
#[derive(Clone, Copy, Debug)]
pub struct Federated<'a> {
    /// The issuer's id here.
    pub issuer: &'a str,
    /// The subject's name there.
    pub name: &'a str,
    /// Its token says that somebody acts for it already.
    pub delegated: bool,
}

/// Everything an exchange decision looks at. Tokens are verified and standing.
#[derive(Clone, Debug)]
pub struct Exchange<'a> {
    pub issuer: &'a str,
    pub subject: &'a AccessToken,
    /// Where the subject token is not ours.
    pub federated: Option<Federated<'a>>,
    /// Owners of the subject token's parties, its own client's first: each must have
    /// accepted a rule for it to work. Of a foreign token, its issuer's owner.
    pub subject_owners: &'a [&'a str],
    pub actor_token: Option<&'a AccessToken>,
    pub presenter: Presenter<'a>,
    /// The resources asked for, each once; the subject token's own where none was.
    pub targets: &'a [Target<'a>],
    pub scope: Option<&'a ScopeSet>,
    pub rules: &'a [ExchangeRule],
    /// What is asked for is an identity assertion grant: only rules that lead abroad yield one,
    /// and they yield nothing else.
    pub abroad: bool,
    pub max_depth: usize,
    pub now: Timestamp,
}

impl Exchange<'_> {
    /// Whether the presenter shows a token that was issued to it here. A foreign one never was.
    fn is_own(&self) -> bool {
        self.federated.is_none() && self.subject.client_id == self.presenter.client_id
    }

    /// Whether the subject token is for this audience already. A foreign one is for none of ours.
    fn stays(&self, target: &Target<'_>) -> bool {
        self.federated.is_none() && self.subject.aud.contains(target.audience)
    }
}

/// What the exchange yields.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Narrowed {
    pub aud: Vec<Audience>,
    pub scope: ScopeSet,
    pub act: ActorChain,
    pub lineage: Lineage,
    pub exp: Timestamp,
    pub mode: ExchangeMode,
    /// Ids of the rules used, sorted. Empty: none was needed.
    pub rules: Vec<String>,
    /// The owners whose people must approve before this is issued, sorted. Empty: none must.
    pub approvers: Vec<String>,
}

/// Decides an exchange.
///
/// # Errors
/// The [`Refusal`] that applies; nothing is granted in part, because a caller of
/// an exchange names the authority it needs.
pub fn decide(exchange: &Exchange<'_>) -> Result<Narrowed, Refusal> {
    check_tokens(exchange)?;
    if exchange.targets.is_empty() {
        // A foreign token has no audience of ours that could stay.
        return Err(exchange.federated.map_or(Refusal::TargetNotAllowed, |_| Refusal::NoDefaultTarget));
    }
    // A grant is presented at one server.
    if exchange.abroad && exchange.targets.len() > 1 {
        return Err(Refusal::TargetNotAllowed);
    }
    let mut scope: Option<ScopeSet> = None;
    let mut mode = None;
    let mut rules = Vec::new();
    let mut approvers = Vec::new();
    let mut max_depth = exchange.max_depth;
    let mut ttl = exchange.presenter.ttl_seconds;
    for target in exchange.targets {
        let edge = edge::find(exchange, target)?;
        scope = Some(match scope {
            Some(so_far) => so_far.intersection(&edge.scope),
            None => edge.scope,
        });
        mode = mode.max(edge.mode);
        max_depth = max_depth.min(edge.max_depth.unwrap_or(max_depth));
        ttl = ttl.min(target.ttl_seconds).min(edge.max_ttl_seconds.unwrap_or(ttl));
        rules.extend(edge.rule);
        approvers.extend(edge.approvers);
    }
    for each in [&mut rules, &mut approvers] {
        each.sort_unstable();
        each.dedup();
    }
    let scope = narrow_scope(scope.unwrap_or_default(), exchange.scope)?;
    let act = next_chain(exchange, mode);
    if act.depth() > max_depth {
        return Err(Refusal::TooDeep);
    }
    Ok(Narrowed {
        aud: exchange.targets.iter().map(|target| target.audience.clone()).collect(),
        scope,
        act,
        lineage: exchange
            .subject
            .lineage
            .descend(&exchange.subject.jti, &exchange.subject.client_id)
            .ok_or(Refusal::LineageTooLong)?,
        exp: life(exchange, ttl),
        mode: mode.unwrap_or(ExchangeMode::Delegation),
        rules,
        approvers,
    })
}

/// For each rule, what it would allow or why it does not apply. For explaining.
#[must_use]
pub fn explain<'r>(exchange: &Exchange<'r>) -> Vec<(&'r str, Vec<RuleVerdict>)> {
    exchange
        .rules
        .iter()
        .map(|rule| {
            let verdicts = exchange.targets.iter().map(|target| edge::judge(exchange, target, rule)).collect();
            (rule.id.as_str(), verdicts)
        })
        .collect()
}

fn check_tokens(exchange: &Exchange<'_>) -> Result<(), Refusal> {
    let Exchange { subject, presenter, .. } = exchange;
    if subject.exp <= exchange.now {
        return Err(Refusal::SubjectExpired);
    }
    if subject.env != presenter.environment {
        return Err(Refusal::EnvironmentCrossed);
    }
    if let Some(actor) = exchange.actor_token {
        if actor.exp <= exchange.now {
            return Err(Refusal::ActorExpired);
        }
        // A delegated token speaks for somebody else, so it proves no actor.
        if actor.client_id != presenter.client_id || actor.sub != presenter.subject || !actor.act.is_empty() {
            return Err(Refusal::ActorNotClient);
        }
        if actor.env != presenter.environment {
            return Err(Refusal::EnvironmentCrossed);
        }
    }
    // RFC 8693 section 4.4. The holder itself needs nobody's leave to narrow its token.
    let own = exchange.is_own();
    match &subject.may_act {
        Some(may_act) if !own && !may_act.admits(presenter.subject, presenter.client_id, exchange.issuer) => {
            Err(Refusal::MayActMismatch)
        }
        _ => Ok(()),
    }
}

fn narrow_scope(allowed: ScopeSet, requested: Option<&ScopeSet>) -> Result<ScopeSet, Refusal> {
    match requested {
        Some(requested) if requested.is_subset(&allowed) => Ok(requested.clone()),
        Some(_) => Err(Refusal::ScopeWider),
        None if allowed.is_empty() => Err(Refusal::ScopeNotAllowed),
        None => Ok(allowed),
    }
}

/// `None` for the mode: every target was within the client's own token.
fn next_chain(exchange: &Exchange<'_>, mode: Option<ExchangeMode>) -> ActorChain {
    let chain = &exchange.subject.act;
    match mode {
        Some(ExchangeMode::Delegation) if exchange.subject.sub != exchange.presenter.subject || !chain.is_empty() => {
            chain.acted_by(Actor { sub: exchange.presenter.subject.to_owned(), iss: None })
        }
        // A token that carries `act` never yields one without it.
        _ => chain.clone(),
    }
}

/// `exp(child) <= exp(subject)`: no leeway lengthens, and neither does the actor's.
fn life(exchange: &Exchange<'_>, ttl_seconds: i64) -> Timestamp {
    let asked = exchange.now.saturating_add(ttl_seconds.max(1));
    let actor = exchange.actor_token.map_or(asked, |actor| actor.exp);
    asked.min(exchange.subject.exp).min(actor)
}

#[cfg(test)]
mod tests;
