use super::*;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::task::JoinSet;

/// Numbers that came and have not gone.
#[derive(Clone, Debug, Default)]
struct Numbers(BTreeSet<u64>);

#[derive(Debug, Serialize, Deserialize)]
enum Change {
    Come(u64),
    Go(u64),
    Text(String),
}

impl Book for Numbers {
    type Record = Change;

    const KIND: &'static str = "numbers";

    fn apply(&mut self, record: &Change) {
        match record {
            Change::Come(number) => drop(self.0.insert(*number)),
            Change::Go(number) => drop(self.0.remove(number)),
            Change::Text(_) => {}
        }
    }

    fn records(&self) -> Vec<Change> {
        self.0.iter().copied().map(Change::Come).collect()
    }
}

#[derive(Clone, Debug, Default)]
struct Others(Numbers);

impl Book for Others {
    type Record = Change;

    const KIND: &'static str = "others";

    fn apply(&mut self, record: &Change) {
        self.0.apply(record);
    }

    fn records(&self) -> Vec<Change> {
        self.0.records()
    }
}

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    (directory, path)
}

fn open(path: &Path) -> Result<(Journal<Numbers>, Vec<u64>), JournalError> {
    open_with(path, JournalOptions::default())
}

fn open_with(path: &Path, options: JournalOptions) -> Result<(Journal<Numbers>, Vec<u64>), JournalError> {
    Journal::<Numbers>::open(path, options).map(|(journal, book)| (journal, book.0.into_iter().collect()))
}

/// A journal where 1 to `last` came, each in a line of its own.
async fn written(path: &Path, last: u64) {
    let (journal, _) = open(path).unwrap();
    for number in 1..=last {
        journal.append(Change::Come(number), Purpose::Begin).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_appended_is_there_again() {
    let (_directory, path) = place();
    written(&path, 3).await;
    let (journal, numbers) = open(&path).unwrap();
    assert_eq!(numbers, [1, 2, 3]);
    journal.append(Change::Go(2), Purpose::End).await.unwrap();
    journal.append_soon(Change::Come(9)).await;
    drop(journal);
    assert_eq!(open(&path).unwrap().1, [1, 3, 9]);
}

#[tokio::test]
async fn a_last_line_torn_anywhere_costs_that_line_only() {
    let (_directory, path) = place();
    written(&path, 3).await;
    let whole = fs::read(&path).unwrap();
    let start = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for end in start..whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        let (journal, numbers) = open(&path).unwrap();
        assert_eq!(numbers, [1, 2], "cut at {end}");
        journal.append(Change::Come(4), Purpose::Begin).await.unwrap();
        drop(journal);
        assert_eq!(open(&path).unwrap().1, [1, 2, 4], "and it goes on from there, cut at {end}");
    }
    let mut zeros = whole[..start].to_vec();
    zeros.extend([0; 100]);
    fs::write(&path, zeros).unwrap();
    assert_eq!(open(&path).unwrap().1, [1, 2], "a file made longer whose bytes never came");
}

#[tokio::test]
async fn a_byte_changed_before_the_last_line_is_damage_and_says_where() {
    let (_directory, path) = place();
    written(&path, 4).await;
    let whole = fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').map(|at| at + 1).collect();
    let last = ends[ends.len() - 2];
    for at in ends[0]..last {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let line = ends.iter().rev().find(|end| **end <= at).copied().unwrap();
        match open(&path) {
            Err(JournalError::Damaged { offset, .. }) => assert_eq!(offset, u64::try_from(line).unwrap(), "byte {at}"),
            other => panic!("byte {at}: {other:?}"),
        }
        assert_eq!(fs::read(&path).unwrap(), bytes, "and nothing is mended");
    }
}

#[tokio::test]
async fn a_line_that_is_missing_or_twice_is_damage() {
    let (_directory, path) = place();
    written(&path, 4).await;
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    for order in [vec![0, 1, 3, 4], vec![0, 1, 1, 2], vec![0, 2, 1, 3], vec![0, 4]] {
        fs::write(&path, order.iter().map(|at| lines[*at]).collect::<String>()).unwrap();
        assert!(matches!(open(&path), Err(JournalError::Damaged { .. })), "{order:?}");
    }
}

#[tokio::test]
async fn what_is_no_journal_of_this_kind_is_left_alone() {
    let (_directory, path) = place();
    for text in ["", "hello", "hello\n", "{}\n{}\n"] {
        fs::write(&path, text).unwrap();
        assert!(matches!(open(&path), Err(JournalError::Foreign { .. })), "{text:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::remove_file(&path).unwrap();
    drop(Journal::<Others>::open(&path, JournalOptions::default()).unwrap());
    assert!(matches!(open(&path), Err(JournalError::Foreign { .. })));
}

#[tokio::test]
async fn a_journal_has_one_writer() {
    let (_directory, path) = place();
    let first = open(&path).unwrap();
    assert!(matches!(open(&path), Err(JournalError::InUse { .. })));
    drop(first);
    assert!(open(&path).is_ok());
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let (_directory, path) = place();
    written(&path, 1).await;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finished_business_does_not_make_the_file_grow() {
    let (_directory, path) = place();
    let options = JournalOptions { compact_bytes: 4096, ..JournalOptions::default() };
    let (journal, _) = open_with(&path, options).unwrap();
    let journal = Arc::new(journal);
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let journal = Arc::clone(&journal);
        tasks.spawn(async move {
            for number in 0..200 {
                journal.append(Change::Come(task * 1000 + number), Purpose::Begin).await.unwrap();
                journal.append(Change::Go(task * 1000 + number), Purpose::End).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    journal.append(Change::Come(7), Purpose::Begin).await.unwrap();
    let length = fs::metadata(&path).unwrap().len();
    assert!(length < 16 * 1024, "{length} bytes after 3,200 records");
    drop(journal);
    assert_eq!(open(&path).unwrap().1, [7]);
}

#[tokio::test]
async fn a_full_journal_begins_nothing_and_lets_what_has_begun_end() {
    let (_directory, path) = place();
    let options = JournalOptions { max_bytes: 4096, compact_bytes: 1 << 20 };
    let (journal, _) = open_with(&path, options).unwrap();
    let mut begun = 0;
    while journal.append(Change::Come(begun), Purpose::Begin).await.is_ok() {
        begun += 1;
        assert!(begun < 1000, "no limit");
    }
    assert_eq!(journal.append(Change::Come(9999), Purpose::Begin).await, Err(JournalError::Full));
    for number in 0..begun {
        journal.append(Change::Go(number), Purpose::End).await.unwrap();
    }
    journal.append(Change::Come(1), Purpose::Begin).await.unwrap();
    drop(journal);
    assert_eq!(open_with(&path, options).unwrap().1, [1]);
}

#[tokio::test]
async fn a_record_that_is_too_large_is_refused_and_harms_nothing() {
    let (_directory, path) = place();
    let (journal, _) = open(&path).unwrap();
    let large = Change::Text("x".repeat(17 * 1024));
    assert_eq!(journal.append(large, Purpose::Begin).await, Err(JournalError::TooLarge));
    journal.append(Change::Come(1), Purpose::Begin).await.unwrap();
    drop(journal);
    assert_eq!(open(&path).unwrap().1, [1]);
}

#[tokio::test]
async fn a_rewrite_that_a_crash_stopped_leaves_the_old_file() {
    let (_directory, path) = place();
    written(&path, 2).await;
    fs::write(path.with_extension("new"), "half a li").unwrap();
    fs::write(path.parent().unwrap().join("journal.new"), "half a li").unwrap();
    assert_eq!(open(&path).unwrap().1, [1, 2]);
}

#[tokio::test]
async fn after_a_failed_write_it_takes_no_more() {
    // A device that takes no byte: what a full disk looks like.
    if !Path::new("/dev/full").exists() {
        return;
    }
    let (_directory, path) = place();
    let (mut file, _) = file::JournalFile::open::<Change>(&path, "numbers", &JournalOptions::default()).unwrap();
    file.append(&["{\"Come\":1}".to_owned()]).unwrap();
    file.write_to(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    assert!(matches!(file.append(&["{\"Come\":2}".to_owned()]), Err(JournalError::Io { .. })));
    drop(file);
    assert_eq!(open(&path).unwrap().1, [1]);
}
