//! haproxy: it takes keys as PEM, made here from the JWKS and nothing else.

use crate::world::{ORDERS, Service, World, free_port, judges_tokens};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

/// SubjectPublicKeyInfo of an uncompressed point on P-256, up to its coordinates (RFC 5480).
const P256: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

fn pem(jwk: &Value) -> String {
    assert_eq!((&jwk["kty"], &jwk["crv"]), (&Value::from("EC"), &Value::from("P-256")));
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let der = [P256.to_vec(), coordinate("x"), coordinate("y")].concat();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}

fn configuration(port: u16, key: &str, issuer: &str) -> String {
    let deny = "http-request deny deny_status";
    format!(
        "defaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\n\
         frontend api\n  bind 127.0.0.1:{port}\n\
         \x20 {deny} 401 unless {{ http_auth_bearer -m found }}\n\
         \x20 http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')\n\
         \x20 http-request set-var(txn.typ) http_auth_bearer,jwt_header_query('$.typ')\n\
         \x20 {deny} 401 unless {{ var(txn.alg) -m str ES256 }}\n\
         \x20 {deny} 401 unless {{ var(txn.typ) -m str at+jwt }}\n\
         \x20 {deny} 401 unless {{ http_auth_bearer,jwt_verify(txn.alg,\"{key}\") -m int 1 }}\n\
         \x20 http-request set-var(txn.exp) http_auth_bearer,jwt_payload_query('$.exp','int')\n\
         \x20 http-request set-var(txn.now) date()\n\
         \x20 {deny} 401 unless {{ http_auth_bearer,jwt_payload_query('$.iss') -m str {issuer} }}\n\
         \x20 {deny} 401 unless {{ http_auth_bearer,jwt_payload_query('$.aud') -m str {ORDERS} }}\n\
         \x20 {deny} 401 unless {{ var(txn.exp),sub(txn.now) -m int gt 0 }}\n\
         \x20 http-request set-var(txn.scope) http_auth_bearer,jwt_payload_query('$.scope')\n\
         \x20 {deny} 403 if {{ path /read }} !{{ var(txn.scope) -m reg (^|\\ )read(\\ |$) }}\n\
         \x20 {deny} 403 if {{ path /write }} !{{ var(txn.scope) -m reg (^|\\ )write(\\ |$) }}\n\
         \x20 http-request return status 200 content-type text/plain string ok\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_judges_tokens_by_the_published_key() {
    let world = World::new().await;
    let jwks = world.jwks().await;
    let key = world.write("issuer.pem", &pem(&jwks["keys"][0]));
    let port = free_port();
    let text = configuration(port, key.to_str().unwrap(), &world.server.issuer);
    let file = world.write("haproxy.cfg", &text);
    let service = Service::start(&world, port, "haproxy", &["-db", "-f", file.to_str().unwrap()]).await;
    judges_tokens(&world, &service, 403).await;
}
