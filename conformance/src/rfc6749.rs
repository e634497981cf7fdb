//! RFC 6749: the token endpoint, clients with a secret, client credentials.

pub(crate) mod client;
pub(crate) mod client_credentials;
pub(crate) mod guessing;
pub(crate) mod hostile;
pub(crate) mod response;
pub(crate) mod token;
