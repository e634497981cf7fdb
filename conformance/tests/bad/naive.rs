//! An issuer that answers everything in good form and checks nothing: what is said is repeated,
//! who asks is believed. A row that only looks at the form of answers does not fail against it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

const SIGNED: &str = "application/token-introspection+jwt";
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";

static KEY: LazyLock<EcdsaKeyPair> = LazyLock::new(|| {
    let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let der = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), &random).unwrap()
});
static COUNT: AtomicU64 = AtomicU64::new(0);

/// What was asked.
pub struct Asked {
    pub method: String,
    pub target: String,
    pub head: String,
    pub body: String,
}

/// Status, media type, further headers and body of the answer.
pub type Answer = (u16, &'static str, Vec<String>, String);

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    fn param(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.body.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into())
    }
}

#[allow(clippy::disallowed_methods, reason = "what it says of the time is to be believed")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn sign(typ: &str, claims: &Value) -> String {
    let header = json!({"alg": "ES256", "kid": "naive", "typ": typ});
    let input = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
    let signature = KEY.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
    format!("{input}.{}", B64.encode(signature.as_ref()))
}

fn part(token: &str, index: usize) -> Option<Value> {
    serde_json::from_slice(&B64.decode(token.split('.').nth(index)?).ok()?).ok()
}

/// RFC 7638, of the key that a proof brings: whatever else the proof is.
fn jkt(proof: &str) -> Option<String> {
    let jwk = part(proof, 0)?.get("jwk")?.clone();
    let member = |name: &str| jwk.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let text = format!(
        r#"{{"crv":"{}","kty":"{}","x":"{}","y":"{}"}}"#,
        member("crv"),
        member("kty"),
        member("x"),
        member("y")
    );
    Some(B64.encode(digest(&SHA256, text.as_bytes())))
}

fn json_answer(status: u16, body: &Value) -> Answer {
    (status, "application/json", Vec::new(), body.to_string())
}

pub fn answer(base: &str, asked: &Asked) -> Answer {
    let path = asked.target.split('?').next().unwrap_or_default();
    match path {
        "/.well-known/oauth-authorization-server" | "/.well-known/openid-configuration" => {
            json_answer(200, &metadata(base))
        }
        "/.well-known/ssf-configuration" => json_answer(200, &transmitter(base)),
        path if path.starts_with("/.well-known/oauth-protected-resource") => json_answer(
            200,
            &json!({
                "resource": "https://somebody.example", "authorization_servers": [], "scopes_supported": ["other"],
                "bearer_methods_supported": ["query"], "dpop_signing_alg_values_supported": ["RS256"],
            }),
        ),
        "/jwks" => json_answer(200, &json!({"keys": [public()]})),
        "/token" => token(base, asked),
        "/introspect" => introspect(base, asked),
        "/details" => json_answer(200, &json!({"naive": {"examples": [{"type": "other"}]}})),
        path if path.starts_with("/protected") => protected(asked),
        path if path.starts_with("/status") => {
            let claims = json!({
                "sub": base, "iat": now() + 4_000, "exp": 1, "status_list": {"bits": 1, "lst": "eNrbuRgAAhcBXQ"},
            });
            (200, "application/jwt", Vec::new(), sign("JWT", &claims))
        }
        path if path.starts_with("/ssf") => signals(base, asked),
        path if path.starts_with("/budget") => {
            json_answer(200, &json!({"hold": "h", "remaining": 0, "capture": "c", "thresholds": []}))
        }
        _ => json_answer(200, &json!({})),
    }
}

fn public() -> Value {
    let point = KEY.public_key().as_ref();
    let (x, y) = (B64.encode(&point[1..33]), B64.encode(&point[33..]));
    json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "naive", "use": "sig", "alg": "ES256"})
}

fn metadata(base: &str) -> Value {
    json!({
        "issuer": base, "token_endpoint": format!("{base}/token"), "jwks_uri": format!("{base}/jwks"),
        "introspection_endpoint": format!("{base}/introspect"), "revocation_endpoint": format!("{base}/revoke"),
        "registration_endpoint": format!("{base}/register"), "budget_endpoint": format!("{base}/budget"),
        "authorization_details_types_metadata_endpoint": format!("{base}/details"),
        "authorization_details_types_supported": ["naive"],
        "dpop_signing_alg_values_supported": ["ES256", "none"],
        "token_endpoint_auth_methods_supported": ["tls_client_auth", "self_signed_tls_client_auth"],
        "introspection_signing_alg_values_supported": ["none", "ES256"],
        "tls_client_certificate_bound_access_tokens": true,
        "mtls_endpoint_aliases": {"token_endpoint": format!("{base}/token")},
        "grant_types_supported": ["password"], "response_types_supported": ["token"],
        "authorization_grant_profiles_supported": ["urn:ietf:params:oauth:grant-profile:id-jag"],
        "trusted_issuers": ["https://idp.example"],
    })
}

fn token(base: &str, asked: &Asked) -> Answer {
    let text = |name: &str, other: &str| asked.param(name).unwrap_or_else(|| other.to_owned());
    let abroad = asked.param("requested_token_type").is_some_and(|kind| kind.ends_with("id-jag"));
    let audience = asked.param("resource").or(asked.param("audience")).unwrap_or("https://a.example/api".into());
    let subject = asked.param("subject_token").or(asked.param("assertion")).and_then(|token| part(&token, 1));
    let sub = subject.as_ref().and_then(|claims| claims.get("sub").cloned()).unwrap_or(json!("agent:x"));
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut claims = json!({
        "iss": base, "sub": sub, "aud": audience, "client_id": "x", "scope": text("scope", "a"), "iat": now(),
        "exp": now() + 300, "jti": count.to_string(),
        "status": {"status_list": {"uri": format!("{base}/status/1"), "idx": 1}},
    });
    let mut said = json!({
        "token_type": "Bearer", "expires_in": 300, "scope": text("scope", "a"), "refresh_token": "x",
        "issued_token_type": text("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
    });
    if let Some(jkt) = asked.header("dpop").and_then(jkt) {
        claims["cnf"] = json!({"jkt": jkt, "x5t#S256": "and another"});
        said["token_type"] = json!("DPoP");
    }
    let details = asked.param("authorization_details").and_then(|text| serde_json::from_str::<Value>(&text).ok());
    if let Some(details) = details {
        claims["authorization_details"] = details.clone();
        said["authorization_details"] = details;
    }
    let typ = if abroad { "oauth-id-jag+jwt" } else { "at+jwt" };
    said["access_token"] = json!(sign(typ, &claims));
    json_answer(200, &said)
}

fn introspect(base: &str, asked: &Asked) -> Answer {
    let claims = asked.param("token").and_then(|token| part(&token, 1)).unwrap_or(json!({}));
    let mut said: Map<String, Value> = claims.as_object().cloned().unwrap_or_default();
    said.insert("active".into(), json!(true));
    said.insert("budget".into(), json!([]));
    if asked.header("accept") == Some("application/json") || asked.header("accept").is_none_or(|it| it != SIGNED) {
        return json_answer(200, &json!(said));
    }
    let claims = json!({"iss": base, "sub": "x", "exp": 1, "aud": "x", "iat": now(), "token_introspection": said});
    (200, SIGNED, Vec::new(), sign("JWT", &claims))
}

/// Whoever sends something is let in.
fn protected(asked: &Asked) -> Answer {
    if asked.header("authorization").is_some() || asked.target.contains("access_token") {
        return (200, "application/json", vec!["Cache-Control: public".into()], "{}".into());
    }
    let challenge =
        r#"WWW-Authenticate: Bearer error="invalid_token", error="twice", resource_metadata="http://127.0.0.1:9/""#;
    (401, "application/json", vec![challenge.into()], "{}".into())
}

fn transmitter(base: &str) -> Value {
    json!({
        "issuer": "https://somebody.example", "jwks_uri": format!("{base}/jwks"), "spec_version": "0_9",
        "delivery_methods_supported": ["urn:ietf:rfc:8936"],
        "configuration_endpoint": format!("{base}/ssf/stream"), "status_endpoint": format!("{base}/ssf/status"),
        "verification_endpoint": format!("{base}/ssf/verify"), "authorization_schemes": [],
    })
}

fn signals(base: &str, asked: &Asked) -> Answer {
    let path = asked.target.split('?').next().unwrap_or_default();
    let stream = json!({
        "stream_id": "s", "iss": base, "aud": "x", "delivery": {"endpoint_url": format!("{base}/ssf/poll/s")},
    });
    match (asked.method.as_str(), path) {
        ("DELETE", _) | (_, "/ssf/verify") => (204, "application/json", Vec::new(), String::new()),
        ("GET", "/ssf/stream") if !asked.target.contains('?') => json_answer(200, &json!([])),
        ("POST", "/ssf/stream") => json_answer(201, &stream),
        (_, path) if path.starts_with("/ssf/poll") => {
            // The same event for ever, for everybody, with all that it must not have.
            let claims = json!({
                "iss": "https://somebody.example", "iat": 1, "jti": "e", "sub": "x", "exp": 1,
                "sub_id": {"format": "opaque", "id": "other"}, "events": {REVOKED: {}, VERIFICATION: {}},
            });
            let mut set = sign("JWT", &claims);
            set.truncate(set.len() - 4);
            json_answer(200, &json!({"sets": {"e": set}}))
        }
        _ => json_answer(200, &stream),
    }
}
