//! Who answers for a client: a person, named once, transferred with both in the record, and what
//! happens when that person goes.
//!
//! A client stays its owner's whatever happens here: its id, its grants and its rules name the
//! owner. What is transferred is the answer to "whom do I ask", and nobody gets it unasked: it is
//! offered, and accepted by the one it is offered to or by another admin than the one who offers.

use super::super::api::{Agent, Departed, Departure};
use super::super::caller::Caller;
use super::super::check;
use super::super::limits::{DEFAULT_GRACE_SECONDS, MAX_GRACE_SECONDS, MAX_PERSON_BYTES, MAX_REASON_BYTES};
use super::super::problem::{Code, Refusal};
use super::super::roles::Action;
use super::super::session::{Change, Session};
use super::{deps_of, load, refuse_ended, view};
use crate::deps;
use stipend_schema::queries::{ClientBundle, OwnerFilter, RESPONSIBILITIES_LIMIT, responsibilities_of_person};
use stipend_schema::{ResponsibilityRow, Row, Write};

fn check_person(person: &str) -> Result<(), Refusal> {
    check::text("/person", person, 1, MAX_PERSON_BYTES)
}

/// Names who answers for a client, or offers it to another.
pub(in super::super) async fn transfer(session: &Session<'_>, id: &str, person: &str) -> Result<Agent, Refusal> {
    session
        .change(id, async |caller| {
            check_person(person)?;
            let bundle = load(session, caller, id, Action::ChangeAgent).await?;
            refuse_ended(&bundle.client)?;
            let now = session.now();
            match bundle.responsibility.clone() {
                None => {
                    let row = ResponsibilityRow {
                        client_id: id.to_owned(),
                        owner_id: bundle.client.owner_id.clone(),
                        person: person.to_owned(),
                        offered_to: None,
                        offered_by: None,
                        orphaned_at: None,
                        suspend_at: None,
                        created_at: now,
                        updated_at: now,
                    };
                    let change = store(session, bundle, Write::Insert(Row::Responsibility(row.clone())), row)?;
                    Ok(change.with("effect", "named").with("to", person))
                }
                Some(have) if have.person == person && have.offered_to.is_none() && have.orphaned_at.is_none() => {
                    unchanged(session, bundle)
                }
                Some(have) if have.offered_to.as_deref() == Some(person) => unchanged(session, bundle),
                Some(have) => {
                    let from = have.person.clone();
                    let row = ResponsibilityRow {
                        offered_to: Some(person.to_owned()),
                        offered_by: Some(caller.id().to_owned()),
                        updated_at: now,
                        ..have
                    };
                    let change = store(session, bundle, Write::Update(Row::Responsibility(row.clone())), row)?;
                    Ok(change.with("effect", "offered").with("from", from).with("to", person))
                }
            }
        })
        .await
}

/// Accepts what is offered.
pub(in super::super) async fn accept(session: &Session<'_>, id: &str) -> Result<Agent, Refusal> {
    session
        .change(id, async |caller| {
            let bundle = load(session, caller, id, Action::ChangeAgent).await?;
            refuse_ended(&bundle.client)?;
            let have = bundle.responsibility.clone();
            let offered = have.and_then(|have| have.offered_to.clone().map(|to| (have, to)));
            let Some((have, to)) = offered else {
                return Err(Refusal::new(Code::InvalidState, "it is offered to nobody"));
            };
            check_acceptor(caller, &have, &to)?;
            let (from, offered_by) = (have.person.clone(), have.offered_by.clone().unwrap_or_default());
            let row = ResponsibilityRow {
                person: to.clone(),
                offered_to: None,
                offered_by: None,
                orphaned_at: None,
                suspend_at: None,
                updated_at: session.now(),
                ..have
            };
            let change = store(session, bundle, Write::Update(Row::Responsibility(row.clone())), row)?;
            Ok(change.with("effect", "transferred").with("from", from).with("to", to).with("offered_by", offered_by))
        })
        .await
}

fn check_acceptor(caller: &Caller, have: &ResponsibilityRow, to: &str) -> Result<(), Refusal> {
    if caller.id() == to || have.offered_by.as_deref() != Some(caller.id()) {
        return Ok(());
    }
    Err(Refusal::new(Code::OwnOffer, "who offers it does not accept it for another: the person does, or another admin"))
}

fn unchanged(session: &Session<'_>, bundle: ClientBundle) -> Result<Change<Agent>, Refusal> {
    let (owner, deps) = (bundle.client.owner_id.clone(), deps_of(&bundle.client));
    Ok(Change::none(&owner, deps, view::view(bundle, session.now())?))
}

fn store(
    session: &Session<'_>,
    mut bundle: ClientBundle,
    write: Write,
    row: ResponsibilityRow,
) -> Result<Change<Agent>, Refusal> {
    bundle.responsibility = Some(row);
    let changes = vec![deps::client(&bundle.client.id)];
    Ok(Change { writes: vec![write], changes, ..unchanged(session, bundle)? })
}

/// A person has gone: what they answered for has nobody, and after the grace it is suspended.
/// Each caller says so for the owners it administers.
pub(in super::super) async fn departed(session: &Session<'_>, gone: &Departed) -> Result<Departure, Refusal> {
    check_person(&gone.person)?;
    check::text("/reason", gone.reason.as_deref().unwrap_or_default(), 0, MAX_REASON_BYTES)?;
    let grace = gone.grace_seconds.unwrap_or(DEFAULT_GRACE_SECONDS);
    if !(0..=MAX_GRACE_SECONDS).contains(&grace) {
        return Err(Refusal::field("/grace_seconds", format!("must be between 0 and {MAX_GRACE_SECONDS}")));
    }
    let owners = session.caller().owners(Action::ChangeAgent);
    if owners == OwnerFilter::Only(Vec::new()) {
        return Err(Refusal::forbidden());
    }
    let found = of_person(session, owners, &gone.person).await?;
    let more = i64::try_from(found.len()).unwrap_or(i64::MAX) >= RESPONSIBILITIES_LIMIT;
    let mut owners: Vec<String> = found.into_iter().map(|row| row.owner_id).collect();
    owners.sort_unstable();
    owners.dedup();
    let suspend_at = session.now().saturating_add(grace);
    let (person, nobody) = (gone.person.clone(), Vec::new());
    let mut left = Departure { person, orphaned: nobody.clone(), withdrawn: nobody, suspend_at, more };
    if owners.is_empty() {
        session.change(&gone.person, async |caller| Ok(noted(caller, gone))).await?;
    }
    // One record for each owner: it sees its own.
    for owner in owners {
        let (orphaned, withdrawn) =
            session.change(&owner, async |caller| leave(session, caller, gone, &owner, suspend_at).await).await?;
        left.orphaned.extend(orphaned);
        left.withdrawn.extend(withdrawn);
    }
    Ok(left)
}

async fn of_person(
    session: &Session<'_>,
    owners: OwnerFilter,
    person: &str,
) -> Result<Vec<ResponsibilityRow>, Refusal> {
    let person = person.to_owned();
    session.read(|db| async move { responsibilities_of_person(&db, &owners, &person).await }).await
}

/// Nobody is left behind: that it was said is on record all the same.
fn noted(caller: &Caller, gone: &Departed) -> Change<()> {
    Change::none(caller.owner(), Vec::new(), ()).with("person", gone.person.clone())
}

type Left = (Vec<String>, Vec<String>);

async fn leave(
    session: &Session<'_>,
    caller: &Caller,
    gone: &Departed,
    owner: &str,
    suspend_at: i64,
) -> Result<Change<Left>, Refusal> {
    caller.check(Action::ChangeAgent, Some(owner))?;
    let rows = of_person(session, OwnerFilter::Only(vec![owner.to_owned()]), &gone.person).await?;
    let now = session.now();
    let (mut orphaned, mut withdrawn, mut writes, mut changed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for mut row in rows {
        if row.offered_to.as_deref() == Some(gone.person.as_str()) {
            (row.offered_to, row.offered_by) = (None, None);
            withdrawn.push(row.client_id.clone());
        }
        if row.person == gone.person && row.orphaned_at.is_none() {
            (row.orphaned_at, row.suspend_at) = (Some(now), Some(suspend_at));
            orphaned.push(row.client_id.clone());
        }
        row.updated_at = now;
        changed.push(deps::client(&row.client_id));
        writes.push(Write::Update(Row::Responsibility(row)));
    }
    let deps = changed.iter().cloned().chain([deps::owner(owner)]).collect();
    let change =
        Change { writes, changes: changed, ..Change::none(owner, deps, (orphaned.clone(), withdrawn.clone())) };
    Ok(change
        .with("effect", "orphaned")
        .with("person", gone.person.clone())
        .with("orphaned", orphaned)
        .with("withdrawn", withdrawn)
        .with("suspend_at", suspend_at)
        .with("why", gone.reason.clone().unwrap_or_default()))
}
