//! One server process: started, killed, stopped and started again on the same port.

use super::signals;
use crate::error::BenchError;
use rustix::process::Signal;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// How a panic begins in a log.
const PANICKED: &str = "panicked at";

#[derive(Debug)]
pub(super) struct ServerNode {
    binary: PathBuf,
    vars: Vec<(&'static str, String)>,
    log: PathBuf,
    child: Option<Child>,
}

impl ServerNode {
    pub fn new(binary: PathBuf, vars: Vec<(&'static str, String)>, log: PathBuf) -> Self {
        Self { binary, vars, log, child: None }
    }

    pub fn start(&mut self) -> Result<(), BenchError> {
        let what = self.log.display().to_string();
        let log = OpenOptions::new().create(true).append(true).open(&self.log).map_err(BenchError::io(what.clone()))?;
        let other = log.try_clone().map_err(BenchError::io(what))?;
        let mut command = Command::new(&self.binary);
        command.arg("serve").env_clear().envs(self.vars.iter().map(|(name, value)| (*name, value.as_str())));
        command.stdin(Stdio::null()).stdout(other).stderr(log).kill_on_drop(true);
        self.child = Some(command.spawn().map_err(BenchError::io(self.binary.display().to_string()))?);
        Ok(())
    }

    /// SIGKILL: nothing is flushed, closed or said.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill().await;
        }
    }

    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.as_ref().and_then(Child::id) {
            signals::send(pid, signal);
        }
    }

    /// How it ended, where nobody ended it.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        Some(status.to_string())
    }

    /// Lines of the log that tell of a panic.
    pub fn panics(&self) -> Vec<String> {
        let Ok(log) = File::open(&self.log) else { return Vec::new() };
        BufReader::new(log).lines().map_while(Result::ok).filter(|line| line.contains(PANICKED)).collect()
    }
}
