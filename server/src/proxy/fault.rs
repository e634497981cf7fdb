//! What can go wrong between here and an upstream, and nothing of what the upstream said.

use super::guard::NameFault;
use std::error::Error;
use std::io;

/// Why a call was not forwarded, or its answer not brought back whole.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum UpstreamFault {
    #[error("too many calls are under way on this node")]
    Busy,
    #[error("the upstream's URL may not be called")]
    UrlRefused,
    #[error("the upstream's address is in a network that may not be called")]
    AddressRefused,
    #[error("the upstream's name has no address")]
    Unresolved,
    #[error("an injected header is none")]
    Injection,
    #[error("the request body is too long")]
    RequestTooLarge,
    #[error("the request body ended before its end")]
    RequestBroken,
    #[error("the request body did not arrive in time")]
    RequestStalled,
    #[error("the upstream can't be connected to")]
    Connect,
    #[error("the upstream did not accept a connection in time")]
    ConnectTimeout,
    #[error("the upstream's TLS is not to be trusted")]
    Tls,
    #[error("the upstream sent no head in time")]
    HeadTimeout,
    #[error("the head of the upstream's answer is too long")]
    HeadTooLarge,
    #[error("the upstream does not speak HTTP/1.1")]
    Protocol,
    #[error("the upstream closed the connection before the end")]
    Closed,
    #[error("the upstream's answer has an encoding that can't be looked into")]
    Encoded,
    #[error("the upstream fell silent")]
    IdleTimeout,
    #[error("the call took too long")]
    TotalTimeout,
}

impl UpstreamFault {
    /// A stable name for the audit.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::UrlRefused => "url_refused",
            Self::AddressRefused => "address_refused",
            Self::Unresolved => "unresolved",
            Self::Injection => "injection",
            Self::RequestTooLarge => "request_too_large",
            Self::RequestBroken => "request_broken",
            Self::RequestStalled => "request_stalled",
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::HeadTimeout => "head_timeout",
            Self::HeadTooLarge => "head_too_large",
            Self::Protocol => "protocol",
            Self::Closed => "closed",
            Self::Encoded => "encoded",
            Self::IdleTimeout => "idle_timeout",
            Self::TotalTimeout => "total_timeout",
        }
    }

    /// The HTTP status to answer the agent with, where no head was answered yet.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Busy => 503,
            Self::RequestTooLarge => 413,
            Self::RequestBroken => 400,
            Self::RequestStalled => 408,
            Self::ConnectTimeout | Self::HeadTimeout | Self::IdleTimeout | Self::TotalTimeout => 504,
            Self::UrlRefused
            | Self::AddressRefused
            | Self::Unresolved
            | Self::Injection
            | Self::Connect
            | Self::Tls
            | Self::HeadTooLarge
            | Self::Protocol
            | Self::Closed
            | Self::Encoded => 502,
        }
    }

    /// Whether the upstream certainly got nothing of the request, so that the call can't have
    /// had an effect or a price.
    #[must_use]
    pub fn nothing_was_sent(self) -> bool {
        match self {
            Self::Busy
            | Self::UrlRefused
            | Self::AddressRefused
            | Self::Unresolved
            | Self::Injection
            | Self::Connect
            | Self::ConnectTimeout
            | Self::Tls => true,
            Self::RequestTooLarge
            | Self::RequestBroken
            | Self::RequestStalled
            | Self::HeadTimeout
            | Self::HeadTooLarge
            | Self::Protocol
            | Self::Closed
            | Self::Encoded
            | Self::IdleTimeout
            | Self::TotalTimeout => false,
        }
    }

    /// What an error of the HTTP library means.
    pub(crate) fn from_http(error: &reqwest::Error) -> Self {
        if let Some(fault) = causes(error).find_map(|cause| cause.downcast_ref::<NameFault>()) {
            return match fault {
                NameFault::Refused => Self::AddressRefused,
                NameFault::Unknown => Self::Unresolved,
            };
        }
        if error.is_connect() {
            let tls = causes(error).any(inner_is::<rustls::Error>);
            return match (error.is_timeout(), tls) {
                (true, _) => Self::ConnectTimeout,
                (false, true) => Self::Tls,
                (false, false) => Self::Connect,
            };
        }
        if error.is_builder() {
            return Self::UrlRefused;
        }
        if causes(error).any(inner_is::<rustls::Error>) {
            return Self::Tls;
        }
        causes(error).find_map(from_cause).unwrap_or(Self::Protocol)
    }
}

/// The library's own errors have no public kind for these, only a text. What it does not tell
/// is taken for a breach of the protocol; tests hold the texts fast.
fn from_cause(cause: &(dyn Error + 'static)) -> Option<UpstreamFault> {
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Some(UpstreamFault::Closed),
            _ => None,
        };
    }
    match cause.to_string().as_str() {
        "message head is too large" => Some(UpstreamFault::HeadTooLarge),
        "connection closed before message completed"
        | "connection closed"
        | "end of file before message length reached" => Some(UpstreamFault::Closed),
        _ => None,
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

/// Whether this is an error of a kind, or carries one as an `io::Error` does, which names what
/// it carries nowhere among its sources.
fn inner_is<E: Error + 'static>(cause: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(cause), |cause| carried(*cause)).any(|cause| cause.is::<E>())
}

fn carried<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let inner = cause.downcast_ref::<io::Error>()?.get_ref()?;
    Some(inner)
}
