//! What a decision leans on, by the names the change feed uses. A revocation of a
//! kind and a change of the record of that kind share one name, so that a decision
//! that lists what it read is overtaken by both.

use stipend_schema::Dep;
use stipend_token::budget::AccountKind;
use stipend_token::claims::AccessToken;
use stipend_token::revoked::RevokedKind;

/// The feed's word for all exchange rules of one actor owner.
pub const RULES_OF: &str = "rules_of";

#[must_use]
pub fn revoked(kind: RevokedKind, value: &str) -> Dep {
    Dep::new(kind.as_str(), value)
}

#[must_use]
pub fn client(id: &str) -> Dep {
    revoked(RevokedKind::Client, id)
}

#[must_use]
pub fn owner(id: &str) -> Dep {
    revoked(RevokedKind::Owner, id)
}

#[must_use]
pub fn resource(uri: &str) -> Dep {
    revoked(RevokedKind::Resource, uri)
}

#[must_use]
pub fn token(jti: &str) -> Dep {
    revoked(RevokedKind::Token, jti)
}

#[must_use]
pub fn subject(sub: &str) -> Dep {
    revoked(RevokedKind::Subject, sub)
}

#[must_use]
pub fn key(kid: &str) -> Dep {
    revoked(RevokedKind::Key, kid)
}

/// A trusted issuer, by its id here.
#[must_use]
pub fn issuer(id: &str) -> Dep {
    revoked(RevokedKind::Issuer, id)
}

/// The feed's word for whether an issuer of this name is trusted.
pub const ISSUER_NAMED: &str = "issuer_named";

#[must_use]
pub fn issuer_named(issuer: &str) -> Dep {
    Dep::new(ISSUER_NAMED, issuer)
}

#[must_use]
pub fn rules_of(owner_id: &str) -> Dep {
    Dep::new(RULES_OF, owner_id)
}

/// The feed's word for the budget lines of an account.
pub const BUDGET_OF: &str = "budget_of";

/// The feed's word for a sink of the audit.
pub const AUDIT_SINK: &str = "audit_sink";

#[must_use]
pub fn audit_sink(id: &str) -> Dep {
    Dep::new(AUDIT_SINK, id)
}

/// The feed's word for what is left of a record of the audit.
pub const AUDIT_RECORD: &str = "audit_record";

#[must_use]
pub fn audit_record(writer: &str, n: i64) -> Dep {
    Dep::new(AUDIT_RECORD, format!("{writer}/{n}"))
}

/// How many sinks there are.
#[must_use]
pub fn audit_sinks() -> Dep {
    Dep::new(AUDIT_SINK, "*")
}

/// All budget lines of an account.
#[must_use]
pub fn budget_of(kind: AccountKind, id: &str) -> Dep {
    Dep::new(BUDGET_OF, format!("{}:{id}", kind.as_str()))
}

/// The feed's word for a custodied credential and its versions.
pub const CREDENTIAL: &str = "credential";
/// The feed's word for what lets an agent use a credential.
pub const GRANT_OF: &str = "grant_of";

#[must_use]
pub fn credential(id: &str) -> Dep {
    Dep::new(CREDENTIAL, id)
}

/// The feed's word for all policies of one owner, or of the deployment.
pub const POLICIES_OF: &str = "policies_of";

#[must_use]
pub fn policies_of(owner_id: &str) -> Dep {
    Dep::new(POLICIES_OF, owner_id)
}

/// The feed's word for a request for an approval.
pub const APPROVAL: &str = "approval";
/// The feed's word for the requests that a client or an owner has open.
pub const APPROVALS_OF: &str = "approvals_of";

#[must_use]
pub fn approval(id: &str) -> Dep {
    Dep::new(APPROVAL, id)
}

/// The requests of a client: another one must not be made unseen, for their number is bounded.
#[must_use]
pub fn approvals_of_client(id: &str) -> Dep {
    Dep::new(APPROVALS_OF, format!("client:{id}"))
}

/// The requests that concern an owner, likewise.
#[must_use]
pub fn approvals_of_owner(id: &str) -> Dep {
    Dep::new(APPROVALS_OF, format!("owner:{id}"))
}

/// The stream of security events of a client, if it has one.
#[must_use]
pub fn stream_of(client_id: &str) -> Dep {
    Dep::new("stream_of", client_id)
}

/// A secret of the deployment itself, as it is sealed.
#[must_use]
pub fn server_secret(name: &str) -> Dep {
    Dep::new("server_secret", name)
}

/// The grant of a credential to an agent, if there is one.
#[must_use]
pub fn grant_of(credential: &str, agent: &str) -> Dep {
    // Neither id has a space.
    Dep::new(GRANT_OF, format!("{credential} {agent}"))
}

/// A token that lets clients register, and how often it was used.
#[must_use]
pub fn registration_token(id: &str) -> Dep {
    Dep::new("registration_token", id)
}

/// All entries by which owners admit metadata documents.
#[must_use]
pub fn client_documents() -> Dep {
    Dep::new("client_documents", "*")
}

/// One of them, and how many clients have come of it.
#[must_use]
pub fn client_document(id: &str) -> Dep {
    Dep::new("client_document", id)
}

/// The whole signing keyring: two nodes must not both make the next key.
#[must_use]
pub fn keyring() -> Dep {
    revoked(RevokedKind::Key, "*")
}

/// Everything a token itself names.
pub fn of_token<'a>(token: &'a AccessToken, kid: &'a str) -> impl Iterator<Item = Dep> + 'a {
    let tokens = token.lineage.tokens.iter().map(String::as_str).chain([token.jti.as_str()]);
    let subjects = token.act.iter().map(|actor| actor.sub.as_str()).chain([token.sub.as_str()]);
    tokens
        .map(self::token)
        .chain(token.parties().map(client))
        .chain(subjects.map(subject))
        .chain(token.aud.iter().map(|aud| resource(aud.as_str())))
        .chain([key(kid)])
        .chain(token.user.idp.as_deref().map(issuer))
}
