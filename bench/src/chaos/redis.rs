//! A private Redis that keeps nothing: what depends on it must be worth losing.

use super::{ports, signals};
use crate::error::BenchError;
use rustix::process::Signal;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::process::{Child, Command};

#[derive(Debug)]
pub(super) struct Redis {
    dir: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Redis {
    pub fn start(dir: PathBuf) -> Result<Self, BenchError> {
        let mut redis = Self { dir, port: ports::free()?, child: None };
        redis.resume()?;
        Ok(redis)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn resume(&mut self) -> Result<(), BenchError> {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.current_dir(&self.dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.kill_on_drop(true).spawn().map_err(BenchError::io("redis-server"))?);
        Ok(())
    }

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
}
