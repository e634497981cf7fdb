//! One connection to Redis that is kept up by one task. Who asks gets an answer within its time
//! or [`Away`], and never connects, waits for a connection or tries again.

use super::breaker::{Breaker, Fault};
use crate::limits::{REDIS_CONNECT_TIMEOUT, REDIS_IN_FLIGHT, REDIS_PING_EVERY, REDIS_RESPONSE_TIMEOUT};
use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, RedisResult};
use parking_lot::Mutex;
use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};
use stipend_keys::secret::random_bytes;
use tokio::sync::Notify;
use tokio::time::timeout;

/// Redis is not there, or is left alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Away;

pub(super) struct Link {
    client: Client,
    state: Mutex<State>,
    opened: Notify,
}

struct State {
    breaker: Breaker,
    connection: Option<MultiplexedConnection>,
    /// Counts connections: a fault of an old one says nothing of the new one.
    generation: u64,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client knows the password.
        f.debug_struct("Link").field("breaker", &self.state.lock().breaker).finish_non_exhaustive()
    }
}

impl Link {
    pub fn new(client: Client) -> Self {
        let state = State { breaker: Breaker::new(), connection: None, generation: 0 };
        Self { client, state: Mutex::new(state), opened: Notify::new() }
    }

    pub fn is_up(&self) -> bool {
        self.state.lock().breaker.is_closed()
    }

    /// Asks. Costs at most [`REDIS_RESPONSE_TIMEOUT`], and nothing while Redis is left alone.
    pub async fn call<T, F>(&self, ask: impl FnOnce(MultiplexedConnection) -> F) -> Result<T, Away>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let (connection, generation) = {
            let state = self.state.lock();
            (state.connection.clone().ok_or(Away)?, state.generation)
        };
        match timeout(REDIS_RESPONSE_TIMEOUT, ask(connection)).await {
            Ok(Ok(answer)) => {
                self.state.lock().breaker.succeeded();
                Ok(answer)
            }
            Ok(Err(error)) => {
                self.failed(generation, fault(&error), &brief(&error));
                Err(Away)
            }
            Err(_) => {
                self.failed(generation, Fault::Timeout, "no answer in time");
                Err(Away)
            }
        }
    }

    fn failed(&self, generation: u64, fault: Fault, what: &str) {
        let mut state = self.state.lock();
        if state.generation != generation || !state.breaker.failed(fault, Instant::now()) {
            return;
        }
        state.connection = None;
        drop(state);
        tracing::warn!(what, "Redis does not answer: limits are kept in the database until it does");
        self.opened.notify_one();
    }

    /// Tries once to reach Redis; what is wrong is said where `aloud`.
    pub async fn try_once(&self, aloud: bool) {
        match timeout(REDIS_CONNECT_TIMEOUT, connect(&self.client, config())).await {
            Ok(Ok(connection)) => {
                let mut state = self.state.lock();
                state.generation += 1;
                state.connection = Some(connection);
                let closed = state.breaker.recovered(Instant::now());
                drop(state);
                if closed {
                    tracing::info!("Redis answers: limits are shared there");
                }
            }
            Ok(Err(error)) => self.in_vain(aloud, &brief(&error)),
            Err(_) => self.in_vain(aloud, "no connection in time"),
        }
    }

    fn in_vain(&self, aloud: bool, what: &str) {
        self.state.lock().breaker.tried();
        if aloud {
            tracing::warn!(what, "Redis can't be used: limits are kept in the database until it can");
        }
    }

    /// Keeps the connection up, for as long as the node lives.
    pub async fn keep(&self) {
        loop {
            if self.is_up() {
                tokio::select! {
                    () = tokio::time::sleep(REDIS_PING_EVERY) => {}
                    () = self.opened.notified() => continue,
                }
                // A node without requests notices as well.
                let _ = self.call(ping).await;
            } else {
                tokio::time::sleep(self.pause()).await;
                self.try_once(false).await;
            }
        }
    }

    fn pause(&self) -> Duration {
        let [jitter] = random_bytes::<1>();
        self.state.lock().breaker.pause(jitter)
    }
}

pub(super) fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(REDIS_CONNECT_TIMEOUT))
        .set_response_timeout(Some(REDIS_RESPONSE_TIMEOUT))
        .set_concurrency_limit(REDIS_IN_FLIGHT)
        .set_pipeline_buffer_size(REDIS_IN_FLIGHT)
}

/// A connection that has answered, in its time: one that is too slow is none.
pub(super) async fn connect(client: &Client, config: AsyncConnectionConfig) -> RedisResult<MultiplexedConnection> {
    let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    ping(connection.clone()).await?;
    Ok(connection)
}

pub(super) async fn ping(mut connection: MultiplexedConnection) -> RedisResult<()> {
    ::redis::cmd("PING").query_async::<String>(&mut connection).await.map(|_| ())
}

fn fault(error: &RedisError) -> Fault {
    if error.is_timeout() {
        Fault::Timeout
    } else if error.is_io_error() || error.is_connection_dropped() {
        Fault::Lost
    } else {
        Fault::Refused
    }
}

/// What went wrong, in the words of this module: what a server wrote may be anything, so of an
/// answer there is only its code.
pub(super) fn brief(error: &RedisError) -> String {
    match (error.kind(), error.code()) {
        (ErrorKind::Io, _) => "the connection failed".to_owned(),
        (ErrorKind::AuthenticationFailed, _) => "the password or the user name is wrong".to_owned(),
        (_, Some(code)) if is_word(code) => format!("it answered {code}"),
        (kind, _) => format!("{kind:?}"),
    }
}

fn is_word(code: &str) -> bool {
    code.len() <= 32 && code.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
