//! What a registered client may have, and what of it is wanted: pure.
//!
//! The bounds begin as the registration token's template. What an admin changes about the client
//! later becomes the bound from then on, so that no update takes it back.

use super::metadata::{Said, Wanted};
use super::proof::Proof;
use super::template::Template;
use crate::reason::Reason;
use crate::records::ClientSettings;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use stipend_token::ScopeSet;
use stipend_token::access::AccessEntry;
use stipend_token::details::DETAILS_TYPES;

/// What is kept of a registration beside the client itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Stored {
    pub said: Said,
    pub bounds: Given,
    /// What the registration last made of the client: if the client differs, an admin did that.
    pub made: Given,
}

/// Members of a client that its registration decides.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Given {
    pub scope_ceiling: Option<ScopeSet>,
    pub settings: ClientSettings,
}

impl Given {
    /// The bounds of a new client.
    pub fn of(template: &Template) -> Self {
        let settings = ClientSettings { grant_types: Some(template.grant_types.clone()), ..template.settings.clone() };
        Self { scope_ceiling: None, settings }
    }
}

impl Stored {
    /// The bounds as they are now, for a client that is `now`.
    pub fn bounds_now(&self, now: &Given) -> Given {
        let mut bounds = self.bounds.clone();
        if now.scope_ceiling != self.made.scope_ceiling {
            bounds.scope_ceiling.clone_from(&now.scope_ceiling);
        }
        if now.settings != self.made.settings {
            bounds.settings.clone_from(&now.settings);
        }
        bounds
    }
}

/// All scopes that a client has anywhere, as RFC 7591 section 2 writes them.
pub(super) fn scopes_of(access: &[AccessEntry], ceiling: Option<&ScopeSet>) -> String {
    let all = access.iter().flat_map(|entry| entry.scopes.iter());
    let within: BTreeSet<&str> = all.filter(|scope| ceiling.is_none_or(|ceiling| ceiling.contains(scope))).collect();
    within.into_iter().collect::<Vec<_>>().join(" ")
}

/// What is wanted, if it is within the bounds. What the client proves itself by knows none.
pub(super) fn admit(bounds: &Given, access: &[AccessEntry], wanted: &Wanted, proof: &Proof) -> Result<Given, Reason> {
    let mut given = bounds.clone();
    proof.apply(&mut given.settings);
    if let Some(scope) = &wanted.scope {
        let within = |scope: &str| {
            access.iter().any(|entry| entry.scopes.contains(scope))
                && bounds.scope_ceiling.as_ref().is_none_or(|ceiling| ceiling.contains(scope))
        };
        if !scope.iter().all(within) {
            return Err(Reason::MetadataScope);
        }
        given.scope_ceiling = Some(scope.clone());
    }
    if let Some(grants) = &wanted.grant_types {
        if !grants.iter().all(|grant| bounds.settings.may_use(grant)) {
            return Err(Reason::MetadataGrantTypes);
        }
        given.settings.grant_types = Some(grants.clone());
    }
    if let Some(types) = &wanted.details_types {
        let known = |name: &String| DETAILS_TYPES.contains(&name.as_str()) && bounds.settings.may_ask(name);
        if !types.iter().all(known) {
            return Err(Reason::MetadataDetailsTypes);
        }
        given.settings.authorization_details_types = Some(types.clone());
    }
    // Only on: what the bounds bind is bound whatever is said.
    given.settings.dpop_bound_access_tokens |= wanted.dpop_bound;
    given.settings.tls_client_certificate_bound_access_tokens |= wanted.certificate_bound;
    Ok(given)
}
