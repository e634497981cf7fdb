//! A software token of its own for each test.
//!
//! SoftHSM reads where its tokens lie from the environment when it is initialised,
//! once per process. So a test runs itself again as a process with a directory of its
//! own, and does its work there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use stipend_keys::Secret;
use stipend_keys::seal::pkcs11::Pkcs11Config;

pub const LABEL: &str = "stipend test";
pub const PIN: &str = "canary-7391";

const SO_PIN: &str = "so-canary-7391";
const DIRECTORY: &str = "STIPEND_TEST_TOKEN_DIRECTORY";

/// A directory with one initialised token.
pub struct Token {
    pub directory: PathBuf,
    pub module: PathBuf,
}

/// Runs `body` in a process of its own with a fresh token. `test` is the path of
/// the calling test.
pub fn with_token(test: &str, body: impl FnOnce(&Token)) {
    let module = module();
    if let Some(directory) = variable(DIRECTORY) {
        return body(&Token { directory: directory.into(), module });
    }
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().join("tokens");
    let configuration = directory.path().join("softhsm2.conf");
    std::fs::create_dir(&tokens).unwrap();
    let lines = format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display());
    std::fs::write(&configuration, lines).unwrap();
    init_token(&configuration, LABEL);
    let child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env("SOFTHSM2_CONF", &configuration)
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{output}{}", String::from_utf8_lossy(&child.stderr));
    assert!(output.contains("1 passed"), "no test is called {test}: {output}");
}

fn init_token(configuration: &Path, label: &str) {
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", SO_PIN])
        .env("SOFTHSM2_CONF", configuration)
        .output()
        .expect("the tests need SoftHSM 2: run scripts/test, or install softhsm2");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn module() -> PathBuf {
    let usual = ["/usr/lib/softhsm", "/usr/lib64/softhsm", "/usr/lib64/pkcs11", "/usr/local/lib/softhsm"];
    variable("STIPEND_TEST_SOFTHSM_MODULE")
        .map(PathBuf::from)
        .into_iter()
        .chain(usual.map(|directory| Path::new(directory).join("libsofthsm2.so")))
        .find(|path| path.exists())
        .expect("the tests need SoftHSM 2: run scripts/test, or install softhsm2")
}

#[expect(clippy::disallowed_methods, reason = "how scripts/test and the parent process tell a test")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

impl Token {
    pub fn config(&self, key: &str, previous: &[&str]) -> Pkcs11Config {
        Pkcs11Config {
            module: self.module.clone(),
            token: LABEL.to_owned(),
            pin: Secret::new(PIN.to_owned()),
            key: key.parse().unwrap(),
            previous: previous.iter().map(|name| name.parse().unwrap()).collect(),
        }
    }

    /// A second token in the same module.
    pub fn add(&self, label: &str) {
        init_token(&self.directory.join("softhsm2.conf"), label);
    }

    pub fn driver(&self) -> Pkcs11 {
        let driver = Pkcs11::new(&self.module).unwrap();
        drop(driver.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)));
        driver
    }

    /// Takes every session away, as a restart of the token's service does.
    pub fn reset(&self) {
        self.driver().finalize().unwrap();
        drop(self.driver());
    }

    pub fn slot(&self) -> Slot {
        let driver = self.driver();
        let slots = driver.get_slots_with_initialized_token().unwrap();
        slots.into_iter().find(|slot| driver.get_token_info(*slot).unwrap().label() == LABEL).unwrap()
    }

    pub fn session(&self) -> Session {
        let session = self.driver().open_rw_session(self.slot()).unwrap();
        drop(session.login(UserType::User, Some(&AuthPin::new(PIN.into()))));
        session
    }

    /// Generates a key that is fit to wrap.
    pub fn generate(&self, label: &str, id: u8) {
        self.generate_with(label, id, &[]);
    }

    /// Generates a key with other attributes than the fit ones.
    pub fn generate_with(&self, label: &str, id: u8, other: &[Attribute]) {
        let mut template = vec![
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Label(label.as_bytes().to_vec()),
            Attribute::Id(vec![id]),
            Attribute::ValueLen(32.into()),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
        ];
        for attribute in other {
            template.retain(|kept| kept.attribute_type() != attribute.attribute_type());
            template.push(attribute.clone());
        }
        self.session().generate_key(&Mechanism::AesKeyGen, &template).unwrap();
    }
}
