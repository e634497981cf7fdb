//! The history as it is written down: one line before an attempt is sent, one after it is
//! answered, so that what was asked is known though this process is killed.
//!
//! Lines are written before the request leaves, so a kill of this process loses none. They
//! reach the disk by `fdatasync` every [`SYNC_EVERY`], or with [`Fsync::Always`] before the
//! request leaves, for the case that the machine stops. Tokens and secrets are never written.

use crate::clock::Micros;
use crate::error::BenchError;
use crate::load::history::{Attempt, Operation, Outcome};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

pub const SYNC_EVERY: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Fsync {
    /// Written before sending; on the disk within a fifth of a second.
    #[default]
    Interval,
    /// On the disk before sending.
    Always,
}

#[derive(Debug)]
pub struct Journal {
    file: Mutex<File>,
    /// The same file, so that bringing it to the disk keeps nobody from writing, and needs no
    /// descriptor when there may be none left.
    disk: File,
    fsync: Fsync,
}

impl Journal {
    /// A new file; one that is there is not written over.
    ///
    /// # Errors
    /// [`BenchError::Io`].
    pub fn create(path: &Path, fsync: Fsync) -> Result<Self, BenchError> {
        let file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(path);
        let file = file.map_err(BenchError::io(format!("journal {}", path.display())))?;
        let disk = file.try_clone().map_err(BenchError::io("journal"))?;
        Ok(Self { file: Mutex::new(file), disk, fsync })
    }

    /// What is about to be sent.
    ///
    /// # Errors
    /// [`BenchError::Io`]: then it must not be sent.
    pub fn sent(&self, operation: &Operation, attempt: u64, node: usize, at: Micros) -> Result<(), BenchError> {
        let Operation { id, kind, key, subject, request, .. } = operation;
        let jti = subject.token.as_ref().map(|token| token.jti.as_str());
        self.write(&json!({
            "at": at, "sent": id, "attempt": attempt, "node": node, "kind": kind.as_str(), "key": key,
            "client": request.client, "path": request.path, "token": jti, "amount": subject.amount,
            "lines": subject.lines, "carve": subject.carve,
        }))
    }

    /// What became of it.
    ///
    /// # Errors
    /// [`BenchError::Io`].
    pub fn answered(&self, id: u64, number: u64, attempt: &Attempt) -> Result<(), BenchError> {
        let (outcome, reply) = match &attempt.outcome {
            Outcome::Done(reply) => ("done".to_owned(), Some(reply)),
            Outcome::Refused(reply) => ("refused".to_owned(), Some(reply)),
            Outcome::Failed(status) => (format!("unknown: {status}"), None),
            Outcome::Lost(lost) => (format!("unknown: {}", lost.as_str()), None),
        };
        let body = reply.map(|reply| without_token(&reply.body));
        self.write(&json!({
            "at": attempt.ended, "answered": id, "attempt": number, "outcome": outcome,
            "status": reply.map(|reply| reply.status), "request_id": reply.and_then(|reply| reply.request_id.as_deref()),
            "body": body,
        }))
    }

    /// A remark: a fault, the beginning of a phase.
    ///
    /// # Errors
    /// [`BenchError::Io`].
    pub fn note(&self, at: Micros, what: &str) -> Result<(), BenchError> {
        self.write(&json!({ "at": at, "note": what }))
    }

    fn write(&self, entry: &Value) -> Result<(), BenchError> {
        let line = format!("{entry}\n");
        let mut file = self.file.lock();
        file.write_all(line.as_bytes()).map_err(BenchError::io("journal"))?;
        match self.fsync {
            Fsync::Always => file.sync_data().map_err(BenchError::io("journal")),
            Fsync::Interval => Ok(()),
        }
    }

    /// Brings what was written to the disk.
    ///
    /// # Errors
    /// [`BenchError::Io`].
    pub fn sync(&self) -> Result<(), BenchError> {
        self.disk.sync_data().map_err(BenchError::io("journal"))
    }
}

fn without_token(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(token) = body.get_mut("access_token") {
        *token = Value::from("(not written)");
    }
    body
}
