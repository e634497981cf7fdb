//! Processes that are measured: started, found serving, and what they took, by `/proc`.
//! Owns what it starts, and ends it; it must never signal anything else.

use crate::chaos::signals;
use crate::error::BenchError;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a process may take to serve.
pub const START_PATIENCE: Duration = Duration::from_secs(60);
pub const START_PAUSE: Duration = Duration::from_millis(20);
/// `USER_HZ`: the unit of times in `/proc`, the same on every architecture that is built for.
const TICKS_PER_SECOND: u64 = 100;
const MICROS_PER_TICK: u64 = 1_000_000 / TICKS_PER_SECOND;
/// Generations of processes that are counted together.
const MAX_GENERATIONS: usize = 4;

/// A process, with all that it starts.
#[derive(Debug)]
pub struct Program {
    child: Child,
    pub log: PathBuf,
}

impl Program {
    /// Starts it with these variables and no others but `PATH` and `HOME`.
    pub fn start(program: &Path, args: &[String], vars: &[(&str, String)], log: PathBuf) -> Result<Self, BenchError> {
        let what = log.display().to_string();
        let out = File::create(&log).map_err(BenchError::io(what.clone()))?;
        let err = out.try_clone().map_err(BenchError::io(what))?;
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(kept()).envs(vars.iter().map(|(name, value)| (*name, value.as_str())));
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().map_err(BenchError::io(program.display().to_string()))?;
        Ok(Self { child, log })
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said, where it has ended.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok()??;
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let tail: Vec<&str> = said.lines().rev().take(5).collect();
        Some(format!("{status}: {}", tail.into_iter().rev().collect::<Vec<_>>().join(" | ")))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Whoever starts workers may leave them behind when it is killed.
        let children = family(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        for child in children {
            signals::send(child, rustix::process::Signal::KILL);
        }
    }
}

fn kept() -> BTreeMap<&'static str, String> {
    #[expect(clippy::disallowed_methods, reason = "programs are found by PATH, and some need a home")]
    let var = |name: &'static str| std::env::var(name).ok().map(|value| (name, value));
    ["PATH", "HOME"].into_iter().filter_map(var).collect()
}

/// All that a process started, and they.
fn family(pid: u32) -> Vec<u32> {
    let mut all = Vec::new();
    let mut last = vec![pid];
    for _ in 0..MAX_GENERATIONS {
        last = last.iter().flat_map(|parent| signals::children(*parent)).collect();
        all.extend(&last);
    }
    all
}

/// Time on a processor of a process and all that it started, in microseconds. What has ended
/// counts with its parent.
#[must_use]
pub fn cpu_micros(pid: u32) -> u64 {
    let ticks = |pid: u32| -> Option<u64> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in brackets, may hold anything. utime, stime, cutime and cstime are fields
        // 14 to 17 (proc(5)), and the state after the name is the third.
        let fields = stat.rsplit_once(')')?.1;
        fields.split_whitespace().skip(11).take(4).map(|field| field.parse::<u64>().ok()).sum()
    };
    let all = std::iter::once(pid).chain(family(pid));
    all.filter_map(ticks).sum::<u64>().saturating_mul(MICROS_PER_TICK)
}

/// Memory of a process and all that it started, in KiB: what is shared counts with each.
#[must_use]
pub fn rss_kib(pid: u32) -> u64 {
    let resident = |pid: u32| -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse().ok()
    };
    std::iter::once(pid).chain(family(pid)).filter_map(resident).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_takes_is_read() {
        let own = std::process::id();
        assert!(rss_kib(own) > 100);
        let before = cpu_micros(own);
        // Work until the clock of the kernel has noticed.
        let mut sum = 0_u64;
        for round in 0..20_000_u64 {
            if cpu_micros(own) > before {
                break;
            }
            sum = sum.wrapping_add((0..10_000).fold(round, u64::wrapping_add));
        }
        assert!(cpu_micros(own) > before, "{sum}");
    }
}
