//! `stipend token`: what an agent and a relying service do, by hand.

use super::Session;
use super::details::{self, DetailsArgs};
use super::error::CliError;
use super::oauth::{self, ACCESS_TOKEN, Members, TOKEN_EXCHANGE, Wanted};
use super::parse;
use super::print::{moment, relative};
use crate::grant::{ID_JAG, JWT_BEARER};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use stipend_keys::Secret;
use stipend_relying::{Options, Verifier, require_scope};

/// Where a token says what it was granted of what was asked for.
const GRANTED: [&str; 2] = ["budget", "authorization_details"];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Get a token by client credentials (RFC 6749 section 4.4)
    #[command(
        after_help = "The token alone goes to standard output:\n  TOKEN=$(stipend token get --resource https://orders.example --scope orders:read)"
    )]
    Get(Get),
    /// Exchange a token for a narrower one (RFC 8693)
    Exchange(Exchange),
    /// Get a token for an assertion of another issuer (RFC 7523)
    JwtBearer(JwtBearer),
    /// Show what a token says, without believing it
    Show {
        /// The token; - reads it from standard input
        token: String,
    },
    /// Verify a token as a relying service would, by metadata and JWKS
    Verify {
        /// The token; - reads it from standard input
        token: String,
        /// The resource it must be for
        #[arg(long, value_name = "URI")]
        audience: String,
        /// A scope it must have; may be repeated
        #[arg(long)]
        scope: Vec<String>,
    },
    /// Ask the server whether a token is alive (RFC 7662); exit code 1 when not
    Introspect {
        /// The token; - reads it from standard input
        token: String,
    },
    /// Revoke a token and all that descend from it (RFC 7009)
    Revoke {
        /// The token; - reads it from standard input
        token: String,
    },
}

#[derive(Args, Debug)]
pub struct Get {
    /// A resource it is for; may be repeated. The client's first one where left out
    #[arg(long, value_name = "URI")]
    resource: Vec<String>,
    /// Its scopes, separated by commas. The client's defaults where left out
    #[arg(long, value_delimiter = ',')]
    scope: Vec<String>,
    #[command(flatten)]
    details: DetailsArgs,
}

#[derive(Args, Debug)]
pub struct Exchange {
    /// The token to exchange; - reads it from standard input
    subject_token: String,
    /// What it is: access_token, jwt or id_token. The last of another issuer only
    #[arg(long, value_name = "TYPE", default_value = "access_token", value_parser = ["access_token", "jwt", "id_token"])]
    subject_type: String,
    /// A token of the client itself, to prove who acts; - reads it from standard input
    #[arg(long, value_name = "TOKEN")]
    actor_token: Option<String>,
    /// A resource the new token is for; may be repeated. The subject token's where left out
    #[arg(long, value_name = "URI")]
    resource: Vec<String>,
    /// Its scopes, separated by commas
    #[arg(long, value_delimiter = ',')]
    scope: Vec<String>,
    /// Get an identity assertion grant for the authorization server with this issuer identifier,
    /// and no token; --resource is what is meant there
    #[arg(long, value_name = "ISSUER")]
    id_jag: Option<String>,
    #[command(flatten)]
    details: DetailsArgs,
}

#[derive(Args, Debug)]
pub struct JwtBearer {
    /// The assertion, such as an identity assertion grant; - reads it from standard input
    assertion: String,
    /// A resource the token is for; may be repeated. The assertion's where left out
    #[arg(long, value_name = "URI")]
    resource: Vec<String>,
    /// Its scopes, separated by commas
    #[arg(long, value_delimiter = ',')]
    scope: Vec<String>,
    #[command(flatten)]
    details: DetailsArgs,
}

pub async fn run(session: &Session<'_>, command: Command) -> Result<(), CliError> {
    match command {
        Command::Get(get) => get_token(session, &get).await,
        Command::Exchange(exchange) => exchange_token(session, &exchange).await,
        Command::JwtBearer(bearer) => jwt_bearer(session, &bearer).await,
        Command::Show { token } => show(session, &read_token(&token)?),
        Command::Verify { token, audience, scope } => verify(session, &read_token(&token)?, &audience, &scope).await,
        Command::Introspect { token } => introspect(session, &read_token(&token)?).await,
        Command::Revoke { token } => revoke(session, &read_token(&token)?).await,
    }
}

fn read_token(argument: &str) -> Result<Secret<String>, CliError> {
    parse::token(argument).map(Secret::new)
}

async fn get_token(session: &Session<'_>, get: &Get) -> Result<(), CliError> {
    let connection = session.api.connection;
    let secret = connection.load_secret()?;
    let endpoint = &session.api.metadata().await?.token_endpoint;
    let client = (connection.client_id.as_str(), &secret);
    let details = get.details.parameter();
    let wanted = Wanted { resources: &get.resource, scopes: &get.scope, details: details.as_deref() };
    let token = oauth::client_credentials(&session.api.http, endpoint, client, wanted).await?;
    let (life, scope) = (token.expires_in.unwrap_or_default(), token.scope.unwrap_or_default());
    let mut answer = json!({
        "access_token": token.access_token.expose(), "token_type": "Bearer", "expires_in": life, "scope": scope,
    });
    // The oauth2 crate reads the members of RFC 6749; what was granted is in the token as well.
    let claims = oauth::look_into(&token.access_token).map(|(_, claims)| claims).unwrap_or_default();
    if let Value::Object(members) = &mut answer {
        members.extend(claims.into_iter().filter(|(name, _)| GRANTED.contains(&name.as_str())));
    }
    print_token(session, &answer);
    Ok(())
}

async fn exchange_token(session: &Session<'_>, exchange: &Exchange) -> Result<(), CliError> {
    let subject = read_token(&exchange.subject_token)?;
    let actor = exchange.actor_token.as_deref().map(read_token).transpose()?;
    let scope = exchange.scope.join(" ");
    let subject_type = format!("urn:ietf:params:oauth:token-type:{}", exchange.subject_type);
    let mut form = vec![
        ("grant_type", TOKEN_EXCHANGE),
        ("subject_token", subject.expose().as_str()),
        ("subject_token_type", subject_type.as_str()),
    ];
    if let Some(actor) = &actor {
        form.extend([("actor_token", actor.expose().as_str()), ("actor_token_type", ACCESS_TOKEN)]);
    }
    if let Some(issuer) = &exchange.id_jag {
        form.extend([("requested_token_type", ID_JAG), ("audience", issuer.as_str())]);
    }
    form.extend(exchange.resource.iter().map(|resource| ("resource", resource.as_str())));
    if !scope.is_empty() {
        form.push(("scope", scope.as_str()));
    }
    let details = exchange.details.parameter();
    form.extend(details.as_deref().map(|details| ("authorization_details", details)));
    let answer = post(session, |metadata| &metadata.token_endpoint, &form).await?;
    print_token(session, &answer);
    Ok(())
}

async fn jwt_bearer(session: &Session<'_>, bearer: &JwtBearer) -> Result<(), CliError> {
    let assertion = read_token(&bearer.assertion)?;
    let scope = bearer.scope.join(" ");
    let mut form = vec![("grant_type", JWT_BEARER), ("assertion", assertion.expose().as_str())];
    form.extend(bearer.resource.iter().map(|resource| ("resource", resource.as_str())));
    if !scope.is_empty() {
        form.push(("scope", scope.as_str()));
    }
    let details = bearer.details.parameter();
    form.extend(details.as_deref().map(|details| ("authorization_details", details)));
    let answer = post(session, |metadata| &metadata.token_endpoint, &form).await?;
    print_token(session, &answer);
    Ok(())
}

/// Posts as the session's client.
async fn post(
    session: &Session<'_>,
    endpoint: impl Fn(&oauth::Metadata) -> &String,
    form: &[(&str, &str)],
) -> Result<Value, CliError> {
    let connection = session.api.connection;
    let secret = connection.load_secret()?;
    let url = endpoint(session.api.metadata().await?);
    oauth::form(&session.api.http, url, (connection.client_id.as_str(), &secret), form).await
}

/// The token on standard output, what is known of it on standard error.
fn print_token(session: &Session<'_>, answer: &Value) {
    if session.out.json {
        session.out.value(answer);
        return;
    }
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let life = answer.get("expires_in").and_then(Value::as_i64).unwrap_or_default();
    session.out.note(format!("for {life} s, scope {}", text("scope")));
    let granted = GRANTED.iter().filter_map(|name| answer.get(name).and_then(Value::as_array));
    for detail in granted.flatten() {
        session.out.note(details::describe(detail));
    }
    session.out.line(text("access_token"));
}

fn decode(token: &Secret<String>) -> Result<(Members, Members), CliError> {
    oauth::look_into(token).ok_or_else(|| CliError::failed("malformed", "this is no JWT"))
}

fn show(session: &Session<'_>, token: &Secret<String>) -> Result<(), CliError> {
    let (header, claims) = decode(token)?;
    if session.out.json {
        session.out.value(&json!({ "header": header, "claims": claims }));
        return Ok(());
    }
    session.out.note("not verified: `stipend token verify` does that");
    print_claims(session, header.iter().chain(&claims));
    Ok(())
}

fn print_claims<'a>(session: &Session<'_>, claims: impl Iterator<Item = (&'a String, &'a Value)>) {
    let facts: Vec<(&str, String)> = claims
        .map(|(name, value)| {
            let text = match (name.as_str(), value) {
                ("iat" | "exp" | "nbf", Value::Number(at)) => {
                    at.as_i64().map_or_else(|| at.to_string(), |at| format!("{at}  {}", moment(session.now, at)))
                }
                ("authorization_details", claim) => details::describe_claim(claim),
                (_, Value::String(text)) => text.clone(),
                (_, other) => other.to_string(),
            };
            (name.as_str(), text)
        })
        .collect();
    session.out.facts(&facts);
}

async fn verify(
    session: &Session<'_>,
    token: &Secret<String>,
    audience: &str,
    scopes: &[String],
) -> Result<(), CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::failed("not_valid", error.to_string());
    let connection = session.api.connection;
    let ca = connection.ca_file.as_deref().map(super::connect::read_text).transpose()?;
    let options = Options { ca_pem: ca.map(String::into_bytes), ..Options::default() };
    let verifier = Verifier::discover(&connection.issuer, audience, session.now, options)
        .await
        .map_err(|error| CliError::unreachable(error.to_string()))?;
    let verified = verifier.verify(token.expose(), session.now).await.map_err(|error| failed(&error))?;
    for scope in scopes {
        require_scope(&verified, scope).map_err(|error| failed(&error))?;
    }
    if session.out.json {
        session.out.value(&json!({ "valid": true, "claims": decode(token)?.1 }));
    } else {
        let left = relative(session.now, verified.exp);
        session.out.line(format!("Valid: {} for {audience}, expires {left}.", verified.sub));
    }
    Ok(())
}

async fn introspect(session: &Session<'_>, token: &Secret<String>) -> Result<(), CliError> {
    let form = [("token", token.expose().as_str())];
    let answer = post(session, |metadata| &metadata.introspection_endpoint, &form).await?;
    if session.out.json {
        session.out.value(&answer);
    } else if let Value::Object(claims) = &answer {
        print_claims(session, claims.iter());
    }
    if answer.get("active") == Some(&Value::Bool(true)) {
        return Ok(());
    }
    Err(CliError::failed("not_active", "the token is not active, or not for this client to ask about"))
}

async fn revoke(session: &Session<'_>, token: &Secret<String>) -> Result<(), CliError> {
    let form = [("token", token.expose().as_str())];
    post(session, |metadata| &metadata.revocation_endpoint, &form).await?;
    if session.out.json {
        session.out.value(&json!({ "revoked": true }));
    } else {
        session.out.line("Revoked, with all that descends from it.");
    }
    Ok(())
}
