//! Values for custody: from a file or standard input, and from nowhere else. Arguments are in
//! the process list and in shell histories, so a value there is refused, and not repeated.

use super::error::CliError;
use super::parse::text_file;
use crate::custody::{CredentialValue, ValueError};
use clap::Args;
use std::convert::Infallible;
use std::path::PathBuf;
use stipend_keys::Secret;

#[derive(Args, Debug)]
pub struct ValueArgs {
    /// A file with an API key, nothing else in it; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "value_file")]
    key_file: Option<PathBuf>,
    /// A file with the value as JSON: {"api_key":{"key":…}}, {"basic":{"username":…,"password":…}}, {"oauth_client_credentials":{"token_url":…,"client_id":…,"client_secret":…}} or {"headers":{"headers":{NAME:…}}}; - reads standard input
    #[arg(long, value_name = "FILE")]
    value_file: Option<PathBuf>,
    // What people try: taken as secrets, so that no message of the parser quotes one.
    /// Refused: a value is never an argument
    #[arg(long, hide = true, aliases = ["key", "api-key", "secret", "password"], value_parser = secret)]
    value: Option<Secret<String>>,
    /// Refused: a value is never an argument
    #[arg(hide = true, value_parser = secret)]
    rest: Vec<Secret<String>>,
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of a value parser")]
fn secret(text: &str) -> Result<Secret<String>, Infallible> {
    Ok(Secret::new(text.to_owned()))
}

const WHERE: &str = "give a file with --key-file (an API key) or --value-file (JSON); - reads standard input";

impl ValueArgs {
    pub fn read(&self) -> Result<CredentialValue, CliError> {
        if self.value.is_some() || !self.rest.is_empty() {
            let message = "a value is not taken as an argument: every user of this machine could see it";
            return Err(CliError::usage(message).hint(format!("{WHERE}; consider this one known, and replace it")));
        }
        match (&self.key_file, &self.value_file) {
            (Some(path), _) => {
                let text = Secret::new(text_file(path)?);
                let key = text.expose().trim_end_matches(['\r', '\n']).to_owned();
                Ok(CredentialValue::ApiKey { key })
            }
            (None, Some(path)) => {
                let text = Secret::new(text_file(path)?);
                // The text of a parser's error could quote what it found.
                serde_json::from_str(text.expose()).map_err(|_| CliError::usage(ValueError::Form.to_string()))
            }
            (None, None) => Err(CliError::usage("no value").hint(WHERE)),
        }
    }
}
