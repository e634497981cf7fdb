//! Parameters that every grant shares: targets, scope, authorization details.

use crate::form::Params;
use crate::limits::MAX_TARGETS;
use crate::reason::Reason;
use stipend_token::budget::{Asked, DetailsError, parse_details};
use stipend_token::{Audience, ScopeSet};

/// `resource` and `audience`, in order, each once. Both name a registered resource by its
/// URI here, so they may be mixed (RFC 8693 section 2.1).
pub(super) fn targets(params: &Params) -> Result<Vec<Audience>, Reason> {
    let mut targets = Vec::new();
    let named = params.all("resource").map(|uri| (uri, Reason::MalformedTarget));
    // An audience may be any string (RFC 8693 section 2.1): one that is no URI is unknown.
    let named = named.chain(params.all("audience").map(|name| (name, Reason::UnknownTarget)));
    for (name, malformed) in named {
        let audience = Audience::parse(name).map_err(|_| malformed)?;
        if !targets.contains(&audience) {
            targets.push(audience);
        }
        if targets.len() > MAX_TARGETS {
            return Err(Reason::TooManyTargets);
        }
    }
    Ok(targets)
}

pub(super) fn scope(params: &Params) -> Result<Option<ScopeSet>, Reason> {
    params.one("scope").map(ScopeSet::parse).transpose().map_err(|_| Reason::MalformedScope)
}

/// RFC 9396 section 5: what is not supported is refused, never ignored.
pub(super) fn details(params: &Params) -> Result<Option<Vec<Asked>>, Reason> {
    let parsed = params.one("authorization_details").map(parse_details).transpose();
    parsed.map_err(|error| match error {
        DetailsError::Malformed => Reason::DetailsMalformed,
        DetailsError::UnknownType => Reason::DetailsType,
        DetailsError::Member => Reason::DetailsMember,
        DetailsError::Amount => Reason::DetailsAmount,
        DetailsError::Unit => Reason::DetailsUnit,
        DetailsError::Repeated => Reason::DetailsRepeated,
    })
}
