//! The settings of key encryption: which provider seals, and which others are there to open
//! what they sealed earlier. Nothing here reads a key's file or asks a service.

use super::Source;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;
use stipend_keys::seal::pkcs11::{KeyName, Pkcs11Config};
use stipend_keys::seal::vault::VaultConfig;
use stipend_keys::{Secret, StaticKek};

/// Who holds the key that seals.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KekProvider {
    Static,
    Vault,
    Pkcs11,
}

impl FromStr for KekProvider {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "static" => Ok(Self::Static),
            "vault" => Ok(Self::Vault),
            "pkcs11" => Ok(Self::Pkcs11),
            _ => Err(()),
        }
    }
}

/// Every provider that is configured: `provider` seals, all open.
#[derive(Debug)]
pub struct KekConfig {
    pub provider: KekProvider,
    /// The static key. Without it a SQLite node has one in a file beside its database.
    pub fixed: Option<Secret<String>>,
    /// Earlier static keys.
    pub previous: Vec<Secret<String>>,
    pub vault: Option<VaultConfig>,
    pub pkcs11: Option<Pkcs11Config>,
}

impl KekConfig {
    pub(super) fn read(source: &mut Source, sqlite: bool) -> Self {
        let provider = source.parse("STIPEND_KEK_PROVIDER", "static, vault or pkcs11", |text| text.parse().ok());
        let previous = source.secret("STIPEND_KEK_PREVIOUS");
        let previous = previous
            .map(|list| list.expose().split(',').map(|one| Secret::new(one.trim().to_owned())).collect())
            .unwrap_or_default();
        let fixed = source.secret("STIPEND_KEK");
        let config = Self {
            provider: provider.unwrap_or(KekProvider::Static),
            fixed,
            previous,
            vault: vault(source),
            pkcs11: pkcs11(source),
        };
        config.check_fixed(source);
        let needed = match config.provider {
            KekProvider::Static if config.fixed.is_none() && !sqlite => Some(
                "STIPEND_KEK: required with PostgreSQL, because every node must open the same keys: set it or STIPEND_KEK_FILE (make one with: openssl rand -hex 32), or name another STIPEND_KEK_PROVIDER",
            ),
            KekProvider::Vault if config.vault.is_none() => {
                Some("STIPEND_KEK_PROVIDER: vault needs STIPEND_VAULT_ADDRESS")
            }
            KekProvider::Pkcs11 if config.pkcs11.is_none() => {
                Some("STIPEND_KEK_PROVIDER: pkcs11 needs STIPEND_PKCS11_MODULE")
            }
            KekProvider::Static | KekProvider::Vault | KekProvider::Pkcs11 => None,
        };
        if let Some(needed) = needed {
            source.fault(needed.to_owned());
        }
        config
    }

    /// The texts of static keys are never quoted.
    fn check_fixed(&self, source: &mut Source) {
        let mut keys = self.fixed.iter().chain(&self.previous).map(|key| key.expose().as_str());
        let Some(first) = keys.next() else { return };
        let rest: Vec<&str> = keys.collect();
        if let Err(error) = StaticKek::parse(first, &rest) {
            source.fault(format!("STIPEND_KEK, STIPEND_KEK_PREVIOUS: {error}"));
        }
    }
}

/// What names the provider itself; its other settings are of no use alone.
fn named(source: &mut Source, env: &str, prefix: &str) -> Option<String> {
    let found = source.given(env).map(str::to_owned);
    if found.is_none() {
        for orphan in source.given_under(prefix) {
            source.fault(format!("{orphan}: of no use without {env}"));
        }
    }
    found
}

fn required(source: &mut Source, env: &str, of: &str) -> String {
    let found = source.given(env).map(str::to_owned);
    found.unwrap_or_else(|| {
        source.fault(format!("{env}: required with {of}"));
        String::new()
    })
}

fn tell(source: &mut Source, settings: &str, faults: impl IntoIterator<Item = impl Display>) {
    for fault in faults {
        source.fault(format!("{settings}: {fault}"));
    }
}

fn vault(source: &mut Source) -> Option<VaultConfig> {
    const ADDRESS: &str = "STIPEND_VAULT_ADDRESS";
    let address = named(source, ADDRESS, "STIPEND_VAULT_")?;
    let config = VaultConfig {
        address,
        ca_file: source.path("STIPEND_VAULT_CA_FILE"),
        token_file: required(source, "STIPEND_VAULT_TOKEN_FILE", ADDRESS).into(),
        namespace: source.given("STIPEND_VAULT_NAMESPACE").map(str::to_owned),
        mount: source.text("STIPEND_VAULT_MOUNT"),
        key: source.text("STIPEND_VAULT_KEY"),
        previous: source.list("STIPEND_VAULT_KEYS_PREVIOUS", "a key's name", |name| Some(name.to_owned())),
        timeout: Duration::from_secs(source.within("STIPEND_VAULT_TIMEOUT_SECONDS", 1, 60).unwrap_or(5)),
    };
    tell(source, "STIPEND_VAULT_*", config.faults());
    Some(config)
}

fn pkcs11(source: &mut Source) -> Option<Pkcs11Config> {
    const MODULE: &str = "STIPEND_PKCS11_MODULE";
    const KEY: &str = "STIPEND_PKCS11_KEY";
    let expected = "1 to 64 of A-Z a-z 0-9 . _ -, or id= and 1 to 32 bytes in hex digits";
    let module = named(source, MODULE, "STIPEND_PKCS11_")?;
    let token = required(source, "STIPEND_PKCS11_TOKEN", MODULE);
    required(source, KEY, MODULE);
    let key = source.parse(KEY, expected, |name| name.parse().ok());
    let previous = source.list("STIPEND_PKCS11_KEYS_PREVIOUS", expected, |name| name.parse().ok());
    let pin = source.secret("STIPEND_PKCS11_PIN").unwrap_or_else(|| {
        source.fault(format!("STIPEND_PKCS11_PIN: required with {MODULE}: set it or STIPEND_PKCS11_PIN_FILE"));
        Secret::new(String::new())
    });
    // Never used where there is a fault: the configuration is refused.
    let key = key.unwrap_or(KeyName::Id(Vec::new()));
    let config = Pkcs11Config { module: module.into(), token, pin, key, previous };
    tell(source, "STIPEND_PKCS11_*", config.faults());
    Some(config)
}
