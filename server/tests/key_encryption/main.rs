//! Key encryption in a whole server: static keys, Vault, a PKCS#11 token; moving from one to
//! another, keys that are missing, services that go away, and values that are destroyed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines
)]

mod fixed;
mod pkcs11;
mod rewrap;
mod shredding;
#[allow(dead_code, reason = "shared with the tests of the keys crate, which use all of it")]
#[path = "../../../keys/tests/softhsm/mod.rs"]
mod softhsm;
#[allow(dead_code, reason = "shared with the tests of the keys crate, which use all of it")]
#[path = "../../../keys/tests/transit/mod.rs"]
mod transit;
mod vault;
mod world;
