//! RFC 8725: hostile JWTs in every place where a JWT is read.

pub(crate) mod content;
pub(crate) mod signature;
