//! The CLI as an ordinary OAuth client: metadata, client credentials by the `oauth2` crate,
//! token exchange, introspection and revocation as plain forms.

use super::error::CliError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth2::basic::{BasicClient, BasicErrorResponse};
use oauth2::{
    AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, RequestTokenError, Scope, StandardErrorResponse,
    TokenResponse, TokenUrl,
};
use reqwest::{Client, Response};
use serde::Deserialize;
use serde_json::{Map, Value};
use stipend_keys::Secret;

/// Longest answer that is read.
pub const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// What the CLI needs of the metadata (RFC 8414 section 2).
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    pub issuer: String,
    pub token_endpoint: String,
    pub introspection_endpoint: String,
    pub revocation_endpoint: String,
    pub jwks_uri: String,
}

/// Why a request to the server got no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpFault {
    #[error("{0}")]
    Send(String),
    #[error("the answer is larger than 16 MiB")]
    TooLarge,
    #[error("the request is malformed")]
    Request,
}

impl From<HttpFault> for CliError {
    fn from(fault: HttpFault) -> Self {
        match fault {
            HttpFault::Send(reason) => Self::unreachable(format!("the server can't be reached: {reason}")),
            HttpFault::TooLarge | HttpFault::Request => Self::failed("http", fault.to_string()),
        }
    }
}

impl From<reqwest::Error> for HttpFault {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Send("no answer in time".to_owned());
        }
        // What lies above the cause says only "error sending request".
        let mut cause: &dyn std::error::Error = &error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        Self::Send(cause.to_string())
    }
}

/// A bounded body.
pub async fn read_body(mut response: Response) -> Result<Vec<u8>, HttpFault> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len().saturating_add(chunk.len()) > MAX_ANSWER_BYTES {
            return Err(HttpFault::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Sends a request: status and JSON, `null` where there is none.
pub async fn send(http: &Client, request: reqwest::RequestBuilder) -> Result<(u16, Value), HttpFault> {
    let response = http.execute(request.build().map_err(|_| HttpFault::Request)?).await?;
    let status = response.status().as_u16();
    let body = read_body(response).await?;
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

/// The issuer's metadata, which must name the issuer asked for (RFC 8414 section 3.3).
pub async fn discover(http: &Client, issuer: &str) -> Result<Metadata, CliError> {
    let url = format!("{issuer}/.well-known/oauth-authorization-server");
    let (status, body) = send(http, http.get(&url)).await?;
    if status != 200 {
        return Err(CliError::failed("no_metadata", format!("{url} answered {status}"))
            .hint("is --issuer (STIPEND_ISSUER) a Stipend server?"));
    }
    let metadata: Metadata = serde_json::from_value(body)
        .map_err(|_| CliError::failed("no_metadata", format!("{url} is not the metadata of a Stipend server")))?;
    if metadata.issuer != issuer {
        let message = format!("the server calls itself {}, not {issuer}", metadata.issuer);
        return Err(CliError::failed("other_issuer", message).hint("set STIPEND_ISSUER to the same text on both sides"));
    }
    Ok(metadata)
}

/// The members of a token's header or claims.
pub type Members = Map<String, Value>;

/// What a JWT's header and claims say, for showing: unverified, so nobody may rely on it.
#[must_use]
pub fn look_into(token: &Secret<String>) -> Option<(Members, Members)> {
    let mut parts = token.expose().split('.').map(|part| {
        let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
        serde_json::from_slice(&bytes).ok()
    });
    parts.next().flatten().zip(parts.next().flatten())
}

/// One request of the `oauth2` crate.
async fn carry(http: &Client, request: HttpRequest) -> Result<HttpResponse, HttpFault> {
    let request = reqwest::Request::try_from(request).map_err(|_| HttpFault::Request)?;
    let response = http.execute(request).await?;
    let mut answer = http::Response::builder().status(response.status());
    for (name, value) in response.headers() {
        answer = answer.header(name, value);
    }
    answer.body(read_body(response).await?).map_err(|_| HttpFault::Request)
}

/// A client credentials token (RFC 6749 section 4.4) for one resource (RFC 8707).
pub async fn client_credentials(
    http: &Client,
    token_endpoint: &str,
    client: (&str, &Secret<String>),
    wanted: Wanted<'_>,
) -> Result<Token, CliError> {
    let endpoint = TokenUrl::new(token_endpoint.to_owned())
        .map_err(|_| CliError::failed("no_metadata", "the token endpoint is not a URL"))?;
    let oauth = BasicClient::new(ClientId::new(client.0.to_owned()))
        .set_client_secret(ClientSecret::new(client.1.expose().clone()))
        .set_auth_type(AuthType::BasicAuth)
        .set_token_uri(endpoint);
    let mut request = oauth.exchange_client_credentials().add_scopes(wanted.scopes.iter().cloned().map(Scope::new));
    for resource in wanted.resources {
        request = request.add_extra_param("resource", resource);
    }
    if let Some(details) = wanted.details {
        request = request.add_extra_param("authorization_details", details);
    }
    let carrier = |request| carry(http, request);
    let answer = request.request_async(&carrier).await.map_err(refusal)?;
    Ok(Token {
        access_token: Secret::new(answer.access_token().secret().clone()),
        expires_in: answer.expires_in().map(|life| life.as_secs()),
        scope: answer.scopes().map(|scopes| scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")),
    })
}

/// What a token is asked to be. Nothing said is the client's default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    pub resources: &'a [String],
    pub scopes: &'a [String],
    /// `authorization_details` (RFC 9396).
    pub details: Option<&'a str>,
}

/// An access token as the CLI keeps it.
#[derive(Debug)]
pub struct Token {
    pub access_token: Secret<String>,
    pub expires_in: Option<u64>,
    pub scope: Option<String>,
}

fn refusal(error: RequestTokenError<HttpFault, BasicErrorResponse>) -> CliError {
    match error {
        RequestTokenError::ServerResponse(answer) => from_response(&answer),
        RequestTokenError::Request(fault) => fault.into(),
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            CliError::failed("unexpected_answer", "the token endpoint's answer is not one of RFC 6749")
        }
    }
}

fn from_response<T: oauth2::ErrorResponseType + std::fmt::Display>(answer: &StandardErrorResponse<T>) -> CliError {
    CliError::from_oauth(400, &answer.error().to_string(), answer.error_description().map(String::as_str))
}

/// Posts a form as a client (HTTP Basic, both parts form-encoded as RFC 6749 section 2.3.1
/// wants): the answer, or the refusal.
pub async fn form(
    http: &Client,
    url: &str,
    client: (&str, &Secret<String>),
    form: &[(&str, &str)],
) -> Result<Value, CliError> {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let request = http.post(url).basic_auth(encode(client.0), Some(encode(client.1.expose()))).form(form);
    let (status, body) = send(http, request).await?;
    if status == 200 {
        return Ok(body);
    }
    let text = |name| body.get(name).and_then(Value::as_str);
    Err(CliError::from_oauth(status, text("error").unwrap_or("unexpected_answer"), text("error_description")))
}
