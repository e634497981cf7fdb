//! What is kept of a foreign token while its exchange waits for people: what it said, as far as
//! that is read here, and what it was signed with. Never the token: nobody can present this.
//!
//! It proves nothing by itself. Whoever takes it up again asks everything anew that could have
//! changed: the issuer's registration, its keys, the dates, the revoked set.

use super::verify::{ForeignKind, ForeignToken};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stipend_keys::Algorithm;

/// The claims that are read of every foreign token; those that its issuer's registration names
/// come on top. Others (a name, an address) are not kept.
const READ: [&str; 12] = ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "acr", "amr", "auth_time", "cnf", "act"];

/// What a foreign token was signed with.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SignedBy {
    pub alg: Algorithm,
    pub kid: String,
    /// Its thumbprint: the same name may come to stand for another key.
    pub thumbprint: String,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Evidence {
    pub kind: ForeignKind,
    pub signed_by: SignedBy,
    /// What it is called in a lineage.
    pub digest: String,
    pub claims: Map<String, Value>,
}

impl Evidence {
    #[must_use]
    pub fn of(token: &ForeignToken) -> Self {
        let mapping = &token.issuer.mapping;
        let named = mapping.subject.iter().chain(&mapping.tenant).chain(mapping.required.keys());
        let named: Vec<String> = named.map(|name| top_level(name)).collect();
        let is_read = |name: &str| READ.contains(&name) || named.iter().any(|one| one == name);
        let kept = token.claims.iter().filter(|(name, _)| is_read(name));
        Self {
            kind: token.kind,
            signed_by: token.signed_by.clone(),
            digest: token.digest.clone(),
            claims: kept.map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }
}

/// The claim that a name or a JSON pointer begins with.
fn top_level(name: &str) -> String {
    let Some(path) = name.strip_prefix('/') else { return name.to_owned() };
    path.split('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_keeps_the_claim_that_it_leads_into() {
        assert_eq!(top_level("groups"), "groups");
        assert_eq!(top_level("/realm_access/roles"), "realm_access");
        assert_eq!(top_level("/https:~1~1example.com~1roles/0"), "https://example.com/roles");
    }
}
