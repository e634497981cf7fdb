//! `stipend serve` in a process and a folder of its own, whose every word is kept.

use parking_lot::Mutex;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use stipend::testing::{ADMIN_SECRET, KEK};
use tempfile::TempDir;

pub struct Node {
    pub issuer: String,
    pub folder: TempDir,
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stipend"));
    command.env_clear().stdin(Stdio::null());
    command
}

impl Node {
    pub fn start(database: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = binary();
        command.arg("serve").current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).envs([
            ("STIPEND_ISSUER", "http://127.0.0.1:0"),
            ("STIPEND_LISTEN", "127.0.0.1:0"),
            ("STIPEND_DATABASE_URL", database),
            ("STIPEND_KEK", KEK),
            ("STIPEND_BOOTSTRAP_SECRET", ADMIN_SECRET),
            ("STIPEND_LOG_LEVEL", "trace"),
            ("STIPEND_UPSTREAM_HTTP_HOSTS", "127.0.0.1"),
            ("STIPEND_UPSTREAM_NETWORKS", "127.0.0.0/8"),
        ]);
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("\"serving\"") {
            line.clear();
            assert!(
                log.read_line(&mut line).unwrap() > 0,
                "it did not start: {}",
                String::from_utf8_lossy(&said.lock())
            );
            said.lock().extend_from_slice(line.as_bytes());
        }
        let told: Value = serde_json::from_str(&line).unwrap();
        let readers = vec![keep(log, &said), keep(child.stdout.take().unwrap(), &said)];
        Self { issuer: told["issuer"].as_str().unwrap().to_owned(), folder, child, said, readers }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it wrote.
    pub fn said(&mut self) -> Vec<u8> {
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        self.said.lock().clone()
    }

    /// What a command of the first admin says, on either side.
    pub fn command(&self, args: &[&str]) -> Vec<u8> {
        let vars = [("STIPEND_ISSUER", self.issuer.as_str()), ("STIPEND_CLIENT_SECRET", ADMIN_SECRET)];
        let output = binary().envs(vars).args(args).output().unwrap();
        [output.stdout, output.stderr].concat()
    }

    pub fn stop(&mut self) {
        self.signal("-TERM");
        assert!(self.child.wait().unwrap().success());
    }

    /// Ends it as a fault of the program would.
    pub fn abort(&mut self) {
        use std::os::unix::process::ExitStatusExt;
        self.signal("-ABRT");
        let status = self.child.wait().unwrap();
        assert_eq!((status.signal(), status.core_dumped()), (Some(6), false), "{status}");
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

fn keep(mut from: impl Read + Send + 'static, said: &Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        let mut buffer = [0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            said.lock().extend_from_slice(&buffer[..length]);
        }
    })
}
