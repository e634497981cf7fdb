//! From the upstream's head to the one that may reach the agent.

use super::body::{AnswerBody, Live, Treatment};
use super::fault::UpstreamFault;
use super::headers;
use super::limits::{MAX_HEAD_BYTES, Timeouts};
use super::mask::Mask;
use super::request::Upload;
use super::upstreams::Forwarded;
use super::usage::{UsageReader, UsageStyle};
use http::StatusCode;
use http::header::TRANSFER_ENCODING;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// What an answer is passed on with.
pub(super) struct Passage {
    pub mask: Mask,
    pub usage: Option<UsageStyle>,
    pub upload: Upload,
    pub timeouts: Timeouts,
    pub deadline: Instant,
    pub permit: OwnedSemaphorePermit,
}

/// Checks and filters the head; the body is read by whoever takes the answer.
pub(super) fn pass(response: reqwest::Response, head_only: bool, passage: Passage) -> Result<Forwarded, UpstreamFault> {
    let status = response.status();
    let upstream = response.headers();
    if headers::length(upstream) > MAX_HEAD_BYTES {
        return Err(UpstreamFault::HeadTooLarge);
    }
    // 101 would make a tunnel of the connection; the others have been passed over.
    if status.is_informational() {
        return Err(UpstreamFault::Protocol);
    }
    let bodiless = head_only || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let looked_into = !passage.mask.is_empty() || passage.usage.is_some();
    if !headers::has_only_chunks(upstream) || (looked_into && !bodiless && !headers::is_plain(upstream)) {
        return Err(UpstreamFault::Encoded);
    }
    // RFC 9112 section 6.3: a Content-Length beside a Transfer-Encoding says nothing.
    let keep_length = passage.mask.is_empty() && !upstream.contains_key(TRANSFER_ENCODING);
    let headers = passage.mask.headers(headers::answer(upstream, keep_length));
    let empty = bodiless || response.content_length() == Some(0);
    let treatment = Treatment {
        mask: passage.mask.body(),
        usage: passage.usage.map(UsageReader::new),
        upload: Some(passage.upload),
        timeouts: passage.timeouts,
        deadline: passage.deadline,
    };
    let live = Live { incoming: Box::pin(response.bytes_stream()), _permit: passage.permit };
    let (mut body, meter) = AnswerBody::new(live, treatment);
    if empty {
        body.end_empty();
    }
    Ok(Forwarded { status, headers, body, meter })
}
