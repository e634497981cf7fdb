//! How full limits are, and which secrets were proved.

diesel::table! {
    rate_cells (key) {
        key -> Text,
        tat -> BigInt,
        granted -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    proved_secrets (mark) {
        mark -> Text,
        expires_at -> BigInt,
    }
}
