//! `stipend serve`, `migrate`, `config`, `openapi`: what runs the server's own code here;
//! and `whoami`.

use super::Session;
use super::api::read;
use super::error::CliError;
use super::print::{Out, Paint, word};
use crate::admin;
use crate::admin::api::WhoAmI;
use crate::config::{CONFIG_FILE, Config, SETTINGS, Source};
use crate::records::RoleGrant;
use crate::run;
use serde_json::{Value, json};
use stipend_schema::{Db, Limits};

pub(super) fn config_of_process() -> Result<Config, CliError> {
    Config::from_env().map_err(|errors| {
        let hint = "`stipend config` shows every setting";
        CliError::usage(format!("the configuration has mistakes:\n  {}", errors.0.join("\n  "))).hint(hint)
    })
}

pub async fn serve() -> Result<(), CliError> {
    run::run(config_of_process()?).await.map_err(|error| CliError::failed("not_started", error.to_string()))
}

pub async fn migrate(out: Out) -> Result<(), CliError> {
    let config = config_of_process()?;
    let limits = Limits { pool_size: config.database_pool, ..Limits::default() };
    let failed = |error: stipend_schema::DbError| CliError::failed("database", error.to_string());
    let db = Db::connect(&config.database_url.0, limits).await.map_err(failed)?;
    db.migrate().await.map_err(failed)?;
    if out.json {
        out.value(&json!({ "migrated": true }));
    } else {
        out.line("The database is up to date.");
    }
    Ok(())
}

pub fn openapi(out: Out) -> Result<(), CliError> {
    let document =
        serde_json::to_value(admin::openapi()).map_err(|error| CliError::failed("openapi", error.to_string()))?;
    out.value(&document);
    Ok(())
}

/// Every setting with its value in effect, then whether the server would start with them.
pub fn config(out: Out) -> Result<(), CliError> {
    let mistakes = Config::from_env().err().map(|errors| errors.0).unwrap_or_default();
    // A file that can't be read is among the mistakes already.
    let source = Source::from_env().ok();
    let mut rows = Vec::with_capacity(SETTINGS.len());
    let mut members = serde_json::Map::new();
    for setting in SETTINGS {
        let value = source.as_ref().and_then(|source| source.shown(setting));
        let from = if value.is_some() { "set" } else { "default" };
        let value = value.or_else(|| setting.default.map(str::to_owned));
        members.insert(setting.env.to_owned(), value.clone().map_or(Value::Null, Value::from));
        rows.push(vec![setting.env.to_owned(), value.unwrap_or_default(), from.to_owned(), setting.about.to_owned()]);
    }
    if out.json {
        out.value(&json!({ "settings": members, "mistakes": mistakes }));
    } else {
        out.table(&["SETTING", "VALUE", "FROM", "MEANING"], rows, "");
        out.line(format!("\n{CONFIG_FILE} names a TOML file with the same names, lower case, without STIPEND_."));
    }
    if mistakes.is_empty() {
        return Ok(());
    }
    Err(CliError::failed("configuration", mistakes.join("\n")))
}

fn role(grant: &RoleGrant) -> String {
    let role = word(&grant.role);
    grant.owner.as_ref().map_or_else(|| role.clone(), |owner| format!("{role} of {owner}"))
}

pub async fn whoami(session: &Session<'_>) -> Result<(), CliError> {
    let answer = session.api.get(&["whoami"]).await?;
    let out = session.out;
    if out.json {
        out.value(&answer);
        return Ok(());
    }
    let who: WhoAmI = read(&answer)?;
    let roles = who.roles.iter().map(role).collect::<Vec<_>>().join("\n");
    out.facts(&[
        ("client", out.paint(Paint::Bold, who.client_id)),
        ("logged in at", who.person.as_ref().map(|person| person.issuer.clone()).unwrap_or_default()),
        ("owner", who.owner),
        ("issuer", session.api.connection.issuer.clone()),
        ("roles", roles),
        ("scopes", who.scopes.join(" ")),
    ]);
    Ok(())
}
