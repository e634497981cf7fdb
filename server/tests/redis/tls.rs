//! `rediss://`: the certificate is verified, always.

use crate::process::Redis;
use crate::world::World;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::{Path, PathBuf};
use stipend_schema::Backend;

/// Makes a CA and a server's certificate for this machine in a folder; answers the CA's file.
fn certificates(folder: &Path) -> PathBuf {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let server = params.signed_by(&key, &ca).unwrap();
    std::fs::write(folder.join("server.crt"), server.pem()).unwrap();
    std::fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("ca.crt"), ca.pem()).unwrap();
    folder.join("ca.crt")
}

#[tokio::test]
async fn redis_behind_tls_is_used_if_its_certificate_is_good_and_not_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let ca = certificates(folder.path());
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let port = crate::process::free_port().to_string();
    let (certificate, key, authority) = (file("server.crt"), file("server.key"), file("ca.crt"));
    let redis = Redis::start_with(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authority,
        "--tls-auth-clients",
        "no",
        "--requirepass",
        "word",
    ]);
    let url = format!("rediss://:word@127.0.0.1:{port}");
    let trusted = [
        ("STIPEND_REDIS_URL", url.as_str()),
        ("STIPEND_REDIS_CA_FILE", ca.to_str().unwrap()),
        ("STIPEND_CLIENT_RATE", "12/3600"),
    ];
    let world = World::new(Backend::Postgres, 2, &trusted).await;
    world.until_redis("ok").await;
    assert_eq!(world.admitted(30).await, 12);
    // The system's authorities know nothing of it.
    let world = World::new(Backend::Sqlite, 1, &[("STIPEND_REDIS_URL", &url)]).await;
    world.until_redis("does not answer").await;
    drop(redis);
}
