//! What the deployment says at the end: its lines, its audit, and its own two proofs.

use crate::check::{Check, Evidence, Record, Violation, violation};
use crate::error::BenchError;
use crate::load::context::Context;
use crate::load::history::{History, Token, Used};
use crate::setup::{Admin, text};
use reqwest::Method;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use tokio::process::Command;

/// Most lines of tokens that are looked at; of more, an even sample.
pub const MAX_TOKEN_LINES: usize = 2000;
/// Most records that are read.
const MAX_RECORDS: usize = 5_000_000;
const RECORDS_A_PAGE: usize = 200;

/// The server's own program, for its proofs.
#[derive(Clone, Default)]
pub struct Tools {
    pub binary: Option<PathBuf>,
    /// What `audit verify` asks; absent: the first node.
    pub issuer: Option<String>,
    /// What `budget verify` reads; absent: it is not run.
    pub database_url: Option<String>,
    /// What the program needs beside it to read the database, and does not have from us.
    pub key: Option<String>,
}

impl std::fmt::Debug for Tools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tools").field("binary", &self.binary).field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Looked {
    pub lines: usize,
    pub token_lines: usize,
    pub token_lines_in_all: usize,
    pub observations: usize,
    pub records: Option<usize>,
}

/// # Errors
/// [`BenchError`], where the deployment does not answer.
pub async fn gather<'a>(
    context: &'a Context,
    admin: &Admin,
    history: &'a History,
    audit: bool,
) -> Result<(Evidence<'a>, Looked), BenchError> {
    let mut lines = BTreeMap::new();
    for id in context.world.lines.keys() {
        lines.insert(id.clone(), line(context, admin, id).await?);
    }
    let issued = history.operations.iter().filter_map(|operation| operation.issued.as_ref());
    let all: Vec<&Arc<Token>> = issued.filter(|token| !token.lines.is_empty()).collect();
    let mut tokens = Vec::new();
    let every = all.len().div_ceil(MAX_TOKEN_LINES).max(1);
    for token in all.iter().step_by(every) {
        if let Some(id) = token.lines.first() {
            tokens.push((Arc::clone(token), line(context, admin, id).await?));
        }
    }
    let records = if audit { Some(records(context, admin).await?) } else { None };
    let looked = Looked {
        lines: lines.len(),
        token_lines: tokens.len(),
        token_lines_in_all: all.len(),
        observations: history.sights.len(),
        records: records.as_ref().map(Vec::len),
    };
    Ok((Evidence { world: &context.world, history, lines, tokens, records }, looked))
}

async fn line(context: &Context, admin: &Admin, id: &str) -> Result<Used, BenchError> {
    let said = admin.call(&context.nodes, Method::GET, &format!("/budgets/{id}"), None).await?;
    Used::read(&said).ok_or_else(|| BenchError::Deployment(format!("the line {id} is {said}")))
}

/// All records of our owner since the beginning.
async fn records(context: &Context, admin: &Admin) -> Result<Vec<Record>, BenchError> {
    // A second of air for clocks that differ.
    let since = context.epoch.began_at - 60;
    let (mut records, mut after) = (Vec::new(), None::<String>);
    while records.len() < MAX_RECORDS {
        let cursor = after.map(|after| format!("&after={after}")).unwrap_or_default();
        let path = format!("/audit?limit={RECORDS_A_PAGE}&since={since}{cursor}");
        let page = admin.call(&context.nodes, Method::GET, &path, None).await?;
        let items = page.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let ours = items.iter().map(Record::read);
        let prefix = format!("{}.", context.world.owner);
        records.extend(ours.filter(|record| record.client_id.starts_with(&prefix)));
        after = Some(text(&page, "next")).filter(|next| !next.is_empty());
        if after.is_none() {
            return Ok(records);
        }
    }
    Err(BenchError::Deployment(format!("there are more than {MAX_RECORDS} records")))
}

/// The server's own proofs.
pub async fn commands(context: &Context, admin: &Admin, tools: &Tools) -> Vec<Violation> {
    let Some(binary) = &tools.binary else { return Vec::new() };
    let first = context.nodes.first().map(|node| node.url.as_str()).unwrap_or_default();
    let issuer = tools.issuer.as_deref().unwrap_or(first);
    let mut runs = vec![(["audit", "verify"], vec![("STIPEND_ISSUER", issuer)])];
    if let Some(url) = &tools.database_url {
        let key = tools.key.as_deref().map(|key| ("STIPEND_KEK", key));
        runs.push((["budget", "verify"], [("STIPEND_DATABASE_URL", url.as_str())].into_iter().chain(key).collect()));
    }
    let mut violations = Vec::new();
    for (args, vars) in runs {
        let credentials = admin.credentials();
        let mut command = Command::new(binary);
        command.args(args).stdin(Stdio::null()).kill_on_drop(true).envs(vars);
        command.env("STIPEND_CLIENT_ID", &credentials.id).env("STIPEND_CLIENT_SECRET", &credentials.secret);
        let failed = match command.output().await {
            Ok(output) if output.status.success() => continue,
            Ok(output) => format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()),
            Err(error) => error.to_string(),
        };
        violations.push(violation(Check::Commands, format!("stipend {}: {failed}", args.join(" "))));
    }
    violations
}
