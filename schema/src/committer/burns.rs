//! Keys that may be used once: an assertion's `jti`, a proof's, a reference's id.
//! A work uses up all of its keys or is stale; where one was used before, only its refusal is
//! recorded, and the others are used up all the same: whatever becomes of a request, nothing it
//! was made with can be used again.

/// Most keys that one work may use up: what authenticates its client, and what proves the key of
/// its token, with room for one more of each.
pub const MAX_BURNS: usize = 4;

/// A key that may be used once: the hash of an assertion's (client, kind, jti) or the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burn {
    pub key_hash: [u8; 32],
    /// Seconds; from then on the key need not be remembered.
    pub expires_at: i64,
}

/// The keys of one work, at least one, each with what the record says where it was used before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burns(Vec<(Burn, Option<&'static str>)>);

impl From<Burn> for Burns {
    /// One key; where it was used before the record says the draft's `on_replay`.
    fn from(burn: Burn) -> Self {
        Self(vec![(burn, None)])
    }
}

impl Burns {
    /// Keys with a reason each. `None`: there are none.
    pub fn gather(keys: impl IntoIterator<Item = (Burn, &'static str)>) -> Option<Self> {
        let keys: Vec<_> = keys.into_iter().map(|(burn, reason)| (burn, Some(reason))).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &Burn> {
        self.0.iter().map(|(burn, _)| burn)
    }

    pub(super) fn reason(&self, place: usize) -> Option<&'static str> {
        self.0.get(place).and_then(|(_, reason)| *reason)
    }

    pub(super) fn fault(&self) -> Option<&'static str> {
        if self.0.len() > MAX_BURNS {
            return Some("too many keys to use up");
        }
        let earlier = |place| self.keys().take(place);
        let twice =
            self.keys().enumerate().any(|(place, key)| earlier(place).any(|other| other.key_hash == key.key_hash));
        twice.then_some("a key is to be used up twice")
    }
}
