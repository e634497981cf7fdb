//! Well-known providers, as data: how the key is put in, where the base is, how usage is told
//! and what it costs. A template fills in what an admin leaves out and decides nothing.

use super::prices::Prices;
use super::usage::UsageStyle;
use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Deserializer, de};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use stipend_keys::Secret;
use stipend_token::constraint::{CanonicalPath, Constraints, Method};
use url::Url;

const PROVIDERS: &str = include_str!("providers.json");

/// One provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    pub id: String,
    /// For people to read.
    pub name: String,
    /// Where its paths begin; absent where only the admin can know.
    #[serde(default, deserialize_with = "url")]
    pub base_url: Option<Url>,
    pub inject: Injection,
    /// Put in beside the key, in the place of the agent's own.
    #[serde(default, deserialize_with = "headers")]
    pub headers: Vec<(HeaderName, String)>,
    /// How answers tell their usage, if they do.
    #[serde(default)]
    pub usage: Option<UsageStyle>,
    /// Whether a stream tells it only when asked: see [`super::usage::ensure_usage_in_stream`].
    pub usage_in_stream: bool,
    /// A call without effect or price that shows whether a key works.
    #[serde(default)]
    pub probe: Option<Probe>,
    /// What a grant allows where it says nothing else.
    pub constraints: Constraints,
    pub prices: Prices,
}

/// Where the key goes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Injection {
    #[serde(deserialize_with = "header")]
    pub header: HeaderName,
    /// Before the key, with its space.
    #[serde(default)]
    pub prefix: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    pub method: Method,
    #[serde(deserialize_with = "path")]
    pub path: CanonicalPath,
}

impl Provider {
    /// The headers to put in for a key, as [`super::Forward`] takes them.
    #[must_use]
    pub fn inject(&self, key: &Secret<String>) -> Vec<(HeaderName, Secret<String>)> {
        let value = Secret::new(format!("{}{}", self.inject.prefix, key.expose()));
        let mut headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone()))).collect();
        headers.push((self.inject.header.clone(), value));
        headers
    }
}

#[derive(Deserialize)]
struct File {
    providers: Vec<Provider>,
}

/// All templates, in the order in which to show them.
#[must_use]
pub fn providers() -> &'static [Provider] {
    static READ: LazyLock<Vec<Provider>> = LazyLock::new(|| {
        // The file is part of the program; a test reads it.
        serde_json::from_str::<File>(PROVIDERS).map(|file| file.providers).unwrap_or_default()
    });
    &READ
}

/// The template of a name, e.g. `openai`.
#[must_use]
pub fn find_provider(id: &str) -> Option<&'static Provider> {
    providers().iter().find(|provider| provider.id == id)
}

fn url<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Url>, D::Error> {
    let text = Option::<String>::deserialize(source)?;
    text.map(|text| Url::parse(&text).map_err(de::Error::custom)).transpose()
}

fn header<'de, D: Deserializer<'de>>(source: D) -> Result<HeaderName, D::Error> {
    String::deserialize(source)?.parse().map_err(de::Error::custom)
}

fn headers<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<(HeaderName, String)>, D::Error> {
    let mut headers = Vec::new();
    for (name, value) in BTreeMap::<String, String>::deserialize(source)? {
        HeaderValue::from_str(&value).map_err(de::Error::custom)?;
        headers.push((name.parse().map_err(de::Error::custom)?, value));
    }
    Ok(headers)
}

fn path<'de, D: Deserializer<'de>>(source: D) -> Result<CanonicalPath, D::Error> {
    CanonicalPath::parse(&String::deserialize(source)?).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests;
