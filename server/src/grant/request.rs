//! Parameters that every grant shares: targets, scope, authorization details.

use crate::form::Params;
use crate::limits::MAX_TARGETS;
use crate::reason::Reason;
use crate::records::Client;
use serde_json::Value;
use stipend_token::budget::{Asked, BUDGET_TYPE, DetailsError, parse_budgets};
use stipend_token::constraint::{CREDENTIAL_RELEASE_TYPE, CredentialRelease, NarrowError, ReleaseError};
use stipend_token::details::{SplitError, parse_and_split};
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

/// What is asked for in `authorization_details`, type by type. A type that is not named is not
/// asked for: it comes as it would without the parameter.
#[derive(Debug, Default)]
pub(super) struct Details {
    pub budgets: Option<Vec<Asked>>,
    pub credentials: Option<Vec<CredentialRelease>>,
}

/// RFC 9396 section 5: what is not supported is refused, never ignored.
pub(super) fn details(params: &Params, client: &Client) -> Result<Details, Reason> {
    details_in(params.one("authorization_details"), client)
}

pub(super) fn details_in(text: Option<&str>, client: &Client) -> Result<Details, Reason> {
    let Some(text) = text else { return Ok(Details::default()) };
    let parts = parse_and_split(text).map_err(|error| match error {
        SplitError::Malformed => Reason::DetailsMalformed,
        SplitError::UnknownType => Reason::DetailsType,
    })?;
    // RFC 9396 section 10: what the client says it uses is all that it may use.
    let asked = [(BUDGET_TYPE, &parts.budgets), (CREDENTIAL_RELEASE_TYPE, &parts.credential_releases)];
    if asked.iter().any(|(name, items)| !items.is_empty() && !client.settings.may_ask(name)) {
        return Err(Reason::DetailsTypeNotTheirs);
    }
    let named = |items: Vec<Value>| (!items.is_empty()).then_some(items);
    let budgets = named(parts.budgets).map(|items| parse_budgets(&items)).transpose().map_err(budget_reason)?;
    let credentials = named(parts.credential_releases).map(|items| CredentialRelease::parse_all(&items));
    Ok(Details { budgets, credentials: credentials.transpose().map_err(credential_reason)? })
}

fn budget_reason(error: DetailsError) -> Reason {
    match error {
        DetailsError::Malformed => Reason::DetailsMalformed,
        DetailsError::UnknownType => Reason::DetailsType,
        DetailsError::Member => Reason::DetailsMember,
        DetailsError::Amount => Reason::DetailsAmount,
        DetailsError::Unit => Reason::DetailsUnit,
        DetailsError::Repeated => Reason::DetailsRepeated,
    }
}

fn credential_reason(error: ReleaseError) -> Reason {
    match error {
        ReleaseError::Member => Reason::CredentialMember,
        ReleaseError::Identifier => Reason::CredentialIdentifier,
        ReleaseError::Actions => Reason::CredentialActions,
        ReleaseError::Constraints => Reason::CredentialConstraints,
        ReleaseError::Repeated => Reason::CredentialRepeated,
    }
}

/// What a new token may do with credentials (its `authorization_details`): what is asked for, of
/// what the subject token holds. Any resource's token may say so: a descendant may go to the
/// key-release service.
pub(super) fn ceiling(
    held: Option<&[CredentialRelease]>,
    asked: Option<&[CredentialRelease]>,
    jti: &str,
) -> Result<Option<Vec<CredentialRelease>>, Reason> {
    CredentialRelease::ceiling(held, asked, jti).map_err(|error| match error {
        NarrowError::NotHeld => Reason::CredentialNotHeld,
        NarrowError::ActionsWider => Reason::CredentialActionsWider,
        NarrowError::TooMany(_) => Reason::CredentialConstraintsTooMany,
        NarrowError::TooDeep => Reason::LineageTooLong,
    })
}
