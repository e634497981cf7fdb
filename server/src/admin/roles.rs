//! Who may do what: one pure decision from roles, action and owner.
//!
//! Owners are the isolation boundary. Whoever sees nothing of an owner gets [`Verdict::Hidden`],
//! which is answered exactly like something that does not exist. Nothing else in the admin API
//! may look at a role.

use crate::records::{Role, RoleGrant};

/// What a caller wants to do to a thing of an owner, or to the deployment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    CreateOwner,
    ReadOwner,
    ChangeOwnerState,
    ReadAgent,
    CreateAgent,
    ChangeAgent,
    /// To say how risky what an agent does is.
    RateAgent,
    /// The secrets and keys that clients authenticate with.
    ManageSecrets,
    /// To make or change an admin: whoever holds its secret holds its roles.
    ManageAdmin,
    ReadResource,
    ManageResource,
    ReadIssuer,
    ManageIssuer,
    ReadRule,
    ManageRule,
    ReadApproval,
    /// To answer for an owner whether an exchange may be made.
    DecideApproval,
    ReadBudget,
    ManageBudget,
    /// Credentials in custody, without their values.
    ReadCredential,
    ManageCredential,
    ReadGrant,
    ManageGrant,
    ReadPolicy,
    ManagePolicy,
    /// Policies for everybody.
    ReadDeploymentPolicy,
    ManageDeploymentPolicy,
    ReadKeyEncryption,
    ManageKeyEncryption,
    ReadSigningKeys,
    ManageSigningKeys,
    /// Streams of security events, as they were made by services.
    ReadStream,
    ManageStream,
    ReadRevocation,
    Revoke,
    /// To revoke what belongs to no owner that we could tell.
    RevokeAnything,
    ReadAudit,
    ExportAudit,
    /// Where an owner's audit is sent.
    ManageAuditSink,
    /// Where all of it is sent.
    ManageDeploymentAuditSink,
    /// To take personal data out of records.
    RedactAudit,
}

#[cfg(test)]
impl Action {
    const ALL: [Self; 41] = [
        Self::CreateOwner,
        Self::ReadOwner,
        Self::ChangeOwnerState,
        Self::ReadAgent,
        Self::CreateAgent,
        Self::ChangeAgent,
        Self::RateAgent,
        Self::ManageSecrets,
        Self::ManageAdmin,
        Self::ReadResource,
        Self::ManageResource,
        Self::ReadIssuer,
        Self::ManageIssuer,
        Self::ReadRule,
        Self::ManageRule,
        Self::ReadApproval,
        Self::DecideApproval,
        Self::ReadBudget,
        Self::ManageBudget,
        Self::ReadCredential,
        Self::ManageCredential,
        Self::ReadGrant,
        Self::ManageGrant,
        Self::ReadPolicy,
        Self::ManagePolicy,
        Self::ReadDeploymentPolicy,
        Self::ManageDeploymentPolicy,
        Self::ReadKeyEncryption,
        Self::ManageKeyEncryption,
        Self::ReadSigningKeys,
        Self::ManageSigningKeys,
        Self::ReadStream,
        Self::ManageStream,
        Self::ReadRevocation,
        Self::Revoke,
        Self::RevokeAnything,
        Self::ReadAudit,
        Self::ExportAudit,
        Self::ManageAuditSink,
        Self::ManageDeploymentAuditSink,
        Self::RedactAudit,
    ];
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    Allowed,
    /// The caller may know that it exists, but not do this.
    Forbidden,
    /// For the caller it does not exist.
    Hidden,
}

/// Decides. `owner` is whose thing it is; `None`: the deployment's.
#[must_use]
pub fn decide(roles: &[RoleGrant], action: Action, owner: Option<&str>) -> Verdict {
    let allows = |grant: &RoleGrant| covers(grant, owner) && permits(grant, action);
    if roles.iter().any(allows) {
        Verdict::Allowed
    } else if owner.is_some_and(|owner| !sees(roles, owner)) {
        Verdict::Hidden
    } else {
        Verdict::Forbidden
    }
}

/// Whether anything of the owner may be seen.
#[must_use]
pub fn sees(roles: &[RoleGrant], owner: &str) -> bool {
    roles.iter().any(|grant| covers(grant, Some(owner)))
}

/// The owners for which the roles permit `action`; `None`: all of them.
#[must_use]
pub fn scope_of(roles: &[RoleGrant], action: Action) -> Option<Vec<String>> {
    let permitted = || roles.iter().filter(|grant| permits(grant, action));
    if permitted().any(is_global) {
        return None;
    }
    let mut owners: Vec<String> = permitted().filter_map(|grant| grant.owner.clone()).collect();
    owners.sort_unstable();
    owners.dedup();
    Some(owners)
}

/// Whether a grant may be given at all: which roles stand over one owner and which over all.
#[must_use]
pub fn is_well_formed(grant: &RoleGrant) -> bool {
    match grant.role {
        Role::PlatformAdmin => grant.owner.is_none(),
        Role::OwnerAdmin | Role::CredentialAdmin | Role::BudgetAdmin | Role::RiskAdmin => grant.owner.is_some(),
        Role::Auditor => true,
    }
}

/// Whether a role changes anything at all.
#[must_use]
pub fn may_change(grant: &RoleGrant) -> bool {
    grant.role != Role::Auditor
}

fn is_global(grant: &RoleGrant) -> bool {
    match grant.role {
        Role::PlatformAdmin => true,
        Role::Auditor => grant.owner.is_none(),
        Role::OwnerAdmin | Role::CredentialAdmin | Role::BudgetAdmin | Role::RiskAdmin => false,
    }
}

fn covers(grant: &RoleGrant, owner: Option<&str>) -> bool {
    match owner {
        Some(owner) => is_global(grant) || grant.owner.as_deref() == Some(owner),
        None => true,
    }
}

fn permits(grant: &RoleGrant, action: Action) -> bool {
    match grant.role {
        Role::PlatformAdmin => true,
        Role::OwnerAdmin => permits_owner_admin(action),
        // Custodied credentials are theirs to change; of the rest they see.
        Role::CredentialAdmin => is_read(action) || matches!(action, Action::ManageCredential | Action::ManageGrant),
        Role::BudgetAdmin => is_read(action) || action == Action::ManageBudget,
        Role::RiskAdmin => is_read(action) || action == Action::RateAgent,
        Role::Auditor => {
            let of_all = matches!(action, Action::ExportAudit | Action::ReadDeploymentPolicy);
            is_read(action) || action == Action::ReadAudit || (of_all && grant.owner.is_none())
        }
    }
}

fn is_read(action: Action) -> bool {
    matches!(
        action,
        Action::ReadOwner
            | Action::ReadAgent
            | Action::ReadResource
            | Action::ReadIssuer
            | Action::ReadRule
            | Action::ReadApproval
            | Action::ReadBudget
            | Action::ReadCredential
            | Action::ReadGrant
            | Action::ReadPolicy
            | Action::ReadSigningKeys
            | Action::ReadStream
            | Action::ReadRevocation
    )
}

fn permits_owner_admin(action: Action) -> bool {
    match action {
        Action::ReadOwner
        | Action::ReadAgent
        | Action::CreateAgent
        | Action::ChangeAgent
        | Action::RateAgent
        | Action::ManageSecrets
        | Action::ReadResource
        | Action::ManageResource
        | Action::ReadIssuer
        | Action::ManageIssuer
        | Action::ReadRule
        | Action::ManageRule
        | Action::ReadApproval
        | Action::DecideApproval
        | Action::ReadBudget
        | Action::ManageBudget
        | Action::ReadCredential
        | Action::ManageCredential
        | Action::ReadGrant
        | Action::ManageGrant
        | Action::ReadPolicy
        | Action::ManagePolicy
        | Action::ReadSigningKeys
        | Action::ReadStream
        | Action::ManageStream
        | Action::ReadRevocation
        | Action::Revoke
        | Action::ReadAudit
        | Action::ManageAuditSink => true,
        Action::CreateOwner
        | Action::ChangeOwnerState
        | Action::ManageAdmin
        | Action::ManageSigningKeys
        | Action::ReadDeploymentPolicy
        | Action::ManageDeploymentPolicy
        | Action::ReadKeyEncryption
        | Action::ManageKeyEncryption
        | Action::RevokeAnything
        | Action::ExportAudit
        | Action::ManageDeploymentAuditSink
        | Action::RedactAudit => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(role: Role, owner: Option<&str>) -> Vec<RoleGrant> {
        vec![RoleGrant { role, owner: owner.map(str::to_owned) }]
    }

    #[test]
    fn every_role_and_action_over_ones_own_another_and_no_owner() {
        let callers = [
            ("platform-admin", grant(Role::PlatformAdmin, None)),
            ("owner-admin of own", grant(Role::OwnerAdmin, Some("own"))),
            ("credential-admin of own", grant(Role::CredentialAdmin, Some("own"))),
            ("budget-admin of own", grant(Role::BudgetAdmin, Some("own"))),
            ("risk-admin of own", grant(Role::RiskAdmin, Some("own"))),
            ("auditor of own", grant(Role::Auditor, Some("own"))),
            ("auditor of all", grant(Role::Auditor, None)),
            ("no role", Vec::new()),
        ];
        let mut table = String::new();
        for (name, roles) in &callers {
            table.push_str(&format!("{name}\n"));
            for action in Action::ALL {
                let verdicts = [Some("own"), Some("other"), None].map(|owner| decide(roles, action, owner));
                let [own, other, none] = verdicts.map(|verdict| format!("{verdict:?}"));
                table.push_str(&format!(
                    "  {:<18} own {own:<10} other {other:<10} deployment {none}\n",
                    format!("{action:?}")
                ));
            }
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn the_owners_of_an_action_are_those_it_is_allowed_for() {
        let mut roles = grant(Role::OwnerAdmin, Some("a"));
        roles.extend(grant(Role::Auditor, Some("b")));
        assert_eq!(scope_of(&roles, Action::ReadAgent), Some(vec!["a".into(), "b".into()]));
        assert_eq!(scope_of(&roles, Action::ManageRule), Some(vec!["a".into()]));
        assert_eq!(scope_of(&[], Action::ReadAgent), Some(Vec::new()));
        roles.extend(grant(Role::Auditor, None));
        assert_eq!(scope_of(&roles, Action::ReadAgent), None);
        assert_eq!(scope_of(&roles, Action::ManageRule), Some(vec!["a".into()]));
    }

    #[test]
    fn a_role_over_nothing_named_is_not_a_role_over_everything() {
        let odd = grant(Role::OwnerAdmin, None);
        assert_eq!(decide(&odd, Action::ReadAgent, Some("own")), Verdict::Hidden);
        assert!(!is_well_formed(odd.first().unwrap()));
        assert!(!is_well_formed(&RoleGrant { role: Role::PlatformAdmin, owner: Some("own".into()) }));
    }
}
