//! The sender constraint of what is issued, for every grant alike.

use super::{Authorization, issue};
use crate::app::App;
use crate::binding::{Proved, confirm};
use crate::client::AuthenticatedClient;
use crate::reason::Reason;

/// Binds what is issued to the key that its holder proved, for every grant alike.
pub(super) fn bind(
    app: &App,
    client: &AuthenticatedClient,
    proved: &Proved,
    authorization: &mut Authorization,
) -> Result<(), Reason> {
    authorization.claims.cnf = confirm(&client.client.settings, proved, &authorization.held)?;
    if authorization.claims.cnf.is_none() {
        // As the grant has found it: nothing was added.
        return Ok(());
    }
    issue::check_size(app, &authorization.claims, authorization.status.is_some())
}
