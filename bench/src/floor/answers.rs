//! What the floor answers: as large as what the server does for the same request.

use super::crypto::Crypto;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA};
use serde::{Deserialize, Serialize};

const TTL_SECONDS: i64 = 3600;
const AUDIENCE: &str = "https://acme.bench.example";
const SCOPE: &str = "work";

/// The members of an access token of the server, for the client's own name or for another's.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Claims {
    pub iss: String,
    sub: String,
    sub_profile: String,
    client_id: String,
    aud: String,
    scope: String,
    jti: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lineage: Vec<String>,
    iat: i64,
    pub exp: i64,
    env: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    act: Option<Actor>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Actor {
    sub: String,
}

#[derive(Serialize)]
pub(super) struct Introspected {
    active: bool,
    #[serde(flatten)]
    claims: Claims,
}

#[derive(Serialize)]
pub(super) struct TokenAnswer {
    access_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_token_type: Option<&'static str>,
    token_type: &'static str,
    expires_in: i64,
    scope: &'static str,
}

impl Claims {
    pub fn new(crypto: &Crypto, client: &str) -> Self {
        let now = crypto.now();
        Self {
            iss: crypto.issuer.clone(),
            sub: format!("agent:{client}"),
            sub_profile: "ai_agent".to_owned(),
            client_id: client.to_owned(),
            aud: AUDIENCE.to_owned(),
            scope: SCOPE.to_owned(),
            jti: crypto.id("t_"),
            lineage: Vec::new(),
            iat: now,
            exp: now.saturating_add(TTL_SECONDS),
            env: "live".to_owned(),
            act: None,
        }
    }

    /// Makes them a child's of the subject's token.
    pub fn act_for(&mut self, subject: Self, client: &str) {
        self.act = Some(Actor { sub: format!("agent:{client}") });
        self.lineage = subject.lineage;
        self.lineage.push(subject.jti);
        self.exp = self.exp.min(subject.exp);
        self.sub = subject.sub;
    }

    pub fn introspected(self) -> Introspected {
        Introspected { active: true, claims: self }
    }
}

impl TokenAnswer {
    pub fn new(access_token: String, exchanged: bool) -> Self {
        let issued_token_type = exchanged.then_some("urn:ietf:params:oauth:token-type:access_token");
        Self { access_token, issued_token_type, token_type: "Bearer", expires_in: TTL_SECONDS, scope: SCOPE }
    }
}

/// As large as the receipt of a hold.
pub(super) fn receipt(crypto: &Crypto) -> serde_json::Value {
    serde_json::json!({
        "id": crypto.id("h_"), "unit": "call", "decimals": 0, "amount": 1, "remaining": 999_999_999,
        "expires_at": crypto.now().saturating_add(60), "state": "held",
    })
}

pub(super) fn json(status: u16, body: &impl Serialize) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match serde_json::to_string(body) {
        Ok(body) => HttpResponse::build(status)
            .insert_header((CONTENT_TYPE, "application/json"))
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((PRAGMA, "no-cache"))
            .body(body),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}
