//! A private PostgreSQL, with the settings of a real one where they matter: fsync is on.

use super::{ports, signals};
use crate::error::BenchError;
use rustix::process::{Signal, geteuid};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

const USER: &str = "postgres";
const DATABASE: &str = "stipend";
/// Where Debian keeps the programs, by version.
const DEBIAN: &str = "/usr/lib/postgresql";

#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    data: PathBuf,
    /// Settings of its server, as `name=value`.
    settings: Vec<String>,
    pub port: u16,
}

impl Postgres {
    /// Makes one in a directory, and starts it.
    ///
    /// # Errors
    /// [`BenchError`], with what its programs said.
    pub async fn start(dir: &Path) -> Result<Self, BenchError> {
        Self::start_with(dir, &[]).await
    }

    /// The same, with settings of its own, as `name=value`.
    ///
    /// # Errors
    /// [`BenchError`].
    pub async fn start_with(dir: &Path, settings: &[&str]) -> Result<Self, BenchError> {
        let programs = find_programs()?;
        let home = dir.join("postgres");
        std::fs::create_dir_all(&home).map_err(BenchError::io(home.display().to_string()))?;
        if geteuid().is_root() {
            // PostgreSQL refuses to run as root.
            run(Command::new("chown").arg(USER).arg(&home)).await?;
        }
        let postgres = Self {
            programs,
            data: home.join("data"),
            settings: settings.iter().map(|one| (*one).to_owned()).collect(),
            port: ports::free()?,
        };
        let data = postgres.data.display().to_string();
        let init = ["-D", &data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale"];
        run(postgres.program("initdb").args(init)).await?;
        postgres.resume().await?;
        postgres.sql("postgres", &[&format!("CREATE DATABASE {DATABASE}")]).await?;
        Ok(postgres)
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Its URL, by a port that leads to it.
    #[must_use]
    pub fn url(port: u16) -> String {
        format!("postgres://{USER}@127.0.0.1:{port}/{DATABASE}")
    }

    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = if geteuid().is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", USER, "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir("/");
        command
    }

    fn control(&self, args: &[&str]) -> Command {
        let mut command = self.program("pg_ctl");
        command.arg("-D").arg(&self.data).args(args);
        command
    }

    /// Starts it, and waits until it takes connections.
    ///
    /// # Errors
    /// [`BenchError`].
    pub async fn resume(&self) -> Result<(), BenchError> {
        let home = self.data.parent().unwrap_or(&self.data).display().to_string();
        let options = format!("-p {} -k {home} -c listen_addresses=127.0.0.1 -c max_connections=200", self.port);
        // The last one counts.
        let options = self.settings.iter().fold(options, |options, setting| format!("{options} -c {setting}"));
        let log = format!("{home}/log");
        run(&mut self.control(&["-w", "-t", "60", "-l", &log, "-o", &options, "start"])).await
    }

    /// Stops it without a checkpoint: what it has is in its log.
    ///
    /// # Errors
    /// [`BenchError`].
    pub async fn crash(&self) -> Result<(), BenchError> {
        run(&mut self.control(&["-m", "immediate", "stop"])).await
    }

    /// # Errors
    /// [`BenchError`].
    pub async fn terminate_backends(&self) -> Result<(), BenchError> {
        let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
        self.sql("postgres", &[all]).await
    }

    /// # Errors
    /// [`BenchError`].
    pub async fn read_only(&self, is_on: bool) -> Result<(), BenchError> {
        let word = if is_on { "on" } else { "off" };
        let set = format!("ALTER SYSTEM SET default_transaction_read_only = {word}");
        self.sql("postgres", &[&set, "SELECT pg_reload_conf()"]).await
    }

    /// Stops every process of it, the postmaster first, so that none is added.
    #[must_use]
    pub fn freeze(&self) -> Vec<u32> {
        let Some(postmaster) = self.postmaster() else { return Vec::new() };
        signals::send(postmaster, Signal::STOP);
        let children = signals::children(postmaster);
        for child in &children {
            signals::send(*child, Signal::STOP);
        }
        children.into_iter().chain([postmaster]).collect()
    }

    pub fn thaw(processes: &[u32]) {
        for process in processes {
            signals::send(*process, Signal::CONT);
        }
    }

    pub fn postmaster(&self) -> Option<u32> {
        let file = std::fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        file.lines().next()?.trim().parse().ok()
    }

    /// Runs statements, each by itself.
    ///
    /// # Errors
    /// [`BenchError`], with what the server said.
    pub async fn sql(&self, database: &str, statements: &[&str]) -> Result<(), BenchError> {
        let mut command = Command::new(self.programs.join("psql"));
        let port = self.port.to_string();
        command.args(["-X", "-q", "-h", "127.0.0.1", "-p", &port, "-U", USER, "-d", database, "-v", "ON_ERROR_STOP=1"]);
        // What is set for others must not keep us from setting it back.
        command.env("PGOPTIONS", "-c default_transaction_read_only=off");
        for statement in statements {
            command.args(["-c", statement]);
        }
        run(&mut command).await
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(postmaster) = self.postmaster() {
            Self::thaw(&self.freeze());
            let mut stop = self.control(&["-m", "immediate", "stop"]);
            let stopped = stop.as_std_mut().stdout(Stdio::null()).stderr(Stdio::null()).status();
            if stopped.is_err() {
                signals::send(postmaster, Signal::QUIT);
            }
        }
    }
}

fn find_programs() -> Result<PathBuf, BenchError> {
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let number = |path: &Path| path.parent().and_then(|dir| dir.file_name()?.to_str()?.parse::<u32>().ok());
    let installed = versions.map(|entry| entry.path().join("bin")).filter(|bin| bin.join("initdb").exists());
    let newest = installed.max_by_key(|bin| number(bin));
    let path = || PathBuf::from("/usr/local/pgsql/bin");
    let found = newest.unwrap_or_else(path);
    let missing =
        || BenchError::Deployment("PostgreSQL is not installed (Debian: apt-get install postgresql)".to_owned());
    found.join("initdb").exists().then_some(found).ok_or_else(missing)
}

/// Runs a program to its end; what it says is told where it fails.
async fn run(command: &mut Command) -> Result<(), BenchError> {
    let name = format!("{:?}", command.as_std().get_program());
    // A server that is started keeps its standard output: it must not be a pipe that is read.
    let log = tempfile::tempfile().map_err(BenchError::io(name.clone()))?;
    let told = log.try_clone().map_err(BenchError::io(name.clone()))?;
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(told).status().await;
    if status.map_err(BenchError::io(name.clone()))?.success() {
        return Ok(());
    }
    let mut said = String::new();
    let mut log = log;
    let _ = std::io::Seek::rewind(&mut log).and_then(|()| std::io::Read::read_to_string(&mut log, &mut said));
    let args: Vec<String> = command.as_std().get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    Err(BenchError::Deployment(format!("{name} {}: {}", args.join(" "), said.trim())))
}
