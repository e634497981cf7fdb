//! A private server on a fresh database, started as its users start it, and the floor.
//! Owns processes and their directory. It must never leave a setting to chance that the floor
//! does not share.

use super::process::{Program, START_PATIENCE, START_PAUSE, rss_kib};
use super::scenario::{Key, Party};
use super::wire::{Connection, get};
use crate::chaos::database::Postgres;
use crate::chaos::ports;
use crate::error::BenchError;
use crate::floor::Announced;
use crate::http::{Credentials, Node};
use josekit::jwk::Jwk;
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Instant;

const ADMIN: &str = "stipend.admin";

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// A server that serves.
#[derive(Debug)]
pub struct Deployment {
    pub program: Program,
    /// Where it was started here; one that is named by a URL is nobody's to measure.
    pub postgres: Option<Postgres>,
    pub node: Node,
    pub address: String,
    pub admin: Credentials,
    /// How long it took to serve, and its memory then.
    pub start_millis: u64,
    pub start_rss_kib: u64,
}

/// How to start one.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    pub binary: &'a Path,
    pub database: Database,
    /// An empty PostgreSQL database; a private one is started where absent.
    pub postgres_url: Option<&'a str>,
    pub workers: usize,
    pub dir: PathBuf,
}

impl Deployment {
    /// # Errors
    /// [`BenchError`].
    pub async fn start(start: &Start<'_>) -> Result<Self, BenchError> {
        std::fs::create_dir_all(&start.dir).map_err(BenchError::io(start.dir.display().to_string()))?;
        let mut postgres = None;
        let url = match (start.database, start.postgres_url) {
            (Database::Sqlite, _) => format!("sqlite://{}", start.dir.join("stipend.db").display()),
            (Database::Postgres, Some(url)) => url.to_owned(),
            (Database::Postgres, None) => {
                let own = Postgres::start(&start.dir).await?;
                let url = Postgres::url(own.port);
                postgres = Some(own);
                url
            }
        };
        let random = |length: usize, hex: bool| -> String {
            let one = || {
                if hex { char::from_digit(fastrand::u32(..16), 16).unwrap_or('0') } else { fastrand::alphanumeric() }
            };
            std::iter::repeat_with(one).take(length).collect()
        };
        let secret = random(43, false);
        let address = format!("127.0.0.1:{}", ports::free()?);
        let vars = [
            ("STIPEND_ISSUER", format!("http://{address}")),
            ("STIPEND_LISTEN", address.clone()),
            ("STIPEND_DATABASE_URL", url),
            ("STIPEND_KEK", random(64, true)),
            ("STIPEND_BOOTSTRAP_SECRET", secret.clone()),
            ("STIPEND_WORKERS", start.workers.to_string()),
            // The upstream of the proxied calls is a thread of the load generator.
            ("STIPEND_UPSTREAM_HTTP_HOSTS", "127.0.0.1".to_owned()),
            ("STIPEND_UPSTREAM_NETWORKS", "127.0.0.0/8".to_owned()),
        ];
        let began = Instant::now();
        let log = start.dir.join("server.log");
        let mut program = Program::start(start.binary, &["serve".to_owned()], &vars, log)?;
        let node = Node::new(&format!("http://{address}"))?;
        until_ready(&mut program, &address, "/healthz").await?;
        let start_millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let start_rss_kib = rss_kib(program.pid());
        let admin = Credentials { id: ADMIN.to_owned(), secret };
        Ok(Self { program, postgres, node, address, admin, start_millis, start_rss_kib })
    }
}

/// Waits until a GET is answered with 200.
///
/// # Errors
/// [`BenchError::Deployment`] with what the program said.
pub async fn until_ready(program: &mut Program, address: &str, path: &str) -> Result<(), BenchError> {
    let began = Instant::now();
    loop {
        let answer = async { Connection::open(address).await?.ask(&get(address, path)).await };
        if answer.await.is_ok_and(|answer| answer.status == 200) {
            return Ok(());
        }
        if let Some(ended) = program.ended() {
            return Err(BenchError::Deployment(format!("{address}{path} was not served: {ended}")));
        }
        if began.elapsed() > START_PATIENCE {
            let log = program.log.display();
            return Err(BenchError::Deployment(format!("{address}{path} does not serve: see {log}")));
        }
        tokio::time::sleep(START_PAUSE).await;
    }
}

/// The floor, in a process of its own.
///
/// # Errors
/// [`BenchError`].
pub async fn start_floor(own: &Path, workers: usize, dir: &Path) -> Result<(Program, Party), BenchError> {
    let args = ["floor", "--workers", &workers.to_string()].map(str::to_owned);
    let log = dir.join("floor.log");
    let mut program = Program::start(own, &args, &[], log.clone())?;
    let began = Instant::now();
    let announced: Announced = loop {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        if let Some(line) = said.lines().find_map(|line| serde_json::from_str(line).ok()) {
            break line;
        }
        if let Some(ended) = program.ended() {
            return Err(BenchError::Deployment(format!("the floor: {ended}")));
        }
        if began.elapsed() > START_PATIENCE {
            return Err(BenchError::Deployment("the floor does not serve".to_owned()));
        }
        tokio::time::sleep(START_PAUSE).await;
    };
    let client = Credentials { id: announced.client_id.clone(), secret: announced.client_secret };
    let Value::Object(key) = announced.client_key else {
        return Err(BenchError::Deployment("the floor's key is none".to_owned()));
    };
    let key = Jwk::from_map(key).map_err(|error| BenchError::Deployment(error.to_string()))?;
    let party = Party {
        issuer: format!("http://{}", announced.address),
        address: announced.address,
        subject: client.clone(),
        actor: client.clone(),
        signer: (announced.client_id, Key(key)),
        service: client,
        audience: None,
        scope: None,
    };
    Ok((program, party))
}
