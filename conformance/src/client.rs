//! How a client of the profile proves who it is.
//!
//! Owns the three ways to authenticate at an endpoint, each as a change to a
//! request, and the honest client assertion that hostile ones start from.

use serde_json::{Value, json};

use crate::check::{Miss, skip};
use crate::encode::{b64, form_encode, nonce, now};
use crate::http::Request;
use crate::jws::{Signer, set};
use crate::profile;

pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const ASSERTION_SECONDS: i64 = 60;

pub(crate) enum Credential {
    Basic(String),
    Post(String),
    Key(Box<Signer>),
    None,
}

impl Credential {
    pub(crate) fn of(name: &str, client: &profile::Client) -> Result<Self, String> {
        let fallback = match (client.secret.is_some(), client.private_key_pem.is_some(), name) {
            (true, _, "post") => "client_secret_post",
            (true, _, _) => "client_secret_basic",
            (false, true, _) => "private_key_jwt",
            (false, false, _) => "none",
        };
        let secret = || client.secret.as_ref().map(|s| s.0.clone()).ok_or("has no secret");
        match client.method.as_deref().unwrap_or(fallback) {
            "client_secret_basic" => Ok(Self::Basic(secret()?)),
            "client_secret_post" => Ok(Self::Post(secret()?)),
            "private_key_jwt" => {
                let pem = client.private_key_pem.as_ref().ok_or("has no private key")?;
                let alg = client.alg.as_deref().unwrap_or("ES256");
                let signer = Signer::from_pem(&pem.0, alg, client.kid.as_deref())
                    .map_err(|error| format!("the key of client {}: {error}", client.id))?;
                Ok(Self::Key(Box::new(signer)))
            }
            "none" => Ok(Self::None),
            other => Err(format!("the runner has no method {other}")),
        }
    }
}

/// A client of the profile, ready to use.
pub(crate) struct Login {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) credential: Credential,
    pub(crate) profile: profile::Client,
}

impl Login {
    pub(crate) fn method(&self) -> &'static str {
        match self.credential {
            Credential::Basic(_) => "client_secret_basic",
            Credential::Post(_) => "client_secret_post",
            Credential::Key(_) => "private_key_jwt",
            Credential::None => "none",
        }
    }

    pub(crate) fn secret(&self) -> Result<&str, Miss> {
        match &self.credential {
            Credential::Basic(secret) | Credential::Post(secret) => Ok(secret),
            _ => skip(format!("client {} has no secret", self.name)),
        }
    }

    pub(crate) fn signer(&self) -> Result<&Signer, Miss> {
        match &self.credential {
            Credential::Key(signer) => Ok(signer),
            _ => skip(format!("client {} has no key", self.name)),
        }
    }

    /// The claims an honest assertion carries.
    pub(crate) fn assertion_claims(&self, audience: &str) -> Value {
        let issued = now();
        json!({
            "iss": self.id, "sub": self.id, "aud": audience, "jti": nonce(),
            "iat": issued, "exp": issued + ASSERTION_SECONDS,
        })
    }

    /// An honest assertion with some claims changed.
    pub(crate) fn assertion(&self, audience: &str, changes: &[(&str, Value)]) -> Result<String, Miss> {
        let mut claims = self.assertion_claims(audience);
        for (name, value) in changes {
            set(&mut claims, name, value.clone());
        }
        let signer = self.signer()?;
        Ok(signer.sign(&signer.header(), &claims))
    }

    /// Authenticates the request the registered way.
    pub(crate) fn sign_in(&self, request: Request, audience: &str) -> Result<Request, Miss> {
        Ok(match &self.credential {
            Credential::Basic(secret) => basic(request, &self.id, secret),
            Credential::Post(secret) => post(request, &self.id, secret),
            Credential::Key(_) => asserted(request, &self.assertion(audience, &[])?),
            Credential::None => request.with("client_id", &self.id),
        })
    }
}

/// RFC 6749 2.3.1: id and secret are form-encoded before Base64.
pub(crate) fn basic(request: Request, id: &str, secret: &str) -> Request {
    let pair = format!("{}:{}", form_encode(id), form_encode(secret));
    raw_basic(request, &pair)
}

pub(crate) fn raw_basic(request: Request, pair: &str) -> Request {
    request.header("authorization", &format!("Basic {}", b64(pair.as_bytes())))
}

pub(crate) fn post(request: Request, id: &str, secret: &str) -> Request {
    request.with("client_id", id).with("client_secret", secret)
}

pub(crate) fn asserted(request: Request, assertion: &str) -> Request {
    request.with("client_assertion_type", ASSERTION_TYPE).with("client_assertion", assertion)
}
