//! `stipend serve` as a process of its own.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use stipend::testing::KEK;

/// A process of `stipend serve`, killed with the test.
pub struct Served(pub Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it and reads its log until it serves: the process, and what it says of itself.
pub fn start(issuer: &str, listen: &str, database: &str, vars: &[(&str, &str)]) -> (Served, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stipend"));
    command.arg("serve").env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
    command.envs([
        ("STIPEND_ISSUER", issuer),
        ("STIPEND_LISTEN", listen),
        ("STIPEND_DATABASE_URL", database),
        ("STIPEND_KEK", KEK),
    ]);
    let mut served = Served(command.envs(vars.iter().copied()).spawn().unwrap());
    let mut log = BufReader::new(served.0.stderr.take().unwrap()).lines();
    let line = log.find(|line| line.as_ref().unwrap().contains("\"serving\"")).unwrap().unwrap();
    std::thread::spawn(move || log.for_each(drop));
    (served, serde_json::from_str(&line).unwrap())
}

fn issuer_of(line: &Value) -> String {
    line["issuer"].as_str().unwrap().to_owned()
}

/// A first start on a free port: the issuer, and the first admin's secret.
pub fn serve(database: &str, vars: &[(&str, &str)]) -> (Served, String, String) {
    let (mut served, line) = start("http://127.0.0.1:0", "127.0.0.1:0", database, vars);
    let mut told = BufReader::new(served.0.stdout.take().unwrap()).lines();
    let secret = told.find_map(|line| line.unwrap().trim().strip_prefix("secret").map(str::to_owned));
    (served, issuer_of(&line), secret.unwrap().trim().to_owned())
}

pub fn terminate(child: &Child) {
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// On the same port, so that the issuer stays.
pub fn restart(database: &str, port: &str) -> (Served, String) {
    let address = format!("127.0.0.1:{port}");
    let (served, line) = start(&format!("http://{address}"), &address, database, &[]);
    (served, issuer_of(&line))
}
