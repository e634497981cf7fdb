//! `stipend issuer`: issuers that are not ours, and what their tokens are believed for. (No
//! argument here may be called `issuer`: that is the server's own, of every command.)

use super::Session;
use super::api::read;
use super::error::CliError;
use super::parse;
use super::print::{moment, word};
use super::resource::environment;
use crate::admin::api::{ChangeState, Issuer, NewIssuer, PatchIssuer};
use crate::federation::{AdminLogin, ClaimMapping, IssuerKind, IssuerUse, KeySource};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use stipend_keys::Algorithm;
use stipend_token::Environment;

const USES: &[&str] = &["subject_token", "client_assertion", "id_jag", "admin_login"];

const TRUST_EXAMPLES: &str = "\
Examples:
  stipend issuer trust https://login.example --owner payments --use subject_token \\
      --audience stipend --require email_verified=true
  stipend issuer trust https://token.actions.githubusercontent.com --owner ci --use client_assertion
  stipend issuer trust spiffe://prod.example --owner platform --use client_assertion \\
      --jwks-uri https://spire.example/bundle

Its keys come from its metadata (OpenID Connect Discovery), unless --jwks-uri or --jwks says
otherwise. Nobody is let in by this alone: `stipend rule create --subject ISSUER` does that";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Trust an issuer; nothing happens when it is there already
    #[command(after_help = TRUST_EXAMPLES)]
    Trust(Trust),
    /// List trusted issuers
    List,
    /// Show one trusted issuer
    Show {
        /// Its id, or its name in tokens
        #[arg(value_name = "ISSUER")]
        trusted: String,
    },
    /// Change what an issuer is trusted for, and how its tokens are read
    Update(Update),
    /// Switch an issuer on again, for tokens that it makes from now on
    Enable {
        /// Its id, or its name in tokens
        #[arg(value_name = "ISSUER")]
        trusted: String,
    },
    /// Switch an issuer off: what came of its tokens is dead at once, and stays so
    Disable {
        /// Its id, or its name in tokens
        #[arg(value_name = "ISSUER")]
        trusted: String,
        /// Why, for the audit
        #[arg(long)]
        reason: Option<String>,
    },
    /// Trust an issuer no more: what came of its tokens is dead at once
    Remove {
        /// Its id, or its name in tokens
        #[arg(value_name = "ISSUER")]
        trusted: String,
    },
}

#[derive(Args, Debug)]
pub struct Trust {
    /// The `iss` of its tokens, byte for byte; spiffe://NAME for a SPIFFE trust domain
    #[arg(value_name = "ISSUER")]
    trusted: String,
    /// The owner it belongs to
    #[arg(long)]
    owner: String,
    /// What people call it; the issuer where left out
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    keys: Keys,
    /// What its tokens may be used for; may be repeated
    #[arg(long = "use", value_name = "USE", required = true, value_parser = parse::words::<IssuerUse>(USES))]
    uses: Vec<IssuerUse>,
    /// What `aud` of its tokens may say; may be repeated
    #[arg(long = "audience", value_name = "AUD")]
    audiences: Vec<String>,
    /// An algorithm it may sign with; all that are known where left out. May be repeated
    #[arg(long = "algorithm", value_name = "ALG", value_parser = algorithm)]
    algorithms: Vec<Algorithm>,
    #[command(flatten)]
    claims: Claims,
    /// A host beside its own that its keys may be fetched from; may be repeated
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// live or sandbox; both where left out
    #[arg(long, value_parser = environment)]
    environment: Option<Environment>,
}

#[derive(Args, Debug)]
pub struct Keys {
    /// Where its keys are published
    #[arg(long, value_name = "URL", conflicts_with = "jwks")]
    jwks_uri: Option<String>,
    /// A file with its keys, as a JWK set
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Claims {
    /// The claim that names the subject; `sub` where left out
    #[arg(long, value_name = "CLAIM")]
    subject_claim: Option<String>,
    /// Of an issuer with many tenants, the claim that names the subject's
    #[arg(long, value_name = "CLAIM")]
    tenant_claim: Option<String>,
    /// A claim that must have this value; may be repeated, for other values of it as well
    #[arg(long, value_name = "CLAIM=VALUE", value_parser = parse::claim)]
    require: Vec<(String, String)>,
    /// Who of its people administers this server, as JSON:
    /// {"audiences":["console"],"roles":[{"claim":"groups","value":"leads","role":"owner-admin","owner":"payments"}]}
    #[arg(long, value_name = "JSON", value_parser = parse::admin_login)]
    admin_login: Option<AdminLogin>,
}

#[derive(Args, Debug)]
pub struct Update {
    /// Its id, or its name in tokens
    #[arg(value_name = "ISSUER")]
    trusted: String,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    keys: Keys,
    /// Take its keys from its metadata
    #[arg(long, conflicts_with_all = ["jwks_uri", "jwks"])]
    discovery: bool,
    /// All that its tokens may be used for; may be repeated
    #[arg(long = "use", value_name = "USE", value_parser = parse::words::<IssuerUse>(USES))]
    uses: Vec<IssuerUse>,
    /// All that `aud` of its tokens may say; may be repeated
    #[arg(long = "audience", value_name = "AUD")]
    audiences: Vec<String>,
    /// All algorithms it may sign with; may be repeated
    #[arg(long = "algorithm", value_name = "ALG", value_parser = algorithm)]
    algorithms: Vec<Algorithm>,
    #[command(flatten)]
    claims: Claims,
    /// Read its claims as if nothing had been said of them
    #[arg(long, conflicts_with_all = ["subject_claim", "tenant_claim", "require", "admin_login"])]
    no_mapping: bool,
    /// All hosts beside its own that its keys may be fetched from; may be repeated
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    text.parse().map_err(|_| "ES256, EdDSA, PS256 or RS256".to_owned())
}

impl Keys {
    fn source(&self) -> Result<Option<KeySource>, CliError> {
        match (&self.jwks_uri, &self.jwks) {
            (Some(url), _) => Ok(Some(KeySource::JwksUri(url.clone()))),
            (None, Some(path)) => Ok(Some(KeySource::Jwks(parse::object_file(path)?))),
            (None, None) => Ok(None),
        }
    }
}

impl Claims {
    /// What is said of claims; `None` where nothing is.
    fn mapping(self) -> Option<ClaimMapping> {
        let mut required: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in self.require {
            required.entry(name).or_default().push(value);
        }
        let mapping = ClaimMapping {
            subject: self.subject_claim,
            tenant: self.tenant_claim,
            required,
            admin_login: self.admin_login,
        };
        (mapping != ClaimMapping::default()).then_some(mapping)
    }
}

pub async fn run(session: &Session<'_>, command: Command) -> Result<(), CliError> {
    let api = &session.api;
    let answer = match command {
        Command::List => return list(session).await,
        Command::Remove { trusted } => return remove(session, trusted).await,
        Command::Trust(new) => trust(session, new).await?,
        Command::Show { trusted } => api.get(&["issuers", &id_of(session, trusted).await?]).await?,
        Command::Update(update) => change(session, update).await?,
        Command::Disable { trusted, reason } => {
            let id = id_of(session, trusted).await?;
            api.post(&["issuers", &id, "disable"], &ChangeState { reason }).await?
        }
        Command::Enable { trusted } => {
            let id = id_of(session, trusted).await?;
            api.post(&["issuers", &id, "enable"], &ChangeState::default()).await?
        }
    };
    show(session, &answer)
}

async fn trust(session: &Session<'_>, new: Trust) -> Result<Value, CliError> {
    let spiffe = new.trusted.starts_with("spiffe://");
    let body = NewIssuer {
        owner: new.owner,
        issuer: new.trusted,
        kind: if spiffe { IssuerKind::Spiffe } else { IssuerKind::Oidc },
        name: new.name,
        keys: new.keys.source()?.unwrap_or(KeySource::Discovery),
        audiences: new.audiences,
        algorithms: given(new.algorithms),
        uses: new.uses,
        mapping: new.claims.mapping().unwrap_or_default(),
        hosts: new.hosts,
        environment: new.environment,
    };
    session.api.post(&["issuers"], &body).await
}

async fn change(session: &Session<'_>, update: Update) -> Result<Value, CliError> {
    let id = id_of(session, update.trusted).await?;
    let patch = PatchIssuer {
        name: update.name,
        keys: update.keys.source()?.or(update.discovery.then_some(KeySource::Discovery)),
        audiences: given(update.audiences),
        algorithms: given(update.algorithms),
        uses: given(update.uses),
        mapping: update.claims.mapping().or(update.no_mapping.then(ClaimMapping::default)),
        hosts: given(update.hosts),
        environment: None,
    };
    session.api.patch(&["issuers", &id], &patch).await
}

fn given<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}

async fn remove(session: &Session<'_>, issuer: String) -> Result<(), CliError> {
    let id = id_of(session, issuer).await?;
    let answer = session.api.delete(&["issuers", &id]).await?;
    if session.out.json {
        session.out.value(&answer);
    } else {
        session.out.line(format_args!("{id} is gone, and what came of its tokens is dead."));
    }
    Ok(())
}

/// People know an issuer by its name in tokens; the API by its id.
pub async fn id_of(session: &Session<'_>, name: String) -> Result<String, CliError> {
    if !name.contains(':') {
        return Ok(name);
    }
    for item in session.api.list(&["issuers"]).await? {
        let issuer: Issuer = read(&item)?;
        if issuer.issuer == name {
            return Ok(issuer.id);
        }
    }
    Err(CliError::failed("not_found", format!("no issuer {name}")).hint("`stipend issuer list` shows what you may see"))
}

fn words<T: serde::Serialize>(items: &[T]) -> String {
    items.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn source(keys: &KeySource) -> String {
    match keys {
        KeySource::Discovery => "its metadata".to_owned(),
        KeySource::JwksUri(url) => url.clone(),
        KeySource::Jwks(_) => "registered here".to_owned(),
    }
}

/// Which claims make somebody what.
fn administers(login: &AdminLogin) -> String {
    let each = login.roles.iter().map(|one| {
        let over = one.owner.as_deref().map(|owner| format!(":{owner}")).unwrap_or_default();
        format!("{}={} is {}{over}", one.claim, one.value, word(&one.role))
    });
    each.collect::<Vec<_>>().join("\n")
}

async fn list(session: &Session<'_>) -> Result<(), CliError> {
    let out = session.out;
    let row = |issuer: Issuer| {
        vec![issuer.id, issuer.issuer, issuer.owner, words(&issuer.uses), out.state(issuer.state.as_str())]
    };
    let headings = ["ID", "ISSUER", "OWNER", "USES", "STATE"];
    session.list(&["issuers"], &headings, "No issuers. Trust one with `stipend issuer trust`.", row).await
}

fn show(session: &Session<'_>, answer: &Value) -> Result<(), CliError> {
    let out = session.out;
    session.show(answer, |issuer: Issuer| {
        let mapping = &issuer.mapping;
        let required = mapping.required.iter().map(|(name, values)| format!("{name}={}", values.join("|")));
        out.facts(&[
            ("issuer", issuer.issuer.clone()),
            ("id", issuer.id.clone()),
            ("owner", issuer.owner.clone()),
            ("name", issuer.name.clone()),
            ("kind", word(&issuer.kind)),
            ("state", out.state(issuer.state.as_str())),
            ("uses", words(&issuer.uses)),
            ("keys", source(&issuer.keys)),
            ("hosts", issuer.hosts.join(" ")),
            ("algorithms", words(&issuer.algorithms)),
            ("audiences", issuer.audiences.join("\n")),
            ("subject", mapping.subject.clone().unwrap_or_else(|| "sub".to_owned())),
            ("tenant", mapping.tenant.clone().unwrap_or_default()),
            ("requires", required.collect::<Vec<_>>().join("\n")),
            ("administers", mapping.admin_login.as_ref().map(administers).unwrap_or_default()),
            ("environment", issuer.environment.map_or("any", Environment::as_str).to_owned()),
            ("made by", issuer.created_by.clone()),
            ("created", moment(session.now, issuer.created_at)),
            ("changed", moment(session.now, issuer.updated_at)),
        ]);
    })
}
