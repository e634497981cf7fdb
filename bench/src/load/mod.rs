//! The load: sets up, drives a plan, settles what has no answer, gathers the evidence and
//! hands it to the checker.

pub mod context;
mod drive;
mod evidence;
pub mod history;
pub mod journal;
mod latency;
pub mod plan;
mod report;
mod story;
pub(crate) mod tokens;

use crate::check::{Check, Violation, judge, violation};
use crate::clock::Epoch;
use crate::error::BenchError;
use crate::http::Node;
use crate::setup::{Admin, World};
use context::Context;
use history::{History, Operation};
use journal::{Fsync, Journal};
use plan::{Plan, Shape};
use std::path::PathBuf;
use std::sync::Arc;

pub use evidence::Tools;
pub use latency::Times;
pub use report::{Counts, Report};

/// Longest run: all tokens of a run live through it and its end.
pub const MAX_SECONDS: u64 = 3000;
/// Most operations a second.
pub const MAX_RATE: f64 = 100_000.0;
/// Most planners, and most workers: each pair has a rule.
pub const MAX_AGENTS: usize = 64;

/// What is to be done.
#[derive(Debug)]
pub struct Options {
    pub nodes: Vec<String>,
    pub shape: Shape,
    pub journal: PathBuf,
    pub fsync: Fsync,
    /// Whether answers are held against the audit.
    pub audit: bool,
    pub tools: Tools,
}

impl Options {
    fn check(&self) -> Result<(), BenchError> {
        let Shape { rate, seconds, planners, workers, .. } = self.shape;
        let wrong = match () {
            () if self.nodes.is_empty() => "name at least one node",
            () if !(rate > 0.0 && rate <= MAX_RATE) => "--rate is more than 0, and 100000 at most",
            () if !(1..=MAX_SECONDS).contains(&seconds) => "a run is 1 to 3000 seconds long",
            () if !(1..=MAX_AGENTS).contains(&planners) || !(1..=MAX_AGENTS).contains(&workers) => {
                "there are 1 to 64 planners, and as many workers"
            }
            () => return Ok(()),
        };
        Err(BenchError::Usage(wrong.to_owned()))
    }
}

/// A run that is set up.
#[derive(Debug)]
pub struct Load {
    context: Arc<Context>,
    admin: Admin,
    plan: Plan,
    /// The operations by which standing tokens were had.
    first: Vec<Operation>,
    audit: bool,
    tools: Tools,
    seed: u64,
}

impl Load {
    /// Makes the company of the run.
    ///
    /// # Errors
    /// [`BenchError`].
    pub async fn set_up(options: Options, admin: Admin) -> Result<Self, BenchError> {
        options.check()?;
        let Options { nodes, shape, journal, fsync, audit, tools } = options;
        let epoch = Epoch::now();
        let nodes = nodes.iter().map(|url| Node::new(url)).collect::<Result<Vec<_>, _>>()?;
        let plan = Plan::new(shape);
        let owner = format!("b{:x}-{:06x}", epoch.began_at, fastrand::u32(..0x0100_0000));
        let journal = Journal::create(&journal, fsync)?;
        let world = World::set_up(&admin, &nodes, &owner, &plan, shape.workers).await?;
        let mut context = Context::new(epoch, nodes, world, journal);
        let (mut standing, mut first) = (Vec::new(), Vec::new());
        for planner in 0..shape.planners {
            let (operation, token) = story::standing(&context, planner).await;
            let missing = || BenchError::Deployment(format!("planner{planner} got no token: {:?}", operation.attempts));
            let token = token.filter(|token| !token.lines.is_empty()).ok_or_else(missing)?;
            standing.push(token);
            first.push(operation);
        }
        context.standing = standing;
        Ok(Self { context: Arc::new(context), admin, plan, first, audit, tools, seed: shape.seed })
    }

    #[must_use]
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Drives the plan: what happened.
    pub async fn drive(&mut self) -> History {
        let mut history = drive::drive(&self.context, &self.admin, &self.plan).await;
        history.operations.append(&mut self.first);
        history
    }

    /// Settles what is unknown, looks at everything, and judges.
    ///
    /// # Errors
    /// [`BenchError`], where the deployment can't be looked at, or the journal was not kept.
    pub async fn conclude(self, mut history: History, more: Vec<Violation>) -> Result<Report, BenchError> {
        let context = &self.context;
        let driven = context.epoch.micros();
        let before = Counts::of(&history);
        let (settled, unsettled) = drive::settle(context, &mut history).await;
        if let Some(error) = context.broken.lock().take() {
            return Err(error);
        }
        let (evidence, looked) = evidence::gather(context, &self.admin, &history, self.audit).await?;
        let mut violations = judge(&evidence);
        violations.extend(evidence::commands(context, &self.admin, &self.tools).await);
        if history.dropped > 0 {
            let what =
                format!("{} arrivals were dropped: the generator could not keep to its schedule", history.dropped);
            violations.push(violation(Check::Completeness, what));
        }
        if unsettled > 0 {
            let what = format!("{unsettled} operations could not be settled by their keys");
            violations.push(violation(Check::Completeness, what));
        }
        violations.extend(more);
        let counts = Counts { settled, unsettled, ..before };
        context.journal.sync()?;
        let times = context.latency.times();
        Ok(Report {
            seed: self.seed,
            seconds: report::seconds(driven),
            counts,
            looked,
            times,
            violations,
            faults: Vec::new(),
        })
    }
}
