//! The admin API as the CLI calls it: with a token of its own, got like any client gets one.

use super::connect::Connection;
use super::error::CliError;
use super::oauth::{self, Metadata};
use crate::admin::api::{BASE, audience};
use reqwest::{Client, Method};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use stipend_keys::Secret;
use tokio::sync::OnceCell;
use url::Url;

/// Items of one page.
const PAGE: &str = "200";
/// Items one listing shows at most.
pub const MAX_LISTED: usize = 10_000;

/// A session with one server.
#[derive(Debug)]
pub struct Api<'a> {
    pub connection: &'a Connection,
    pub http: Client,
    metadata: OnceCell<Metadata>,
    token: OnceCell<Secret<String>>,
}

impl<'a> Api<'a> {
    pub fn new(connection: &'a Connection) -> Result<Self, CliError> {
        Ok(Self { http: connection.http()?, connection, metadata: OnceCell::new(), token: OnceCell::new() })
    }

    pub async fn metadata(&self) -> Result<&Metadata, CliError> {
        self.metadata.get_or_try_init(|| oauth::discover(&self.http, &self.connection.issuer)).await
    }

    /// The token for the admin API: the one given, or one got now.
    pub async fn token(&self) -> Result<&Secret<String>, CliError> {
        self.token
            .get_or_try_init(|| async {
                if let Some(token) = self.connection.find_token()? {
                    return Ok(token);
                }
                let secret = self.connection.load_secret()?;
                let endpoint = &self.metadata().await?.token_endpoint;
                let client = (self.connection.client_id.as_str(), &secret);
                let resource = [audience(&self.connection.issuer)];
                let wanted = oauth::Wanted { resources: &resource, ..oauth::Wanted::default() };
                let token = oauth::client_credentials(&self.http, endpoint, client, wanted).await;
                Ok(token.map_err(|error| self.without_access(error))?.access_token)
            })
            .await
    }

    /// A client that is known, but not to the admin API.
    fn without_access(&self, error: CliError) -> CliError {
        if !matches!(error.code.as_str(), "invalid_target" | "invalid_scope") {
            return error;
        }
        let client = &self.connection.client_id;
        error.hint(format!("{client} has no access to the admin API: `stipend agent show {client}` as another admin"))
    }

    /// One call. `path` are segments, encoded here: an id is never more than one of them.
    pub async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Value, CliError> {
        let mut url = Url::parse(&format!("{}{BASE}", self.connection.issuer))
            .map_err(|_| CliError::usage("--issuer is not a URL"))?;
        // A URL has no such segments: the call would go somewhere else.
        if let Some(id) = path.iter().find(|id| matches!(**id, "" | "." | "..")) {
            return Err(CliError::usage(format!("{id:?} is no id")));
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url).bearer_auth(self.token().await?.expose());
        if let Some(body) = body {
            request = request.json(body);
        }
        let (status, answer) = oauth::send(&self.http, request).await?;
        if (200..300).contains(&status) { Ok(answer) } else { Err(CliError::from_problem(status, &answer)) }
    }

    pub async fn get(&self, path: &[&str]) -> Result<Value, CliError> {
        self.call(Method::GET, path, &[], None).await
    }

    pub async fn post(&self, path: &[&str], body: &impl Serialize) -> Result<Value, CliError> {
        self.call(Method::POST, path, &[], Some(&to_value(body)?)).await
    }

    pub async fn patch(&self, path: &[&str], body: &impl Serialize) -> Result<Value, CliError> {
        self.call(Method::PATCH, path, &[], Some(&to_value(body)?)).await
    }

    pub async fn delete(&self, path: &[&str]) -> Result<Value, CliError> {
        self.call(Method::DELETE, path, &[], None).await
    }

    /// All items of a list, page after page, up to [`MAX_LISTED`].
    pub async fn list(&self, path: &[&str]) -> Result<Vec<Value>, CliError> {
        self.list_of(path, &[]).await
    }

    /// Those of them that a query lets through.
    pub async fn list_of(&self, path: &[&str], of: &[(&str, String)]) -> Result<Vec<Value>, CliError> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        while items.len() < MAX_LISTED {
            let mut query = of.to_vec();
            query.push(("limit", PAGE.to_owned()));
            query.extend(after.take().map(|after| ("after", after)));
            let mut page = self.call(Method::GET, path, &query, None).await?;
            if let Some(Value::Array(found)) = page.get_mut("items").map(Value::take) {
                items.extend(found);
            }
            match page.get("next").and_then(Value::as_str) {
                Some(next) => after = Some(next.to_owned()),
                None => break,
            }
        }
        items.truncate(MAX_LISTED);
        Ok(items)
    }
}

fn to_value(body: &impl Serialize) -> Result<Value, CliError> {
    serde_json::to_value(body).map_err(|_| CliError::usage("the request can't be written as JSON"))
}

/// An answer as its type.
pub fn read<T: DeserializeOwned>(answer: &Value) -> Result<T, CliError> {
    serde_json::from_value(answer.clone()).map_err(|_| {
        CliError::failed("unexpected_answer", "the server's answer is not what this version of the CLI knows")
            .hint("use the same version on both sides, or --json")
    })
}
