//! Clients that nobody here wrote, against the real server over HTTP: Python's and Node's
//! by the programs in `interop/`, Rust's `oauth2` crate right here. The libraries read the
//! machine's clock, so no test moves the server's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod company;
mod identity_provider;
mod mcp;
mod mcp_conformance;
mod oauth2_crate;
mod programs;
mod provider_sdks;
mod release;
