//! The program: started, waited for, and given the signals that we get.

use super::variables::Environment;
use crate::cli::error::CliError;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus, Stdio};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// As shells have it: found and not started, not found, ended by a signal.
const NOT_STARTED: u8 = 126;
const NOT_FOUND: u8 = 127;
const SIGNALLED: i32 = 128;

/// The signals that are passed on.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    hangup: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Signals {
    pub fn listen() -> Result<Self, CliError> {
        let listen = |kind| {
            signal(kind).map_err(|error| CliError::failed("signals", format!("signals can't be listened for: {error}")))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
        })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "TERM",
            _ = self.hangup.recv() => "HUP",
            _ = self.interrupt.recv() => "INT",
            _ = self.quit.recv() => "QUIT",
        }
    }
}

/// Starts it; else why not, and the exit code that says so.
pub fn start(command: &[OsString], environment: Environment) -> Result<Child, (CliError, u8)> {
    let Some((program, arguments)) = command.split_first() else {
        return Err((CliError::usage("no program"), NOT_FOUND));
    };
    let mut prepared = Command::new(program);
    prepared.args(arguments).envs(environment.set);
    for name in environment.removed {
        prepared.env_remove(name);
    }
    prepared.spawn().map_err(|error| {
        let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_STARTED };
        (CliError::failed("not_started", format!("{}: {error}", program.display())), code)
    })
}

/// Waits for its end, and answers with its exit code.
pub async fn wait(mut child: Child, mut signals: Signals) -> io::Result<ExitCode> {
    loop {
        tokio::select! {
            ended = child.wait() => return ended.map(code),
            name = signals.next() => pass_on(&child, name).await,
        }
    }
}

async fn pass_on(child: &Child, name: &'static str) {
    // What is typed at a terminal goes to all that run in its foreground: it had this one.
    if matches!(name, "INT" | "QUIT") && io::stdin().is_terminal() {
        return;
    }
    // Not waited for yet, so that the number is still its own.
    let Some(id) = child.id() else { return };
    // The standard library sends no signal but KILL; every shell has a `kill` built in.
    let mut kill = Command::new("/bin/sh");
    kill.args(["-c", "kill -s \"$0\" \"$1\"", name, &id.to_string()]).stdin(Stdio::null()).stderr(Stdio::null());
    let _ = kill.status().await;
}

fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| SIGNALLED.saturating_add(signal)));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
