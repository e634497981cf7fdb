//! A person who administers this server: a token of an issuer that is trusted for it, made for
//! the admin API, and the roles that its claims give.
//!
//! The token is verified at each request and nothing of it is kept, so that what is revoked,
//! switched off or mapped otherwise counts at once. A token that was made for anything else,
//! above all one that an agent holds as a subject token, lets nobody in.

use super::caller::invalid;
use super::problem::Refusal;
use crate::app::App;
use crate::federation::{ForeignFault, ForeignKind, Issuer, IssuerUse, verify};
use crate::records::RoleGrant;
use serde_json::{Value, json};
use std::sync::Arc;
use stipend_keys::Unverified;
use stipend_schema::Dep;
use stipend_token::UserContext;
use stipend_token::json::string_or_array_member;

/// Values of `aud` that are read.
const MAX_AUDIENCES: usize = 32;

#[derive(Debug)]
pub struct Person {
    pub issuer: Arc<Issuer>,
    /// `user:<issuer>:<subject>`.
    pub subject: String,
    pub roles: Vec<RoleGrant>,
    pub user: UserContext,
    /// Whether the login is recent enough to change things.
    pub is_fresh: bool,
}

/// # Errors
/// 401 for a token that lets nobody in, whatever is wrong with it; 503 where nobody can tell now.
pub(super) async fn authenticate(app: &App, token: Unverified) -> Result<(Person, Vec<Dep>), Refusal> {
    let now = app.clock.now();
    let token =
        verify(app, token, IssuerUse::AdminLogin, ForeignKind::Jwt, now).await.map_err(|fault| match fault {
            ForeignFault::Unavailable | ForeignFault::KeysUnavailable => Refusal::unavailable(),
            ForeignFault::Malformed
            | ForeignFault::Kind
            | ForeignFault::UnknownIssuer
            | ForeignFault::Inactive
            | ForeignFault::Use
            | ForeignFault::Algorithm
            | ForeignFault::UnknownKey
            | ForeignFault::Signature
            | ForeignFault::Times
            | ForeignFault::Required
            | ForeignFault::Subject
            | ForeignFault::Revoked(_) => invalid(),
        })?;
    // No leeway: a person can log in again.
    let login = token.issuer.mapping.admin_login.as_ref().filter(|_| now < token.expires_at).ok_or_else(invalid)?;
    // OpenID Connect Core section 3.1.3.7: one that is for others as well could be sent by them.
    let Ok(Some(audience)) = string_or_array_member(&token.claims, "aud", MAX_AUDIENCES) else { return Err(invalid()) };
    let for_us = |one: &&str| **one == app.urls.admin_resource || login.audiences.iter().any(|known| known == *one);
    // Whoever acts for somebody is not that person.
    if audience.is_empty() || !audience.iter().all(for_us) || token.claims.contains_key("act") {
        return Err(invalid());
    }
    let person = Person {
        roles: login.roles_of(&token.claims, &token.issuer.owner_id),
        is_fresh: login.is_fresh(&token.user, now),
        issuer: Arc::clone(&token.issuer),
        subject: token.subject,
        user: token.user,
    };
    Ok((person, token.deps))
}

impl Person {
    /// What the audit says of who it was.
    #[must_use]
    pub fn describe(&self) -> Value {
        json!({
            "issuer": self.issuer.issuer, "subject": self.subject, "acr": self.user.acr,
            "auth_time": self.user.auth_time,
        })
    }
}
