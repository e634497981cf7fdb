//! Relying services that nobody here wrote and that know nothing of us but the published keys:
//! haproxy by `jwt_verify`, Apache by mod_auth_openidc's `AuthType oauth20`. They read the
//! machine's clock, so no test moves the server's. `scripts/test` installs them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines
)]

mod apache;
mod haproxy;
mod world;
