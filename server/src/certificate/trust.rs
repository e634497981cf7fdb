//! Certificate authorities that a deployment, or a trust domain, has named. A chain is judged
//! against one such set and against nothing else.

use super::ClientCertificate;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longest file of certificates, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Authorities in one set.
pub const MAX_AUTHORITIES: usize = 100;

/// No chain leads from the certificate to one of the authorities, or it is not good at this
/// time or not for clients.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the certificate is not one of these authorities', or not good now or for a client")]
pub struct Untrusted;

/// A set of authorities.
#[derive(Clone, Debug)]
pub struct Authorities {
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Authorities {
    /// # Errors
    /// What is wrong with the file, in a sentence.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let length = std::fs::metadata(path).map_err(|error| told(&error))?.len();
        if length > MAX_FILE_BYTES {
            return Err(told(&"larger than 1 MiB"));
        }
        let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        Self::new(certificates.map_err(|error| told(&error))?).map_err(|error| told(&error))
    }

    /// # Errors
    /// What is wrong with them, in a sentence.
    pub fn new(certificates: Vec<CertificateDer<'static>>) -> Result<Self, String> {
        if certificates.is_empty() || certificates.len() > MAX_AUTHORITIES {
            return Err(format!("holds 1 to {MAX_AUTHORITIES} certificates"));
        }
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        Ok(Self { verifier: verifier.map_err(|error| error.to_string())? })
    }

    /// Judges the chain at a time of ours: signatures, dates, constraints, and the purpose where
    /// the certificate names any (RFC 5280 section 4.2.1.12: `clientAuth`).
    ///
    /// # Errors
    /// [`Untrusted`].
    pub fn verify(&self, certificate: &ClientCertificate, now: i64) -> Result<(), Untrusted> {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).map_err(|_| Untrusted)?));
        self.verifier
            .verify_client_cert(&certificate.0.der, &certificate.0.intermediates, now)
            .map(|_| ())
            .map_err(|_| Untrusted)
    }
}
