//! Which class and activity of OCSF each of our events is. One table, so that a new event is one
//! line; a test finds those that are missing.

/// A class of OCSF 1.3.0, by what it is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// 3002: somebody authenticates, or what came of it ends.
    Authentication,
    /// 3003: somebody is given what a token is good for.
    AuthorizeSession,
    /// 3004: a thing that is administered is made, read, changed or removed.
    EntityManagement,
    /// 6003: anything else that is asked of this server.
    ApiActivity,
}

impl Class {
    #[must_use]
    pub const fn uid(self) -> u32 {
        match self {
            Self::Authentication => 3002,
            Self::AuthorizeSession => 3003,
            Self::EntityManagement => 3004,
            Self::ApiActivity => 6003,
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authentication => "Authentication",
            Self::AuthorizeSession => "Authorize Session",
            Self::EntityManagement => "Entity Management",
            Self::ApiActivity => "API Activity",
        }
    }

    /// The category that the class is of, with its name.
    #[must_use]
    pub const fn category(self) -> (u32, &'static str) {
        match self {
            Self::Authentication | Self::AuthorizeSession | Self::EntityManagement => {
                (3, "Identity & Access Management")
            }
            Self::ApiActivity => (6, "Application Activity"),
        }
    }
}

/// What happened to an entity, or of which kind a call is, by the numbers of 3004, of which 1 to 4
/// are those of 6003 as well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Activity {
    Logon,
    Logoff,
    AssignPrivileges,
    Create,
    Read,
    Update,
    Delete,
    Enroll,
    Enable,
    Disable,
    Activate,
    Suspend,
    Resume,
    Other,
}

impl Activity {
    #[must_use]
    pub const fn id(self) -> u32 {
        match self {
            Self::Logon | Self::AssignPrivileges | Self::Create => 1,
            Self::Logoff | Self::Read => 2,
            Self::Update => 3,
            Self::Delete => 4,
            Self::Enroll => 6,
            Self::Enable => 8,
            Self::Disable => 9,
            Self::Activate => 10,
            Self::Suspend => 12,
            Self::Resume => 13,
            Self::Other => 99,
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logon => "Logon",
            Self::Logoff => "Logoff",
            Self::AssignPrivileges => "Assign Privileges",
            Self::Create => "Create",
            Self::Read => "Read",
            Self::Update => "Update",
            Self::Delete => "Delete",
            Self::Enroll => "Enroll",
            Self::Enable => "Enable",
            Self::Disable => "Disable",
            Self::Activate => "Activate",
            Self::Suspend => "Suspend",
            Self::Resume => "Resume",
            Self::Other => "Other",
        }
    }
}

/// Verbs of what is administered: `agent.suspended`. Where a noun means something else by one, it
/// is in [`EVENTS`].
const VERBS: &[(&str, Activity)] = &[
    ("accepted", Activity::Update),
    ("activated", Activity::Activate),
    ("approved", Activity::Update),
    ("changed", Activity::Update),
    ("created", Activity::Create),
    ("deleted", Activity::Delete),
    ("destroyed", Activity::Delete),
    ("disabled", Activity::Disable),
    ("distrusted", Activity::Disable),
    ("enabled", Activity::Enable),
    ("explained", Activity::Read),
    ("extended", Activity::Update),
    ("increased", Activity::Update),
    ("key_added", Activity::Update),
    ("key_deleted", Activity::Update),
    ("listed", Activity::Read),
    ("narrowed", Activity::Update),
    ("orphan_suspended", Activity::Suspend),
    ("paused", Activity::Suspend),
    ("probed", Activity::Read),
    ("rated", Activity::Update),
    ("read", Activity::Read),
    ("redacted", Activity::Update),
    ("refused", Activity::Update),
    ("reissued", Activity::Create),
    ("removed", Activity::Delete),
    ("requested", Activity::Create),
    ("resumed", Activity::Resume),
    ("retired", Activity::Delete),
    ("revoked", Activity::Delete),
    ("rewrapped", Activity::Update),
    ("rotated", Activity::Update),
    ("schema_read", Activity::Read),
    ("secret_added", Activity::Update),
    ("secret_deleted", Activity::Update),
    ("status_changed", Activity::Update),
    ("suspended", Activity::Suspend),
    ("tested", Activity::Other),
    ("transfer_accepted", Activity::Update),
    ("transferred", Activity::Update),
    ("tried", Activity::Read),
    ("unrated", Activity::Update),
    ("validated", Activity::Read),
    ("verification_asked", Activity::Other),
    ("version_destroyed", Activity::Update),
    ("version_retired", Activity::Update),
    ("versions_read", Activity::Read),
];

/// Things that are administered.
const NOUNS: &[&str] = &[
    "agent",
    "approval",
    "audit_sink",
    "budget",
    "client_document",
    "credential",
    "grant",
    "issuer",
    "key_encryption",
    "owner",
    "policy",
    "registration_token",
    "resource",
    "revocation",
    "rule",
    "signing_key",
    "stream",
];

/// All other events, and those that their noun and verb would not say rightly.
const EVENTS: &[(&str, Class, Activity)] = &[
    ("admin.proof_used", Class::Authentication, Activity::Logon),
    ("assertion.used", Class::Authentication, Activity::Logon),
    ("token.refused", Class::Authentication, Activity::Logon),
    ("registration.refused", Class::Authentication, Activity::Logon),
    ("token.revoked", Class::Authentication, Activity::Logoff),
    ("token.issued", Class::AuthorizeSession, Activity::AssignPrivileges),
    ("token.introspected", Class::ApiActivity, Activity::Read),
    ("audit.checkpoint", Class::ApiActivity, Activity::Create),
    ("audit.exported", Class::ApiActivity, Activity::Read),
    ("audit.followed", Class::ApiActivity, Activity::Read),
    ("audit.pruned", Class::ApiActivity, Activity::Delete),
    ("audit.redacted", Class::ApiActivity, Activity::Update),
    ("audit.searched", Class::ApiActivity, Activity::Read),
    ("audit.writer_started", Class::ApiActivity, Activity::Other),
    ("audit.writers_listed", Class::ApiActivity, Activity::Read),
    ("budget.captured", Class::ApiActivity, Activity::Update),
    ("budget.charged", Class::ApiActivity, Activity::Update),
    ("budget.held", Class::ApiActivity, Activity::Create),
    ("budget.hold_expired", Class::ApiActivity, Activity::Delete),
    ("budget.refunded", Class::ApiActivity, Activity::Update),
    ("budget.reported", Class::ApiActivity, Activity::Update),
    ("budget.settled", Class::ApiActivity, Activity::Update),
    ("budget.used_up", Class::ApiActivity, Activity::Other),
    ("budget.voided", Class::ApiActivity, Activity::Delete),
    ("client.document_changed", Class::EntityManagement, Activity::Update),
    ("client.document_enrolled", Class::EntityManagement, Activity::Enroll),
    ("client.registered", Class::EntityManagement, Activity::Enroll),
    ("client.registration_changed", Class::EntityManagement, Activity::Update),
    ("client.registration_deleted", Class::EntityManagement, Activity::Delete),
    ("client.registration_read", Class::EntityManagement, Activity::Read),
    ("credential.alert", Class::ApiActivity, Activity::Other),
    ("credential.call_ended", Class::ApiActivity, Activity::Update),
    ("credential.call_lost", Class::ApiActivity, Activity::Update),
    ("credential.dry_run", Class::ApiActivity, Activity::Read),
    ("credential.proxied", Class::ApiActivity, Activity::Other),
    ("credential.refused", Class::ApiActivity, Activity::Read),
    ("credential.released", Class::ApiActivity, Activity::Read),
    ("credential.unwrapped", Class::ApiActivity, Activity::Read),
    ("credential.used", Class::ApiActivity, Activity::Read),
    ("credential.uses_noted", Class::ApiActivity, Activity::Update),
    ("database.recovered", Class::ApiActivity, Activity::Other),
    ("hold.expired", Class::ApiActivity, Activity::Delete),
    ("person.departed", Class::EntityManagement, Activity::Update),
    ("server.bootstrapped", Class::ApiActivity, Activity::Create),
    ("server.secrets_made", Class::ApiActivity, Activity::Create),
    ("topology.read", Class::ApiActivity, Activity::Read),
    ("whoami", Class::ApiActivity, Activity::Read),
];

/// The class and activity of an event; none for one that is in no table.
#[must_use]
pub fn known(event: &str) -> Option<(Class, Activity)> {
    if let Some((_, class, activity)) = EVENTS.iter().find(|(known, _, _)| *known == event) {
        return Some((*class, *activity));
    }
    let (noun, verb) = event.split_once('.')?;
    let (_, activity) = VERBS.iter().find(|(known, _)| NOUNS.contains(&noun) && *known == verb)?;
    Some((Class::EntityManagement, *activity))
}

/// What our events are about.
#[cfg(test)]
pub fn nouns() -> Vec<&'static str> {
    let others = EVENTS.iter().filter_map(|(event, _, _)| Some(event.split_once('.')?.0));
    NOUNS.iter().copied().chain(others).collect()
}
