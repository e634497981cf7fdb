//! What a request uses up, each with the reason it is refused for where that was used before.

use crate::reason::Reason;
use stipend_schema::{Burn, Burns};

/// The single-use things of one request: what authenticated its client, what proved its key.
#[derive(Clone, Debug, Default)]
pub struct SingleUse(Vec<(Burn, Reason)>);

impl SingleUse {
    /// One more thing, if there is one.
    #[must_use]
    pub fn and(mut self, burn: Option<&Burn>, replayed: Reason) -> Self {
        self.0.extend(burn.map(|burn| (burn.clone(), replayed)));
        self
    }

    /// Of a client assertion, or whatever else authenticated the client, and of a proof.
    #[must_use]
    pub fn of(client: Option<&Burn>, proof: Option<&Burn>) -> Self {
        Self::default().and(client, Reason::AssertionReplayed).and(proof, Reason::DpopReplayed)
    }

    /// For the work that records the request.
    #[must_use]
    pub fn burns(&self) -> Option<Burns> {
        Burns::gather(self.0.iter().map(|(burn, reason)| (burn.clone(), reason.as_str())))
    }

    /// Why the request is refused where the thing at this place was used before.
    #[must_use]
    pub fn replayed(&self, place: usize) -> Reason {
        self.0.get(place).map_or(Reason::Internal, |(_, reason)| *reason)
    }
}
