//! `WWW-Authenticate` at resources of ours, in the words of the scheme that was used: RFC 6750
//! section 3 and RFC 9449 section 7.1, whose challenges differ in their name and in `algs`.

use crate::binding::Scheme;
use crate::reason::{OAuthCode, Reason};
use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use stipend_keys::Algorithm;

/// The algorithms that proofs may be signed with, for metadata and challenges.
#[must_use]
pub fn proof_algorithms() -> [&'static str; 4] {
    Algorithm::ALL.map(Algorithm::as_str)
}

/// Whether the client is to be answered in terms of DPoP: it used the scheme, or should have.
#[must_use]
pub fn speaks_dpop(request: &HttpRequest, reason: Option<Reason>) -> bool {
    let header = request.headers().get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let used = header.and_then(|header| header.split(' ').next()).and_then(Scheme::parse) == Some(Scheme::Dpop);
    let due = reason.is_some_and(|reason| {
        reason == Reason::BoundAsBearer
            || matches!(reason.code(), OAuthCode::InvalidDpopProof | OAuthCode::UseDpopNonce)
    });
    used || due
}

/// The challenges to send, of one in terms of `Bearer`. Who used no scheme or the plain one learns
/// that there is another (RFC 9449 section 7.1).
#[must_use]
pub fn challenges(bearer: &str, speaks_dpop: bool, status: u16) -> Vec<String> {
    let algs = format!("algs=\"{}\"", proof_algorithms().join(" "));
    let parameters = bearer.split_once(' ').map_or("", |(_, parameters)| parameters);
    match (speaks_dpop, parameters.is_empty()) {
        (true, true) => vec![format!("DPoP {algs}")],
        (true, false) => vec![format!("DPoP {parameters}, {algs}")],
        (false, _) if status == 401 => vec![bearer.to_owned(), format!("DPoP {algs}")],
        (false, _) => vec![bearer.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_speaks_the_scheme_that_was_used_and_names_the_algorithms() {
        let dpop = |text: &str, status| challenges(text, true, status);
        let bearer = |text: &str, status| challenges(text, false, status);
        let algs = "algs=\"ES256 EdDSA PS256 RS256\"";
        assert_eq!(dpop("Bearer error=\"invalid_token\"", 401), [format!("DPoP error=\"invalid_token\", {algs}")]);
        assert_eq!(dpop("Bearer", 401), [format!("DPoP {algs}")]);
        assert_eq!(
            bearer("Bearer realm=\"admin\"", 401),
            ["Bearer realm=\"admin\"".to_owned(), format!("DPoP {algs}")]
        );
        assert_eq!(bearer("Bearer error=\"insufficient_scope\"", 403), ["Bearer error=\"insufficient_scope\""]);
    }
}
