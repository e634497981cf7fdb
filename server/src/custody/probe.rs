//! The harmless call of a template, with the value in use: does the upstream take it?

use super::release::open;
use super::target::{injection, target};
use super::value::CredentialValue;
use crate::app::App;
use crate::proxy::{Forward, Timeouts, join};
use crate::records::Credential;
use std::time::Duration;

/// Longest wait for the upstream.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The upstream's status.
///
/// # Errors
/// The fault by its name; `None` where there is no call to make.
pub async fn probe(app: &App, credential: &Credential) -> Result<u16, Option<&'static str>> {
    let target = target(credential).ok_or(None)?;
    let provider = target.provider.ok_or(None)?;
    let probe = provider.probe.as_ref().ok_or(None)?;
    let version = credential.version.as_ref().ok_or(None)?;
    let url = join(&target.base, &probe.path, None).map_err(|_| Some("url_refused"))?;
    let value = open(app, credential, version).await.map_err(|reason| Some(reason.as_str()))?;
    let bearer = match &*value {
        CredentialValue::OauthClientCredentials { .. } => {
            let now = app.clock.now();
            let token = app.upstream_tokens.find(&app.upstreams, &version.id, &value, now).await;
            Some(token.map_err(|fault| Some(fault.as_str()))?)
        }
        _ => None,
    };
    let headers = injection(&credential.spec, Some(provider), &value, bearer.as_ref());
    let (inject, mask) = headers.ok_or(Some("injection"))?;
    let timeouts = Timeouts { head: TIMEOUT, idle: TIMEOUT, total: TIMEOUT };
    let forward = Forward { inject, mask, timeouts, ..Forward::new(probe.method.clone(), url) };
    // The body is dropped unread: its status says it all.
    app.upstreams.forward(forward).await.map(|answer| answer.status.as_u16()).map_err(|fault| Some(fault.as_str()))
}
