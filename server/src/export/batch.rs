//! A batch: what is stored of it before it is sent, and the message that it is sent as.

use super::read::Run;
use super::sink::{Format, Sink};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stipend_keys::random_id;
use stipend_schema::AuditRow;

/// What a batch is, by the records and not by what they say: whichever node sends it, and however
/// often, it is this one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Batch {
    pub id: String,
    /// When it was made, in seconds.
    pub at: i64,
    pub runs: Vec<Run>,
}

impl Batch {
    pub fn new(runs: Vec<Run>, now: i64) -> Self {
        Self { id: random_id("msg_"), at: now, runs }
    }

    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub fn to_text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// How far each chain has been had once it has arrived.
    pub fn reached(&self) -> Vec<(String, i64)> {
        self.runs.iter().map(|run| (run.writer.clone(), run.to)).collect()
    }
}

/// One request to a webhook.
#[derive(Clone, Debug)]
pub struct Message {
    /// The same for every try.
    pub id: String,
    pub body: String,
}

/// What is sent of these records.
#[must_use]
pub fn message(id: &str, at: i64, sink: &Sink, rows: &[AuditRow]) -> Message {
    let records: Vec<Value> = rows.iter().map(|row| written(sink.spec.format, row)).collect();
    let data = json!({"sink": sink.id, "format": sink.spec.format, "records": records});
    envelope(id, at, "stipend.audit.records", &data)
}

/// What is sent to see whether anything arrives.
#[must_use]
pub fn trial(id: &str, at: i64, sink: &Sink) -> Message {
    envelope(id, at, "stipend.audit.test", &json!({"sink": sink.id, "format": sink.spec.format}))
}

/// A payload as Standard Webhooks proposes it.
fn envelope(id: &str, at: i64, kind: &str, data: &Value) -> Message {
    let timestamp = Timestamp::from_second(at).map(|at| at.to_string()).unwrap_or_default();
    let body = json!({"type": kind, "timestamp": timestamp, "data": data}).to_string();
    Message { id: id.to_owned(), body }
}

fn written(format: Format, row: &AuditRow) -> Value {
    match format {
        Format::Native => super::native(row),
        // What is no record is sent as it is: nothing is left out.
        Format::Ocsf => super::ocsf::event(&row.record).unwrap_or_else(|| super::native(row)),
    }
}
