//! RFC 8705: mutual TLS.

pub(crate) mod bound;
pub(crate) mod client;
