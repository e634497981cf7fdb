//! A whole server in process for tests: a fresh database, a free port, a clock that is
//! moved by hand, and the few calls that every test begins with.

mod process;
mod prover;

pub use process::Process;
pub use prover::Prover;

use crate::app::App;
use crate::bootstrap;
use crate::clock::ShiftedClock;
use crate::config::{Config, Source};
use crate::serve::{self, Running, StartError};
use parking_lot::Mutex;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use stipend_schema::Backend;
use stipend_schema::testing::TestDatabase;

/// The key-encryption key of every server that tests start.
pub const KEK: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
/// The bootstrap admin's secret in tests.
pub const ADMIN_SECRET: &str = "sk_test_only_bootstrap_secret_0123456789";

/// A client made for a test.
#[derive(Clone, Debug)]
pub struct TestClient {
    pub id: String,
    pub secret: String,
}

/// A running server.
#[derive(Debug)]
pub struct TestServer {
    pub issuer: String,
    pub app: Arc<App>,
    pub clock: Arc<ShiftedClock>,
    pub http: reqwest::Client,
    pub database_url: String,
    running: Mutex<Option<Running>>,
    admin_token: Mutex<Option<(i64, String)>>,
    database: Option<TestDatabase>,
}

impl TestServer {
    /// Starts a server on a database of its own.
    ///
    /// # Panics
    /// When it can't: the test has failed.
    pub async fn start(backend: Backend) -> Self {
        Self::start_with(backend, &[]).await
    }

    /// The same with settings of the test's own.
    ///
    /// # Panics
    /// When it can't.
    pub async fn start_with(backend: Backend, settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::new(backend).await;
        let mut server = Self::start_on(database.url(), settings).await;
        server.database = Some(database);
        server
    }

    /// One more node on a database that exists.
    ///
    /// # Panics
    /// When it can't.
    #[expect(clippy::expect_used, reason = "a test that can't start has failed")]
    pub async fn start_on(database_url: &str, settings: &[(&str, &str)]) -> Self {
        Self::try_start_on(database_url, settings).await.expect("the server starts")
    }

    /// The same, for a node that may refuse to start. A setting of the test's own stands in
    /// place of the usual one, and an empty one takes that away.
    ///
    /// # Errors
    /// [`StartError`].
    ///
    /// # Panics
    /// When the configuration is not valid.
    #[expect(clippy::expect_used, reason = "a test that can't be set up has failed")]
    pub async fn try_start_on(database_url: &str, settings: &[(&str, &str)]) -> Result<Self, StartError> {
        install_crypto();
        let mut vars = vec![
            ("STIPEND_ISSUER", "http://127.0.0.1:0"),
            ("STIPEND_LISTEN", "127.0.0.1:0"),
            ("STIPEND_DATABASE_URL", database_url),
            ("STIPEND_BOOTSTRAP_SECRET", ADMIN_SECRET),
            ("STIPEND_KEK", KEK),
            ("STIPEND_WORKERS", "1"),
        ];
        vars.retain(|(name, _)| settings.iter().all(|(other, _)| other != name));
        vars.extend_from_slice(settings);
        let vars = vars.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Source::from_vars(vars).and_then(Config::from_source).expect("a valid configuration");
        let clock = Arc::new(ShiftedClock::default());
        let running = serve::start_with(config, Arc::<ShiftedClock>::clone(&clock)).await?;
        Ok(Self {
            issuer: running.app.urls.issuer.clone(),
            app: Arc::clone(&running.app),
            clock,
            http: reqwest::Client::builder().no_proxy().build().expect("an HTTP client"),
            database_url: database_url.to_owned(),
            running: Mutex::new(Some(running)),
            admin_token: Mutex::new(None),
            database: None,
        })
    }

    /// The server's time, in seconds.
    #[must_use]
    pub fn now(&self) -> i64 {
        use crate::clock::Clock;
        self.clock.now()
    }

    /// Stops it gracefully, keeping its database.
    pub async fn stop(&self) {
        let running = self.running.lock().take();
        if let Some(running) = running {
            running.stop().await;
        }
    }

    /// Signs a checkpoint of the audit now.
    pub async fn checkpoint(&self) {
        crate::jobs::checkpoint(&self.app).await;
    }

    /// Runs a statement on its database behind its back.
    ///
    /// # Panics
    /// When the database is not its own.
    #[expect(clippy::expect_used, reason = "only servers with a database of their own are changed so")]
    pub async fn execute(&self, sql: &str) {
        let database = self.database.as_ref().expect("a database of its own");
        database.execute(sql).await.expect("a statement that works");
    }

    /// Where it listens, whatever its issuer says.
    #[must_use]
    pub fn address(&self) -> String {
        self.running.lock().as_ref().map(|running| running.address.to_string()).unwrap_or_default()
    }

    /// Where `/metrics` is.
    #[must_use]
    pub fn metrics_url(&self) -> String {
        let address = self.running.lock().as_ref().and_then(|running| running.metrics_address);
        address.map(|address| format!("http://{address}/metrics")).unwrap_or_default()
    }

    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    #[must_use]
    pub fn admin_client(&self) -> TestClient {
        TestClient { id: bootstrap::ADMIN.to_owned(), secret: ADMIN_SECRET.to_owned() }
    }

    /// A token request by HTTP Basic: status and body.
    ///
    /// # Panics
    /// When there is no JSON answer.
    #[expect(clippy::expect_used, reason = "a test without an answer has failed")]
    pub async fn form(&self, path: &str, client: &TestClient, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let answer = self.form_request(path, client, form).send().await.expect("an answer");
        let status = answer.status();
        let body = answer.bytes().await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// A form request by HTTP Basic, to be sent.
    pub fn form_request(&self, path: &str, client: &TestClient, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
        self.http.post(self.url(path)).basic_auth(&client.id, Some(&client.secret)).form(form)
    }

    /// A client credentials token.
    ///
    /// # Panics
    /// When it is refused.
    #[expect(clippy::panic, reason = "a test that gets no token has failed")]
    pub async fn token(&self, client: &TestClient, form: &[(&str, &str)]) -> String {
        let mut full = vec![("grant_type", "client_credentials")];
        full.extend_from_slice(form);
        match self.form("/oauth2/token", client, &full).await {
            (StatusCode::OK, Value::Object(body)) => match body.get("access_token").and_then(Value::as_str) {
                Some(token) => token.to_owned(),
                None => panic!("no access_token in {body:?}"),
            },
            (status, body) => panic!("{status}: {body}"),
        }
    }

    /// A token exchange: status and body.
    pub async fn exchange(&self, client: &TestClient, subject: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let mut full = vec![
            ("grant_type", crate::grant::TOKEN_EXCHANGE),
            ("subject_token", subject),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ];
        full.extend_from_slice(form);
        self.form("/oauth2/token", client, &full).await
    }

    /// What introspection says of a token to this client.
    pub async fn introspect(&self, client: &TestClient, token: &str) -> Value {
        self.form("/oauth2/introspect", client, &[("token", token)]).await.1
    }

    /// A token of the bootstrap admin, kept while it is valid.
    pub async fn admin_token(&self) -> String {
        use crate::clock::Clock;
        let now = self.clock.now();
        let kept = self.admin_token.lock().clone();
        if let Some((until, token)) = kept
            && now < until
        {
            return token;
        }
        let token = self.token(&self.admin_client(), &[]).await;
        *self.admin_token.lock() = Some((now + 200, token.clone()));
        token
    }

    /// A call of the admin API as the bootstrap admin: status and body.
    pub async fn admin(&self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let token = self.admin_token().await;
        self.admin_as(&token, method, path, body).await
    }

    /// A call of the admin API with a given token.
    ///
    /// # Panics
    /// When there is no answer.
    #[expect(clippy::expect_used, reason = "a test without an answer has failed")]
    pub async fn admin_as(&self, token: &str, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let mut request = self.http.request(method, self.url(&format!("/admin/v1{path}"))).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let body = answer.bytes().await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// Creates something through the admin API.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn create(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.admin(Method::POST, path, Some(&body)).await;
        assert!(status.is_success(), "POST {path}: {status} {answer}");
        answer
    }

    pub async fn create_owner(&self, id: &str) {
        self.create("/owners", json!({ "id": id, "name": id })).await;
    }

    /// A resource with these scopes; `introspectors` are client ids.
    pub async fn create_resource(&self, owner: &str, uri: &str, scopes: &[&str], introspectors: &[&str]) -> Value {
        self.create(
            "/resources",
            json!({
                "owner": owner, "uri": uri, "name": uri, "scopes": scopes, "introspectors": introspectors,
                "budget_capable": true,
            }),
        )
        .await
    }

    /// A secret client. `access` is `[(resource, scopes)]`; all of them are its default.
    pub async fn create_client(&self, owner: &str, name: &str, kind: &str, access: &[(&str, &[&str])]) -> TestClient {
        let access: Vec<Value> = access
            .iter()
            .map(|(uri, scopes)| json!({ "resource": uri, "scopes": scopes, "default_scopes": scopes }))
            .collect();
        let body = json!({
            "owner": owner, "name": name, "kind": kind, "purpose": "test",
            "auth_method": "client_secret_basic", "access": access,
        });
        let created = self.create("/agents", body).await;
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        TestClient {
            id: text(created.get("agent").and_then(|agent| agent.get("id"))),
            secret: text(created.get("client_secret")),
        }
    }

    /// A rule by which `actor` may exchange tokens of `subject` at `to`.
    pub async fn create_rule(&self, actor: &str, subject: &str, to: &str, scopes: &[&str]) -> Value {
        let scopes: Vec<Value> = scopes.iter().map(|scope| json!({ "scope": scope })).collect();
        self.create(
            "/exchange-rules",
            json!({
                "actor": { "client": actor }, "subject": { "client": subject },
                "to_audience": to, "scopes": scopes, "mode": "delegation",
            }),
        )
        .await
    }
}

/// The process's TLS provider; tests run in any order.
pub fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
