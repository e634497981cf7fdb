//! A token's ancestors.
//!
//! Each token carries the ids of the tokens it descends from and of the clients
//! they were issued to, root first. Revocation is then a set-membership test on
//! the token itself: no tree is walked, and a child minted in a race with its
//! parent's revocation is dead by construction.

/// Ancestors a token may have. Bounds the token's size, and with it how often a
/// token can be exchanged again by its own holder.
pub const MAX_ANCESTORS: usize = 8;

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lineage {
    /// Token ids (`jti`), root first.
    pub tokens: Vec<String>,
    /// Client ids the ancestors were issued to, root first, each once.
    pub clients: Vec<String>,
}

impl Lineage {
    /// The lineage of a child of the token `jti`, which was issued to `client_id`.
    /// `None` when the child would have too many ancestors.
    #[must_use]
    pub fn descend(&self, jti: &str, client_id: &str) -> Option<Self> {
        if self.tokens.len() >= MAX_ANCESTORS {
            return None;
        }
        let mut child = self.clone();
        child.tokens.push(jti.to_owned());
        if !child.clients.iter().any(|have| have == client_id) {
            child.clients.push(client_id.to_owned());
        }
        Some(child)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descending_keeps_the_root_first_and_each_client_once() {
        let root = Lineage::default();
        let child = root.descend("t1", "o.a").unwrap();
        let grandchild = child.descend("t2", "o.b").unwrap().descend("t3", "o.a").unwrap();
        assert_eq!(grandchild.tokens, ["t1", "t2", "t3"]);
        assert_eq!(grandchild.clients, ["o.a", "o.b"]);
    }

    #[test]
    fn a_lineage_is_bounded() {
        let mut lineage = Lineage::default();
        for n in 0..MAX_ANCESTORS {
            lineage = lineage.descend(&format!("t{n}"), "o.a").unwrap();
        }
        assert_eq!(lineage.descend("one-more", "o.a"), None);
    }
}
