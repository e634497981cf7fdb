//! `stipend demo`: the main job, end to end, on a fresh database in a temporary folder.
//!
//! It starts the server in process and then talks to it over HTTP only, as an admin, two
//! agents and a relying service would. Every step checks what came out; one that is not as
//! expected ends the demo with an error.

mod actors;
#[expect(clippy::indexing_slicing, reason = "a JSON value that is only read answers null for what it lacks")]
mod custody;
pub mod llm;
mod narrator;
#[expect(clippy::indexing_slicing, reason = "a JSON value that is only read answers null for what it lacks")]
mod spending;
#[expect(clippy::indexing_slicing, reason = "a JSON value that is only read answers null for what it lacks")]
mod story;

use crate::cli::error::CliError;
use crate::cli::print::Out;
use crate::config::{Config, ConfigErrors, Source};
use crate::serve::{self, Running, StartError};
use clap::Args as ClapArgs;
use narrator::Narrator;
use std::io::Write;
use stipend_keys::{Secret, generate_client_secret};

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("no temporary folder: {0}")]
    Folder(std::io::Error),
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("a call failed: {0}")]
    Call(#[from] CliError),
    #[error("the verifier could not start: {0}")]
    Discover(#[from] stipend_relying::DiscoverError),
    #[error("the verifier refused the token: {0}")]
    Verify(#[from] stipend_relying::VerifyError),
    #[error("not as expected: {0}")]
    Unexpected(String),
    #[error("the output could not be written: {0}")]
    Output(#[from] std::io::Error),
}

#[derive(ClapArgs, Debug)]
pub struct Args {
    /// Leave the server up at the end, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
}

/// `stipend demo`.
///
/// # Errors
/// [`CliError`] when a step did not come out as it must.
pub async fn command(args: &Args, out: Out) -> Result<(), CliError> {
    let told = run(args.keep, out.colour(), &mut std::io::stdout()).await;
    told.map_err(|error| CliError::failed("demo_failed", error.to_string()))
}

/// Plays the demo. With `keep` the server stays up until SIGINT or SIGTERM.
///
/// # Errors
/// [`DemoError`] when a step did not come out as it must.
pub async fn run(keep: bool, colour: bool, out: &mut (impl Write + Send)) -> Result<(), DemoError> {
    let started = std::time::Instant::now();
    let folder = tempfile::Builder::new().prefix("stipend-demo-").tempdir().map_err(DemoError::Folder)?;
    let database = folder.path().join("stipend.db");
    let secret = generate_client_secret();
    let running = start(&database.display().to_string(), &secret).await?;
    let mut narrator = Narrator::new(out, colour);
    narrator.title("Stipend: one agent hands work to another")?;
    narrator.note(&format!("issuer   {}", running.app.urls.issuer))?;
    narrator.note(&format!("database {} (fresh, SQLite)", database.display()))?;
    let played = story::play(&mut narrator, &running.app.urls.issuer, &secret).await;
    if let Err(error) = played {
        running.stop().await;
        return Err(error);
    }
    let micros = started.elapsed().as_millis();
    narrator.title(&format!("All {} steps came out as they must, in {micros} ms.", narrator.steps()))?;
    if keep {
        stay(&mut narrator, &running, &secret).await?;
    }
    running.stop().await;
    Ok(())
}

async fn start(database: &str, secret: &Secret<String>) -> Result<Running, DemoError> {
    let url = format!("sqlite://{database}");
    let vars = [
        ("STIPEND_ISSUER", "http://127.0.0.1:0"),
        ("STIPEND_LISTEN", "127.0.0.1:0"),
        ("STIPEND_DATABASE_URL", url.as_str()),
        ("STIPEND_BOOTSTRAP_SECRET", secret.expose().as_str()),
        // The stand-in provider of the custody steps is on this machine.
        ("STIPEND_UPSTREAM_HTTP_HOSTS", "127.0.0.1"),
        ("STIPEND_UPSTREAM_NETWORKS", "127.0.0.0/8"),
    ];
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(serve::start(Config::from_source(Source::from_vars(vars)?)?).await?)
}

async fn stay(
    narrator: &mut Narrator<'_, impl Write>,
    running: &Running,
    secret: &Secret<String>,
) -> Result<(), DemoError> {
    narrator.title("The server stays up. Try, in another terminal:")?;
    let admin = crate::bootstrap::ADMIN;
    for line in [
        format!("export STIPEND_ISSUER={}", running.app.urls.issuer),
        format!("export STIPEND_CLIENT_ID={admin} STIPEND_CLIENT_SECRET={}", secret.expose()),
        "stipend agent list".to_owned(),
        "stipend audit tail".to_owned(),
        "stipend doctor".to_owned(),
    ] {
        narrator.note(&line)?;
    }
    narrator.note("Ctrl-C ends it and removes its folder.")?;
    crate::run::until_signal().await?;
    Ok(())
}
