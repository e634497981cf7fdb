//! The ledger's tables.

diesel::table! {
    budget_lines (id) {
        id -> Text,
        owner_id -> Text,
        account_kind -> Text,
        account_id -> Text,
        parent_id -> Nullable<Text>,
        unit -> Text,
        decimals -> BigInt,
        amount -> BigInt,
        per_call -> Nullable<BigInt>,
        time_window -> Text,
        enforce -> Text,
        state -> Text,
        expires_at -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
        increase -> BigInt,
        increase_until -> Nullable<BigInt>,
        audience -> Nullable<Text>,
    }
}

diesel::table! {
    budget_uses (line_id, period) {
        line_id -> Text,
        period -> BigInt,
        held -> BigInt,
        spent -> BigInt,
        carved -> BigInt,
        overage -> BigInt,
        told -> BigInt,
    }
}

diesel::table! {
    budget_holds (id) {
        id -> Text,
        line_id -> Text,
        client_id -> Text,
        jti -> Nullable<Text>,
        amount -> BigInt,
        captured -> BigInt,
        state -> Text,
        path -> Text,
        expires_at -> BigInt,
        created_at -> BigInt,
    }
}

diesel::table! {
    budget_captures (id) {
        id -> Text,
        hold_id -> Text,
        spent -> BigInt,
        overage -> BigInt,
        refunded -> BigInt,
        created_at -> BigInt,
        overages -> Nullable<Text>,
    }
}

diesel::table! {
    budget_carves (line_id) {
        line_id -> Text,
        path -> Text,
        amount -> BigInt,
        reported -> BigInt,
        #[sql_name = "final"]
        is_final -> Bool,
        state -> Text,
        returned -> BigInt,
        due_at -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    budget_answers (key_hash) {
        key_hash -> Binary,
        digest -> Binary,
        answer -> Text,
        expires_at -> BigInt,
    }
}
