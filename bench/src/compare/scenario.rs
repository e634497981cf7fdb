//! What is asked, of whom, and what an answer must say. Requests are written out before a round
//! begins, assertions signed and subject tokens fetched, so that a round is nothing but them.

use super::wire::post;
use crate::clock::Epoch;
use crate::error::BenchError;
use crate::http::Credentials;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use josekit::jwk::Jwk;
use josekit::jws::{ES256, JwsHeader, serialize_compact};
use serde::Serialize;
use serde_json::json;

const FORM: &str = "application/x-www-form-urlencoded";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How long assertions that were signed before a round are good: less than five minutes.
const ASSERTION_SECONDS: i64 = 240;

/// One kind of request.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// client_credentials, by client_secret_basic
    Secret,
    /// client_credentials, by private_key_jwt: a new assertion each time
    Assertion,
    /// An exchange, of a new subject token each time
    ExchangeNew,
    /// The same with an actor token beside it
    ExchangeActor,
    /// An exchange of one subject token, again and again
    ExchangeRepeated,
    Introspection,
    /// A hold and its capture, as two requests
    HoldCapture,
    /// A value out of custody, in clear
    Release,
    /// A call to an upstream with a key that the caller does not see
    Proxied,
}

impl Scenario {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "client_credentials, secret",
            Self::Assertion => "client_credentials, private_key_jwt",
            Self::ExchangeNew => "exchange, new subject token",
            Self::ExchangeActor => "exchange, new subject and actor token",
            Self::ExchangeRepeated => "exchange, repeated subject token",
            Self::Introspection => "introspection",
            Self::HoldCapture => "hold, capture",
            Self::Release => "release",
            Self::Proxied => "proxied call",
        }
    }

    /// What the floor does for it.
    #[must_use]
    pub fn floor(self) -> &'static str {
        match self {
            Self::Secret => "MAC, sign",
            Self::Assertion | Self::ExchangeNew | Self::ExchangeRepeated => "verify, sign",
            Self::ExchangeActor => "2 verify, sign",
            Self::Introspection => "MAC, verify",
            Self::HoldCapture => "MAC",
            Self::Release => "verify",
            Self::Proxied => "the upstream itself",
        }
    }
}

/// Who is asked, and as whom.
#[derive(Clone, Debug)]
pub struct Party {
    /// Host and port.
    pub address: String,
    pub issuer: String,
    /// Whose tokens are subject tokens.
    pub subject: Credentials,
    /// Who exchanges them.
    pub actor: Credentials,
    /// Who signs assertions, and its private key.
    pub signer: (String, Key),
    /// Who introspects and spends.
    pub service: Credentials,
    /// Where an exchange leads.
    pub audience: Option<String>,
    /// What is asked for, where it doesn't come by itself.
    pub scope: Option<&'static str>,
}

#[derive(Clone)]
pub struct Key(pub Jwk);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// What every answer must say.
#[derive(Clone, Debug)]
pub enum Expect {
    /// A new token of this client, and by whom it is acted with.
    Token { client: String, actor: Option<String> },
    /// `"active": true`, and the client.
    Active { client: String },
    /// The id of a hold in this member, which is then captured with this client's credentials.
    Hold { member: &'static str, capture: Capture },
    /// This member is there and holds this text.
    Says { member: &'static str, text: &'static str },
    /// Anything in this member.
    Has { member: &'static str },
}

/// How a hold is captured.
#[derive(Clone, Debug)]
pub enum Capture {
    Of {
        authorization: String,
    },
    /// The floor's: the same request again.
    Again,
}

/// Requests of one kind.
#[derive(Clone, Debug)]
pub struct Script {
    pub address: String,
    pub requests: Vec<Vec<u8>>,
    /// Each is sent once; else they are sent in turn.
    pub once: bool,
    pub expect: Expect,
}

/// A form, written out.
#[must_use]
pub fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// RFC 6749 section 2.3.1.
#[must_use]
pub fn basic(client: &Credentials) -> String {
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(&client.id), encoded(&client.secret))))
}

impl Party {
    fn script(&self, requests: Vec<Vec<u8>>, once: bool, expect: Expect) -> Script {
        Script { address: self.address.clone(), requests, once, expect }
    }

    #[must_use]
    pub fn by_secret(&self, client: &Credentials) -> Script {
        let mut pairs = vec![("grant_type", "client_credentials")];
        pairs.extend(self.scope.map(|scope| ("scope", scope)));
        let body = form(&pairs);
        let request = post(&self.address, "/oauth2/token", Some(&basic(client)), FORM, &body);
        self.script(vec![request], false, Expect::Token { client: client.id.clone(), actor: None })
    }

    /// # Errors
    /// [`BenchError`], where nothing can be signed.
    pub fn by_assertion(&self, count: usize) -> Result<Script, BenchError> {
        let (client, Key(key)) = &self.signer;
        let failed = |error: josekit::JoseError| BenchError::Deployment(format!("signing assertions: {error}"));
        let signer = ES256.signer_from_jwk(key).map_err(failed)?;
        let now = Epoch::now().began_at;
        let mut requests = Vec::with_capacity(count);
        for _ in 0..count {
            let jti = format!("j_{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
            let claims = json!({
                "iss": client, "sub": client, "aud": self.issuer, "iat": now, "exp": now + ASSERTION_SECONDS, "jti": jti,
            });
            let payload = claims.to_string();
            let mut header = JwsHeader::new();
            header.set_token_type("JWT");
            let assertion = serialize_compact(payload.as_bytes(), &header, &signer).map_err(failed)?;
            let body = form(&[
                ("grant_type", "client_credentials"),
                ("client_assertion_type", ASSERTION),
                ("client_assertion", &assertion),
            ]);
            requests.push(post(&self.address, "/oauth2/token", None, FORM, &body));
        }
        Ok(self.script(requests, true, Expect::Token { client: client.clone(), actor: None }))
    }

    #[must_use]
    pub fn exchange(&self, subjects: &[String], actor_token: Option<&str>, once: bool) -> Script {
        let authorization = basic(&self.actor);
        let request = |subject: &String| {
            let mut pairs = vec![
                ("grant_type", EXCHANGE),
                ("subject_token", subject.as_str()),
                ("subject_token_type", ACCESS_TOKEN),
            ];
            pairs.extend(self.audience.as_deref().map(|audience| ("resource", audience)));
            if let Some(token) = actor_token {
                pairs.extend([("actor_token", token), ("actor_token_type", ACCESS_TOKEN)]);
            }
            post(&self.address, "/oauth2/token", Some(&authorization), FORM, &form(&pairs))
        };
        let actor = Some(format!("agent:{}", self.actor.id));
        let expect = Expect::Token { client: self.actor.id.clone(), actor };
        self.script(subjects.iter().map(request).collect(), once, expect)
    }

    #[must_use]
    pub fn introspection(&self, token: &str) -> Script {
        let body = form(&[("token", token)]);
        let request = post(&self.address, "/oauth2/introspect", Some(&basic(&self.service)), FORM, &body);
        self.script(vec![request], false, Expect::Active { client: self.subject.id.clone() })
    }

    /// Holds on the lines of these tokens, in turn.
    #[must_use]
    pub fn holds(&self, tokens: &[String]) -> Script {
        let authorization = basic(&self.service);
        let request = |token: &String| {
            let body = form(&[("token", token), ("unit", crate::setup::UNIT), ("amount", "2")]);
            post(&self.address, "/budget/holds", Some(&authorization), FORM, &body)
        };
        let expect = Expect::Hold { member: "hold", capture: Capture::Of { authorization: authorization.clone() } };
        self.script(tokens.iter().map(request).collect(), false, expect)
    }

    /// What the floor does for a hold and its capture.
    #[must_use]
    pub fn plain(&self) -> Script {
        let body = form(&[("unit", crate::setup::UNIT), ("amount", "2")]);
        let request = post(&self.address, "/plain", Some(&basic(&self.service)), FORM, &body);
        self.script(vec![request], false, Expect::Hold { member: "id", capture: Capture::Again })
    }

    #[must_use]
    pub fn release(&self, path: &str, token: &str, expect: Expect) -> Script {
        let bearer = format!("Bearer {token}");
        let request = post(&self.address, path, Some(&bearer), "application/json", r#"{"mode":"plaintext"}"#);
        self.script(vec![request], false, expect)
    }
}

/// A call of a provider, through the proxy or not.
#[must_use]
pub fn call(address: &str, path: &str, token: &str) -> Script {
    let body = r#"{"model":"bench","messages":[{"role":"user","content":"hello"}]}"#;
    let bearer = format!("Bearer {token}");
    let requests = vec![post(address, path, Some(&bearer), "application/json", body)];
    let expect = Expect::Says { member: "object", text: "chat.completion" };
    Script { address: address.to_owned(), requests, once: false, expect }
}

/// The capture of a hold.
#[must_use]
pub fn capture(address: &str, authorization: &str, hold: &str) -> Vec<u8> {
    let body = form(&[("amount", "1"), ("final", "true")]);
    post(address, &format!("/budget/holds/{hold}/capture"), Some(authorization), FORM, &body)
}
