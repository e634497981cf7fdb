//! Records from memory: clients, resources, rule sets and owners in bounded caches.
//!
//! A miss is loaded once however many ask. An entry carries what it was made from and
//! the feed sequence it was loaded at; it is believed only while none of that changed.

mod auth_method;
mod budget;
mod client;
mod credential;
mod documents;
mod issuer;
mod policies;
mod registered_key;
mod resource;
mod rules;
mod settings;

pub use auth_method::{AuthMethod, CredentialKind};
pub use budget::{BudgetLine, BudgetPath};
pub use client::{Client, ClientKey, ClientKind, ClientSecret, ClientState, Role, RoleGrant};
pub use credential::{Credential, Grant, Version};
pub use registered_key::{RegisteredCertificate, RegisteredKey, RegisteredKeyFault};
pub use resource::Resource;
pub use settings::{ClientRate, ClientSettings, FederatedIdentity, Risk, RiskLevel};

use crate::documents::Entries;
use crate::federation::Issuer;
use crate::limits::{MAX_CACHED_RECORDS, MAX_CONCURRENT_LOADS};
use crate::live::Live;
use crate::policy::Compiled;
use crate::signals::{self, Stream};
use crate::store::Store;
use moka::future::Cache;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use stipend_schema::{Db, DbError, Dep, queries};
use stipend_token::budget::AccountKind;
use stipend_token::rule::ExchangeRule;
use tokio::sync::Semaphore;

/// The database did not answer, or what it holds can't be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the record store is unavailable")]
pub struct Unavailable;

/// A record as loaded, with everything it was made from.
#[derive(Debug)]
pub(crate) struct Loaded<T> {
    pub value: Option<Arc<T>>,
    pub deps: Vec<Dep>,
}

#[derive(Debug)]
struct Entry<T> {
    loaded: Loaded<T>,
    as_of: i64,
}

/// Loads of one record that changes while it is loaded, before giving up.
const MAX_LOADS: usize = 8;

/// One cache of records by their key.
struct RecordCache<T> {
    cache: Cache<String, Arc<Entry<T>>>,
}

impl<T: Send + Sync + 'static> fmt::Debug for RecordCache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordCache({})", self.cache.entry_count())
    }
}

impl<T: Send + Sync + 'static> RecordCache<T> {
    fn new() -> Self {
        Self { cache: Cache::new(MAX_CACHED_RECORDS) }
    }

    /// The record, from memory if what is there can be believed.
    async fn find<F, Fut>(&self, live: &Live, store: &Loader, key: &str, load: F) -> Result<Option<Arc<T>>, Unavailable>
    where
        F: Fn(Db, String) -> Fut,
        Fut: Future<Output = Result<Loaded<T>, LoadError>> + Send + 'static,
    {
        if let Some(entry) = self.cache.get(key).await
            && live.is_current(&entry.loaded.deps, entry.as_of)
        {
            return Ok(entry.loaded.value.clone());
        }
        self.cache.invalidate(key).await;
        for _ in 0..MAX_LOADS {
            let fresh = load(store.store.db().clone(), key.to_owned());
            let entry = self
                .cache
                .try_get_with(key.to_owned(), async {
                    // Before the load: a change in between makes the entry too old, never too new.
                    let as_of = live.applied();
                    let loaded = store.run(fresh).await?;
                    Ok::<_, Unavailable>(Arc::new(Entry { loaded, as_of }))
                })
                .await
                .map_err(|error| *error)?;
            if live.is_current(&entry.loaded.deps, entry.as_of) {
                return Ok(entry.loaded.value.clone());
            }
            self.cache.invalidate(key).await;
        }
        // It changes faster than it can be read.
        Err(Unavailable)
    }
}

/// Why a record could not be made from its rows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("the stored {0} can't be read by this version")]
    Corrupt(&'static str),
}

/// Loads on the store's runtime, a bounded number at once.
#[derive(Debug)]
struct Loader {
    store: Arc<Store>,
    permits: Semaphore,
}

impl Loader {
    async fn run<T: Send + 'static>(
        &self,
        load: impl Future<Output = Result<T, LoadError>> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let _permit = self.permits.acquire().await.map_err(|_| Unavailable)?;
        self.store.run(load).await.map_err(|_| Unavailable)?.map_err(|error| {
            tracing::error!(%error, "loading a record failed");
            Unavailable
        })
    }
}

/// All record caches of a node.
#[derive(Debug)]
pub struct Records {
    live: Arc<Live>,
    loader: Loader,
    clients: RecordCache<Client>,
    resources: RecordCache<Resource>,
    rules: RecordCache<Vec<ExchangeRule>>,
    budgets: RecordCache<Vec<BudgetLine>>,
    budget_paths: RecordCache<BudgetPath>,
    credentials: RecordCache<Credential>,
    grants: RecordCache<Grant>,
    streams: RecordCache<Stream>,
    issuers: RecordCache<Issuer>,
    named_issuers: RecordCache<Issuer>,
    policies: RecordCache<Compiled>,
    documents: RecordCache<Entries>,
}

impl Records {
    #[must_use]
    pub fn new(live: Arc<Live>, store: Arc<Store>) -> Self {
        Self {
            live,
            loader: Loader { store, permits: Semaphore::new(MAX_CONCURRENT_LOADS) },
            clients: RecordCache::new(),
            resources: RecordCache::new(),
            rules: RecordCache::new(),
            budgets: RecordCache::new(),
            budget_paths: RecordCache::new(),
            credentials: RecordCache::new(),
            grants: RecordCache::new(),
            streams: RecordCache::new(),
            issuers: RecordCache::new(),
            named_issuers: RecordCache::new(),
            policies: RecordCache::new(),
            documents: RecordCache::new(),
        }
    }

    /// The client with this id, in whatever state.
    ///
    /// # Errors
    /// [`Unavailable`] when it is not in memory and the database does not answer.
    pub async fn find_client(&self, id: &str) -> Result<Option<Arc<Client>>, Unavailable> {
        self.clients.find(&self.live, &self.loader, id, client::load).await
    }

    /// The metadata documents that owners admit as clients.
    ///
    /// # Errors
    /// [`Unavailable`], as above.
    pub async fn client_documents(&self) -> Result<Arc<Entries>, Unavailable> {
        let entries = self.documents.find(&self.live, &self.loader, "*", documents::load).await?;
        Ok(entries.unwrap_or_default())
    }

    /// Clients that a workload's SPIFFE ID is registered for: none, the one, or two of several. It
    /// says only which client is meant, so it is asked anew each time and nothing leans on it.
    ///
    /// # Errors
    /// [`Unavailable`] when the database does not answer.
    pub async fn clients_of_workload(&self, spiffe_id: &str) -> Result<Vec<String>, Unavailable> {
        let (db, spiffe_id) = (self.loader.store.db().clone(), spiffe_id.to_owned());
        self.loader.run(async move { Ok(queries::find_clients_by_spiffe_id(&db, &spiffe_id).await?) }).await
    }

    /// The resource registered under this identifier (its normal form).
    ///
    /// # Errors
    /// [`Unavailable`], as above.
    pub async fn find_resource(&self, uri: &str) -> Result<Option<Arc<Resource>>, Unavailable> {
        self.resources.find(&self.live, &self.loader, uri, resource::load).await
    }

    /// All exchange rules whose actor belongs to this owner.
    ///
    /// # Errors
    /// [`Unavailable`], as above.
    pub async fn rules_of(&self, owner_id: &str) -> Result<Arc<Vec<ExchangeRule>>, Unavailable> {
        let rules = self.rules.find(&self.live, &self.loader, owner_id, rules::load).await?;
        Ok(rules.unwrap_or_default())
    }

    /// The budget lines of an account: `kind` is `owner`, `agent` or `task`.
    ///
    /// # Errors
    /// [`Unavailable`], as above.
    pub async fn budget_lines(&self, kind: AccountKind, id: &str) -> Result<Arc<Vec<BudgetLine>>, Unavailable> {
        let account = format!("{}:{id}", kind.as_str());
        let lines = self.budgets.find(&self.live, &self.loader, &account, budget::load).await?;
        Ok(lines.unwrap_or_default())
    }

    /// The credential with this id, in whatever state.
    ///
    /// # Errors
    /// [`Unavailable`], as above.
    pub async fn find_credential(&self, id: &str) -> Result<Option<Arc<Credential>>, Unavailable> {
        self.credentials.find(&self.live, &self.loader, id, credential::load).await
    }

    /// What lets an agent use a credential, in whatever state.
    ///
    /// # Errors
    /// [`Unavailable`], as above.
    pub async fn find_grant(&self, credential: &str, agent: &str) -> Result<Option<Arc<Grant>>, Unavailable> {
        let key = format!("{credential} {agent}");
        self.grants.find(&self.live, &self.loader, &key, credential::load_grant).await
    }

    /// The trusted issuer that its tokens call `issuer`, in whatever state.
    ///
    /// # Errors
    /// [`Unavailable`], as above.
    pub async fn find_issuer(&self, issuer: &str) -> Result<Option<Arc<Issuer>>, Unavailable> {
        self.named_issuers.find(&self.live, &self.loader, issuer, issuer::load_named).await
    }

    /// The trusted issuer with this id, in whatever state.
    ///
    /// # Errors
    /// [`Unavailable`], as above.
    pub async fn find_issuer_by_id(&self, id: &str) -> Result<Option<Arc<Issuer>>, Unavailable> {
        self.issuers.find(&self.live, &self.loader, id, issuer::load_by_id).await
    }

    /// What an owner, or the deployment ([`crate::policy::DEPLOYMENT`]), forbids. `None`: nothing.
    ///
    /// # Errors
    /// [`Unavailable`], as above.
    pub async fn policies_of(&self, owner_id: &str) -> Result<Option<Arc<Compiled>>, Unavailable> {
        self.policies.find(&self.live, &self.loader, owner_id, policies::load).await
    }

    /// The stream of security events of a client.
    ///
    /// # Errors
    /// [`Unavailable`], as above.
    pub async fn find_stream(&self, client_id: &str) -> Result<Option<Arc<Stream>>, Unavailable> {
        self.streams.find(&self.live, &self.loader, client_id, signals::load).await
    }

    /// Where a budget line leads.
    ///
    /// # Errors
    /// [`Unavailable`], as above.
    pub async fn budget_path(&self, line_id: &str) -> Result<Option<Arc<BudgetPath>>, Unavailable> {
        self.budget_paths.find(&self.live, &self.loader, line_id, budget::load_path).await
    }
}

/// A word stored as JSON would write it.
fn word<T: serde::de::DeserializeOwned>(text: &str, what: &'static str) -> Result<T, LoadError> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|_| LoadError::Corrupt(what))
}

/// A JSON column, or the fault that its text is not what this version writes.
fn column<T: serde::de::DeserializeOwned>(text: &str, what: &'static str) -> Result<T, LoadError> {
    serde_json::from_str(text).map_err(|_| LoadError::Corrupt(what))
}
