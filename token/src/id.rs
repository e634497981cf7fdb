//! Identifiers that people choose: owner and client names.
//!
//! Machine-made identifiers (token, rule, revocation ids) are random and come
//! from the key crate; here is only the grammar of chosen ones. A client id is
//! `<owner>.<name>`, so one owner cannot learn another's names by collision.

/// Longest owner id or agent name.
pub const MAX_SLUG_BYTES: usize = 39;
/// Longest identifier of any kind that is accepted from outside.
pub const MAX_ID_BYTES: usize = 128;

/// The grammar of owner ids and agent names: `[a-z0-9][a-z0-9-]{0,38}`.
#[must_use]
pub fn is_slug(text: &str) -> bool {
    text.len() <= MAX_SLUG_BYTES
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The client id of a named client of an owner.
#[must_use]
pub fn client_id(owner: &str, name: &str) -> String {
    format!("{owner}.{name}")
}

/// The `sub` of an agent (RFC 9068 section 5: a client's subject must not be able
/// to collide with a user's, so it has a namespace of its own).
#[must_use]
pub fn agent_subject(client_id: &str) -> String {
    format!("agent:{client_id}")
}

/// The `sub` of a client that is no agent.
#[must_use]
pub fn client_subject(client_id: &str) -> String {
    format!("client:{client_id}")
}

/// Whether the text could be one of our identifiers at all: visible ASCII without
/// quotes and backslashes, not over-long.
#[must_use]
pub fn is_identifier(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_ID_BYTES
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_have_no_dots_so_client_ids_cannot_cross_owners() {
        assert!(is_slug("payments") && is_slug("a") && is_slug("7-eleven"));
        for bad in ["", "-a", "A", "a.b", "a_b", "a b", "ä", &"a".repeat(40)] {
            assert!(!is_slug(bad), "{bad:?}");
        }
        assert_ne!(client_id("a", "b-c"), client_id("a-b", "c"));
    }
}
