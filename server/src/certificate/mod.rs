//! Certificates of clients (RFC 8705): what was proved at the TLS handshake, read strictly, and
//! compared with what a client has registered.
//!
//! The handshake proves that the peer has the certificate's key and nothing more; whether a
//! certificate means anything is judged later, for one client. Nothing here ever looks at the
//! system's certificate authorities.

mod header;
mod name;
mod parsed;
mod subject;
mod trust;
mod verifier;

pub use header::{HeaderFault, from_header};
pub use name::{DistinguishedName, NameFault};
pub use parsed::{CertificateFault, ParsedCertificate};
pub use subject::{CertificateSubject, SubjectFault};
pub use trust::{Authorities, MAX_AUTHORITIES, Untrusted};
pub use verifier::AnyCertificate;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use std::sync::Arc;
use stipend_keys::sha256;

/// Longest certificate that is looked at, in bytes of DER.
pub const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;
/// Certificates of a chain beside the client's own.
pub const MAX_INTERMEDIATES: usize = 8;

/// A certificate whose key the client has proved to have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientCertificate(Arc<Proved>);

#[derive(Debug, Eq, PartialEq)]
struct Proved {
    der: CertificateDer<'static>,
    intermediates: Vec<CertificateDer<'static>>,
    thumbprint: String,
    parsed: ParsedCertificate,
}

impl ClientCertificate {
    /// The client's own certificate comes first. `None` for one that is too large or no
    /// certificate: such a one proves nothing here.
    #[must_use]
    pub fn from_chain(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let (own, intermediates) = chain.split_first()?;
        let intermediates = intermediates.iter().take(MAX_INTERMEDIATES);
        let der = own.clone().into_owned();
        Some(Self(Arc::new(Proved {
            parsed: ParsedCertificate::parse(&der).ok()?,
            thumbprint: thumbprint(&der),
            intermediates: intermediates.map(|one| one.clone().into_owned()).collect(),
            der,
        })))
    }

    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    #[must_use]
    pub fn parsed(&self) -> &ParsedCertificate {
        &self.0.parsed
    }

    /// `x5t#S256` (RFC 8705 section 3.1): of the certificate, not of its key, so a renewed
    /// certificate is another one.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.0.thumbprint
    }
}

/// The base64url of the SHA-256 of a certificate's DER.
#[must_use]
pub fn thumbprint(der: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(sha256(der))
}
