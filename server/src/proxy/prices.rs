//! What tokens cost: the price of a call that was made, and a bound on one that is to be made.
//!
//! Integers only, rounded up, never beyond the greatest amount and never free: what is not
//! known costs the dearest that is.

mod request;

use super::usage::Usage;
use serde::{Deserialize, Serialize};
use stipend_token::budget::{Amount, MAX_AMOUNT};

pub use request::estimate;

/// Prices are for so many tokens.
const PER_TOKENS: u128 = 1_000_000;
/// Most models of one table.
pub const MAX_MODELS: usize = 512;
/// Longest prefix of a model's name.
pub const MAX_PREFIX_BYTES: usize = 128;
/// A price is at most a dollar per token.
pub const MAX_PRICE: u64 = 1_000_000_000_000;
/// Most tokens a table may take for the bound of a request.
pub const MAX_BOUND_TOKENS: u64 = 1_000_000_000;

/// The price of a provider's models. As JSON `{"as_of": "2025-10-01", "max_input_tokens": …,
/// "max_output_tokens": …, "models": [{"prefix": "gpt-4o", "input": …, "cached_input": …,
/// "output": …, "cache_write": …}]}`; nothing that is not known is ignored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "RawPrices", into = "RawPrices")]
pub struct Prices(RawPrices);

/// The prices of a model, in micro-USD per million tokens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Price {
    input: u64,
    cached_input: u64,
    cache_write: u64,
    output: u64,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct RawPrices {
    /// The day on which they were looked up.
    as_of: String,
    /// Where a request can't tell how much it has read: the longest context of these models.
    max_input_tokens: u64,
    /// Where a request does not say how much it wants written.
    max_output_tokens: u64,
    models: Vec<RawModel>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    /// Of the model's name. Empty for all.
    prefix: String,
    input: u64,
    cached_input: u64,
    output: u64,
    /// What is written to a cache; as input, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_write: Option<u64>,
}

/// Why a table of prices is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PricesError {
    #[error("as_of is a day, YYYY-MM-DD")]
    AsOf,
    #[error("prices are for 1 to 512 models, each named once by a prefix of at most 128 visible characters")]
    Models,
    #[error("a price is 1 to 1000000000000 micro-USD per million tokens; only output may be 0")]
    Price,
    #[error("max_input_tokens and max_output_tokens are 1 to 1000000000")]
    Bounds,
}

impl TryFrom<RawPrices> for Prices {
    type Error = PricesError;

    fn try_from(raw: RawPrices) -> Result<Self, PricesError> {
        raw.as_of.parse::<jiff::civil::Date>().map_err(|_| PricesError::AsOf)?;
        if raw.models.is_empty() || raw.models.len() > MAX_MODELS {
            return Err(PricesError::Models);
        }
        let mut prefixes = std::collections::BTreeSet::new();
        for model in &raw.models {
            let plain =
                model.prefix.len() <= MAX_PREFIX_BYTES && model.prefix.bytes().all(|byte| byte.is_ascii_graphic());
            if !plain || !prefixes.insert(model.prefix.as_str()) {
                return Err(PricesError::Models);
            }
            let price = model.price();
            let paid = [price.input, price.cached_input, price.cache_write];
            if paid.iter().any(|price| !(1..=MAX_PRICE).contains(price)) || price.output > MAX_PRICE {
                return Err(PricesError::Price);
            }
        }
        let bounds = [raw.max_input_tokens, raw.max_output_tokens];
        if bounds.iter().any(|bound| !(1..=MAX_BOUND_TOKENS).contains(bound)) {
            return Err(PricesError::Bounds);
        }
        Ok(Self(raw))
    }
}

impl From<Prices> for RawPrices {
    fn from(prices: Prices) -> Self {
        prices.0
    }
}

impl RawModel {
    fn price(&self) -> Price {
        Price {
            input: self.input,
            cached_input: self.cached_input,
            cache_write: self.cache_write.unwrap_or(self.input),
            output: self.output,
        }
    }

    /// Whether the prefix stands for a model: its name, or a longer one that goes on after a
    /// mark. `gpt-4` is neither `gpt-4o` nor `gpt-4.1`.
    fn covers(&self, model: &str) -> bool {
        let rest = model.strip_prefix(self.prefix.as_str());
        rest.is_some_and(|rest| rest.is_empty() || self.prefix.is_empty() || rest.starts_with(['-', ':', '@', '/']))
    }
}

impl Prices {
    /// The day they were looked up, as `YYYY-MM-DD`.
    #[must_use]
    pub fn as_of(&self) -> &str {
        &self.0.as_of
    }

    fn price(&self, model: Option<&str>) -> Price {
        let known = model.and_then(|model| {
            let covering = self.0.models.iter().filter(|known| known.covers(model));
            covering.max_by_key(|known| known.prefix.len())
        });
        known.map_or_else(|| self.dearest(), RawModel::price)
    }

    fn dearest(&self) -> Price {
        let none = Price { input: 0, cached_input: 0, cache_write: 0, output: 0 };
        self.0.models.iter().map(RawModel::price).fold(none, |dearest, price| Price {
            input: dearest.input.max(price.input),
            cached_input: dearest.cached_input.max(price.cached_input),
            cache_write: dearest.cache_write.max(price.cache_write),
            output: dearest.output.max(price.output),
        })
    }
}

/// The price of what was used, in micro-USD. A model that is not in the table, or not told, is
/// taken for the dearest.
#[must_use]
pub fn cost(prices: &Prices, model: Option<&str>, usage: &Usage) -> Amount {
    let price = prices.price(model);
    sum([
        (usage.input_tokens, price.input),
        (usage.cached_input_tokens, price.cached_input),
        (usage.cache_write_tokens, price.cache_write),
        (usage.output_tokens, price.output),
    ])
}

fn sum<const N: usize>(parts: [(u64, u64); N]) -> Amount {
    let parts = parts.into_iter().map(|(tokens, price)| u128::from(tokens).saturating_mul(u128::from(price)));
    let whole = parts.fold(0_u128, u128::saturating_add).div_ceil(PER_TOKENS);
    let within = i64::try_from(whole).unwrap_or(MAX_AMOUNT).min(MAX_AMOUNT);
    Amount::new(within).unwrap_or_default()
}

#[cfg(test)]
mod tests;
