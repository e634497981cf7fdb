//! The client's certificate of a request: from our own TLS listener, or from the header of a
//! trusted proxy (RFC 9440), and from nowhere else (RFC 9700 section 4.13).

use crate::app::App;
use crate::certificate::{ClientCertificate, from_header};
use crate::reason::Reason;
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use std::any::Any;

/// Keeps what the client sent and proved at the handshake beside its connection.
pub fn keep_certificate(connection: &dyn Any, data: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() else { return };
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    if let Some(certificate) = ClientCertificate::from_chain(chain) {
        data.insert(certificate);
    }
}

/// The certificate that the client of this request has proved to have the key of.
///
/// A trusted proxy speaks for its clients: its header counts, and a certificate of its own does
/// not. From everybody else the header is nothing.
///
/// # Errors
/// [`Reason::CertificateHeader`] where a proxy's header is there twice or can't be read: who the
/// client is can't be told then.
pub fn client_certificate(app: &App, request: &HttpRequest) -> Result<Option<ClientCertificate>, Reason> {
    let peer = request.peer_addr().map(|address| address.ip().to_canonical());
    if !peer.is_some_and(|peer| app.config.trusts_proxy(peer)) {
        return Ok(request.conn_data::<ClientCertificate>().cloned());
    }
    let Some(header) = &app.config.client_certificates.header else { return Ok(None) };
    let mut values = request.headers().get_all(header.as_str());
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => from_header(value.as_bytes()).map_err(|_| Reason::CertificateHeader),
        (Some(_), Some(_)) => Err(Reason::CertificateHeader),
    }
}
