//! Everything a request may need, put together once at start.

use crate::admin::Turns;
use crate::admission::Admission;
use crate::binding::Binding;
use crate::certificate::Authorities;
use crate::client::{Failures, Marks, Proofs};
use crate::clock::Clock;
use crate::config::Config;
use crate::custody::{Safe, UpstreamTokens, Uses};
use crate::documents::Documents;
use crate::export::Exports;
use crate::federation::{Fetcher, IssuerKeys};
use crate::gather::Gatherer;
use crate::live::Live;
use crate::proxy::Upstreams;
use crate::rates::Rates;
use crate::records::Records;
use crate::ring::Ring;
use crate::status::StatusLists;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::tokens::Tokens;
use std::sync::Arc;
use std::time::Instant;
use stipend_keys::{ProcessMac, SecretWorker};
use stipend_schema::{CommitterHandle, TailerHandle};
use tokio::sync::Semaphore;

/// The public addresses, made from the issuer alone and never from a request's headers.
#[derive(Clone, Debug)]
pub struct Urls {
    pub issuer: String,
    pub token_endpoint: String,
    pub authorization_endpoint: String,
    pub backchannel_endpoint: String,
    pub introspection_endpoint: String,
    pub revocation_endpoint: String,
    pub jwks_uri: String,
    /// Clients register here (RFC 7591), and are managed under it (RFC 7592).
    pub registration_endpoint: String,
    pub details_types_endpoint: String,
    pub budget_endpoint: String,
    /// Status lists are under it.
    pub status_endpoint: String,
    /// Public URL of the key-release service.
    pub release: String,
    /// Identifier of the security events service as a protected resource.
    pub signals_resource: String,
    pub signals_stream_endpoint: String,
    pub signals_status_endpoint: String,
    pub signals_verification_endpoint: String,
    /// Streams that are polled are polled under it.
    pub signals_poll_endpoint: String,
    /// Identifier of the key-release service as a protected resource.
    pub credential_resource: String,
    /// Its metadata (RFC 9728 section 3.1).
    pub credential_metadata: String,
    /// Identifier of the admin API as a protected resource.
    pub admin_resource: String,
}

impl Urls {
    #[must_use]
    pub fn new(issuer: &str, release: Option<&str>) -> Self {
        let base = issuer.trim_end_matches('/');
        let release = release.unwrap_or(issuer).trim_end_matches('/');
        Self {
            issuer: issuer.to_owned(),
            token_endpoint: format!("{base}/oauth2/token"),
            authorization_endpoint: format!("{base}/oauth2/authorize"),
            backchannel_endpoint: format!("{base}/oauth2/bc-authorize"),
            introspection_endpoint: format!("{base}/oauth2/introspect"),
            revocation_endpoint: format!("{base}/oauth2/revoke"),
            jwks_uri: format!("{base}/oauth2/jwks"),
            registration_endpoint: format!("{base}/oauth2/register"),
            details_types_endpoint: format!("{base}/oauth2/authorization-details-types"),
            budget_endpoint: format!("{base}/budget"),
            status_endpoint: format!("{base}/status"),
            release: release.to_owned(),
            signals_resource: format!("{base}/ssf"),
            signals_stream_endpoint: format!("{base}/ssf/stream"),
            signals_status_endpoint: format!("{base}/ssf/status"),
            signals_verification_endpoint: format!("{base}/ssf/verify"),
            signals_poll_endpoint: format!("{base}/ssf/poll"),
            credential_resource: format!("{release}/credentials"),
            credential_metadata: format!("{release}/.well-known/oauth-protected-resource/credentials"),
            admin_resource: format!("{base}/admin"),
        }
    }
}

/// One node.
#[derive(Debug)]
pub struct App {
    pub config: Config,
    pub urls: Urls,
    pub clock: Arc<dyn Clock>,
    pub store: Arc<Store>,
    /// What is told of this node, if anything is.
    pub telemetry: Telemetry,
    pub committer: CommitterHandle,
    pub tailer: TailerHandle,
    pub live: Arc<Live>,
    pub records: Arc<Records>,
    pub ring: Arc<Ring>,
    /// Which requests are served, when there are more than can be.
    pub admission: Admission,
    pub tokens: Tokens,
    pub status: StatusLists,
    /// How the audit leaves.
    pub exports: Exports,
    /// Polls for security events that may wait.
    pub long_polls: Semaphore,
    pub refusals: Gatherer,
    /// How often clients may ask.
    pub rates: Rates,
    pub failures: Failures,
    /// Secrets that were proved on some node.
    pub marks: Marks,
    pub proofs: Proofs,
    pub secrets: SecretWorker,
    /// Whose certificates `tls_client_auth` takes.
    pub authorities: Option<Authorities>,
    pub mac: ProcessMac,
    /// Proofs of possession.
    pub binding: Binding,
    pub safe: Safe,
    /// When credentials were last used.
    pub uses: Uses,
    /// Where calls with credentials go.
    pub upstreams: Upstreams,
    pub upstream_tokens: UpstreamTokens,
    /// Documents that this server fetches by itself.
    pub fetcher: Arc<Fetcher>,
    /// Keys of trusted issuers.
    pub issuer_keys: IssuerKeys,
    /// Metadata documents of clients.
    pub documents: Documents,
    /// Units of request bodies that may be kept whole.
    pub buffered: Arc<Semaphore>,
    /// Changes of one thing through the admin API, one after the other on this node.
    pub turns: Turns,
}

impl App {
    /// For answers that commit nothing: true when this node's view is complete up to at
    /// most a second ago, after asking the database if it was not.
    pub async fn view_is_fresh(&self) -> bool {
        let age = Instant::now().saturating_duration_since(self.tailer.fresh_since());
        age <= crate::limits::MAX_STALENESS || self.tailer.catch_up().await
    }
}
