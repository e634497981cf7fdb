//! What a client may ask for in its own name (RFC 6749 section 4.4).
//!
//! Each entry names a resource and the scopes the client may have there. Of a
//! request that is partly allowed the allowed part is granted and said so in the
//! response (RFC 6749 section 3.3); of one that is not allowed at all, nothing.

use crate::budget::BudgetCap;
use crate::narrow::Refusal;
use crate::{Audience, ScopeSet};
use serde::{Deserialize, Serialize};

/// Resources one client may be registered for.
pub const MAX_ACCESS_ENTRIES: usize = 64;

/// One resource a client may get tokens for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessEntry {
    pub resource: Audience,
    pub scopes: ScopeSet,
    /// What a request without `scope` gets. Empty: such a request is refused, so
    /// that leaving `scope` out never means "everything".
    #[serde(default)]
    pub default_scopes: ScopeSet,
    /// The budget of a token that nothing was asked for. Absent: each of the client's lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_budget: Option<Vec<BudgetCap>>,
}

impl AccessEntry {
    /// Whether a token that nothing was asked for gets no more budget by this entry than by
    /// another for the same resource.
    #[must_use]
    pub fn default_budget_is_within(&self, other: &Self) -> bool {
        match (&self.default_budget, &other.default_budget) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(caps), Some(most)) => {
                caps.iter().all(|cap| cap.clone().under([most.as_slice()]).as_ref() == Some(cap))
            }
        }
    }
}

/// The result of a client credentials decision.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Access {
    pub aud: Vec<Audience>,
    pub scope: ScopeSet,
}

/// Decides a client credentials request. The first entry is the documented default
/// resource (RFC 9068 section 3). Every granted scope holds at every audience, so
/// that the token is unambiguous (RFC 9068 section 3, RFC 8693 section 2.1.1).
///
/// # Errors
/// [`Refusal`] when a target is not registered for the client, or no scope remains.
pub fn decide(
    entries: &[AccessEntry],
    targets: &[Audience],
    requested: Option<&ScopeSet>,
    ceiling: Option<&ScopeSet>,
) -> Result<Access, Refusal> {
    let chosen = choose(entries, targets)?;
    let mut scope: Option<ScopeSet> = None;
    for entry in &chosen {
        let here = match requested {
            Some(requested) => requested.intersection(&entry.scopes),
            None => entry.default_scopes.intersection(&entry.scopes),
        };
        scope = Some(match scope {
            Some(so_far) => so_far.intersection(&here),
            None => here,
        });
    }
    let mut scope = scope.ok_or(Refusal::NoDefaultTarget)?;
    if let Some(ceiling) = ceiling {
        scope = scope.intersection(ceiling);
    }
    if scope.is_empty() {
        return Err(if requested.is_some() { Refusal::ScopeNotAllowed } else { Refusal::ScopeRequired });
    }
    Ok(Access { aud: chosen.iter().map(|entry| entry.resource.clone()).collect(), scope })
}

fn choose<'a>(entries: &'a [AccessEntry], targets: &[Audience]) -> Result<Vec<&'a AccessEntry>, Refusal> {
    if targets.is_empty() {
        return entries.first().map(|entry| vec![entry]).ok_or(Refusal::NoDefaultTarget);
    }
    targets
        .iter()
        .map(|target| entries.iter().find(|entry| &entry.resource == target).ok_or(Refusal::TargetNotAllowed))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scopes(text: &str) -> ScopeSet {
        if text.is_empty() { ScopeSet::default() } else { ScopeSet::parse(text).unwrap() }
    }

    fn entry(uri: &str, all: &str, default: &str) -> AccessEntry {
        AccessEntry {
            resource: Audience::parse(uri).unwrap(),
            scopes: scopes(all),
            default_scopes: scopes(default),
            default_budget: None,
        }
    }

    fn aud(uri: &str) -> Audience {
        Audience::parse(uri).unwrap()
    }

    #[test]
    fn without_a_target_the_first_entry_is_the_default() {
        let entries = [entry("https://a", "r w", "r"), entry("https://b", "x", "x")];
        let got = decide(&entries, &[], None, None).unwrap();
        assert_eq!((got.aud, got.scope), (vec![aud("https://a")], scopes("r")));
        assert_eq!(decide(&[], &[], None, None), Err(Refusal::NoDefaultTarget));
    }

    #[test]
    fn the_allowed_part_is_granted_and_nothing_is_an_error() {
        let entries = [entry("https://a", "r w", "")];
        assert_eq!(decide(&entries, &[], Some(&scopes("r x")), None).unwrap().scope, scopes("r"));
        assert_eq!(decide(&entries, &[], Some(&scopes("x")), None), Err(Refusal::ScopeNotAllowed));
        assert_eq!(decide(&entries, &[], None, None), Err(Refusal::ScopeRequired));
        assert_eq!(decide(&entries, &[], Some(&scopes("r")), Some(&scopes("w"))), Err(Refusal::ScopeNotAllowed));
    }

    #[test]
    fn a_default_budget_is_narrower_in_every_unit_or_it_is_not() {
        let with = |caps: &str| {
            let default_budget = serde_json::from_str(caps).unwrap();
            AccessEntry { default_budget, ..entry("https://a", "r", "r") }
        };
        let call = |parts: i64| with(&format!(r#"[{{"unit":"call","decimals":0,"amount":{parts}}}]"#));
        assert!(call(5).default_budget_is_within(&call(5)) && call(4).default_budget_is_within(&call(5)));
        assert!(!call(6).default_budget_is_within(&call(5)));
        assert!(call(6).default_budget_is_within(&with("null")), "without one it is all there is");
        assert!(!with("null").default_budget_is_within(&call(6)));
        assert!(with("[]").default_budget_is_within(&call(6)) && !call(0).default_budget_is_within(&with("[]")));
    }

    #[test]
    fn several_targets_share_only_common_scopes() {
        let entries = [entry("https://a", "r w", "r"), entry("https://b", "r x", "r")];
        let both = [aud("https://a"), aud("https://b")];
        assert_eq!(decide(&entries, &both, Some(&scopes("r w x")), None).unwrap().scope, scopes("r"));
        assert_eq!(decide(&entries, &both, Some(&scopes("w x")), None), Err(Refusal::ScopeNotAllowed));
        assert_eq!(decide(&entries, &[aud("https://c")], None, None), Err(Refusal::TargetNotAllowed));
    }

    proptest! {
        #[test]
        fn what_is_granted_is_registered_requested_and_under_the_ceiling(
            have in prop::collection::vec("[a-e]", 0..5), want in prop::collection::vec("[a-e]", 1..5), cap in prop::collection::vec("[a-e]", 0..5)
        ) {
            let set = |v: &Vec<String>| ScopeSet::try_from(v.clone()).unwrap();
            let entries = [AccessEntry { resource: aud("https://a"), scopes: set(&have), default_scopes: ScopeSet::default(), default_budget: None }];
            if let Ok(access) = decide(&entries, &[], Some(&set(&want)), Some(&set(&cap))) {
                prop_assert!(access.scope.is_subset(&set(&have)) && access.scope.is_subset(&set(&want)) && access.scope.is_subset(&set(&cap)));
                prop_assert!(!access.scope.is_empty());
            }
        }
    }
}
