//! A closed loop: each connection sends its next request when the last is answered. Owns times;
//! it must never go on after a wrong answer.

use super::answer::{Gave, check};
use super::process::cpu_micros;
use super::scenario::{Capture, Expect, Script, capture};
use super::wire::Connection;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Longest time that is told apart.
const MAX_MICROS: u64 = 60_000_000;
/// Significant digits.
const DIGITS: u8 = 3;

/// Whose time on a processor is counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    pub server: Option<u32>,
    pub database: Option<u32>,
}

/// What one round showed.
#[derive(Debug)]
pub struct Sample {
    pub answers: u64,
    pub took: Duration,
    pub times: Histogram<u64>,
    /// On a processor, in microseconds.
    pub server_cpu: Option<u64>,
    pub database_cpu: Option<u64>,
}

/// What all connections of a round share.
struct Round {
    script: Script,
    count: usize,
    next: AtomicUsize,
    tokens: Option<Mutex<Vec<String>>>,
}

struct Told {
    answers: u64,
    times: Histogram<u64>,
}

/// Sends `count` requests of a script over so many connections, from a thread of its own.
///
/// # Errors
/// The first thing that was wrong.
pub async fn drive(script: Script, connections: usize, count: usize, meter: Meter) -> Result<Sample, String> {
    Ok(on_own_thread(script, connections, count, meter, false).await?.0)
}

/// The same, for the tokens that are answered.
///
/// # Errors
/// As above.
pub async fn collect(script: Script, connections: usize, count: usize) -> Result<Vec<String>, String> {
    Ok(on_own_thread(script, connections, count, Meter::default(), true).await?.1)
}

async fn on_own_thread(
    script: Script,
    connections: usize,
    count: usize,
    meter: Meter,
    keep: bool,
) -> Result<(Sample, Vec<String>), String> {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(round(script, connections, count, meter, keep))
    };
    tokio::task::spawn_blocking(run).await.map_err(|error| error.to_string())?
}

async fn round(
    script: Script,
    connections: usize,
    count: usize,
    meter: Meter,
    keep: bool,
) -> Result<(Sample, Vec<String>), String> {
    if script.once && script.requests.len() < count {
        return Err(format!("{} requests are not {count}", script.requests.len()));
    }
    let address = script.address.clone();
    let tokens = keep.then(|| Mutex::new(Vec::with_capacity(count)));
    let shared = Arc::new(Round { script, count, next: AtomicUsize::new(0), tokens });
    let mut opened = Vec::new();
    for _ in 0..connections.min(count).max(1) {
        opened.push(Connection::open(&address).await?);
    }
    let cpu = |pid: Option<u32>| pid.map(cpu_micros);
    let before = (cpu(meter.server), cpu(meter.database));
    let began = Instant::now();
    let mut set = JoinSet::new();
    for connection in opened {
        set.spawn(Arc::clone(&shared).on(connection));
    }
    let mut answers = 0;
    let mut times = histogram()?;
    while let Some(told) = set.join_next().await {
        let told = told.map_err(|error| error.to_string())??;
        answers += told.answers;
        times.add(told.times).map_err(|error| error.to_string())?;
    }
    let took = began.elapsed();
    let since = |before: Option<u64>, after: Option<u64>| Some(after?.saturating_sub(before?));
    let server_cpu = since(before.0, cpu(meter.server));
    let database_cpu = since(before.1, cpu(meter.database));
    let tokens = shared.tokens.as_ref().map(|tokens| std::mem::take(&mut *tokens.lock())).unwrap_or_default();
    Ok((Sample { answers, took, times, server_cpu, database_cpu }, tokens))
}

fn histogram() -> Result<Histogram<u64>, String> {
    Histogram::new_with_bounds(1, MAX_MICROS, DIGITS).map_err(|error| error.to_string())
}

impl Round {
    async fn on(self: Arc<Self>, mut connection: Connection) -> Result<Told, String> {
        let mut told = Told { answers: 0, times: histogram()? };
        let mut last = Gave::default();
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.count {
                return Ok(told);
            }
            let place = if self.script.once { index } else { index % self.script.requests.len().max(1) };
            let request = self.script.requests.get(place).ok_or("a script without requests")?;
            let gave = told.ask(&mut connection, request, &self.script.expect).await?;
            if gave.jti.is_some() && gave.jti == last.jti {
                return Err("one id was given to two tokens".to_owned());
            }
            if let (Some(tokens), Some(token)) = (&self.tokens, &gave.token) {
                tokens.lock().push(token.clone());
            }
            self.capture(&mut told, &mut connection, request, &gave).await?;
            last = gave;
        }
    }

    /// The second half of a hold.
    async fn capture(
        &self,
        told: &mut Told,
        connection: &mut Connection,
        request: &[u8],
        gave: &Gave,
    ) -> Result<(), String> {
        let (Expect::Hold { member, capture: how }, Some(hold)) = (&self.script.expect, &gave.hold) else {
            return Ok(());
        };
        match how {
            Capture::Again => told.ask(connection, request, &Expect::Has { member }).await?,
            Capture::Of { authorization } => {
                let request = capture(&self.script.address, authorization, hold);
                told.ask(connection, &request, &Expect::Has { member: "capture" }).await?
            }
        };
        Ok(())
    }
}

impl Told {
    async fn ask(&mut self, connection: &mut Connection, request: &[u8], expect: &Expect) -> Result<Gave, String> {
        let began = Instant::now();
        let answer = connection.ask(request).await?;
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(MAX_MICROS);
        self.times.saturating_record(micros.max(1));
        self.answers += 1;
        check(&answer, expect)
    }
}
