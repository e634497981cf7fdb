//! The key-encryption key: configured, or for a lone SQLite node kept in a file beside the
//! database that only its user may read.

use crate::config::Config;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use stipend_keys::{KeyEncryption, Secret, StaticKek};

pub(super) fn kek(config: &Config) -> Result<Arc<dyn KeyEncryption>, String> {
    let current = match &config.kek {
        Some(kek) => Secret::new(kek.expose().clone()),
        None => beside_database(&config.database_url.0)?,
    };
    let previous: Vec<&str> = config.kek_previous.iter().map(|kek| kek.expose().as_str()).collect();
    let kek = StaticKek::parse(current.expose().trim(), &previous).map_err(|error| format!("STIPEND_KEK: {error}"))?;
    Ok(Arc::new(kek))
}

fn beside_database(url: &str) -> Result<Secret<String>, String> {
    let path = url.strip_prefix("sqlite://").ok_or("STIPEND_KEK is required")?;
    let path = PathBuf::from(format!("{path}.kek"));
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Secret::new(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let bytes: [u8; 32] = stipend_keys::secret::random_bytes();
            let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let mut file =
                std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
            file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
            tracing::info!(path = %path.display(), "made a key-encryption key: back it up apart from the database");
            Ok(Secret::new(text))
        }
        Err(error) => Err(failed(error)),
    }
}
