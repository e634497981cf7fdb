//! Events and the tokens that tell them (RFC 8417; SSF section 4; CAEP section 3).

use super::stream::{Delivery, Stream};
use crate::app::App;
use crate::limits::SIGNAL_KEPT_SECONDS;
use crate::reason::Reason;
use serde_json::{Map, Value, json};
use stipend_keys::{TokenKind, random_id};
use stipend_schema::signals::{NOT_PUSHED, SignalEventRow};

/// What happened, by the URI that says so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventKind {
    /// CAEP section 3.1.
    SessionRevoked,
    /// CAEP section 3.3.
    CredentialChange,
    /// CAEP section 3.2.
    TokenClaimsChange,
    /// CAEP section 3.8.
    RiskLevelChange,
    /// SSF section 8.1.4.1.
    Verification,
    /// SSF section 8.1.5.
    StreamUpdated,
}

impl EventKind {
    /// What a receiver can ask for; the others are about the stream itself and always come.
    pub const OFFERED: [Self; 4] =
        [Self::SessionRevoked, Self::CredentialChange, Self::TokenClaimsChange, Self::RiskLevelChange];

    #[must_use]
    pub const fn uri(self) -> &'static str {
        match self {
            Self::SessionRevoked => "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
            Self::CredentialChange => "https://schemas.openid.net/secevent/caep/event-type/credential-change",
            Self::TokenClaimsChange => "https://schemas.openid.net/secevent/caep/event-type/token-claims-change",
            Self::RiskLevelChange => "https://schemas.openid.net/secevent/caep/event-type/risk-level-change",
            Self::Verification => "https://schemas.openid.net/secevent/ssf/event-type/verification",
            Self::StreamUpdated => "https://schemas.openid.net/secevent/ssf/event-type/stream-updated",
        }
    }
}

/// Who began it (CAEP section 2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Initiator {
    Admin,
    /// The client itself.
    System,
}

impl Initiator {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::System => "system",
        }
    }
}

/// One thing that happened, before it is known who is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub kind: EventKind,
    /// SSF section 3: what it is about.
    pub sub_id: Value,
    pub detail: Map<String, Value>,
}

impl Event {
    /// The event as a stream will be told it, to be stored with what caused it. `txn` is the
    /// request's id in the audit: events of one cause share it (SSF section 4.1.9).
    #[must_use]
    pub fn for_stream(&self, app: &App, stream: &Stream, txn: &str) -> SignalEventRow {
        let (now, jti) = (app.clock.now(), random_id("set_"));
        // SSF sections 4.1.1 to 4.1.8: one event, `sub_id` at the top, no `sub` and no `exp`.
        let claims = json!({
            "iss": app.urls.issuer, "jti": jti, "iat": now, "aud": stream.client_id, "txn": txn,
            "sub_id": self.sub_id, "events": { self.kind.uri(): self.detail },
        });
        SignalEventRow {
            id: jti,
            stream_id: stream.id.clone(),
            claims: claims.to_string(),
            attempts: 0,
            due_at: if matches!(stream.spec.delivery, Delivery::Push { .. }) { now } else { NOT_PUSHED },
            created_at: now,
            expires_at: now.saturating_add(SIGNAL_KEPT_SECONDS),
        }
    }
}

/// Whether an event is about its stream: such a one is told of a stream that is stopped as well,
/// because it says so (SSF section 8.1.5).
pub(super) fn is_of_stream(event: &SignalEventRow) -> bool {
    let claims: Option<Value> = serde_json::from_str(&event.claims).ok();
    claims.as_ref().and_then(|claims| claims.get("events")?.get(EventKind::StreamUpdated.uri())).is_some()
}

/// The token that tells a stored event.
///
/// # Errors
/// [`Reason::NoSigningKey`], [`Reason::Internal`].
pub(super) fn sign(app: &App, event: &SignalEventRow) -> Result<String, Reason> {
    let signer = app.ring.event_signer(app.clock.now()).ok_or(Reason::NoSigningKey)?;
    signer.sign(TokenKind::SecurityEvent, event.claims.as_bytes()).map_err(|error| {
        tracing::error!(%error, "signing a security event failed");
        Reason::Internal
    })
}
