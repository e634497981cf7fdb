//! The environment of the program: where the relay is and its key, under the names that the
//! libraries of providers look for; and nothing of ours that is secret.

use crate::cli::error::CliError;
use crate::config::{CONFIG_FILE, SETTINGS};
use std::collections::BTreeSet;
use stipend_keys::Secret;
use stipend_token::constraint::{Action, Constraints, CredentialRelease, MAX_CREDENTIALS};

/// What a client authenticates with.
const OF_CLIENT: [&str; 3] = ["STIPEND_CLIENT_SECRET", "STIPEND_CLIENT_SECRET_FILE", "STIPEND_TOKEN"];
/// Would be sent beside the key, and says who is asking to no one here.
const BESIDE_THE_KEY: [&str; 1] = ["ANTHROPIC_AUTH_TOKEN"];
/// Hosts that are called without the proxy that the environment names, if it names one: libraries
/// read the one or the other.
const DIRECT: [&str; 2] = ["NO_PROXY", "no_proxy"];
const EVERY_HOST: &str = "*";
const RELAY_HOST: &str = "127.0.0.1";
/// OpenAI's libraries have the version of the API in their base, the others in each path.
const OPENAI: &str = "OPENAI";
const OPENAI_VERSION: &str = "/v1";

/// A credential that the program may use.
#[derive(Clone, Debug)]
pub struct Lent {
    pub release: CredentialRelease,
    /// In capitals: `OPENAI` for `OPENAI_BASE_URL`.
    names: Vec<String>,
}

/// What is put into the environment, and what is taken out of it.
#[derive(Debug)]
pub struct Environment {
    pub set: Vec<(String, String)>,
    pub removed: Vec<String>,
}

/// `ID`, or `ID=openai,anthropic`.
pub fn lent(text: &str) -> Result<Lent, String> {
    let (id, names) = match text.split_once('=') {
        Some((id, names)) => (id, names.split(',').map(name).collect::<Result<_, _>>()?),
        None => (text, Vec::new()),
    };
    let release = CredentialRelease::new(id, vec![Action::Proxy], Constraints::default());
    Ok(Lent { release: release.map_err(|error| error.to_string())?, names })
}

fn name(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain && text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        Ok(text.to_ascii_uppercase())
    } else {
        Err("write ID, or ID=NAME, where NAME_BASE_URL is a variable: openai, anthropic".to_owned())
    }
}

/// Each credential once, and each name for one of them.
pub fn check(lent: &[Lent]) -> Result<(), CliError> {
    let ids: BTreeSet<_> = lent.iter().map(|lent| lent.release.identifier()).collect();
    let names: Vec<_> = lent.iter().flat_map(|lent| &lent.names).collect();
    if ids.len() != lent.len() || names.iter().collect::<BTreeSet<_>>().len() != names.len() {
        return Err(CliError::usage("--credential: name each credential once, and each of its names for one of them"));
    }
    if lent.len() > MAX_CREDENTIALS {
        return Err(CliError::usage(format!("--credential: at most {MAX_CREDENTIALS}")));
    }
    Ok(())
}

/// What we were started with for the program.
#[expect(clippy::disallowed_methods, reason = "the program's, and no setting of ours")]
pub fn direct_hosts() -> Vec<String> {
    DIRECT.into_iter().filter_map(|name| std::env::var(name).ok()).filter(|hosts| !hosts.is_empty()).collect()
}

/// The same, and the relay: through a proxy of the company's nobody would find it.
fn with_relay(mut hosts: Vec<String>) -> String {
    if hosts.iter().any(|hosts| hosts == EVERY_HOST) {
        return EVERY_HOST.to_owned();
    }
    hosts.dedup();
    hosts.push(RELAY_HOST.to_owned());
    hosts.join(",")
}

pub fn of_child(lent: &[Lent], root: &str, key: &Secret<String>, direct_hosts: Vec<String>) -> Environment {
    let direct_hosts = with_relay(direct_hosts);
    let mut set: Vec<_> = DIRECT.iter().map(|name| ((*name).to_owned(), direct_hosts.clone())).collect();
    set.push(("STIPEND_PROXY_URL".to_owned(), root.to_owned()));
    set.push(("STIPEND_PROXY_KEY".to_owned(), key.expose().clone()));
    for lent in lent {
        for name in &lent.names {
            let version = if name == OPENAI { OPENAI_VERSION } else { "" };
            set.push((format!("{name}_BASE_URL"), format!("{root}/{}{version}", lent.release.identifier())));
            set.push((format!("{name}_API_KEY"), key.expose().clone()));
        }
    }
    let of_server = SETTINGS.iter().filter(|setting| setting.secret);
    let removed = of_server.flat_map(|setting| [setting.env.to_owned(), format!("{}_FILE", setting.env)]);
    let others = OF_CLIENT.into_iter().chain(BESIDE_THE_KEY).chain([CONFIG_FILE]).map(str::to_owned);
    Environment { set, removed: removed.chain(others).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_a_base_and_the_relays_key() {
        let lent = ["acme.llm=openai,anthropic", "acme.shop=shop_2", "acme.bare"].map(|text| lent(text).unwrap());
        assert!(check(&lent).is_ok());
        let key = Secret::new("rk_x".to_owned());
        let environment = of_child(&lent, "http://127.0.0.1:1", &key, vec!["a.example".to_owned()]);
        let value = |name: &str| {
            environment.set.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        for (name, expected) in [
            ("OPENAI_BASE_URL", "http://127.0.0.1:1/acme.llm/v1"),
            ("OPENAI_API_KEY", "rk_x"),
            ("ANTHROPIC_BASE_URL", "http://127.0.0.1:1/acme.llm"),
            ("SHOP_2_BASE_URL", "http://127.0.0.1:1/acme.shop"),
            ("SHOP_2_API_KEY", "rk_x"),
            ("STIPEND_PROXY_URL", "http://127.0.0.1:1"),
            ("STIPEND_PROXY_KEY", "rk_x"),
            ("NO_PROXY", "a.example,127.0.0.1"),
            ("no_proxy", "a.example,127.0.0.1"),
        ] {
            assert_eq!(value(name), expected, "{name}");
        }
        for name in ["STIPEND_CLIENT_SECRET", "STIPEND_KEK", "STIPEND_KEK_FILE", "STIPEND_DATABASE_URL"] {
            assert!(environment.removed.iter().any(|removed| removed == name), "{name}");
        }
    }

    #[test]
    fn the_relay_is_added_to_the_hosts_without_a_proxy() {
        let with = |hosts: &[&str]| with_relay(hosts.iter().map(|hosts| (*hosts).to_owned()).collect());
        assert_eq!(with(&[]), "127.0.0.1");
        assert_eq!(with(&["a,b", "a,b"]), "a,b,127.0.0.1");
        assert_eq!(with(&["a", "*"]), "*");
    }

    #[test]
    fn what_is_no_credential_or_no_name_is_refused() {
        for bad in ["", "=openai", "a b", "acme.llm=", "acme.llm=open-ai", "acme.llm=1x", "acme.llm=a,,b", "../x"] {
            assert!(lent(bad).is_err(), "{bad:?}");
        }
        for twice in [["acme.a", "acme.a"], ["acme.a=openai", "acme.b=OpenAI"]] {
            assert!(check(&twice.map(|text| lent(text).unwrap())).is_err(), "{twice:?}");
        }
    }
}
