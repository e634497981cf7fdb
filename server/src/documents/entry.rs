//! What an admin admits: one document or all under a prefix, and what the clients of it get.

use super::url::DocumentUrl;
use crate::admin::api::AccessEntryShape;
use crate::grant::GRANT_TYPES;
use crate::limits::DEFAULT_TTL_SECONDS;
use crate::records::{AuthMethod, ClientSettings};
use crate::registration::Template;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use stipend_token::Environment;
use stipend_token::access::AccessEntry;
use utoipa::ToSchema;

/// What a URL of an entry says.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ClientDocumentCovers)]
pub enum Covers {
    /// The one document there.
    One,
    /// All whose URLs begin with it; it ends with a slash.
    Prefix,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ClientDocumentState)]
pub enum EntryState {
    Active,
    /// Nobody gets in by it for now.
    Suspended,
    /// For ever.
    Revoked,
}

impl EntryState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Revoked => "revoked",
        }
    }
}

/// What each client of an entry gets when it comes first, as an agent; afterwards an admin changes
/// the agent. No document changes any of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClientDocumentTemplate)]
pub struct DocumentTemplate {
    /// What it may get tokens for; the first entry is the default resource.
    #[schema(value_type = Vec<AccessEntryShape>, min_items = 1, max_items = 64)]
    pub access: Vec<AccessEntry>,
    /// The grants it may use; every one where absent.
    #[serde(default = "default_grant_types")]
    #[schema(min_items = 1, max_items = 8)]
    pub grant_types: Vec<String>,
    /// `live` where absent.
    #[serde(default = "default_environment")]
    #[schema(value_type = String, pattern = "^(sandbox|live)$")]
    pub environment: Environment,
    /// Life of its tokens; 300 where absent.
    #[serde(default = "default_ttl")]
    #[schema(minimum = 1, maximum = 3600)]
    pub ttl_seconds: i64,
    /// How long after its first use the client itself ends; never where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_expires_in_seconds: Option<i64>,
    /// What its tokens are bound to.
    #[serde(default)]
    pub settings: ClientSettings,
}

impl DocumentTemplate {
    /// The same as of a registration token: what may be in the one may be in the other.
    #[must_use]
    pub fn as_registration(&self) -> Template {
        Template {
            access: self.access.clone(),
            auth_methods: vec![AuthMethod::PrivateKeyJwt],
            grant_types: self.grant_types.clone(),
            environment: self.environment,
            ttl_seconds: self.ttl_seconds,
            secret_expires_in_seconds: None,
            client_expires_in_seconds: self.client_expires_in_seconds,
            settings: self.settings.clone(),
        }
    }
}

fn default_grant_types() -> Vec<String> {
    GRANT_TYPES.map(str::to_owned).to_vec()
}

fn default_environment() -> Environment {
    Environment::Live
}

fn default_ttl() -> i64 {
    DEFAULT_TTL_SECONDS
}

/// An entry as authentication sees it.
#[derive(Debug)]
pub struct Entry {
    pub id: String,
    pub owner_id: String,
    pub active: bool,
    pub template: DocumentTemplate,
    pub max_clients: i64,
}

/// All entries of the deployment that are not revoked. They are few and in memory, so that a URL
/// nobody admits costs some look-ups and nothing else.
#[derive(Debug, Default)]
pub struct Entries {
    one: HashMap<String, Arc<Entry>>,
    prefix: HashMap<String, Arc<Entry>>,
}

impl Entries {
    pub fn insert(&mut self, covers: Covers, url: String, entry: Entry) {
        let place = match covers {
            Covers::One => &mut self.one,
            Covers::Prefix => &mut self.prefix,
        };
        place.insert(url, Arc::new(entry));
    }

    /// The entry that says most exactly which document it means, in whatever state: what is
    /// suspended by name does not come in under a prefix.
    #[must_use]
    pub fn find(&self, url: &DocumentUrl) -> Option<&Arc<Entry>> {
        let exact = self.one.get(url.as_str());
        exact.or_else(|| url.prefixes().find_map(|prefix| self.prefix.get(prefix)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> DocumentTemplate {
        serde_json::from_str(r#"{"access":[{"resource":"https://orders.example","scopes":["read"]}]}"#).unwrap()
    }

    #[test]
    fn the_most_exact_entry_decides() {
        let mut entries = Entries::default();
        let mut add = |covers, url: &str| {
            let entry =
                Entry { id: url.into(), owner_id: "o".into(), active: true, template: template(), max_clients: 1 };
            entries.insert(covers, url.to_owned(), entry);
        };
        add(Covers::Prefix, "https://a.example/");
        add(Covers::Prefix, "https://a.example/x/");
        add(Covers::One, "https://a.example/x/one.json");
        let find = |url| entries.find(&DocumentUrl::parse(url).unwrap()).map(|entry| entry.id.as_str());
        assert_eq!(find("https://a.example/x/one.json"), Some("https://a.example/x/one.json"));
        assert_eq!(find("https://a.example/x/two.json"), Some("https://a.example/x/"));
        assert_eq!(find("https://a.example/xx/two.json"), Some("https://a.example/"));
        assert_eq!(find("https://a.example/x"), Some("https://a.example/"));
        for other in ["https://a.example.evil/x", "https://b.example/x", "http://a.example/x", "https://a.example:1/x"]
        {
            assert_eq!(find(other), None, "{other}");
        }
    }

    #[test]
    fn a_template_says_nothing_of_secrets_roles_or_kinds() {
        assert_eq!(template().as_registration().auth_methods, [AuthMethod::PrivateKeyJwt]);
        for member in ["auth_methods", "roles", "kind", "secret_expires_in_seconds"] {
            let text = format!(r#"{{"access":[],"{member}":[]}}"#);
            assert!(serde_json::from_str::<DocumentTemplate>(&text).is_err(), "{member}");
        }
    }
}
