//! A chaos run from beginning to end.

use super::database::Postgres;
use super::faults::Deployment;
use super::node::ServerNode;
use super::proxy::Proxy;
use super::recovery::{PROMISED, Recovery, until_served};
use super::redis::Redis;
use super::schedule::{Ground, Schedule};
use super::{Backend, MAX_FAULTS, MAX_NODES, Options, ports};
use crate::check::{Check, Violation, violation};
use crate::error::BenchError;
use crate::http::{Credentials, Node};
use crate::load::context::Context;
use crate::load::{Load, Options as LoadOptions, Report, Tools};
use crate::setup::Admin;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;

/// The first admin's id.
const ADMIN: &str = "stipend.admin";
/// How long nodes may take to serve for the first time.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Where everything lies; one that nobody named is removed at the end.
enum Place {
    Kept(PathBuf),
    Passing(TempDir),
}

impl Place {
    fn new(keep: Option<&Path>) -> Result<Self, BenchError> {
        let place = match keep {
            Some(path) => {
                fs::create_dir_all(path).map_err(BenchError::io(path.display().to_string()))?;
                Self::Kept(path.to_owned())
            }
            None => Self::Passing(TempDir::with_prefix("stipend-chaos-").map_err(BenchError::io("a directory"))?),
        };
        // PostgreSQL runs as another user, and must get to its own directory.
        let passable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(place.path(), passable).map_err(BenchError::io("a directory"))?;
        Ok(place)
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Passing(dir) => dir.path(),
        }
    }
}

/// Runs it, and tells of each fault as it happens.
///
/// # Errors
/// [`BenchError`], where it can't be set up; what it finds is in the report.
pub async fn run(options: Options, tell: &dyn Fn(&str)) -> Result<Report, BenchError> {
    check(&options)?;
    let place = Place::new(options.keep.as_deref())?;
    let secret: String = std::iter::repeat_with(fastrand::alphanumeric).take(43).collect();
    let (mut deployment, urls, tools) = start(&options, place.path(), &secret).await?;
    await_first(&urls, &secret).await?;
    let journal = options.journal.clone().unwrap_or_else(|| place.path().join("journal.jsonl"));
    let load = LoadOptions { nodes: urls, shape: options.shape, journal, fsync: options.fsync, audit: true, tools };
    let mut load = Load::set_up(load, Admin::new(ADMIN.to_owned(), secret)).await?;
    let ground = Ground { backend: options.backend, nodes: options.nodes, redis: options.redis };
    let length = Duration::from_secs(options.shape.seconds);
    let schedule = Schedule::new(options.shape.seed, length, options.kills, options.faults, ground);
    tell(&format!("seed {}: {} faults in {:.0} s", options.shape.seed, schedule.0.len(), length.as_secs_f64()));
    let context = std::sync::Arc::clone(load.context());
    let (history, faults) = tokio::join!(load.drive(), carry_out(&schedule, &mut deployment, &context, tell));
    let faults = faults?;
    let mut violations = late(&faults);
    violations.extend(ended(&mut deployment));
    tell("the load is over: settling and checking");
    let report = load.conclude(history, violations).await?;
    if let Place::Kept(path) = &place {
        tell(&format!("kept in {}", path.display()));
    }
    Ok(Report { faults, ..report })
}

fn check(options: &Options) -> Result<(), BenchError> {
    let wrong = match () {
        () if !(1..=MAX_NODES).contains(&options.nodes) => "there are 1 to 8 nodes",
        () if options.backend == Backend::Sqlite && options.nodes != 1 => "SQLite is for one node: --nodes 1",
        () if options.kills + options.faults > MAX_FAULTS => "there are 10000 faults at most",
        () => return Ok(()),
    };
    Err(BenchError::Usage(wrong.to_owned()))
}

/// Starts everything: what runs, where the nodes are, and how the proofs find them.
async fn start(options: &Options, dir: &Path, secret: &str) -> Result<(Deployment, Vec<String>, Tools), BenchError> {
    let mut deployment = Deployment { nodes: Vec::new(), proxies: Vec::new(), redis: None, postgres: None };
    let sqlite = format!("sqlite://{}", dir.join("stipend.db").display());
    if options.backend == Backend::Postgres {
        deployment.postgres = Some(Postgres::start(dir).await?);
    }
    if options.redis {
        deployment.redis = Some(Redis::start(dir.to_owned())?);
    }
    let key: String = std::iter::repeat_with(|| format!("{:02x}", fastrand::u8(..))).take(32).collect();
    let (mut urls, mut issuer) = (Vec::new(), String::new());
    for index in 0..options.nodes {
        let port = ports::free()?;
        let url = format!("http://127.0.0.1:{port}");
        if index == 0 {
            issuer.clone_from(&url);
        }
        let database = match &deployment.postgres {
            None => sqlite.clone(),
            Some(postgres) => {
                let proxy = Proxy::before(postgres.address()).await?;
                let url = Postgres::url(proxy.port);
                deployment.proxies.push(proxy);
                url
            }
        };
        let mut vars = vec![
            ("STIPEND_ISSUER", issuer.clone()),
            ("STIPEND_LISTEN", format!("127.0.0.1:{port}")),
            ("STIPEND_DATABASE_URL", database),
            ("STIPEND_KEK", key.clone()),
            ("STIPEND_BOOTSTRAP_SECRET", secret.to_owned()),
            ("STIPEND_LOG_LEVEL", "warn".to_owned()),
        ];
        vars.extend(deployment.redis.as_ref().map(|redis| ("STIPEND_REDIS_URL", redis.url())));
        let mut node = ServerNode::new(options.binary.clone(), vars, dir.join(format!("node{index}.log")));
        node.start()?;
        deployment.nodes.push(node);
        urls.push(url);
    }
    let direct = deployment.postgres.as_ref().map(|postgres| Postgres::url(postgres.port)).unwrap_or(sqlite);
    let binary = Some(options.binary.clone());
    let tools = Tools { binary, issuer: Some(issuer), database_url: Some(direct), key: Some(key) };
    Ok((deployment, urls, tools))
}

async fn await_first(urls: &[String], secret: &str) -> Result<(), BenchError> {
    for url in urls {
        let admin = Credentials { id: ADMIN.to_owned(), secret: secret.to_owned() };
        let served = tokio::time::timeout(START_PATIENCE, until_served(Node::new(url)?, admin)).await;
        if served.ok().flatten().is_none() {
            return Err(BenchError::Deployment(format!("the node at {url} does not serve: see its log")));
        }
    }
    Ok(())
}

/// Carries out the schedule, one fault after the other, each once all nodes serve again.
async fn carry_out(
    schedule: &Schedule,
    deployment: &mut Deployment,
    context: &Context,
    tell: &dyn Fn(&str),
) -> Result<Vec<Recovery>, BenchError> {
    let began = context.epoch.micros();
    let mut recoveries = Vec::new();
    for (number, planned) in schedule.0.iter().enumerate() {
        tokio::time::sleep_until(context.epoch.instant(began.saturating_add(planned.at))).await;
        let at = context.epoch.micros();
        context.journal.note(at, &format!("begins: {}", planned.fault))?;
        deployment.suffer(planned.fault, planned.lasts).await?;
        let ended = context.epoch.micros();
        context.journal.note(ended, &format!("ended: {}", planned.fault))?;
        let recovered = recover(context).await;
        let seconds = |micros| Duration::from_micros(micros).as_secs_f64();
        let recovery = Recovery {
            fault: planned.fault.to_string(),
            at: seconds(at.saturating_sub(began)),
            lasted: seconds(ended.saturating_sub(at)),
            recovered,
        };
        tell(&line(number + 1, &recovery));
        recoveries.push(recovery);
    }
    Ok(recoveries)
}

/// When each node served again, all of them asked at once.
async fn recover(context: &Context) -> Vec<Option<f64>> {
    let mut probes = JoinSet::new();
    for (index, node) in context.nodes.iter().enumerate() {
        let (node, prober) = (node.clone(), context.world.prober.clone());
        probes.spawn(async move { (index, until_served(node, prober).await) });
    }
    let mut times = probes.join_all().await;
    times.sort_by_key(|(index, _)| *index);
    times.into_iter().map(|(_, time)| time).collect()
}

fn line(number: usize, recovery: &Recovery) -> String {
    let times = recovery.recovered.iter().map(|time| match time {
        Some(time) => format!("{time:.2}"),
        None => "never".to_owned(),
    });
    let times: Vec<String> = times.collect();
    let Recovery { fault, at, lasted, .. } = recovery;
    format!("{number:4} {at:7.1} s  {fault}, for {lasted:.1} s; served again after {} s", times.join(", "))
}

fn late(faults: &[Recovery]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for fault in faults {
        for node in fault.late() {
            let took = fault.recovered.get(node).copied().flatten();
            let took = took.map_or("never".to_owned(), |took| format!("{took:.1} s"));
            let promised = PROMISED.as_secs();
            let what = format!(
                "node {node} served {took} after {} at {:.0} s ended; {promised} s are promised",
                fault.fault, fault.at
            );
            violations.push(violation(Check::Recovery, what));
        }
    }
    violations
}

/// Nodes that ended by themselves, and panics.
fn ended(deployment: &mut Deployment) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, node) in deployment.nodes.iter_mut().enumerate() {
        let ended = node.ended().map(|status| format!("node {index} ended by itself: {status}"));
        let panics = node.panics().into_iter().map(|panic| format!("node {index}: {panic}"));
        violations.extend(ended.into_iter().chain(panics).map(|what| violation(Check::Recovery, what)));
    }
    violations
}
