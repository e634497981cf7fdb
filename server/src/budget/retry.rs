//! A retry whose token has ended since: what was done is told, as README promises for a day.
//! Nothing is done by it: an order that has no answer yet needs a token that is alive.

use super::Verb;
use crate::app::App;
use crate::form::Params;
use crate::reason::Reason;
use crate::retry::spend_key;
use stipend_schema::ledger::Answer;
use stipend_schema::queries;

/// An order that may have been answered before.
pub(super) struct Retry<'a> {
    pub client_id: &'a str,
    pub verb: Verb<'a>,
    pub params: &'a Params,
    pub key: &'a str,
}

impl Retry<'_> {
    /// What the same client's same order with this key was answered.
    ///
    /// # Errors
    /// [`Reason`]: nobody can tell now, or it can't be a key.
    pub async fn answer(&self, app: &App) -> Result<Option<Answer>, Reason> {
        let Self { client_id, verb, params, key } = *self;
        let key = spend_key(key, client_id, verb.event(), verb.path(), params, app.clock.now())?;
        let db = app.store.db().clone();
        let found = app.store.run(async move { queries::find_budget_answer(&db, &key).await }).await;
        found.map_err(|_| Reason::StoreUnavailable)?.map_err(|_| Reason::StoreUnavailable)
    }
}
