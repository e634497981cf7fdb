//! What is sent at the handshake must be proved there.

use crate::authority::{Leaf, params, self_signed};
use crate::world::World;
use reqwest::StatusCode;
use rstest::rstest;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme, SupportedProtocolVersion};
use std::sync::Arc;
use stipend_schema::Backend;

/// Shows one certificate and signs with the key of another.
#[derive(Debug)]
struct Thief(Arc<CertifiedKey>);

impl ResolvesClientCert for Thief {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

pub fn showing(
    world: &World,
    shown: &Leaf,
    signing: &Leaf,
    version: &'static SupportedProtocolVersion,
) -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = provider.key_provider.load_private_key(signing.private_key()).unwrap();
    let thief = Thief(Arc::new(CertifiedKey::new(vec![shown.der()], key)));
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(world.roots())
        .with_client_cert_resolver(Arc::new(thief));
    reqwest::Client::builder().no_proxy().tls_backend_preconfigured(config).build().unwrap()
}

#[rstest]
#[tokio::test]
async fn a_certificate_without_its_key_ends_the_handshake(
    #[values(&rustls::version::TLS12, &rustls::version::TLS13)] version: &'static SupportedProtocolVersion,
) {
    let world = World::tls(Backend::Sqlite).await;
    let (known, stranger) = (self_signed(&params("agent")), self_signed(&params("agent")));
    world.self_signed("agent", &[&known]).await;
    let honest = showing(&world, &known, &known, version);
    assert_eq!(world.ask(&honest, "acme.agent", &[]).await.0, StatusCode::OK);
    let thief = showing(&world, &known, &stranger, version);
    let form = [("grant_type", "client_credentials"), ("client_id", "acme.agent")];
    assert!(thief.post(world.server.url("/oauth2/token")).form(&form).send().await.is_err());
}

#[tokio::test]
async fn who_has_no_certificate_is_served_as_before() {
    let world = World::tls(Backend::Sqlite).await;
    let secret = world.server.create_client("acme", "secret", "agent", &[(crate::world::ORDERS, &["read"])]).await;
    world.server.token(&secret, &[]).await;
    let metadata = world.server.http.get(world.server.url("/.well-known/oauth-authorization-server")).send().await;
    let metadata: serde_json::Value = metadata.unwrap().json().await.unwrap();
    let methods = metadata["token_endpoint_auth_methods_supported"].to_string();
    assert!(methods.contains("\"tls_client_auth\"") && methods.contains("\"self_signed_tls_client_auth\""));
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
    for name in ["token_endpoint", "introspection_endpoint", "revocation_endpoint"] {
        assert_eq!(metadata["mtls_endpoint_aliases"][name], metadata[name]);
    }
}
