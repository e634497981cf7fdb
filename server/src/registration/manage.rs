//! `/oauth2/register/{client_id}` (RFC 7592): a client read, changed and deleted by whoever
//! holds its registration access token. Each update brings a new one, and the old one is dead.

use super::access::{Held, open};
use super::answer::{Registered, registered};
use super::bounds::{Stored, admit};
use super::create::{key_rows, new_secret, text, word};
use super::metadata::{Update, parse_update};
use super::proof::proof;
use super::{ACCESS, commit, fresh, refuse, refuse_stranger};
use crate::admin::FreshSecret;
use crate::admin::api::ShownSecret;
use crate::app::App;
use crate::audit::{DONE, Draft, Origin};
use crate::deps;
use crate::limits::{LEEWAY_SECONDS, MAX_DECISIONS, MAX_TTL_SECONDS, MAX_VALID_SECRETS};
use crate::reason::Reason;
use crate::records::CredentialKind;
use serde_json::{Map, Value};
use std::future::Future;
use stipend_keys::{Secret, random_id};
use stipend_schema::queries::ClientBundle;
use stipend_schema::registration::ClientRegistrationRow;
use stipend_schema::{ClientRow, ClientSecretRow, Dep, RevocationRow, Row, Table, Work, Write};
use stipend_token::revoked::RevokedKind;
use tokio::sync::oneshot;

/// What one decision wants committed.
struct Decision<T> {
    writes: Vec<Write>,
    changes: Vec<Dep>,
    answer: T,
}

/// Opens the registration, decides and commits, until no change came in between.
async fn managed<T, Fut>(
    app: &App,
    (client_id, bearer): (&str, &str),
    event: &'static str,
    origin: &Origin,
    decide: impl Fn(Held) -> Fut,
) -> Result<T, Reason>
where
    Fut: Future<Output = Result<Decision<T>, Reason>>,
{
    // A stranger must not hold anybody's turn.
    opened(app, client_id, bearer, origin).await?;
    let _turn = app.turns.take(client_id).await.map_err(|_| Reason::Overtaken)?;
    for _ in 0..MAX_DECISIONS {
        let basis = app.live.applied();
        let held = opened(app, client_id, bearer, origin).await?;
        let row = &held.bundle.client;
        let mut draft = Draft::new(event, origin);
        draft.client(&row.id, &row.owner_id);
        let token = deps::registration_token(&held.token.id);
        let deps = vec![deps::client(&row.id), deps::owner(&row.owner_id), token];
        let decision = match decide(held).await {
            Ok(decision) => decision,
            Err(reason) => return Err(refuse(app, draft, reason).await),
        };
        let Decision { writes, changes, answer } = decision;
        let work = Work { deps, writes, changes, ..Work::recording(basis, draft.outcome(DONE)) };
        if let Some(answer) = commit(app, work, answer).await? {
            return Ok(answer);
        }
    }
    Err(Reason::Overtaken)
}

async fn opened(app: &App, client_id: &str, bearer: &str, origin: &Origin) -> Result<Held, Reason> {
    match open(app, client_id, bearer).await {
        Err(reason @ Reason::RegistrationUnknown) => Err(refuse_stranger(app, reason, Some(client_id), origin).await),
        opened => opened,
    }
}

/// RFC 7592 section 2.1. The answer has no secret: there is only its hash.
///
/// # Errors
/// The [`Reason`], recorded.
pub async fn read(app: &App, client_id: &str, bearer: &str, origin: &Origin) -> Result<Registered, Reason> {
    let decide = async |held: Held| {
        held.check(app.clock.now())?;
        let shown = Secret::new(bearer.to_owned());
        let answer = registered(app, &held.bundle, (&held.stored.said, &held.now), &shown, None)?;
        Ok(Decision { writes: Vec::new(), changes: Vec::new(), answer })
    };
    managed(app, (client_id, bearer), "client.registration_read", origin, decide).await
}

/// RFC 7592 section 2.2: what is left out is as in a new registration, within the bounds.
///
/// # Errors
/// The [`Reason`], recorded.
pub async fn update(
    app: &App,
    client_id: &str,
    bearer: &str,
    metadata: &Map<String, Value>,
    origin: &Origin,
) -> Result<Registered, Reason> {
    let decide = |held: Held| async { changed(app, held, metadata).await };
    managed(app, (client_id, bearer), "client.registration_changed", origin, decide).await
}

async fn changed(app: &App, held: Held, metadata: &Map<String, Value>) -> Result<Decision<Registered>, Reason> {
    let now = app.clock.now();
    held.check_change(now)?;
    let id = held.bundle.client.id.clone();
    let Update { wanted, client_secret } = parse_update(metadata, &id)?;
    let bounds = held.stored.bounds_now(&held.now);
    let access = super::access::column::<Vec<_>>(&held.bundle.client.access)?;
    let proof = proof(app, &held.template, &wanted)?;
    let given = admit(&bounds, &access, &wanted, &proof)?;
    if let Some(secret) = client_secret {
        check_secret(app, &held.bundle.secrets, &secret, now).await?;
    }
    let row = ClientRow {
        auth_method: word(proof.method)?,
        purpose: wanted.said.client_name.clone().unwrap_or_default(),
        scope_ceiling: given.scope_ceiling.as_ref().map(text).transpose()?,
        settings: text(&given.settings)?,
        updated_at: now,
        ..held.bundle.client
    };
    let mut writes = vec![Write::Update(Row::Client(row.clone()))];
    // First what goes: a key may come back under the same kid.
    writes.extend(held.bundle.keys.iter().map(|key| Write::Delete(Table::ClientKey, key.id.clone())));
    let keys = key_rows(&id, &proof, now);
    writes.extend(keys.iter().map(|key| Write::Insert(Row::ClientKey(key.clone()))));
    let takes_secrets = proof.method.credential() == CredentialKind::Secret;
    let fresh_secret = if takes_secrets && is_due(&held.bundle.secrets, now) {
        Some(new_secret(app, &id, &held.template, now).await?)
    } else {
        None
    };
    let (secrets, shown) = secrets_after(held.bundle.secrets, takes_secrets, fresh_secret, now, &mut writes);
    let stored = Stored { said: wanted.said, bounds, made: given };
    let (access_token, hash) = fresh(ACCESS);
    let registration = ClientRegistrationRow {
        access_hash: hash.to_vec(),
        metadata: text(&stored)?,
        updated_at: now,
        ..held.registration
    };
    writes.push(Write::Update(Row::ClientRegistration(registration)));
    let bundle = ClientBundle {
        client: row,
        owner: held.bundle.owner,
        secrets,
        keys,
        responsibility: held.bundle.responsibility,
        document: held.bundle.document,
    };
    let answer = registered(app, &bundle, (&stored.said, &stored.made), &access_token, shown)?;
    Ok(Decision { writes, changes: vec![deps::client(&id)], answer })
}

/// A secret past the middle of its life is followed by another, and stays good to its end.
fn is_due(secrets: &[ClientSecretRow], now: i64) -> bool {
    let newest = secrets.iter().max_by_key(|secret| secret.expires_at);
    newest.is_none_or(|secret| secret.expires_at.saturating_sub(now) <= now.saturating_sub(secret.created_at))
}

/// The secrets that stay, and what must be written for it.
fn secrets_after(
    old: Vec<ClientSecretRow>,
    takes_secrets: bool,
    fresh: Option<FreshSecret>,
    now: i64,
    writes: &mut Vec<Write>,
) -> (Vec<ClientSecretRow>, Option<ShownSecret>) {
    let most = if takes_secrets { MAX_VALID_SECRETS } else { 0 };
    let most = most.saturating_sub(usize::from(fresh.is_some()));
    let mut old = old;
    old.sort_by_key(|secret| std::cmp::Reverse(secret.expires_at));
    let mut kept = Vec::new();
    for secret in old {
        if now < secret.expires_at && kept.len() < most {
            kept.push(secret);
        } else {
            writes.push(Write::Delete(Table::ClientSecret, secret.id));
        }
    }
    let shown = fresh.map(|FreshSecret { shown, row }| {
        writes.push(Write::Insert(Row::ClientSecret(row.clone())));
        kept.push(row);
        shown
    });
    (kept, shown)
}

/// RFC 7592 section 2.2: a secret that is sent must be the one that was issued.
async fn check_secret(app: &App, have: &[ClientSecretRow], sent: &Secret<String>, now: i64) -> Result<(), Reason> {
    for stored in have.iter().filter(|stored| now < stored.expires_at).take(MAX_VALID_SECRETS) {
        let (answer, answered) = oneshot::channel();
        let copy = Secret::new(sent.expose().clone());
        let done = move |matches| {
            // A client that hung up needs no answer.
            let _ = answer.send(matches);
        };
        app.secrets.try_verify(copy, Some(stored.hash.clone()), done).map_err(|_| Reason::Busy)?;
        if answered.await.map_err(|_| Reason::Busy)? {
            return Ok(());
        }
    }
    Err(Reason::MetadataSecret)
}

/// RFC 7592 section 2.3: the client is retired, its credentials are gone and its tokens dead.
///
/// # Errors
/// The [`Reason`], recorded.
pub async fn delete(app: &App, client_id: &str, bearer: &str, origin: &Origin) -> Result<(), Reason> {
    let decide = async |held: Held| {
        let now = app.clock.now();
        held.check(now)?;
        let ClientBundle { client, secrets, keys, .. } = held.bundle;
        let retired = ClientRow {
            state: "retired".to_owned(),
            state_reason: Some(DELETED.to_owned()),
            updated_at: now,
            ..client.clone()
        };
        let mut writes = vec![
            Write::Update(Row::Client(retired)),
            Write::Insert(Row::Revocation(revocation(&client, now))),
            Write::Delete(Table::ClientRegistration, client.id.clone()),
        ];
        writes.extend(secrets.into_iter().map(|secret| Write::Delete(Table::ClientSecret, secret.id)));
        writes.extend(keys.into_iter().map(|key| Write::Delete(Table::ClientKey, key.id)));
        Ok(Decision { writes, changes: vec![deps::client(&client.id)], answer: () })
    };
    managed(app, (client_id, bearer), "client.registration_deleted", origin, decide).await
}

const DELETED: &str = "deleted by its registration";

/// What kills every token issued to the client until now, and all that descends from them.
fn revocation(client: &ClientRow, now: i64) -> RevocationRow {
    RevocationRow {
        id: random_id("rev_"),
        seq: 0,
        kind: RevokedKind::Client.as_str().to_owned(),
        value: client.id.clone(),
        issued_before: Some(now),
        owner_id: Some(client.owner_id.clone()),
        expires_at: now.saturating_add(MAX_TTL_SECONDS + LEEWAY_SECONDS),
        reason: DELETED.to_owned(),
        severity: "low".to_owned(),
        revoked_by: client.id.clone(),
        created_at: now,
    }
}
