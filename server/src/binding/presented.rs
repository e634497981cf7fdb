//! What a request brings to prove a key, before anything of it is believed.

use stipend_keys::dpop::TargetUri;
use stipend_relying::Scheme;

/// The `DPoP` header (RFC 9449 section 4.1).
#[derive(Clone, Debug, Default)]
pub enum ProofHeader {
    #[default]
    None,
    One(String),
    Several,
}

/// What a request brings.
#[derive(Clone, Debug, Default)]
pub struct Presented {
    pub proof: ProofHeader,
    pub method: String,
    /// The published addresses of what it asks for.
    pub urls: Vec<TargetUri>,
    /// Thumbprint (RFC 8705 section 3.1) of the certificate that its connection was made with, or
    /// that a proxy of ours vouches for.
    pub certificate: Option<String>,
}

impl Presented {
    #[must_use]
    pub fn has_proof(&self) -> bool {
        !matches!(self.proof, ProofHeader::None)
    }
}

/// An access token at a resource of ours, with what came along.
#[derive(Clone, Debug)]
pub struct Presentation {
    pub token: String,
    /// Where a provider's library puts an API key, a token comes as a bearer token.
    pub scheme: Scheme,
    pub presented: Presented,
}

impl Presentation {
    /// Reads the value of an `Authorization` header.
    #[must_use]
    pub fn read(authorization: &str, presented: Presented) -> Option<Self> {
        let (scheme, token) = authorization.split_once(' ')?;
        Some(Self { token: token.trim_matches(' ').to_owned(), scheme: Scheme::parse(scheme)?, presented })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_read_without_case_and_others_are_none() {
        let read = |text: &str| Presentation::read(text, Presented::default()).map(|it| (it.scheme, it.token));
        for text in ["DPoP t", "dpop t", "DPOP   t ", "dPoP t"] {
            assert_eq!(read(text), Some((Scheme::Dpop, "t".to_owned())), "{text}");
        }
        assert_eq!(read("bEARER t"), Some((Scheme::Bearer, "t".to_owned())));
        for text in ["Basic t", "DPoP", "t", "", "DPoPx t"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
