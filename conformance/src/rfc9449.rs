//! RFC 9449: demonstrating proof of possession.

pub(crate) mod binding;
pub(crate) mod nonce;
pub(crate) mod proof;
pub(crate) mod resource;
