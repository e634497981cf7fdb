//! The one writer of a journal: a thread, because a disk makes it wait.

use super::file::{JournalFile, MAX_LINE_BYTES};
use super::{Book, JournalError, JournalOptions};
use std::path::Path;
use std::thread::{self, JoinHandle};
use tokio::sync::{mpsc, oneshot};

/// Appends that wait for the writer at most; more wait before it.
const QUEUE: usize = 1024;
/// Longest record: an access token and what belongs to it.
const MAX_RECORD_BYTES: usize = 16 * 1024;
/// Appends that go out in one write at most.
const BATCH: usize = 256;
/// A file is written anew when it is this many times as long as it was after the last time.
const GROWTH: u64 = 4;

/// Whether a record begins something, or ends what has begun and must get through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    Begin,
    End,
}

struct Append<R> {
    record: R,
    json: String,
    purpose: Purpose,
    /// Told when it is durable; nobody waits for some.
    reply: Option<oneshot::Sender<Result<(), JournalError>>>,
}

#[derive(Debug)]
pub struct Journal<B: Book> {
    sender: Option<mpsc::Sender<Append<B::Record>>>,
    writer: Option<JoinHandle<()>>,
}

impl<B: Book> Journal<B> {
    /// Opens the journal and answers what it says.
    pub fn open(path: &Path, options: JournalOptions) -> Result<(Self, B), JournalError> {
        let (mut file, records) = JournalFile::open(path, B::KIND, &options)?;
        let mut book = B::default();
        records.iter().for_each(|record| book.apply(record));
        // What is over and done need not stay on the disk.
        file.rewrite(&book.records())?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let floor = file.length();
        let mut writer = Writer { file, book: book.clone(), options, floor, broken: false };
        let thread = thread::Builder::new().name(format!("journal-{}", B::KIND)).spawn(move || writer.run(receiver));
        let fault =
            |error: std::io::Error| JournalError::Io { path: path.display().to_string(), reason: error.to_string() };
        Ok((Self { sender: Some(sender), writer: Some(thread.map_err(fault)?) }, book))
    }

    /// Appends a record; it is durable when this returns.
    ///
    /// When the future is dropped before, the record may or may not be there.
    pub async fn append(&self, record: B::Record, purpose: Purpose) -> Result<(), JournalError> {
        let (reply, durable) = oneshot::channel();
        self.send(record, purpose, Some(reply)).await?;
        durable.await.unwrap_or(Err(JournalError::Broken))
    }

    /// Appends a record whose loss costs nothing but work done twice.
    pub async fn append_soon(&self, record: B::Record) {
        // A journal that is broken tells the next one who waits.
        let _ = self.send(record, Purpose::End, None).await;
    }

    async fn send(
        &self,
        record: B::Record,
        purpose: Purpose,
        reply: Option<oneshot::Sender<Result<(), JournalError>>>,
    ) -> Result<(), JournalError> {
        let json = serde_json::to_string(&record).map_err(|_| JournalError::TooLarge)?;
        if json.len() > MAX_RECORD_BYTES {
            return Err(JournalError::TooLarge);
        }
        let sender = self.sender.as_ref().ok_or(JournalError::Broken)?;
        sender.send(Append { record, json, purpose, reply }).await.map_err(|_| JournalError::Broken)
    }
}

impl<B: Book> Drop for Journal<B> {
    /// Waits until what was appended is written, and the file free for another.
    fn drop(&mut self) {
        self.sender.take();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

struct Writer<B: Book> {
    file: JournalFile,
    /// What the file says.
    book: B,
    options: JournalOptions,
    /// Length of the file after it was last written anew.
    floor: u64,
    broken: bool,
}

impl<B: Book> Writer<B> {
    fn run(&mut self, mut receiver: mpsc::Receiver<Append<B::Record>>) {
        while let Some(first) = receiver.blocking_recv() {
            let mut bytes = first.json.len();
            let mut batch = vec![first];
            while batch.len() < BATCH && bytes < MAX_LINE_BYTES / 2 {
                let Ok(more) = receiver.try_recv() else { break };
                bytes = bytes.saturating_add(more.json.len());
                batch.push(more);
            }
            self.write(batch);
        }
    }

    fn write(&mut self, batch: Vec<Append<B::Record>>) {
        self.compact_if_due();
        let full = self.file.length() >= self.options.max_bytes;
        let overfull = self.file.length() >= self.options.max_bytes.saturating_mul(2);
        let (admitted, refused): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|append| !(overfull || full && append.purpose == Purpose::Begin));
        refused.into_iter().for_each(|append| append.tell(Err(JournalError::Full)));
        if admitted.is_empty() {
            return;
        }
        let records: Vec<String> = admitted.iter().map(|append| append.json.clone()).collect();
        let written = if self.broken { Err(JournalError::Broken) } else { self.file.append(&records) };
        self.broken |= written.is_err();
        for append in admitted {
            if written.is_ok() {
                self.book.apply(&append.record);
            }
            append.tell(written.clone());
        }
    }

    /// Writes the file anew where it has grown enough for that to pay.
    fn compact_if_due(&mut self) {
        let length = self.file.length();
        let full = length >= self.options.max_bytes && length >= self.floor.saturating_add(self.floor / GROWTH);
        let grown = length >= self.floor.saturating_mul(GROWTH) && length >= self.options.compact_bytes;
        if self.broken || !(grown || full) {
            return;
        }
        // Whether the old file or the new one is in place is not known then.
        self.broken = self.file.rewrite(&self.book.records()).is_err();
        self.floor = self.file.length();
    }
}

impl<R> Append<R> {
    fn tell(self, outcome: Result<(), JournalError>) {
        if let Some(reply) = self.reply {
            // Who does not wait any more will find it in the journal.
            let _ = reply.send(outcome);
        }
    }
}
