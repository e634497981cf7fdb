//! The newest records, and new ones as they come.

use super::super::Session;
use super::super::api::read;
use super::super::error::CliError;
use super::super::print::{instant, relative};
use super::Tail;
use crate::admin::api::AuditItem;
use crate::clock::MICROS_PER_SECOND;
use reqwest::Method;
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;

/// Records of one page.
const PAGE: usize = 200;
/// Pages read at once; more newer records than these hold are skipped, and said so.
const MAX_PAGES: usize = 5;
/// How often `--follow` asks.
const PERIOD: Duration = Duration::from_secs(1);
/// How far back `--follow` looks for records that committed late, in seconds.
const LOOK_BACK: i64 = 5;
/// Records remembered as shown.
const MAX_REMEMBERED: usize = 4096;

pub(super) async fn run(session: &Session<'_>, args: &Tail) -> Result<(), CliError> {
    let mut items = newest(session, args, None, usize::from(args.lines)).await?;
    items.reverse();
    if session.out.json && !args.follow {
        let items = items.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
        let items = items.map_err(|error| CliError::failed("output", error.to_string()))?;
        session.out.value(&Value::Array(items));
        return Ok(());
    }
    if !args.follow {
        let rows = items.iter().map(|item| columns(session, item, relative(session.now, at(item)))).collect();
        session.out.table(&["WHEN", "EVENT", "OUTCOME", "CLIENT", "WHAT"], rows, "No such records.");
        return Ok(());
    }
    follow(session, args, items).await
}

async fn follow(session: &Session<'_>, args: &Tail, mut items: Vec<AuditItem>) -> Result<(), CliError> {
    let mut shown: VecDeque<String> = VecDeque::new();
    let mut newest_at = session.now;
    loop {
        for item in items {
            newest_at = newest_at.max(at(&item));
            if shown.contains(&item.hash) {
                continue;
            }
            print_one(session, &item)?;
            shown.push_back(item.hash);
            if shown.len() > MAX_REMEMBERED {
                shown.pop_front();
            }
        }
        tokio::time::sleep(PERIOD).await;
        let since = newest_at.saturating_sub(LOOK_BACK);
        items = newest(session, args, Some(since), PAGE * MAX_PAGES).await?;
        if items.len() >= PAGE * MAX_PAGES {
            session.out.note("… more than can be followed: some records are left out here");
        }
        items.reverse();
    }
}

/// The newest records that match, newest first.
async fn newest(
    session: &Session<'_>,
    args: &Tail,
    since: Option<i64>,
    count: usize,
) -> Result<Vec<AuditItem>, CliError> {
    let filters = [("event", &args.event), ("outcome", &args.outcome), ("client_id", &args.client), ("jti", &args.jti)];
    let mut query: Vec<(&str, String)> =
        filters.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
    query.extend(since.map(|since| ("since", since.to_string())));
    query.push(("limit", count.min(PAGE).to_string()));
    let mut items = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let mut query = query.clone();
        query.extend(after.take().map(|after| ("after", after)));
        let page = session.api.call(Method::GET, &["audit"], &query, None).await?;
        for item in page.get("items").and_then(Value::as_array).into_iter().flatten() {
            items.push(read(item)?);
        }
        match page.get("next").and_then(Value::as_str) {
            Some(next) if items.len() < count => after = Some(next.to_owned()),
            _ => break,
        }
    }
    items.truncate(count);
    Ok(items)
}

fn at(item: &AuditItem) -> i64 {
    item.record.get("at").and_then(Value::as_i64).unwrap_or_default() / MICROS_PER_SECOND
}

fn print_one(session: &Session<'_>, item: &AuditItem) -> Result<(), CliError> {
    if session.out.json {
        let line = serde_json::to_string(item).map_err(|error| CliError::failed("output", error.to_string()))?;
        session.out.line(line);
    } else {
        session.out.line(columns(session, item, instant(at(item))).join("  "));
    }
    Ok(())
}

fn columns(session: &Session<'_>, item: &AuditItem, when: String) -> Vec<String> {
    let text = |name: &str| item.record.get(name).and_then(Value::as_str).unwrap_or_default();
    let outcome = text("outcome");
    let detail = |name: &str| item.record.get("detail")?.get(name)?.as_str();
    let what = [text("reason"), text("jti"), detail("target").unwrap_or_default(), detail("value").unwrap_or_default()];
    let what = what.into_iter().find(|word| !word.is_empty()).unwrap_or_default();
    vec![when, text("event").to_owned(), session.out.state(outcome), text("client_id").to_owned(), what.to_owned()]
}
