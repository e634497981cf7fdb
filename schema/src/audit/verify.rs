//! The proof over stored records: that none was edited, removed, added or moved, and that the
//! columns searched by say what the hashed text says.
//! What the records alone can't show is a tail cut off or a chain written anew from some point:
//! for that the verifier takes anchors, hashes known from elsewhere (signed checkpoints, the
//! heads that other writers named when they started).

use super::{Hash, WRITER_STARTED, hash};
use crate::rows::AuditRow;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// A hash that `writer`'s record `n` must have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Anchor {
    pub writer: String,
    pub n: i64,
    pub hash: Hash,
}

/// A text that is not what was hashed, by a statement that was proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedactedText {
    pub writer: String,
    pub n: i64,
    /// Of the record as it was chained.
    pub hash: Hash,
    /// Of what is left of it.
    pub redacted: Hash,
}

/// The newest record of one writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterHead {
    pub writer: String,
    pub n: i64,
    pub hash: Hash,
}

/// What was proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainSummary {
    pub records: u64,
    pub heads: Vec<WriterHead>,
    pub anchors_met: usize,
    /// Anchors of records that were pruned: nothing can be said of them.
    pub anchors_pruned: usize,
    /// Records that something was taken out of: all but that is proved.
    pub redacted: Vec<(String, i64)>,
}

/// The first thing found wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("audit record {n} of writer {writer}: {what}")]
pub struct ChainFault {
    pub writer: String,
    pub n: i64,
    pub what: &'static str,
}

/// Verifies records as they come: each writer's in order of `n`, writers mixed as they like.
#[derive(Debug)]
pub struct ChainVerifier {
    heads: BTreeMap<String, (i64, Hash)>,
    anchors: HashMap<(String, i64), Hash>,
    anchors_met: usize,
    records: u64,
    prunings: HashMap<String, (i64, Hash)>,
    redactions: HashMap<(String, i64), (Hash, Hash)>,
    redacted: Vec<(String, i64)>,
}

/// Verifies a whole sequence at once.
pub fn verify_chain<'a>(
    rows: impl IntoIterator<Item = &'a AuditRow>,
    anchors: impl IntoIterator<Item = Anchor>,
) -> Result<ChainSummary, ChainFault> {
    let mut verifier = ChainVerifier::new(anchors)?;
    for row in rows {
        verifier.push(row)?;
    }
    verifier.finish()
}

impl ChainVerifier {
    /// Two anchors that disagree about one record are a fault already.
    pub fn new(anchors: impl IntoIterator<Item = Anchor>) -> Result<Self, ChainFault> {
        let mut known = HashMap::new();
        for anchor in anchors {
            let (writer, n) = (anchor.writer.clone(), anchor.n);
            if let Some(other) = known.insert((anchor.writer, n), anchor.hash)
                && other != anchor.hash
            {
                let what = "two anchors name different hashes for it";
                return Err(ChainFault { writer, n, what });
            }
        }
        Ok(Self {
            heads: BTreeMap::new(),
            anchors: known,
            anchors_met: 0,
            records: 0,
            prunings: HashMap::new(),
            redactions: HashMap::new(),
            redacted: Vec::new(),
        })
    }

    /// That chains begin after these, by statements that were proved.
    #[must_use]
    pub fn with_prunings(mut self, prunings: impl IntoIterator<Item = Anchor>) -> Self {
        for cut in prunings {
            let known = self.prunings.entry(cut.writer).or_insert((cut.n, cut.hash));
            if known.0 < cut.n {
                *known = (cut.n, cut.hash);
            }
        }
        self
    }

    /// That these texts are what is left of records, by statements that were proved.
    #[must_use]
    pub fn with_redactions(mut self, redactions: impl IntoIterator<Item = RedactedText>) -> Self {
        self.redactions.extend(redactions.into_iter().map(|text| ((text.writer, text.n), (text.hash, text.redacted))));
        self
    }

    pub fn push(&mut self, row: &AuditRow) -> Result<(), ChainFault> {
        self.check(row).map_err(|what| ChainFault { writer: row.writer.clone(), n: row.n, what })
    }

    /// Answers the summary, or the fault of an anchor whose record is not there.
    pub fn finish(mut self) -> Result<ChainSummary, ChainFault> {
        let mut anchors_pruned = 0;
        for ((writer, n), hash) in std::mem::take(&mut self.anchors) {
            match self.prunings.get(&writer) {
                Some((cut, _)) if n < *cut => anchors_pruned += 1,
                Some((cut, at)) if n == *cut && hash == *at => self.anchors_met = self.anchors_met.saturating_add(1),
                Some((cut, _)) if n == *cut => {
                    let what = "it was pruned with another hash than the one recorded elsewhere";
                    return Err(ChainFault { writer, n, what });
                }
                _ => drop(self.anchors.insert((writer, n), hash)),
            }
        }
        for (writer, (n, hash)) in &self.prunings {
            self.heads.entry(writer.clone()).or_insert((*n, *hash));
        }
        if let Some(((writer, n), _)) = self.anchors.drain().min() {
            let what = "it is missing, though its hash was recorded elsewhere";
            return Err(ChainFault { writer, n, what });
        }
        Ok(ChainSummary {
            records: self.records,
            anchors_met: self.anchors_met,
            anchors_pruned,
            redacted: self.redacted,
            heads: self.heads.into_iter().map(|(writer, (n, hash))| WriterHead { writer, n, hash }).collect(),
        })
    }

    fn check(&mut self, row: &AuditRow) -> Result<(), &'static str> {
        let (last, prev) = match self.heads.get(&row.writer) {
            Some((n, hash)) => (*n, *hash),
            None => (0, Hash::default()),
        };
        let (last, prev) = match self.prunings.get(&row.writer) {
            // What was cut off may be gone, in part or all of it: the chain goes on from the cut.
            Some((cut, hash)) if last < *cut && cut.checked_add(1) == Some(row.n) => (*cut, *hash),
            _ => (last, prev),
        };
        if row.n <= last {
            return Err("the number was used before: a fork, or records out of order");
        }
        if last.checked_add(1) != Some(row.n) {
            return Err("records before it are missing");
        }
        let mut computed = hash(&row.record);
        if row.hash != computed {
            let key = (row.writer.clone(), row.n);
            match self.redactions.get(&key) {
                Some((before, left)) if row.hash == before && computed == *left => computed = *before,
                Some(_) => return Err("it is neither the record nor what was left of it when it was redacted"),
                None => return Err("the text does not have the stored hash"),
            }
            self.redacted.push(key);
        }
        let record: Value = serde_json::from_str(&row.record).map_err(|_| "the text is not JSON")?;
        if text(&record, "prev") != Some(&URL_SAFE_NO_PAD.encode(prev)) {
            return Err("it does not name the hash of the record before it");
        }
        check_columns(row, &record)?;
        if let Some(anchor) = self.anchors.remove(&(row.writer.clone(), row.n)) {
            if anchor != computed {
                return Err("its hash differs from the one recorded elsewhere");
            }
            self.anchors_met = self.anchors_met.saturating_add(1);
        }
        self.heads.insert(row.writer.clone(), (row.n, computed));
        self.records = self.records.saturating_add(1);
        Ok(())
    }
}

fn check_columns(row: &AuditRow, record: &Value) -> Result<(), &'static str> {
    let number = |name: &str| record.get(name).and_then(Value::as_i64);
    let agree = number("v") == Some(1)
        && text(record, "writer") == Some(&row.writer)
        && number("n") == Some(row.n)
        && number("at") == Some(row.at)
        && text(record, "event") == Some(&row.event)
        && text(record, "outcome") == Some(&row.outcome)
        && text(record, "owner_id") == row.owner_id.as_deref()
        && text(record, "subject_owner_id") == row.subject_owner_id.as_deref()
        && text(record, "client_id") == row.client_id.as_deref()
        && text(record, "jti") == row.jti.as_deref();
    if agree { Ok(()) } else { Err("a column differs from the text") }
}

fn text<'a>(record: &'a Value, name: &str) -> Option<&'a str> {
    record.get(name).and_then(Value::as_str)
}

impl Anchor {
    /// The anchors that a writer's first record holds; none for any other record.
    pub fn named_by(row: &AuditRow) -> Vec<Self> {
        if row.event != WRITER_STARTED {
            return Vec::new();
        }
        let Ok(record) = serde_json::from_str::<Value>(&row.record) else {
            return Vec::new();
        };
        let heads = record.pointer("/detail/heads").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        heads.iter().filter_map(Self::parse).collect()
    }

    fn parse(value: &Value) -> Option<Self> {
        let hash = URL_SAFE_NO_PAD.decode(text(value, "hash")?).ok()?;
        Some(Self {
            writer: text(value, "writer")?.to_owned(),
            n: value.get("n")?.as_i64()?,
            hash: hash.try_into().ok()?,
        })
    }

    pub(crate) fn to_value(&self) -> Value {
        serde_json::json!({
            "writer": self.writer,
            "n": self.n,
            "hash": URL_SAFE_NO_PAD.encode(self.hash),
        })
    }
}
