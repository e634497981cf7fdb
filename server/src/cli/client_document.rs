//! `stipend client-document`.

use super::Session;
use super::agent::with_defaults;
use super::error::CliError;
use super::parse;
use super::print::{moment, word};
use super::resource::environment;
use crate::admin::api::{ChangeState, ClientDocument, NewClientDocument};
use crate::documents::{Covers, DocumentTemplate};
use crate::grant::GRANT_TYPES;
use crate::limits::DEFAULT_TTL_SECONDS;
use crate::records::ClientSettings;
use clap::{Args, Subcommand};
use stipend_token::Environment;
use stipend_token::access::AccessEntry;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Admit a metadata document, or all under a prefix, as clients of an owner
    #[command(
        after_help = "Example:\n  stipend client-document create --owner payments --name tools \\\n      --url https://tools.example/agents/ --prefix --clients 20 --access https://orders.example=orders:read"
    )]
    Create(Box<Create>),
    /// List what is admitted
    List,
    /// Show one
    Show {
        /// Its id
        document: String,
    },
    /// Stop all its clients, for now
    Suspend(Named),
    /// Let the clients in again that were stopped with it
    Resume(Named),
    /// Revoke it and all its clients, for ever
    Revoke(Named),
}

#[derive(Args, Debug)]
pub struct Named {
    /// Its id
    document: String,
    /// Why, for the audit
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Args, Debug)]
pub struct Create {
    /// The owner whose clients they are
    #[arg(long)]
    owner: String,
    /// What people call it
    #[arg(long)]
    name: String,
    /// The document's URL, to the byte
    #[arg(long)]
    url: String,
    /// All documents whose URLs begin with it; it ends with a slash
    #[arg(long)]
    prefix: bool,
    /// How many clients come of it; one where left out
    #[arg(long)]
    clients: Option<i64>,
    /// What each client may get tokens for; may be repeated, the first is the default
    #[arg(long, value_name = "URI=SCOPE,…", value_parser = parse::access, required = true)]
    access: Vec<AccessEntry>,
    /// What a request without `scope` gets there; nothing where left out. May be repeated
    #[arg(long, value_name = "URI=SCOPE,…", value_parser = parse::access)]
    defaults: Vec<AccessEntry>,
    /// A grant that clients may use; every one where left out. May be repeated
    #[arg(long, value_name = "GRANT")]
    grant_type: Vec<String>,
    /// live or sandbox
    #[arg(long, value_parser = environment, default_value = "live")]
    environment: Environment,
    /// Life of the clients' tokens (300, 5m); 5 minutes where left out
    #[arg(long, value_parser = parse::duration)]
    ttl: Option<i64>,
    /// How long each client lives; for ever where left out
    #[arg(long, value_name = "LIFE", value_parser = parse::duration)]
    client_life: Option<i64>,
    /// Settings that all clients have, as JSON: {"dpop_bound_access_tokens":true}
    #[arg(long, value_name = "JSON", value_parser = parse::settings, default_value = "{}")]
    settings: ClientSettings,
}

pub async fn run(session: &Session<'_>, command: Command) -> Result<(), CliError> {
    let api = &session.api;
    let answer = match command {
        Command::List => return list(session).await,
        Command::Create(new) => api.post(&["client-documents"], &body(*new)?).await?,
        Command::Show { document } => api.get(&["client-documents", &document]).await?,
        Command::Suspend(named) => change(session, named, "suspend").await?,
        Command::Resume(named) => change(session, named, "resume").await?,
        Command::Revoke(named) => change(session, named, "revoke").await?,
    };
    session.show(&answer, |document: ClientDocument| show(session, document))
}

async fn change(session: &Session<'_>, named: Named, verb: &str) -> Result<serde_json::Value, CliError> {
    let path = ["client-documents", &named.document, verb];
    session.api.post(&path, &ChangeState { reason: named.reason }).await
}

fn body(new: Create) -> Result<NewClientDocument, CliError> {
    let every = || GRANT_TYPES.map(str::to_owned).to_vec();
    Ok(NewClientDocument {
        owner: new.owner,
        name: new.name,
        url: new.url,
        covers: Some(if new.prefix { Covers::Prefix } else { Covers::One }),
        template: DocumentTemplate {
            access: with_defaults(new.access, new.defaults, Vec::new())?,
            grant_types: if new.grant_type.is_empty() { every() } else { new.grant_type },
            environment: new.environment,
            ttl_seconds: new.ttl.unwrap_or(DEFAULT_TTL_SECONDS),
            client_expires_in_seconds: new.client_life,
            settings: new.settings,
        },
        max_clients: new.clients,
    })
}

async fn list(session: &Session<'_>) -> Result<(), CliError> {
    let out = session.out;
    let row = |document: ClientDocument| {
        let clients = format!("{} of {}", document.clients, document.max_clients);
        let state = out.state(document.state.as_str());
        vec![document.id, document.owner, document.name, reach(&document.url, document.covers), state, clients]
    };
    let headings = ["DOCUMENT", "OWNER", "NAME", "URL", "STATE", "CLIENTS"];
    let empty = "No client documents. Admit one with `stipend client-document create`.";
    session.list(&["client-documents"], &headings, empty, row).await
}

/// A prefix as people write one.
fn reach(url: &str, covers: Covers) -> String {
    match covers {
        Covers::One => url.to_owned(),
        Covers::Prefix => format!("{url}*"),
    }
}

fn show(session: &Session<'_>, document: ClientDocument) {
    let (out, template) = (session.out, document.template);
    let access: Vec<String> =
        template.access.iter().map(|entry| format!("{}  {}", entry.resource, entry.scopes)).collect();
    out.facts(&[
        ("client document", document.id),
        ("owner", document.owner),
        ("name", document.name),
        ("url", document.url),
        ("covers", word(&document.covers)),
        ("state", out.state(document.state.as_str())),
        ("clients", format!("{} of {}", document.clients, document.max_clients)),
        ("access", access.join("\n")),
        ("grants", template.grant_types.join("\n")),
        ("environment", template.environment.as_str().to_owned()),
        ("token life", format!("{} s", template.ttl_seconds)),
        ("made by", document.created_by),
        ("created", moment(session.now, document.created_at)),
    ]);
}
