//! A client that the run registers itself, and what it needs for that.

use serde_json::{Value, json};

use crate::check::{Miss, ensure, skip};
use crate::client::{basic, post};
use crate::http::{Reply, Request};
use crate::issuer::{CLIENT_CREDENTIALS, Issuer};
use crate::profile::Registration;

impl Issuer {
    pub(crate) fn registration(&self) -> Result<&Registration, Miss> {
        match &self.profile.registration {
            Some(registration) => Ok(registration),
            None => skip("the profile has no registration token"),
        }
    }

    /// A registration without a token.
    pub(crate) fn anonymous_registration(&self, metadata: &Value) -> Result<Request, Miss> {
        let request = self.http.form(self.endpoint("registration_endpoint")?);
        Ok(request.content_type("application/json").raw(metadata.to_string()))
    }

    /// A registration with the profile's token.
    pub(crate) fn register(&self, metadata: &Value) -> Result<Request, Miss> {
        let token = &self.registration()?.initial_access_token.0;
        Ok(self.anonymous_registration(metadata)?.header("authorization", &format!("Bearer {token}")))
    }

    /// A client of the plainest kind.
    pub(crate) async fn registered(&self) -> Result<Registered, Miss> {
        self.registered_as(plain()).await
    }

    pub(crate) async fn registered_as(&self, metadata: Value) -> Result<Registered, Miss> {
        let reply = self.register(&metadata)?.send().await?;
        ensure!(reply.status == 201, "{}", reply.brief());
        for member in ["client_id", "registration_access_token", "registration_client_uri"] {
            ensure!(reply.text(member).is_some_and(|text| !text.is_empty()), "no {member}");
        }
        Ok(Registered { reply })
    }
}

/// What a program that asks for tokens in its own name registers.
pub(crate) fn plain() -> Value {
    json!({"client_name": "conformance", "grant_types": [CLIENT_CREDENTIALS], "response_types": []})
}

/// The members of `more` laid over the plain registration.
pub(crate) fn plain_with(more: Value) -> Value {
    let mut all = plain();
    if let (Some(all), Some(more)) = (all.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    all
}

pub(crate) struct Registered {
    pub(crate) reply: Reply,
}

impl Registered {
    pub(crate) fn text(&self, member: &str) -> &str {
        self.reply.text(member).unwrap_or_default()
    }

    /// A request to its own registration, with its own token.
    pub(crate) fn manage(&self, issuer: &Issuer, method: &str) -> Request {
        self.manage_with(issuer, method, self.text("registration_access_token"))
    }

    pub(crate) fn manage_with(&self, issuer: &Issuer, method: &str, token: &str) -> Request {
        let request = issuer.http.get(self.text("registration_client_uri")).method(method);
        request.header("authorization", &format!("Bearer {token}"))
    }

    /// An update with its `client_id` and the members of `more`.
    pub(crate) fn update(&self, issuer: &Issuer, more: Value) -> Request {
        let mut metadata = plain_with(more);
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.entry("client_id").or_insert_with(|| json!(self.text("client_id")));
        }
        self.manage(issuer, "PUT").content_type("application/json").raw(metadata.to_string())
    }

    /// A token request in its own name, by the secret that it was given.
    pub(crate) async fn asks(&self, issuer: &Issuer) -> Result<Reply, Miss> {
        let Some(secret) = self.reply.text("client_secret") else {
            return skip("clients register without a secret");
        };
        let (request, id) = (issuer.bare_grant()?, self.text("client_id"));
        let request = match self.text("token_endpoint_auth_method") {
            "client_secret_post" => post(request, id, secret),
            _ => basic(request, id, secret),
        };
        request.send().await
    }
}
