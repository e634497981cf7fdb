//! `stipend agent`. A secret is printed where the server shows it, once, and kept nowhere.

use super::Session;
use super::agent_args::{Change, Command, Create, Key, Narrow, Reissue, Revoke, Risk, Secret, Update};
use super::api::read;
use super::budget::caps_text;
use super::error::CliError;
use super::parse::object_file;
use super::print::{Paint, instant, moment, relative, word};
use crate::admin::api::{
    Agent, AgentCreated, AgentKey, ChangeState, NarrowAgent, NewAgent, NewKey, NewSecret, PatchAgent, RateAgent,
    Readiness, ReissueAgent, Responsible, RevokeAgent, SCOPE_AUDIT, SCOPE_READ, SCOPE_WRITE, SecretCreated,
    ShownSecret, Transfer, audience,
};
use crate::records::{AuthMethod, ClientKind, CredentialKind, RiskLevel, Role, RoleGrant};
use serde_json::{Map, Value, json};
use stipend_token::access::AccessEntry;
use stipend_token::budget::BudgetCap;
use stipend_token::{Audience, ScopeSet};

pub async fn run(session: &Session<'_>, command: Command) -> Result<(), CliError> {
    let api = &session.api;
    let answer = match command {
        Command::List => return list(session).await,
        Command::Create(new) => return created(session, &create(session, *new).await?),
        Command::Reissue(new) => return created(session, &reissue(session, new).await?),
        Command::Secret(command) => return secret(session, command).await,
        Command::Key(command) => return key(session, command).await,
        Command::Show { agent } => api.get(&["agents", &agent]).await?,
        Command::Update(update) => self::update(session, *update).await?,
        Command::Narrow(to) => narrow(session, to).await?,
        Command::Transfer { agent, to } => {
            api.post(&["agents", &agent, "responsible"], &Transfer { person: to }).await?
        }
        Command::Accept { agent } => api.post(&["agents", &agent, "responsible", "accept"], &json!({})).await?,
        Command::Suspend(change) => change_state(session, change, "suspend").await?,
        Command::Resume(change) => change_state(session, change, "resume").await?,
        Command::Risk(risk) => rate(session, risk).await?,
        Command::Retire(change) => change_state(session, change, "retire").await?,
        Command::Revoke(Revoke { agent, reason, severity }) => {
            api.post(&["agents", &agent, "revoke"], &RevokeAgent { reason, severity }).await?
        }
    };
    show(session, &answer)
}

async fn create(session: &Session<'_>, new: Create) -> Result<Value, CliError> {
    let jwks = new.jwks.as_deref().map(object_file).transpose()?;
    let implied = if jwks.is_some() { AuthMethod::PrivateKeyJwt } else { AuthMethod::ClientSecretBasic };
    let mut access = with_defaults(new.access, new.defaults, new.default_budget)?;
    if new.kind == ClientKind::Admin && access.is_empty() {
        access.push(admin_access(&session.api.connection.issuer, &new.role)?);
    }
    let (owner, name) = new.agent;
    let body = NewAgent {
        owner,
        name,
        kind: Some(new.kind),
        purpose: new.purpose,
        environment: new.environment,
        auth_method: new.auth.unwrap_or(implied),
        access,
        scope_ceiling: new.ceiling,
        ttl_seconds: new.ttl,
        may_act: claims(new.may_act),
        roles: new.role,
        expires_at: new.expires_at,
        jwks,
        secret_expires_in_seconds: new.secret_life,
        legacy_assertion_aud: new.legacy_assertion_aud,
        settings: new.settings,
    };
    session.api.post(&["agents"], &body).await
}

/// The admin API as far as an admin can use it: without it no role is of any use. What it may
/// do there is its roles' to say.
fn admin_access(issuer: &str, roles: &[RoleGrant]) -> Result<AccessEntry, CliError> {
    let broken = |error: &dyn std::fmt::Display| CliError::usage(format!("--issuer {issuer}: {error}"));
    let only_reads = roles.iter().all(|grant| grant.role == Role::Auditor);
    let writes = (!only_reads).then_some(SCOPE_WRITE);
    let scopes = [SCOPE_READ, SCOPE_AUDIT].into_iter().chain(writes);
    let scopes = ScopeSet::from_tokens(scopes).map_err(|error| broken(&error))?;
    let resource = Audience::parse(&audience(issuer)).map_err(|error| broken(&error))?;
    Ok(AccessEntry { resource, default_scopes: scopes.clone(), scopes, default_budget: None })
}

async fn reissue(session: &Session<'_>, new: Reissue) -> Result<Value, CliError> {
    let body = ReissueAgent {
        name: new.name,
        ttl_seconds: new.ttl,
        jwks: new.jwks.as_deref().map(object_file).transpose()?,
        secret_expires_in_seconds: new.secret_life,
    };
    session.api.post(&["agents", &new.agent, "reissue"], &body).await
}

async fn update(session: &Session<'_>, update: Update) -> Result<Value, CliError> {
    let roles = (update.no_roles || !update.role.is_empty()).then_some(update.role);
    let patch = PatchAgent {
        purpose: update.purpose,
        access: access(session, &update.agent, update.access, (update.defaults, update.default_budget)).await?,
        scope_ceiling: set_or_clear(update.ceiling, update.no_ceiling),
        ttl_seconds: update.ttl,
        may_act: set_or_clear(claims(update.may_act), update.no_may_act),
        roles,
        expires_at: set_or_clear(update.expires_at, update.no_expiry),
        legacy_assertion_aud: update.legacy_assertion_aud,
        settings: update.settings,
    };
    session.api.patch(&["agents", &update.agent], &patch).await
}

async fn rate(session: &Session<'_>, risk: Risk) -> Result<Value, CliError> {
    let path = ["agents", risk.agent.as_str(), "risk"];
    let level = match risk.level.as_str() {
        "low" => RiskLevel::Low,
        "medium" => RiskLevel::Medium,
        "high" => RiskLevel::High,
        _ => return session.api.delete(&path).await,
    };
    session.api.post(&path, &RateAgent { level, reason: risk.reason, expires_in_seconds: risk.life }).await
}

async fn narrow(session: &Session<'_>, to: Narrow) -> Result<Value, CliError> {
    let body = NarrowAgent {
        access: access(session, &to.agent, to.access, (to.defaults, to.default_budget)).await?,
        scope_ceiling: to.ceiling,
        ttl_seconds: to.ttl,
    };
    session.api.post(&["agents", &to.agent, "narrow"], &body).await
}

async fn change_state(session: &Session<'_>, change: Change, verb: &str) -> Result<Value, CliError> {
    session.api.post(&["agents", &change.agent, verb], &ChangeState { reason: change.reason }).await
}

async fn secret(session: &Session<'_>, command: Secret) -> Result<(), CliError> {
    let (api, out) = (&session.api, session.out);
    match command {
        Secret::Add { agent, life } => {
            let answer = api.post(&["agents", &agent, "secrets"], &NewSecret { expires_in_seconds: life }).await?;
            if out.json {
                out.value(&answer);
                return Ok(());
            }
            let made: SecretCreated = read(&answer)?;
            out.facts(&[("agent", agent), ("secret id", made.id)]);
            show_secret(session, &made.client_secret, Some(made.expires_at));
        }
        Secret::Remove { agent, secret } => {
            let answer = api.delete(&["agents", &agent, "secrets", &secret]).await;
            let answer = answer.map_err(|error| in_show(error, &agent))?;
            removed(session, &answer, format_args!("{secret} of {agent} is gone."));
        }
    }
    Ok(())
}

async fn key(session: &Session<'_>, command: Key) -> Result<(), CliError> {
    let (api, out) = (&session.api, session.out);
    match command {
        Key::Add { agent, jwk, life } => {
            let body = NewKey { jwk: object_file(&jwk)?, expires_in_seconds: life };
            let answer = api.post(&["agents", &agent, "keys"], &body).await?;
            if out.json {
                out.value(&answer);
                return Ok(());
            }
            let key: AgentKey = read(&answer)?;
            out.facts(&[
                ("agent", agent),
                ("key id", key.id),
                ("kid", key.kid),
                ("alg", key.alg),
                ("ends", moment(session.now, key.expires_at)),
            ]);
        }
        Key::Remove { agent, key } => {
            let answer = api.delete(&["agents", &agent, "keys", &key]).await;
            let answer = answer.map_err(|error| in_show(error, &agent))?;
            removed(session, &answer, format_args!("{key} of {agent} is gone."));
        }
    }
    Ok(())
}

/// What is there to remove, `show` says.
fn in_show(error: CliError, agent: &str) -> CliError {
    if error.code == "not_found" { error.hint(format!("`stipend agent show {agent}` says its ids")) } else { error }
}

fn removed(session: &Session<'_>, answer: &Value, said: std::fmt::Arguments<'_>) {
    if session.out.json {
        session.out.value(answer);
    } else {
        session.out.line(said);
    }
}

/// Absent: as it is. `null`: gone (RFC 7396).
fn set_or_clear<T>(value: Option<T>, clear: bool) -> Option<Option<T>> {
    if clear { Some(None) } else { value.map(Some) }
}

fn claims(claims: Vec<(String, String)>) -> Option<Map<String, Value>> {
    let claims: Map<String, Value> = claims.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    (!claims.is_empty()).then_some(claims)
}

/// The entries with what `--defaults` and `--default-budget` say of each.
pub(super) fn with_defaults(
    mut access: Vec<AccessEntry>,
    defaults: Vec<AccessEntry>,
    budgets: Vec<(Audience, BudgetCap)>,
) -> Result<Vec<AccessEntry>, CliError> {
    let mut named: Vec<Audience> = Vec::new();
    for default in defaults {
        entry_for(&mut access, "--defaults", &default.resource)?.default_scopes = default.scopes;
    }
    for (resource, cap) in budgets {
        let entry = entry_for(&mut access, "--default-budget", &resource)?;
        // What is said now replaces what was there before.
        if !named.contains(&resource) {
            entry.default_budget = None;
            named.push(resource);
        }
        entry.default_budget.get_or_insert_default().push(cap);
    }
    Ok(access)
}

fn entry_for<'a>(
    access: &'a mut [AccessEntry],
    flag: &str,
    resource: &Audience,
) -> Result<&'a mut AccessEntry, CliError> {
    let found = access.iter_mut().find(|entry| entry.resource == *resource);
    found.ok_or_else(|| CliError::usage(format!("{flag} {resource}: give its --access too")))
}

/// Access for an agent that is there already: what nobody mentions, its defaults, stays as far
/// as it fits.
async fn access(
    session: &Session<'_>,
    agent: &str,
    mut access: Vec<AccessEntry>,
    (defaults, budgets): (Vec<AccessEntry>, Vec<(Audience, BudgetCap)>),
) -> Result<Option<Vec<AccessEntry>>, CliError> {
    if access.is_empty() {
        return Ok(None);
    }
    let have: Agent = read(&session.api.get(&["agents", agent]).await?)?;
    for entry in &mut access {
        if let Some(have) = have.access.iter().find(|have| have.resource == entry.resource) {
            entry.default_scopes = have.default_scopes.intersection(&entry.scopes);
            entry.default_budget.clone_from(&have.default_budget);
        }
    }
    with_defaults(access, defaults, budgets).map(Some)
}

async fn list(session: &Session<'_>) -> Result<(), CliError> {
    let out = session.out;
    let row = |agent: Agent| {
        vec![
            agent.id,
            word(&agent.kind),
            out.state(&word(&agent.state)),
            if agent.readiness.ready { "yes".to_owned() } else { reasons(&agent.readiness) },
            agent.environment.as_str().to_owned(),
            agent.access.iter().map(|entry| entry.resource.as_str()).collect::<Vec<_>>().join(" "),
            relative(session.now, agent.created_at),
        ]
    };
    let headings = ["AGENT", "KIND", "STATE", "READY", "ENV", "ACCESS", "CREATED"];
    session.list(&["agents"], &headings, "No agents. Make one with `stipend agent create`.", row).await
}

fn reasons(readiness: &Readiness) -> String {
    readiness.reasons.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// The answer to a registration, with the secret where there is one.
fn created(session: &Session<'_>, answer: &Value) -> Result<(), CliError> {
    let out = session.out;
    if out.json {
        out.value(answer);
        return Ok(());
    }
    let made: AgentCreated = read(answer)?;
    let takes_secrets = made.agent.auth_method.credential() == CredentialKind::Secret;
    let id = made.agent.id.clone();
    facts(session, made.agent);
    match &made.client_secret {
        Some(secret) => show_secret(session, secret, made.client_secret_expires_at),
        None if takes_secrets => out.note(format!(
            "{id} was there already. Its secret was shown when it was made; `stipend agent secret add {id}` makes another."
        )),
        None => {}
    }
    Ok(())
}

/// The one place that prints a secret: alone on its line, the warning beside it.
fn show_secret(session: &Session<'_>, secret: &ShownSecret, expires_at: Option<i64>) {
    let out = session.out;
    let ends = expires_at.map(|at| moment(session.now, at)).unwrap_or_default();
    out.facts(&[("secret", out.paint(Paint::Accent, secret.expose())), ("ends", ends)]);
    out.note("The secret is shown only now: keep it where the agent reads it. Nobody can show it again.");
}

/// Who answers for it, to whom that is offered, and what happens when nobody does.
fn responsible(now: i64, who: &Responsible) -> String {
    let offered = who.offered_to.as_deref().map(|to| format!("; offered to {to}")).unwrap_or_default();
    let gone = who.orphaned_at.map(|at| format!(" (gone since {})", moment(now, at))).unwrap_or_default();
    let ends = who.suspend_at.map(|at| format!("; suspended {}", moment(now, at))).unwrap_or_default();
    format!("{}{gone}{offered}{ends}", who.person)
}

fn show(session: &Session<'_>, answer: &Value) -> Result<(), CliError> {
    session.show(answer, |agent| facts(session, agent))
}

fn facts(session: &Session<'_>, agent: Agent) {
    let (out, now) = (session.out, session.now);
    let state = out.state(&word(&agent.state));
    let state = agent.state_reason.map_or_else(|| state.clone(), |reason| format!("{state}: {reason}"));
    let ready = if agent.readiness.ready {
        out.paint(Paint::Good, "yes")
    } else {
        out.paint(Paint::Bad, format!("no: {}", reasons(&agent.readiness)))
    };
    let secrets = agent.secrets.iter().map(|secret| format!("{}  {}", secret.id, end(now, secret.expires_at)));
    let keys =
        agent.keys.iter().map(|key| format!("{}  kid {}  {}  {}", key.id, key.kid, key.alg, end(now, key.expires_at)));
    // Nothing set is nothing to see.
    let settings = serde_json::to_string(&agent.settings).ok().filter(|text| text != "{}").unwrap_or_default();
    out.facts(&[
        ("agent", out.paint(Paint::Bold, agent.id)),
        ("kind", word(&agent.kind)),
        ("owner", agent.owner),
        ("purpose", agent.purpose),
        ("state", state),
        ("ready", ready),
        ("answers for it", agent.responsible.map(|one| responsible(now, &one)).unwrap_or_default()),
        ("environment", agent.environment.as_str().to_owned()),
        ("authenticates", word(&agent.auth_method)),
        ("settings", settings),
        ("access", agent.access.iter().map(entry).collect::<Vec<_>>().join("\n")),
        ("ceiling", agent.scope_ceiling.map(|ceiling| ceiling.to_string()).unwrap_or_default()),
        ("token life", format!("{} s at most", agent.ttl_seconds)),
        ("may act", agent.may_act.map(|claims| Value::Object(claims).to_string()).unwrap_or_default()),
        ("roles", agent.roles.iter().map(role).collect::<Vec<_>>().join("\n")),
        ("ends", agent.expires_at.map(|at| moment(now, at)).unwrap_or_default()),
        ("clone of", agent.reissue_of.unwrap_or_default()),
        ("document", agent.document.map(|document| document.url).unwrap_or_default()),
        ("legacy aud", if agent.legacy_assertion_aud { "admitted" } else { "" }.to_owned()),
        ("secrets", secrets.collect::<Vec<_>>().join("\n")),
        ("keys", keys.collect::<Vec<_>>().join("\n")),
        ("created", moment(now, agent.created_at)),
        ("changed", moment(now, agent.updated_at)),
    ]);
}

fn entry(entry: &AccessEntry) -> String {
    let mut defaults: Vec<String> = Vec::new();
    if entry.default_scopes != ScopeSet::default() {
        defaults.push(entry.default_scopes.to_string());
    }
    defaults.extend(entry.default_budget.as_deref().map(|caps| format!("budget {}", caps_text(caps))));
    let defaults = if defaults.is_empty() { String::new() } else { format!("  (default: {})", defaults.join("; ")) };
    format!("{}  {}{defaults}", entry.resource, entry.scopes)
}

fn role(grant: &RoleGrant) -> String {
    match &grant.owner {
        Some(owner) => format!("{}:{owner}", word(&grant.role)),
        None => word(&grant.role),
    }
}

fn end(now: i64, at: i64) -> String {
    let verb = if now < at { "ends" } else { "ended" };
    format!("{verb} {} ({})", instant(at), relative(now, at))
}
