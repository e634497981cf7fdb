//! `stipend serve`: a node in a process of its own, with logs and signals.

use crate::bootstrap;
use crate::config::Config;
use crate::dumps;
use crate::serve::{self, StartError};
use std::io::Write;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Runs a node until SIGTERM or SIGINT, then stops it gracefully.
///
/// # Errors
/// [`StartError`].
pub async fn run(config: Config) -> Result<(), StartError> {
    let undumped = dumps::forbid();
    log_to_stderr(&config);
    if let Err(error) = undumped {
        tracing::warn!(%error, "core files can't be forbidden: one would hold keys in the clear");
    }
    let mut running = serve::start(config).await?;
    tracing::info!(issuer = running.app.urls.issuer, address = %running.address, "serving");
    if let Some(secret) = running.first_secret.take() {
        // Shown once, on the terminal and never in the log.
        let _ = writeln!(
            std::io::stdout().lock(),
            "First start. The first admin client is\n  id      {}\n  secret  {}\nIt is shown only now and expires in 90 days.",
            bootstrap::ADMIN,
            secret.expose()
        );
    }
    tokio::select! {
        signalled = until_signal() => signalled.map_err(StartError::Thread)?,
        () = running.ended() => tracing::error!("the server ended by itself"),
    }
    running.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Returns at SIGTERM or SIGINT.
///
/// # Errors
/// When signals can't be listened for.
pub async fn until_signal() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
    }
    Ok(())
}

fn log_to_stderr(config: &Config) {
    // The HTTP library tells of its workers; what matters of it is told by us.
    let quiet = |level: &str| EnvFilter::try_new(format!("actix_server=warn,{level}"));
    let filter = quiet(&config.log_level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber (in tests) is no reason to fail.
    let _ = if config.log_json { builder.json().flatten_event(true).try_init() } else { builder.try_init() };
}
