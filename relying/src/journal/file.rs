//! The file. One line per write: a checksum, a sequence number, a JSON list of records.
//!
//! A write is fsynced before the next one begins, so a crash can only tear the last line.
//! A bad line before the last, or a number that is missing, is damage and never skipped.

use super::{JournalError, JournalOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use stipend_keys::sha256;

/// Longest line.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;
/// Records in one line of a file that is written anew.
const RECORDS_PER_LINE: usize = 256;
/// Hexadecimal digits of a checksum.
const SUM_DIGITS: usize = 16;

#[derive(Debug)]
pub struct JournalFile {
    file: File,
    path: PathBuf,
    /// Held for as long as this lives; beside the file, which is replaced now and then.
    _lock: File,
    length: u64,
    next: u64,
    kind: &'static str,
}

impl JournalFile {
    /// Opens a journal, or begins one, and reads what it says.
    pub fn open<R: DeserializeOwned>(
        path: &Path,
        kind: &'static str,
        options: &JournalOptions,
    ) -> Result<(Self, Vec<R>), JournalError> {
        let lock_path = beside(path, "lock");
        let lock = private().create(true).truncate(false).open(&lock_path).map_err(|error| io(&lock_path, &error))?;
        lock.try_lock().map_err(|_| JournalError::InUse { path: path.display().to_string() })?;
        if !path.exists() {
            let Fresh { file, length, next, .. } = {
                let fresh = Fresh::write::<()>(path, kind, &[])?;
                fresh.put_in_place(path)?;
                fresh
            };
            return Ok((Self { file, path: path.to_owned(), _lock: lock, length, next, kind }, Vec::new()));
        }
        let mut file = private().open(path).map_err(|error| io(path, &error))?;
        let most =
            options.max_bytes.saturating_mul(2).saturating_add(u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX));
        let mut bytes = Vec::new();
        (&file).take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| io(path, &error))?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
            return Err(JournalError::Full);
        }
        let read = parse(path, kind, &bytes)?;
        // What a crash tore off goes, so that the next line does not begin in its middle.
        file.set_len(read.good).and_then(|()| file.sync_all()).map_err(|error| io(path, &error))?;
        file.seek(SeekFrom::End(0)).map_err(|error| io(path, &error))?;
        let opened = Self { file, path: path.to_owned(), _lock: lock, length: read.good, next: read.next, kind };
        Ok((opened, read.records))
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    #[cfg(test)]
    pub fn write_to(&mut self, file: File) {
        self.file = file;
    }

    /// Appends records as one line, durably. After an error nobody knows what is there.
    pub fn append(&mut self, records: &[String]) -> Result<(), JournalError> {
        let line = line(self.next, &format!("[{}]", records.join(",")));
        self.file.write_all(line.as_bytes()).map_err(|error| io(&self.path, &error))?;
        self.file.sync_data().map_err(|error| io(&self.path, &error))?;
        self.length = self.length.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
        self.next = self.next.saturating_add(1);
        Ok(())
    }

    /// Replaces everything by these records, which is done or not done whenever a crash
    /// comes. Where the disk has no room for the new file, the old one goes on as it was.
    pub fn rewrite<R: Serialize>(&mut self, records: &[R]) -> Result<(), JournalError> {
        let Ok(fresh) = Fresh::write(&self.path, self.kind, records) else { return Ok(()) };
        fresh.put_in_place(&self.path)?;
        (self.file, self.length, self.next) = (fresh.file, fresh.length, fresh.next);
        Ok(())
    }
}

/// A whole journal beside the one it is to replace.
struct Fresh {
    file: File,
    path: PathBuf,
    length: u64,
    next: u64,
}

impl Fresh {
    fn write<R: Serialize>(path: &Path, kind: &str, records: &[R]) -> Result<Self, JournalError> {
        let path = beside(path, "new");
        let mut text = line(0, &header(kind));
        let mut next = 1;
        for chunk in records.chunks(RECORDS_PER_LINE) {
            let json = serde_json::to_string(chunk).map_err(|_| JournalError::TooLarge)?;
            text.push_str(&line(next, &json));
            next += 1;
        }
        let mut file = private().create(true).truncate(true).open(&path).map_err(|error| io(&path, &error))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| io(&path, &error))?;
        Ok(Self { file, path, length: u64::try_from(text.len()).unwrap_or(u64::MAX), next })
    }

    fn put_in_place(&self, path: &Path) -> Result<(), JournalError> {
        std::fs::rename(&self.path, path).map_err(|error| io(path, &error))?;
        // The new name is durable when the directory is.
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(|error| io(directory, &error))
    }
}

/// Readable by its owner only: it may hold tokens.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

fn io(path: &Path, error: &std::io::Error) -> JournalError {
    JournalError::Io { path: path.display().to_string(), reason: error.to_string() }
}

fn header(kind: &str) -> String {
    format!("{{\"journal\":\"{kind}\",\"version\":1}}")
}

fn line(number: u64, json: &str) -> String {
    let said = format!("{number} {json}");
    format!("{} {said}\n", sum(said.as_bytes()))
}

fn sum(bytes: &[u8]) -> String {
    sha256(bytes).iter().take(SUM_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}

struct Content<R> {
    records: Vec<R>,
    /// Bytes up to where everything is in order.
    good: u64,
    next: u64,
}

fn parse<R: DeserializeOwned>(path: &Path, kind: &str, bytes: &[u8]) -> Result<Content<R>, JournalError> {
    let mut read = Content { records: Vec::new(), good: 0, next: 0 };
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let offset = read.good;
        let damaged = |what| JournalError::Damaged { path: path.display().to_string(), offset, what };
        let Some((number, json)) = checked(line) else {
            // The first line came with the file, whole: no crash tears it.
            if read.next == 0 {
                return Err(JournalError::Foreign { path: path.display().to_string() });
            }
            if lines.peek().is_some() || hides_a_line(line, read.next.saturating_add(1)) {
                return Err(damaged("a line does not match its checksum"));
            }
            return Ok(read);
        };
        if number != read.next {
            return Err(damaged("a line is missing or out of place"));
        }
        if number == 0 {
            if json != header(kind) {
                return Err(JournalError::Foreign { path: path.display().to_string() });
            }
        } else {
            let records: Vec<R> = serde_json::from_str(json).map_err(|_| damaged("a record has another form"))?;
            read.records.extend(records);
        }
        read.good = read.good.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
        read.next = read.next.saturating_add(1);
    }
    if read.next == 0 {
        return Err(JournalError::Foreign { path: path.display().to_string() });
    }
    Ok(read)
}

/// Whether a bad end has a whole line in it, so that what is bad was not the last: the end of
/// the line before it was changed.
fn hides_a_line(end: &[u8], number: u64) -> bool {
    let mark = format!(" {number} [");
    end.windows(mark.len())
        .enumerate()
        .filter(|(_, window)| *window == mark.as_bytes())
        .filter_map(|(at, _)| end.get(at.checked_sub(SUM_DIGITS)?..))
        .any(|line| checked(line).is_some())
}

/// Number and JSON of a line that is whole.
fn checked(line: &[u8]) -> Option<(u64, &str)> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (found, said) = text.split_once(' ')?;
    if found != sum(said.as_bytes()) {
        return None;
    }
    let (number, json) = said.split_once(' ')?;
    Some((number.parse().ok()?, json))
}
