//! Records of some time as lines for another system, oldest first: a page at a time, however many
//! they are.

use super::super::Session;
use super::super::error::CliError;
use crate::export::Format;
use reqwest::Method;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Records of one page.
const PAGE: &str = "200";

pub(super) async fn to_new_file(
    session: &Session<'_>,
    path: &Path,
    format: Format,
    (since, until): (Option<i64>, Option<i64>),
) -> Result<(), CliError> {
    let unwritable = |error: std::io::Error| CliError::usage(format!("{}: {error}", path.display()));
    let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(unwritable)?;
    let mut out = BufWriter::new(file);
    let (mut after, mut records): (Option<String>, u64) = (None, 0);
    loop {
        let mut query = vec![
            ("limit", PAGE.to_owned()),
            ("oldest_first", "true".to_owned()),
            ("format", format.as_str().to_owned()),
        ];
        query.extend(since.map(|since| ("since", since.to_string())));
        query.extend(until.map(|until| ("until", until.to_string())));
        query.extend(after.take().map(|after| ("after", after)));
        let page = session.api.call(Method::GET, &["audit"], &query, None).await?;
        for item in page.get("items").and_then(Value::as_array).into_iter().flatten() {
            writeln!(out, "{item}").map_err(unwritable)?;
            records = records.saturating_add(1);
        }
        match page.get("next").and_then(Value::as_str) {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    out.flush().map_err(unwritable)?;
    out.get_ref().sync_all().map_err(unwritable)?;
    if session.out.json {
        session.out.value(&json!({ "file": path.display().to_string(), "records": records }));
    } else {
        session.out.line(format!("{records} records in {}", path.display()));
    }
    Ok(())
}
