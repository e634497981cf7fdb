//! A server that speaks TLS, or one behind a proxy, and clients with certificates.

use crate::authority::{Authority, Leaf, dns, params};
use rcgen::{ExtendedKeyUsagePurpose, SanType};
use reqwest::{StatusCode, tls};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use stipend::testing::{TestServer, install_crypto};
use stipend_schema::Backend;
use tempfile::TempDir;

pub const ORDERS: &str = "https://orders.example";

pub struct World {
    pub server: TestServer,
    /// Whose certificates `tls_client_auth` takes.
    pub authority: Authority,
    /// Signed the server's own certificate, and vouches for no client.
    roots: Authority,
    _files: TempDir,
}

impl World {
    /// A server with a TLS listener.
    pub async fn tls(backend: Backend) -> Self {
        Self::tls_with(backend, &[]).await
    }

    pub async fn tls_with(backend: Backend, more: &[(&str, &str)]) -> Self {
        install_crypto();
        let (authority, roots) = (Authority::new("Clients"), Authority::new("Servers"));
        let mut own = params("server");
        own.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)), dns("localhost")];
        own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let own = roots.issue(&own);
        let files = tempfile::tempdir().unwrap();
        let file = |name: &str, text: String| {
            let path = files.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (cert, key) = (file("cert.pem", own.certificate.pem()), file("key.pem", own.key.serialize_pem()));
        let ca = file("ca.pem", authority.certificate.pem());
        let mut settings = vec![
            ("STIPEND_ISSUER", "https://127.0.0.1:0"),
            ("STIPEND_TLS_CERT_FILE", &cert),
            ("STIPEND_TLS_KEY_FILE", &key),
            ("STIPEND_CLIENT_CA_FILE", &ca),
        ];
        settings.extend_from_slice(more);
        let mut server = TestServer::start_with(backend, &settings).await;
        server.http = client(&roots, None, tls::Version::TLS_1_3);
        let world = Self { server, authority, roots, _files: files };
        world.populate().await;
        world
    }

    /// A server that speaks plain HTTP to the proxies of `proxies`.
    pub async fn behind(proxies: &str) -> Self {
        let (authority, roots) = (Authority::new("Clients"), Authority::new("Servers"));
        let files = tempfile::tempdir().unwrap();
        let ca = files.path().join("ca.pem");
        std::fs::write(&ca, authority.certificate.pem()).unwrap();
        let settings = [
            ("STIPEND_TRUSTED_PROXIES", proxies),
            ("STIPEND_CLIENT_CERTIFICATE_HEADER", "Client-Cert"),
            ("STIPEND_CLIENT_CA_FILE", ca.to_str().unwrap()),
        ];
        let server = TestServer::start_with(Backend::Sqlite, &settings).await;
        let world = Self { server, authority, roots, _files: files };
        world.populate().await;
        world
    }

    async fn populate(&self) {
        self.server.create_owner("acme").await;
        self.server.create_resource("acme", ORDERS, &["read"], &[]).await;
    }

    /// A registration, as it is sent.
    pub fn registration(name: &str, method: &str, settings: Value) -> Value {
        json!({
            "owner": "acme", "name": name, "auth_method": method, "settings": settings, "purpose": "test",
            "access": [{"resource": ORDERS, "scopes": ["read"], "default_scopes": ["read"]}],
        })
    }

    /// Registers an agent by the subject of its certificates.
    pub async fn trusted(&self, name: &str, settings: Value) {
        self.server.create("/agents", Self::registration(name, "tls_client_auth", settings)).await;
    }

    /// Registers an agent by its certificates.
    pub async fn self_signed(&self, name: &str, leaves: &[&Leaf]) {
        let mut body = Self::registration(name, "self_signed_tls_client_auth", json!({}));
        let keys: Vec<Value> = leaves.iter().enumerate().map(|(at, leaf)| leaf.jwk(&format!("k{at}"))).collect();
        body["jwks"] = json!({ "keys": keys });
        self.server.create("/agents", body).await;
    }

    /// An HTTP client that shows this certificate.
    pub fn with(&self, leaf: &Leaf) -> reqwest::Client {
        client(&self.roots, Some((leaf, &[])), tls::Version::TLS_1_3)
    }

    pub fn with_chain(&self, leaf: &Leaf, chain: &[CertificateDer<'static>]) -> reqwest::Client {
        client(&self.roots, Some((leaf, chain)), tls::Version::TLS_1_3)
    }

    /// The same by TLS 1.2.
    pub fn with_1_2(&self, leaf: &Leaf) -> reqwest::Client {
        client(&self.roots, Some((leaf, &[])), tls::Version::TLS_1_2)
    }

    /// What the server's certificate is trusted by.
    pub fn roots(&self) -> rustls::RootCertStore {
        let mut store = rustls::RootCertStore::empty();
        store.add(self.roots.certificate.der().clone()).unwrap();
        store
    }

    /// A token request: nothing but a grant, `client_id` and what is given.
    pub async fn ask(&self, http: &reqwest::Client, id: &str, more: &[(&str, &str)]) -> (StatusCode, Value) {
        let mut form = vec![("grant_type", "client_credentials"), ("client_id", id)];
        form.extend_from_slice(more);
        let answer = http.post(self.server.url("/oauth2/token")).form(&form).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    pub async fn is_let_in(&self, leaf: &Leaf, id: &str) -> bool {
        let (status, body) = self.ask(&self.with(leaf), id, &[]).await;
        if status == StatusCode::OK {
            return true;
        }
        assert_eq!(
            (status, body),
            (
                StatusCode::UNAUTHORIZED,
                json!({"error": "invalid_client", "error_description": "client authentication failed"})
            )
        );
        false
    }
}

fn client(
    roots: &Authority,
    shown: Option<(&Leaf, &[CertificateDer<'static>])>,
    newest: tls::Version,
) -> reqwest::Client {
    let root = reqwest::Certificate::from_der(roots.certificate.der()).unwrap();
    let builder = reqwest::Client::builder().no_proxy().tls_certs_only([root]).tls_version_max(newest);
    let builder = match shown {
        Some((leaf, chain)) => {
            let mut pem = leaf.key.serialize_pem() + &leaf.certificate.pem();
            for der in chain {
                pem += &to_pem(der);
            }
            builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap())
        }
        None => builder,
    };
    builder.build().unwrap()
}

fn to_pem(der: &CertificateDer<'_>) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// The payload of a token, unverified.
pub fn claims(body: &Value) -> Value {
    use base64::Engine;
    let token = body["access_token"].as_str().unwrap();
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
