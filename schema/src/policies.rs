//! Tables and rows of policies. `text` is Cedar, the server's to read; times in seconds.

use crate::rows::row;

pub(crate) mod tables {
    diesel::table! {
        policies (id) {
            id -> Text,
            owner_id -> Nullable<Text>,
            name -> Text,
            text -> Text,
            hash -> Text,
            state -> Text,
            version -> BigInt,
            created_by -> Text,
            created_at -> BigInt,
            updated_at -> BigInt,
        }
    }

    diesel::table! {
        policy_versions (policy_id, version) {
            policy_id -> Text,
            version -> BigInt,
            text -> Text,
            hash -> Text,
            author -> Text,
            at -> BigInt,
        }
    }
}

row! {
    /// What is forbidden although rows allow it. Without an owner it is the deployment's own.
    #[derive(Debug, diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    PolicyRow of policies (id) {
        id: String,
        owner_id: Option<String>,
        name: String,
        text: String,
        hash: String,
        state: String,
        version: i64,
        created_by: String,
        created_at: i64,
        updated_at: i64,
    }
}

row! {
    /// One text of a policy; never changed.
    #[derive(Debug)]
    PolicyVersionRow of policy_versions (policy_id, version) {
        policy_id: String,
        version: i64,
        text: String,
        hash: String,
        author: String,
        at: i64,
    }
}
