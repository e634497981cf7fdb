//! How to reach the server and as whom: the options every command shares, and the HTTP
//! client they make.

use super::error::CliError;
use clap::Args;
use clap::builder::FalseyValueParser;
use reqwest::{Certificate, Client, ClientBuilder, redirect};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use stipend_keys::Secret;
use url::Url;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the end of an answer that is streamed: beyond what the proxy allows a call.
const STREAM_TIMEOUT: Duration = Duration::from_secs(900);
/// How long a connection is kept for the next call: less than the server keeps it, since a
/// request on one that was just closed is lost.
const KEEP_CONNECTION: Duration = Duration::from_secs(60);
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest secret or certificate file that is read.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

#[derive(Args, Debug)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// The issuer: the server's public URL, exactly as it is configured there
    #[arg(long, global = true, env = "STIPEND_ISSUER", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub issuer: String,
    /// The client to authenticate as
    #[arg(long, global = true, env = "STIPEND_CLIENT_ID", default_value = "stipend.admin", value_name = "ID")]
    pub client_id: String,
    /// Its secret. Prefer the environment: arguments show in the process list
    #[arg(long, global = true, env = "STIPEND_CLIENT_SECRET", hide_env_values = true, value_name = "SECRET", value_parser = secret)]
    pub client_secret: Option<Secret<String>>,
    /// A file with its secret
    #[arg(long, global = true, env = "STIPEND_CLIENT_SECRET_FILE", value_name = "FILE")]
    pub client_secret_file: Option<PathBuf>,
    /// An access token for the admin API, instead of getting one with the secret: of a client, or
    /// a person's, from an issuer that is trusted for it
    #[arg(long, global = true, env = "STIPEND_TOKEN", hide_env_values = true, value_name = "TOKEN", value_parser = secret)]
    pub access_token: Option<Secret<String>>,
    /// A file with it
    #[arg(long, global = true, env = "STIPEND_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Certificates (PEM) of authorities to trust besides the system's
    #[arg(long, global = true, env = "STIPEND_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Print JSON: the server's answers as they are, errors too
    #[arg(long, global = true)]
    pub json: bool,
    /// No colours
    #[arg(long, global = true, env = "NO_COLOR", value_parser = FalseyValueParser::new(), hide_env = true)]
    pub no_color: bool,
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of a value parser")]
fn secret(text: &str) -> Result<Secret<String>, Infallible> {
    Ok(Secret::new(text.to_owned()))
}

impl Connection {
    /// To an issuer as a client with a secret.
    #[must_use]
    pub fn to(issuer: &str, client_id: &str, secret: &Secret<String>) -> Self {
        Self {
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            client_secret: Some(secret.clone()),
            client_secret_file: None,
            access_token: None,
            token_file: None,
            ca_file: None,
            json: false,
            no_color: true,
        }
    }

    /// The token that was given, as it is or in its file.
    pub fn find_token(&self) -> Result<Option<Secret<String>>, CliError> {
        if let Some(token) = self.access_token.as_ref().filter(|token| !token.expose().is_empty()) {
            return Ok(Some(token.clone()));
        }
        let Some(path) = &self.token_file else { return Ok(None) };
        Ok(Some(Secret::new(read_text(path)?.trim().to_owned())))
    }

    /// The client's secret, from the environment or its file.
    pub fn find_secret(&self) -> Result<Option<Secret<String>>, CliError> {
        if let Some(secret) = self.client_secret.as_ref().filter(|secret| !secret.expose().is_empty()) {
            return Ok(Some(secret.clone()));
        }
        let Some(path) = &self.client_secret_file else { return Ok(None) };
        let text = read_text(path)?;
        Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned())))
    }

    pub fn load_secret(&self) -> Result<Secret<String>, CliError> {
        self.find_secret()?.ok_or_else(|| {
            CliError::failed("no_secret", format!("no secret for the client {}", self.client_id)).hint(
                "set STIPEND_CLIENT_SECRET or STIPEND_CLIENT_SECRET_FILE; the first admin's was printed at the first start",
            )
        })
    }

    pub fn http(&self) -> Result<Client, CliError> {
        let pem = self.ca_file.as_ref().map(|path| read_text(path)).transpose()?;
        client(&self.issuer, pem.as_deref())
    }

    /// For answers that come bit by bit.
    pub fn streaming_http(&self) -> Result<Client, CliError> {
        let pem = self.ca_file.as_ref().map(|path| read_text(path)).transpose()?;
        build(&self.issuer, pem.as_deref(), |builder| {
            builder.timeout(STREAM_TIMEOUT).pool_idle_timeout(KEEP_CONNECTION)
        })
    }
}

/// An HTTP client for an issuer: bounded in time, following no redirect with a secret.
pub fn client(issuer: &str, ca_pem: Option<&str>) -> Result<Client, CliError> {
    build(issuer, ca_pem, |builder| builder)
}

/// The same, for an issuer that is served on this machine at `address`.
pub fn local_client(issuer: &str, ca_pem: Option<&str>, host: &str, address: SocketAddr) -> Result<Client, CliError> {
    build(issuer, ca_pem, |builder| builder.resolve(host, address))
}

fn build(
    issuer: &str,
    ca_pem: Option<&str>,
    change: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<Client, CliError> {
    let url = Url::parse(issuer)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| CliError::usage(format!("--issuer {issuer}: not an http or https URL")))?;
    let builder = Client::builder()
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("stipend/", env!("CARGO_PKG_VERSION")));
    let broken = |error: reqwest::Error| CliError::failed("tls", format!("TLS can't be set up: {error}"));
    let builder = match ca_pem {
        Some(pem) => builder.tls_certs_merge(Certificate::from_pem_bundle(pem.as_bytes()).map_err(broken)?),
        // Without TLS there is no need for a system that has certificates.
        None if url.scheme() == "http" => builder.tls_certs_only([]),
        None => builder,
    };
    change(builder).build().map_err(broken)
}

/// A small text file.
pub fn read_text(path: &std::path::Path) -> Result<String, CliError> {
    let unreadable = |error: std::io::Error| CliError::usage(format!("{}: {error}", path.display()));
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE_BYTES {
        return Err(CliError::usage(format!("{}: larger than 1 MiB", path.display())));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}
