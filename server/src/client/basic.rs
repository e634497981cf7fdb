//! HTTP Basic for clients (RFC 6749 section 2.3.1, RFC 7617 section 2): identifier and
//! secret are form-encoded before they are put together.

use crate::form::decode_component;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use stipend_keys::Secret;

/// Longest header value that is looked at.
const MAX_HEADER_BYTES: usize = 4096;

#[derive(Debug)]
pub struct BasicCredentials {
    pub id: String,
    pub secret: Secret<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MalformedBasic {
    /// Not Basic at all.
    OtherScheme,
    Malformed,
}

/// # Errors
/// [`MalformedBasic`] for any other scheme, bad base64, no colon, bad encoding.
pub fn parse(header: &[u8]) -> Result<BasicCredentials, MalformedBasic> {
    let malformed = MalformedBasic::Malformed;
    if header.len() > MAX_HEADER_BYTES {
        return Err(malformed);
    }
    let header = std::str::from_utf8(header).map_err(|_| malformed)?;
    let (scheme, rest) = header.split_once(' ').ok_or(MalformedBasic::OtherScheme)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(MalformedBasic::OtherScheme);
    }
    let decoded = STANDARD.decode(rest.trim()).map_err(|_| malformed)?;
    let decoded = String::from_utf8(decoded).map_err(|_| malformed)?;
    let (id, secret) = decoded.split_once(':').ok_or(malformed)?;
    Ok(BasicCredentials {
        id: decode_component(id.as_bytes()).filter(|id| !id.contains('\0')).ok_or(malformed)?,
        secret: Secret::new(decode_component(secret.as_bytes()).ok_or(malformed)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(pair: &str) -> Result<(String, String), MalformedBasic> {
        let header = format!("Basic {}", STANDARD.encode(pair));
        parse(header.as_bytes()).map(|c| (c.id, c.secret.expose().clone()))
    }

    #[test]
    fn both_parts_are_form_decoded() {
        assert_eq!(basic("a%3Ab:p%25%2B%C3%A4+x"), Ok(("a:b".into(), "p%+ä x".into())));
        assert_eq!(basic("agent%2D1:s%2Dx"), Ok(("agent-1".into(), "s-x".into())));
        assert_eq!(basic("a:b:c"), Ok(("a".into(), "b:c".into())), "only the first colon divides");
    }

    #[test]
    fn malformed_headers_are_refused() {
        for bad in ["Basic", "Basic !!!", "Basic YQ", "Basic YQ==", "Basic YSVGRjpi\u{0}"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!(basic("a%zz:b"), Err(MalformedBasic::Malformed));
        assert_eq!(basic("a%ff:b"), Err(MalformedBasic::Malformed));
        assert!(matches!(parse(b"Bearer x"), Err(MalformedBasic::OtherScheme)));
        assert!(matches!(parse(&[0xff; 10]), Err(MalformedBasic::Malformed)));
        assert!(parse("x".repeat(5000).as_bytes()).is_err());
    }

    #[test]
    fn the_scheme_is_case_insensitive() {
        assert!(parse(format!("bAsIc {}", STANDARD.encode("a:b")).as_bytes()).is_ok());
    }
}
