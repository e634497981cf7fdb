//! The diesel tables, one column set for both backends: TEXT ids, BIGINT times (seconds, but
//! microseconds in the audit), TEXT for JSON, bytes for hashes. Kept equal to the two folders
//! under `migrations/` by the test `both_backends_end_in_the_same_tables`.
//! Nothing outside this crate may name these.

mod budget;
mod documents;
mod people;
mod rates;
mod registration;
mod signals;
mod sinks;

pub use budget::*;
pub use documents::*;
pub use people::*;
pub use rates::*;
pub use registration::*;
pub use signals::*;
pub use sinks::*;

diesel::table! {
    owners (id) {
        id -> Text,
        name -> Text,
        state -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    clients (id) {
        id -> Text,
        owner_id -> Text,
        kind -> Text,
        name -> Text,
        state -> Text,
        state_reason -> Nullable<Text>,
        auth_method -> Text,
        legacy_assertion_aud -> Bool,
        access -> Text,
        scope_ceiling -> Nullable<Text>,
        max_ttl_seconds -> BigInt,
        roles -> Text,
        purpose -> Text,
        environment -> Text,
        may_act -> Nullable<Text>,
        reissue_of -> Nullable<Text>,
        expires_at -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
        settings -> Text,
    }
}

diesel::table! {
    client_secrets (id) {
        id -> Text,
        client_id -> Text,
        hash -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    client_keys (id) {
        id -> Text,
        client_id -> Text,
        kid -> Text,
        alg -> Text,
        jwk -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    resources (id) {
        id -> Text,
        owner_id -> Text,
        uri -> Text,
        name -> Text,
        scopes -> Text,
        environment -> Nullable<Text>,
        max_ttl_seconds -> BigInt,
        introspectors -> Text,
        budget_capable -> Bool,
        state -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
        status_list -> Bool,
    }
}

diesel::table! {
    exchange_rules (id) {
        id -> Text,
        actor_owner_id -> Text,
        subject_owner_id -> Nullable<Text>,
        target_owner_id -> Text,
        spec -> Text,
        accepted_by -> Text,
        state -> Text,
        created_by -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    issuers (id) {
        id -> Text,
        owner_id -> Text,
        issuer -> Text,
        kind -> Text,
        name -> Text,
        state -> Text,
        spec -> Text,
        mapping -> Text,
        created_by -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    signing_keys (kid) {
        kid -> Text,
        alg -> Text,
        public_jwk -> Text,
        sealed_private -> Binary,
        publish_at -> BigInt,
        activate_at -> BigInt,
        retire_at -> Nullable<BigInt>,
        remove_at -> Nullable<BigInt>,
        distrusted_at -> Nullable<BigInt>,
        created_at -> BigInt,
    }
}

diesel::table! {
    revocations (id) {
        id -> Text,
        seq -> BigInt,
        kind -> Text,
        value -> Text,
        issued_before -> Nullable<BigInt>,
        owner_id -> Nullable<Text>,
        expires_at -> BigInt,
        reason -> Text,
        severity -> Text,
        revoked_by -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    jti_used (key_hash) {
        key_hash -> Binary,
        expires_at -> BigInt,
    }
}

diesel::table! {
    feed_head (id) {
        id -> BigInt,
        seq -> BigInt,
        pruned_to -> BigInt,
        recover_from -> BigInt,
        epoch -> BigInt,
    }
}

diesel::table! {
    changes (seq) {
        seq -> BigInt,
        kind -> Text,
        id -> Text,
        at -> BigInt,
    }
}

diesel::table! {
    audit_writers (writer) {
        writer -> Text,
        started_at -> BigInt,
    }
}

diesel::table! {
    audit_records (writer, n) {
        writer -> Text,
        n -> BigInt,
        at -> BigInt,
        event -> Text,
        outcome -> Text,
        owner_id -> Nullable<Text>,
        subject_owner_id -> Nullable<Text>,
        client_id -> Nullable<Text>,
        jti -> Nullable<Text>,
        record -> Text,
        hash -> Binary,
    }
}

diesel::table! {
    audit_checkpoints (writer, n) {
        writer -> Text,
        n -> BigInt,
        hash -> Binary,
        at -> BigInt,
        jws -> Text,
    }
}

diesel::joinable!(clients -> owners (owner_id));
diesel::allow_tables_to_appear_in_same_query!(owners, clients);

diesel::table! {
    credentials (id) {
        id -> Text,
        owner_id -> Text,
        name -> Text,
        kind -> Text,
        environment -> Text,
        state -> Text,
        spec -> Text,
        created_by -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    credential_versions (id) {
        id -> Text,
        credential_id -> Text,
        number -> BigInt,
        state -> Text,
        sealed -> Nullable<Binary>,
        kek_id -> Nullable<Text>,
        fingerprint -> Text,
        created_at -> BigInt,
        activated_at -> Nullable<BigInt>,
        retire_at -> Nullable<BigInt>,
        destroyed_at -> Nullable<BigInt>,
        compromised_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    credential_grants (id) {
        id -> Text,
        credential_id -> Text,
        agent_id -> Text,
        owner_id -> Text,
        state -> Text,
        spec -> Text,
        expires_at -> Nullable<BigInt>,
        created_by -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    credential_exposures (version_id, agent_id) {
        version_id -> Text,
        agent_id -> Text,
        credential_id -> Text,
        mode -> Text,
        first_at -> BigInt,
        last_at -> BigInt,
    }
}

diesel::table! {
    credential_uses (grant_id) {
        grant_id -> Text,
        version_id -> Text,
        mode -> Text,
        uses -> BigInt,
        last_at -> BigInt,
    }
}

diesel::table! {
    counters (key) {
        key -> Text,
        state -> Text,
        expires_at -> BigInt,
    }
}

diesel::table! {
    server_secrets (name) {
        name -> Text,
        sealed -> Binary,
        created_at -> BigInt,
    }
}
