//! Identity assertion grants issued here, for another authorization server
//! (draft-ietf-oauth-identity-assertion-authz-grant): what is asked for, and what a rule makes
//! of it.
//!
//! A grant is issued like a token: by the same decision, recorded and committed before it is
//! signed. No budget and no ceiling on credentials goes along, because both mean something only
//! here; what the other server makes of the grant is its own business.

use crate::federation::Vouched;
use crate::form::Params;
use crate::limits::MAX_TARGETS;
use crate::reason::Reason;
use crate::records::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stipend_token::id_jag::{Abroad, IdJag, MAX_GRANT_SECONDS};
use stipend_token::{AccessToken, Audience};

pub const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// What a request for a grant names: the other server, and resources there.
#[derive(Debug)]
pub(super) struct Wanted {
    pub server: Audience,
    pub resources: Vec<Audience>,
}

impl Wanted {
    /// `audience` is the other server's issuer, once; `resource` is what is meant there.
    pub fn read(params: &Params) -> Result<Self, Reason> {
        let mut named = params.all("audience");
        let (Some(server), None) = (named.next(), named.next()) else { return Err(Reason::GrantServer) };
        let server = Audience::parse(server).map_err(|_| Reason::UnknownTarget)?;
        if params.one("authorization_details").is_some() {
            return Err(Reason::DetailsAbroad);
        }
        let mut resources = Vec::new();
        for uri in params.all("resource") {
            let resource = Audience::parse(uri).map_err(|_| Reason::MalformedTarget)?;
            if !resources.contains(&resource) {
                resources.push(resource);
            }
            if resources.len() > MAX_TARGETS {
                return Err(Reason::TooManyTargets);
            }
        }
        Ok(Self { server, resources })
    }
}

/// What a grant says beside who and which scopes: where it leads, and as whom.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Leaving {
    issuer: String,
    client_id: String,
    resources: Vec<String>,
}

impl Leaving {
    /// By the rule that was used; nothing where that does not name a resource that was asked for.
    pub(super) fn by(rule: &Abroad, client_id: &str, wanted: &Wanted) -> Option<Self> {
        let resources = rule.named(&wanted.resources)?;
        let client_id = rule.client_id.clone().unwrap_or_else(|| client_id.to_owned());
        Some(Self { issuer: rule.issuer.clone(), client_id, resources })
    }

    /// For the record.
    pub(super) fn describe(&self) -> Value {
        json!({"issuer": self.issuer, "client_id": self.client_id, "resources": self.resources})
    }

    /// When what is issued at `now` and would end at `exp` ends as a grant.
    pub(super) fn end(now: i64, exp: i64) -> i64 {
        exp.min(now.saturating_add(MAX_GRANT_SECONDS))
    }

    /// The grant, from the claims on record.
    pub(super) fn grant(&self, claims: &AccessToken) -> IdJag {
        IdJag {
            iss: claims.iss.clone(),
            sub: claims.sub.clone(),
            aud: self.issuer.clone(),
            client_id: self.client_id.clone(),
            jti: claims.jti.clone(),
            iat: claims.iat,
            exp: claims.exp,
            resources: self.resources.clone(),
            scope: claims.scope.clone(),
            user: claims.user.clone(),
            act: claims.act.clone(),
            cnf: claims.cnf.clone(),
        }
    }
}

/// draft-ietf-oauth-identity-assertion-authz-grant, section 4.3.3: a foreign identity assertion
/// was made for the very client that takes it further, under its id here or one that it is
/// registered with.
pub(super) fn is_made_for(client: &Client, vouched: &Vouched) -> bool {
    let names_client = |aud: &String| client.is_called(aud) || client.settings.id_token_audiences.contains(aud);
    !vouched.aud.is_empty() && vouched.aud.iter().all(names_client)
}
