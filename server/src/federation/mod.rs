//! Tokens of issuers that are not ours: which issuers are trusted for what, their keys, and
//! the verifying of one foreign token.
//!
//! A foreign token is believed for what its issuer's registration says and nothing else: no
//! header of it names a key, an algorithm or an address, keys are found by (issuer, `kid`)
//! alone, and of its claims only who its subject is and how that authenticated go further. Its
//! `act`, `may_act`, scope and roles are another domain's and permit nothing here.
//!
//! What a grant makes of a verified token is the grant's business.

mod bundle;
mod evidence;
mod fetch;
mod jwks;
mod login;
mod source;
mod spec;
mod subject;
mod verify;
mod vouched;

pub use evidence::{Evidence, SignedBy};
pub use fetch::{FETCH_DEADLINE, FetchConfig, FetchFault, Fetched, Fetcher, MAX_FETCH_BYTES, Wanted};
pub use jwks::{COOL_DOWN_SECONDS, FRESH_SECONDS, IssuerKeys, KeyFault, KeySet, MAX_CACHED_ISSUERS, MAX_STALE_SECONDS};
pub use login::{AdminLogin, MAX_AUTH_AGE_SECONDS, MAX_ROLE_MAPPINGS, RoleMapping};
pub use source::{KeySourceFault, inline_keys};
pub use spec::{ClaimMapping, Issuer, IssuerKind, IssuerSpec, IssuerUse, KeySource, SpecFault};
pub use subject::{
    MAX_FOREIGN_SUBJECT_BYTES, federated_subject, is_digest, is_federated, issuer_of_subject, token_digest,
};
pub use verify::{
    ForeignFault, ForeignKind, ForeignToken, MAX_FOREIGN_SECONDS, accepts_audience, issuer_named_by, satisfies, verify,
    verify_again,
};
pub use vouched::Vouched;
