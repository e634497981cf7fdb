//! The law of constraints: which calls may be made with a custodied credential.
//!
//! Constraints are data, and a call is a set of facts; whether the one admits the other is a
//! pure decision. What is not understood is refused when it is read, what cannot be seen or
//! does not resolve is refused when it is decided, and constraints that are put together only
//! get tighter. Counting, forwarding and logging are the caller's part.

mod lookalike;
mod method;
mod path;

pub use method::{METHOD_OVERRIDE_HEADERS, Method, MethodError, is_method_override_header, query_overrides_method};
pub use path::{CanonicalPath, MAX_PATH_BYTES, MAX_SEGMENTS, PathError, split_query};
