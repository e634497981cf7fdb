//! `stipend serve` in a process of its own whose log is kept.

use parking_lot::Mutex;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use stipend::testing::{ADMIN_SECRET, KEK};
use tempfile::TempDir;

pub struct Node {
    pub http: reqwest::Client,
    pub url: String,
    pub agent_secret: Mutex<String>,
    token: String,
    folder: TempDir,
    child: Child,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    pub fn start(database: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}");
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_stipend"))
            .arg("serve")
            .env_clear()
            .envs([
                ("STIPEND_ISSUER", url.as_str()),
                ("STIPEND_LISTEN", &format!("127.0.0.1:{port}")),
                ("STIPEND_DATABASE_URL", database),
                ("STIPEND_KEK", KEK),
                ("STIPEND_BOOTSTRAP_SECRET", ADMIN_SECRET),
                ("STIPEND_LOG_FORMAT", "json"),
                ("STIPEND_LOG_LEVEL", "debug"),
            ])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        Self { http, url, agent_secret: Mutex::default(), token: String::new(), folder, child }
    }

    /// Waits until it serves, and gets the first admin's token.
    pub async fn log_in(&mut self) {
        for _ in 0..600 {
            if let Ok(answer) = self.http.get(format!("{}/readyz", self.url)).send().await
                && answer.status() == StatusCode::OK
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let form = [("grant_type", "client_credentials")];
        let request = self.http.post(format!("{}/oauth2/token", self.url)).form(&form);
        let answer = request.basic_auth("stipend.admin", Some(ADMIN_SECRET)).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        self.token = body["access_token"].as_str().unwrap().to_owned();
    }

    pub async fn document(&self) -> Value {
        self.http.get(format!("{}/openapi.json", self.url)).send().await.unwrap().json().await.unwrap()
    }

    pub async fn admin(&self, method: &Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let url = format!("{}/admin/v1{path}", self.url);
        let mut request = self.http.request(method.clone(), url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        // One that never ends is as good as answered.
        if answer.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream") {
            return (status, Value::Object(serde_json::Map::new()));
        }
        let bytes = answer.bytes().await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub async fn create(&self, path: &str, body: Value) {
        let (status, answer) = self.admin(&Method::POST, path, Some(&body)).await;
        assert!(status.is_success(), "{path} {body}: {status} {answer}");
        if let Some(secret) = answer["client_secret"].as_str() {
            *self.agent_secret.lock() = secret.to_owned();
        }
    }

    /// Stops it: its log.
    pub fn stop(mut self) -> String {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
        std::fs::read_to_string(self.folder.path().join("log")).expect("the log is UTF-8")
    }
}
