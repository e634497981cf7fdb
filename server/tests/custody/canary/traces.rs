//! Where a text could lie, and in which clothes.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem::Finder;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use stipend_schema::Backend;
use stipend_schema::testing::TestDatabase;

#[derive(Debug)]
#[allow(dead_code, reason = "what a failure shows")]
pub struct Found {
    place: String,
    form: String,
    around: String,
}

/// A text as it may be written: plain, percent-encoded, as hex, as base64 wherever in its
/// groups of three it begins.
pub fn forms(text: &str) -> Vec<(String, Vec<u8>)> {
    let bytes = text.as_bytes();
    let escaped = |upper: bool| -> String {
        let sign = |byte: &u8| match (byte.is_ascii_alphanumeric() || b"-._~".contains(byte), upper) {
            (true, _) => char::from(*byte).to_string(),
            (false, true) => format!("%{byte:02X}"),
            (false, false) => format!("%{byte:02x}"),
        };
        bytes.iter().map(sign).collect()
    };
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        ("plain".to_owned(), text.to_owned()),
        ("percent".to_owned(), escaped(true)),
        ("percent, small".to_owned(), escaped(false)),
        ("hex, large".to_owned(), hex.to_uppercase()),
        ("hex".to_owned(), hex),
        ("JSON".to_owned(), text.replace('/', "\\/")),
    ];
    for shift in 0..3 {
        let shifted = [&vec![0; shift], bytes].concat();
        for (name, engine) in [("base64", STANDARD_NO_PAD), ("base64url", URL_SAFE_NO_PAD)] {
            let encoded = engine.encode(&shifted);
            // The signs at both ends depend on what stands beside the text.
            let (first, last) = (shift * 8 / 6 + usize::from(shift > 0), encoded.len() - 1);
            forms.push((format!("{name}, {shift}"), encoded[first..last].to_owned()));
        }
    }
    forms.into_iter().map(|(name, form)| (name, form.into_bytes())).collect()
}

pub fn search(places: &[(String, Vec<u8>)], forms: &[(String, Vec<u8>)]) -> Vec<Found> {
    let mut found = Vec::new();
    for (form, needle) in forms {
        let finder = Finder::new(needle);
        for (place, bytes) in places {
            if let Some(at) = finder.find(bytes) {
                let around = &bytes[at.saturating_sub(120)..bytes.len().min(at + needle.len() + 60)];
                let around = String::from_utf8_lossy(around).into_owned();
                found.push(Found { place: place.clone(), form: form.clone(), around });
            }
        }
    }
    found
}

/// Where the write-ahead log was looked at, and what stands in its place where this process
/// may not read it: only its own user and root may.
pub const WAL: &str = "the write-ahead log";
pub const UNREADABLE: &str = "the write-ahead log, which can't be read";
/// PostgreSQL's own measure, unless it is built otherwise.
const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// Others write into the same log: of one that grows fast, its first segments are looked at.
const MAX_SEGMENTS: usize = 4;

/// How many bytes of log have been written.
pub async fn written(backend: Backend, database: &TestDatabase) -> u64 {
    match backend {
        Backend::Sqlite => 0,
        Backend::Postgres => {
            let position = "SELECT (pg_current_wal_lsn() - '0/0')::text AS value";
            database.texts(position).await.unwrap().remove(0).parse().unwrap()
        }
    }
}

/// What a database has on its disk, and of a log that all databases of a server share what was
/// written from a position on.
pub async fn files(backend: Backend, database: &TestDatabase, from: u64) -> Vec<(String, Vec<u8>)> {
    match backend {
        Backend::Sqlite => {
            let path = database.url().trim_start_matches("sqlite://");
            let named = ["", "-wal", "-shm"].map(|end| (end, format!("{path}{end}")));
            let name =
                |end: &str| if end.is_empty() { "the database".to_owned() } else { format!("the database's {end}") };
            named.into_iter().filter_map(|(end, file)| Some((name(end), std::fs::read(file).ok()?))).collect()
        }
        Backend::Postgres => {
            let dump = Command::new(program("pg_dump")).arg(database.url()).output().unwrap();
            assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
            let folder = "SELECT setting AS value FROM pg_settings WHERE name = 'data_directory'";
            let folder = PathBuf::from(database.texts(folder).await.unwrap().remove(0)).join("pg_wal");
            let log = match log(&folder, from, written(backend, database).await) {
                Ok(log) => (WAL.to_owned(), log),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => (UNREADABLE.to_owned(), Vec::new()),
                Err(error) => panic!("{}: {error}", folder.display()),
            };
            vec![("pg_dump".to_owned(), dump.stdout), log]
        }
    }
}

/// The bytes of the log between two positions, less what is gone already.
fn log(folder: &Path, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let (mut log, mut segments) = (Vec::new(), 0);
    // A folder that can't be read would look like segments that are gone.
    std::fs::read_dir(folder)?;
    for segment in from / SEGMENT_BYTES..=to / SEGMENT_BYTES {
        // The files' names: timeline, then the number in two halves.
        let name = format!("00000001{:08X}{:08X}", segment / 0x100, segment % 0x100);
        let bytes = match std::fs::read(folder.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            read => read?,
        };
        if segments == MAX_SEGMENTS {
            break;
        }
        segments += 1;
        let start = from.saturating_sub(segment * SEGMENT_BYTES);
        let end = (to - segment * SEGMENT_BYTES).min(SEGMENT_BYTES);
        log.extend_from_slice(&bytes[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()]);
    }
    Ok(log)
}

/// PostgreSQL's own programs lie beside its server.
fn program(name: &str) -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = installed.map(|version| version.path().join("bin").join(name)).filter(|path| path.exists());
    found.max().unwrap_or_else(|| PathBuf::from(name))
}

#[test]
fn the_search_finds_a_text_in_any_clothes() {
    let text = "key+/~AbC123xyz";
    let hidden = |bytes: &[u8]| search(&[("there".to_owned(), bytes.to_vec())], &forms(text)).len();
    for before in ["", "a", "ab", "abc", "us:"] {
        let pair = format!("{before}{text} and more");
        for encoded in [STANDARD_NO_PAD.encode(&pair), URL_SAFE_NO_PAD.encode(&pair)] {
            assert!(hidden(format!("Basic {encoded}").as_bytes()) > 0, "{before}");
        }
    }
    for clothes in ["x key%2B%2F~AbC123xyz", "6b65792b2f7e416243313233", "{\"key+\\/~AbC123xyz\"}"] {
        let there = clothes.replace("6b65792b2f7e416243313233", "6b65792b2f7e41624331323378797a");
        assert!(hidden(there.as_bytes()) > 0, "{clothes}");
    }
    assert_eq!(hidden(b"key+/~AbC123xy"), 0);
}
