//! When grants were last used: gathered in memory and noted every few seconds, because nothing
//! that must be exact depends on it. A node that is killed forgets the last of them; the audit
//! has each.

use super::spec::ReleaseMode;
use crate::limits::MAX_GATHERED_USES;
use parking_lot::Mutex;
use std::collections::HashMap;
use stipend_schema::custody::CredentialUseRow;
use stipend_schema::{Note, Write};

#[derive(Debug, Default)]
pub struct Uses {
    gathered: Mutex<HashMap<String, CredentialUseRow>>,
}

impl Uses {
    /// Notes a use. Beyond the bound further grants are left out: the audit has them.
    pub fn note(&self, grant_id: &str, version_id: &str, mode: ReleaseMode, now: i64) {
        let mut gathered = self.gathered.lock();
        if let Some(row) = gathered.get_mut(grant_id) {
            row.uses = row.uses.saturating_add(1);
            version_id.clone_into(&mut row.version_id);
            mode.as_str().clone_into(&mut row.mode);
            row.last_at = now.max(row.last_at);
        } else if gathered.len() < MAX_GATHERED_USES {
            let row = CredentialUseRow {
                grant_id: grant_id.to_owned(),
                version_id: version_id.to_owned(),
                mode: mode.as_str().to_owned(),
                uses: 1,
                last_at: now,
            };
            gathered.insert(grant_id.to_owned(), row);
        }
    }

    /// What was gathered, to be written.
    #[must_use]
    pub fn take(&self) -> Vec<Write> {
        let rows = std::mem::take(&mut *self.gathered.lock());
        rows.into_values().map(|row| Write::Note(Note::Use(row))).collect()
    }
}
