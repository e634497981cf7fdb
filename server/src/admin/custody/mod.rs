//! Credentials in custody, the grants of them, and the keys that encrypt them.
//!
//! A credential's id is `<owner>.<name>`, like an agent's. Every change publishes the
//! credential or the grant it concerns, so that it holds at the next call on every node; values
//! go in sealed and never come out here.

mod credentials;
mod exposed;
mod grants;
mod key_encryption;
mod probe;
mod topology;
mod versions;
mod view;

pub(super) use credentials::{create, destroy, find, list, patch, set_state};
pub(super) use exposed::compromised;
pub(super) use grants::{
    create as create_grant, delete as delete_grant, find as find_grant, list as list_grants, of_agent,
    patch as patch_grant, set_state as set_grant_state,
};
pub(super) use key_encryption::{rewrap, status};
pub(super) use probe::probe;
pub(super) use topology::edges;
pub(super) use versions::{activate, destroy_version, rotate};
