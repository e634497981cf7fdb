//! The providers of key encryption, made from the configuration: the one that seals first,
//! then the others, which only open what they sealed. A lone SQLite node without a static key
//! has one in a file beside the database that only its user may read.
//!
//! Making them talks to services and tokens, so it blocks.

use crate::config::{Config, KekConfig, KekProvider};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use stipend_keys::seal::KekChain;
use stipend_keys::seal::pkcs11::Pkcs11Kek;
use stipend_keys::seal::vault::VaultKek;
use stipend_keys::{KeyEncryption, Secret, StaticKek};

pub(super) fn providers(config: &Config) -> Result<Arc<dyn KeyEncryption>, String> {
    let configured = [
        (KekProvider::Static, fixed(config)?),
        (KekProvider::Vault, vault(&config.kek)?),
        (KekProvider::Pkcs11, pkcs11(&config.kek)?),
    ];
    let (mut current, mut previous) = (None, Vec::new());
    for (provider, kek) in configured.into_iter().filter_map(|(provider, kek)| Some((provider, kek?))) {
        if provider == config.kek.provider {
            current = Some(kek);
        } else {
            previous.push(kek);
        }
    }
    let current = current.ok_or("STIPEND_KEK_PROVIDER: that provider is not configured")?;
    let chain = KekChain::new(current, previous).map_err(|error| format!("STIPEND_KEK_PROVIDER: {error}"))?;
    Ok(Arc::new(chain))
}

fn vault(config: &KekConfig) -> Result<Option<Arc<dyn KeyEncryption>>, String> {
    let Some(config) = &config.vault else { return Ok(None) };
    let kek = VaultKek::connect(config).map_err(|error| format!("STIPEND_VAULT_ADDRESS: {error}"))?;
    Ok(Some(Arc::new(kek)))
}

fn pkcs11(config: &KekConfig) -> Result<Option<Arc<dyn KeyEncryption>>, String> {
    let Some(config) = &config.pkcs11 else { return Ok(None) };
    let kek = Pkcs11Kek::connect(config.clone()).map_err(|error| format!("STIPEND_PKCS11_MODULE: {error}"))?;
    Ok(Some(Arc::new(kek)))
}

/// The static keys. Where another provider seals, there may be none.
fn fixed(config: &Config) -> Result<Option<Arc<dyn KeyEncryption>>, String> {
    let kek = &config.kek;
    let first = match &kek.fixed {
        Some(key) => Some(key.clone()),
        None => beside_database(&config.database_url.0, kek.provider == KekProvider::Static)?,
    };
    let mut keys = first.iter().chain(&kek.previous).map(|key| key.expose().trim());
    let Some(current) = keys.next() else { return Ok(None) };
    let previous: Vec<&str> = keys.collect();
    let kek = StaticKek::parse(current, &previous).map_err(|error| format!("STIPEND_KEK: {error}"))?;
    Ok(Some(Arc::new(kek)))
}

/// The key in the file beside a SQLite database; made there if it `seals` and is not yet.
fn beside_database(url: &str, seals: bool) -> Result<Option<Secret<String>>, String> {
    let Some(path) = url.strip_prefix("sqlite://") else { return Ok(None) };
    let path = PathBuf::from(format!("{path}.kek"));
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(Secret::new(text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !seals => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let bytes: [u8; 32] = stipend_keys::secret::random_bytes();
            let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let mut file =
                std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
            file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
            tracing::info!(path = %path.display(), "made a key-encryption key: back it up apart from the database");
            Ok(Some(Secret::new(text)))
        }
        Err(error) => Err(failed(error)),
    }
}
