//! Exchange rules: edges along which authority may move between clients.
//!
//! A rule says which client (or any client of which owner) may exchange whose
//! tokens, from which audience to which, and how much of the authority goes along.
//! What no rule allows is refused.

mod party;

pub use party::PartySelector;

use crate::budget::{BudgetCap, units_differ};
use crate::id_jag::Abroad;
use crate::{Audience, ScopeSet};
use serde::{Deserialize, Serialize};

/// Tokens with a budget that one token may have under it, at the very most.
pub const MAX_CHILDREN: i64 = 10_000;
/// Scopes one rule may name.
pub const MAX_RULE_SCOPES: usize = 64;

/// Whether the exchange shows who acts (RFC 8693 section 1.1).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeMode {
    /// The result names the actor in `act`.
    Delegation,
    /// The result is the subject's, without a new `act`. Recorded as such.
    Impersonation,
}

/// One scope the rule lets through.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeEdge {
    /// A scope of the target.
    pub scope: String,
    /// The subject token's scope that stands for it across the edge. Absent: the
    /// scope of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_for: Option<String>,
}

/// Whose people must approve an exchange, before each token.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approver {
    /// The owner of the client that exchanges.
    ActorOwner,
    /// The owner of the client that the subject token was issued to.
    SubjectOwner,
    /// The owner of the resource that the new token is for.
    TargetOwner,
}

/// That each exchange along a rule waits for people.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// All of these must approve.
    pub by: Vec<Approver>,
}

impl Approval {
    /// Three at most, each once.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let differ = self.by.iter().enumerate().all(|(at, one)| self.by.iter().take(at).all(|before| before != one));
        !self.by.is_empty() && differ
    }
}

/// What a rule says, as it is stored and as the admin API shows it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// Who may exchange.
    pub actor: PartySelector,
    /// Whose tokens: the client the subject token was issued to, or the issuer it is of.
    pub subject: PartySelector,
    /// The subject token must name this audience. Absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_audience: Option<Audience>,
    pub to_audience: Audience,
    pub scopes: Vec<ScopeEdge>,
    pub mode: ExchangeMode,
    /// Longest life of the result, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ttl_seconds: Option<i64>,
    /// Most actors in the result's chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_depth: Option<usize>,
    /// Most budget that goes along, unit by unit; of a unit that is not named, none. Absent:
    /// as much as the subject token has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_ceiling: Option<Vec<BudgetCap>>,
    /// Most tokens with a budget from one subject token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_children: Option<i64>,
    /// The rule leads out of this domain: what it yields is an identity assertion grant for the
    /// authorization server that `to_audience` names, and nothing else. Absent: it yields access
    /// tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_jag: Option<Abroad>,
    /// Each exchange waits until people have approved it. Absent: none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// A subject token that is bound to its holder's key may be exchanged without a proof of it:
    /// the holder hands it on, and the result is bound to the actor's key. Absent: it may not.
    #[serde(default, skip_serializing_if = "is_off")]
    pub accept_bound_subject: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_off(flag: &bool) -> bool {
    !flag
}

/// Why a rule's text is refused when it is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RuleError {
    #[error("scopes names between 1 and 64 scope tokens")]
    Scopes,
    #[error("max_ttl_seconds is between 1 and 3600")]
    Ttl,
    #[error("max_depth is between 1 and 16")]
    Depth,
    #[error("budget_ceiling names at most 8 units, each once")]
    Budget,
    #[error("max_children is between 1 and 10000")]
    Children,
    #[error(
        "id_jag has the issuer that to_audience names, resources that are absolute URIs, each once, and goes with no budget_ceiling; client_id needs one client as the actor"
    )]
    IdJag,
    #[error("approval.by names actor_owner, subject_owner or target_owner, each at most once")]
    Approval,
    #[error("actor is a client or an owner")]
    Actor,
    #[error("the subject of a trusted issuer has no audience or scope of ours: leave out from_audience and stands_for")]
    Federated,
}

impl RuleSpec {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// [`RuleError`] naming the member.
    pub fn validate(&self) -> Result<(), RuleError> {
        if self.scopes.is_empty() || self.scopes.len() > MAX_RULE_SCOPES {
            return Err(RuleError::Scopes);
        }
        let tokens = self.scopes.iter().flat_map(|edge| std::iter::once(&edge.scope).chain(&edge.stands_for));
        for token in tokens {
            match ScopeSet::parse(token) {
                Ok(one) if one.len() == 1 => {}
                _ => return Err(RuleError::Scopes),
            }
        }
        if matches!(self.actor, PartySelector::Issuer { .. }) {
            return Err(RuleError::Actor);
        }
        let from_here = self.from_audience.is_some() || self.scopes.iter().any(|edge| edge.stands_for.is_some());
        if matches!(self.subject, PartySelector::Issuer { .. }) && from_here {
            return Err(RuleError::Federated);
        }
        if self.max_ttl_seconds.is_some_and(|ttl| !(1..=3600).contains(&ttl)) {
            return Err(RuleError::Ttl);
        }
        if self.max_depth.is_some_and(|depth| !(1..=crate::chain::MAX_ACTORS).contains(&depth)) {
            return Err(RuleError::Depth);
        }
        if self.budget_ceiling.as_ref().is_some_and(|caps| !units_differ(caps)) {
            return Err(RuleError::Budget);
        }
        if self.max_children.is_some_and(|children| !(1..=MAX_CHILDREN).contains(&children)) {
            return Err(RuleError::Children);
        }
        if self.id_jag.as_ref().is_some_and(|abroad| !self.leads_abroad(abroad)) {
            return Err(RuleError::IdJag);
        }
        if self.approval.as_ref().is_some_and(|approval| !approval.is_well_formed()) {
            return Err(RuleError::Approval);
        }
        Ok(())
    }

    /// Budgets never cross, and one name at another server is one client's.
    fn leads_abroad(&self, abroad: &Abroad) -> bool {
        let one_client = abroad.client_id.is_none() || matches!(self.actor, PartySelector::Client(_));
        one_client && self.budget_ceiling.is_none() && abroad.is_well_formed(&self.to_audience)
    }

    /// The target's scopes that a subject with these scopes may hand on. Where the
    /// audience stays the same a scope stands only for itself; across an edge the
    /// rule names what stands for what.
    #[must_use]
    pub fn ceiling(&self, subject_scope: &ScopeSet, audience_stays: bool) -> ScopeSet {
        let allowed = self.scopes.iter().filter(|edge| {
            let needed = match &edge.stands_for {
                Some(other) if !audience_stays => other,
                _ => &edge.scope,
            };
            subject_scope.contains(needed)
        });
        // The tokens were checked when the rule was written; one that is no scope
        // token after all allows nothing.
        ScopeSet::from_tokens(allowed.map(|edge| edge.scope.as_str())).unwrap_or_default()
    }

    /// All that the rule lets through: a subject that has no scopes of ours has nothing else.
    #[must_use]
    pub fn whole_ceiling(&self) -> ScopeSet {
        ScopeSet::from_tokens(self.scopes.iter().map(|edge| edge.scope.as_str())).unwrap_or_default()
    }
}

/// A rule as the decision sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExchangeRule {
    pub id: String,
    pub spec: RuleSpec,
    /// The owners that have accepted it. It works only between these.
    pub accepted_by: Vec<String>,
    pub enabled: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(scopes: &[(&str, Option<&str>)]) -> RuleSpec {
        RuleSpec {
            actor: PartySelector::Client("o.b".into()),
            subject: PartySelector::Owner("o".into()),
            from_audience: None,
            to_audience: Audience::parse("https://t").unwrap(),
            scopes: scopes
                .iter()
                .map(|(scope, from)| ScopeEdge { scope: (*scope).into(), stands_for: from.map(Into::into) })
                .collect(),
            mode: ExchangeMode::Delegation,
            max_ttl_seconds: None,
            max_depth: None,
            budget_ceiling: None,
            max_children: None,
            id_jag: None,
            approval: None,
            accept_bound_subject: false,
        }
    }

    #[test]
    fn across_an_edge_only_the_named_scope_stands_for_the_target_scope() {
        let rule = rule(&[("release", Some("orders:pay")), ("read", None)]);
        let have = ScopeSet::parse("orders:pay read").unwrap();
        assert_eq!(rule.ceiling(&have, false), ScopeSet::parse("release read").unwrap());
        // Staying at the audience, `orders:pay` is just `orders:pay`.
        assert_eq!(rule.ceiling(&have, true), ScopeSet::parse("read").unwrap());
    }

    #[test]
    fn what_the_types_cannot_say_is_checked() {
        assert_eq!(rule(&[]).validate(), Err(RuleError::Scopes));
        assert_eq!(rule(&[("a b", None)]).validate(), Err(RuleError::Scopes));
        assert_eq!(rule(&[("a", Some("\""))]).validate(), Err(RuleError::Scopes));
        let mut long = rule(&[("a", None)]);
        assert_eq!(long.validate(), Ok(()));
        long.max_ttl_seconds = Some(3601);
        assert_eq!(long.validate(), Err(RuleError::Ttl));
        long.max_ttl_seconds = None;
        long.max_depth = Some(0);
        assert_eq!(long.validate(), Err(RuleError::Depth));
        long.max_depth = None;
        let cap: BudgetCap = serde_json::from_str(r#"{"unit":"call","decimals":0,"amount":5}"#).unwrap();
        long.budget_ceiling = Some(vec![cap.clone(), cap]);
        assert_eq!(long.validate(), Err(RuleError::Budget));
        long.budget_ceiling = Some(Vec::new());
        long.max_children = Some(0);
        assert_eq!(long.validate(), Err(RuleError::Children));
        long.max_children = Some(MAX_CHILDREN);
        assert_eq!(long.validate(), Ok(()));
        for by in [vec![], vec![Approver::ActorOwner, Approver::TargetOwner, Approver::ActorOwner]] {
            long.approval = Some(Approval { by });
            assert_eq!(long.validate(), Err(RuleError::Approval));
        }
        long.approval = Some(Approval { by: vec![Approver::SubjectOwner, Approver::ActorOwner] });
        assert_eq!(long.validate(), Ok(()));
    }

    #[test]
    fn a_rule_that_leads_abroad_takes_no_budget_along_and_gives_one_client_one_name() {
        let mut rule = rule(&[("a", None)]);
        let abroad = Abroad { issuer: "https://t/".into(), client_id: Some("c".into()), resources: Vec::new() };
        rule.id_jag = Some(abroad.clone());
        assert_eq!(rule.validate(), Ok(()));
        rule.id_jag = Some(Abroad { issuer: "https://u".into(), ..abroad.clone() });
        assert_eq!(rule.validate(), Err(RuleError::IdJag));
        rule.id_jag = Some(abroad.clone());
        rule.budget_ceiling = Some(Vec::new());
        assert_eq!(rule.validate(), Err(RuleError::IdJag));
        rule.budget_ceiling = None;
        rule.actor = PartySelector::Owner("o".into());
        assert_eq!(rule.validate(), Err(RuleError::IdJag));
        rule.id_jag = Some(Abroad { client_id: None, ..abroad });
        assert_eq!(rule.validate(), Ok(()));
    }

    #[test]
    fn a_rule_for_foreign_subjects_names_nothing_that_they_have_not() {
        let mut federated = rule(&[("read", None)]);
        federated.subject = PartySelector::Issuer { id: "iss_1".into(), subject: None };
        assert_eq!(federated.validate(), Ok(()));
        assert_eq!(federated.whole_ceiling(), ScopeSet::parse("read").unwrap());
        let from = RuleSpec { from_audience: Some(Audience::parse("https://s").unwrap()), ..federated.clone() };
        assert_eq!(from.validate(), Err(RuleError::Federated));
        let mut stands = federated.clone();
        stands.scopes = rule(&[("read", Some("all"))]).scopes;
        assert_eq!(stands.validate(), Err(RuleError::Federated));
        let waits = RuleSpec { approval: Some(Approval { by: vec![Approver::SubjectOwner] }), ..federated.clone() };
        assert_eq!(waits.validate(), Ok(()), "people may be asked for them as for anybody");
        let actor = RuleSpec { actor: federated.subject.clone(), ..federated };
        assert_eq!(actor.validate(), Err(RuleError::Actor));
    }

    #[test]
    fn unknown_members_of_a_rule_are_refused() {
        let text = r#"{"actor":{"client":"o.b"},"subject":{"client":"o.a"},"to_audience":"https://t","scopes":[{"scope":"a"}],"mode":"delegation","max_tll":1}"#;
        assert!(serde_json::from_str::<RuleSpec>(text).is_err());
        assert!(serde_json::from_str::<RuleSpec>(&text.replace(",\"max_tll\":1", "")).is_ok());
    }
}
