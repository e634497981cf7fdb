//! Clients that nobody answers for: suspended once their grace is over, by whichever node looks
//! first. Here is only the clock's part; who answers for what is changed by people alone.

use crate::app::App;
use crate::audit::{DONE, Draft};
use crate::deps;
use crate::jobs::own_origin;
use crate::signals::{Initiator, announce};
use stipend_schema::{ClientRow, Outcome, ResponsibilityRow, Row, Work, Write, queries};

/// What a client that was suspended so says of it.
const WHY: &str = "nobody answers for it";

/// Suspends those whose time is over.
pub async fn suspend(app: &App) {
    // Before they are read: a transfer in between makes this too old.
    let basis = app.live.applied();
    let due = match queries::due_orphans(app.store.db(), app.clock.now()).await {
        Ok(due) => due,
        Err(error) => {
            tracing::warn!(%error, "orphans whose grace is over could not be read");
            return;
        }
    };
    for row in due {
        match queries::find_client(app.store.db(), &row.client_id).await {
            Ok(Some(client)) => {
                let Ok(work) = announce(app, work(app, basis, client, row), None, Initiator::System).await else {
                    tracing::warn!("who is to be told of an orphan's end could not be read");
                    continue;
                };
                // Overtaken, it is looked at again in a few seconds.
                let outcome = app.committer.submit(work).await;
                if matches!(outcome, Outcome::Unavailable | Outcome::Invalid(_)) {
                    tracing::warn!("an orphan could not be suspended");
                }
            }
            Ok(None) => tracing::error!(client = row.client_id, "an orphan has no record"),
            Err(error) => tracing::warn!(%error, "an orphan's record could not be read"),
        }
    }
}

fn work(app: &App, basis: i64, client: ClientRow, row: ResponsibilityRow) -> Work {
    let now = app.clock.now();
    let mut draft = Draft::new("agent.orphan_suspended", &own_origin());
    draft.owner(Some(&client.owner_id));
    draft.put("target", client.id.clone());
    draft.put("person", row.person.clone());
    let dep = deps::client(&client.id);
    let mut writes =
        vec![Write::Update(Row::Responsibility(ResponsibilityRow { suspend_at: None, updated_at: now, ..row }))];
    // One that has ended, or was stopped for another reason, stays as it is.
    let active = client.state == "active";
    if active {
        let state_reason = Some(WHY.to_owned());
        let client = ClientRow { state: "suspended".to_owned(), state_reason, updated_at: now, ..client };
        writes.push(Write::Update(Row::Client(client)));
    }
    draft.put("effect", if active { "suspended" } else { "none" });
    Work { deps: vec![dep.clone()], writes, changes: vec![dep], ..Work::recording(basis, draft.outcome(DONE)) }
}
