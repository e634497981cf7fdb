//! Who answers for a client, as it is stored; times in seconds.

use crate::rows::row;
use crate::tables;

row! {
    /// The person who answers for a client, and to whom that is offered.
    #[derive(Debug, diesel::AsChangeset)]
    #[diesel(primary_key(client_id))]
    #[diesel(treat_none_as_null = true)]
    ResponsibilityRow of responsibilities (client_id) {
        client_id: String,
        owner_id: String,
        person: String,
        offered_to: Option<String>,
        offered_by: Option<String>,
        orphaned_at: Option<i64>,
        suspend_at: Option<i64>,
        created_at: i64,
        updated_at: i64,
    }
}
