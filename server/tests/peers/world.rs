//! An issuer with TLS, an agent's tokens, and a relying service that is some other program.

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use stipend::testing::{TestClient, TestServer, install_crypto};
use stipend_schema::Backend;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

pub const ORDERS: &str = "https://orders.example";
pub const LEDGER: &str = "https://ledger.example";
/// Longest that a service may take to listen.
const START: Duration = Duration::from_secs(20);

pub struct World {
    pub server: TestServer,
    agent: TestClient,
    /// Its tokens live for a second.
    brief: TestClient,
    files: TempDir,
}

impl World {
    pub async fn new() -> Self {
        install_crypto();
        let files = tempfile::tempdir().unwrap();
        let (ca, certificate, key) = certificates();
        let file = |name: &str, text: &str| {
            let path = files.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        file("ca.pem", &ca);
        let (certificate, key) = (file("cert.pem", &certificate), file("key.pem", &key));
        let settings = [
            ("STIPEND_ISSUER", "https://localhost:0"),
            ("STIPEND_TLS_CERT_FILE", &certificate),
            ("STIPEND_TLS_KEY_FILE", &key),
        ];
        let mut server = TestServer::start_with(Backend::Sqlite, &settings).await;
        let root = reqwest::Certificate::from_pem(ca.as_bytes()).unwrap();
        server.http = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap();
        server.create_owner("acme").await;
        for uri in [ORDERS, LEDGER] {
            server.create_resource("acme", uri, &["read", "write"], &[]).await;
        }
        let both: &[(&str, &[&str])] = &[(ORDERS, &["read", "write"]), (LEDGER, &["read"])];
        let agent = server.create_client("acme", "agent", "agent", both).await;
        let brief = server.create_client("acme", "brief", "agent", both).await;
        let (status, _) =
            server.admin(reqwest::Method::PATCH, "/agents/acme.brief", Some(&json!({"ttl_seconds": 1}))).await;
        assert!(status.is_success());
        Self { server, agent, brief, files }
    }

    pub fn folder(&self) -> &Path {
        self.files.path()
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The published keys, as anybody may read them.
    pub async fn jwks(&self) -> Value {
        self.server.http.get(self.server.url("/oauth2/jwks")).send().await.unwrap().json().await.unwrap()
    }

    pub async fn token(&self, resource: &str, scope: &str) -> String {
        self.server.token(&self.agent, &[("resource", resource), ("scope", scope)]).await
    }

    /// A token whose time is over.
    pub async fn expired(&self) -> String {
        let token = self.server.token(&self.brief, &[("resource", ORDERS), ("scope", "read")]).await;
        // The service looks at the machine's clock, and at whole seconds.
        sleep(Duration::from_millis(2200)).await;
        token
    }
}

/// A relying service that runs.
pub struct Service {
    _child: Child,
    port: u16,
    log: PathBuf,
    http: reqwest::Client,
}

impl Service {
    /// Starts a program that is to listen on a port.
    pub async fn start(world: &World, port: u16, program: &str, args: &[&str]) -> Self {
        let log = world.folder().join("service.log");
        let output = std::fs::File::create(&log).unwrap();
        let errors = output.try_clone().unwrap();
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(output).stderr(errors).kill_on_drop(true);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("{program}: {error}: run scripts/test, which installs it (Debian: haproxy, apache2-bin, libapache2-mod-auth-openidc)")
        });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let service = Self { _child: child, port, log, http };
        let listening = async {
            while tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(START, listening).await.is_err() {
            panic!("{program} does not listen: {}", service.said());
        }
        service
    }

    fn said(&self) -> String {
        let folder = self.log.parent().unwrap();
        let logs = [self.log.clone(), folder.join("error.log")];
        logs.iter().filter_map(|log| std::fs::read_to_string(log).ok()).collect()
    }

    /// The status of a request with this `Authorization`.
    pub async fn get(&self, path: &str, authorization: Option<&str>) -> u16 {
        let mut request = self.http.get(format!("http://127.0.0.1:{}{path}", self.port));
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let status = request.send().await.unwrap_or_else(|error| panic!("{error}: {}", self.said())).status().as_u16();
        assert!(status < 500, "{path}: {status}: {}", self.said());
        status
    }

    pub async fn with(&self, path: &str, token: &str) -> u16 {
        self.get(path, Some(&format!("Bearer {token}"))).await
    }
}

/// What every such service must do with the tokens of an agent. `refused` is its answer to a
/// good token that lacks the scope; paths are named by the scope they need.
pub async fn judges_tokens(world: &World, service: &Service, refused: u16) {
    let good = world.token(ORDERS, "read").await;
    assert_eq!(service.with("/read", &good).await, 200, "{}", service.said());
    assert_eq!(service.with("/read", &world.token(ORDERS, "read write").await).await, 200, "one scope of two");
    assert_eq!(service.with("/write", &good).await, refused, "the scope is missing");
    assert_eq!(service.with("/read", &world.token(ORDERS, "write").await).await, refused);
    assert_eq!(service.get("/read", None).await, 401, "no token");
    assert_eq!(service.get("/read", Some("Bearer nonsense")).await, 401);
    assert_eq!(service.get("/read", Some("Basic YTpi")).await, 401);
    for token in [tampered(&good, 1), tampered(&good, 2), unsigned(&good), other_issuers(&good)] {
        assert_eq!(service.with("/read", &token).await, 401, "{token}");
    }
    let elsewhere = service.with("/read", &world.token(LEDGER, "read").await).await;
    assert!([401, 403].contains(&elsewhere), "a token for another service: {elsewhere}");
    assert_eq!(service.with("/read", &world.expired().await).await, 401, "its time is over");
    assert_eq!(service.with("/read", &good).await, 200, "and the good one is still good");
}

/// The token with one character of one part changed.
fn tampered(token: &str, part: usize) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let other = if parts[part].remove(9) == 'A' { 'B' } else { 'A' };
    parts[part].insert(9, other);
    parts.join(".")
}

/// The same claims under `alg: none`.
fn unsigned(token: &str) -> String {
    format!("{}.{}.", encoded(&json!({"alg": "none", "typ": "at+jwt"})), token.split('.').nth(1).unwrap())
}

/// The same claims and key id, signed by somebody else's key.
fn other_issuers(token: &str) -> String {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING as ES256, EcdsaKeyPair};
    let (random, signed) = (SystemRandom::new(), token.rsplit_once('.').unwrap().0);
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ES256, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ES256, pkcs8.as_ref(), &random).unwrap();
    let signature = key.sign(&random, signed.as_bytes()).unwrap();
    format!("{signed}.{}", base64url(signature.as_ref()))
}

fn encoded(value: &Value) -> String {
    base64url(value.to_string().as_bytes())
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// A port that nothing listens on now.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// An authority's certificate, and a server's by it with its key, for `localhost`.
fn certificates() -> (String, String, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "Tests");
    let ca = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::from_params(&authority, &authority_key);
    let key = KeyPair::generate().unwrap();
    let mut own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = own.signed_by(&key, &issuer).unwrap().pem();
    (ca, certificate, key.serialize_pem())
}
