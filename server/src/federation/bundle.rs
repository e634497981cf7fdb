//! The authorities in a SPIFFE bundle (SPIFFE Trust Domain and Bundle, section 4): whose
//! certificates the workloads of one trust domain have.
//!
//! They belong to the trust domain that the bundle was registered for, and are never put
//! together with another's or with the system's.

use super::fetch::MAX_FETCH_BYTES;
use crate::certificate::{Authorities, MAX_AUTHORITIES};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use serde_json::Value;
use stipend_token::json::{Limits, parse_object};

/// Nesting of a bundle.
const MAX_BUNDLE_DEPTH: usize = 6;

/// `None` where the bundle names none that could be used.
#[must_use]
pub(super) fn authorities(document: &[u8]) -> Option<Authorities> {
    let limits = Limits { max_bytes: MAX_FETCH_BYTES, max_depth: MAX_BUNDLE_DEPTH };
    let bundle = parse_object(document, limits).ok()?;
    let entries = bundle.get("keys")?.as_array()?;
    // Section 4.2.2: what is not understood is left out, entry by entry.
    let certificates = entries.iter().filter_map(authority).take(MAX_AUTHORITIES).collect();
    Authorities::new(certificates).ok()
}

/// An entry for X.509-SVIDs has one certificate, of the authority itself.
fn authority(entry: &Value) -> Option<CertificateDer<'static>> {
    if entry.get("use")?.as_str()? != "x509-svid" {
        return None;
    }
    let [Value::String(only)] = entry.get("x5c")?.as_array()?.as_slice() else { return None };
    STANDARD.decode(only).ok().map(CertificateDer::from)
}
