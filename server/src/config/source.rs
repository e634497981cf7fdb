//! Where settings come from, and every fault found on the way.

use super::{CLIENT_SETTINGS, CONFIG_FILE, ConfigErrors, OTEL_PREFIX, PREFIX, SETTINGS, Setting};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use stipend_keys::Secret;
use url::Url;

/// Longest file a secret or the configuration is read from.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Raw settings, with the faults collected while reading them.
#[derive(Debug, Default)]
pub struct Source {
    values: BTreeMap<String, String>,
    faults: Vec<String>,
}

impl Source {
    /// # Errors
    /// [`ConfigErrors`] when the file can't be read at all.
    pub fn from_env() -> Result<Self, ConfigErrors> {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        let vars = std::env::vars();
        Self::from_vars(vars.filter(|(name, _)| name.starts_with(PREFIX) || name.starts_with(OTEL_PREFIX)))
    }

    /// Settings from name and value pairs, as from an environment.
    ///
    /// # Errors
    /// [`ConfigErrors`] when a file that is named can't be read.
    pub fn from_vars(vars: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigErrors> {
        let mut source = Self::default();
        let mut vars: BTreeMap<String, String> = vars.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        if let Some(path) = vars.remove(CONFIG_FILE) {
            source.read_file(&path)?;
        }
        // STIPEND_TEST_* belong to the tests of this project.
        vars.retain(|name, _| {
            !CLIENT_SETTINGS.contains(&name.as_str())
                && !name.starts_with("STIPEND_TEST_")
                && !name.starts_with("STIPEND_INTEROP_")
                // Set for a whole machine, for programs that know more of them.
                && (!name.starts_with(OTEL_PREFIX) || is_known(name))
        });
        for of in vars.keys().filter(|of| is_secret(of) && vars.contains_key(&format!("{of}_FILE"))) {
            source.faults.push(format!("{of} and {of}_FILE exclude each other"));
        }
        for (name, value) in vars {
            source.take(name, value);
        }
        Ok(source)
    }

    fn take(&mut self, name: String, value: String) {
        if is_setting(&name) {
            self.values.insert(name, value);
        } else if let Some(of) = name.strip_suffix("_FILE").filter(|of| is_secret(of)) {
            match read_bounded(&value) {
                Ok(text) => {
                    self.values.insert(of.to_owned(), text.trim_end_matches(['\r', '\n']).to_owned());
                }
                Err(error) => self.faults.push(format!("{name}: {value}: {error}")),
            }
        } else {
            self.faults.push(format!("{name}: no such setting{}", suggestion(&name)));
        }
    }

    fn read_file(&mut self, path: &str) -> Result<(), ConfigErrors> {
        let refuse = |error: &dyn Display| ConfigErrors(vec![format!("{CONFIG_FILE}: {path}: {error}")]);
        let text = read_bounded(path).map_err(|error| refuse(&error))?;
        let table: toml::Table = text.parse().map_err(|error| refuse(&error))?;
        for (name, value) in table {
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                _ => {
                    self.faults.push(format!("{path}: {name}: a string or an integer"));
                    continue;
                }
            };
            let name = name.to_uppercase();
            self.take(if name.starts_with(OTEL_PREFIX) { name } else { format!("{PREFIX}{name}") }, text);
        }
        Ok(())
    }

    pub fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    /// What is set for a setting, fit to be shown; `None` where its default holds.
    #[must_use]
    pub fn shown(&self, setting: &Setting) -> Option<String> {
        let value = self.values.get(setting.env)?;
        if !setting.secret {
            return Some(value.clone());
        }
        // A database's URL may hold a password; the rest of it is worth seeing.
        let url = Url::parse(value).ok().filter(Url::has_host).and_then(|mut url| {
            let hidden = url.password().is_none() || url.set_password(Some("***")).is_ok();
            hidden.then(|| url.into())
        });
        Some(url.unwrap_or_else(|| "(set)".to_owned()))
    }

    fn value(&self, env: &str) -> Option<&str> {
        let default = || SETTINGS.iter().find(|setting| setting.env == env).and_then(|setting| setting.default);
        self.values.get(env).map(String::as_str).or_else(default)
    }

    /// What is set, whatever the default.
    pub(super) fn given(&self, env: &str) -> Option<&str> {
        self.values.get(env).map(String::as_str)
    }

    /// The names that are set and begin so.
    pub(super) fn given_under(&self, prefix: &str) -> Vec<String> {
        self.values.keys().filter(|name| name.starts_with(prefix)).cloned().collect()
    }

    pub(super) fn text(&self, env: &str) -> String {
        self.value(env).unwrap_or_default().to_owned()
    }

    pub(super) fn path(&self, env: &str) -> Option<PathBuf> {
        self.value(env).map(PathBuf::from)
    }

    pub(super) fn secret(&self, env: &str) -> Option<Secret<String>> {
        self.value(env).map(|value| Secret::new(value.to_owned()))
    }

    pub(super) fn parse<T>(&mut self, env: &str, expected: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = self.value(env)?;
        let read = read(value);
        if read.is_none() {
            let fault = format!("{env}: expected {expected}, found {value:?}");
            self.faults.push(fault);
        }
        read
    }

    pub(super) fn within<T: FromStr + PartialOrd + Display + Copy>(
        &mut self,
        env: &str,
        least: T,
        most: T,
    ) -> Option<T> {
        self.parse(env, &format!("a number from {least} to {most}"), |text| {
            text.parse().ok().filter(|number| (least..=most).contains(number))
        })
    }

    pub(super) fn list<T>(&mut self, env: &str, expected: &str, read: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let text = self.text(env);
        let mut list = Vec::new();
        for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
            match read(one) {
                Some(item) => list.push(item),
                None => self.faults.push(format!("{env}: expected {expected}, found {one:?}")),
            }
        }
        list
    }

    pub(super) fn finish(self) -> Result<(), ConfigErrors> {
        if self.faults.is_empty() { Ok(()) } else { Err(ConfigErrors(self.faults)) }
    }
}

fn is_setting(env: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.env == env)
}

/// A setting, or the file that a secret one is in.
fn is_known(env: &str) -> bool {
    is_setting(env) || env.strip_suffix("_FILE").is_some_and(is_secret)
}

fn is_secret(env: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.env == env && setting.secret)
}

fn read_bounded(path: &str) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > MAX_FILE_BYTES {
        return Err(std::io::Error::other("larger than 64 KiB"));
    }
    std::fs::read_to_string(path)
}

/// The setting somebody probably meant.
fn suggestion(name: &str) -> String {
    let shared = |other: &str| name.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let nearest = SETTINGS.iter().max_by_key(|setting| shared(setting.env));
    match nearest {
        Some(setting) if shared(setting.env) > PREFIX.len() + 1 => format!(" (did you mean {}?)", setting.env),
        _ => String::new(),
    }
}
