//! Exchange rules. A rule works once every owner it names has accepted it, so proposing is
//! free and accepting is each owner's own; whoever switches a rule off takes its acceptance
//! back, so nobody else can switch it on for them.

use super::api::{AcceptRule, ListQuery, NewRule, Page, Rule, State};
use super::caller::Caller;
use super::check;
use super::limits::{MAX_PROPOSALS, MAX_RULES, MAX_SUBJECT_BYTES};
use super::page;
use super::problem::{Code, Refusal};
use super::roles::Action;
use super::session::{Change, Session};
use crate::deps;
use stipend_keys::random_id;
use stipend_schema::{Dep, ExchangeRuleRow, Row, Table, Write, queries};
use stipend_token::id::is_identifier;
use stipend_token::rule::{PartySelector, RuleSpec};

/// The owners a stored rule concerns: actor's, subject's, target's, each once.
fn parties(row: &ExchangeRuleRow) -> Vec<String> {
    let subject = row.subject_owner_id.iter();
    let mut parties: Vec<String> =
        [&row.actor_owner_id].into_iter().chain(subject).chain([&row.target_owner_id]).cloned().collect();
    let mut seen = std::collections::BTreeSet::new();
    parties.retain(|owner| seen.insert(owner.clone()));
    parties
}

fn view(row: ExchangeRuleRow) -> Result<Rule, Refusal> {
    let accepted_by: Vec<String> = check::parse_column(&row.accepted_by)?;
    let awaiting = parties(&row).into_iter().filter(|owner| !accepted_by.contains(owner)).collect();
    Ok(Rule {
        spec: check::parse_column(&row.spec)?,
        state: check::parse_word(&row.state)?,
        subject_owner: row.subject_owner_id.unwrap_or_else(|| row.actor_owner_id.clone()),
        id: row.id,
        actor_owner: row.actor_owner_id,
        target_owner: row.target_owner_id,
        accepted_by,
        awaiting,
        created_by: row.created_by,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

pub(super) async fn list(session: &Session<'_>, query: &ListQuery) -> Result<Page<Rule>, Refusal> {
    let (limit, wanted) = page::wanted(query)?;
    let owners = session.caller().owners(Action::ReadRule);
    let rows = session.read(|db| async move { queries::list_exchange_rules(&db, &owners, &wanted).await }).await?;
    page::cut(rows, limit, |row| row.id.clone(), view)
}

/// A rule that the caller may do `action` to, as one of its parties.
async fn load(session: &Session<'_>, caller: &Caller, id: &str, action: Action) -> Result<ExchangeRuleRow, Refusal> {
    let id = id.to_owned();
    let row = session.read(|db| async move { queries::find_exchange_rule(&db, &id).await }).await?;
    let row = row.ok_or_else(Refusal::not_found)?;
    let parties = parties(&row);
    if parties.iter().any(|owner| caller.may(action, Some(owner))) {
        Ok(row)
    } else if parties.iter().any(|owner| caller.may(Action::ReadRule, Some(owner))) {
        Err(Refusal::forbidden())
    } else {
        Err(Refusal::not_found())
    }
}

pub(super) async fn find(session: &Session<'_>, id: &str) -> Result<Rule, Refusal> {
    view(load(session, session.caller(), id, Action::ReadRule).await?)
}

/// Answers the rule, and whether it is new.
pub(super) async fn create(session: &Session<'_>, new: &NewRule) -> Result<(bool, Rule), Refusal> {
    // Rules of one actor owner are counted, so they are made one at a time.
    session.change(party_owner(&new.actor), async |caller| propose(session, caller, new).await).await
}

async fn propose(session: &Session<'_>, caller: &Caller, new: &NewRule) -> Result<Change<(bool, Rule)>, Refusal> {
    let spec = new.clone().into_spec();
    spec.validate().map_err(|error| Refusal::new(Code::InvalidRequest, error.to_string()))?;
    check_party("/actor", &new.actor)?;
    check_party("/subject", &new.subject)?;
    let row = row(session, caller, new, &spec).await?;
    let parties = parties(&row);
    if !parties.iter().any(|owner| caller.may(Action::ManageRule, Some(owner))) {
        return Err(refuse_stranger(caller, &parties));
    }
    check_id(caller, new.id.as_deref(), &parties)?;
    check_parties(session, caller, &spec, &parties).await?;
    let deps = deps_of(&row);
    let id = row.id.clone();
    if let Some(have) = session.read(|db| async move { queries::find_exchange_rule(&db, &id).await }).await? {
        let same = check::parse_column::<RuleSpec>(&have.spec)? == spec;
        if !same || have.target_owner_id != row.target_owner_id {
            return Err(Refusal::new(Code::AlreadyExists, "a rule of this id exists and differs"));
        }
        return Ok(Change::none(&row.actor_owner_id, deps, (false, view(have)?)));
    }
    check_room(session, &row).await?;
    let answer = (true, view(row.clone())?);
    Ok(change(&row, vec![Write::Insert(Row::ExchangeRule(row.clone()))], answer)
        .with("effect", "created")
        .with("target", row.id.clone()))
}

/// A caller with a stake in none of the parties: for it neither they nor the rule exist.
fn refuse_stranger(caller: &Caller, parties: &[String]) -> Refusal {
    if parties.iter().any(|owner| caller.may(Action::ReadRule, Some(owner))) {
        Refusal::forbidden()
    } else {
        Refusal::not_found()
    }
}

fn party_owner(party: &PartySelector) -> &str {
    match party {
        PartySelector::Owner(owner) => owner,
        PartySelector::Client(client) => client.split('.').next().unwrap_or_default(),
        // Known from its registration alone: see `subject_owner`.
        PartySelector::Issuer { .. } => "",
    }
}

/// Whose word stands for the subject: a client's owner, or whoever registered the issuer. Ids of
/// issuers are random, so that one that is hidden can't be found by asking.
async fn subject_owner(session: &Session<'_>, party: &PartySelector) -> Result<String, Refusal> {
    let PartySelector::Issuer { id, .. } = party else { return Ok(party_owner(party).to_owned()) };
    let id = id.clone();
    let row = session.read(|db| async move { queries::find_issuer(&db, &id).await }).await?;
    row.map(|row| row.owner_id).ok_or_else(Refusal::not_found)
}

fn check_party(pointer: &str, party: &PartySelector) -> Result<(), Refusal> {
    let well_formed = match party {
        PartySelector::Owner(owner) => stipend_token::id::is_slug(owner),
        PartySelector::Client(client) => client
            .split_once('.')
            .is_some_and(|(owner, name)| stipend_token::id::is_slug(owner) && stipend_token::id::is_slug(name)),
        PartySelector::Issuer { id, subject } => {
            let named = subject.as_deref().is_none_or(|name| check::text("", name, 1, MAX_SUBJECT_BYTES).is_ok());
            is_identifier(id) && named
        }
    };
    let expected = "names a client as <owner>.<name>, an owner, or an issuer by its id and perhaps one of its subjects";
    if well_formed { Ok(()) } else { Err(Refusal::field(pointer, expected)) }
}

async fn row(
    session: &Session<'_>,
    caller: &Caller,
    new: &NewRule,
    spec: &RuleSpec,
) -> Result<ExchangeRuleRow, Refusal> {
    let target = super::resources::find_by_uri(session, &spec.to_audience).await?;
    let target = target.ok_or_else(Refusal::not_found)?;
    let now = session.now();
    let mut row = ExchangeRuleRow {
        id: new.id.clone().unwrap_or_else(|| random_id("rule_")),
        actor_owner_id: party_owner(&spec.actor).to_owned(),
        subject_owner_id: Some(subject_owner(session, &spec.subject).await?),
        target_owner_id: target.owner_id,
        spec: check::column(spec)?,
        accepted_by: String::new(),
        state: State::Active.as_str().to_owned(),
        created_by: caller.id().to_owned(),
        created_at: now,
        updated_at: now,
    };
    let accepted: Vec<String> =
        parties(&row).into_iter().filter(|owner| caller.may(Action::ManageRule, Some(owner))).collect();
    row.accepted_by = check::column(&accepted)?;
    Ok(row)
}

/// A chosen id lies in the namespace of an owner the caller administers, so that ids can't be
/// probed for; who administers all may choose any.
fn check_id(caller: &Caller, id: Option<&str>, parties: &[String]) -> Result<(), Refusal> {
    let Some(id) = id else { return Ok(()) };
    if !is_identifier(id) || id.contains('/') {
        return Err(Refusal::field("/id", "is not an identifier"));
    }
    let own = parties.iter().any(|owner| {
        caller.may(Action::ManageRule, Some(owner))
            && id.strip_prefix(owner.as_str()).is_some_and(|rest| rest.starts_with('.'))
    });
    if own || caller.may(Action::RevokeAnything, None) {
        Ok(())
    } else {
        Err(Refusal::field("/id", "must begin with an owner you administer and a dot"))
    }
}

/// Owners must exist; a client only where the caller may know whether it does.
async fn check_parties(
    session: &Session<'_>,
    caller: &Caller,
    spec: &RuleSpec,
    parties: &[String],
) -> Result<(), Refusal> {
    for owner in parties {
        super::owners::load(session, owner).await?;
    }
    for (pointer, party) in [("/actor/client", &spec.actor), ("/subject/client", &spec.subject)] {
        if let PartySelector::Client(client) = party
            && caller.may(Action::ReadAgent, Some(party_owner(party)))
        {
            let id = client.clone();
            let found = session.read(|db| async move { queries::find_client(&db, &id).await }).await?;
            if found.is_none() {
                return Err(Refusal::field(pointer, "no such client"));
            }
        }
    }
    Ok(())
}

/// All rules of an actor's owner are weighed at each of its exchanges, so their number is
/// bounded, and what others may put there more so.
async fn check_room(session: &Session<'_>, row: &ExchangeRuleRow) -> Result<(), Refusal> {
    let owner = row.actor_owner_id.clone();
    let rules = session.read(|db| async move { queries::exchange_rules_of_actor(&db, &owner).await }).await?;
    let is_proposal = |rule: &ExchangeRuleRow| -> Result<bool, Refusal> {
        let accepted: Vec<String> = check::parse_column(&rule.accepted_by)?;
        Ok(!accepted.contains(&rule.actor_owner_id))
    };
    let mut proposals = 0_usize;
    for rule in &rules {
        proposals += usize::from(is_proposal(rule)?);
    }
    if rules.len() >= MAX_RULES || (is_proposal(row)? && proposals >= MAX_PROPOSALS) {
        return Err(Refusal::new(
            Code::TooManyRules,
            "the actor's owner has too many rules, or too many proposed to it",
        ));
    }
    Ok(())
}

fn deps_of(row: &ExchangeRuleRow) -> Vec<Dep> {
    let mut deps = vec![deps::rules_of(&row.actor_owner_id)];
    deps.extend(parties(row).iter().map(|owner| deps::owner(owner)));
    deps
}

fn change<T>(row: &ExchangeRuleRow, writes: Vec<Write>, answer: T) -> Change<T> {
    let other = [Some(&row.target_owner_id), row.subject_owner_id.as_ref()];
    let other = other.into_iter().flatten().find(|owner| **owner != row.actor_owner_id).cloned();
    let changes = vec![deps::rules_of(&row.actor_owner_id)];
    Change { writes, changes, other_owner: other, ..Change::none(&row.actor_owner_id, deps_of(row), answer) }
}

fn store(session: &Session<'_>, old: ExchangeRuleRow, mut new: ExchangeRuleRow) -> Result<Change<Rule>, Refusal> {
    if new == old {
        return Ok(Change::none(&old.actor_owner_id, deps_of(&old), view(old.clone())?));
    }
    new.updated_at = session.now();
    let answer = view(new.clone())?;
    let write = Write::Update(Row::ExchangeRule(new.clone()));
    Ok(change(&new, vec![write], answer).with("effect", "changed").with("accepted_by", new.accepted_by))
}

pub(super) async fn accept(session: &Session<'_>, id: &str, body: &AcceptRule) -> Result<Rule, Refusal> {
    session
        .change(id, async |caller| {
            let row = load(session, caller, id, Action::ManageRule).await?;
            let mine = administered(caller, &row);
            let accepting = match &body.owner {
                None => mine,
                Some(owner) if mine.contains(owner) => vec![owner.clone()],
                Some(_) => return Err(Refusal::field("/owner", "is not a party of the rule that you administer")),
            };
            let accepted_by = with(&row, &accepting)?;
            let new = ExchangeRuleRow { accepted_by, ..row.clone() };
            store(session, row, new)
        })
        .await
}

/// The parties of a rule that the caller administers.
fn administered(caller: &Caller, row: &ExchangeRuleRow) -> Vec<String> {
    parties(row).into_iter().filter(|owner| caller.may(Action::ManageRule, Some(owner))).collect()
}

fn with(row: &ExchangeRuleRow, owners: &[String]) -> Result<String, Refusal> {
    let accepted: Vec<String> = check::parse_column(&row.accepted_by)?;
    let all = parties(row).into_iter().filter(|owner| accepted.contains(owner) || owners.contains(owner));
    check::column(&all.collect::<Vec<_>>())
}

fn without(row: &ExchangeRuleRow, owners: &[String]) -> Result<String, Refusal> {
    let accepted: Vec<String> = check::parse_column(&row.accepted_by)?;
    check::column(&accepted.into_iter().filter(|owner| !owners.contains(owner)).collect::<Vec<_>>())
}

pub(super) async fn set_state(session: &Session<'_>, id: &str, to: State) -> Result<Rule, Refusal> {
    session
        .change(id, async |caller| {
            let row = load(session, caller, id, Action::ManageRule).await?;
            let mine = administered(caller, &row);
            let accepted_by = match to {
                State::Active => with(&row, &mine)?,
                State::Disabled => without(&row, &mine)?,
            };
            let new = ExchangeRuleRow { state: to.as_str().to_owned(), accepted_by, ..row.clone() };
            store(session, row, new)
        })
        .await
}

pub(super) async fn delete(session: &Session<'_>, id: &str) -> Result<(), Refusal> {
    session
        .change(id, async |caller| {
            let row = load(session, caller, id, Action::ManageRule).await?;
            let writes = vec![Write::Delete(Table::ExchangeRule, id.to_owned())];
            Ok(change(&row, writes, ()).with("effect", "deleted").with("spec", row.spec))
        })
        .await
}
