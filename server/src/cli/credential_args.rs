//! The arguments of `stipend credential`.

use super::constraints::ConstraintArgs;
use super::error::CliError;
use super::parse;
use super::resource::environment;
use super::value::ValueArgs;
use crate::admin::api::CredentialSettings;
use crate::custody::{HeaderSpec, Metering, Price, ReleaseMode};
use clap::{Args, Subcommand};
use stipend_token::Environment;
use stipend_token::budget::{Amount, BudgetCap};
use stipend_token::constraint::Constraints;

pub const MODES: &[&str] = &["proxy", "wrapped", "jwe", "plaintext"];
const RELEASE_MODES: &[&str] = &["wrapped", "jwe", "plaintext"];

const CREATE_EXAMPLES: &str = "\
Examples:
  stipend credential create acme.llm --template openai --key-file openai.key --metered --rate 60/1m
  pass show shop/api | stipend credential create acme.shop --key-file - \\
      --base-url https://api.shop.example --method GET --path /v1/orders --price call=1
  stipend credential create acme.db --value-file login.json --mode plaintext --lease 10m

The same command twice makes one credential. Which agents may use it, `stipend grant create` says";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Put a key of another service into custody; nothing happens when it is there already
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Box<Create>),
    /// List credentials
    List,
    /// Show one: its versions, and which agents have seen them
    Show {
        /// Its id: <owner>.<name>
        credential: String,
    },
    /// Change what is said of it; its value changes by rotation
    #[command(
        after_help = "Modes and constraints that are given replace all that were there.\n\nExample:\n  stipend credential update acme.llm --mode proxy --constraints '{\"methods\":[\"POST\"],\"paths\":[\"/v1/chat\"]}'"
    )]
    Update(Box<Update>),
    /// Give it a new value, in use at the next call
    #[command(
        after_help = "Examples:\n  stipend credential rotate acme.llm --key-file new.key\n  stipend credential rotate acme.llm --key-file new.key --retire-after 1h    (for agents that hold the old one)"
    )]
    Rotate(Rotate),
    /// Bring a version into use: one that waits, or an earlier one
    Activate {
        /// Its id
        credential: String,
        /// The version's number, or its id
        #[arg(value_name = "VERSION")]
        which: String,
        /// How long the version before it may still be used by whoever was given it
        #[arg(long, value_name = "LIFE", value_parser = parse::duration)]
        retire_after: Option<i64>,
    },
    /// Destroy the value of a version that is not in use, for good
    DestroyVersion {
        /// Its id
        credential: String,
        /// The version's number, or its id
        #[arg(value_name = "VERSION")]
        which: String,
    },
    /// Switch it off: nothing is released and no call is made, at once
    Disable(Change),
    /// Switch it on again
    Enable(Change),
    /// Destroy it and every value it ever had, for good
    Destroy(Change),
    /// Show the well-known providers that --template knows
    Templates,
    /// As an agent: get the value, or what it can be had with
    #[command(
        after_help = "The value alone goes to standard output:\n  KEY=$(stipend credential release acme.db --mode plaintext)"
    )]
    Release {
        /// Its id
        credential: String,
        /// How: as a reference that works once, encrypted to the agent's key, or in clear
        #[arg(long, value_parser = parse::words::<ReleaseMode>(RELEASE_MODES))]
        mode: ReleaseMode,
        /// Only say whether it would be released
        #[arg(long)]
        dry_run: bool,
    },
    /// As an agent: turn a reference into the value, once
    Unwrap {
        /// The reference; - reads it from standard input
        reference: String,
    },
}

#[derive(Args, Debug)]
pub struct Create {
    /// Its id: <owner>.<name>, each of a-z, 0-9 and -
    #[arg(value_parser = parse::client_id)]
    pub credential: (String, String),
    #[command(flatten)]
    pub value: ValueArgs,
    /// live or sandbox, and for agents of that alone; live where left out
    #[arg(long, value_parser = environment)]
    pub environment: Option<Environment>,
    #[command(flatten)]
    pub settings: Settings,
    #[command(flatten)]
    pub constraints: ConstraintArgs,
}

#[derive(Args, Debug)]
pub struct Update {
    /// Its id
    pub credential: String,
    #[command(flatten)]
    pub settings: Settings,
    /// The template's base URL again
    #[arg(long, conflicts_with = "base_url")]
    pub no_base_url: bool,
    /// The template's header again
    #[arg(long, conflicts_with = "header")]
    pub no_header: bool,
    /// Calls and releases cost nothing
    #[arg(long, conflicts_with = "price")]
    pub no_price: bool,
    /// Calls are not charged by what was used
    #[arg(long, conflicts_with_all = ["metered", "max_cost"])]
    pub no_metering: bool,
    /// No constraints, a template's neither
    #[arg(long, conflicts_with_all = ["constraints", "method", "path", "rate", "uses"])]
    pub no_constraints: bool,
    #[command(flatten)]
    pub constraints: ConstraintArgs,
}

/// What is said of a credential beside its value.
#[derive(Args, Debug)]
pub struct Settings {
    /// A well-known provider (`credential templates`): where it is, how its key is sent, what it allows and costs
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Where calls through the proxy go; the template's where left out
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The header an API key goes into, and what stands before the key; `authorization=Bearer ` or the template's where left out
    #[arg(long, value_name = "NAME[=PREFIX]", value_parser = header)]
    header: Option<HeaderSpec>,
    /// How agents may come by it, all of them; may be repeated. proxy alone for a new one where left out
    #[arg(long, value_parser = parse::words::<ReleaseMode>(MODES))]
    mode: Vec<ReleaseMode>,
    /// What one call or release costs: UNIT=AMOUNT, in the unit's smallest part
    #[arg(long, value_name = "PRICE", value_parser = price, conflicts_with_all = ["metered", "max_cost"])]
    price: Option<Price>,
    /// Charge calls by what the provider reports as used, at the template's prices
    #[arg(long)]
    metered: bool,
    /// What is held before a metered call, in place of an estimate from its size, in millionths of a dollar
    #[arg(long, value_name = "AMOUNT")]
    max_cost: Option<i64>,
    /// How long an agent may keep what it was given (300, 5m); 5 minutes for a new one where left out
    #[arg(long, value_parser = parse::duration)]
    lease: Option<i64>,
}

impl Settings {
    /// As the API takes them. Absent stays as it is, or becomes the default.
    pub fn given(self, constraints: Option<Constraints>) -> Result<CredentialSettings, CliError> {
        let metering = match (self.metered, self.max_cost) {
            (false, None) => None,
            (_, None) => Some(Metering::default()),
            (_, Some(most)) => {
                let most = Amount::new(most).map_err(|error| CliError::usage(format!("--max-cost: {error}")))?;
                Some(Metering { max_cost: Some(most), prices: None })
            }
        };
        Ok(CredentialSettings {
            template: self.template,
            base_url: self.base_url.map(Some),
            header: self.header.map(Some),
            modes: (!self.mode.is_empty()).then_some(self.mode),
            constraints,
            price: self.price.map(Some),
            metering: metering.map(Some),
            lease_seconds: self.lease,
        })
    }

    pub fn template(&self) -> Option<&str> {
        self.template.as_deref()
    }
}

#[derive(Args, Debug)]
pub struct Rotate {
    /// Its id
    pub credential: String,
    #[command(flatten)]
    pub value: ValueArgs,
    /// The new value waits until `credential activate`
    #[arg(long)]
    pub later: bool,
    /// How long the version before it may still be used by whoever was given it; not at all where left out
    #[arg(long, value_name = "LIFE", value_parser = parse::duration, conflicts_with = "later")]
    pub retire_after: Option<i64>,
}

#[derive(Args, Debug)]
pub struct Change {
    /// Its id
    pub credential: String,
    /// Why, for the audit
    #[arg(long)]
    pub reason: Option<String>,
}

/// `NAME`, or `NAME=PREFIX`.
fn header(text: &str) -> Result<HeaderSpec, String> {
    let (name, prefix) = text.split_once('=').unwrap_or((text, ""));
    if !crate::custody::may_inject(name) {
        return Err("write a header's name in lower case, that is not the connection's own".to_owned());
    }
    Ok(HeaderSpec { name: name.to_owned(), prefix: prefix.to_owned() })
}

/// `UNIT=AMOUNT`.
fn price(text: &str) -> Result<Price, String> {
    match parse::budget_cap(text)? {
        BudgetCap { unit, amount, per_call: None } => {
            Ok(Price { unit: unit.code().to_owned(), decimals: unit.decimals().into(), amount })
        }
        _ => Err("write UNIT=AMOUNT".to_owned()),
    }
}
