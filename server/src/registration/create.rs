//! `POST /oauth2/register`: one client, within its registration token's template, for one use.

use super::access::{Initial, column, find_initial};
use super::answer::{Registered, registered};
use super::bounds::{Given, Stored, admit};
use super::metadata::{Wanted, parse};
use super::proof::{Proof, proof};
use super::template::Template;
use super::{ACCESS, commit, fresh, refuse, refuse_stranger};
use crate::admin::{DEFAULT_SECRET_SECONDS, FreshSecret, MAX_CREDENTIAL_SECONDS, fresh_secret, key_row};
use crate::app::App;
use crate::audit::{DONE, Draft, Origin};
use crate::deps;
use crate::limits::MAX_DECISIONS;
use crate::reason::Reason;
use crate::records::{AuthMethod, CredentialKind};
use serde::Serialize;
use serde_json::{Map, Value};
use stipend_keys::{random_id, sha256};
use stipend_schema::queries::ClientBundle;
use stipend_schema::registration::{ClientRegistrationRow, RegistrationTokenRow};
use stipend_schema::{ClientKeyRow, ClientRow, Dep, Row, Work, Write};
use stipend_token::id::{MAX_SLUG_BYTES, client_id};

/// Random bytes at the end of a client's name, as hex: names are no secrets, they only must not
/// meet.
const NAME_BYTES: usize = 6;

/// Registers a client.
///
/// # Errors
/// The [`Reason`], recorded.
pub async fn register(
    app: &App,
    bearer: &str,
    metadata: &Map<String, Value>,
    origin: &Origin,
) -> Result<Registered, Reason> {
    let initial = match find_initial(app, bearer).await {
        Ok(Some(initial)) => initial,
        Ok(None) => return Err(refuse_stranger(app, Reason::RegistrationTokenUnknown, None, origin).await),
        Err(reason) => return Err(reason),
    };
    let mut draft = Draft::new("client.registered", origin);
    draft.owner(Some(&initial.token.owner_id));
    draft.put("registration_token", initial.token.id.clone());
    match registered_by(app, bearer, initial, metadata, &draft).await {
        Ok(registered) => Ok(registered),
        Err(reason) => Err(refuse(app, draft, reason).await),
    }
}

async fn registered_by(
    app: &App,
    bearer: &str,
    initial: Initial,
    metadata: &Map<String, Value>,
    draft: &Draft,
) -> Result<Registered, Reason> {
    initial.check(app.clock.now())?;
    let template: Template = column(&initial.token.template)?;
    let wanted = parse(metadata)?;
    let (bounds, proof) = (Given::of(&template), proof(app, &template, &wanted)?);
    let given = admit(&bounds, &template.access, &wanted, &proof)?;
    let now = app.clock.now();
    let row = client_row(&initial.token, &template, &wanted, proof.method, &given, now)?;
    let secret = match proof.method.credential() {
        CredentialKind::Secret => Some(new_secret(app, &row.id, &template, now).await?),
        CredentialKind::Key | CredentialKind::Certificate | CredentialKind::Nothing => None,
    };
    let keys = key_rows(&row.id, &proof, now);
    let stored = Stored { said: wanted.said, bounds, made: given };
    let (access_token, access_hash) = fresh(ACCESS);
    let registration = ClientRegistrationRow {
        client_id: row.id.clone(),
        token_id: initial.token.id.clone(),
        access_hash: access_hash.to_vec(),
        metadata: text(&stored)?,
        created_at: now,
        updated_at: now,
    };
    let (shown, secrets) = match secret {
        Some(FreshSecret { shown, row }) => (Some(shown), vec![row]),
        None => (None, Vec::new()),
    };
    let bundle =
        ClientBundle { client: row, owner: initial.owner, secrets, keys, responsibility: None, document: None };
    // After the hashing of the secret, which takes longest.
    let _turn = app.turns.take(&initial.token.id).await.map_err(|_| Reason::Overtaken)?;
    for _ in 0..MAX_DECISIONS {
        // Before the token is read: a use in between makes the decision too old, never too new.
        let basis = app.live.applied();
        let initial = find_initial(app, bearer).await?.ok_or(Reason::RegistrationTokenEnded)?;
        initial.check(app.clock.now())?;
        let work = work(basis, initial.token, &bundle, &registration, draft.clone());
        let answer = registered(app, &bundle, (&stored.said, &stored.made), &access_token, shown.clone())?;
        if let Some(answer) = commit(app, work, answer).await? {
            return Ok(answer);
        }
    }
    Err(Reason::Overtaken)
}

fn work(
    basis: i64,
    token: RegistrationTokenRow,
    bundle: &ClientBundle,
    registration: &ClientRegistrationRow,
    mut draft: Draft,
) -> Work {
    let row = &bundle.client;
    draft.client(&row.id, &row.owner_id);
    draft.put("auth_method", row.auth_method.clone());
    // One use each, exactly: the next decision leans on this change.
    let changes = vec![deps::registration_token(&token.id), deps::client(&row.id)];
    let deps: Vec<Dep> = changes.iter().cloned().chain([deps::owner(&row.owner_id)]).collect();
    let used = RegistrationTokenRow { uses: token.uses.saturating_add(1), updated_at: row.created_at, ..token };
    let mut writes = vec![Write::Update(Row::RegistrationToken(used)), Write::Insert(Row::Client(row.clone()))];
    writes.extend(bundle.secrets.iter().map(|secret| Write::Insert(Row::ClientSecret(secret.clone()))));
    writes.extend(bundle.keys.iter().map(|key| Write::Insert(Row::ClientKey(key.clone()))));
    writes.push(Write::Insert(Row::ClientRegistration(registration.clone())));
    Work { deps, writes, changes, ..Work::recording(basis, draft.outcome(DONE)) }
}

fn client_row(
    token: &RegistrationTokenRow,
    template: &Template,
    wanted: &Wanted,
    method: AuthMethod,
    given: &Given,
    now: i64,
) -> Result<ClientRow, Reason> {
    let name = name_of(wanted.said.client_name.as_deref());
    Ok(ClientRow {
        id: client_id(&token.owner_id, &name),
        owner_id: token.owner_id.clone(),
        kind: "agent".to_owned(),
        name,
        state: "active".to_owned(),
        state_reason: None,
        auth_method: word(method)?,
        legacy_assertion_aud: false,
        access: text(&template.access)?,
        scope_ceiling: given.scope_ceiling.as_ref().map(text).transpose()?,
        max_ttl_seconds: template.ttl_seconds,
        roles: "[]".to_owned(),
        purpose: wanted.said.client_name.clone().unwrap_or_default(),
        environment: template.environment.as_str().to_owned(),
        may_act: None,
        reissue_of: None,
        expires_at: template.client_expires_in_seconds.map(|seconds| now.saturating_add(seconds)),
        created_at: now,
        updated_at: now,
        settings: text(&given.settings)?,
    })
}

/// A name that says whose it is and meets no other. It begins with no scheme: it can't be
/// mistaken for the URL of a metadata document.
fn name_of(client_name: Option<&str>) -> String {
    let random = sha256(random_id("").as_bytes());
    let random: String = random.iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let longest = MAX_SLUG_BYTES - random.len() - 1;
    let words = client_name.unwrap_or_default().split(|c: char| !c.is_ascii_alphanumeric());
    let slug = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-").to_ascii_lowercase();
    let slug: String = slug.chars().take(longest).collect();
    let slug = if slug.is_empty() { "client" } else { slug.trim_end_matches('-') };
    format!("{slug}-{random}")
}

pub(super) async fn new_secret(app: &App, id: &str, template: &Template, now: i64) -> Result<FreshSecret, Reason> {
    let seconds = template.secret_expires_in_seconds.unwrap_or(DEFAULT_SECRET_SECONDS);
    fresh_secret(app, id, now, now.saturating_add(seconds)).await.map_err(|_| Reason::Busy)
}

pub(super) fn key_rows(id: &str, proof: &Proof, now: i64) -> Vec<ClientKeyRow> {
    let end = now.saturating_add(MAX_CREDENTIAL_SECONDS);
    proof.keys.iter().map(|key| key_row(id, key, now, end)).collect()
}

pub(crate) fn word(method: AuthMethod) -> Result<String, Reason> {
    match serde_json::to_value(method) {
        Ok(Value::String(word)) => Ok(word),
        _ => Err(Reason::Internal),
    }
}

pub(crate) fn text(value: &impl Serialize) -> Result<String, Reason> {
    serde_json::to_string(value).map_err(|_| Reason::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_slug_whatever_the_client_calls_itself() {
        let names = [None, Some("Refunds Agent 2"), Some("https://evil.example/x"), Some("---"), Some("ÄÖ"), Some("")];
        for client_name in names {
            let name = name_of(client_name);
            assert!(stipend_token::id::is_slug(&name), "{name}");
        }
        let long = name_of(Some(&"a b ".repeat(60)));
        assert!(stipend_token::id::is_slug(&long) && long.len() > 30, "{long}");
        assert!(name_of(Some("Refunds Agent")).starts_with("refunds-agent-"));
        assert_ne!(name_of(None), name_of(None));
    }
}
