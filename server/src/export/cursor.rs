//! Where a follower of the audit stands, in few bytes: a time before which it has had everything,
//! and the number it is at in each chain that went on after that time.
//!
//! A cursor is exact as long as no record becomes visible that is more than
//! [`AUDIT_SETTLE_MICROS`] older than that moment; sinks, whose positions are stored chain by
//! chain, do not lean on that.

use crate::limits::{AUDIT_SETTLE_MICROS, MAX_CURSOR_CHAINS, MAX_STREAM_CURSOR_BYTES};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use stipend_schema::sinks::{chain_heads, positions_since};
use stipend_schema::{Db, DbError};

/// A place in the audit.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cursor {
    /// All that is older has been had; microseconds.
    floor: i64,
    /// All up to this number has been had, of chains that went on since.
    heads: BTreeMap<String, i64>,
}

impl Cursor {
    /// Reads what [`Self::to_text`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_STREAM_CURSOR_BYTES {
            return None;
        }
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mut parts = text.split(';');
        let floor = parts.next()?.parse().ok().filter(|floor| *floor >= 0)?;
        let mut heads = BTreeMap::new();
        for part in parts {
            let (writer, n) = part.rsplit_once(':')?;
            let n = n.parse().ok().filter(|n| *n >= 0)?;
            if writer.is_empty() || writer.contains('\0') || heads.insert(writer.to_owned(), n).is_some() {
                return None;
            }
        }
        (heads.len() <= MAX_CURSOR_CHAINS).then_some(Self { floor, heads })
    }

    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = self.floor.to_string();
        for (writer, n) in &self.heads {
            // Writing to a String can't fail.
            let _ = write!(text, ";{writer}:{n}");
        }
        URL_SAFE_NO_PAD.encode(text)
    }
}

/// A follower's place in every chain.
#[derive(Debug)]
pub struct Place {
    floor: i64,
    positions: BTreeMap<String, i64>,
    /// Chains that went on lately, and when that was seen; microseconds.
    moved: BTreeMap<String, i64>,
}

impl Place {
    /// Where a cursor says, or at the end of all chains at `now` in microseconds.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn open(db: &Db, cursor: Option<Cursor>, now: i64) -> Result<Self, DbError> {
        let settled = now.saturating_sub(AUDIT_SETTLE_MICROS);
        let Some(Cursor { floor, heads }) = cursor else {
            let positions: BTreeMap<String, i64> =
                chain_heads(db).await?.into_iter().map(|head| (head.writer, head.n)).collect();
            let before = positions_since(db, settled).await?;
            let went_on = positions.iter().filter(|(writer, n)| before.get(*writer).is_none_or(|before| *before < **n));
            let moved = went_on.map(|(writer, _)| (writer.clone(), now)).collect();
            return Ok(Self { floor: settled, positions, moved });
        };
        let mut positions = positions_since(db, floor).await?;
        let moved = heads.keys().map(|writer| (writer.clone(), now)).collect();
        positions.extend(heads);
        Ok(Self { floor, positions, moved })
    }

    #[must_use]
    pub fn positions(&self) -> &BTreeMap<String, i64> {
        &self.positions
    }

    /// It has had this chain up to `n`.
    pub fn reach(&mut self, writer: &str, n: i64, now: i64) {
        self.positions.insert(writer.to_owned(), n);
        self.moved.insert(writer.to_owned(), now);
    }

    /// It has had everything that there was at `now`: chains that have been quiet for long need no
    /// mention.
    pub fn settle(&mut self, now: i64) {
        let floor = now.saturating_sub(AUDIT_SETTLE_MICROS);
        if floor > self.floor {
            self.floor = floor;
            let quiet = floor.saturating_sub(AUDIT_SETTLE_MICROS);
            self.moved.retain(|_, seen| *seen >= quiet);
        }
    }

    /// The cursor of this place; none where more chains are in motion than one can name.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        if self.moved.len() > MAX_CURSOR_CHAINS {
            return None;
        }
        let at = |writer: &String| self.positions.get(writer).copied().unwrap_or(0);
        let heads = self.moved.keys().map(|writer| (writer.clone(), at(writer))).collect();
        Some(Cursor { floor: self.floor, heads })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_anything_else_is_none() {
        let heads = [("w_a".to_owned(), 7), ("w_b:c".to_owned(), 0)];
        let cursor = Cursor { floor: 12, heads: heads.into_iter().collect() };
        assert_eq!(Cursor::parse(&cursor.to_text()), Some(cursor));
        assert_eq!(Cursor::parse(&Cursor::default().to_text()), Some(Cursor::default()));
        for bad in ["", "x", "12", "12;", "-1", "12;a", "12;:1", "12;a:-1", "12;a:1;a:2", "12;a:x", "12;\0:1"] {
            assert_eq!(Cursor::parse(bad), None, "{bad}");
            if bad != "12" {
                assert_eq!(Cursor::parse(&URL_SAFE_NO_PAD.encode(bad)), None, "{bad}");
            }
        }
        let many: String = (0..=MAX_CURSOR_CHAINS).map(|n| format!(";a{n}:1")).collect();
        assert_eq!(Cursor::parse(&URL_SAFE_NO_PAD.encode(format!("1{many}"))), None);
        assert_eq!(Cursor::parse(&"A".repeat(MAX_STREAM_CURSOR_BYTES + 4)), None);
    }

    #[test]
    fn a_chain_is_named_until_it_has_been_quiet_for_long() {
        let mut place = Place { floor: 0, positions: BTreeMap::new(), moved: BTreeMap::new() };
        place.reach("w_a", 3, 1_000);
        assert_eq!(place.cursor().unwrap().heads.get("w_a"), Some(&3));
        let later = 1_000 + 2 * AUDIT_SETTLE_MICROS;
        place.settle(later);
        assert_eq!(place.cursor().unwrap().heads.get("w_a"), Some(&3));
        place.settle(later + 1);
        assert_eq!(place.cursor().unwrap(), Cursor { floor: later + 1 - AUDIT_SETTLE_MICROS, heads: BTreeMap::new() });
        // Time that goes back takes nothing back.
        place.settle(5);
        assert_eq!(place.cursor().unwrap().floor, later + 1 - AUDIT_SETTLE_MICROS);
    }
}
