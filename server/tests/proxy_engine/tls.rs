//! TLS to an upstream of a private authority.

use crate::raw::{OK, PATIENCE, collect, config, within};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use stipend::proxy::{Forward, UpstreamConfig, UpstreamFault, Upstreams};
use stipend_token::constraint::Method;

/// Answers one TLS connection after the other, on a thread that ends with the listener's test.
fn serve(certificate: &std::path::Path, key: &std::path::Path) -> u16 {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificates = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap();
    // Offered, and not taken up: the engine speaks HTTP/1.1 alone.
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tls = Arc::new(tls);
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((socket, _)) = listener.accept() {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let connection = rustls::ServerConnection::new(Arc::clone(&tls)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, socket);
            let mut seen = Vec::new();
            let mut byte = [0];
            while !seen.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                seen.push(byte[0]);
            }
            let said = format!("{OK}Content-Length: 5\r\nConnection: close\r\n\r\nhello");
            let _ = stream.write_all(said.as_bytes()).and_then(|()| stream.flush());
        }
    });
    port
}

#[tokio::test]
async fn an_upstream_of_a_private_authority_is_trusted_where_the_authority_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .arg("-keyout")
        .arg(path("key.pem"))
        .arg("-out")
        .arg(path("cert.pem"))
        .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
    let port = serve(&path("cert.pem"), &path("key.pem"));
    let get =
        |host: &str| Forward::new(Method::parse("GET").unwrap(), format!("https://{host}:{port}/").parse().unwrap());
    let pem = std::fs::read(path("cert.pem")).unwrap();
    let trusting = Upstreams::new(UpstreamConfig { ca_pem: Some(pem), ..config() }).unwrap();
    let mut answer = within(trusting.forward(get("127.0.0.1"))).await.unwrap();
    assert_eq!(collect(&mut answer).await, (b"hello".to_vec(), None));
    let fault = within(trusting.forward(get("127.0.0.2"))).await.unwrap_err();
    assert_eq!(fault, UpstreamFault::Tls, "a certificate for another name");
    let fault = within(Upstreams::new(config()).unwrap().forward(get("127.0.0.1"))).await.unwrap_err();
    assert_eq!((fault, fault.nothing_was_sent()), (UpstreamFault::Tls, true), "an authority nobody named");
}

#[test]
fn what_is_no_certificate_is_refused_at_the_start() {
    for pem in ["", "no pem", "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n"] {
        let config = UpstreamConfig { ca_pem: Some(pem.into()), ..UpstreamConfig::default() };
        assert!(Upstreams::new(config).unwrap_err().to_string().contains("TLS"));
    }
}
