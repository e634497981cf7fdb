//! Several providers as one: what is new goes to the first, what is old opens by
//! whoever has its key.
//!
//! This is how a deployment moves from a static key to a transit service or a
//! token: the new provider first, the old one after it, rewrap everything, drop the
//! old one. A key id that two providers claim is refused at construction; which of
//! them opens would otherwise depend on their order.

use std::collections::HashSet;
use std::sync::Arc;

use super::{DataKey, KeyEncryption, SealError};

/// Providers in one chain.
pub const MAX_CHAIN_PROVIDERS: usize = 8;

/// Why providers don't make a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    #[error("the key-encryption key {0} is configured in two providers: leave it in one")]
    Duplicate(String),
    #[error("too many key-encryption providers are configured: 8 at most")]
    TooMany,
}

/// A current provider, and earlier ones that still open what they wrapped.
#[derive(Debug)]
pub struct KekChain {
    current: Arc<dyn KeyEncryption>,
    previous: Vec<Arc<dyn KeyEncryption>>,
}

impl KekChain {
    /// `current` wraps; all unwrap.
    pub fn new(current: Arc<dyn KeyEncryption>, previous: Vec<Arc<dyn KeyEncryption>>) -> Result<Self, ChainError> {
        if previous.len() >= MAX_CHAIN_PROVIDERS {
            return Err(ChainError::TooMany);
        }
        let chain = Self { current, previous };
        let mut seen = HashSet::new();
        if let Some(twice) = chain.key_ids().into_iter().find(|id| !seen.insert(*id)) {
            return Err(ChainError::Duplicate(twice.to_owned()));
        }
        Ok(chain)
    }

    fn providers(&self) -> impl Iterator<Item = &Arc<dyn KeyEncryption>> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

impl KeyEncryption for KekChain {
    fn current_id(&self) -> &str {
        self.current.current_id()
    }

    fn key_ids(&self) -> Vec<&str> {
        self.providers().flat_map(|provider| provider.key_ids()).collect()
    }

    fn wrap(&self, aad: &[u8], data_key: &DataKey) -> Result<Vec<u8>, SealError> {
        self.current.wrap(aad, data_key)
    }

    fn unwrap(&self, kek_id: &str, aad: &[u8], wrapped: &[u8]) -> Result<DataKey, SealError> {
        // One provider is asked, and its answer is final: trying the next one after a
        // refusal would turn an altered value into a question for every service.
        self.providers()
            .find(|provider| provider.key_ids().contains(&kek_id))
            .ok_or_else(|| SealError::UnknownKek(kek_id.to_owned()))?
            .unwrap(kek_id, aad, wrapped)
    }

    fn is_current(&self, kek_id: &str, wrapped: &[u8]) -> bool {
        self.current.is_current(kek_id, wrapped)
    }
}
