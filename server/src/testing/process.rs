//! `stipend serve` in a process of its own, as users run it, and what it says in its log.

use serde_json::Value;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

/// A node that ends with this.
#[derive(Debug)]
pub struct Process {
    pub child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Process {
    /// Starts the program, which tests name by `CARGO_BIN_EXE_stipend`, with these variables and
    /// no others.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test without its node has failed")]
    pub fn serve(program: &str, vars: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program);
        command.arg("serve").env_clear().envs(vars.iter().copied());
        command.stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("a process");
        let log = BufReader::new(child.stderr.take().expect("its log")).lines();
        Self { child, log }
    }

    /// Reads on to the line with this message.
    ///
    /// # Panics
    /// When the log ends before it, or is not JSON.
    #[expect(clippy::expect_used, reason = "a test without its node has failed")]
    pub async fn until(&mut self, message: &str) -> Value {
        loop {
            let line = self.log.next_line().await.expect("its log").expect("the line that is waited for");
            let line: Value = serde_json::from_str(&line).expect("JSON");
            if line.get("message").is_some_and(|said| said == message) {
                return line;
            }
        }
    }

    /// The process, whose log nobody reads any more: it must not wait for a reader.
    #[must_use]
    pub fn unread(mut self) -> Child {
        #[expect(clippy::disallowed_methods, reason = "the log of a child process is read for as long as it lives")]
        tokio::spawn(async move { while let Ok(Some(_)) = self.log.next_line().await {} });
        self.child
    }
}
