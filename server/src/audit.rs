//! What the audit says of a request. Tokens appear by their id only; secrets,
//! assertions and whole tokens never.

use crate::pace::Pace;
use crate::reason::Reason;
use serde_json::{Map, Value};
use std::net::IpAddr;
use stipend_schema::AuditDraft;
use stipend_token::UserContext;
use stipend_token::claims::AccessToken;
use stipend_token::constraint::CredentialRelease;

pub const ISSUED: &str = "issued";
pub const REFUSED: &str = "refused";
pub const DONE: &str = "done";
/// A retry was answered as the first time, and nothing was done.
pub const REPEATED: &str = "repeated";

/// Where a request came from, for the record and the log.
#[derive(Clone, Debug)]
pub struct Origin {
    pub request_id: String,
    pub source: Option<IpAddr>,
    /// How it stands with the limits on how often its client may ask.
    pub pace: Pace,
}

/// A draft under construction.
#[derive(Clone, Debug)]
pub struct Draft(AuditDraft);

impl Draft {
    #[must_use]
    pub fn new(event: &'static str, origin: &Origin) -> Self {
        let mut draft = Self(AuditDraft {
            event,
            outcome: DONE,
            reason: None,
            on_replay: Some(Reason::AssertionReplayed.as_str()),
            owner_id: None,
            subject_owner_id: None,
            client_id: None,
            jti: None,
            detail: Map::new(),
        });
        draft.put("request_id", origin.request_id.clone());
        if let Some(source) = origin.source {
            draft.put("source", source.to_string());
        }
        draft
    }

    pub fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.detail.insert(name.to_owned(), value.into());
    }

    pub fn client(&mut self, client_id: &str, owner_id: &str) {
        self.0.client_id = Some(client_id.to_owned());
        self.0.owner_id = Some(owner_id.to_owned());
    }

    /// The owner on the other side, who sees the record as well.
    pub fn subject_owner(&mut self, owner_id: &str) {
        if self.0.owner_id.as_deref() != Some(owner_id) {
            self.0.subject_owner_id = Some(owner_id.to_owned());
        }
    }

    pub fn owner(&mut self, owner_id: Option<&str>) {
        self.0.owner_id = owner_id.map(str::to_owned);
    }

    pub fn jti(&mut self, jti: &str) {
        self.0.jti = Some(jti.to_owned());
    }

    pub fn event(&mut self, event: &'static str) {
        self.0.event = event;
    }

    #[must_use]
    pub fn outcome(mut self, outcome: &'static str) -> AuditDraft {
        self.0.outcome = outcome;
        self.0
    }

    #[must_use]
    pub fn refused(mut self, reason: Reason) -> AuditDraft {
        self.0.outcome = REFUSED;
        self.0.reason = Some(reason.as_str());
        self.0
    }

    /// A refusal that is no OAuth error (the admin API's).
    #[must_use]
    pub fn refused_as(mut self, reason: &'static str) -> AuditDraft {
        self.0.outcome = REFUSED;
        self.0.reason = Some(reason);
        self.0
    }

    /// What is recorded when the work's burn was used before.
    #[must_use]
    pub fn replayed(mut self, reason: Reason) -> Self {
        self.0.on_replay = Some(reason.as_str());
        self
    }

    /// What a token says, under `name`, without the token.
    pub fn describe(&mut self, name: &str, token: &AccessToken) {
        let mut about = Map::new();
        let mut put = |key: &str, value: Value| about.insert(key.to_owned(), value);
        put("jti", token.jti.clone().into());
        put("sub", token.sub.clone().into());
        put("client_id", token.client_id.clone().into());
        put("aud", token.aud.iter().map(|aud| aud.as_str().to_owned()).collect::<Vec<_>>().into());
        put("scope", token.scope.to_string().into());
        put("iat", token.iat.into());
        put("exp", token.exp.into());
        put("env", token.env.as_str().into());
        for (name, value) in of_user(&token.user) {
            put(name, value);
        }
        if let Some(cnf) = &token.cnf {
            put("cnf", cnf.to_json());
        }
        if let Some(act) = token.act.to_json() {
            put("act", act);
        }
        if !token.lineage.tokens.is_empty() {
            put("lineage", token.lineage.tokens.clone().into());
        }
        if let Some(details) = &token.authorization_details {
            put("credentials", details.iter().map(CredentialRelease::identifier).collect::<Vec<_>>().into());
        }
        self.0.detail.insert(name.to_owned(), Value::Object(about));
    }

    /// What a token says beside who and for what: for records that do not describe it whole.
    pub fn circumstances(&mut self, token: &AccessToken) {
        self.put("scope", token.scope.to_string());
        self.put("env", token.env.as_str());
        for (name, value) in of_user(&token.user) {
            self.put(name, value);
        }
    }
}

/// How a user authenticated, as far as the token says.
fn of_user(user: &UserContext) -> impl Iterator<Item = (&'static str, Value)> {
    let amr = (!user.amr.is_empty()).then(|| user.amr.clone().into());
    let members = [
        ("idp", user.idp.clone().map(Value::from)),
        ("acr", user.acr.clone().map(Value::from)),
        ("amr", amr),
        ("auth_time", user.auth_time.map(Value::from)),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name, value?)))
}
