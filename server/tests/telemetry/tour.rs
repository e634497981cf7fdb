//! One of each thing that a node does, so that everything that is told of it is told.

use crate::collector::{Collector, Manner};
use crate::exposition::Exposition;
use crate::idp::{Idp, Key};
use crate::world::{ORDERS, World};
use parking_lot::Mutex;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use stipend_schema::Backend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// What nobody but its owner may ever read.
pub const KEY: &str = "sk-canary-key-7f3a9b2c5d8e1f40";
pub const WRONG: &str = "canary-wrong-secret-5d8e1f40";
pub const FORM: &str = "canary-form-value-9b2c5d8e";
pub const QUERY: &str = "canary-query-value-2c5d8e1f";
pub const PATH: &str = "canary-path-segment-a9b2c5d8";
pub const HEADER: &str = "canary-header-value-3a9b2c5d";
pub const BODY: &str = "canary-body-value-8e1f40aa";
pub const ANSWER: &str = "canary-upstream-answer-1f407f3a";
pub const CLAIMED: &str = "canary.claimed-client";

pub struct Tour {
    pub world: World,
    pub collector: Collector,
    pub idp: Idp,
    /// Heads that the upstream was sent.
    pub upstream: Arc<Mutex<Vec<String>>>,
    /// Everything that must not be told: tokens and secrets as they were answered, and the
    /// canaries.
    pub secrets: Vec<String>,
}

impl Tour {
    pub async fn take(more: &[(&str, &str)]) -> Self {
        let collector = Collector::start(Manner::Takes).await;
        let local = [
            ("STIPEND_UPSTREAM_HTTP_HOSTS", "127.0.0.1"),
            ("STIPEND_UPSTREAM_NETWORKS", "127.0.0.0/8"),
            ("STIPEND_FETCH_HTTP_HOSTS", "127.0.0.1"),
            ("STIPEND_FETCH_NETWORKS", "127.0.0.0/8"),
        ];
        let settings: Vec<_> = collector.settings().into_iter().chain(local).chain(more.iter().copied()).collect();
        let world = World::with(Backend::Sqlite, &settings).await;
        let key = Key::new("k1");
        let idp = Idp::start(&[&key]).await;
        let (base, upstream) = upstream().await;
        let fixed = [KEY, WRONG, FORM, QUERY, PATH, HEADER, BODY, ANSWER, CLAIMED];
        let mut secrets: Vec<String> = fixed.iter().map(|canary| (*canary).to_owned()).collect();
        let clients = [&world.planner, &world.refunds, &world.stranger, &world.service];
        secrets.extend(clients.iter().map(|client| client.secret.clone()));
        secrets.extend([stipend::testing::ADMIN_SECRET.to_owned(), world.server.admin_token().await]);
        let mut tour = Self { world, collector, idp, upstream, secrets };
        tour.tokens().await;
        tour.budgets().await;
        tour.custody(&base).await;
        tour.users(&key).await;
        tour.rates().await;
        tour.strangers().await;
        tour.endings().await;
        tour
    }

    fn keep(&mut self, body: &Value) -> String {
        let token = body["access_token"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned();
        // A signature alone would do.
        self.secrets.extend([token.clone(), token.rsplit('.').next().unwrap().to_owned()]);
        token
    }

    async fn tokens(&mut self) {
        let form = [("grant_type", "client_credentials")];
        let (_, body) = self.world.server.form("/oauth2/token", &self.world.planner, &form).await;
        let subject = self.keep(&body);
        let (_, body) = self.world.server.exchange(&self.world.refunds, &subject, &[]).await;
        let child = self.keep(&body);
        assert!(self.world.active(&child).await);
        let wrong = stipend::testing::TestClient { id: CLAIMED.to_owned(), secret: WRONG.to_owned() };
        let form = [("grant_type", "client_credentials"), ("scope", FORM), ("client_assertion", FORM)];
        assert!(self.world.server.form("/oauth2/token", &wrong, &form).await.0.is_client_error());
        let form = [("grant_type", FORM), ("subject_token", child.as_str()), ("resource", FORM)];
        assert!(self.world.server.form("/oauth2/token", &self.world.planner, &form).await.0.is_client_error());
        let (status, _) = self.world.server.exchange(&self.world.stranger, &subject, &[("scope", FORM)]).await;
        assert!(status.is_client_error());
    }

    async fn budgets(&mut self) {
        for (account, id, amount) in [("owner", "acme", 1000), ("agent", self.world.planner.id.as_str(), 100)] {
            let mut line = json!({"unit": "USD", "decimals": 6, "amount": amount});
            line[account] = json!(id);
            self.world.server.create("/budgets", line).await;
        }
        let (_, body) =
            self.world.server.form("/oauth2/token", &self.world.planner, &[("grant_type", "client_credentials")]).await;
        let token = self.keep(&body);
        for (amount, status) in [("60", StatusCode::OK), ("60", StatusCode::FORBIDDEN)] {
            let form = [("token", token.as_str()), ("unit", "USD"), ("amount", amount)];
            assert_eq!(self.world.server.form("/budget/charges", &self.world.service, &form).await.0, status);
        }
    }

    async fn custody(&mut self, base: &str) {
        let server = &self.world.server;
        let keys = server.app.urls.credential_resource.clone();
        let worker = server
            .create_client("acme", "worker", "agent", &[(&keys, &["credential:release", "credential:use"])])
            .await;
        let modes = ["proxy", "plaintext"];
        let value = json!({"api_key": {"key": KEY}});
        let credential = json!({"owner": "acme", "name": "llm", "value": value, "modes": modes, "base_url": base});
        let credential = server.create("/credentials", credential).await["id"].as_str().unwrap().to_owned();
        server.create("/grants", json!({"credential": credential, "agent": worker.id, "modes": modes})).await;
        let (_, body) = server.form("/oauth2/token", &worker, &[("grant_type", "client_credentials")]).await;
        self.secrets.push(worker.secret.clone());
        let token = self.keep(&body);
        let server = &self.world.server;
        let release = server.http.post(server.url(&format!("/credentials/{credential}/release"))).bearer_auth(&token);
        let released = release.json(&json!({"mode": "plaintext"})).send().await.unwrap();
        assert_eq!(released.status(), StatusCode::OK);
        assert!(released.text().await.unwrap().contains(KEY));
        let url = server.url(&format!("/proxy/{credential}/{PATH}?q={QUERY}"));
        let call = server.http.post(&url).bearer_auth(&token).header("x-canary", HEADER).json(&json!({"b": BODY}));
        let called = call.send().await.unwrap();
        assert_eq!(called.status(), StatusCode::OK);
        assert!(called.text().await.unwrap().contains(ANSWER));
        let traced = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let call = server.http.get(&url).bearer_auth(&token).header("traceparent", traced);
        assert_eq!(call.send().await.unwrap().status(), StatusCode::OK);
    }

    async fn users(&mut self, key: &Key) {
        let server = &self.world.server;
        let trusted = json!({
            "owner": "acme", "issuer": self.idp.issuer, "keys": "discovery", "audiences": ["stipend"],
            "uses": ["subject_token"],
        });
        let issuer = server.create("/issuers", trusted).await["id"].as_str().unwrap().to_owned();
        let rule = json!({
            "actor": {"client": self.world.refunds.id}, "subject": {"issuer": issuer}, "to_audience": ORDERS,
            "scopes": [{"scope": "read"}], "mode": "delegation",
        });
        server.create("/exchange-rules", rule).await;
        let id_token = key.token("JWT", &self.idp.claims(server.now()));
        self.secrets.push(id_token.clone());
        let form = [
            ("grant_type", stipend::grant::TOKEN_EXCHANGE),
            ("subject_token", id_token.as_str()),
            ("subject_token_type", ID_TOKEN),
            ("resource", ORDERS),
            ("scope", "read"),
        ];
        let (status, body) = self.world.server.form("/oauth2/token", &self.world.refunds, &form).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        self.keep(&body);
    }

    async fn rates(&mut self) {
        let server = &self.world.server;
        let hasty = server.create_client("acme", "hasty", "agent", &[(ORDERS, &["read"])]).await;
        let rate = json!({"settings": {"rate": {"count": 1, "per_s": 3600}}});
        let (status, body) = server.admin(Method::PATCH, &format!("/agents/{}", hasty.id), Some(&rate)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let form = [("grant_type", "client_credentials")];
        let mut held_up = false;
        for _ in 0..5 {
            let (status, _) = server.form("/oauth2/token", &hasty, &form).await;
            held_up |= status == StatusCode::TOO_MANY_REQUESTS;
        }
        assert!(held_up);
        self.secrets.push(hasty.secret);
    }

    /// Whatever somebody may write where.
    async fn strangers(&mut self) {
        let server = &self.world.server;
        let http = &server.http;
        for path in [format!("/{PATH}?q={QUERY}"), format!("/admin/v1/agents/{PATH}?q={QUERY}"), "/readyz".to_owned()] {
            let request = http.get(server.url(&path)).header("x-canary", HEADER).header("user-agent", HEADER);
            request.bearer_auth(WRONG).header("tracestate", format!("{HEADER}={HEADER},")).send().await.unwrap();
        }
        for path in ["/oauth2/introspect", "/oauth2/revoke", "/oauth2/register", "/budget/holds", "/credentials/unwrap"]
        {
            let request = http.post(server.url(path)).basic_auth(CLAIMED, Some(WRONG)).header("dpop", HEADER);
            let answer = request.form(&[("token", FORM), ("client_name", FORM), ("unit", FORM)]).send().await.unwrap();
            assert!(answer.status().is_client_error(), "{path}: {}", answer.status());
        }
        let request = http.post(server.url("/admin/v1/agents")).bearer_auth(server.admin_token().await);
        assert!(
            request.json(&json!({"owner": BODY, "purpose": BODY})).send().await.unwrap().status().is_client_error()
        );
    }

    async fn endings(&mut self) {
        let subject = self.world.subject().await;
        self.secrets.push(subject.clone());
        let form = [("token", subject.as_str())];
        assert_eq!(self.world.server.form("/oauth2/revoke", &self.world.planner, &form).await.0, StatusCode::OK);
        assert!(!self.world.active(&subject).await);
        self.world.server.checkpoint().await;
        // What is thrown away is told as well, and so is an export after it.
        self.collector.behave(Manner::Rejects(1));
        self.world.subject().await;
        for _ in 0..600 {
            let seen = self.scrape().await;
            let exported = seen.sum("stipend_telemetry_exports_total", &[("stipend_signal", "metrics")]) > 0.0;
            if exported && seen.sum("stipend_telemetry_dropped_total", &[]) > 0.0 {
                self.collector.behave(Manner::Takes);
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nothing was exported");
    }

    pub async fn text(&self) -> String {
        self.world.server.http.get(self.world.server.metrics_url()).send().await.unwrap().text().await.unwrap()
    }

    pub async fn scrape(&self) -> Exposition {
        Exposition::read(&self.text().await)
    }
}

/// An upstream that keeps the heads that it is sent.
async fn upstream() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let kept: Arc<Mutex<Vec<String>>> = Arc::default();
    let keeps = Arc::clone(&kept);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let keeps = Arc::clone(&keeps);
            tokio::spawn(async move {
                let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
                while !head.windows(4).any(|window| window == b"\r\n\r\n") {
                    match socket.read(&mut buffer).await {
                        Ok(0) | Err(_) => return,
                        Ok(n) => head.extend_from_slice(&buffer[..n]),
                    }
                }
                keeps.lock().push(String::from_utf8_lossy(&head).to_ascii_lowercase());
                let body = json!({"answer": ANSWER}).to_string();
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
                let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
                let _ = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    (base, kept)
}
