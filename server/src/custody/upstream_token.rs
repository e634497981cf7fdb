//! Tokens of upstreams that speak OAuth themselves: fetched by their client credentials grant
//! (RFC 6749 section 4.4), kept until shortly before they end, and never shown to an agent.

use super::value::CredentialValue;
use crate::limits::MAX_OPENED_VALUES;
use crate::proxy::{Forward, RequestBody, Timeouts, UpstreamFault, Upstreams};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use moka::future::Cache;
use std::sync::Arc;
use std::time::Duration;
use stipend_keys::Secret;
use stipend_token::constraint::Method;
use stipend_token::json::{self, Limits};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

/// Longest answer of a token endpoint.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Longest wait for one.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A token is fetched anew this long before it ends.
const EARLY_SECONDS: i64 = 30;
/// Life of a token of which nothing is said, and the longest that is believed.
const DEFAULT_SECONDS: i64 = 300;
const MAX_SECONDS: i64 = 86_400;
/// Longest token that is put into a header.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

#[derive(Debug)]
struct Fetched {
    token: Secret<String>,
    /// Seconds.
    good_until: i64,
}

/// One token for each version of a credential that gets one.
#[derive(Debug)]
pub struct UpstreamTokens {
    fetched: Cache<String, Arc<Fetched>>,
}

impl Default for UpstreamTokens {
    fn default() -> Self {
        Self { fetched: Cache::new(MAX_OPENED_VALUES) }
    }
}

impl UpstreamTokens {
    /// The token for a version, fetched by one however many ask.
    ///
    /// # Errors
    /// [`UpstreamFault`] of the token endpoint.
    pub(super) async fn find(
        &self,
        upstreams: &Upstreams,
        version: &str,
        value: &CredentialValue,
        now: i64,
    ) -> Result<Secret<String>, UpstreamFault> {
        if let Some(known) = self.fetched.get(version).await {
            if now < known.good_until {
                return Ok(Secret::new(known.token.expose().clone()));
            }
            self.fetched.invalidate(version).await;
        }
        let fetched = self.fetched.try_get_with(version.to_owned(), async { fetch(upstreams, value, now).await });
        let fetched = fetched.await.map_err(|fault| *fault)?;
        Ok(Secret::new(fetched.token.expose().clone()))
    }

    /// Forgets the token of a version: the upstream did not take it.
    pub(super) async fn forget(&self, version: &str) {
        self.fetched.invalidate(version).await;
    }
}

async fn fetch(upstreams: &Upstreams, value: &CredentialValue, now: i64) -> Result<Arc<Fetched>, UpstreamFault> {
    let CredentialValue::OauthClientCredentials { token_url, client_id, client_secret, scope } = value else {
        return Err(UpstreamFault::Injection);
    };
    let url = Url::parse(token_url).map_err(|_| UpstreamFault::UrlRefused)?;
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if let Some(scope) = scope {
        form.append_pair("scope", scope);
    }
    // RFC 6749 section 2.3.1: both halves are form-encoded before they are put together.
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = STANDARD.encode(format!("{}:{}", encoded(client_id), encoded(client_secret)));
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let method = Method::parse("POST").map_err(|_| UpstreamFault::UrlRefused)?;
    let answer = upstreams
        .forward(Forward {
            headers,
            body: RequestBody::Whole(Bytes::from(form.finish())),
            inject: vec![(AUTHORIZATION, Secret::new(format!("Basic {pair}")))],
            timeouts: Timeouts { head: TIMEOUT, idle: TIMEOUT, total: TIMEOUT },
            ..Forward::new(method, url)
        })
        .await?;
    if answer.status != StatusCode::OK {
        return Err(UpstreamFault::Protocol);
    }
    let mut body = answer.body;
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(UpstreamFault::Protocol);
        }
        bytes.extend_from_slice(&chunk);
    }
    read(&bytes, now).map(Arc::new).ok_or(UpstreamFault::Protocol)
}

/// RFC 6749 section 5.1, strictly: a bearer token and how long it lives.
fn read(body: &[u8], now: i64) -> Option<Fetched> {
    let map = json::parse_object(body, Limits { max_bytes: MAX_ANSWER_BYTES, max_depth: 8 }).ok()?;
    let token = map.get("access_token")?.as_str()?;
    let bearer =
        map.get("token_type").and_then(|kind| kind.as_str()).is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
    let plain =
        !token.is_empty() && token.len() <= MAX_TOKEN_BYTES && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !bearer || !plain {
        return None;
    }
    let seconds = match map.get("expires_in") {
        None => DEFAULT_SECONDS,
        Some(seconds) => seconds.as_i64().filter(|seconds| *seconds > 0)?.min(MAX_SECONDS),
    };
    let good_until = now.saturating_add(seconds.saturating_sub(EARLY_SECONDS).max(1));
    Some(Fetched { token: Secret::new(token.to_owned()), good_until })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_with_a_sane_life_is_taken() {
        let good = read(br#"{"access_token":"t1","token_type":"Bearer","expires_in":100}"#, 1000).unwrap();
        assert_eq!((good.token.expose().as_str(), good.good_until), ("t1", 1070));
        assert_eq!(read(br#"{"access_token":"t","token_type":"bearer"}"#, 0).unwrap().good_until, 270);
        assert_eq!(
            read(br#"{"access_token":"t","token_type":"bearer","expires_in":9e9}"#, 0).map(|f| f.good_until),
            None
        );
        for bad in [
            r#"{"access_token":"t"}"#,
            r#"{"access_token":"","token_type":"bearer"}"#,
            r#"{"access_token":"a b","token_type":"bearer"}"#,
            r#"{"access_token":"a\r\nx: y","token_type":"bearer"}"#,
            r#"{"access_token":"t","access_token":"u","token_type":"bearer"}"#,
            r#"{"access_token":"t","token_type":"DPoP"}"#,
            r#"{"access_token":"t","token_type":"bearer","expires_in":0}"#,
            r#"{"access_token":"t","token_type":"bearer","expires_in":"5"}"#,
            "[]",
        ] {
            assert!(read(bad.as_bytes(), 0).is_none(), "{bad}");
        }
    }
}
