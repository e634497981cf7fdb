//! Tables of how the audit leaves the deployment, and of what has left it for good.

diesel::table! {
    audit_sinks (id) {
        id -> Text,
        owner_id -> Nullable<Text>,
        name -> Text,
        state -> Text,
        state_reason -> Nullable<Text>,
        spec -> Text,
        sealed_secret -> Binary,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    audit_sink_deliveries (sink_id) {
        sink_id -> Text,
        lease_holder -> Text,
        leased_until -> BigInt,
        opened -> Bool,
        batch -> Text,
        attempts -> BigInt,
        due_at -> BigInt,
        records -> BigInt,
        batches -> BigInt,
        failed -> BigInt,
        missed -> BigInt,
        delivered_at -> Nullable<BigInt>,
        failed_at -> Nullable<BigInt>,
        failure -> Nullable<Text>,
    }
}

diesel::table! {
    audit_sink_positions (sink_id, writer) {
        sink_id -> Text,
        writer -> Text,
        n -> BigInt,
    }
}

diesel::table! {
    audit_prunings (writer) {
        writer -> Text,
        n -> BigInt,
        hash -> Binary,
        at -> BigInt,
        jws -> Text,
    }
}

diesel::table! {
    audit_redactions (writer, n) {
        writer -> Text,
        n -> BigInt,
        redacted_hash -> Binary,
        at -> BigInt,
        jws -> Text,
    }
}
