//! Where a credential's calls go, and how its value is put into them.

use super::spec::CredentialSpec;
use super::value::CredentialValue;
use crate::proxy::prices::Prices;
use crate::proxy::templates::{Provider, find_provider};
use crate::records::Credential;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use http::header::AUTHORIZATION;
use stipend_keys::Secret;
use stipend_token::constraint::Host;
use url::Url;

/// The upstream of a credential.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub base: Url,
    pub host: Host,
    pub provider: Option<&'static Provider>,
}

/// `None` where the credential names no upstream.
pub(super) fn target(credential: &Credential) -> Option<Target> {
    let provider = credential.spec.template.as_deref().and_then(find_provider);
    let base = match &credential.spec.base_url {
        Some(text) => Url::parse(text).ok()?,
        None => provider?.base_url.clone()?,
    };
    let host = Host::parse(base.host_str()?).ok()?;
    Some(Target { base, host, provider })
}

/// The prices that calls are charged by, where they are metered.
pub(super) fn prices(spec: &CredentialSpec) -> Option<Prices> {
    let metering = spec.metering.as_ref()?;
    match &metering.prices {
        Some(own) => serde_json::from_value(own.clone()).ok(),
        None => spec.template.as_deref().and_then(find_provider).map(|provider| provider.prices.clone()),
    }
}

type Headers = Vec<(HeaderName, Secret<String>)>;

/// The headers to put in, and what must not come back. `bearer` is the upstream's own token,
/// where the value is what gets one.
pub(super) fn injection(
    spec: &CredentialSpec,
    provider: Option<&Provider>,
    value: &CredentialValue,
    bearer: Option<&Secret<String>>,
) -> Option<(Headers, Vec<Secret<String>>)> {
    let mut mask = value.secrets();
    let headers = match value {
        CredentialValue::ApiKey { key } => match (&spec.header, provider) {
            (Some(header), _) => {
                let text = Secret::new(format!("{}{key}", header.prefix));
                vec![(HeaderName::from_bytes(header.name.as_bytes()).ok()?, text)]
            }
            (None, Some(provider)) => provider.inject(&Secret::new(key.clone())),
            (None, None) => vec![(AUTHORIZATION, Secret::new(format!("Bearer {key}")))],
        },
        CredentialValue::Basic { username, password } => {
            let pair = STANDARD.encode(format!("{username}:{password}"));
            mask.push(Secret::new(pair.clone()));
            vec![(AUTHORIZATION, Secret::new(format!("Basic {pair}")))]
        }
        CredentialValue::OauthClientCredentials { .. } => {
            let token = bearer?;
            mask.push(Secret::new(token.expose().clone()));
            vec![(AUTHORIZATION, Secret::new(format!("Bearer {}", token.expose())))]
        }
        CredentialValue::Headers { headers } => {
            let header = |(name, text): (&String, &String)| {
                Some((HeaderName::from_bytes(name.as_bytes()).ok()?, Secret::new(text.clone())))
            };
            headers.iter().map(header).collect::<Option<_>>()?
        }
    };
    Some((headers, mask))
}
