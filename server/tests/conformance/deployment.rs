//! A server that speaks TLS, may fetch from this machine, and knows an authority of clients.

use crate::authority::{Authority, dns, params};
use rcgen::{ExtendedKeyUsagePurpose, KeyPair, SanType};
use std::net::{IpAddr, Ipv4Addr};
use stipend::testing::{TestServer, install_crypto};
use stipend_schema::Backend;
use tempfile::TempDir;

pub struct Deployment {
    pub server: TestServer,
    /// Of the server's certificate, in PEM.
    pub roots_pem: String,
    /// Trusted for `tls_client_auth`.
    pub clients_key: String,
    _files: TempDir,
}

pub const CLIENTS: &str = "Clients";

impl Deployment {
    /// `nonces`: whether proofs of possession need one.
    pub async fn start(backend: Backend, nonces: bool) -> Self {
        install_crypto();
        let roots = Authority::new("Servers");
        let key = KeyPair::generate().unwrap();
        let clients_key = key.serialize_pem();
        let clients = Authority::of(CLIENTS, key);
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
        let ca = file("ca.pem", clients.certificate.pem());
        let settings = [
            ("STIPEND_ISSUER", "https://127.0.0.1:0"),
            ("STIPEND_TLS_CERT_FILE", &cert),
            ("STIPEND_TLS_KEY_FILE", &key),
            ("STIPEND_CLIENT_CA_FILE", &ca),
            ("STIPEND_FETCH_HTTP_HOSTS", "127.0.0.1"),
            ("STIPEND_FETCH_NETWORKS", "127.0.0.0/8"),
            ("STIPEND_UPSTREAM_HTTP_HOSTS", "127.0.0.1"),
            ("STIPEND_UPSTREAM_NETWORKS", "127.0.0.0/8"),
            ("STIPEND_EVENT_SIGNING_ALG", "RS256"),
            ("STIPEND_DPOP_NONCE", if nonces { "required" } else { "off" }),
        ];
        let mut server = TestServer::start_with(backend, &settings).await;
        let root = reqwest::Certificate::from_der(roots.certificate.der()).unwrap();
        server.http = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap();
        Self { server, roots_pem: roots.certificate.pem(), clients_key, _files: files }
    }
}
