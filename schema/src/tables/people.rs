//! What people answer, and what they answer for. By the same rules as the tables above.

diesel::table! {
    approval_requests (id) {
        id -> Text,
        handle_hash -> Binary,
        client_id -> Text,
        owner_id -> Text,
        subject_owner_id -> Nullable<Text>,
        target_owner_id -> Text,
        state -> Text,
        asked -> Text,
        offered -> Text,
        approvers -> Text,
        decisions -> Text,
        binding_message -> Nullable<Text>,
        jti -> Nullable<Text>,
        polled_at -> Nullable<BigInt>,
        interval_seconds -> BigInt,
        expires_at -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    responsibilities (client_id) {
        client_id -> Text,
        owner_id -> Text,
        person -> Text,
        offered_to -> Nullable<Text>,
        offered_by -> Nullable<Text>,
        orphaned_at -> Nullable<BigInt>,
        suspend_at -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}
