//! RFC 8693: token exchange.

pub(crate) mod delegation;
pub(crate) mod foreign;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod standing;
pub(crate) mod target;
