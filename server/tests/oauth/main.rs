//! The OAuth endpoints over HTTP, one module per URL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::as_conversions, clippy::too_many_lines)]

mod discovery;
