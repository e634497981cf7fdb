//! A person at a terminal: a server of its own, the binary, and what it said.

use serde_json::Value;
use std::ffi::OsStr;
use std::io::Write;
use std::process::Stdio;
use stipend::testing::{ADMIN_SECRET, TestClient, TestServer};
use stipend_keys::{Algorithm, SigningKey};
use stipend_schema::Backend;
use tempfile::TempDir;
use tokio::process::Command;

pub const ORDERS: &str = "https://orders.example";

/// What a command left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Standard output, of a command that was done.
    pub fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// Standard output as JSON, of a command that was done without a word beside it.
    pub fn json(self) -> Value {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Of a command that was done and has nothing to say.
    pub fn done_silently(self) {
        assert_eq!((self.code, self.out.as_str(), self.err.as_str()), (0, "", ""), "{self:?}");
    }

    /// The error for people, of a command that failed with this code and printed no answer.
    pub fn refused(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:?}");
        assert!(self.err.starts_with("error: "), "{self:?}");
        self.err
    }

    /// The error for programs.
    pub fn refused_json(self, code: i32) -> Value {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:?}");
        let error: Value = serde_json::from_str(&self.err).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        error["error"].clone()
    }
}

/// The binary with nothing of this process's environment.
fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stipend"));
    command.env_clear().kill_on_drop(true).stdin(Stdio::null());
    command
}

pub async fn run_in(vars: &[(&str, &str)], args: &[impl AsRef<OsStr>]) -> Ran {
    run(binary().envs(vars.iter().copied()).args(args)).await
}

async fn run(command: &mut Command) -> Ran {
    let output = command.output().await.unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub struct Terminal {
    pub server: TestServer,
    pub folder: TempDir,
}

impl Terminal {
    pub async fn new() -> Self {
        Self::with_settings(&[]).await
    }

    pub async fn with_settings(settings: &[(&str, &str)]) -> Self {
        let server = TestServer::start_with(Backend::Sqlite, settings).await;
        Self { server, folder: tempfile::tempdir().unwrap() }
    }

    /// With an owner `acme`, its resource, and the agents `planner` and `refunds`.
    pub async fn with_company() -> Self {
        let terminal = Self::new().await;
        terminal.run(&["owner", "create", "acme"]).await.done();
        terminal.run(&["resource", "create", ORDERS, "--owner", "acme", "--scopes", "read,write,refund"]).await.done();
        let everything = format!("{ORDERS}=read,write,refund");
        let some = format!("{ORDERS}=read");
        terminal
            .run(&["agent", "create", "acme.planner", "--access", &everything, "--defaults", &everything])
            .await
            .done();
        terminal.run(&["agent", "create", "acme.refunds", "--access", &some]).await.done();
        terminal
    }

    /// One command as the first admin.
    pub async fn run(&self, args: &[&str]) -> Ran {
        run_in(&[("STIPEND_ISSUER", &self.server.issuer), ("STIPEND_CLIENT_SECRET", ADMIN_SECRET)], args).await
    }

    pub async fn json(&self, args: &[&str]) -> Value {
        self.run(&[args, &["--json"]].concat()).await.json()
    }

    /// One command as any client.
    pub async fn run_as(&self, client: &TestClient, args: &[&str]) -> Ran {
        let vars = [
            ("STIPEND_ISSUER", self.server.issuer.as_str()),
            ("STIPEND_CLIENT_ID", &client.id),
            ("STIPEND_CLIENT_SECRET", &client.secret),
        ];
        run_in(&vars, args).await
    }

    /// With a text on standard input.
    pub async fn run_with_input(&self, input: &str, args: &[&str]) -> Ran {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(input.as_bytes()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let vars = [("STIPEND_ISSUER", self.server.issuer.as_str()), ("STIPEND_CLIENT_SECRET", ADMIN_SECRET)];
        run(binary().envs(vars).args(args).stdin(file)).await
    }

    /// An agent of `acme` that may ask the key-release service for anything it was granted.
    pub async fn worker(&self) -> TestClient {
        self.run(&["owner", "create", "acme"]).await.done();
        let access = format!("{}/credentials=credential:use,credential:release", self.server.issuer);
        let made = self.json(&["agent", "create", "acme.worker", "--access", &access]).await;
        TestClient { id: "acme.worker".to_owned(), secret: made["client_secret"].as_str().unwrap().to_owned() }
    }

    /// A file in a folder that goes with the test.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A file with a new public key, and one with a set of only this key.
    pub fn key_files(&self, name: &str) -> (String, String) {
        let jwk = SigningKey::generate(Algorithm::Es256).unwrap().public_jwk().to_public_json();
        let set = format!("{{\"keys\":[{jwk}]}}");
        (self.file(&format!("{name}.jwk"), &jwk), self.file(&format!("{name}.jwks"), &set))
    }

    /// The planner, with a secret of the test's own.
    pub async fn planner(&self) -> TestClient {
        let made = self.json(&["agent", "secret", "add", "acme.planner"]).await;
        TestClient { id: "acme.planner".to_owned(), secret: made["client_secret"].as_str().unwrap().to_owned() }
    }
}

/// The value beside a name in what people read.
pub fn fact(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("  "));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).trim().to_owned()
}
