//! Who acts for whom: the `act` chain and `may_act` (RFC 8693 sections 4.1, 4.4).
//!
//! The newest actor is outermost. Earlier actors are history: nothing here reads
//! them to permit anything, so permuting them can never change a decision.

use crate::json::{JsonError, str_member};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Actors a chain may ever hold; the configured cap is at most this.
pub const MAX_ACTORS: usize = 16;
/// Default cap on the number of actors.
pub const DEFAULT_MAX_DEPTH: usize = 4;

/// One party of the chain. Identity only: RFC 8693 section 4.1 says that claims
/// such as `exp` and `aud` have no meaning inside `act`, so they never get in.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Actor {
    pub sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
}

/// Why a chain or `may_act` could not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChainError {
    #[error("act and may_act are objects with a string sub")]
    Malformed,
    #[error("the act chain is deeper than any chain may be")]
    TooDeep,
}

impl From<JsonError> for ChainError {
    fn from(_: JsonError) -> Self {
        Self::Malformed
    }
}

/// The actors of a token, newest first. Empty when nobody acts for the subject.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ActorChain(Vec<Actor>);

impl ActorChain {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.len()
    }

    /// The party that acts now. The only one any decision may look at.
    #[must_use]
    pub fn current(&self) -> Option<&Actor> {
        self.0.first()
    }

    /// All actors, newest first, for the record and for revocation.
    pub fn iter(&self) -> impl Iterator<Item = &Actor> {
        self.0.iter()
    }

    /// The chain with `actor` outermost. An actor that is already outermost is not
    /// added again, so narrowing one's own token does not lengthen its history.
    #[must_use]
    pub fn acted_by(&self, actor: Actor) -> Self {
        if self.current() == Some(&actor) {
            return self.clone();
        }
        let mut chain = Vec::with_capacity(self.0.len() + 1);
        chain.push(actor);
        chain.extend(self.0.iter().cloned());
        Self(chain)
    }

    /// Reads the nested `act` object.
    ///
    /// # Errors
    /// [`ChainError`] where a level is no object, lacks `sub`, or there are too many.
    pub fn from_json(act: &Value) -> Result<Self, ChainError> {
        let mut chain = Vec::new();
        let mut next = Some(act);
        while let Some(value) = next {
            let object = value.as_object().ok_or(ChainError::Malformed)?;
            if chain.len() == MAX_ACTORS {
                return Err(ChainError::TooDeep);
            }
            chain.push(Actor {
                sub: str_member(object, "sub")?.ok_or(ChainError::Malformed)?.to_owned(),
                iss: str_member(object, "iss")?.map(str::to_owned),
            });
            next = object.get("act");
        }
        Ok(Self(chain))
    }

    /// The nested `act` object, or nothing for an empty chain.
    #[must_use]
    pub fn to_json(&self) -> Option<Value> {
        let mut nested: Option<Value> = None;
        for actor in self.0.iter().rev() {
            let mut object = Map::new();
            object.insert("sub".to_owned(), Value::String(actor.sub.clone()));
            if let Some(iss) = &actor.iss {
                object.insert("iss".to_owned(), Value::String(iss.clone()));
            }
            if let Some(inner) = nested.take() {
                object.insert("act".to_owned(), inner);
            }
            nested = Some(Value::Object(object));
        }
        nested
    }
}

/// `may_act`: the party that the subject token says may act for its subject.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MayAct(Map<String, Value>);

impl MayAct {
    /// # Errors
    /// [`ChainError::Malformed`] unless it is an object with at least one member.
    pub fn from_json(value: &Value) -> Result<Self, ChainError> {
        match value.as_object() {
            Some(object) if !object.is_empty() => Ok(Self(object.clone())),
            _ => Err(ChainError::Malformed),
        }
    }

    #[must_use]
    pub fn to_json(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// RFC 8693 section 4.4: the claims together identify the party, so every
    /// member must match; one that we do not understand matches nobody.
    #[must_use]
    pub fn admits(&self, sub: &str, client_id: &str, issuer: &str) -> bool {
        self.0.iter().all(|(name, value)| match name.as_str() {
            "sub" => value.as_str() == Some(sub),
            "client_id" => value.as_str() == Some(client_id),
            "iss" => value.as_str() == Some(issuer),
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn actor(sub: &str) -> Actor {
        Actor { sub: sub.to_owned(), iss: None }
    }

    #[test]
    fn the_newest_actor_is_outermost() {
        let chain = ActorChain::default().acted_by(actor("a")).acted_by(actor("b"));
        assert_eq!(chain.to_json(), Some(json!({"sub":"b","act":{"sub":"a"}})));
        assert_eq!(chain.current().unwrap().sub, "b");
    }

    #[test]
    fn acting_twice_in_a_row_is_acting_once() {
        let once = ActorChain::default().acted_by(actor("a"));
        assert_eq!(once.acted_by(actor("a")), once);
    }

    #[test]
    fn only_identity_gets_into_a_chain() {
        let chain = ActorChain::from_json(&json!({"sub":"a","exp":1,"aud":"x","scope":"all"})).unwrap();
        assert_eq!(chain.to_json(), Some(json!({"sub":"a"})));
    }

    #[test]
    fn malformed_chains_are_refused() {
        for bad in [
            json!("a"),
            json!({}),
            json!({"sub":1}),
            json!({"sub":"a","act":[]}),
            json!({"sub":"a","act":{"iss":"x"}}),
            json!(null),
        ] {
            assert!(ActorChain::from_json(&bad).is_err(), "{bad}");
        }
        let mut deep = json!({"sub":"x"});
        for _ in 0..MAX_ACTORS {
            deep = json!({"sub":"x","act":deep});
        }
        assert_eq!(ActorChain::from_json(&deep), Err(ChainError::TooDeep));
    }

    #[test]
    fn may_act_needs_every_member_to_match_and_understands_no_others() {
        let admits = |v: Value| MayAct::from_json(&v).unwrap().admits("agent:o.b", "o.b", "https://as");
        assert!(admits(json!({"sub":"agent:o.b"})));
        assert!(admits(json!({"sub":"agent:o.b","iss":"https://as","client_id":"o.b"})));
        assert!(!admits(json!({"sub":"agent:o.b","iss":"https://other"})));
        assert!(!admits(json!({"sub":"agent:o.c"})));
        assert!(!admits(json!({"sub":"agent:o.b","role":"any"})));
        assert!(MayAct::from_json(&json!({})).is_err());
    }

    proptest! {
        #[test]
        fn a_chain_survives_its_own_json(subs in prop::collection::vec("[a-z:]{1,8}", 1..MAX_ACTORS)) {
            let chain = ActorChain(subs.iter().map(|s| actor(s)).collect());
            prop_assert_eq!(ActorChain::from_json(&chain.to_json().unwrap()).unwrap(), chain);
        }
    }
}
