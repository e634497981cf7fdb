//! What a policy would have refused of what was allowed and recorded: the past, as far as the
//! audit tells it, put to the text. Reads only; an owner's policy is tried on the records that
//! the owner may see.

use super::super::api::{DryRun, DryRunCount, DryRunExample, DryRunResult};
use super::super::audit::{parse_cursor, write_cursor};
use super::super::problem::Refusal;
use super::super::roles::Action;
use super::super::session::Session;
use super::{checked, load};
use crate::audit::{DONE, ISSUED};
use crate::clock::MICROS_PER_SECOND;
use crate::policy::{Cited, Compiled, Facts, REPLAYED_EVENTS, replay, text_hash};
use std::collections::BTreeMap;
use std::sync::Arc;
use stipend_schema::AuditRow;
use stipend_schema::policies::PolicyRow;
use stipend_schema::queries::{self, AUDIT_PAGE_LIMIT, DecisionFilter};

/// Records read for one answer; beyond, the answer says where to go on.
const MAX_RECORDS: i64 = 5000;
/// Examples in one answer.
const MAX_EXAMPLES: usize = 20;
/// The window where nothing is said, and at most.
const DEFAULT_SECONDS: i64 = 7 * 86_400;
const MAX_SECONDS: i64 = 31 * 86_400;

/// One record that can be tried.
struct Tried {
    questions: Vec<Facts>,
    example: DryRunExample,
}

pub(in super::super) async fn dry_run(session: &Session<'_>, wanted: &DryRun) -> Result<DryRunResult, Refusal> {
    let (owner, text) = proposed(session, wanted).await?;
    let compiled = Arc::new(compile(owner.as_deref(), text).ok_or_else(Refusal::internal)?);
    let (since, until) = window(session.now(), wanted)?;
    let filter = DecisionFilter {
        owner,
        events: REPLAYED_EVENTS.map(str::to_owned).to_vec(),
        outcomes: [ISSUED, DONE].map(str::to_owned).to_vec(),
        since: since.saturating_mul(MICROS_PER_SECOND),
        until: until.saturating_mul(MICROS_PER_SECOND),
    };
    let mut cursor = wanted.after.as_deref().map(parse_cursor).transpose()?;
    let mut result = DryRunResult {
        since,
        until,
        records: 0,
        would_refuse: 0,
        failed: 0,
        by_action: BTreeMap::new(),
        not_evaluated: BTreeMap::new(),
        examples: Vec::new(),
        next: None,
    };
    while result.records < MAX_RECORDS {
        let (filter, after) = (filter.clone(), cursor.clone());
        let rows = session.read(|db| async move {
            queries::recorded_decisions(&db, &filter, after.as_ref(), AUDIT_PAGE_LIMIT).await
        });
        let rows = rows.await?;
        let full = i64::try_from(rows.len()).is_ok_and(|read| read >= AUDIT_PAGE_LIMIT);
        let last = rows.last().map(write_cursor);
        result.records = result.records.saturating_add(i64::try_from(rows.len()).unwrap_or(i64::MAX));
        try_page(session, &compiled, rows, &mut result).await?;
        result.next = last.filter(|_| full);
        let Some(next) = &result.next else { break };
        cursor = Some(parse_cursor(next)?);
    }
    Ok(result)
}

/// Whose records, and which text.
async fn proposed(session: &Session<'_>, wanted: &DryRun) -> Result<(Option<String>, String), Refusal> {
    let (owner, text) = match (&wanted.policy, &wanted.text) {
        (Some(id), None) if wanted.owner.is_none() => {
            let row = load(session, session.caller(), id, false).await?;
            (row.owner_id, row.text)
        }
        (None, Some(text)) => (wanted.owner.clone(), text.clone()),
        _ => return Err(Refusal::field("/text", "give either text, with its owner, or policy")),
    };
    // The records of an owner are for who may read its audit; all of them, for who may read all.
    let action = if owner.is_some() { Action::ReadAudit } else { Action::ExportAudit };
    session.caller().check(action, owner.as_deref())?;
    if let Some(owner) = &owner {
        super::super::owners::load(session, owner).await?;
    }
    checked(session, &text).await?;
    Ok((owner, text))
}

fn compile(owner: Option<&str>, text: String) -> Option<Compiled> {
    let row = PolicyRow {
        id: "proposed".to_owned(),
        owner_id: owner.map(str::to_owned),
        name: String::new(),
        hash: text_hash(&text),
        text,
        state: "enabled".to_owned(),
        version: 1,
        created_by: String::new(),
        created_at: 0,
        updated_at: 0,
    };
    Compiled::new(owner.unwrap_or_default(), &[row])
}

fn window(now: i64, wanted: &DryRun) -> Result<(i64, i64), Refusal> {
    let until = wanted.until.unwrap_or_else(|| now.saturating_add(1));
    let since = wanted.since.unwrap_or_else(|| until.saturating_sub(DEFAULT_SECONDS));
    match until.checked_sub(since) {
        Some(1..=MAX_SECONDS) => Ok((since, until)),
        _ => Err(Refusal::field("/since", "since and until span 1 second to 31 days")),
    }
}

async fn try_page(
    session: &Session<'_>,
    compiled: &Arc<Compiled>,
    rows: Vec<AuditRow>,
    result: &mut DryRunResult,
) -> Result<(), Refusal> {
    let mut page = Vec::with_capacity(rows.len());
    for row in &rows {
        match replay(&session.app.records, &row.record).await? {
            Ok(questions) => page.extend(tried(row, questions)),
            Err(why) => *result.not_evaluated.entry(why.as_str().to_owned()).or_default() += 1,
        }
    }
    // Hundreds of evaluations: not on a thread that answers requests.
    let compiled = Arc::clone(compiled);
    let judge = move || page.into_iter().map(|tried| (judged(&compiled, &tried.questions), tried.example)).collect();
    let judged: Vec<(Vec<Cited>, DryRunExample)> = session.app.store.blocking(judge).await?;
    for (cited, mut example) in judged {
        let count: &mut DryRunCount = result.by_action.entry(example.action.clone()).or_default();
        count.tried += 1;
        if cited.is_empty() {
            continue;
        }
        count.would_refuse += 1;
        result.would_refuse += 1;
        result.failed += i64::from(cited.iter().any(|cited| cited.failed));
        if result.examples.len() < MAX_EXAMPLES {
            example.statements = cited.iter().map(|cited| cited.statement).collect();
            example.statements.dedup();
            result.examples.push(example);
        }
    }
    Ok(())
}

fn judged(compiled: &Compiled, questions: &[Facts]) -> Vec<Cited> {
    let mut cited: Vec<Cited> = questions.iter().flat_map(|facts| compiled.denials(facts)).collect();
    cited.sort_unstable();
    cited
}

fn tried(row: &AuditRow, questions: Vec<Facts>) -> Option<Tried> {
    let first = questions.first()?;
    let example = DryRunExample {
        writer: row.writer.clone(),
        n: row.n,
        at: row.at.div_euclid(MICROS_PER_SECOND),
        action: first.act.as_str().to_owned(),
        agent: first.agent.id.clone(),
        resource: first.target.id().to_owned(),
        jti: row.jti.clone(),
        statements: Vec::new(),
    };
    Some(Tried { questions, example })
}
