//! Other authorization servers on the same machine in the same run: their programs are beside
//! the load generator in `bench/peers`, their packages are installed by `scripts/compare`. One
//! that can't be started is reported as missing; it must never be left out silently.

use super::deployment::until_ready;
use super::process::Program;
use super::report::Side;
use super::scenario::{Key, Party, Scenario};
use crate::chaos::ports;
use crate::error::BenchError;
use crate::http::Credentials;
use josekit::jwk::Jwk;
use josekit::jwk::alg::ec::{EcCurve, EcKeyPair};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A peer that serves.
#[derive(Debug)]
pub struct Peer {
    pub side: Side,
    pub program: Program,
    pub party: Party,
    scenarios: &'static [Scenario],
}

/// Which there are, and what they can do that is comparable.
pub const ALL: [(Side, &[Scenario]); 2] = [
    // Its JWT access tokens can't be introspected, and it has no token exchange.
    (Side::OidcProvider, &[Scenario::Secret]),
    // It has no token exchange.
    (Side::Authlib, &[Scenario::Secret, Scenario::Introspection]),
];

impl Peer {
    #[must_use]
    pub fn can(&self, scenario: Scenario) -> bool {
        self.scenarios.contains(&scenario)
    }

    /// # Errors
    /// Why there is none.
    pub async fn start(
        (side, scenarios): (Side, &'static [Scenario]),
        installed: &Path,
        workers: usize,
        dir: &Path,
    ) -> Result<Self, BenchError> {
        let port = ports::free()?;
        let (program, args) = command(side, installed, port, workers)?;
        let key = signing_key()?;
        let address = format!("127.0.0.1:{port}");
        let issuer = format!("http://{address}");
        let secret: String = std::iter::repeat_with(fastrand::alphanumeric).take(46).collect();
        let client = Credentials { id: "acme.bench-peers-planner".to_owned(), secret };
        let vars = [
            ("PORT", port.to_string()),
            ("WORKERS", workers.to_string()),
            ("ISSUER", issuer.clone()),
            ("CLIENT_ID", client.id.clone()),
            ("CLIENT_SECRET", client.secret.clone()),
            ("KEY", Value::Object(key.as_ref().clone()).to_string()),
            ("NODE_ENV", "production".to_owned()),
            ("PYTHONPATH", installed.display().to_string()),
        ];
        let mut program = Program::start(&program, &args, &vars, dir.join(format!("{}.log", side.as_str())))?;
        let probe = match side {
            Side::OidcProvider => "/.well-known/openid-configuration",
            _ => "/",
        };
        until_ready(&mut program, &address, probe).await?;
        let signer = (client.id.clone(), Key(key));
        let (subject, actor, service) = (client.clone(), client.clone(), client);
        let party = Party { address, issuer, subject, actor, signer, service, audience: None, scope: Some("work") };
        Ok(Self { side, program, party, scenarios })
    }
}

/// The program and its arguments.
fn command(side: Side, installed: &Path, port: u16, workers: usize) -> Result<(PathBuf, Vec<String>), BenchError> {
    let (program, args) = match side {
        Side::OidcProvider => {
            let script = installed.join("oidc_provider.mjs").display().to_string();
            (installed.join("node_modules/.bin/node"), vec![script])
        }
        _ => {
            let (workers, port) = (workers.to_string(), port.to_string());
            let args = [
                "--interface",
                "wsgi",
                "--host",
                "127.0.0.1",
                "--port",
                &port,
                "--workers",
                &workers,
                "--no-ws",
                "--http",
                "1",
                "--log-level",
                "warning",
                "authlib_server:app",
            ];
            (installed.join("venv/bin/granian"), args.map(str::to_owned).to_vec())
        }
    };
    if program.exists() {
        return Ok((program, args));
    }
    Err(BenchError::Deployment(format!("{} is not installed (scripts/compare does it)", program.display())))
}

/// With its public part: a peer publishes it.
fn signing_key() -> Result<Jwk, BenchError> {
    let keys = EcKeyPair::generate(EcCurve::P256).map_err(|error| BenchError::Deployment(error.to_string()))?;
    Ok(keys.to_jwk_key_pair())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_peer_is_given_a_whole_key() {
        let key = super::signing_key().unwrap();
        for member in ["kty", "crv", "x", "y", "d"] {
            assert!(key.parameter(member).is_some(), "{member}");
        }
    }
}
