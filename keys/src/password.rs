//! Client secrets at rest: Argon2id, on one worker that can't be flooded.
//!
//! A hash costs 12-36 ms and 19 MiB (OWASP's m=19456, t=2, p=1), so it must never
//! run on a request's thread nor many at once: one thread owns the memory and takes
//! jobs from a bounded queue. When that is full the answer is [`WorkerError::Busy`].
//! An unknown client costs the same as a wrong secret.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::secret::{Secret, constant_time_eq, random_bytes};

/// Memory in KiB.
pub const MEMORY_KIB: u32 = 19_456;
/// Passes.
pub const PASSES: u32 = 2;
/// Lanes.
pub const LANES: u32 = 1;
/// Jobs that may wait: about two seconds of work.
pub const QUEUE_LIMIT: usize = 64;
/// Longest secret that is hashed.
pub const MAX_SECRET_BYTES: usize = 512;

/// Upper bounds on what a stored hash may ask for: a changed row must not be able
/// to exhaust the node.
const MAX_MEMORY_KIB: u32 = 65_536;
const MAX_PASSES: u32 = 8;
const MAX_LANES: u32 = 4;
const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = 32;

/// Why there will be no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    #[error("too many secrets are waiting to be checked")]
    Busy,
    #[error("the secret worker has stopped")]
    Stopped,
}

/// A secret that can't be hashed: it is too long, or there is no memory for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret can't be hashed")]
pub struct HashError;

/// Hashes a secret to a PHC string. For tools and tests; a server uses the worker.
pub fn hash(secret: &Secret<String>) -> Result<String, HashError> {
    Hasher::default().hash(secret)
}

type Verdict = Box<dyn FnOnce(bool) + Send>;
type Hashed = Box<dyn FnOnce(Result<String, HashError>) + Send>;

enum Job {
    Verify { secret: Secret<String>, phc: Option<String>, done: Verdict },
    Hash { secret: Secret<String>, done: Hashed },
}

/// One thread that hashes. Dropping it lets the queue drain and ends the thread.
pub struct SecretWorker {
    jobs: SyncSender<Job>,
    runs: Arc<AtomicU64>,
}

impl SecretWorker {
    /// Starts the thread. Its memory is taken at the first job and then kept.
    pub fn start() -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE_LIMIT);
        let builder = thread::Builder::new().name("stipend-argon2".to_owned());
        let runs = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&runs);
        builder.spawn(move || run(&queue, &counted))?;
        Ok(Self { jobs, runs })
    }

    /// How often Argon2id has run.
    pub fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// Checks a secret against a PHC string and calls `done` on the worker's thread.
    /// With `None` (no such client) it does the same work and answers `false`.
    /// `done` is dropped uncalled when the worker ends first.
    pub fn try_verify(
        &self,
        secret: Secret<String>,
        phc: Option<String>,
        done: impl FnOnce(bool) + Send + 'static,
    ) -> Result<(), WorkerError> {
        let done = Box::new(done);
        self.submit(Job::Verify { secret, phc, done })
    }

    /// Hashes a new secret and calls `done` with its PHC string.
    pub fn try_hash(
        &self,
        secret: Secret<String>,
        done: impl FnOnce(Result<String, HashError>) + Send + 'static,
    ) -> Result<(), WorkerError> {
        let done = Box::new(done);
        self.submit(Job::Hash { secret, done })
    }

    fn submit(&self, job: Job) -> Result<(), WorkerError> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => WorkerError::Busy,
            TrySendError::Disconnected(_) => WorkerError::Stopped,
        })
    }
}

impl fmt::Debug for SecretWorker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretWorker")
    }
}

fn run(queue: &Receiver<Job>, runs: &AtomicU64) {
    let mut hasher = Hasher::default();
    for job in queue {
        runs.fetch_add(1, Ordering::Relaxed);
        // A callback that panics loses its own answer, not the worker.
        let _ = catch_unwind(AssertUnwindSafe(|| match job {
            Job::Verify { secret, phc, done } => done(hasher.verify(&secret, phc.as_deref())),
            Job::Hash { secret, done } => done(hasher.hash(&secret)),
        }));
    }
}

/// Argon2id with memory that is kept between uses.
#[derive(Default)]
struct Hasher {
    blocks: Vec<Block>,
}

/// A stored hash, taken apart.
struct Stored {
    params: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Hasher {
    fn hash(&mut self, secret: &Secret<String>) -> Result<String, HashError> {
        let salt = random_bytes::<SALT_BYTES>();
        let params = own_params().ok_or(HashError)?;
        let output = self.derive(secret, &params, &salt, OUTPUT_BYTES).ok_or(HashError)?;
        let (salt, output) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(output));
        Ok(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${output}"))
    }

    fn verify(&mut self, secret: &Secret<String>, phc: Option<&str>) -> bool {
        match phc.and_then(Stored::parse) {
            Some(stored) => self
                .derive(secret, &stored.params, &stored.salt, stored.output.len())
                .is_some_and(|output| constant_time_eq(&output, &stored.output)),
            None => {
                // Unknown client or unreadable hash: the same work, then no.
                if let Some(params) = own_params() {
                    self.derive(secret, &params, &[0; SALT_BYTES], OUTPUT_BYTES);
                }
                false
            }
        }
    }

    fn derive(
        &mut self,
        secret: &Secret<String>,
        params: &Params,
        salt: &[u8],
        output_bytes: usize,
    ) -> Option<Vec<u8>> {
        let secret = secret.expose().as_bytes();
        if secret.len() > MAX_SECRET_BYTES {
            return None;
        }
        let needed = params.block_count();
        if self.blocks.len() < needed {
            self.blocks.try_reserve_exact(needed - self.blocks.len()).ok()?;
            self.blocks.resize(needed, Block::new());
        }
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
        let mut output = vec![0; output_bytes];
        let result = argon2.hash_password_into_with_memory(secret, salt, &mut output, &mut self.blocks);
        result.ok().map(|()| output)
    }
}

impl Stored {
    fn parse(phc: &str) -> Option<Self> {
        let phc = PasswordHash::new(phc).ok()?;
        let params = Params::try_from(&phc).ok()?;
        let known = phc.algorithm.as_str() == "argon2id" && phc.version == Some(19);
        let bounded =
            params.m_cost() <= MAX_MEMORY_KIB && params.t_cost() <= MAX_PASSES && params.p_cost() <= MAX_LANES;
        let (salt, output) = (phc.salt?, phc.hash?);
        (known && bounded).then(|| Self { params, salt: salt.as_ref().to_vec(), output: output.as_bytes().to_vec() })
    }
}

fn own_params() -> Option<Params> {
    Params::new(MEMORY_KIB, PASSES, LANES, Some(OUTPUT_BYTES)).ok()
}
