//! Where clients' certificates come from, and whose they must be.

use super::Source;
use std::path::PathBuf;

/// Headers that say something else, and could not be believed as a certificate.
const OTHER_HEADERS: [&str; 5] = ["authorization", "host", "x-forwarded-for", "content-type", "idempotency-key"];

/// The settings of client certificates (RFC 8705).
#[derive(Clone, Debug, Default)]
pub struct ClientCertificates {
    /// The header in which trusted proxies pass a client's certificate on, in lower case.
    pub header: Option<String>,
    /// The authorities of `tls_client_auth`.
    pub authorities: Option<PathBuf>,
}

impl ClientCertificates {
    pub(super) fn read(source: &mut Source, behind_proxy: bool, speaks_tls: bool) -> Self {
        let expected = "the name of a header of its own, such as Client-Cert";
        let header = source.parse("STIPEND_CLIENT_CERTIFICATE_HEADER", expected, header);
        if header.is_some() && !behind_proxy {
            source.fault(
                "STIPEND_CLIENT_CERTIFICATE_HEADER: of no use without STIPEND_TRUSTED_PROXIES: nobody else is believed"
                    .to_owned(),
            );
        }
        let authorities = source.path("STIPEND_CLIENT_CA_FILE");
        if authorities.is_some() && header.is_none() && !speaks_tls {
            source.fault(
                "STIPEND_CLIENT_CA_FILE: of no use without STIPEND_TLS_CERT_FILE or STIPEND_CLIENT_CERTIFICATE_HEADER"
                    .to_owned(),
            );
        }
        Self { header, authorities }
    }
}

fn header(text: &str) -> Option<String> {
    let name = http::HeaderName::try_from(text).ok()?;
    (!OTHER_HEADERS.contains(&name.as_str())).then(|| name.as_str().to_owned())
}
