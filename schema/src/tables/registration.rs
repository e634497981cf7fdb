//! Tokens that let clients register, and what was registered with them.

diesel::table! {
    registration_tokens (id) {
        id -> Text,
        owner_id -> Text,
        name -> Text,
        hash -> Binary,
        template -> Text,
        max_uses -> BigInt,
        uses -> BigInt,
        state -> Text,
        expires_at -> BigInt,
        created_by -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    client_registrations (client_id) {
        client_id -> Text,
        token_id -> Text,
        access_hash -> Binary,
        metadata -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}
