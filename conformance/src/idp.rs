//! An issuer that the runner plays: its tokens, good and spoilt, and where its keys are published.
//!
//! Owns the profile's keys of that issuer. What it publishes is served on loopback while the run
//! lasts, and only where the profile says so.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::check::{Miss, skip};
use crate::encode::{nonce, now};
use crate::exchange::{ID_TOKEN, TOKEN_EXCHANGE};
use crate::http::Request;
use crate::issuer::Issuer;
use crate::jws::{Signer, set, unset};
use crate::profile::{IdentityProvider, KeyFile};

/// Longest request head that the published documents are served for.
const MAX_HEAD_BYTES: usize = 8 * 1024;
const HEAD_SECONDS: u64 = 5;
const KEYS_PATH: &str = "/keys";

/// A key of the profile, ready to sign with.
pub(crate) fn signer(key: &KeyFile) -> Result<Signer, Miss> {
    let alg = key.alg.as_deref().unwrap_or("ES256");
    Signer::from_pem(&key.private_key_pem.0, alg, key.kid.as_deref()).map_err(Miss::Fail)
}

/// The documents of an issuer on this machine.
pub(crate) struct Published {
    keys: Arc<Mutex<Value>>,
    _serving: JoinSet<()>,
}

impl Published {
    pub(crate) async fn at(address: &str, issuer: &str, first: Value) -> Result<Self, String> {
        let listener = TcpListener::bind(address).await.map_err(|error| format!("idp.listen {address}: {error}"))?;
        let keys = Arc::new(Mutex::new(json!({"keys": [first]})));
        let metadata = json!({
            "issuer": issuer, "jwks_uri": format!("{issuer}{KEYS_PATH}"), "response_types_supported": ["none"],
        });
        let mut serving = JoinSet::new();
        let shared = Arc::clone(&keys);
        serving.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let keys = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
                open.spawn(answer(stream, metadata.clone(), keys));
            }
        });
        Ok(Self { keys, _serving: serving })
    }

    /// Publishes these keys from now on.
    pub(crate) fn replace(&self, keys: &[Value]) {
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = json!({"keys": keys});
    }
}

async fn answer(mut stream: TcpStream, metadata: Value, keys: Value) {
    let mut head = Vec::new();
    let reading = async {
        let mut piece = [0; 1024];
        while head.len() < MAX_HEAD_BYTES && !head.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut piece).await {
                Ok(length) if length > 0 => head.extend_from_slice(piece.get(..length).unwrap_or_default()),
                _ => break,
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(HEAD_SECONDS), reading).await;
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match path {
        KEYS_PATH => ("200 OK", keys.to_string()),
        path if path.starts_with("/.well-known/") => ("200 OK", metadata.to_string()),
        _ => ("404 Not Found", "{}".to_owned()),
    };
    let length = body.len();
    let reply = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let _ = stream.write_all(reply.as_bytes()).await;
}

/// The public key with what a reader of keys goes by.
pub(crate) fn published_jwk(signer: &Signer) -> Value {
    let mut jwk = signer.public_jwk().unwrap_or_default();
    set(&mut jwk, "use", json!("sig"));
    set(&mut jwk, "alg", json!(signer.alg));
    if let Some(kid) = &signer.kid {
        set(&mut jwk, "kid", json!(kid));
    }
    jwk
}

/// Header of a token of this `typ`; null leaves it out.
pub(crate) fn header(signer: &Signer, typ: Value) -> Value {
    let mut header = json!({"alg": signer.alg, "typ": typ});
    if typ.is_null() {
        unset(&mut header, "typ");
    }
    if let Some(kid) = &signer.kid {
        set(&mut header, "kid", json!(kid));
    }
    header
}

/// Claims with some changed; null takes one away.
pub(crate) fn with(claims: &Value, changes: &[(&str, Value)]) -> Value {
    let mut claims = claims.clone();
    for (name, value) in changes {
        match value {
            Value::Null => unset(&mut claims, name),
            value => set(&mut claims, name, value.clone()),
        }
    }
    claims
}

impl Issuer {
    pub(crate) fn idp(&self) -> Result<&IdentityProvider, Miss> {
        match &self.profile.idp {
            Some(section) => Ok(section),
            None => skip("the profile has no [idp]"),
        }
    }

    pub(crate) fn idp_signer(&self) -> Result<Signer, Miss> {
        signer(&self.idp()?.key)
    }

    /// The claims with the user's tenant, where its issuer has several.
    pub(crate) fn of_a_tenant(&self, mut claims: Value) -> Result<Value, Miss> {
        if let Some(name) = &self.idp()?.tenant_claim {
            set(&mut claims, name, json!("emea"));
        }
        Ok(claims)
    }

    /// What its ID token says of a user who logged in just now.
    pub(crate) fn id_claims(&self) -> Result<Value, Miss> {
        let idp = self.idp()?;
        self.of_a_tenant(json!({
            "iss": idp.issuer, "sub": "alice", "aud": idp.audience, "iat": now(), "exp": now() + 300,
            "jti": nonce(), "auth_time": now() - 30, "acr": "urn:example:gold", "amr": ["pwd", "otp"],
            "email_verified": true,
        }))
    }

    pub(crate) fn id_token(&self, changes: &[(&str, Value)]) -> Result<String, Miss> {
        let signer = self.idp_signer()?;
        Ok(signer.sign(&header(&signer, json!("JWT")), &with(&self.id_claims()?, changes)))
    }

    /// An exchange of a foreign token by the client that may.
    pub(crate) fn foreign_exchange(&self, subject: &str) -> Result<Request, Miss> {
        let idp = self.idp()?;
        self.foreign_exchange_as(&idp.client, subject)
    }

    pub(crate) fn foreign_exchange_as(&self, client: &str, subject: &str) -> Result<Request, Miss> {
        let idp = self.idp()?;
        let request = self
            .token()?
            .with("grant_type", TOKEN_EXCHANGE)
            .with("subject_token", subject)
            .with("subject_token_type", ID_TOKEN)
            .with("audience", &self.resource(&idp.resource)?.uri)
            .with("scope", &idp.scope);
        self.sign_in(request, self.client(client)?)
    }
}
