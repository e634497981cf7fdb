//! Those who take part: each holds its own credentials and talks HTTP.

use super::DemoError;
use crate::cli::oauth::{self, Metadata, Wanted};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use stipend_keys::Secret;

/// A client with its secret.
#[derive(Debug)]
pub(super) struct Party {
    pub id: String,
    pub secret: Secret<String>,
}

/// The world outside the server.
#[derive(Debug)]
pub(super) struct Outside {
    pub http: Client,
    pub metadata: Metadata,
    admin_token: Secret<String>,
}

impl Outside {
    pub async fn new(issuer: &str, admin: &Party) -> Result<Self, DemoError> {
        let http = crate::cli::connect::client(issuer, None)?;
        let metadata = oauth::discover(&http, issuer).await?;
        let resource = [format!("{issuer}/admin")];
        let client = (admin.id.as_str(), &admin.secret);
        let wanted = Wanted { resources: &resource, ..Wanted::default() };
        let token = oauth::client_credentials(&http, &metadata.token_endpoint, client, wanted).await?;
        Ok(Self { http, metadata, admin_token: token.access_token })
    }

    /// A call of the admin API that must succeed.
    pub async fn admin(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, DemoError> {
        let url = format!("{}/admin/v1{path}", self.metadata.issuer);
        let mut request = self.http.request(method, url).bearer_auth(self.admin_token.expose());
        if let Some(body) = body {
            request = request.json(body);
        }
        let (status, answer) = oauth::send(&self.http, request).await.map_err(crate::cli::error::CliError::from)?;
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        Err(DemoError::Unexpected(format!("{path} answered {status}: {answer}")))
    }

    /// Registers a client and takes its secret from the one answer that has it.
    pub async fn register(&self, name: &str, kind: &str, purpose: &str, access: Value) -> Result<Party, DemoError> {
        let body = json!({
            "owner": "acme", "name": name, "kind": kind, "purpose": purpose,
            "auth_method": "client_secret_basic", "access": access,
        });
        let created = self.admin(Method::POST, "/agents", Some(&body)).await?;
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Party {
            id: text(created.get("agent").and_then(|agent| agent.get("id"))),
            secret: Secret::new(text(created.get("client_secret"))),
        })
    }

    /// Client credentials by the `oauth2` crate.
    pub async fn token(&self, party: &Party, scopes: &[String]) -> Result<Secret<String>, DemoError> {
        let client = (party.id.as_str(), &party.secret);
        let wanted = Wanted { scopes, ..Wanted::default() };
        Ok(oauth::client_credentials(&self.http, &self.metadata.token_endpoint, client, wanted).await?.access_token)
    }

    /// A form post as a client: status and body, whatever they are.
    pub async fn post(&self, url: &str, party: &Party, form: &[(&str, &str)]) -> Result<(u16, Value), DemoError> {
        let request = self.http.post(url).basic_auth(&party.id, Some(party.secret.expose())).form(form);
        Ok(oauth::send(&self.http, request).await.map_err(crate::cli::error::CliError::from)?)
    }

    /// A token exchange (RFC 8693): status and body.
    pub async fn exchange(
        &self,
        party: &Party,
        subject: &Secret<String>,
        actor: Option<&Secret<String>>,
        (scope, details): (&str, Option<&Value>),
    ) -> Result<(u16, Value), DemoError> {
        let mut form = vec![
            ("grant_type", oauth::TOKEN_EXCHANGE),
            ("subject_token", subject.expose().as_str()),
            ("subject_token_type", oauth::ACCESS_TOKEN),
            ("scope", scope),
        ];
        if let Some(actor) = actor {
            form.extend([("actor_token", actor.expose().as_str()), ("actor_token_type", oauth::ACCESS_TOKEN)]);
        }
        let details = details.map(Value::to_string);
        form.extend(details.as_deref().map(|details| ("authorization_details", details)));
        self.post(&self.metadata.token_endpoint, party, &form).await
    }

    pub async fn introspect(&self, party: &Party, token: &Secret<String>) -> Result<Value, DemoError> {
        Ok(self.post(&self.metadata.introspection_endpoint, party, &[("token", token.expose())]).await?.1)
    }
}

/// The claims of a token, for showing: nobody relies on this.
pub(super) fn claims(token: &Secret<String>) -> Value {
    oauth::look_into(token).map_or(Value::Null, |(_, claims)| claims.into())
}
