//! `stipend credential release` and `unwrap`: what an agent does, with a token of its own for
//! the one credential. What was released goes to standard output, all else beside it.

use super::Session;
use super::error::CliError;
use super::oauth::{self, Wanted};
use super::parse;
use super::print::moment;
use crate::custody::{CredentialValue, ReleaseMode, SCOPE_RELEASE};
use serde::Deserialize;
use serde_json::{Value, json};
use stipend_keys::Secret;
use stipend_token::constraint::{Action, Constraints, CredentialRelease};
use url::Url;

/// The key-release service as a resource.
pub fn resource(issuer: &str) -> String {
    format!("{issuer}/credentials")
}

/// The answer as far as people read it.
#[derive(Deserialize)]
struct Released {
    credential: String,
    version: i64,
    mode: ReleaseMode,
    cache_until: Option<i64>,
    dry_run: Option<bool>,
    value: Option<CredentialValue>,
    reference: Option<String>,
    jwe: Option<String>,
}

pub async fn release(
    session: &Session<'_>,
    credential: &str,
    mode: ReleaseMode,
    dry_run: bool,
) -> Result<(), CliError> {
    let named = CredentialRelease::new(credential, vec![Action::Release], Constraints::default());
    let named = named.map_err(|error| CliError::usage(format!("{credential}: {error}")))?;
    // Not more than the one credential: what is not asked for can't be lost.
    let details = json!([named]).to_string();
    let body = json!({ "mode": mode, "dry_run": dry_run });
    let answer = call(session, &[credential, "release"], Some(&details), &body).await?;
    print(session, &answer)
}

pub async fn unwrap(session: &Session<'_>, reference: &str) -> Result<(), CliError> {
    let body = json!({ "reference": parse::token(reference)? });
    let answer = call(session, &["unwrap"], None, &body).await?;
    print(session, &answer)
}

async fn call(session: &Session<'_>, path: &[&str], details: Option<&str>, body: &Value) -> Result<Value, CliError> {
    let (api, connection) = (&session.api, session.api.connection);
    let secret = connection.load_secret()?;
    let endpoint = &api.metadata().await?.token_endpoint;
    let resources = [resource(&connection.issuer)];
    let wanted = Wanted { resources: &resources, scopes: &[SCOPE_RELEASE.to_owned()], details };
    let client = (connection.client_id.as_str(), &secret);
    let token = oauth::client_credentials(&api.http, endpoint, client, wanted).await?.access_token;
    let [base] = resources;
    let mut url = Url::parse(&base).map_err(|_| CliError::usage("--issuer is not a URL"))?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.extend(path);
    }
    let (status, answer) = oauth::send(&api.http, api.http.post(url).bearer_auth(token.expose()).json(body)).await?;
    if status == 200 { Ok(answer) } else { Err(refusal(status, &answer)) }
}

fn refusal(status: u16, answer: &Value) -> CliError {
    let text = |name| answer.get(name).and_then(Value::as_str);
    let error = CliError::from_oauth(status, text("error").unwrap_or("unexpected_answer"), text("error_description"));
    match (text("constraint"), text("reason")) {
        (Some(constraint), Some(reason)) => {
            CliError { message: format!("{}: {constraint} {reason}", error.message), ..error }
        }
        _ => error,
    }
}

fn print(session: &Session<'_>, answer: &Value) -> Result<(), CliError> {
    let out = session.out;
    if out.json {
        out.value(answer);
        return Ok(());
    }
    // Not `api::read`: it would be a second copy of the value.
    let released = Released::deserialize(answer)
        .map_err(|_| CliError::failed("unexpected_answer", "the server's answer is not what this version knows"))?;
    let what = format!("{}, version {}, {}", released.credential, released.version, released.mode.as_str());
    if released.dry_run == Some(true) {
        out.line(format!("Would be released: {what}."));
        return Ok(());
    }
    let until = released.cache_until.map(|at| moment(session.now, at)).unwrap_or_default();
    let kept = if released.reference.is_some() { "works once, and what it yields is to be kept" } else { "keep it" };
    out.note(format!("{what}; {kept} until {until}"));
    match (&released.value, released.reference, released.jwe) {
        (Some(value), _, _) => out.line(clear(value).expose()),
        (None, Some(text), _) | (None, None, Some(text)) => out.line(text),
        (None, None, None) => {}
    }
    Ok(())
}

/// An API key as it is, anything else as JSON.
fn clear(value: &CredentialValue) -> Secret<String> {
    match value {
        CredentialValue::ApiKey { key } => Secret::new(key.clone()),
        _ => Secret::new(String::from_utf8_lossy(value.to_json().expose()).into_owned()),
    }
}
