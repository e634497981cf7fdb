//! The revoked set: what is dead although its signature and dates say otherwise.
//!
//! An entry for a token id kills that token and all that descend from it. An entry
//! for anything else says *issued before T*: what was issued up to and including
//! that second is dead. Both lapse once nothing they could match can still live,
//! so the set stays small; lasting states (suspended, disabled) are records.

use crate::Timestamp;
use crate::claims::AccessToken;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// What an entry names.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokedKind {
    Token,
    Client,
    Owner,
    Subject,
    Resource,
    Key,
    /// A trusted issuer, by its id here: what came of its tokens.
    Issuer,
}

impl RevokedKind {
    pub const ALL: [Self; 7] =
        [Self::Token, Self::Client, Self::Owner, Self::Subject, Self::Resource, Self::Key, Self::Issuer];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Client => "client",
            Self::Owner => "owner",
            Self::Subject => "subject",
            Self::Resource => "resource",
            Self::Key => "key",
            Self::Issuer => "issuer",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Entry {
    /// `None`: dead whenever it was issued.
    issued_before: Option<Timestamp>,
    expires_at: Timestamp,
}

/// The live entries. Adding is idempotent and order-free: the wider entry wins.
#[derive(Clone, Debug, Default)]
pub struct RevokedSet {
    by_kind: BTreeMap<RevokedKind, HashMap<String, Entry>>,
}

impl RevokedSet {
    pub fn add(&mut self, kind: RevokedKind, value: &str, issued_before: Option<Timestamp>, expires_at: Timestamp) {
        let new = Entry { issued_before, expires_at };
        self.by_kind
            .entry(kind)
            .or_default()
            .entry(value.to_owned())
            .and_modify(|have| {
                have.issued_before = match (have.issued_before, issued_before) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    _ => None,
                };
                have.expires_at = have.expires_at.max(expires_at);
            })
            .or_insert(new);
    }

    /// Whether what was issued at `issued_at` under this name is dead.
    #[must_use]
    pub fn covers(&self, kind: RevokedKind, value: &str, issued_at: Timestamp) -> bool {
        self.by_kind
            .get(&kind)
            .and_then(|values| values.get(value))
            .is_some_and(|entry| entry.issued_before.is_none_or(|before| issued_at <= before))
    }

    /// The first entry that kills the token, judged by what the token itself says.
    /// Owners are not in the token: the caller asks for those separately.
    #[must_use]
    pub fn kills(&self, token: &AccessToken, kid: &str) -> Option<RevokedKind> {
        let at = token.iat;
        let lineage = token.lineage.tokens.iter().map(String::as_str);
        let actors = token.act.iter().map(|actor| actor.sub.as_str());
        self.any(RevokedKind::Token, lineage.chain([token.jti.as_str()]), at)
            .or_else(|| self.any(RevokedKind::Client, token.parties(), at))
            .or_else(|| self.any(RevokedKind::Subject, actors.chain([token.sub.as_str()]), at))
            .or_else(|| self.any(RevokedKind::Resource, token.aud.iter().map(crate::Audience::as_str), at))
            .or_else(|| self.any(RevokedKind::Key, [kid].into_iter(), at))
            .or_else(|| self.any(RevokedKind::Issuer, token.user.idp.as_deref().into_iter(), at))
    }

    fn any<'a>(
        &self,
        kind: RevokedKind,
        mut values: impl Iterator<Item = &'a str>,
        issued_at: Timestamp,
    ) -> Option<RevokedKind> {
        values.any(|value| self.covers(kind, value, issued_at)).then_some(kind)
    }

    /// Forgets entries that have lapsed. Returns how many.
    pub fn prune(&mut self, now: Timestamp) -> usize {
        let before = self.len();
        for values in self.by_kind.values_mut() {
            values.retain(|_, entry| entry.expires_at > now);
        }
        before - self.len()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.by_kind.values().map(HashMap::len).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{Actor, ActorChain};
    use crate::lineage::Lineage;
    use crate::{Audience, Environment, ScopeSet};
    use proptest::prelude::*;

    fn token() -> AccessToken {
        AccessToken {
            iss: "https://as".into(),
            sub: "agent:o.a".into(),
            sub_profile: None,
            client_id: "o.b".into(),
            aud: vec![Audience::parse("https://api").unwrap()],
            scope: ScopeSet::default(),
            jti: "t_child".into(),
            lineage: Lineage { tokens: vec!["t_root".into()], clients: vec!["o.a".into()] },
            iat: 100,
            exp: 400,
            env: Environment::Live,
            act: ActorChain::default().acted_by(Actor { sub: "agent:o.b".into(), iss: None }),
            may_act: None,
            user: crate::UserContext { idp: Some("iss_1".into()), ..crate::UserContext::default() },
            cnf: None,
            status: None,
            budget: None,
            authorization_details: None,
        }
    }

    #[test]
    fn each_name_in_a_token_can_kill_it() {
        for (kind, value) in [
            (RevokedKind::Token, "t_child"),
            (RevokedKind::Token, "t_root"),
            (RevokedKind::Client, "o.b"),
            (RevokedKind::Client, "o.a"),
            (RevokedKind::Subject, "agent:o.a"),
            (RevokedKind::Subject, "agent:o.b"),
            (RevokedKind::Resource, "https://api"),
            (RevokedKind::Key, "k1"),
            (RevokedKind::Issuer, "iss_1"),
        ] {
            let mut set = RevokedSet::default();
            assert_eq!(set.kills(&token(), "k1"), None);
            set.add(kind, value, None, 1000);
            assert_eq!(set.kills(&token(), "k1"), Some(kind), "{kind:?} {value}");
        }
    }

    #[test]
    fn issued_before_spares_what_was_issued_later() {
        let mut set = RevokedSet::default();
        set.add(RevokedKind::Client, "o.b", Some(99), 1000);
        assert_eq!(set.kills(&token(), "k"), None);
        set.add(RevokedKind::Client, "o.b", Some(100), 1000);
        assert_eq!(set.kills(&token(), "k"), Some(RevokedKind::Client));
    }

    #[test]
    fn lapsed_entries_are_forgotten_and_only_they() {
        let mut set = RevokedSet::default();
        set.add(RevokedKind::Token, "a", None, 10);
        set.add(RevokedKind::Token, "b", None, 11);
        assert_eq!(set.prune(10), 1);
        assert!(set.covers(RevokedKind::Token, "b", 0) && !set.covers(RevokedKind::Token, "a", 0));
    }

    proptest! {
        #[test]
        fn adding_is_order_free_and_never_revives(
            entries in prop::collection::vec((prop::option::of(0i64..20), 0i64..50), 1..6), at in 0i64..20
        ) {
            let fill = |list: &mut dyn Iterator<Item = &(Option<i64>, i64)>| {
                let mut set = RevokedSet::default();
                for (before, expires) in list { set.add(RevokedKind::Client, "c", *before, *expires); }
                set.covers(RevokedKind::Client, "c", at)
            };
            let forward = fill(&mut entries.iter());
            prop_assert_eq!(forward, fill(&mut entries.iter().rev()));
            let any = entries.iter().any(|(before, _)| before.is_none_or(|b| at <= b));
            prop_assert_eq!(forward, any);
        }
    }
}
