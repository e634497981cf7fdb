//! Security events of the issuer (SSF 1.0, CAEP 1.0): what was revoked, learned before it expires.
//!
//! The service gets the tokens of its stream by push (RFC 8935) or poll (RFC 8936) and hands each
//! to [`Verifier::receive`](crate::Verifier::receive). What is remembered refuses tokens at the
//! next verification, those that descend from a revoked one included. It lives as long as the
//! process: after a restart the status list, or introspection, says what happened before.
//!
//! A receiver must live with what it does not know (SSF section 4.2.3): unknown members, events
//! and subjects are taken and change nothing.

use crate::cache::KeyCache;
use crate::error::VerifyError;
use parking_lot::RwLock;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use stipend_keys::{JwsError, TokenKind, Unverified};
use stipend_token::{AccessToken, Timestamp, json};

/// Revocations remembered at once. Beyond, an event is refused, so that the issuer keeps it and
/// sends it again: none is forgotten for another.
pub const MAX_REMEMBERED_EVENTS: usize = 100_000;
/// How long one is remembered, in seconds: no token lives longer than an hour, and clocks differ.
const REMEMBERED_SECONDS: i64 = 3600 + 2 * crate::options::MAX_LEEWAY_SECONDS;
const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

/// What an event changed here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Received {
    /// Tokens are refused from now on.
    Revoked,
    /// Nothing: an event of another kind, or about what this service can't tell by a token.
    Nothing,
}

/// Why a security event token is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EventError {
    #[error("the request is not a security event token with one event")]
    Malformed,
    #[error("the token was not signed by a key of the issuer")]
    Key,
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token is for another receiver")]
    Audience,
    #[error("the issuer's keys are not available")]
    KeysUnavailable,
    #[error("too much is remembered to take in more")]
    Full,
}

impl EventError {
    /// The `err` to answer a push with (RFC 8935 section 2.4). `None`: answer 503, and it comes
    /// again.
    #[must_use]
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Self::Malformed => Some("invalid_request"),
            Self::Key => Some("invalid_key"),
            Self::Issuer => Some("invalid_issuer"),
            Self::Audience => Some("invalid_audience"),
            Self::KeysUnavailable | Self::Full => None,
        }
    }

    /// The HTTP status to answer with; 202 is for what was taken.
    #[must_use]
    pub const fn status(self) -> u16 {
        if self.code().is_some() { 400 } else { 503 }
    }
}

/// What is revoked, and until when that must be known.
#[derive(Debug, Default)]
struct Memory {
    tokens: HashMap<String, Timestamp>,
    /// With the moment up to which their tokens are dead.
    subjects: HashMap<String, (Timestamp, Timestamp)>,
    /// The same for clients, by id: whatever comes of a token that was issued to one, as well.
    clients: HashMap<String, (Timestamp, Timestamp)>,
    keys: HashMap<String, Timestamp>,
    /// For all tokens there are.
    audience: Option<(Timestamp, Timestamp)>,
}

impl Memory {
    fn len(&self) -> usize {
        self.tokens.len() + self.subjects.len() + self.clients.len() + self.keys.len()
    }

    fn forget(&mut self, now: Timestamp) {
        self.tokens.retain(|_, until| now < *until);
        self.subjects.retain(|_, (_, until)| now < *until);
        self.clients.retain(|_, (_, until)| now < *until);
        self.keys.retain(|_, until| now < *until);
    }
}

/// What an event says is dead.
#[derive(Debug)]
enum Dead {
    Token(String),
    Subject(String),
    Key(String),
    Audience,
}

#[derive(Debug, Default)]
pub(crate) struct Events {
    /// That something is remembered: most services never look further.
    any: AtomicBool,
    memory: RwLock<Memory>,
}

/// Who receives, for whom, and how the issuer's keys are called.
pub(crate) struct Receiving<'a> {
    pub issuer: &'a str,
    /// The receiver's `client_id`.
    pub receiver: &'a str,
    /// Of this service as a resource.
    pub audience: &'a str,
    pub keys: &'a KeyCache,
    pub leeway: i64,
}

impl Events {
    pub async fn receive(&self, to: &Receiving<'_>, token: &str, now: Timestamp) -> Result<Received, EventError> {
        let token = Unverified::parse(token.trim()).map_err(|_| EventError::Malformed)?;
        if !TokenKind::SecurityEvent.permits(token.typ()) {
            return Err(EventError::Malformed);
        }
        // What costs nothing first; then once more, of what was signed.
        judge(to, token.claims())?;
        let key = to.keys.find(token.kid().ok_or(EventError::Key)?, now).await.map_err(key_fault)?;
        let verified = key.verify(token, TokenKind::SecurityEvent).map_err(signature_fault)?;
        let (name, event) = judge(to, verified.claims())?;
        if name != SESSION_REVOKED {
            return Ok(Received::Nothing);
        }
        let claims = verified.claims();
        let Some(dead) = dead(to, claims) else { return Ok(Received::Nothing) };
        // An event of the future would take away tokens that are yet to be issued.
        let said = json::date_member(event, "event_timestamp").ok().flatten();
        let happened = said.or(json::date_member(claims, "iat").ok().flatten()).unwrap_or(now);
        self.remember(dead, happened.min(now.saturating_add(to.leeway)), now)
    }

    fn remember(&self, dead: Dead, happened: Timestamp, now: Timestamp) -> Result<Received, EventError> {
        let until = now.saturating_add(REMEMBERED_SECONDS);
        let mut memory = self.memory.write();
        if memory.len() >= MAX_REMEMBERED_EVENTS {
            memory.forget(now);
        }
        let full = memory.len() >= MAX_REMEMBERED_EVENTS;
        match dead {
            Dead::Audience => memory.audience = Some(later(memory.audience, happened, until)),
            Dead::Token(jti) => put(&mut memory.tokens, full, jti, |_| until)?,
            Dead::Key(kid) => put(&mut memory.keys, full, kid, |_| until)?,
            Dead::Subject(sub) => {
                let (map, key) = match client_of(&sub) {
                    Some(client) => (&mut memory.clients, client.to_owned()),
                    None => (&mut memory.subjects, sub),
                };
                put(map, full, key, |had| later(had.copied(), happened, until))?;
            }
        }
        self.any.store(true, Ordering::Release);
        Ok(Received::Revoked)
    }

    /// Refuses a verified token of which an event said that it is dead, or that what it comes of is.
    pub fn check(&self, token: &AccessToken, kid: &str, now: Timestamp) -> Result<(), VerifyError> {
        if !self.any.load(Ordering::Acquire) {
            return Ok(());
        }
        let memory = self.memory.read();
        let lives = |until: &Timestamp| now < *until;
        let dead = |jti: &str| memory.tokens.get(jti).is_some_and(lives);
        let over = |(up_to, until): &(Timestamp, Timestamp)| lives(until) && token.iat <= *up_to;
        let client_gone = |client: &str| memory.clients.get(client).is_some_and(over);
        let gone = |subject: &str| match client_of(subject) {
            Some(client) => client_gone(client),
            None => memory.subjects.get(subject).is_some_and(over),
        };
        let revoked = dead(&token.jti)
            || token.lineage.tokens.iter().any(|ancestor| dead(ancestor))
            || client_gone(&token.client_id)
            || token.lineage.clients.iter().any(|client| client_gone(client))
            || gone(&token.sub)
            || token.act.iter().any(|actor| gone(&actor.sub))
            || memory.keys.get(kid).is_some_and(lives)
            || memory.audience.as_ref().is_some_and(over);
        if revoked { Err(VerifyError::Revoked) } else { Ok(()) }
    }
}

/// The client that a subject is, where it is one.
fn client_of(subject: &str) -> Option<&str> {
    subject.strip_prefix("agent:").or_else(|| subject.strip_prefix("client:"))
}

/// The later of two ends: an event that comes again, or late, takes nothing back.
fn later(had: Option<(Timestamp, Timestamp)>, happened: Timestamp, until: Timestamp) -> (Timestamp, Timestamp) {
    had.map_or((happened, until), |(up_to, had_until)| (up_to.max(happened), had_until.max(until)))
}

fn put<K: Eq + Hash, V>(
    map: &mut HashMap<K, V>,
    full: bool,
    key: K,
    value: impl FnOnce(Option<&V>) -> V,
) -> Result<(), EventError> {
    let had = map.get(&key);
    if full && had.is_none() {
        return Err(EventError::Full);
    }
    let value = value(had);
    map.insert(key, value);
    Ok(())
}

/// SSF section 4.1: issuer, receiver, and one event, with its name.
fn judge<'a>(
    to: &Receiving<'_>,
    claims: &'a Map<String, Value>,
) -> Result<(&'a str, &'a Map<String, Value>), EventError> {
    if claims.get("iss").and_then(Value::as_str) != Some(to.issuer) {
        return Err(EventError::Issuer);
    }
    let aud = claims.get("aud");
    let many = aud.and_then(Value::as_array).into_iter().flatten();
    if !aud.into_iter().chain(many).any(|aud| aud.as_str() == Some(to.receiver)) {
        return Err(EventError::Audience);
    }
    // Made so that it is never taken for an access or ID token.
    if claims.contains_key("sub") || claims.contains_key("exp") {
        return Err(EventError::Malformed);
    }
    let events = claims.get("events").and_then(Value::as_object).filter(|events| events.len() == 1);
    let (name, event) = events.and_then(|events| events.iter().next()).ok_or(EventError::Malformed)?;
    Ok((name, event.as_object().ok_or(EventError::Malformed)?))
}

/// SSF section 3: whom or what the event is about, as far as it can be told by a token.
fn dead(to: &Receiving<'_>, claims: &Map<String, Value>) -> Option<Dead> {
    let subject = claims.get("sub_id")?.as_object()?;
    let member = |name| subject.get(name).and_then(Value::as_str);
    let ours = member("iss") == Some(to.issuer);
    match member("format")? {
        "jwt_id" if ours => member("jti").map(|jti| Dead::Token(jti.to_owned())),
        "iss_sub" if ours => member("sub").map(|sub| Dead::Subject(sub.to_owned())),
        "uri" => {
            let uri = member("uri")?;
            if uri == to.audience {
                return Some(Dead::Audience);
            }
            let kid = uri.strip_prefix(to.keys.address())?.strip_prefix('#')?;
            Some(Dead::Key(kid.to_owned()))
        }
        _ => None,
    }
}

fn key_fault(error: VerifyError) -> EventError {
    if error == VerifyError::KeysUnavailable { EventError::KeysUnavailable } else { EventError::Key }
}

fn signature_fault(error: JwsError) -> EventError {
    match error {
        JwsError::WrongKey | JwsError::WrongKeyAlgorithm | JwsError::Signature => EventError::Key,
        _ => EventError::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = 1_795_230_000;

    #[test]
    fn nothing_is_forgotten_to_remember_something_else() {
        let events = Events::default();
        let token = |n: usize| Dead::Token(format!("t_{n}"));
        for n in 0..MAX_REMEMBERED_EVENTS {
            assert_eq!(events.remember(token(n), NOW, NOW), Ok(Received::Revoked));
        }
        for another in [token(MAX_REMEMBERED_EVENTS), Dead::Key("k".into()), Dead::Subject("agent:a.b".into())] {
            assert_eq!(events.remember(another, NOW, NOW + 1), Err(EventError::Full));
        }
        assert_eq!(EventError::Full.status(), 503);
        // What is known already may be said again, and a whole service needs no room.
        assert_eq!(events.remember(token(0), NOW, NOW + 1), Ok(Received::Revoked));
        assert_eq!(events.remember(Dead::Audience, NOW, NOW + 1), Ok(Received::Revoked));
        let over = NOW + REMEMBERED_SECONDS;
        assert_eq!(events.remember(Dead::Key("k".into()), over, over), Ok(Received::Revoked));
        assert_eq!(events.memory.read().len(), 2, "the one said again, and the new one");
    }
}
