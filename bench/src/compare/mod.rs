//! Speed, beside a floor in the same run: a private server on a fresh database, the floor
//! (`crate::floor`) and peers answer the same requests from the same connections, in turn, round
//! after round, so that a machine that changes its mind changes it for all. What counts is the
//! ratio of a round; absolute figures say as much of the machine.
//!
//! Owns the order of rounds. It must never print a figure of answers that were not checked.

mod answer;
mod deployment;
mod drive;
mod peers;
mod process;
mod report;
mod scenario;
mod upstream;
mod wire;
mod world;

pub use deployment::Database;
pub use report::{Comparison, Figures, Row, Side};
pub use scenario::Scenario;

use crate::error::BenchError;
use deployment::{Deployment, Start, start_floor};
use drive::{Meter, drive};
use peers::Peer;
use process::{Program, rss_kib};
use report::{Started, median, medians};
use scenario::{Party, Script};
use std::path::{Path, PathBuf};
use upstream::Upstream;
use world::{World, floor_script};

/// Most rounds, requests of one and connections.
pub const MAX_ROUNDS: usize = 101;
pub const MAX_REQUESTS: usize = 1_000_000;
pub const MAX_CONNECTIONS: usize = 1024;
/// One connection waits for each answer: it gets so much fewer requests.
const LIGHT_DIVISOR: usize = 8;
/// Warm-up: this part of a round's requests, before the first round.
const WARM_UP_DIVISOR: usize = 2;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server's program.
    pub binary: PathBuf,
    /// This program, for the floor.
    pub own: PathBuf,
    pub databases: Vec<Database>,
    pub postgres_url: Option<String>,
    pub scenarios: Vec<Scenario>,
    pub connections: Vec<usize>,
    pub rounds: usize,
    pub requests: usize,
    pub workers: usize,
    /// Where peers are installed; absent: none is measured.
    pub peers: Option<PathBuf>,
}

/// All that answers.
struct Field {
    floor: Program,
    floor_party: Party,
    upstream: Upstream,
    peers: Vec<Peer>,
}

/// # Errors
/// [`BenchError`], where it can't be set up. Wrong answers are in the result.
pub async fn run(options: &Options, tell: &dyn Fn(&str)) -> Result<Comparison, BenchError> {
    check(options)?;
    let dir = tempfile::Builder::new().prefix("stipend-compare").tempdir().map_err(BenchError::io("a directory"))?;
    // The database's own user has to reach its own.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), open).map_err(BenchError::io("a directory"))?;
    let (floor, floor_party) = start_floor(&options.own, options.workers, dir.path()).await?;
    let mut field = Field { floor, floor_party, upstream: Upstream::start()?, peers: Vec::new() };
    let mut result = Comparison {
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        workers: options.workers,
        rounds: options.rounds,
        requests: [options.requests, requests(options, 1)],
        load: [load_average(), None],
        started: Vec::new(),
        rows: Vec::new(),
        peers: start_peers(options, &mut field, dir.path()).await,
        wrong: Vec::new(),
    };
    for database in &options.databases {
        let start = Start {
            binary: &options.binary,
            database: *database,
            postgres_url: options.postgres_url.as_deref(),
            workers: options.workers,
            dir: dir.path().join(database.as_str()),
        };
        let deployment = Deployment::start(&start).await?;
        tell(&format!("{} serves", database.as_str()));
        let world = World::set_up(&deployment, &field.upstream.address.to_string()).await?;
        let mut bench = Bench { options, database: *database, deployment, world, result: &mut result };
        bench.all(&field, tell).await?;
        let Bench { deployment, .. } = bench;
        result.started.push(Started {
            database: *database,
            millis: deployment.start_millis,
            rss_kib: deployment.start_rss_kib,
            rss_end_kib: rss_kib(deployment.program.pid()),
        });
        // Peers answer the same whatever our database is.
        field.peers.clear();
    }
    result.load[1] = load_average();
    Ok(result)
}

fn check(options: &Options) -> Result<(), BenchError> {
    let connections = |count: &usize| (1..=MAX_CONNECTIONS).contains(count);
    let wrong = match () {
        () if !(1..=MAX_ROUNDS).contains(&options.rounds) => "there are 1 to 101 rounds",
        () if !(1..=MAX_REQUESTS).contains(&options.requests) => "a round has 1 to 1000000 requests",
        () if !options.connections.iter().all(connections) => "there are 1 to 1024 connections",
        () if options.databases.is_empty() || options.scenarios.is_empty() || options.connections.is_empty() => {
            "nothing to measure"
        }
        () => return Ok(()),
    };
    Err(BenchError::Usage(wrong.to_owned()))
}

async fn start_peers(options: &Options, field: &mut Field, dir: &Path) -> Vec<report::Peer> {
    let mut told = Vec::new();
    for peer in peers::ALL {
        let name = peer.0.as_str();
        let started = match &options.peers {
            None => Err("--peers was not given".to_owned()),
            Some(installed) => {
                let started = Peer::start(peer, installed, options.workers, dir).await;
                started.map_err(|error| error.to_string())
            }
        };
        let missing = started.map(|peer| field.peers.push(peer)).err();
        told.push(report::Peer { name, missing });
    }
    told
}

fn requests(options: &Options, connections: usize) -> usize {
    if connections == 1 { options.requests.div_ceil(LIGHT_DIVISOR) } else { options.requests }
}

fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// Everything of one database.
struct Bench<'a> {
    options: &'a Options,
    database: Database,
    deployment: Deployment,
    world: World,
    result: &'a mut Comparison,
}

/// One that takes part in the rounds of a scenario.
struct Runner<'a> {
    side: Side,
    pid: Option<u32>,
    database: Option<u32>,
    peer: Option<&'a Peer>,
    rounds: Vec<Figures>,
    answers: u64,
}

impl Bench<'_> {
    async fn all(&mut self, field: &Field, tell: &dyn Fn(&str)) -> Result<(), BenchError> {
        for connections in self.options.connections.clone() {
            for scenario in self.options.scenarios.clone() {
                tell(&format!("{}, {connections} connections: {}", self.database.as_str(), scenario.as_str()));
                let mut runners = self.runners(field, scenario);
                match self.rounds(field, &mut runners, scenario, connections).await {
                    Ok(()) => self.conclude(&runners, scenario, connections),
                    Err(BenchError::Wrong(what)) => {
                        let database = self.database.as_str();
                        let wrong = format!("{database}, {connections} connections, {}: {what}", scenario.as_str());
                        tell(&format!("WRONG {wrong}"));
                        self.result.wrong.push(wrong);
                    }
                    Err(other) => return Err(other),
                }
            }
        }
        Ok(())
    }

    fn runners<'f>(&self, field: &'f Field, scenario: Scenario) -> Vec<Runner<'f>> {
        let runner = |side, pid, database, peer| Runner { side, pid, database, peer, rounds: Vec::new(), answers: 0 };
        let postmaster = self.deployment.postgres.as_ref().and_then(|postgres| postgres.postmaster());
        let mut runners = vec![
            // Calling the upstream directly costs the floor nothing.
            runner(Side::Floor, (scenario != Scenario::Proxied).then(|| field.floor.pid()), None, None),
            runner(Side::Stipend, Some(self.deployment.program.pid()), postmaster, None),
        ];
        let able = field.peers.iter().filter(|peer| peer.can(scenario));
        runners.extend(able.map(|peer| runner(peer.side, Some(peer.program.pid()), None, Some(peer))));
        runners
    }

    async fn rounds(
        &self,
        field: &Field,
        runners: &mut [Runner<'_>],
        scenario: Scenario,
        connections: usize,
    ) -> Result<(), BenchError> {
        let count = requests(self.options, connections);
        for runner in runners.iter() {
            self.round(field, runner, scenario, connections, count.div_ceil(WARM_UP_DIVISOR)).await?;
        }
        for round in 0..self.options.rounds {
            // Who comes first changes, so that nobody always runs after the same one.
            let first = round % runners.len().max(1);
            for place in 0..runners.len() {
                let place = (first + place) % runners.len();
                let Some(runner) = runners.get_mut(place) else { continue };
                let sample = self.round(field, runner, scenario, connections, count).await?;
                runner.answers += sample.answers;
                runner.rounds.push(Figures::of(&sample));
            }
        }
        Ok(())
    }

    async fn round(
        &self,
        field: &Field,
        runner: &Runner<'_>,
        scenario: Scenario,
        connections: usize,
        count: usize,
    ) -> Result<drive::Sample, BenchError> {
        let script = self.script(field, runner, scenario, count).await?;
        let meter = Meter { server: runner.pid, database: runner.database };
        let sample = drive(script, connections, count, meter).await;
        sample.map_err(|what| BenchError::Wrong(format!("{}: {what}", runner.side.as_str())))
    }

    async fn script(
        &self,
        field: &Field,
        runner: &Runner<'_>,
        scenario: Scenario,
        count: usize,
    ) -> Result<Script, BenchError> {
        let upstream = field.upstream.address.to_string();
        match (runner.side, runner.peer) {
            (Side::Stipend, _) => self.world.script(scenario, count).await,
            (_, Some(peer)) => floor_script(&peer.party, &upstream, scenario, count).await,
            (_, None) => floor_script(&field.floor_party, &upstream, scenario, count).await,
        }
    }

    fn conclude(&mut self, runners: &[Runner<'_>], scenario: Scenario, connections: usize) {
        let floor: &[Figures] = runners.first().map(|floor| floor.rounds.as_slice()).unwrap_or_default();
        for runner in runners {
            let Some(figures) = medians(&runner.rounds) else { continue };
            let pairs = || runner.rounds.iter().zip(floor);
            let is_floor = runner.side == Side::Floor;
            let ratios: Vec<f64> =
                pairs().filter(|_| !is_floor).map(|(own, floor)| own.rate / floor.rate.max(1e-9)).collect();
            let of = |values: &[f64], better: fn(f64, f64) -> f64| values.iter().copied().reduce(better);
            // A round too short for the clock of the kernel says nothing.
            let cpu = pairs().filter(|_| !is_floor).filter_map(|(own, floor)| Some(own.cpu? / floor.cpu?));
            self.result.rows.push(Row {
                // Only our own figures depend on the database.
                database: (runner.side == Side::Stipend).then_some(self.database),
                scenario,
                connections,
                side: runner.side,
                rounds: runner.rounds.len(),
                answers: runner.answers,
                median: figures,
                of_floor: median(ratios.iter().copied()),
                of_floor_lowest: of(&ratios, f64::min),
                of_floor_highest: of(&ratios, f64::max),
                cpu_of_floor: median(cpu.filter(|ratio| ratio.is_finite())),
                rss_kib: runner.pid.map(rss_kib).unwrap_or_default(),
            });
        }
    }
}
