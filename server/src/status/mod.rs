//! Status lists (draft-ietf-oauth-status-list): for services that verify tokens by themselves and
//! must learn of a revocation before a token's `exp`.
//!
//! A token for a resource that asks for it has a place in a list. What can kill the token is
//! stored with its place, in the transaction that records the issue; a list is made on demand
//! from these entries, the revoked set and the records. Nothing is marked when something is
//! revoked, so there is nothing that could be forgotten.
//! A list states what is on record and gives nobody anything: it is signed without a record of
//! its own.

mod build;
mod judge;
mod places;

pub use build::{Published, StatusLists};
pub use places::{Placed, place};

use crate::app::App;
use crate::deps;
use crate::records::Resource;
use std::sync::Arc;
use stipend_schema::Dep;

/// The word for the owner of a resource among the names in an entry: while it is disabled, no
/// token is for the resource. Of the owner's own agents' tokens says the owner itself.
const RESOURCE_OWNER: &str = "resource_owner";

/// What can kill a token beside what it names itself, if any of its resources wants its status
/// to be published: the owners of those it came through, and of those it goes to.
#[must_use]
pub fn wanted<'a>(owners: impl Iterator<Item = &'a str>, resources: &[Arc<Resource>]) -> Option<Vec<Dep>> {
    if !resources.iter().any(|resource| resource.status_list) {
        return None;
    }
    let mut names: Vec<Dep> = owners.map(deps::owner).collect();
    names.extend(resources.iter().map(|resource| Dep::new(RESOURCE_OWNER, resource.owner_id.clone())));
    Some(names)
}

/// Where a list is published.
#[must_use]
pub fn uri(app: &App, list: &str) -> String {
    format!("{}/{list}", app.urls.status_endpoint)
}
