//! How people of a trusted issuer administer this server: what their tokens must be made for, and
//! which claims give which roles.
//!
//! Values and pure decisions. Who may register this is the admin API's to say: whoever does could
//! make anybody an admin. Roles come from the registration as it is now, so that taking one away
//! works at once.

use super::spec::{IssuerSpec, IssuerUse, SpecFault, check_texts, fault, is_text};
use super::verify::{claim, has_one_of};
use crate::bootstrap::OWNER as BUILT_IN;
use crate::records::{Role, RoleGrant};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stipend_token::UserContext;
use utoipa::ToSchema;

/// Claims that give a role, of one issuer.
pub const MAX_ROLE_MAPPINGS: usize = 64;
/// Longest time since a login that an issuer may be registered with: thirty days.
pub const MAX_AUTH_AGE_SECONDS: i64 = 30 * 86_400;

/// People whose tokens have this claim with this value, or a list with it, have this role.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleMapping {
    /// Its name; one that begins with a slash is a JSON pointer.
    pub claim: String,
    pub value: String,
    pub role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// How an issuer's people log in.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminLogin {
    /// What `aud` of their tokens may say beside the admin API's own identifier: the client ids by
    /// which they log in. None that subject tokens are accepted by, since agents hold those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 32)]
    pub audiences: Vec<String>,
    #[schema(min_items = 1, max_items = 64)]
    pub roles: Vec<RoleMapping>,
    /// For changes, how long ago they may have authenticated (`auth_time`). Absent: however long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2592000)]
    pub max_auth_age_seconds: Option<i64>,
}

impl RoleMapping {
    #[must_use]
    pub fn grant(&self) -> RoleGrant {
        RoleGrant { role: self.role, owner: self.owner.clone() }
    }
}

impl AdminLogin {
    /// Checks what does not depend on who registers it.
    ///
    /// # Errors
    /// [`SpecFault`], the first.
    pub fn check(&self, spec: &IssuerSpec, owner: &str) -> Result<(), SpecFault> {
        check_texts("/mapping/admin_login/audiences", &self.audiences)?;
        let shared = self.audiences.iter().any(|one| spec.audiences.contains(one));
        if shared && spec.uses.contains(&IssuerUse::SubjectToken) {
            return Err(fault("/mapping/admin_login/audiences", "are none that subject tokens are accepted by"));
        }
        let texts = self.roles.iter().all(|one| is_text(&one.claim) && is_text(&one.value));
        if self.roles.is_empty() || self.roles.len() > MAX_ROLE_MAPPINGS || !texts {
            return Err(fault(
                "/mapping/admin_login/roles",
                "names 1 to 64 claims, each with a value of 1 to 512 bytes",
            ));
        }
        if !self.roles.iter().all(|one| is_within(&one.grant(), owner)) {
            return Err(fault("/mapping/admin_login/roles", "of an owner's issuer are roles over that owner"));
        }
        if self.max_auth_age_seconds.is_some_and(|age| !(1..=MAX_AUTH_AGE_SECONDS).contains(&age)) {
            return Err(fault("/mapping/admin_login/max_auth_age_seconds", "is between 1 and 2592000"));
        }
        Ok(())
    }

    /// The roles of a person with these claims, each once. `owner` is the issuer's.
    #[must_use]
    pub fn roles_of(&self, claims: &Map<String, Value>, owner: &str) -> Vec<RoleGrant> {
        let mut grants: Vec<RoleGrant> = Vec::new();
        for mapping in &self.roles {
            let grant = mapping.grant();
            let has = has_one_of(claim(claims, &mapping.claim), std::slice::from_ref(&mapping.value));
            // Asked again: what was registered before may be more than is allowed now.
            if has && is_within(&grant, owner) && !grants.contains(&grant) {
                grants.push(grant);
            }
        }
        grants
    }

    /// Whether somebody who authenticated then may change things now.
    #[must_use]
    pub fn is_fresh(&self, user: &UserContext, now: i64) -> bool {
        let Some(age) = self.max_auth_age_seconds else { return true };
        user.auth_time.is_some_and(|at| now.saturating_sub(at) <= age)
    }
}

/// Only the deployment's own issuers give roles beyond one owner.
fn is_within(grant: &RoleGrant, owner: &str) -> bool {
    owner == BUILT_IN || grant.owner.as_deref() == Some(owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn login(roles: Value) -> AdminLogin {
        serde_json::from_value(json!({ "roles": roles })).unwrap()
    }

    fn roles(login: &AdminLogin, claims: Value, owner: &str) -> Vec<RoleGrant> {
        let Value::Object(claims) = claims else { panic!("an object") };
        login.roles_of(&claims, owner)
    }

    #[test]
    fn a_claim_gives_its_role_and_no_other_value_does() {
        let login = login(json!([
            {"claim": "groups", "value": "shop-admins", "role": "owner-admin", "owner": "shop"},
            {"claim": "/realm/roles", "value": "watch", "role": "auditor", "owner": "shop"},
        ]));
        let admin = RoleGrant { role: Role::OwnerAdmin, owner: Some("shop".into()) };
        let watch = RoleGrant { role: Role::Auditor, owner: Some("shop".into()) };
        assert_eq!(roles(&login, json!({"groups": ["x", "shop-admins"]}), "shop"), std::slice::from_ref(&admin));
        assert_eq!(
            roles(&login, json!({"groups": "shop-admins", "realm": {"roles": ["watch"]}}), "shop"),
            [admin, watch]
        );
        for none in [
            json!({}),
            json!({"groups": ["shop-admins-2"]}),
            json!({"groups": {"shop-admins": 1}}),
            json!({"groups": "x shop-admins"}),
        ] {
            assert_eq!(roles(&login, none, "shop"), []);
        }
    }

    #[test]
    fn an_owners_issuer_gives_nothing_beyond_it_even_where_it_is_registered() {
        let login = login(json!([
            {"claim": "g", "value": "a", "role": "platform-admin"},
            {"claim": "g", "value": "a", "role": "auditor"},
            {"claim": "g", "value": "a", "role": "owner-admin", "owner": "bank"},
        ]));
        assert_eq!(roles(&login, json!({"g": "a"}), "shop"), []);
        assert_eq!(roles(&login, json!({"g": "a"}), BUILT_IN).len(), 3);
    }

    #[test]
    fn a_login_is_as_fresh_as_its_auth_time() {
        let mut login = login(json!([]));
        let at = |auth_time| UserContext { auth_time, ..UserContext::default() };
        assert!(login.is_fresh(&at(None), 1000), "nothing is demanded");
        login.max_auth_age_seconds = Some(60);
        assert!(login.is_fresh(&at(Some(940)), 1000));
        assert!(!login.is_fresh(&at(Some(939)), 1000) && !login.is_fresh(&at(None), 1000));
    }
}
