//! `stipend credential`. A value goes in from a file and is shown by `release` and `unwrap`
//! alone, which an agent calls.

use super::Session;
use super::api::read;
use super::constraints::text as constraints_text;
use super::credential_args::{Change, Command, Create, Rotate, Update};
use super::error::CliError;
use super::print::{instant, moment, relative, word};
use super::release;
use crate::admin::api::{
    ActivateVersion, ChangeState, Credential, CredentialReadiness, CredentialVersion, NewCredential, PatchCredential,
    RotateCredential, VersionState,
};
use crate::custody::ReleaseMode;
use crate::proxy::templates::providers;
use serde_json::{Value, json};
use stipend_token::constraint::Constraints;

pub async fn run(session: &Session<'_>, command: Command) -> Result<(), CliError> {
    let api = &session.api;
    let answer = match command {
        Command::List => return list(session).await,
        Command::Templates => return templates(session),
        Command::Release { credential, mode, dry_run } => {
            return release::release(session, &credential, mode, dry_run).await;
        }
        Command::Unwrap { reference } => return release::unwrap(session, &reference).await,
        Command::Create(new) => create(session, *new).await?,
        Command::Show { credential } => api.get(&["credentials", &credential]).await?,
        Command::Update(update) => self::update(session, *update).await?,
        Command::Rotate(new) => rotate(session, new).await?,
        Command::Activate { credential, which, retire_after } => {
            let version = version_id(session, &credential, which).await?;
            let body = ActivateVersion { retire_after_seconds: retire_after.unwrap_or(0) };
            api.post(&["credentials", &credential, "versions", &version, "activate"], &body).await?
        }
        Command::DestroyVersion { credential, which } => {
            let version = version_id(session, &credential, which).await?;
            api.post(&["credentials", &credential, "versions", &version, "destroy"], &json!({})).await?
        }
        Command::Disable(change) => change_state(session, change, "disable").await?,
        Command::Enable(change) => change_state(session, change, "enable").await?,
        Command::Destroy(change) => change_state(session, change, "destroy").await?,
    };
    show(session, &answer)
}

async fn create(session: &Session<'_>, new: Create) -> Result<Value, CliError> {
    let value = new.value.read()?;
    let constraints = new.constraints.of_new(new.settings.template())?;
    let settings = new.settings.given(constraints)?;
    let (owner, name) = new.credential;
    let body = NewCredential {
        owner,
        name,
        value,
        environment: new.environment,
        template: settings.template,
        base_url: settings.base_url,
        header: settings.header,
        modes: settings.modes,
        constraints: settings.constraints,
        price: settings.price,
        metering: settings.metering,
        lease_seconds: settings.lease_seconds,
    };
    session.api.post(&["credentials"], &body).await
}

async fn update(session: &Session<'_>, update: Update) -> Result<Value, CliError> {
    let cleared = update.no_constraints.then(Constraints::default);
    let constraints = update.constraints.written()?.or(cleared);
    let settings = update.settings.given(constraints)?;
    let patch = PatchCredential {
        template: settings.template,
        base_url: if update.no_base_url { Some(None) } else { settings.base_url },
        header: if update.no_header { Some(None) } else { settings.header },
        modes: settings.modes,
        constraints: settings.constraints,
        price: if update.no_price { Some(None) } else { settings.price },
        metering: if update.no_metering { Some(None) } else { settings.metering },
        lease_seconds: settings.lease_seconds,
    };
    session.api.patch(&["credentials", &update.credential], &patch).await
}

async fn rotate(session: &Session<'_>, new: Rotate) -> Result<Value, CliError> {
    let body = RotateCredential {
        value: new.value.read()?,
        activate: !new.later,
        retire_after_seconds: new.retire_after.unwrap_or(0),
    };
    session.api.post(&["credentials", &new.credential, "rotate"], &body).await
}

async fn change_state(session: &Session<'_>, change: Change, verb: &str) -> Result<Value, CliError> {
    session.api.post(&["credentials", &change.credential, verb], &ChangeState { reason: change.reason }).await
}

/// People know a version by its number; the API by its id.
async fn version_id(session: &Session<'_>, credential: &str, version: String) -> Result<String, CliError> {
    let Ok(number) = version.parse::<i64>() else { return Ok(version) };
    let found: Credential = read(&session.api.get(&["credentials", credential]).await?)?;
    let version = found.versions.into_iter().find(|version| version.number == number);
    version.map(|version| version.id).ok_or_else(|| {
        CliError::failed("not_found", format!("{credential} has no version {number}"))
            .hint(format!("`stipend credential show {credential}` shows its versions"))
    })
}

fn templates(session: &Session<'_>) -> Result<(), CliError> {
    let out = session.out;
    if out.json {
        let each = providers().iter().map(|provider| {
            json!({
                "id": provider.id, "name": provider.name, "base_url": provider.base_url,
                "header": provider.inject.header.as_str(), "metered": provider.usage.is_some(),
                "constraints": provider.constraints,
            })
        });
        out.value(&each.collect());
        return Ok(());
    }
    let rows = providers().iter().map(|provider| {
        vec![
            provider.id.clone(),
            provider.name.clone(),
            provider.base_url.as_ref().map_or_else(|| "--base-url".to_owned(), ToString::to_string),
            provider.inject.header.to_string(),
            if provider.usage.is_some() { "yes" } else { "no" }.to_owned(),
        ]
    });
    out.table(&["TEMPLATE", "NAME", "BASE URL", "KEY IN", "METERED"], rows.collect(), "No templates.");
    Ok(())
}

pub fn modes_text(modes: &[ReleaseMode]) -> String {
    modes.iter().map(|mode| mode.as_str()).collect::<Vec<_>>().join(" ")
}

async fn list(session: &Session<'_>) -> Result<(), CliError> {
    let out = session.out;
    let row = |found: Credential| {
        let version = found.versions.first();
        vec![
            found.id,
            word(&found.kind),
            found.environment.as_str().to_owned(),
            out.state(&word(&found.state)),
            ready(&found.readiness),
            modes_text(&found.modes),
            version.map(|version| version.number.to_string()).unwrap_or_default(),
            version.map(|version| version.fingerprint.clone()).unwrap_or_default(),
        ]
    };
    let headings = ["CREDENTIAL", "KIND", "ENV", "STATE", "READY", "MODES", "VERSION", "FINGERPRINT"];
    let if_empty = "No credentials. Put one into custody with `stipend credential create`.";
    session.list(&["credentials"], &headings, if_empty, row).await
}

fn ready(readiness: &CredentialReadiness) -> String {
    if readiness.ready { "yes".to_owned() } else { readiness.reasons.iter().map(word).collect::<Vec<_>>().join(", ") }
}

fn show(session: &Session<'_>, answer: &Value) -> Result<(), CliError> {
    let (out, now) = (session.out, session.now);
    session.show(answer, |found: Credential| {
        let header = found.header.map(|header| format!("{}: {}…", header.name, header.prefix));
        let price = found.price.map(|price| format!("{} of {}", price.amount, price.unit));
        out.facts(&[
            ("credential", found.id),
            ("owner", found.owner),
            ("kind", word(&found.kind)),
            ("environment", found.environment.as_str().to_owned()),
            ("state", out.state(&word(&found.state))),
            ("ready", ready(&found.readiness)),
            ("template", found.template.unwrap_or_default()),
            ("base URL", found.base_url.unwrap_or_default()),
            ("header", header.unwrap_or_default()),
            ("modes", modes_text(&found.modes)),
            ("constraints", constraints_text(&found.constraints)),
            ("price", price.unwrap_or_default()),
            ("metered", found.metering.map(|_| "by what is used".to_owned()).unwrap_or_default()),
            ("lease", format!("{} s", found.lease_seconds)),
            (
                "versions",
                found.versions.iter().map(|version| self::version(version, now)).collect::<Vec<_>>().join("\n"),
            ),
            ("seen by", found.versions.iter().flat_map(|version| seen(version, now)).collect::<Vec<_>>().join("\n")),
            ("created", format!("{} by {}", moment(now, found.created_at), found.created_by)),
            ("changed", moment(now, found.updated_at)),
        ]);
    })
}

/// A version in a line.
fn version(version: &CredentialVersion, now: i64) -> String {
    let until = version.retire_at.filter(|_| version.state == VersionState::Retiring);
    let parts = [
        Some(format!("{} {}", version.number, word(&version.state))),
        Some(version.fingerprint.clone()),
        Some(format!("made {}", relative(now, version.created_at))),
        until.map(|at| format!("until {}", instant(at))),
        version.compromised_at.map(|at| format!("compromised {}", relative(now, at))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn seen(version: &CredentialVersion, now: i64) -> Vec<String> {
    let line = |seen: &crate::admin::api::Exposure| {
        format!(
            "{}, version {} as {}, last {}",
            seen.agent,
            version.number,
            seen.mode.as_str(),
            relative(now, seen.last_at)
        )
    };
    version.exposed_to.iter().map(line).collect()
}
