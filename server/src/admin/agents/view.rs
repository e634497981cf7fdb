//! A client as the API shows it, and whether it could get a token now.

use super::super::api::{
    Agent, AgentCertificate, AgentDocument, AgentKey, AgentSecret, NotReady, Readiness, Responsible, Warning,
};
use super::super::check;
use super::super::problem::Refusal;
use crate::records::{AuthMethod, ClientSettings, ClientState, CredentialKind, RegisteredKey};
use stipend_schema::queries::ClientBundle;
use stipend_schema::{ClientKeyRow, ClientSecretRow, ResponsibilityRow};
use stipend_token::Environment;

pub(super) fn view(bundle: ClientBundle, now: i64) -> Result<Agent, Refusal> {
    let readiness = readiness(&bundle, now)?;
    let row = bundle.client;
    Ok(Agent {
        kind: check::parse_word(&row.kind)?,
        environment: Environment::parse(&row.environment).ok_or_else(Refusal::internal)?,
        state: check::parse_word(&row.state)?,
        auth_method: check::parse_word(&row.auth_method)?,
        access: check::parse_column(&row.access)?,
        scope_ceiling: row.scope_ceiling.as_deref().map(check::parse_column).transpose()?,
        settings: check::parse_column(&row.settings)?,
        may_act: row.may_act.as_deref().map(check::parse_column).transpose()?,
        roles: check::parse_column(&row.roles)?,
        id: row.id,
        owner: row.owner_id,
        name: row.name,
        purpose: row.purpose,
        state_reason: row.state_reason,
        ttl_seconds: row.max_ttl_seconds,
        expires_at: row.expires_at,
        reissue_of: row.reissue_of,
        legacy_assertion_aud: row.legacy_assertion_aud,
        created_at: row.created_at,
        updated_at: row.updated_at,
        readiness,
        responsible: bundle.responsibility.map(responsible),
        document: bundle.document.map(|row| AgentDocument {
            url: row.url,
            client_document: row.document_id,
            changed_at: row.read_at,
        }),
        secrets: bundle.secrets.iter().map(secret).collect(),
        keys: bundle.keys.iter().map(key).collect::<Result<_, _>>()?,
    })
}

pub(super) fn responsible(row: ResponsibilityRow) -> Responsible {
    Responsible {
        person: row.person,
        offered_to: row.offered_to,
        offered_by: row.offered_by,
        orphaned_at: row.orphaned_at,
        suspend_at: row.suspend_at,
    }
}

fn secret(row: &ClientSecretRow) -> AgentSecret {
    AgentSecret { id: row.id.clone(), created_at: row.created_at, expires_at: row.expires_at }
}

pub(super) fn key(row: &ClientKeyRow) -> Result<AgentKey, Refusal> {
    let certificate = RegisteredKey::from_json(&row.jwk).map_err(|_| Refusal::internal())?.certificate;
    Ok(AgentKey {
        id: row.id.clone(),
        kid: row.kid.clone(),
        alg: row.alg.clone(),
        certificate: certificate
            .map(|certificate| AgentCertificate { x5t_s256: certificate.thumbprint, not_after: certificate.not_after }),
        created_at: row.created_at,
        expires_at: row.expires_at,
    })
}

/// Everything that keeps the client from a token, not only the first.
fn readiness(bundle: &ClientBundle, now: i64) -> Result<Readiness, Refusal> {
    let row = &bundle.client;
    let mut reasons = Vec::new();
    let mut note = |applies: bool, reason| {
        if applies {
            reasons.push(reason);
        }
    };
    let state: ClientState = check::parse_word(&row.state)?;
    note(state != ClientState::Active, NotReady::NotActive);
    note(row.expires_at.is_some_and(|at| now >= at), NotReady::Expired);
    note(bundle.owner.state != "active", NotReady::OwnerDisabled);
    match check::parse_word::<AuthMethod>(&row.auth_method)?.credential() {
        CredentialKind::Secret => {
            let none_valid = !bundle.secrets.iter().any(|secret| now < secret.expires_at);
            note(bundle.secrets.is_empty(), NotReady::NoSecret);
            note(none_valid && !bundle.secrets.is_empty(), NotReady::SecretExpired);
        }
        CredentialKind::Key | CredentialKind::Certificate => {
            let settings: ClientSettings = check::parse_column(&row.settings)?;
            let has_key = settings.jwks_uri.is_some() || bundle.keys.iter().any(|key| now < key.expires_at);
            note(!has_key, NotReady::NoKey);
        }
        CredentialKind::Nothing => {}
    }
    let access: Vec<serde_json::Value> = check::parse_column(&row.access)?;
    note(access.is_empty(), NotReady::NoAccess);
    let orphaned = bundle.responsibility.as_ref().is_some_and(|row| row.orphaned_at.is_some());
    let warnings = if orphaned { vec![Warning::Orphaned] } else { Vec::new() };
    Ok(Readiness { ready: reasons.is_empty(), reasons, warnings })
}

#[cfg(test)]
mod tests {
    use super::*;
    use stipend_schema::{ClientRow, OwnerRow};

    fn bundle() -> ClientBundle {
        ClientBundle {
            client: ClientRow {
                id: "o.a".into(),
                owner_id: "o".into(),
                kind: "agent".into(),
                name: "a".into(),
                state: "active".into(),
                state_reason: None,
                auth_method: "client_secret_basic".into(),
                legacy_assertion_aud: false,
                access: r#"[{"resource":"https://a","scopes":["r"]}]"#.into(),
                scope_ceiling: None,
                max_ttl_seconds: 300,
                roles: "[]".into(),
                purpose: String::new(),
                environment: "live".into(),
                may_act: None,
                reissue_of: None,
                expires_at: Some(100),
                created_at: 0,
                updated_at: 0,
                settings: "{}".into(),
            },
            owner: OwnerRow { id: "o".into(), name: "O".into(), state: "active".into(), created_at: 0, updated_at: 0 },
            secrets: vec![ClientSecretRow {
                id: "sec_1".into(),
                client_id: "o.a".into(),
                hash: "$argon2id$secret".into(),
                created_at: 0,
                expires_at: 50,
            }],
            keys: Vec::new(),
            responsibility: None,
            document: None,
        }
    }

    fn reasons(change: impl FnOnce(&mut ClientBundle), now: i64) -> Vec<NotReady> {
        let mut bundle = bundle();
        change(&mut bundle);
        readiness(&bundle, now).unwrap().reasons
    }

    #[test]
    fn each_thing_that_is_missing_is_named() {
        assert_eq!(reasons(|_| (), 49), []);
        assert_eq!(reasons(|_| (), 50), [NotReady::SecretExpired]);
        assert_eq!(reasons(|_| (), 100), [NotReady::Expired, NotReady::SecretExpired]);
        assert_eq!(reasons(|b| b.secrets.clear(), 0), [NotReady::NoSecret]);
        assert_eq!(reasons(|b| b.client.access = "[]".into(), 0), [NotReady::NoAccess]);
        assert_eq!(reasons(|b| b.owner.state = "disabled".into(), 0), [NotReady::OwnerDisabled]);
        assert_eq!(reasons(|b| b.client.state = "suspended".into(), 0), [NotReady::NotActive]);
        assert_eq!(reasons(|b| b.client.auth_method = "private_key_jwt".into(), 0), [NotReady::NoKey]);
    }

    #[test]
    fn a_view_shows_no_hash() {
        let shown = serde_json::to_string(&view(bundle(), 0).unwrap()).unwrap();
        assert!(!shown.contains("argon2") && shown.contains("sec_1"));
    }
}
