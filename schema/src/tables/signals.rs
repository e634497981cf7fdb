//! Tables of what services outside are told.

diesel::table! {
    status_entries (list, idx) {
        list -> Text,
        idx -> BigInt,
        issued_at -> BigInt,
        expires_at -> BigInt,
        names -> Text,
    }
}

diesel::table! {
    signal_streams (id) {
        id -> Text,
        owner_id -> Text,
        client_id -> Text,
        state -> Text,
        state_reason -> Nullable<Text>,
        spec -> Text,
        sealed_authorization -> Nullable<Binary>,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    signal_outbox (id) {
        id -> Text,
        stream_id -> Text,
        claims -> Text,
        attempts -> BigInt,
        due_at -> BigInt,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    signal_reach (kind, value, audience, ends_at) {
        kind -> Text,
        value -> Text,
        audience -> Text,
        ends_at -> BigInt,
    }
}

diesel::table! {
    signal_deliveries (stream_id) {
        stream_id -> Text,
        delivered -> BigInt,
        failed -> BigInt,
        delivered_at -> Nullable<BigInt>,
        failed_at -> Nullable<BigInt>,
        failure -> Nullable<Text>,
    }
}

diesel::table! {
    budget_exhaustions (line_id) {
        line_id -> Text,
        at -> BigInt,
    }
}
