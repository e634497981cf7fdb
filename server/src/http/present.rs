//! What a request brings to prove a key: its `DPoP` headers, its certificate, and the address
//! that it is for as we have published it.

use super::certificate::client_certificate;
use crate::app::App;
use crate::binding::{Presentation, Presented, ProofHeader};
use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use stipend_keys::dpop::TargetUri;

/// The header of a proof (RFC 9449 section 4.1).
pub const DPOP: &str = "dpop";

/// `base` is the public URL of the service that is asked; the path is the request's own.
#[must_use]
pub fn presented(app: &App, request: &HttpRequest, base: &str) -> Presented {
    let mut proofs = request.headers().get_all(DPOP);
    let proof = match (proofs.next(), proofs.next()) {
        (None, _) => ProofHeader::None,
        // What is no text is no JWT.
        (Some(one), None) => ProofHeader::One(one.to_str().unwrap_or_default().to_owned()),
        (Some(_), Some(_)) => ProofHeader::Several,
    };
    // A proxy's header that can't be read names nobody; where a client authenticates by it, it is
    // an error of its own.
    let certificate = client_certificate(app, request).ok().flatten();
    // Most requests bring no proof: then there is no address to compare one with.
    let urls = match &proof {
        ProofHeader::One(_) => {
            let url = format!("{}{}", base.trim_end_matches('/'), request.uri().path());
            TargetUri::parse(&url).into_iter().collect()
        }
        ProofHeader::None | ProofHeader::Several => Vec::new(),
    };
    Presented {
        proof,
        method: request.method().as_str().to_owned(),
        urls,
        certificate: certificate.map(|certificate| certificate.thumbprint().to_owned()),
    }
}

/// Whether a request has several `Authorization` headers: which one counts is anybody's guess
/// (RFC 6750 section 3.1, `invalid_request`).
#[must_use]
pub fn presents_twice(request: &HttpRequest) -> bool {
    request.headers().get_all(AUTHORIZATION).nth(1).is_some()
}

/// The one access token of a request, in the header and nowhere else (RFC 6750 section 2.1, RFC
/// 9449 section 7.1).
#[must_use]
pub fn presentation(app: &App, request: &HttpRequest, base: &str) -> Option<Presentation> {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let (Some(header), None) = (headers.next(), headers.next()) else { return None };
    Presentation::read(header.to_str().ok()?, presented(app, request, base))
}

/// The one bearer token of a request, where nothing but a bearer token is taken.
#[must_use]
pub(super) fn bearer_token(request: &HttpRequest) -> Option<&str> {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let (first, second) = (headers.next(), headers.next());
    first
        .filter(|_| second.is_none())
        .and_then(|header| header.to_str().ok()?.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim_matches(' '))
}
