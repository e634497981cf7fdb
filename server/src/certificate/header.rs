//! A certificate as a proxy that ends TLS passes it on: RFC 9440's `:base64:`, the bare base64
//! of the DER (haproxy), or URL-encoded PEM (nginx, Traefik).
//!
//! Reading only. Whose header is believed is decided where requests are seen.

use super::{ClientCertificate, MAX_CERTIFICATE_BYTES};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Longest value that is looked at: every character of the PEM escaped.
const MAX_VALUE_BYTES: usize = 6 * MAX_CERTIFICATE_BYTES;

/// The value holds no certificate that can be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the header does not hold one certificate")]
pub struct HeaderFault;

/// `None` for an empty value, which proxies send of clients without a certificate.
///
/// # Errors
/// [`HeaderFault`].
pub fn from_header(value: &[u8]) -> Result<Option<ClientCertificate>, HeaderFault> {
    let text = std::str::from_utf8(value).map_err(|_| HeaderFault)?.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > MAX_VALUE_BYTES {
        return Err(HeaderFault);
    }
    let der = match text.strip_prefix(':') {
        // RFC 9440 section 2.1, RFC 9651 section 3.3.5.
        Some(rest) => base64(rest.strip_suffix(':').ok_or(HeaderFault)?)?,
        None if text.starts_with("-----BEGIN") => pem(&unescape(text)?)?,
        None => base64(text)?,
    };
    ClientCertificate::from_chain(&[der]).map(Some).ok_or(HeaderFault)
}

fn base64(text: &str) -> Result<CertificateDer<'static>, HeaderFault> {
    STANDARD.decode(text).map(CertificateDer::from).map_err(|_| HeaderFault)
}

/// Percent escapes only: a plus is a plus, as nginx leaves it.
fn unescape(text: &str) -> Result<Vec<u8>, HeaderFault> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or(HeaderFault);
        let value = digit(rest.next())? * 16 + digit(rest.next())?;
        bytes.push(u8::try_from(value).map_err(|_| HeaderFault)?);
    }
    Ok(bytes)
}

fn pem(text: &[u8]) -> Result<CertificateDer<'static>, HeaderFault> {
    let mut certificates = CertificateDer::pem_slice_iter(text);
    match (certificates.next(), certificates.next()) {
        (Some(Ok(only)), None) => Ok(only),
        _ => Err(HeaderFault),
    }
}
