//! The law of constraints: which calls may be made with a custodied credential.
//!
//! Constraints are data, and a call is a set of facts; whether the one admits the other is a
//! pure decision. What is not understood is refused when it is read, what cannot be seen or
//! does not resolve is refused when it is decided, and constraints that are put together only
//! get tighter. Counting, forwarding and logging are the caller's part.

mod amount;
mod call;
mod constraints;
mod counted;
mod host;
mod list;
mod lookalike;
mod method;
mod path;
mod path_pattern;
mod rate;
mod recipients;
mod release;
mod selector;
mod set;
mod source;
mod tally;
mod time_of_day;
mod verdict;

pub use call::{Body, Call, Counted, MAX_BODY_BYTES, MAX_BODY_DEPTH, RateCount, Request, StrictJson, Unreadable};
pub use constraints::{Constraints, decide};
pub use counted::{CountedLimit, MAX_COUNTED};
pub use host::{Host, HostError, HostPattern};
pub use list::{MAX_ALL_OF, MAX_ANY_OF, TooMany};
pub use method::{METHOD_OVERRIDE_HEADERS, Method, MethodError, is_method_override_header, query_overrides_method};
pub use path::{CanonicalPath, MAX_PATH_BYTES, MAX_SEGMENTS, PathError, split_query};
pub use path_pattern::{PathPattern, PathPatternError};
pub use rate::{CountError, MAX_COUNT, MAX_PER_SECONDS, Rate};
pub use release::{
    Action, CREDENTIAL_RELEASE_TYPE, CredentialRelease, MAX_CREDENTIALS, MAX_IDENTIFIER_BYTES, NarrowError,
    ReleaseError,
};
pub use source::{Cidr, CidrError};
pub use tally::{Span, TALLY_PARTS, Tally};
pub use verdict::{Broken, Kind, Mode, Need, Reason, Verdict};
