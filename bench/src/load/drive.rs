//! The open loop: flows begin when the plan says, however slow the answers are. Meanwhile an
//! observer looks at the lines, and the journal reaches the disk.

use crate::clock::Micros;
use crate::load::context::Context;
use crate::load::history::{History, Operation, Sight, Used, Verdict};
use crate::load::journal::SYNC_EVERY;
use crate::load::plan::Plan;
use crate::load::story::tell;
use crate::setup::Admin;
use reqwest::Method;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Most flows under way at once, each of them a connection; arrivals beyond it are dropped, and
/// counted.
pub const MAX_UNDER_WAY: usize = 10_000;
/// Between two looks of the observer.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long an unknown outcome is asked for at the end.
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);
const SETTLE_PAUSE: Duration = Duration::from_millis(250);
/// Unknown outcomes that are settled at once.
const SETTLERS: usize = 8;

/// Drives the plan to its end.
pub async fn drive(context: &Arc<Context>, admin: &Admin, plan: &Plan) -> History {
    let mut history = History::default();
    tokio::select! {
        () = arrivals(context, plan, &mut history) => {}
        () = observe(context, admin) => {}
        () = sync(context) => {}
    }
    history.sights = std::mem::take(&mut *context.sights.lock());
    history
}

async fn arrivals(context: &Arc<Context>, plan: &Plan, history: &mut History) {
    let began: Micros = context.epoch.micros();
    let mut tasks = JoinSet::new();
    for flow in &plan.flows {
        tokio::time::sleep_until(context.epoch.instant(began.saturating_add(flow.at))).await;
        while let Some(told) = tasks.try_join_next() {
            history.operations.extend(told.unwrap_or_default());
        }
        if context.broken.lock().is_some() {
            break;
        }
        if tasks.len() >= MAX_UNDER_WAY {
            history.dropped += 1;
            continue;
        }
        tasks.spawn(tell(Arc::clone(context), flow.clone(), began));
    }
    while let Some(told) = tasks.join_next().await {
        history.operations.extend(told.unwrap_or_default());
    }
}

/// Looks at one fixed line after the other, on one node after the other.
async fn observe(context: &Context, admin: &Admin) {
    let lines: Vec<&String> = context.world.lines.keys().collect();
    for (line, node) in lines.iter().cycle().zip(context.nodes.iter().cycle()) {
        tokio::time::sleep(LOOK_EVERY).await;
        let started = context.epoch.micros();
        let Ok(reply) = admin.once(node, Method::GET, &format!("/budgets/{line}"), None).await else { continue };
        let ended = context.epoch.micros();
        if reply.status == 200
            && let Some(used) = Used::read(&reply.body)
        {
            context.sights.lock().push(Sight { line: (*line).clone(), started, ended, used });
        }
    }
    std::future::pending::<()>().await;
}

async fn sync(context: &Context) {
    loop {
        tokio::time::sleep(SYNC_EVERY).await;
        let journal = Arc::clone(&context.journal);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || journal.sync()).await {
            context.broken.lock().get_or_insert(error);
        }
    }
}

/// Repeats what has no definite answer, with its key, until it has one. Answers how many were
/// settled, and how many could not be.
pub async fn settle(context: &Arc<Context>, history: &mut History) -> (usize, usize) {
    let is_unknown = |operation: &Operation| matches!(operation.verdict(), Verdict::Unknown);
    let (mut unknown, known): (Vec<_>, Vec<_>) = history.operations.drain(..).partition(is_unknown);
    history.operations = known;
    let (asked, mut left) = (unknown.len(), 0);
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < SETTLERS
            && let Some(operation) = unknown.pop()
        {
            tasks.spawn(settle_one(Arc::clone(context), operation));
        }
        let Some(settled) = tasks.join_next().await else { break };
        if let Ok(operation) = settled {
            left += usize::from(is_unknown(&operation));
            history.operations.push(operation);
        }
    }
    history.operations.sort_by_key(|operation| operation.id);
    (asked - left, left)
}

async fn settle_one(context: Arc<Context>, mut operation: Operation) -> Operation {
    let until = tokio::time::Instant::now() + SETTLE_PATIENCE;
    let mut node = 0;
    while matches!(operation.verdict(), Verdict::Unknown) && tokio::time::Instant::now() < until {
        if !context.send(&mut operation, node).await {
            break;
        }
        node += 1;
        if matches!(operation.verdict(), Verdict::Unknown) {
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
    }
    operation
}
