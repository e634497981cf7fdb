//! A credential as the API shows it, and whether it could be used now.

use super::super::api::{
    Credential, CredentialGrant, CredentialNotReady, CredentialReadiness, CredentialState, CredentialVersion, Exposure,
    State,
};
use super::super::check;
use super::super::problem::Refusal;
use crate::custody::{CredentialSpec, GrantSpec, ReleaseMode};
use crate::proxy::templates::find_provider;
use stipend_schema::custody::{CredentialExposureRow, CredentialGrantRow, CredentialRow, CredentialVersionRow};

/// What a view is made of.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub row: CredentialRow,
    pub owner_active: bool,
    pub versions: Vec<CredentialVersionRow>,
    pub exposures: Vec<CredentialExposureRow>,
}

pub(super) fn view(parts: Parts) -> Result<Credential, Refusal> {
    let Parts { row, owner_active, versions, exposures } = parts;
    let spec: CredentialSpec = check::parse_column(&row.spec)?;
    let readiness = readiness(&row, &spec, owner_active, &versions)?;
    Ok(Credential {
        kind: check::parse_word(&row.kind)?,
        environment: check::parse_word(&row.environment)?,
        state: check::parse_word(&row.state)?,
        id: row.id,
        owner: row.owner_id,
        name: row.name,
        template: spec.template,
        base_url: spec.base_url,
        header: spec.header,
        modes: spec.modes,
        constraints: spec.constraints,
        price: spec.price,
        metering: spec.metering,
        lease_seconds: spec.lease_seconds,
        created_by: row.created_by,
        created_at: row.created_at,
        updated_at: row.updated_at,
        readiness,
        versions: versions.into_iter().map(|row| version(row, &exposures)).collect::<Result<_, _>>()?,
    })
}

fn version(row: CredentialVersionRow, exposures: &[CredentialExposureRow]) -> Result<CredentialVersion, Refusal> {
    let of_version = exposures.iter().filter(|exposure| exposure.version_id == row.id);
    let exposed_to = of_version.map(|exposure| {
        Ok(Exposure {
            agent: exposure.agent_id.clone(),
            mode: check::parse_word(&exposure.mode)?,
            first_at: exposure.first_at,
            last_at: exposure.last_at,
        })
    });
    Ok(CredentialVersion {
        exposed_to: exposed_to.collect::<Result<_, Refusal>>()?,
        state: check::parse_word(&row.state)?,
        id: row.id,
        number: row.number,
        fingerprint: row.fingerprint,
        created_at: row.created_at,
        activated_at: row.activated_at,
        retire_at: row.retire_at,
        destroyed_at: row.destroyed_at,
        compromised_at: row.compromised_at,
    })
}

pub(super) fn readiness(
    row: &CredentialRow,
    spec: &CredentialSpec,
    owner_active: bool,
    versions: &[CredentialVersionRow],
) -> Result<CredentialReadiness, Refusal> {
    let mut reasons = Vec::new();
    let mut note = |applies: bool, reason| {
        if applies {
            reasons.push(reason);
        }
    };
    let state: CredentialState = check::parse_word(&row.state)?;
    note(state == CredentialState::Disabled, CredentialNotReady::Disabled);
    note(state == CredentialState::Destroyed, CredentialNotReady::Destroyed);
    note(!owner_active, CredentialNotReady::OwnerDisabled);
    let active = versions.iter().find(|version| version.state == "active");
    note(active.is_none(), CredentialNotReady::NoActiveVersion);
    note(active.is_some_and(|version| version.compromised_at.is_some()), CredentialNotReady::Compromised);
    let of_template = spec.template.as_deref().and_then(find_provider).and_then(|provider| provider.base_url.as_ref());
    let unreachable = spec.modes.contains(&ReleaseMode::Proxy) && spec.base_url.is_none() && of_template.is_none();
    note(unreachable, CredentialNotReady::NoBaseUrl);
    // It says so and still serves: stopping what runs is the owner's decision.
    let ready = reasons.iter().all(|reason| *reason == CredentialNotReady::Compromised);
    Ok(CredentialReadiness { ready, reasons })
}

pub(super) fn grant(row: CredentialGrantRow) -> Result<CredentialGrant, Refusal> {
    let spec: GrantSpec = check::parse_column(&row.spec)?;
    Ok(CredentialGrant {
        state: if row.state == "active" { State::Active } else { State::Disabled },
        id: row.id,
        credential: row.credential_id,
        agent: row.agent_id,
        owner: row.owner_id,
        modes: spec.modes,
        constraints: spec.constraints,
        task: spec.task,
        encryption_jwk: spec.encryption_jwk,
        expires_at: row.expires_at,
        created_by: row.created_by,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}
