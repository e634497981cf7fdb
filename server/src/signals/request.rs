//! What a receiver says of its stream, and the stream with that.

use super::event::EventKind;
use super::stream::{Delivery, Stream};
use super::streams::aad;
use crate::app::App;
use crate::reason::Reason;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use stipend_token::json::{Limits, parse_object};
use url::Url;

/// Longest description, reason and `state` of a verification, in bytes.
const MAX_TEXT_BYTES: usize = 1024;
/// Longest address of a receiver, and longest `Authorization` to send there, in bytes.
const MAX_ENDPOINT_BYTES: usize = 2048;
/// Event types that one request may name.
const MAX_EVENT_TYPES: usize = 64;

/// Longest body of the endpoints of streams, and its nesting.
const MAX_BODY: Limits = Limits { max_bytes: 64 * 1024, max_depth: 6 };

/// Reads a body of these endpoints: one object, no member twice.
#[must_use]
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let members = parse_object(body, MAX_BODY).ok()?;
    serde_json::from_value(members.into()).ok()
}

/// What a receiver says of its stream. Members that are ours to say must be as we say them.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct StreamRequest {
    pub stream_id: Option<String>,
    pub events_requested: Option<Vec<String>>,
    pub delivery: Option<DeliveryRequest>,
    pub description: Option<String>,
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// SSF section 6.1.
#[derive(Clone, Deserialize)]
pub struct DeliveryRequest {
    method: String,
    endpoint_url: Option<String>,
    authorization_header: Option<String>,
}

impl std::fmt::Debug for DeliveryRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeliveryRequest").field("method", &self.method).finish_non_exhaustive()
    }
}

pub(super) fn check_text(text: Option<&str>) -> Result<(), Reason> {
    let fine = text.is_none_or(|text| text.len() <= MAX_TEXT_BYTES && !text.contains('\0'));
    if fine { Ok(()) } else { Err(Reason::BadStream) }
}

/// The stream with what the request asks for; `whole`: and with nothing else.
pub(super) fn asked_for(app: &App, mut stream: Stream, asked: &StreamRequest, whole: bool) -> Result<Stream, Reason> {
    check_text(asked.description.as_deref())?;
    match &asked.events_requested {
        // What there is not is kept: it may come with a later version (SSF section 8.1.1).
        Some(events) if events.len() <= MAX_EVENT_TYPES && events.iter().all(|event| event.len() <= MAX_TEXT_BYTES) => {
            stream.spec.events_requested.clone_from(events);
        }
        Some(_) => return Err(Reason::BadStream),
        None if whole => stream.spec.events_requested = EventKind::OFFERED.map(|kind| kind.uri().to_owned()).to_vec(),
        None => {}
    }
    if whole || asked.description.is_some() {
        stream.spec.description.clone_from(&asked.description);
    }
    match &asked.delivery {
        Some(delivery) => (stream.spec.delivery, stream.sealed_authorization) = deliver_by(app, &stream.id, delivery)?,
        // SSF section 8.1.1.1: without a word it is polled.
        None if whole => (stream.spec.delivery, stream.sealed_authorization) = (Delivery::Poll, None),
        None => {}
    }
    Ok(stream)
}

fn deliver_by(app: &App, id: &str, asked: &DeliveryRequest) -> Result<(Delivery, Option<Vec<u8>>), Reason> {
    match asked.method.as_str() {
        Delivery::POLL => Ok((Delivery::Poll, None)),
        Delivery::PUSH => {
            let text = asked.endpoint_url.as_deref().filter(|url| url.len() <= MAX_ENDPOINT_BYTES);
            let endpoint_url = text.and_then(|url| Url::parse(url).ok()).ok_or(Reason::BadDelivery)?;
            app.upstreams.check(&endpoint_url).map_err(|_| Reason::BadDelivery)?;
            let header = asked.authorization_header.as_deref();
            let fine = header.is_none_or(|header| {
                header.len() <= MAX_ENDPOINT_BYTES && header.bytes().all(|byte| (0x20..0x7F).contains(&byte))
            });
            if !fine {
                return Err(Reason::BadDelivery);
            }
            let sealed = header.map(|header| app.safe.seal_note(&aad(id), header.as_bytes())).transpose();
            Ok((Delivery::Push { endpoint_url }, sealed.map_err(|_| Reason::KeysUnavailable)?))
        }
        _ => Err(Reason::BadDelivery),
    }
}
