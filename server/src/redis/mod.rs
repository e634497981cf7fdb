//! Redis, which a deployment may have: limits that many nodes share, and wake-ups. The only user
//! of the crate.
//!
//! It is an authority for nothing. What it says may hold a request up or make a node look at the
//! database, and whatever it loses, forgets or invents costs no money and lengthens no life. A
//! Redis that is dead or hung costs whoever meets it first one timeout, and then nobody anything
//! until it answers again ([`Link`]). Nothing here may be needed for an answer.

mod breaker;
mod link;
mod wake;

pub use link::Away;

use crate::store::Store;
use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{Client, IntoConnectionInfo, ProtocolVersion, Script, TlsCertificates};
use link::Link;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use stipend_keys::Secret;
use stipend_schema::TailerHandle;
use stipend_token::rate::{Rate, SLACK_MICROS, Taken};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Where Redis is.
#[derive(Debug)]
pub struct RedisConfig {
    /// `redis://` or `rediss://`; it may hold a password.
    pub url: Secret<String>,
    /// Certificates that sign Redis's, in place of the system's.
    pub ca: Option<PathBuf>,
}

/// How Redis is, for people.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RedisState {
    Answers,
    /// Limits are shared there, but wake-ups don't come.
    NoWakeUps,
    DoesNotAnswer,
}

impl RedisState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answers => "ok",
            Self::NoWakeUps => "no wake-ups",
            Self::DoesNotAnswer => "does not answer",
        }
    }
}

pub struct Redis {
    link: Arc<Link>,
    listening: Arc<AtomicBool>,
    take: Script,
    /// Before every key: two deployments may share one Redis.
    prefix: String,
    tasks: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("link", &self.link).finish_non_exhaustive()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Redis {
    /// Starts the tasks that keep it, and waits no longer than one attempt: a node starts without.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub async fn start(
        config: &RedisConfig,
        issuer: &str,
        store: &Store,
        tailer: TailerHandle,
        heads: watch::Receiver<i64>,
    ) -> Result<Self, String> {
        let prefix = format!("stipend:{issuer}:");
        let channel = format!("{prefix}wake");
        let link = Arc::new(Link::new(client(config, ProtocolVersion::RESP2)?));
        link.try_once(true).await;
        let listening = Arc::new(AtomicBool::new(false));
        let keeper = Arc::clone(&link);
        let ears = client(config, ProtocolVersion::RESP3)?;
        let tasks = vec![
            store.background(async move { keeper.keep().await }),
            store.background(wake::publish(Arc::clone(&link), channel.clone(), heads)),
            store.background(wake::listen(ears, channel, tailer, Arc::clone(&listening))),
        ];
        Ok(Self { link, listening, take: Script::new(include_str!("take.lua")), prefix, tasks })
    }

    #[must_use]
    pub fn state(&self) -> RedisState {
        match (self.link.is_up(), self.listening.load(Ordering::Relaxed)) {
            (true, true) => RedisState::Answers,
            (true, false) => RedisState::NoWakeUps,
            (false, _) => RedisState::DoesNotAnswer,
        }
    }

    /// Takes up to `want` cells of what is limited as `key`, at `now` in microseconds: what
    /// [`Rate::take`] says.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn take(&self, key: &str, rate: &Rate, now: i64, want: u32) -> Result<Taken, Away> {
        let tolerance = rate.tolerance();
        let mut asked = self.take.key(format!("{}{key}", self.prefix));
        asked.arg(now).arg(rate.interval()).arg(tolerance).arg(tolerance.saturating_add(SLACK_MICROS)).arg(want);
        let ask = async |mut connection: MultiplexedConnection| asked.invoke_async(&mut connection).await;
        let (granted, tat): (u32, i64) = self.link.call(ask).await?;
        // More than was asked for is an answer to another question.
        let granted = granted.min(want);
        let wait = tat.saturating_sub(now).saturating_sub(tolerance).saturating_add(rate.interval());
        let wait = wait.clamp(1, rate.interval().saturating_add(SLACK_MICROS));
        Ok(Taken { granted, tat, wait: if granted == 0 && want > 0 { wait } else { 0 } })
    }

    /// The arrival times of what is limited as `keys`, in their order.
    ///
    /// # Errors
    /// [`Away`].
    pub async fn arrivals(&self, keys: &[String]) -> Result<Vec<Option<i64>>, Away> {
        let mut command = ::redis::cmd("MGET");
        for key in keys {
            command.arg(format!("{}{key}", self.prefix));
        }
        let ask = async |mut connection: MultiplexedConnection| command.query_async(&mut connection).await;
        self.link.call(ask).await
    }
}

fn client(config: &RedisConfig, protocol: ProtocolVersion) -> Result<Client, String> {
    let wrong = |error: ::redis::RedisError| link::brief(&error);
    let info = config.url.expose().as_str().into_connection_info().map_err(wrong)?;
    let settings = info.redis_settings().clone().set_protocol(protocol);
    // Small commands that somebody waits for.
    let info = info.set_redis_settings(settings).set_tcp_settings(TcpSettings::default().set_nodelay(true));
    match &config.ca {
        Some(path) => {
            let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem) };
            Client::build_with_tls(info, certificates).map_err(wrong)
        }
        None => Client::open(info).map_err(wrong),
    }
}
