//! A socket of which the test writes each byte, and what comes back on it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;
use stipend::testing::{TestClient, TestServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than every limit here, on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Raw(pub TcpStream);

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Its `error`, where the body is JSON.
    pub fn error(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        body["error"].as_str().map(str::to_owned)
    }
}

impl Raw {
    pub async fn to(server: &TestServer) -> Self {
        let stream = timeout(PATIENCE, TcpStream::connect(server.address())).await.expect("in time").unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// Says something; a server that has closed already need not hear all of it.
    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref()).await;
    }

    /// The next answer, or none if the server closes.
    pub async fn answer(&mut self) -> Option<Answer> {
        timeout(PATIENCE, self.read()).await.expect("an answer or the end, in time")
    }

    async fn read(&mut self) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let pairs = lines.filter_map(|line| line.split_once(": "));
        let headers: Vec<_> = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let mut answer = Answer { status, headers, body: String::new() };
        let length = answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.ok()?;
        answer.body = String::from_utf8(body).unwrap();
        Some(answer)
    }

    /// All answers until the server closes.
    pub async fn answers(&mut self) -> Vec<Answer> {
        let mut all = Vec::new();
        while let Some(answer) = self.answer().await {
            all.push(answer);
        }
        all
    }

    /// No more will be sent.
    pub async fn finish(&mut self) {
        let _ = self.0.shutdown().await;
    }
}

/// What was answered to these bytes on a connection of their own, of which no more will come.
pub async fn answered(server: &TestServer, bytes: impl AsRef<[u8]>) -> Vec<Answer> {
    let mut raw = Raw::to(server).await;
    raw.say(bytes).await;
    raw.answers().await
}

pub fn basic(client: &TestClient) -> String {
    STANDARD.encode(format!("{}:{}", client.id, client.secret))
}

pub const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
pub const GRANT: &str = "grant_type=client_credentials";

/// A good request for a token, with more header lines.
pub fn token_request(client: &TestClient, more: &str) -> String {
    let (basic, length) = (basic(client), GRANT.len());
    format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: as.example\r\nAuthorization: Basic {basic}\r\n{FORM}{more}\
         Content-Length: {length}\r\n\r\n{GRANT}"
    )
}

/// Tokens that were issued to a client, by the audit.
pub async fn issued(server: &TestServer, client: &TestClient) -> usize {
    let path = format!("/audit?client_id={}&outcome=issued&limit=200", client.id);
    let (status, body) = server.admin(reqwest::Method::GET, &path, None).await;
    assert!(status.is_success(), "{body}");
    body["items"].as_array().unwrap().len()
}

/// Somebody who keeps to the rules is served.
pub async fn serves(server: &TestServer, client: &TestClient) {
    let mut raw = Raw::to(server).await;
    raw.say(token_request(client, "")).await;
    let answer = raw.answer().await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
}
