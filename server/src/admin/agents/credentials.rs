//! Secrets and keys of a client. A secret is generated here, shown once and stored as Argon2id;
//! a key is a public JWK, read strictly. Every one of them ends.

use super::super::api::{AgentKey, NewKey, NewSecret, SecretCreated, ShownSecret};
use super::super::check;
use super::super::limits::{DEFAULT_SECRET_SECONDS, MAX_CREDENTIAL_SECONDS, MAX_KEYS};
use super::super::problem::{Code, Refusal};
use super::super::roles::Action;
use super::super::session::{Change, Session};
use super::{deps_of, load, refuse_ended, view};
use crate::app::App;
use crate::deps;
use crate::limits::MAX_VALID_SECRETS;
use crate::records::{AuthMethod, CredentialKind, RegisteredKey};
use serde_json::{Map, Value};
use stipend_keys::{Secret, generate_client_secret, random_id};
use stipend_schema::queries::ClientBundle;
use stipend_schema::{ClientKeyRow, ClientRow, ClientSecretRow, Row, Table, Write};
use tokio::sync::oneshot;

/// A secret that is not stored yet.
pub(crate) struct FreshSecret {
    pub shown: ShownSecret,
    pub row: ClientSecretRow,
}

/// Makes a secret, hashed on the one worker that may.
pub(crate) async fn fresh_secret(
    app: &App,
    client_id: &str,
    created_at: i64,
    expires_at: i64,
) -> Result<FreshSecret, Refusal> {
    let secret = generate_client_secret();
    let shown = ShownSecret::new(&secret);
    let row = ClientSecretRow {
        id: random_id("sec_"),
        client_id: client_id.to_owned(),
        hash: hash(app, secret).await?,
        created_at,
        expires_at,
    };
    Ok(FreshSecret { shown, row })
}

async fn hash(app: &App, secret: Secret<String>) -> Result<String, Refusal> {
    let (answer, answered) = oneshot::channel();
    app.secrets
        .try_hash(secret, move |hashed| {
            // A caller that hung up needs no hash.
            let _ = answer.send(hashed);
        })
        .map_err(|_| Refusal::unavailable())?;
    let hashed = answered.await.map_err(|_| Refusal::unavailable())?;
    hashed.map_err(|_| Refusal::unavailable())
}

/// What is kept here for the client to authenticate with.
pub(super) fn takes(row: &ClientRow) -> Result<CredentialKind, Refusal> {
    Ok(check::parse_word::<AuthMethod>(&row.auth_method)?.credential())
}

pub(in super::super) async fn add_secret(
    session: &Session<'_>,
    id: &str,
    new: &NewSecret,
) -> Result<SecretCreated, Refusal> {
    session
        .change(id, async |caller| {
            let now = session.now();
            let end =
                check::credential_end("/expires_in_seconds", new.expires_in_seconds, DEFAULT_SECRET_SECONDS, now)?;
            let bundle = load(session, caller, id, Action::ManageSecrets).await?;
            refuse_ended(&bundle.client)?;
            if takes(&bundle.client)? != CredentialKind::Secret {
                return Err(Refusal::new(Code::InvalidState, "this agent does not authenticate with a secret"));
            }
            let (expired, valid): (Vec<_>, Vec<_>) = bundle.secrets.iter().partition(|old| now >= old.expires_at);
            if valid.len() >= MAX_VALID_SECRETS {
                return Err(Refusal::new(Code::TooManySecrets, "two secrets are valid already: delete one first"));
            }
            let fresh = fresh_secret(session.app, id, now, end).await?;
            let mut writes: Vec<Write> =
                expired.iter().map(|old| Write::Delete(Table::ClientSecret, old.id.clone())).collect();
            let secret_id = fresh.row.id.clone();
            writes.push(Write::Insert(Row::ClientSecret(fresh.row)));
            let answer = SecretCreated { id: secret_id.clone(), client_secret: fresh.shown, expires_at: end };
            Ok(change(&bundle.client, writes, answer).with("secret_id", secret_id).with("expires_at", end))
        })
        .await
}

pub(in super::super) async fn delete_secret(session: &Session<'_>, id: &str, secret_id: &str) -> Result<(), Refusal> {
    session
        .change(id, async |caller| {
            let bundle = load(session, caller, id, Action::ManageSecrets).await?;
            if !bundle.secrets.iter().any(|secret| secret.id == secret_id) {
                return Err(Refusal::not_found());
            }
            let writes = vec![Write::Delete(Table::ClientSecret, secret_id.to_owned())];
            Ok(change(&bundle.client, writes, ()).with("secret_id", secret_id))
        })
        .await
}

/// Reads the keys of a registration: all usable, each once.
pub(crate) fn parse_jwks(kind: CredentialKind, jwks: &Map<String, Value>) -> Result<Vec<RegisteredKey>, Refusal> {
    if matches!(kind, CredentialKind::Secret | CredentialKind::Nothing) {
        return Err(Refusal::field("/jwks", "goes with private_key_jwt and self_signed_tls_client_auth only"));
    }
    let Some(Value::Array(entries)) = jwks.get("keys") else {
        return Err(Refusal::field("/jwks/keys", "must be an array of public keys"));
    };
    if entries.is_empty() || entries.len() > MAX_KEYS {
        return Err(Refusal::field("/jwks/keys", format!("has 1 to {MAX_KEYS} keys")));
    }
    let mut keys: Vec<RegisteredKey> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let pointer = format!("/jwks/keys/{index}");
        let Value::Object(entry) = entry else { return Err(Refusal::field(&pointer, "must be an object")) };
        let key = parse_jwk(kind, &pointer, entry)?;
        if keys.iter().any(|have| have.is_same(&key)) {
            return Err(Refusal::field(
                &pointer,
                "is the same key or certificate, or has the same kid, as an earlier one",
            ));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn parse_jwk(kind: CredentialKind, pointer: &str, jwk: &Map<String, Value>) -> Result<RegisteredKey, Refusal> {
    // RFC 7517 section 4 lets us ignore them; a caller that sends one expects us to follow it.
    if let Some(name) = ["x5u", "jku"].into_iter().find(|name| jwk.contains_key(*name)) {
        return Err(Refusal::field(format!("{pointer}/{name}"), "no key is fetched: send the key itself"));
    }
    let read =
        if kind == CredentialKind::Certificate { RegisteredKey::with_certificate } else { RegisteredKey::for_signing };
    let key = read(jwk).map_err(|error| Refusal::field(pointer, error.to_string()))?;
    if stipend_token::id::is_identifier(key.jwk.kid()) {
        Ok(key)
    } else {
        Err(Refusal::field(format!("{pointer}/kid"), "must be 1 to 128 visible ASCII characters"))
    }
}

pub(crate) fn key_row(client_id: &str, key: &RegisteredKey, now: i64, expires_at: i64) -> ClientKeyRow {
    ClientKeyRow {
        id: random_id("key_"),
        client_id: client_id.to_owned(),
        kid: key.jwk.kid().to_owned(),
        alg: key.jwk.alg().as_str().to_owned(),
        jwk: key.to_json(),
        created_at: now,
        expires_at,
    }
}

/// Answers the key, and whether it is new.
pub(in super::super) async fn add_key(
    session: &Session<'_>,
    id: &str,
    new: &NewKey,
) -> Result<(bool, AgentKey), Refusal> {
    session
        .change(id, async |caller| {
            let now = session.now();
            let end =
                check::credential_end("/expires_in_seconds", new.expires_in_seconds, MAX_CREDENTIAL_SECONDS, now)?;
            let bundle = load(session, caller, id, Action::ManageSecrets).await?;
            refuse_ended(&bundle.client)?;
            refuse_documented(&bundle)?;
            let kind = takes(&bundle.client)?;
            if matches!(kind, CredentialKind::Secret | CredentialKind::Nothing) {
                return Err(Refusal::new(Code::InvalidState, "this agent does not authenticate with a key"));
            }
            let key = parse_jwk(kind, "/jwk", &new.jwk)?;
            if let Some(have) = same_key(&bundle, &key)? {
                return Ok(Change::none(&bundle.client.owner_id, deps_of(&bundle.client), (false, view::key(have)?)));
            }
            let (expired, valid): (Vec<_>, Vec<_>) = bundle.keys.iter().partition(|old| now >= old.expires_at);
            if valid.len() >= MAX_KEYS {
                return Err(Refusal::new(Code::TooManyKeys, "the agent has four keys already: delete one first"));
            }
            let row = key_row(id, &key, now, end);
            let mut writes: Vec<Write> =
                expired.iter().map(|old| Write::Delete(Table::ClientKey, old.id.clone())).collect();
            let answer = (true, view::key(&row)?);
            writes.push(Write::Insert(Row::ClientKey(row.clone())));
            Ok(change(&bundle.client, writes, answer).with("key_id", row.id).with("kid", row.kid))
        })
        .await
}

/// The key if the client has it already; a different one of the same kid is a conflict.
fn same_key<'b>(bundle: &'b ClientBundle, key: &RegisteredKey) -> Result<Option<&'b ClientKeyRow>, Refusal> {
    for row in &bundle.keys {
        if row.jwk == key.to_json() {
            return Ok(Some(row));
        }
        let have = RegisteredKey::from_json(&row.jwk).map_err(|_| Refusal::internal())?;
        if have.is_same(key) {
            return Err(Refusal::new(Code::AlreadyExists, "the agent has this key, or one with this kid, already"));
        }
    }
    Ok(None)
}

pub(in super::super) async fn delete_key(session: &Session<'_>, id: &str, key_id: &str) -> Result<(), Refusal> {
    session
        .change(id, async |caller| {
            let bundle = load(session, caller, id, Action::ManageSecrets).await?;
            if !bundle.keys.iter().any(|key| key.id == key_id) {
                return Err(Refusal::not_found());
            }
            refuse_documented(&bundle)?;
            let writes = vec![Write::Delete(Table::ClientKey, key_id.to_owned())];
            Ok(change(&bundle.client, writes, ()).with("key_id", key_id))
        })
        .await
}

/// The keys of a client that is known by a document are those that the document has: one more
/// here would open nothing, and one less would close nothing.
fn refuse_documented(bundle: &ClientBundle) -> Result<(), Refusal> {
    if bundle.document.is_some() {
        let what = "the agent's keys are those of its metadata document: change them there, or suspend the agent";
        return Err(Refusal::new(Code::InvalidState, what));
    }
    Ok(())
}

fn change<T>(row: &ClientRow, writes: Vec<Write>, answer: T) -> Change<T> {
    let change =
        Change { writes, changes: vec![deps::client(&row.id)], ..Change::none(&row.owner_id, deps_of(row), answer) };
    change.with("effect", "changed")
}
