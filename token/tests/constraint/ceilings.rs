//! Laws of ceilings along chains of exchanges: nothing is admitted that an ancestor would not
//! admit, and all tokens under one together stay within what it counts.

use crate::tightening::{a_set, calls, is_clean, some_constraints};
use crate::world::{Facts, charge};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashMap;
use stipend_token::constraint::{Action, Constraints, CountedLimit, CredentialRelease, Mode};

/// Tokens of one chain, the first one's own request included.
const MAX_CHAIN: usize = 5;

fn asked(actions: Vec<Action>, constraints: Constraints) -> CredentialRelease {
    CredentialRelease::new("c", actions, constraints).unwrap()
}

fn some_actions() -> impl Strategy<Value = Vec<Action>> {
    prop::sample::select(vec![vec![Action::Release, Action::Proxy], vec![Action::Proxy], vec![Action::Release]])
}

fn a_chain() -> impl Strategy<Value = Vec<CredentialRelease>> {
    let one = (some_actions(), some_constraints()).prop_map(|(actions, constraints)| asked(actions, constraints));
    prop::collection::vec(one, 1..=MAX_CHAIN)
}

/// Requests for the same actions, whose order can be changed.
fn a_proxy_chain() -> impl Strategy<Value = Vec<CredentialRelease>> {
    let one = some_constraints().prop_map(|constraints| asked(vec![Action::Proxy], constraints));
    prop::collection::vec(one, 1..=3)
}

/// What each token of a chain gets; the chain ends where a request is refused.
fn tokens(chain: &[CredentialRelease]) -> Vec<CredentialRelease> {
    let mut held: Option<Vec<CredentialRelease>> = None;
    let mut tokens = Vec::new();
    for (n, asked) in chain.iter().enumerate() {
        let next = CredentialRelease::ceiling(held.as_deref(), Some(std::slice::from_ref(asked)), &format!("t_{n}"));
        let Ok(Some(next)) = next else { break };
        tokens.push(next[0].clone());
        held = Some(next);
    }
    tokens
}

fn admits(token: &CredentialRelease, action: Action, call: &Facts) -> bool {
    token.allows(action) && !call.decide(token.constraints()).is_denied()
}

/// Whether a list of entries has, in a mode, a limit that is no looser than each of another's.
fn covers(entries: &[CountedLimit], others: &[CountedLimit], mode: Mode) -> bool {
    let of_mode = |entries: &[CountedLimit]| -> Vec<CountedLimit> {
        entries.iter().filter(|entry| entry.mode() == mode || entry.mode() == Mode::Enforce).cloned().collect()
    };
    let entries = of_mode(entries);
    others.iter().filter(|other| other.mode() == mode).all(|other| {
        other.uses().is_none_or(|most| entries.iter().any(|entry| entry.uses().is_some_and(|uses| uses <= most)))
            && other.rates().all(|most| {
                let within = |entry: &CountedLimit| {
                    entry.rates().any(|rate| rate.count() <= most.count() && rate.per_s() >= most.per_s())
                };
                entries.iter().any(within)
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_a_child_admits_every_ancestor_admits(chain in a_chain(), calls in calls()) {
        let tokens = tokens(&chain);
        for (parent, child) in tokens.iter().zip(tokens.iter().skip(1)) {
            for call in &calls {
                for action in [Action::Release, Action::Proxy] {
                    prop_assert!(!admits(child, action, call) || admits(parent, action, call), "{call:?}");
                }
                prop_assert!(!is_clean(child.constraints(), call) || is_clean(parent.constraints(), call), "{call:?}");
            }
        }
    }

    #[test]
    fn what_was_asked_for_holds_as_well(chain in a_chain(), calls in calls()) {
        for (asked, token) in chain.iter().zip(tokens(&chain)) {
            for call in &calls {
                for action in [Action::Release, Action::Proxy] {
                    prop_assert!(!admits(&token, action, call) || admits(asked, action, call), "{call:?}");
                }
            }
        }
    }

    #[test]
    fn asking_again_changes_nothing(chain in a_chain()) {
        for (asked, token) in chain.iter().zip(tokens(&chain)) {
            prop_assert_eq!(&token.narrow(asked, "t_again").unwrap(), &token);
            prop_assert_eq!(&token.narrow(&token, "t_again").unwrap(), &token);
            let all = CredentialRelease::ceiling(Some(std::slice::from_ref(&token)), None, "t_again").unwrap().unwrap();
            prop_assert_eq!(&all[0], &token);
        }
    }

    #[test]
    fn the_order_of_requests_does_not_matter(chain in a_proxy_chain(), calls in calls()) {
        let there = tokens(&chain);
        let back = tokens(&chain.iter().rev().cloned().collect::<Vec<_>>());
        prop_assume!(there.len() == chain.len() && back.len() == chain.len());
        let (there, back) = (&there[there.len() - 1], &back[back.len() - 1]);
        for call in &calls {
            prop_assert_eq!(admits(there, Action::Proxy, call), admits(back, Action::Proxy, call), "{:?}", call);
        }
        for mode in [Mode::Enforce, Mode::Observe] {
            prop_assert!(covers(there.counted(), back.counted(), mode), "{:?} {:?}", there, back);
            prop_assert!(covers(back.counted(), there.counted(), mode), "{:?} {:?}", back, there);
        }
    }

    #[test]
    fn the_order_of_a_list_does_not_matter(first in a_set(None), second in a_set(None)) {
        let named = |name: &str, set: &Value| {
            let constraints = serde_json::from_value(set.clone()).unwrap();
            CredentialRelease::new(name, vec![Action::Proxy], constraints).unwrap()
        };
        let list = [named("a", &first), named("b", &second)];
        let turned = [list[1].clone(), list[0].clone()];
        let held = CredentialRelease::ceiling(None, Some(&list), "t_1").unwrap().unwrap();
        prop_assert_eq!(CredentialRelease::ceiling(None, Some(&turned), "t_1").unwrap().unwrap(), held.clone());
        let from = |held: &[CredentialRelease], asked: &[CredentialRelease]| {
            CredentialRelease::ceiling(Some(held), Some(asked), "t_2")
        };
        prop_assert_eq!(from(&held, &turned), from(&[held[1].clone(), held[0].clone()], &list));
    }

    #[test]
    fn a_child_is_counted_wherever_its_parent_is(chain in a_chain()) {
        let tokens = tokens(&chain);
        for (parent, child) in tokens.iter().zip(tokens.iter().skip(1)) {
            prop_assert_eq!(child.counted().get(..parent.counted().len()), Some(parent.counted()));
        }
        for (n, token) in tokens.iter().enumerate() {
            let written = serde_json::to_value([token]).unwrap();
            let read = CredentialRelease::parse_claim(&written);
            prop_assert_eq!(read.as_deref(), Ok(std::slice::from_ref(token)), "every limit is in an entry: {}", written);
            let own: Vec<_> = token.counted().iter().filter(|entry| entry.jti() == format!("t_{n}")).collect();
            prop_assert!(own.len() <= 2, "one for each mode: {:?}", own);
        }
    }
}

/// A tree of tokens whose calls are counted as `counted` says.
#[derive(Default)]
struct Counters {
    uses: HashMap<String, u32>,
}

impl Counters {
    /// Counts a call under every entry, or none.
    fn take(&mut self, token: &CredentialRelease) -> bool {
        let full = |entry: &CountedLimit| {
            let used = self.uses.get(entry.jti()).copied().unwrap_or_default();
            entry.mode() == Mode::Enforce && entry.uses().is_some_and(|most| used >= most)
        };
        if token.counted().iter().any(full) {
            return false;
        }
        for entry in token.counted() {
            *self.uses.entry(entry.jti().to_owned()).or_default() += 1;
        }
        true
    }
}

fn uses(most: Option<u32>) -> CredentialRelease {
    let constraints = most.map_or_else(|| json!({}), |most| json!({ "uses": most }));
    asked(vec![Action::Proxy], serde_json::from_value(constraints).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Token 0 is the root; the others name their parent among those before them.
    #[test]
    fn all_tokens_under_one_together_keep_within_its_uses(
        root in 1..8_u32,
        tree in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(1..8_u32)), 0..8),
        calls in prop::collection::vec(any::<prop::sample::Index>(), 0..64),
    ) {
        let first = CredentialRelease::ceiling(None, Some(&[uses(Some(root))]), "t_0").unwrap().unwrap();
        let mut tokens = vec![first[0].clone()];
        let mut asked_for = vec![Some(root)];
        let mut parents = vec![0];
        for (n, (parent, most)) in tree.iter().enumerate() {
            let parent = parent.index(tokens.len());
            // A chain of nine levels or more is not made: the tree has nine tokens at most.
            tokens.push(tokens[parent].narrow(&uses(*most), &format!("t_{}", n + 1)).unwrap());
            asked_for.push(*most);
            parents.push(parent);
        }
        let mut counters = Counters::default();
        let mut made = vec![0_u32; tokens.len()];
        for call in calls {
            let token = call.index(tokens.len());
            if counters.take(&tokens[token]) {
                let mut at = token;
                made[at] += 1;
                while at != 0 {
                    at = parents[at];
                    made[at] += 1;
                }
            }
        }
        for (token, most) in asked_for.iter().enumerate() {
            prop_assert!(most.is_none_or(|most| made[token] <= most), "{token}: {} of {most:?}", made[token]);
        }
    }
}

#[test]
fn the_uses_of_a_parent_are_not_handed_out_again() {
    let root = CredentialRelease::ceiling(None, Some(&[uses(Some(3))]), "t_0").unwrap().unwrap().remove(0);
    let children: Vec<_> = (1..4).map(|n| root.narrow(&uses(Some(3)), &format!("t_{n}")).unwrap()).collect();
    let mut counters = Counters::default();
    let made = (0..12).filter(|n| counters.take(&children[n % 3])).count();
    assert_eq!(made, 3);
    assert!(!counters.take(&root), "the parent's are used up as well");
    assert!(!charge().decide(root.constraints()).is_denied(), "the constraints alone count nothing");
}
