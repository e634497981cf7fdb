//! `stipend resource`.

use super::Session;
use super::api::read;
use super::error::CliError;
use super::parse;
use super::print::moment;
use crate::admin::api::{ChangeState, NewResource, PatchResource, Resource};
use clap::{Args, Subcommand};
use serde_json::Value;
use stipend_token::{Audience, Environment, ScopeSet};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Register a resource; nothing happens when it is there already
    #[command(
        after_help = "Example:\n  stipend resource create https://orders.example --owner payments \\\n      --scopes orders:read,orders:refund --introspector payments.orders-api"
    )]
    Create(Create),
    /// List resources
    List,
    /// Show one resource
    Show {
        /// Its id or URI
        resource: String,
    },
    /// Change a resource
    Update(Update),
    /// Switch a resource off: its tokens are dead at once
    Disable {
        /// Its id or URI
        resource: String,
        /// Why, for the audit
        #[arg(long)]
        reason: Option<String>,
    },
    /// Switch a resource on again
    Enable {
        /// Its id or URI
        resource: String,
    },
}

#[derive(Args, Debug)]
pub struct Create {
    /// The `aud` of its tokens: an absolute URI
    uri: String,
    /// The owner it belongs to
    #[arg(long)]
    owner: String,
    /// What people call it; the URI where left out
    #[arg(long)]
    name: Option<String>,
    /// Its scopes, separated by commas
    #[arg(long, value_parser = parse::scope_set)]
    scopes: ScopeSet,
    /// A service client that may introspect its tokens; may be repeated
    #[arg(long, value_name = "CLIENT")]
    introspector: Vec<String>,
    /// live or sandbox; both where left out
    #[arg(long, value_parser = environment)]
    environment: Option<Environment>,
    /// Longest life of its tokens (300, 5m)
    #[arg(long, value_parser = parse::duration)]
    ttl: Option<i64>,
    /// It settles budgets exactly
    #[arg(long)]
    budget_capable: bool,
    /// Publish the status of its tokens, for services that verify them by themselves
    #[arg(long)]
    status_list: bool,
}

#[derive(Args, Debug)]
pub struct Update {
    /// Its id or URI
    resource: String,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// All its scopes, separated by commas
    #[arg(long, value_parser = parse::scope_set)]
    scopes: Option<ScopeSet>,
    /// All service clients that may introspect its tokens, separated by commas
    #[arg(long, value_name = "CLIENTS", value_delimiter = ',')]
    introspectors: Option<Vec<String>>,
    /// Longest life of its tokens (300, 5m)
    #[arg(long, value_parser = parse::duration)]
    ttl: Option<i64>,
    /// Whether it settles budgets exactly
    #[arg(long, value_name = "BOOL")]
    budget_capable: Option<bool>,
    /// Whether the status of its tokens is published
    #[arg(long, value_name = "BOOL")]
    status_list: Option<bool>,
}

pub fn environment(text: &str) -> Result<Environment, String> {
    Environment::parse(text).ok_or_else(|| "live or sandbox".to_owned())
}

pub async fn run(session: &Session<'_>, command: Command) -> Result<(), CliError> {
    let api = &session.api;
    let answer = match command {
        Command::List => return list(session).await,
        Command::Create(new) => create(session, new).await?,
        Command::Show { resource } => api.get(&["resources", &id_of(session, resource).await?]).await?,
        Command::Update(update) => {
            let id = id_of(session, update.resource).await?;
            let patch = PatchResource {
                name: update.name,
                scopes: update.scopes,
                introspectors: update.introspectors,
                ttl_seconds: update.ttl,
                budget_capable: update.budget_capable,
                status_list: update.status_list,
                ..PatchResource::default()
            };
            api.patch(&["resources", &id], &patch).await?
        }
        Command::Disable { resource, reason } => {
            let id = id_of(session, resource).await?;
            api.post(&["resources", &id, "disable"], &ChangeState { reason }).await?
        }
        Command::Enable { resource } => {
            let id = id_of(session, resource).await?;
            api.post(&["resources", &id, "enable"], &ChangeState::default()).await?
        }
    };
    show(session, &answer)
}

async fn create(session: &Session<'_>, new: Create) -> Result<Value, CliError> {
    let uri = Audience::parse(&new.uri).map_err(|error| CliError::usage(format!("{}: {error}", new.uri)))?;
    let body = NewResource {
        owner: new.owner,
        name: new.name.unwrap_or_else(|| uri.to_string()),
        uri,
        scopes: new.scopes,
        environment: new.environment,
        ttl_seconds: new.ttl,
        introspectors: new.introspector,
        budget_capable: new.budget_capable,
        status_list: new.status_list,
    };
    session.api.post(&["resources"], &body).await
}

/// People know a resource by its URI; the API by its id.
async fn id_of(session: &Session<'_>, name: String) -> Result<String, CliError> {
    if !name.contains(':') {
        return Ok(name);
    }
    let wanted = Audience::parse(&name).map_err(|error| CliError::usage(format!("{name}: {error}")))?;
    for item in session.api.list(&["resources"]).await? {
        let resource: Resource = read(&item)?;
        if resource.uri == wanted {
            return Ok(resource.id);
        }
    }
    Err(CliError::failed("not_found", format!("no resource {name}"))
        .hint("`stipend resource list` shows what you may see"))
}

async fn list(session: &Session<'_>) -> Result<(), CliError> {
    let out = session.out;
    let row = |resource: Resource| {
        vec![
            resource.uri.to_string(),
            resource.owner,
            resource.scopes.to_string(),
            resource.environment.map_or("any", Environment::as_str).to_owned(),
            out.state(resource.state.as_str()),
        ]
    };
    let headings = ["RESOURCE", "OWNER", "SCOPES", "ENV", "STATE"];
    session.list(&["resources"], &headings, "No resources. Make one with `stipend resource create`.", row).await
}

fn show(session: &Session<'_>, answer: &Value) -> Result<(), CliError> {
    let out = session.out;
    session.show(answer, |resource: Resource| {
        out.facts(&[
            ("resource", resource.uri.to_string()),
            ("id", resource.id),
            ("owner", resource.owner),
            ("name", resource.name),
            ("state", out.state(resource.state.as_str())),
            ("scopes", resource.scopes.to_string()),
            ("environment", resource.environment.map_or("any", Environment::as_str).to_owned()),
            ("token life", format!("{} s at most", resource.ttl_seconds)),
            ("status list", if resource.status_list { "yes" } else { "no" }.to_owned()),
            ("introspectors", resource.introspectors.join("\n")),
            ("created", moment(session.now, resource.created_at)),
            ("changed", moment(session.now, resource.updated_at)),
        ]);
    })
}
