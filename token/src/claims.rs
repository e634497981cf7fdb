//! The access token (RFC 9068 section 2.2, with `act`, `lineage`, `env`, `budget` and
//! `authorization_details`).
//!
//! Written with a fixed member order, so that a fixed clock and key give a stable
//! token; read strictly, so that a token with a missing, mistyped or malformed
//! claim is no token at all. Signatures are not this module's business.

use crate::budget::TokenLine;
use crate::chain::{ActorChain, ChainError, MayAct};
use crate::constraint::CredentialRelease;
use crate::context::{Confirmation, StatusReference, UserContext};
use crate::json::{JsonError, date_member, str_member, string_or_array_member};
use crate::lineage::{Lineage, MAX_ANCESTORS};
use crate::{Audience, ScopeSet, Timestamp};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

/// Audiences one token may name.
pub const MAX_AUDIENCES: usize = 8;
/// A claims set longer than this is not issued: in base64, with a header and the longest signature
/// (RSA), it makes a token of just under 4 KiB.
pub const MAX_CLAIMS_BYTES: usize = 2688;

/// Where an agent lives. A token never crosses from one to the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    Sandbox,
    Live,
}

impl Environment {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Live => "live",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "sandbox" => Some(Self::Sandbox),
            "live" => Some(Self::Live),
            _ => None,
        }
    }
}

/// Why a claims set is not an access token of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClaimsError {
    #[error("a required claim is missing")]
    Missing,
    #[error("a claim has the wrong type or form")]
    Malformed,
}

impl From<JsonError> for ClaimsError {
    fn from(_: JsonError) -> Self {
        Self::Malformed
    }
}

impl From<ChainError> for ClaimsError {
    fn from(_: ChainError) -> Self {
        Self::Malformed
    }
}

/// The claims of an access token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessToken {
    pub iss: String,
    pub sub: String,
    /// `ai_agent` where the subject is an agent.
    pub sub_profile: Option<String>,
    pub client_id: String,
    pub aud: Vec<Audience>,
    pub scope: ScopeSet,
    pub jti: String,
    pub lineage: Lineage,
    pub iat: Timestamp,
    pub exp: Timestamp,
    pub env: Environment,
    pub act: ActorChain,
    pub may_act: Option<MayAct>,
    /// How the user whose authority this is authenticated; of an agent's own token, nothing.
    pub user: UserContext,
    /// The key its presenter must prove to have; without one it is a bearer token.
    pub cnf: Option<Confirmation>,
    /// Where its status is published.
    pub status: Option<StatusReference>,
    /// What it may spend from. An empty list is no budget, for its descendants as well;
    /// without one, a descendant may get a budget of whoever pays.
    pub budget: Option<Vec<TokenLine>>,
    /// Which credentials it is for, and within what (RFC 9396 section 9.1): a ceiling, for its
    /// descendants as well. An empty list is none; without one, grants and scope alone decide.
    pub authorization_details: Option<Vec<CredentialRelease>>,
}

impl AccessToken {
    /// Reads verified claims.
    ///
    /// # Errors
    /// [`ClaimsError`] when one that RFC 9068 section 2.2 requires is missing, or any
    /// that we know has the wrong form.
    pub fn from_claims(claims: &Map<String, Value>) -> Result<Self, ClaimsError> {
        let text = |name| -> Result<String, ClaimsError> {
            let value = str_member(claims, name)?.ok_or(ClaimsError::Missing)?;
            if value.is_empty() { Err(ClaimsError::Malformed) } else { Ok(value.to_owned()) }
        };
        let date = |name| -> Result<Timestamp, ClaimsError> { date_member(claims, name)?.ok_or(ClaimsError::Missing) };
        let aud = string_or_array_member(claims, "aud", MAX_AUDIENCES)?.ok_or(ClaimsError::Missing)?;
        let aud = aud
            .into_iter()
            .map(|uri| Audience::parse(uri).map_err(|_| ClaimsError::Malformed))
            .collect::<Result<Vec<_>, _>>()?;
        let scope = match str_member(claims, "scope")? {
            Some(scope) => ScopeSet::parse(scope).map_err(|_| ClaimsError::Malformed)?,
            None => ScopeSet::default(),
        };
        let token = Self {
            iss: text("iss")?,
            sub: text("sub")?,
            sub_profile: str_member(claims, "sub_profile")?.map(str::to_owned),
            client_id: text("client_id")?,
            aud,
            scope,
            jti: text("jti")?,
            lineage: read_lineage(claims)?,
            iat: date("iat")?,
            exp: date("exp")?,
            env: Environment::parse(&text("env")?).ok_or(ClaimsError::Malformed)?,
            act: claims.get("act").map(ActorChain::from_json).transpose()?.unwrap_or_default(),
            may_act: claims.get("may_act").map(MayAct::from_json).transpose()?,
            user: UserContext::from_claims(claims)?,
            cnf: claims.get("cnf").map(Confirmation::from_json).transpose()?,
            status: claims.get("status").map(StatusReference::from_json).transpose()?,
            budget: claims.get("budget").map(TokenLine::parse_claim).transpose()?,
            authorization_details: claims
                .get("authorization_details")
                .map(CredentialRelease::parse_claim)
                .transpose()?,
        };
        if token.counts_along_its_lineage() { Ok(token) } else { Err(ClaimsError::Malformed) }
    }

    /// Whether every limit is counted under this token or an ancestor, the oldest first: under
    /// another's id it would not stop those that it is for.
    fn counts_along_its_lineage(&self) -> bool {
        let chain = || self.lineage.tokens.iter().chain([&self.jti]);
        let place = |jti: &str| chain().position(|of_chain| of_chain == jti);
        self.authorization_details.iter().flatten().all(|release| {
            let places: Vec<_> = release.counted().iter().map(|entry| place(entry.jti())).collect();
            places.iter().all(Option::is_some) && places.is_sorted()
        })
    }

    /// The clients through whose hands the authority came: this token's client and
    /// those of its ancestors. Each must be in good standing.
    pub fn parties(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.client_id.as_str())
            .chain(self.lineage.clients.iter().map(String::as_str).filter(|client| *client != self.client_id))
    }
}

fn read_lineage(claims: &Map<String, Value>) -> Result<Lineage, ClaimsError> {
    let list = |name| -> Result<Vec<String>, ClaimsError> {
        match claims.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) if !items.is_empty() && items.len() <= MAX_ANCESTORS => {
                items.iter().map(|item| item.as_str().map(str::to_owned).ok_or(ClaimsError::Malformed)).collect()
            }
            Some(_) => Err(ClaimsError::Malformed),
        }
    };
    let lineage = Lineage { tokens: list("lineage")?, clients: list("lineage_clients")? };
    // One without the other would let a descendant outlive its ancestors' clients.
    if lineage.tokens.is_empty() != lineage.clients.is_empty() {
        return Err(ClaimsError::Malformed);
    }
    Ok(lineage)
}

impl AccessToken {
    fn serialize_context<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let UserContext { idp, auth_time, acr, amr } = &self.user;
        if let Some(idp) = idp {
            map.serialize_entry("idp", idp)?;
        }
        if let Some(auth_time) = auth_time {
            map.serialize_entry("auth_time", auth_time)?;
        }
        if let Some(acr) = acr {
            map.serialize_entry("acr", acr)?;
        }
        if !amr.is_empty() {
            map.serialize_entry("amr", amr)?;
        }
        if let Some(cnf) = &self.cnf {
            map.serialize_entry("cnf", &cnf.to_json())?;
        }
        if let Some(status) = &self.status {
            map.serialize_entry("status", &status.to_json())?;
        }
        Ok(())
    }
}

impl Serialize for AccessToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("iss", &self.iss)?;
        map.serialize_entry("sub", &self.sub)?;
        if let Some(profile) = &self.sub_profile {
            map.serialize_entry("sub_profile", profile)?;
        }
        map.serialize_entry("client_id", &self.client_id)?;
        match self.aud.as_slice() {
            [only] => map.serialize_entry("aud", only)?,
            several => map.serialize_entry("aud", several)?,
        }
        if !self.scope.is_empty() {
            map.serialize_entry("scope", &self.scope.to_string())?;
        }
        map.serialize_entry("jti", &self.jti)?;
        if !self.lineage.tokens.is_empty() {
            map.serialize_entry("lineage", &self.lineage.tokens)?;
            map.serialize_entry("lineage_clients", &self.lineage.clients)?;
        }
        map.serialize_entry("iat", &self.iat)?;
        map.serialize_entry("exp", &self.exp)?;
        map.serialize_entry("env", &self.env)?;
        if let Some(act) = self.act.to_json() {
            map.serialize_entry("act", &act)?;
        }
        if let Some(may_act) = &self.may_act {
            map.serialize_entry("may_act", &may_act.to_json())?;
        }
        self.serialize_context(&mut map)?;
        if let Some(budget) = &self.budget {
            map.serialize_entry("budget", budget)?;
        }
        if let Some(details) = &self.authorization_details {
            map.serialize_entry("authorization_details", details)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests;
