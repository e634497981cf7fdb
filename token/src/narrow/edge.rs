//! Along which edge one target is reached, and what may go along it.

use super::{Exchange, Refusal, Target};
use crate::ScopeSet;
use crate::rule::{Approver, ExchangeMode, ExchangeRule};

/// What may go to one target.
pub(super) struct Edge {
    pub scope: ScopeSet,
    /// `None`: the client's own token, at an audience it already has.
    pub mode: Option<ExchangeMode>,
    pub rule: Option<String>,
    pub max_ttl_seconds: Option<i64>,
    pub max_depth: Option<usize>,
    /// The owners whose people must approve.
    pub approvers: Vec<String>,
}

/// What one rule says to one target of an exchange.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RuleVerdict {
    Allows(ScopeSet),
    Disabled,
    OtherActor,
    OtherSubject,
    OtherAudience,
    /// The subject token does not name the audience the rule starts from.
    OtherOrigin,
    NotAcceptedBy(String),
    /// The client sent an actor token, so it asks for delegation; or somebody acts for the
    /// foreign subject already.
    Impersonates,
    ScopeExceeded,
    /// The rule yields identity assertion grants and an access token is asked for, or the
    /// other way round.
    OtherForm,
}

/// The edge to `target`: the client's own token first, then `may_act`, then the
/// rules, delegation before impersonation, what needs no approval before what does, and by
/// id, so that no order decides.
pub(super) fn find(exchange: &Exchange<'_>, target: &Target<'_>) -> Result<Edge, Refusal> {
    if target.environment.is_some_and(|env| env != exchange.presenter.environment) {
        return Err(Refusal::EnvironmentCrossed);
    }
    let subject = exchange.subject;
    let own = exchange.is_own();
    let stays = exchange.stays(target);
    // A may_act that names someone else was refused before this is asked.
    if stays && !exchange.abroad && (own || subject.may_act.is_some()) {
        return Ok(Edge {
            scope: capped(subject.scope.clone(), exchange, target),
            mode: (!own).then_some(ExchangeMode::Delegation),
            rule: None,
            max_ttl_seconds: None,
            max_depth: None,
            approvers: Vec::new(),
        });
    }
    let mut rules: Vec<&ExchangeRule> = exchange.rules.iter().collect();
    rules.sort_unstable_by_key(|rule| (rule.spec.mode, rule.spec.approval.is_some(), rule.id.as_str()));
    let mut refusal = if own || subject.may_act.is_some() { Refusal::NoRule } else { Refusal::NotTheirs };
    for rule in rules {
        match judge(exchange, target, rule) {
            RuleVerdict::Allows(scope) => {
                return Ok(Edge {
                    scope,
                    mode: Some(rule.spec.mode),
                    rule: Some(rule.id.clone()),
                    max_ttl_seconds: rule.spec.max_ttl_seconds,
                    max_depth: rule.spec.max_depth,
                    approvers: approvers(exchange, target, rule),
                });
            }
            RuleVerdict::ScopeExceeded => refusal = Refusal::ScopeWider,
            // The client may use this token, only not for this.
            RuleVerdict::OtherAudience | RuleVerdict::OtherOrigin if refusal == Refusal::NotTheirs => {
                refusal = Refusal::NoRule;
            }
            RuleVerdict::OtherAudience
            | RuleVerdict::OtherOrigin
            | RuleVerdict::Disabled
            | RuleVerdict::OtherActor
            | RuleVerdict::OtherSubject
            | RuleVerdict::NotAcceptedBy(_)
            | RuleVerdict::OtherForm
            | RuleVerdict::Impersonates => {}
        }
    }
    Err(refusal)
}

fn approvers(exchange: &Exchange<'_>, target: &Target<'_>, rule: &ExchangeRule) -> Vec<String> {
    let owner = |approver: &Approver| match approver {
        Approver::ActorOwner => exchange.presenter.owner_id,
        Approver::SubjectOwner => exchange.subject_owners.first().copied().unwrap_or_default(),
        Approver::TargetOwner => target.owner_id,
    };
    rule.spec.approval.iter().flat_map(|approval| &approval.by).map(|approver| owner(approver).to_owned()).collect()
}

/// What one rule says to one target.
pub(super) fn judge(exchange: &Exchange<'_>, target: &Target<'_>, rule: &ExchangeRule) -> RuleVerdict {
    let Exchange { subject, presenter, .. } = exchange;
    let spec = &rule.spec;
    if !rule.enabled {
        return RuleVerdict::Disabled;
    }
    if !spec.actor.admits(presenter.client_id, presenter.owner_id) {
        return RuleVerdict::OtherActor;
    }
    let holder_owner = exchange.subject_owners.first().copied().unwrap_or_default();
    let admitted = match exchange.federated {
        Some(federated) => spec.subject.admits_federated(federated.issuer, federated.name),
        None => spec.subject.admits(&subject.client_id, holder_owner),
    };
    if !admitted {
        return RuleVerdict::OtherSubject;
    }
    if spec.id_jag.is_some() != exchange.abroad {
        return RuleVerdict::OtherForm;
    }
    if &spec.to_audience != target.audience {
        return RuleVerdict::OtherAudience;
    }
    if spec.from_audience.as_ref().is_some_and(|from| !subject.aud.contains(from)) {
        return RuleVerdict::OtherOrigin;
    }
    let mut parties = exchange.subject_owners.iter().chain([&presenter.owner_id, &target.owner_id]);
    if let Some(missing) = parties.find(|owner| !rule.accepted_by.iter().any(|have| have == **owner)) {
        return RuleVerdict::NotAcceptedBy((*missing).to_owned());
    }
    // An impersonation would lose that somebody acts for the foreign subject already.
    let delegated = exchange.federated.is_some_and(|federated| federated.delegated);
    if spec.mode == ExchangeMode::Impersonation && (delegated || exchange.actor_token.is_some()) {
        return RuleVerdict::Impersonates;
    }
    let ceiling = match exchange.federated {
        Some(_) => spec.whole_ceiling(),
        None => spec.ceiling(&subject.scope, exchange.stays(target)),
    };
    let scope = capped(ceiling, exchange, target);
    let exceeded = exchange.scope.is_some_and(|requested| !requested.is_subset(&scope));
    if exceeded || scope.is_empty() {
        return RuleVerdict::ScopeExceeded;
    }
    RuleVerdict::Allows(scope)
}

/// Within the target's scopes and the client's ceiling.
fn capped(scope: ScopeSet, exchange: &Exchange<'_>, target: &Target<'_>) -> ScopeSet {
    let scope = scope.intersection(target.scopes);
    match exchange.presenter.scope_ceiling {
        Some(ceiling) => scope.intersection(ceiling),
        None => scope,
    }
}
