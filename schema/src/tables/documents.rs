//! Clients known by a metadata document. By the same rules as the tables above.

diesel::table! {
    client_documents (id) {
        id -> Text,
        owner_id -> Text,
        name -> Text,
        url -> Text,
        covers -> Text,
        template -> Text,
        max_clients -> BigInt,
        state -> Text,
        created_by -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    document_clients (client_id) {
        client_id -> Text,
        document_id -> Text,
        url -> Text,
        digest -> Text,
        read_at -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}
