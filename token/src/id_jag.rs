//! Leaving a domain and coming into one: what a rule says of another authorization server, and
//! the identity assertion grant that is presented there
//! (draft-ietf-oauth-identity-assertion-authz-grant).
//!
//! A grant says who somebody is and what may be asked for in the other domain. It is no access
//! token, carries no budget, and what comes of it is for the other server to decide.

use crate::context::{Confirmation, UserContext};
use crate::json::{JsonError, str_member, string_or_array_member};
use crate::{ActorChain, Audience, ScopeSet, Timestamp};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

/// Longest life of a grant that is issued here, in seconds: it is presented at once, once.
pub const MAX_GRANT_SECONDS: i64 = 300;
/// Resources of the other server that one rule, and one grant, may name.
pub const MAX_GRANT_RESOURCES: usize = 32;
/// Longest issuer and client id of the other server, in bytes.
pub const MAX_FOREIGN_ID_BYTES: usize = 512;

/// Another authorization server, as a rule knows it: where the rule's exchanges lead, as what
/// kind of token and under which name.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abroad {
    /// Its issuer identifier, to the byte: what it expects in `aud`.
    pub issuer: String,
    /// What the client is called there. Absent: as it is called here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Resources there that a grant may be for, as they are registered there. Empty: a grant
    /// names none, and the other server knows what it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
}

impl Abroad {
    /// Whether this can be the other server behind `audience`, and everything has the form that
    /// it must have.
    #[must_use]
    pub fn is_well_formed(&self, audience: &Audience) -> bool {
        let is_id = |id: &String| !id.is_empty() && id.len() <= MAX_FOREIGN_ID_BYTES && !id.contains(char::is_control);
        let parsed: Option<Vec<Audience>> = self.resources.iter().map(|uri| Audience::parse(uri).ok()).collect();
        is_id(&self.issuer)
            && Audience::parse(&self.issuer).as_ref() == Ok(audience)
            && self.client_id.iter().all(is_id)
            && self.resources.len() <= MAX_GRANT_RESOURCES
            && parsed.is_some_and(|parsed| each_once(&parsed))
    }

    /// The registered names of the resources that were asked for; nothing where one of them is
    /// not among those that the rule names.
    #[must_use]
    pub fn named(&self, asked: &[Audience]) -> Option<Vec<String>> {
        let registered =
            |wanted: &Audience| self.resources.iter().find(|uri| Audience::parse(uri).as_ref() == Ok(wanted)).cloned();
        asked.iter().map(registered).collect()
    }
}

fn each_once(uris: &[Audience]) -> bool {
    uris.iter().enumerate().all(|(at, uri)| !uris.iter().take(at).any(|before| before == uri))
}

/// The claims of a grant that is issued here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdJag {
    pub iss: String,
    pub sub: String,
    /// The other server's issuer identifier.
    pub aud: String,
    /// What the presenter is called there.
    pub client_id: String,
    pub jti: String,
    pub iat: Timestamp,
    pub exp: Timestamp,
    pub resources: Vec<String>,
    pub scope: ScopeSet,
    pub user: UserContext,
    /// Who acts for the subject. Where a token had it, what it is exchanged for has it too.
    pub act: ActorChain,
    /// The key that its presenter must prove to have.
    pub cnf: Option<Confirmation>,
}

impl Serialize for IdJag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("iss", &self.iss)?;
        map.serialize_entry("sub", &self.sub)?;
        map.serialize_entry("aud", &self.aud)?;
        map.serialize_entry("client_id", &self.client_id)?;
        map.serialize_entry("jti", &self.jti)?;
        map.serialize_entry("iat", &self.iat)?;
        map.serialize_entry("exp", &self.exp)?;
        match self.resources.as_slice() {
            [] => {}
            [only] => map.serialize_entry("resource", only)?,
            several => map.serialize_entry("resource", several)?,
        }
        map.serialize_entry("scope", &self.scope.to_string())?;
        if let Some(at) = self.user.auth_time {
            map.serialize_entry("auth_time", &at)?;
        }
        if let Some(acr) = &self.user.acr {
            map.serialize_entry("acr", acr)?;
        }
        if !self.user.amr.is_empty() {
            map.serialize_entry("amr", &self.user.amr)?;
        }
        if let Some(act) = self.act.to_json() {
            map.serialize_entry("act", &act)?;
        }
        if let Some(cnf) = &self.cnf {
            map.serialize_entry("cnf", &cnf.to_json())?;
        }
        map.end()
    }
}

/// What another server's grant says of what may be asked for with it. Who it is about and who
/// issued it is read elsewhere; its `act`, `may_act` and roles are another domain's, and are not
/// read at all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asserted {
    /// Exactly one.
    pub aud: String,
    pub client_id: Option<String>,
    pub jti: Option<String>,
    pub resources: Vec<Audience>,
    pub scope: Option<ScopeSet>,
    pub cnf: Option<Confirmation>,
}

impl Asserted {
    /// Reads verified claims.
    ///
    /// # Errors
    /// [`JsonError`] for a claim of the wrong form, and for an `aud` that is absent or names more
    /// than one: what is for others as well could be sent here by them.
    pub fn from_claims(claims: &Map<String, Value>) -> Result<Self, JsonError> {
        let wrong = |name| JsonError::Member { name, expected: "of the form that its standard gives it" };
        let text = |name| str_member(claims, name).map(|text| text.map(str::to_owned));
        let aud = string_or_array_member(claims, "aud", 1)?.unwrap_or_default();
        let [aud] = aud.as_slice() else { return Err(wrong("aud")) };
        let resources = string_or_array_member(claims, "resource", MAX_GRANT_RESOURCES)?.unwrap_or_default();
        let resources = resources.into_iter().map(|uri| Audience::parse(uri).map_err(|_| wrong("resource")));
        let scope = str_member(claims, "scope")?.map(ScopeSet::parse).transpose().map_err(|_| wrong("scope"))?;
        Ok(Self {
            aud: (*aud).to_owned(),
            client_id: text("client_id")?,
            jti: text("jti")?,
            resources: resources.collect::<Result<_, _>>()?,
            scope,
            cnf: claims.get("cnf").map(Confirmation::from_json).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests;
