//! Arguments.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use stipend_bench::load::journal::Fsync;
use stipend_bench::load::plan::Shape;
use stipend_bench::load::{Options, Tools};

use stipend_bench::compare::{self, Database as Measured, Scenario};
use stipend_bench::{Admin, BenchError, chaos};

/// Load with a ledger checker, and chaos, for a Stipend deployment.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Drive a running deployment, and hold what it answered against what it says at the end
    Load(LoadArguments),
    /// Start a private deployment, drive it, and break it meanwhile
    Chaos(ChaosArguments),
    /// Measure a private server beside the floor, and peers, in the same run
    Compare(CompareArguments),
    /// Serve the floor: what a token endpoint can't do without, and nothing else
    Floor(FloorArguments),
}

#[derive(Args, Debug)]
pub struct FloorArguments {
    /// Address and port; 0 takes a free one, and what was taken is printed
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// HTTP worker threads
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
}

#[derive(Args, Debug)]
pub struct CompareArguments {
    /// The server's program
    #[arg(long)]
    binary: PathBuf,
    /// Databases; both where absent
    #[arg(long, value_enum, value_delimiter = ',', default_value = "sqlite,postgres")]
    database: Vec<Measured>,
    /// An empty PostgreSQL database; a private one is started where absent
    #[arg(long, value_name = "URL")]
    postgres_url: Option<String>,
    /// What is asked; everything where absent
    #[arg(long = "scenario", value_enum, value_delimiter = ',')]
    scenarios: Vec<Scenario>,
    /// Connections that are kept alive; 1 shows the time of one request by itself
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256")]
    connections: Vec<usize>,
    /// Rounds, of which medians are taken
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Requests of a round; one connection sends an eighth of them
    #[arg(long, default_value_t = 8000)]
    requests: usize,
    /// HTTP worker threads of server, floor and peers
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Where the peers are installed
    #[arg(long, value_name = "DIR")]
    peers: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl CompareArguments {
    pub fn options(&self) -> Result<compare::Options, BenchError> {
        let own = std::env::current_exe();
        let own = own.map_err(|error| BenchError::Io { what: "this program".to_owned(), error })?;
        let absolute = |path: &PathBuf| {
            let what = path.display().to_string();
            std::path::absolute(path).map_err(|error| BenchError::Io { what, error })
        };
        let all = || Scenario::value_variants().to_vec();
        Ok(compare::Options {
            binary: absolute(&self.binary)?,
            own,
            databases: self.database.clone(),
            postgres_url: self.postgres_url.clone(),
            scenarios: if self.scenarios.is_empty() { all() } else { self.scenarios.clone() },
            connections: self.connections.clone(),
            rounds: self.rounds,
            requests: self.requests,
            workers: self.workers,
            peers: self.peers.as_ref().map(absolute).transpose()?,
        })
    }
}

#[derive(Args, Debug)]
pub struct Mix {
    /// The same seed makes the same plan; drawn and printed where absent
    #[arg(long)]
    seed: Option<u64>,
    /// Operations a second, by schedule
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// Agents whose budgets are spent; every third has less than is asked of it
    #[arg(long, default_value_t = 6)]
    planners: usize,
    /// Agents that exchange their tokens
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// Every attempt is written here before it is sent, and when it is answered: a new file
    #[arg(long)]
    journal: Option<PathBuf>,
    /// When the journal must be on the disk
    #[arg(long, value_enum, default_value_t)]
    fsync: Fsync,
}

impl Mix {
    fn shape(&self, seconds: u64) -> Shape {
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
        Shape { seed, rate: self.rate, seconds, planners: self.planners, workers: self.workers }
    }

    fn journal(&self, seed: u64) -> PathBuf {
        let named = || std::env::temp_dir().join(format!("stipend-bench-{seed}-{}.jsonl", std::process::id()));
        self.journal.clone().unwrap_or_else(named)
    }
}

#[derive(Args, Debug)]
pub struct LoadArguments {
    /// A node of the deployment; may be repeated
    #[arg(long = "node", required = true, value_name = "URL")]
    nodes: Vec<String>,
    /// A client with the role platform-admin
    #[arg(long, env = "STIPEND_CLIENT_ID", default_value = "stipend.admin")]
    client_id: String,
    #[arg(long, env = "STIPEND_CLIENT_SECRET", hide_env_values = true)]
    client_secret: String,
    /// How long requests arrive: 3000 at most
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    #[command(flatten)]
    mix: Mix,
    /// Do not read the audit at the end
    #[arg(long)]
    without_audit: bool,
    /// The server's program: `audit verify` and, with a database, `budget verify` are run
    #[arg(long)]
    binary: Option<PathBuf>,
    /// For `budget verify`
    #[arg(long, requires = "binary")]
    database_url: Option<String>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

impl LoadArguments {
    pub fn options(&self) -> Result<(Options, Admin), BenchError> {
        let shape = self.mix.shape(self.seconds);
        let database_url = self.database_url.clone();
        let tools = Tools { binary: self.binary.clone(), database_url, ..Tools::default() };
        let options = Options {
            nodes: self.nodes.clone(),
            shape,
            journal: self.mix.journal(shape.seed),
            fsync: self.mix.fsync,
            audit: !self.without_audit,
            tools,
        };
        Ok((options, Admin::new(self.client_id.clone(), self.client_secret.clone())))
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Database {
    Postgres,
    Sqlite,
}

#[derive(Args, Debug)]
pub struct ChaosArguments {
    /// The server's program
    #[arg(long)]
    binary: PathBuf,
    #[arg(long, value_enum, default_value = "postgres")]
    database: Database,
    /// Server processes; one with SQLite
    #[arg(long, default_value_t = 2)]
    nodes: usize,
    /// Start a Redis for the nodes as well, and break it
    #[arg(long)]
    redis: bool,
    /// How long: 50 at most
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
    /// How often a node is killed (SIGKILL) and started again
    #[arg(long, default_value_t = 5)]
    kills: usize,
    /// How many other faults there are
    #[arg(long, default_value_t = 5)]
    faults: usize,
    #[command(flatten)]
    mix: Mix,
    /// Where the database, the logs and the journal are kept; a temporary directory where absent
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

impl ChaosArguments {
    pub fn options(&self) -> Result<chaos::Options, BenchError> {
        let wrong = || BenchError::Usage("--minutes is more than 0, and 50 at most".to_owned());
        let length = Duration::try_from_secs_f64(self.minutes * 60.0).map_err(|_| wrong())?;
        let shape = self.mix.shape(length.as_secs());
        Ok(chaos::Options {
            binary: self.binary.clone(),
            backend: match self.database {
                Database::Postgres => chaos::Backend::Postgres,
                Database::Sqlite => chaos::Backend::Sqlite,
            },
            nodes: self.nodes,
            redis: self.redis,
            kills: self.kills,
            faults: self.faults,
            shape,
            journal: self.mix.journal.clone(),
            fsync: self.mix.fsync,
            keep: self.keep.clone(),
        })
    }
}
