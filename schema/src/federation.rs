//! Issuers that are not ours, as they are stored. `spec` and `mapping` are JSON whose shape
//! belongs to the server; times in seconds.

use crate::rows::row;
use crate::tables;

row! {
    /// An issuer whose tokens are believed for what `spec` says. `issuer` is unique in the
    /// deployment: it is what finds the keys.
    #[derive(Debug, diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    IssuerRow of issuers (id) {
        id: String,
        owner_id: String,
        issuer: String,
        kind: String,
        name: String,
        state: String,
        spec: String,
        mapping: String,
        created_by: String,
        created_at: i64,
        updated_at: i64,
    }
}
