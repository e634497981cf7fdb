//! The vocabulary of policies, as it is published and as texts are checked against it.

use cedar_policy::{Schema, Validator};
use std::str::FromStr;
use std::sync::LazyLock;

/// Grows when a member changes its meaning or goes; new members do not count.
pub const SCHEMA_VERSION: i64 = 1;
pub const SCHEMA_TEXT: &str = include_str!("schema.cedarschema");

static VALIDATOR: LazyLock<Option<Validator>> = LazyLock::new(|| {
    let schema = Schema::from_str(SCHEMA_TEXT).map_err(|error| tracing::error!(%error, "the policy schema is broken"));
    schema.ok().map(Validator::new)
});

/// `None` only for a build whose schema can't be read, which the tests of this crate refuse.
pub(super) fn validator() -> Option<&'static Validator> {
    VALIDATOR.as_ref()
}
