//! `stipend registration-token`.

use super::Session;
use super::agent::with_defaults;
use super::api::read;
use super::error::CliError;
use super::parse;
use super::print::{Paint, moment, relative, word};
use super::resource::environment;
use crate::admin::api::{ChangeState, NewRegistrationToken, RegistrationToken, RegistrationTokenCreated};
use crate::grant::GRANT_TYPES;
use crate::limits::DEFAULT_TTL_SECONDS;
use crate::records::{AuthMethod, ClientSettings};
use crate::registration::Template;
use clap::{Args, Subcommand};
use stipend_token::Environment;
use stipend_token::access::AccessEntry;

const AUTH_METHODS: &[&str] =
    &["private_key_jwt", "client_secret_basic", "client_secret_post", "tls_client_auth", "self_signed_tls_client_auth"];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a token that lets a program register clients; it is shown once
    #[command(
        after_help = "Example:\n  stipend registration-token create --owner payments --name ci --uses 20 --life 7d \\\n      --access https://orders.example=orders:read --auth private_key_jwt"
    )]
    Create(Box<Create>),
    /// List registration tokens
    List,
    /// Show one
    Show {
        /// Its id
        token: String,
    },
    /// End one at once: it registers nobody any more
    Revoke {
        /// Its id
        token: String,
        /// Why, for the audit
        #[arg(long)]
        reason: Option<String>,
    },
}

#[derive(Args, Debug)]
pub struct Create {
    /// The owner whose clients it registers
    #[arg(long)]
    owner: String,
    /// What people call it
    #[arg(long)]
    name: String,
    /// What each client may get tokens for, at most; may be repeated, the first is the default
    #[arg(long, value_name = "URI=SCOPE,…", value_parser = parse::access, required = true)]
    access: Vec<AccessEntry>,
    /// What a request without `scope` gets there; nothing where left out. May be repeated
    #[arg(long, value_name = "URI=SCOPE,…", value_parser = parse::access)]
    defaults: Vec<AccessEntry>,
    /// How clients may authenticate; private_key_jwt and client_secret_basic where left out. May be repeated
    #[arg(long, value_name = "METHOD", value_parser = parse::words::<AuthMethod>(AUTH_METHODS))]
    auth: Vec<AuthMethod>,
    /// A grant that clients may use; every one where left out. May be repeated
    #[arg(long, value_name = "GRANT")]
    grant_type: Vec<String>,
    /// live or sandbox
    #[arg(long, value_parser = environment, default_value = "live")]
    environment: Environment,
    /// Life of the clients' tokens (300, 5m); 5 minutes where left out
    #[arg(long, value_parser = parse::duration)]
    ttl: Option<i64>,
    /// Life of the clients' secrets; 90d where left out
    #[arg(long, value_name = "LIFE", value_parser = parse::duration)]
    secret_life: Option<i64>,
    /// How long each client lives; for ever where left out
    #[arg(long, value_name = "LIFE", value_parser = parse::duration)]
    client_life: Option<i64>,
    /// Settings that all clients have, as JSON: {"dpop_bound_access_tokens":true}
    #[arg(long, value_name = "JSON", value_parser = parse::settings, default_value = "{}")]
    settings: ClientSettings,
    /// How many clients it registers; one where left out
    #[arg(long)]
    uses: Option<i64>,
    /// Its own life; a day where left out
    #[arg(long, value_parser = parse::duration)]
    life: Option<i64>,
}

pub async fn run(session: &Session<'_>, command: Command) -> Result<(), CliError> {
    let api = &session.api;
    let answer = match command {
        Command::List => return list(session).await,
        Command::Create(new) => return create(session, *new).await,
        Command::Show { token } => api.get(&["registration-tokens", &token]).await?,
        Command::Revoke { token, reason } => {
            api.post(&["registration-tokens", &token, "revoke"], &ChangeState { reason }).await?
        }
    };
    session.show(&answer, |token: RegistrationToken| show(session, token))
}

async fn create(session: &Session<'_>, new: Create) -> Result<(), CliError> {
    let usual = || vec![AuthMethod::PrivateKeyJwt, AuthMethod::ClientSecretBasic];
    let every = || GRANT_TYPES.map(str::to_owned).to_vec();
    let body = NewRegistrationToken {
        owner: new.owner,
        name: new.name,
        template: Template {
            access: with_defaults(new.access, new.defaults, Vec::new())?,
            auth_methods: if new.auth.is_empty() { usual() } else { new.auth },
            grant_types: if new.grant_type.is_empty() { every() } else { new.grant_type },
            environment: new.environment,
            ttl_seconds: new.ttl.unwrap_or(DEFAULT_TTL_SECONDS),
            secret_expires_in_seconds: new.secret_life,
            client_expires_in_seconds: new.client_life,
            settings: new.settings,
        },
        max_uses: new.uses,
        expires_in_seconds: new.life,
    };
    let answer = session.api.post(&["registration-tokens"], &body).await?;
    let out = session.out;
    if out.json {
        out.value(&answer);
        return Ok(());
    }
    let made: RegistrationTokenCreated = read(&answer)?;
    show(session, made.registration_token);
    out.line("");
    out.line(out.paint(Paint::Bold, "Its token, shown this once:"));
    out.line(format!("  {}", made.initial_access_token.expose()));
    Ok(())
}

async fn list(session: &Session<'_>) -> Result<(), CliError> {
    let out = session.out;
    let row = |token: RegistrationToken| {
        let uses = format!("{} of {}", token.uses, token.max_uses);
        let end = relative(session.now, token.expires_at);
        vec![token.id, token.owner, token.name, out.state(token.state.as_str()), uses, end]
    };
    let headings = ["TOKEN", "OWNER", "NAME", "STATE", "USED", "EXPIRES"];
    let empty = "No registration tokens. Make one with `stipend registration-token create`.";
    session.list(&["registration-tokens"], &headings, empty, row).await
}

fn show(session: &Session<'_>, token: RegistrationToken) {
    let (out, template) = (session.out, token.template);
    let access: Vec<String> =
        template.access.iter().map(|entry| format!("{}  {}", entry.resource, entry.scopes)).collect();
    let methods: Vec<String> = template.auth_methods.iter().map(word).collect();
    out.facts(&[
        ("registration token", token.id),
        ("owner", token.owner),
        ("name", token.name),
        ("state", out.state(token.state.as_str())),
        ("used", format!("{} of {}", token.uses, token.max_uses)),
        ("expires", moment(session.now, token.expires_at)),
        ("access", access.join("\n")),
        ("methods", methods.join("\n")),
        ("grants", template.grant_types.join("\n")),
        ("environment", template.environment.as_str().to_owned()),
        ("token life", format!("{} s", template.ttl_seconds)),
        ("made by", token.created_by),
        ("created", moment(session.now, token.created_at)),
    ]);
}
