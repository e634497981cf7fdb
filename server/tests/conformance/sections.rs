//! The optional sections of the profile: bound tokens, certificates, issuers that the runner
//! plays, details, budgets and security events, each made through the admin API.

use crate::authority::{Authority, params, self_signed};
use crate::deployment::{CLIENTS, Deployment};
use crate::{A, B, LISTED, pem, ring_key, secret_client_with, section};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::KeyPair;
use reqwest::Method;
use serde_json::{Value, json};
use stipend::certificate::ParsedCertificate;
use stipend::testing::{TestClient, TestServer};
use stipend_keys::SigningKey;

const PAID: &str = "https://paid.example/api";
const PLAIN: &str = "https://plain.example/api";
const CHAT: &str = "https://chat.example/";
const ROOMS: &str = "https://rooms.chat.example/api/";
const ADMIN: &str = "stipend.admin";

fn to(resource: &str, scopes: &[&str]) -> Value {
    json!({"resource": resource, "scopes": scopes, "default_scopes": scopes})
}

async fn client(server: &TestServer, text: &mut String, name: &str, access: Value, settings: Value) -> TestClient {
    let client = secret_client_with(server, name, "agent", "client_secret_basic", access, settings).await;
    *text += &section(&name.replace('-', "_"), &client);
    client
}

async fn patch(server: &TestServer, id: &str, body: Value) {
    let (status, answer) = server.admin(Method::PATCH, &format!("/agents/{id}"), Some(&body)).await;
    assert!(status.is_success(), "{id}: {status} {answer}");
}

/// All of them; `idp` is where the runner is to publish its keys.
pub async fn write(deployment: &Deployment, nonces: bool) -> String {
    let server = &deployment.server;
    let mut text = String::new();
    bound(server, &mut text, nonces).await;
    custody(server, &mut text).await;
    certificates(deployment, &mut text).await;
    spiffe(server, &mut text).await;
    foreign(server, &mut text).await;
    details(server, &mut text).await;
    budgets(server, &mut text).await;
    signals(server, &mut text).await;
    text
}

async fn bound(server: &TestServer, text: &mut String, nonces: bool) {
    let own = json!([to(A, &["a:read", "a:write"])]);
    client(server, text, "bound", own.clone(), json!({"dpop_bound_access_tokens": true})).await;
    let taker = client(server, text, "taker", own, json!({})).await;
    let rule = json!({
        "actor": {"client": taker.id}, "subject": {"client": "conf.basic"}, "to_audience": B,
        "scopes": [{"scope": "b:read", "stands_for": "a:read"}], "mode": "delegation", "accept_bound_subject": true,
    });
    server.create("/exchange-rules", rule).await;
    *text +=
        &format!("[dpop]\nclient = \"basic\"\nbound_client = \"bound\"\nhanded_on = \"taker\"\nnonce = {nonces}\n\n");
}

/// Two places that take tokens: the key-release service and the admin API.
async fn custody(server: &TestServer, text: &mut String) {
    let keys = server.app.urls.credential_resource.clone();
    let scopes = ["credential:release", "credential:use"];
    let access = json!([to(&keys, &scopes)]);
    let keeper = client(server, text, "keeper", access.clone(), json!({})).await;
    client(server, text, "stranger", access, json!({})).await;
    for (name, constraints) in [("llm", json!({})), ("rare", json!({"rate": {"count": 1, "per_s": 86_400}}))] {
        let mut credential = json!({
            "owner": "conf", "name": name, "value": {"api_key": {"key": "sk-not-a-key"}}, "modes": ["plaintext"],
        });
        if constraints != json!({}) {
            credential["constraints"] = constraints;
        }
        server.create("/credentials", credential).await;
        let grant = json!({"credential": format!("conf.{name}"), "agent": keeper.id, "modes": ["plaintext"]});
        server.create("/grants", grant).await;
    }
    let admin = server.app.urls.admin_resource.clone();
    *text += &section("admin", &server.admin_client());
    *text += &format!(
        r#"
[resources.keys]
uri = "{keys}"
scopes = ["credential:release", "credential:use"]
[resources.admin]
uri = "{admin}"
scopes = ["admin:read", "admin:write", "admin:audit"]
[protected.release]
resource = "keys"
scope = "credential:release"
client = "keeper"
method = "POST"
url = "{release}"
body = '{{"mode":"plaintext"}}'
metadata = true
narrow_scope = "credential:use"
other_client = "stranger"
limited_url = "{rare}"
[protected.admin]
resource = "admin"
scope = "admin:read"
client = "admin"
url = "{owners}"
narrow_scope = "admin:audit"
"#,
        release = server.url("/credentials/conf.llm/release"),
        rare = server.url("/credentials/conf.rare/release"),
        owners = server.url("/admin/v1/owners"),
    );
    assert_eq!(server.admin_client().id, ADMIN);
}

async fn certificates(deployment: &Deployment, text: &mut String) {
    let server = &deployment.server;
    let keys = server.app.urls.credential_resource.clone();
    let agent = async |name: &str, method: &str, settings: Value, jwks: Option<Value>| {
        let mut body = json!({
            "owner": "conf", "name": name, "kind": "agent", "purpose": "conformance", "auth_method": method,
            "access": [to(A, &["a:read", "a:write"])], "settings": settings,
        });
        if let Some(jwks) = jwks {
            body["jwks"] = jwks;
        }
        server.create("/agents", body).await;
    };
    let mut subjects = String::new();
    for (kind, setting, value, registered) in [
        ("common_name", "tls_client_auth_subject_dn", "conformance-dn", "CN=conformance-dn"),
        ("san_dns", "tls_client_auth_san_dns", "agent.conf.example", "agent.conf.example"),
        ("san_uri", "tls_client_auth_san_uri", "https://conf.example/agent", "https://conf.example/agent"),
        ("san_email", "tls_client_auth_san_email", "agent@conf.example", "agent@conf.example"),
        // Another spelling of the same sixteen bytes.
        ("san_ip", "tls_client_auth_san_ip", "2001:db8::a", "2001:0DB8:0:0:0:0:0:000a"),
    ] {
        let name = kind.replace('_', "-");
        agent(&name, "tls_client_auth", json!({setting: registered}), None).await;
        subjects += &format!(
            "[[certificates.subjects]]\nclient_id = \"conf.{name}\"\nkind = \"{kind}\"\nvalue = \"{value}\"\n"
        );
    }
    let leaf = self_signed(&params("conformance-self-signed"));
    agent("self-signed", "self_signed_tls_client_auth", json!({}), Some(json!({"keys": [leaf.jwk("k1")]}))).await;
    let access = json!([to(A, &["a:read", "a:write"]), to(&keys, &["credential:release"])]);
    let settings = json!({"tls_client_certificate_bound_access_tokens": true});
    let shown = client(server, text, "shown", access, settings).await;
    let grant = json!({"credential": "conf.llm", "agent": shown.id, "modes": ["plaintext"]});
    server.create("/grants", grant).await;
    *text += &format!(
        r#"
[certificates]
bound_client = "shown"
[certificates.authority]
common_name = "{CLIENTS}"
private_key_pem = """{key}"""
[certificates.self_signed]
client_id = "conf.self-signed"
certificate_pem = """{certificate}"""
private_key_pem = """{own}"""
{subjects}
"#,
        key = deployment.clients_key,
        certificate = leaf.certificate.pem(),
        own = leaf.key.serialize_pem(),
    );
}

fn public(key: &SigningKey) -> Value {
    serde_json::from_str(&key.public_jwk().to_public_json()).unwrap()
}

async fn spiffe(server: &TestServer, text: &mut String) {
    const ID: &str = "spiffe://conf.example/ns/billing/sa/refunds";
    let (own, other) = (ring_key(), ring_key());
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority_key.serialize_pem();
    let authority = Authority::of("SPIRE", authority_key);
    let bundle = |key: &SigningKey, authority: Option<&Authority>| {
        let mut svid = public(key);
        svid["use"] = json!("jwt-svid");
        let mut keys = vec![svid];
        if let Some(authority) = authority {
            let parsed = ParsedCertificate::parse(authority.certificate.der()).unwrap();
            let mut root: Value = serde_json::from_str(&parsed.public_jwk().unwrap().to_public_json()).unwrap();
            for name in ["kid", "alg"] {
                root.as_object_mut().unwrap().remove(name);
            }
            root["use"] = json!("x509-svid");
            root["x5c"] = json!([STANDARD.encode(authority.certificate.der())]);
            keys.push(root);
        }
        json!({"keys": keys, "spiffe_sequence": 1, "spiffe_refresh_hint": 300})
    };
    let domains =
        [("spiffe://conf.example", bundle(&own, Some(&authority))), ("spiffe://other.example", bundle(&other, None))];
    for (issuer, bundle) in domains {
        let body = json!({
            "owner": "stipend", "issuer": issuer, "kind": "spiffe", "uses": ["client_assertion"],
            "keys": {"jwks": bundle},
        });
        server.create("/issuers", body).await;
    }
    for (name, method) in [("svid", "spiffe_jwt"), ("svid-x509", "spiffe_x509")] {
        let body = json!({
            "owner": "conf", "name": name, "kind": "agent", "purpose": "conformance", "auth_method": method,
            "access": [to(A, &["a:read"])], "settings": {"spiffe_id": ID},
        });
        server.create("/agents", body).await;
    }
    *text += &format!(
        r#"
[spiffe]
spiffe_id = "{ID}"
jwt_client_id = "conf.svid"
x509_client_id = "conf.svid-x509"
kid = "{kid}"
private_key_pem = """{own_pem}"""
[spiffe.authority]
common_name = "SPIRE"
private_key_pem = """{authority_pem}"""
[spiffe.other_key]
kid = "{other_kid}"
private_key_pem = """{other_pem}"""
"#,
        kid = own.kid(),
        own_pem = pem(own.to_private_der().expose()),
        other_kid = other.kid(),
        other_pem = pem(other.to_private_der().expose()),
    );
}

/// A port on this machine that is free now.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn foreign(server: &TestServer, text: &mut String) {
    let key = ring_key();
    let address = format!("127.0.0.1:{}", free_port());
    let issuer = json!({
        "owner": "conf", "issuer": format!("http://{address}"), "keys": "discovery",
        "audiences": ["conformance-users", "conf.desk"], "uses": ["subject_token", "id_jag"],
        "mapping": {"tenant": "tenant"},
    });
    let id = server.create("/issuers", issuer).await["id"].as_str().unwrap().to_owned();
    let desk = client(server, text, "desk", json!([to(A, &["a:read"])]), json!({})).await;
    let rule = |subject: Value, more: Value| {
        let mut rule = json!({
            "actor": {"client": desk.id}, "subject": subject, "to_audience": B, "scopes": [{"scope": "b:read"}],
            "mode": "delegation",
        });
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rule
    };
    server.create("/exchange-rules", rule(json!({"issuer": id}), json!({}))).await;
    server.create_resource("conf", CHAT, &["chat.read"], &[]).await;
    let abroad = json!({"issuer": CHAT, "client_id": "f53f191f", "resources": [ROOMS]});
    let scopes = json!([{"scope": "chat.read"}]);
    let more = json!({"to_audience": CHAT, "scopes": scopes, "id_jag": abroad});
    server.create("/exchange-rules", rule(json!({"issuer": id}), more)).await;
    let scopes = json!([{"scope": "chat.read", "stands_for": "a:read"}]);
    let more = json!({"to_audience": CHAT, "scopes": scopes, "id_jag": abroad});
    server.create("/exchange-rules", rule(json!({"client": "conf.basic"}), more)).await;
    *text += &format!(
        r#"
[idp]
issuer = "http://{address}"
listen = "{address}"
kid = "{kid}"
private_key_pem = """{key_pem}"""
audience = "conformance-users"
client = "desk"
other_client = "other"
resource = "b"
scope = "b:read"
wider_scope = "b:write"
tenant_claim = "tenant"
grants = true
plain_grants = true
[id_jag]
client = "desk"
audience = "{CHAT}"
scope = "chat.read"
resource = "{ROOMS}"
id_tokens = true
"#,
        kid = key.kid(),
        key_pem = pem(key.to_private_der().expose()),
    );
}

async fn details(server: &TestServer, text: &mut String) {
    let settings = json!({"authorization_details_types": ["budget"]});
    client(server, text, "limited", json!([to(A, &["a:read"])]), settings).await;
    let object = |actions: Value, constraints: Value| json!([{"type": "credential_release", "identifier": "llm", "actions": actions, "constraints": constraints}]);
    let granted = object(json!(["release", "proxy"]), json!({"methods": ["GET", "POST"], "paths": ["/v1"]}));
    let narrower = object(json!(["proxy"]), json!({"methods": ["POST"], "paths": ["/v1/chat"]}));
    let wider = json!([{"type": "credential_release", "identifier": "mail", "actions": ["proxy"]}]);
    let faults = [
        ("wrong JSON type", object(json!("proxy"), json!({}))),
        ("invalid value", object(json!(["own"]), json!({}))),
        ("missing field", json!([{"type": "credential_release", "identifier": "llm"}])),
        ("no action", object(json!([]), json!({}))),
        ("a path with dots", object(json!(["proxy"]), json!({"paths": ["/v1/../admin"]}))),
        ("a path with escapes", object(json!(["proxy"]), json!({"paths": ["/v1/%2e%2e/admin"]}))),
        ("an empty segment", object(json!(["proxy"]), json!({"paths": ["/v1//admin"]}))),
        ("a negative limit", object(json!(["proxy"]), json!({"uses": -1}))),
        ("a limit with a fraction", object(json!(["proxy"]), json!({"uses": 1.5}))),
        ("an unknown constraint", object(json!(["proxy"]), json!({"moon": "full"}))),
    ];
    *text += &format!(
        "\n[details]\nclient = \"basic\"\nresource = \"a\"\nscope = \"a:read\"\ngranted = '{granted}'\n\
         narrower = '{narrower}'\nwider = '{wider}'\nlimited_client = \"limited\"\n[details.faults]\n"
    );
    for (name, details) in faults {
        *text += &format!("\"{name}\" = '{details}'\n");
    }
}

async fn budgets(server: &TestServer, text: &mut String) {
    let elsewhere =
        secret_client_with(server, "elsewhere", "service", "client_secret_basic", json!([]), json!({})).await;
    *text += &section("elsewhere", &elsewhere).replace("agent:", "client:");
    server.create_resource("conf", PAID, &["call"], &["conf.service"]).await;
    let plain = json!({
        "owner": "conf", "uri": PLAIN, "name": "plain", "scopes": ["call"], "introspectors": [elsewhere.id],
    });
    server.create("/resources", plain).await;
    let access = json!([to(PAID, &["call"]), to(PLAIN, &["call"])]);
    let spender = client(server, text, "spender", access, json!({})).await;
    let line = json!({"agent": spender.id, "unit": "call", "decimals": 0, "amount": 1_000_000});
    server.create("/budgets", line).await;
    *text += &format!(
        r#"
[resources.paid]
uri = "{PAID}"
scopes = ["call"]
[resources.plain]
uri = "{PLAIN}"
scopes = ["call"]
[budget]
client = "spender"
service = "service"
other_service = "elsewhere"
resource = "paid"
plain_resource = "plain"
scope = "call"
unit = "call"
decimals = 0
other_unit = "USD"
other_decimals = 6
"#
    );
}

async fn signals(server: &TestServer, text: &mut String) {
    let ssf = server.url("/ssf");
    let access = json!({"access": [to(&ssf, &["ssf.manage", "ssf.read"])]});
    for id in ["conf.service", "conf.elsewhere"] {
        patch(server, id, access.clone()).await;
    }
    *text += &format!(
        r#"
[resources.ssf]
uri = "{ssf}"
scopes = ["ssf.manage", "ssf.read"]
[resources.listed]
uri = "{LISTED}"
scopes = ["l:read"]
[signals]
client = "service"
other_client = "elsewhere"
resource = "ssf"
scope = "ssf.manage ssf.read"
read_scope = "ssf.read"
listen = "127.0.0.1:{port}"
registered_clients = true
budgets = true
"#,
        port = free_port(),
    );
}
