//! The allowed exchange of the profile, as a request that rows then spoil.
//!
//! Owns the RFC 8693 names and the making of fresh subject and actor tokens.

use serde_json::Value;

use crate::check::{Miss, skip};
use crate::http::Request;
use crate::issuer::{Issued, Issuer};
use crate::jws::claims_of;
use crate::profile::Exchange;

pub(crate) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
pub(crate) const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
pub(crate) const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

impl Issuer {
    pub(crate) fn exchange(&self) -> Result<&Exchange, Miss> {
        match &self.profile.exchange {
            Some(section) => Ok(section),
            None => skip("the profile has no [exchange]"),
        }
    }

    pub(crate) async fn subject_token(&self) -> Result<Issued, Miss> {
        let x = self.exchange()?;
        let request = self.grant_for(&x.subject_client, &x.subject_resource, &x.subject_scope)?;
        self.issue(&request).await.map_err(|miss| miss.at("subject token"))
    }

    /// A token of the client itself, where the profile says that one is sent.
    pub(crate) async fn actor_token(&self, client: &str) -> Result<Option<Issued>, Miss> {
        let Some(resource) = &self.exchange()?.actor_resource else {
            return Ok(None);
        };
        let request = self.grant_for(client, resource, self.scope_of(resource)?)?;
        let token = self.issue(&request).await.map_err(|miss| miss.at("actor token"))?;
        Ok(Some(token))
    }

    /// The target of the allowed exchange.
    pub(crate) fn target(&self) -> Result<&str, Miss> {
        Ok(&self.resource(&self.exchange()?.audience)?.uri)
    }

    /// An exchange of `subject` by `client`, without actor token.
    pub(crate) fn exchange_as(&self, client: &str, subject: &str) -> Result<Request, Miss> {
        let x = self.exchange()?;
        let request = self
            .token()?
            .with("grant_type", TOKEN_EXCHANGE)
            .with("subject_token", subject)
            .with("subject_token_type", ACCESS_TOKEN)
            .with("audience", self.target()?)
            .with("scope", &x.scope);
        self.sign_in(request, self.client(client)?)
    }

    /// The same, with the client's own token as actor token.
    pub(crate) async fn delegation(&self, client: &str, subject: &str) -> Result<Request, Miss> {
        let request = self.exchange_as(client, subject)?;
        Ok(match self.actor_token(client).await? {
            Some(actor) => request.with("actor_token", &actor.token).with("actor_token_type", ACCESS_TOKEN),
            None => request,
        })
    }

    /// The allowed exchange, with fresh tokens.
    pub(crate) async fn allowed(&self) -> Result<Request, Miss> {
        let subject = self.subject_token().await?;
        self.delegation(&self.exchange()?.actor_client, &subject.token).await
    }

    /// The same request, signed in anew: a client assertion serves once.
    pub(crate) fn again(&self, request: &Request, client: &str) -> Result<Request, Miss> {
        let bare = request
            .clone()
            .without("client_assertion")
            .without("client_assertion_type")
            .without("client_id")
            .without("client_secret")
            .without_header("authorization");
        self.sign_in(bare, self.client(client)?)
    }

    /// Subject token and the token it was exchanged for.
    pub(crate) async fn exchanged(&self) -> Result<(Issued, Issued), Miss> {
        let subject = self.subject_token().await?;
        let request = self.delegation(&self.exchange()?.actor_client, &subject.token).await?;
        let child = self.issue(&request).await.map_err(|miss| miss.at("exchange"))?;
        Ok((subject, child))
    }

    /// The child of a child: the first client of the profile's chain hands on.
    pub(crate) async fn grandchild(&self, child: &str) -> Result<Issued, Miss> {
        let Some(client) = self.exchange()?.chain.first() else {
            return skip("the profile has no exchange.chain");
        };
        let request = self.delegation(client, child).await?;
        self.issue(&request).await.map_err(|miss| miss.at("second exchange"))
    }

    /// The introspection of a token for the exchange's audience.
    pub(crate) fn introspect_child(&self, token: &str) -> Result<Request, Miss> {
        let asking = match &self.exchange()?.introspection_client {
            Some(client) => client,
            None => &self.introspection()?.client,
        };
        self.introspect_as(asking, token)
    }

    /// The claims of an exchanged token: its own, or by introspection.
    pub(crate) async fn child_claims(&self, child: &Issued) -> Result<Value, Miss> {
        match claims_of(&child.token) {
            Some(claims) => Ok(claims),
            None => Ok(self.introspect_child(&child.token)?.send().await?.json),
        }
    }
}
