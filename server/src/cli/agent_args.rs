//! The arguments of `stipend agent`.

use super::parse;
use super::resource::environment;
use crate::admin::api::Severity;
use crate::records::{AuthMethod, ClientKind, ClientSettings, RoleGrant};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use stipend_token::access::AccessEntry;
use stipend_token::budget::BudgetCap;
use stipend_token::{Audience, Environment, ScopeSet};

const KINDS: &[&str] = &["agent", "service", "admin"];
const AUTH_METHODS: &[&str] = &[
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "federated_jwt",
    "spiffe_jwt",
    "spiffe_x509",
];
pub const SEVERITIES: &[&str] = &["low", "medium", "high", "critical"];

const CREATE_EXAMPLES: &str = "\
Examples:
  stipend agent create payments.refunds --access https://orders.example=orders:read,orders:refund
  stipend agent create payments.orders-api --kind service
  stipend agent create payments.planner --jwks planner.jwks.json --access https://orders.example=orders:read
  stipend agent create payments.ops --kind admin --role owner-admin:payments

The same command twice makes one agent; its secret is shown the first time only";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Register an agent, a relying service or an admin; nothing happens when it is there already
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Box<Create>),
    /// List agents, services and admins
    List,
    /// Show one, and whether it could get a token now
    Show {
        /// Its id: <owner>.<name>
        agent: String,
    },
    /// Change what is given; may widen
    #[command(
        after_help = "Example:\n  stipend agent update payments.refunds --purpose \"Refunds up to 100\" --ttl 2m"
    )]
    Update(Box<Update>),
    /// Take something away; refuses to widen, so it is safe to repeat
    #[command(
        after_help = "Example:\n  stipend agent narrow payments.refunds --access https://orders.example=orders:read --ttl 1m"
    )]
    Narrow(Narrow),
    /// Name the person who answers for it; where somebody does, it is offered
    #[command(after_help = "Example:\n  stipend agent transfer payments.refunds --to ann@payments.example")]
    Transfer {
        /// Its id
        agent: String,
        /// `user:<issuer>:<sub>` for one who can log in, or any name that people know
        #[arg(long, value_name = "PERSON")]
        to: String,
    },
    /// Accept what is offered: as that person, or as another admin than who offered it
    Accept {
        /// Its id
        agent: String,
    },
    /// Stop it and its tokens until it is resumed
    Suspend(Change),
    /// Let a suspended one go on
    Resume(Change),
    /// End it for good: its tokens, its credentials, itself
    #[command(
        after_help = "Example:\n  stipend agent revoke payments.refunds --reason \"key found in a log\" --severity high"
    )]
    Revoke(Revoke),
    /// Say how risky what it does is, for policies that look at it
    #[command(after_help = "Example:\n  stipend agent risk payments.refunds high --reason \"odd hours\" --for 2h")]
    Risk(Risk),
    /// File a revoked one away
    Retire(Change),
    /// Clone it under a new name, with credentials of its own
    #[command(after_help = "Example:\n  stipend agent reissue payments.refunds --name refunds-2")]
    Reissue(Reissue),
    /// Its secrets: two may be valid at once, the old and the new while rotating
    #[command(subcommand)]
    Secret(Secret),
    /// Its public keys, for private_key_jwt
    #[command(subcommand)]
    Key(Key),
}

#[derive(Args, Debug)]
pub struct Risk {
    /// Its id
    pub agent: String,
    /// low, medium or high; none takes away what was said
    #[arg(value_parser = ["low", "medium", "high", "none"])]
    pub level: String,
    /// Why, for the audit
    #[arg(long)]
    pub reason: Option<String>,
    /// How long it holds (2h, 7d); until it is said otherwise where left out
    #[arg(long = "for", value_name = "LIFE", value_parser = parse::duration)]
    pub life: Option<i64>,
}

#[derive(Args, Debug)]
pub struct Create {
    /// Its id: <owner>.<name>, each of a-z, 0-9 and -
    #[arg(value_parser = parse::client_id)]
    pub agent: (String, String),
    /// What it is
    #[arg(long, default_value = "agent", value_parser = parse::words::<ClientKind>(KINDS))]
    pub kind: ClientKind,
    /// What it is for
    #[arg(long, default_value = "", hide_default_value = true)]
    pub purpose: String,
    /// live or sandbox; live where left out
    #[arg(long, value_parser = environment)]
    pub environment: Option<Environment>,
    /// How it authenticates; private_key_jwt where --jwks is given, else client_secret_basic
    #[arg(long, value_name = "METHOD", value_parser = parse::words::<AuthMethod>(AUTH_METHODS))]
    pub auth: Option<AuthMethod>,
    /// What it may get tokens for; may be repeated, the first is the default resource. An admin
    /// gets the admin API where left out
    #[arg(long, value_name = "URI=SCOPE,…", value_parser = parse::access)]
    pub access: Vec<AccessEntry>,
    /// What a request without `scope` gets there; nothing where left out. May be repeated
    #[arg(long, value_name = "URI=SCOPE,…", value_parser = parse::access)]
    pub defaults: Vec<AccessEntry>,
    /// The budget there of a token that nothing was asked for; all its lines where left out. May be repeated
    #[arg(long, value_name = "URI=UNIT=AMOUNT", value_parser = parse::default_budget)]
    pub default_budget: Vec<(Audience, BudgetCap)>,
    /// The most it may ever hold, also by exchange, separated by commas
    #[arg(long, value_name = "SCOPES", value_parser = parse::scope_set)]
    pub ceiling: Option<ScopeSet>,
    /// Life of its tokens (300, 5m); 5 minutes where left out
    #[arg(long, value_parser = parse::duration)]
    pub ttl: Option<i64>,
    /// Who may act for it: client_id=, sub= or iss=; several must all fit
    #[arg(long, value_name = "CLAIM=VALUE", value_parser = parse::claim)]
    pub may_act: Vec<(String, String)>,
    /// A role of an admin: platform-admin, auditor, owner-admin:OWNER; may be repeated
    #[arg(long, value_parser = parse::role)]
    pub role: Vec<RoleGrant>,
    /// When it ends (2027-01-31, or a time)
    #[arg(long, value_name = "WHEN", value_parser = parse::instant)]
    pub expires_at: Option<i64>,
    /// A file with its public keys (JWK set)
    #[arg(long, value_name = "FILE")]
    pub jwks: Option<PathBuf>,
    /// Life of its first secret or its keys; 90d for a secret, 365d for keys where left out
    #[arg(long, value_name = "LIFE", value_parser = parse::duration)]
    pub secret_life: Option<i64>,
    /// Admit the token endpoint's URL as the audience of its assertions
    #[arg(long)]
    pub legacy_assertion_aud: bool,
    /// Its settings as JSON: {"dpop_bound_access_tokens":true}
    #[arg(long, value_name = "JSON", value_parser = parse::settings, default_value = "{}")]
    pub settings: ClientSettings,
}

#[derive(Args, Debug)]
pub struct Update {
    /// Its id
    pub agent: String,
    /// What it is for
    #[arg(long)]
    pub purpose: Option<String>,
    /// All it may get tokens for; may be repeated. Its defaults stay as far as they fit
    #[arg(long, value_name = "URI=SCOPE,…", value_parser = parse::access)]
    pub access: Vec<AccessEntry>,
    /// What a request without `scope` gets at a resource of --access; may be repeated
    #[arg(long, value_name = "URI=SCOPE,…", value_parser = parse::access, requires = "access")]
    pub defaults: Vec<AccessEntry>,
    /// The budget of a token that nothing was asked for, at a resource of --access; may be repeated
    #[arg(long, value_name = "URI=UNIT=AMOUNT", value_parser = parse::default_budget, requires = "access")]
    pub default_budget: Vec<(Audience, BudgetCap)>,
    /// The most it may ever hold, separated by commas
    #[arg(long, value_name = "SCOPES", value_parser = parse::scope_set)]
    pub ceiling: Option<ScopeSet>,
    /// No ceiling
    #[arg(long, conflicts_with = "ceiling")]
    pub no_ceiling: bool,
    /// Life of its tokens (300, 5m)
    #[arg(long, value_parser = parse::duration)]
    pub ttl: Option<i64>,
    /// Who may act for it: client_id=, sub= or iss=; several must all fit
    #[arg(long, value_name = "CLAIM=VALUE", value_parser = parse::claim)]
    pub may_act: Vec<(String, String)>,
    /// Nobody is named in its tokens' may_act
    #[arg(long, conflicts_with = "may_act")]
    pub no_may_act: bool,
    /// All its roles; may be repeated
    #[arg(long, value_parser = parse::role)]
    pub role: Vec<RoleGrant>,
    /// No roles
    #[arg(long, conflicts_with = "role")]
    pub no_roles: bool,
    /// When it ends (2027-01-31, or a time)
    #[arg(long, value_name = "WHEN", value_parser = parse::instant)]
    pub expires_at: Option<i64>,
    /// It does not end by itself
    #[arg(long, conflicts_with = "expires_at")]
    pub no_expiry: bool,
    /// Whether the token endpoint's URL is admitted as the audience of its assertions
    #[arg(long, value_name = "BOOL")]
    pub legacy_assertion_aud: Option<bool>,
    /// All its settings as JSON: {"dpop_bound_access_tokens":true}
    #[arg(long, value_name = "JSON", value_parser = parse::settings)]
    pub settings: Option<ClientSettings>,
}

#[derive(Args, Debug)]
pub struct Narrow {
    /// Its id
    pub agent: String,
    /// All it keeps; may be repeated. Its defaults stay as far as they fit
    #[arg(long, value_name = "URI=SCOPE,…", value_parser = parse::access)]
    pub access: Vec<AccessEntry>,
    /// What a request without `scope` still gets at a resource of --access; may be repeated
    #[arg(long, value_name = "URI=SCOPE,…", value_parser = parse::access, requires = "access")]
    pub defaults: Vec<AccessEntry>,
    /// The budget of a token that nothing was asked for, at a resource of --access; may be repeated
    #[arg(long, value_name = "URI=UNIT=AMOUNT", value_parser = parse::default_budget, requires = "access")]
    pub default_budget: Vec<(Audience, BudgetCap)>,
    /// The most it may ever hold, separated by commas
    #[arg(long, value_name = "SCOPES", value_parser = parse::scope_set)]
    pub ceiling: Option<ScopeSet>,
    /// Life of its tokens (300, 5m)
    #[arg(long, value_parser = parse::duration)]
    pub ttl: Option<i64>,
}

#[derive(Args, Debug)]
pub struct Change {
    /// Its id
    pub agent: String,
    /// Why, for the audit
    #[arg(long)]
    pub reason: Option<String>,
}

#[derive(Args, Debug)]
pub struct Revoke {
    /// Its id
    pub agent: String,
    /// Why, for the audit
    #[arg(long)]
    pub reason: String,
    /// How bad it is
    #[arg(long, default_value = "medium", value_parser = parse::words::<Severity>(SEVERITIES))]
    pub severity: Severity,
}

#[derive(Args, Debug)]
pub struct Reissue {
    /// The original's id
    pub agent: String,
    /// The clone's name; its id is <owner>.<name>
    #[arg(long)]
    pub name: String,
    /// Life of its tokens (300, 5m), not longer than the original's
    #[arg(long, value_parser = parse::duration)]
    pub ttl: Option<i64>,
    /// A file with the clone's public keys (JWK set)
    #[arg(long, value_name = "FILE")]
    pub jwks: Option<PathBuf>,
    /// Life of its first secret or its keys; 90d for a secret, 365d for keys where left out
    #[arg(long, value_name = "LIFE", value_parser = parse::duration)]
    pub secret_life: Option<i64>,
}

#[derive(Debug, Subcommand)]
pub enum Secret {
    /// Make a further secret, shown now and never again
    #[command(
        after_help = "Rotate without an outage:\n  stipend agent secret add payments.refunds\n  (give the agent the new one)\n  stipend agent secret remove payments.refunds sec_…"
    )]
    Add {
        /// The agent's id
        agent: String,
        /// Its life (90d, 12h); 90 days where left out
        #[arg(long, value_name = "LIFE", value_parser = parse::duration)]
        life: Option<i64>,
    },
    /// End a secret at once
    Remove {
        /// The agent's id
        agent: String,
        /// The secret's id, as `agent show` says it
        secret: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Key {
    /// Register a public key; nothing happens when it is there already
    #[command(after_help = "Example:\n  stipend agent key add payments.planner --jwk planner.public.json --life 180d")]
    Add {
        /// The agent's id
        agent: String,
        /// A file with the public key (JWK): P-256, Ed25519 or RSA from 2048 bits
        #[arg(long, value_name = "FILE")]
        jwk: PathBuf,
        /// Its life (90d, 12h); 365 days where left out
        #[arg(long, value_name = "LIFE", value_parser = parse::duration)]
        life: Option<i64>,
    },
    /// End a key at once
    Remove {
        /// The agent's id
        agent: String,
        /// The key's id, as `agent show` says it
        key: String,
    },
}
