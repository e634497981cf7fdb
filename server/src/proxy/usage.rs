//! What an answer says it used, read as it passes, whole JSON or server-sent events.
//!
//! Owns the providers' ways of writing usage and the one shape they are brought to. It keeps
//! nothing of an answer but the members it looks for, each within a bound, and believes none
//! that is negative, broken, beyond measure or ambiguous: then the answer says nothing.

mod events;
mod members;
mod scan;
mod stream_option;

pub use members::UsageStyle;
pub use stream_option::ensure_usage_in_stream;

use events::Events;
use members::Found;

/// Tokens of one answer. The four parts are disjoint: what each costs differs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// Read anew.
    pub input_tokens: u64,
    /// Read from the provider's cache.
    pub cached_input_tokens: u64,
    /// Read anew, and written to the provider's cache.
    pub cache_write_tokens: u64,
    pub output_tokens: u64,
}

impl Usage {
    /// Part by part the larger: what is counted up is told again and again.
    #[must_use]
    fn max(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.max(other.input_tokens),
            cached_input_tokens: self.cached_input_tokens.max(other.cached_input_tokens),
            cache_write_tokens: self.cache_write_tokens.max(other.cache_write_tokens),
            output_tokens: self.output_tokens.max(other.output_tokens),
        }
    }
}

/// Reads one answer's body, in pieces however they are cut.
#[derive(Debug)]
pub struct UsageReader {
    events: Events,
    found: Found,
}

impl UsageReader {
    #[must_use]
    pub fn new(style: UsageStyle) -> Self {
        Self { events: Events::default(), found: Found::new(style) }
    }

    /// The next piece.
    pub fn read(&mut self, chunk: &[u8]) {
        for byte in chunk {
            if let Some((place, value)) = self.events.take(*byte) {
                self.found.take(place, &value);
            }
        }
    }

    /// Whether the answer has told what it used in the end, not only how it began.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.found.is_whole()
    }

    /// What was used, and the model that the answer names.
    #[must_use]
    pub fn finish(self) -> (Option<Usage>, Option<String>) {
        (self.found.usage(), self.found.model)
    }
}

#[cfg(test)]
mod tests;
