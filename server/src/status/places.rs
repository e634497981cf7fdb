//! Places in status lists, given to tokens: each once, in no order.
//!
//! Every node has lists of its own, named at random, so that no two nodes ever give out the same
//! place, not after a restart either, and an issue waits for no row that others write to. A list
//! takes tokens for a while and then no more, so that it is over one token life later.

use crate::app::App;
use crate::deps;
use crate::limits::{STATUS_LIST_OPEN_SECONDS, STATUS_LIST_PLACES};
use crate::reason::Reason;
use parking_lot::Mutex;
use stipend_keys::random_id;
use stipend_keys::secret::random_bytes;
use stipend_schema::signals::StatusEntryRow;
use stipend_schema::{Dep, Note, Write};
use stipend_token::StatusReference;
use stipend_token::claims::AccessToken;

/// Lists are named so.
pub(super) const LIST_PREFIX: &str = "sl_";

/// The list that is being filled.
#[derive(Debug)]
struct Open {
    list: String,
    /// Not given out yet.
    free: Vec<u16>,
    closes_at: i64,
}

/// The list that this node fills.
#[derive(Debug, Default)]
pub struct Places {
    open: Mutex<Option<Open>>,
}

impl Places {
    /// A place that nobody has had. One that is not used in the end stays empty.
    fn take(&self, now: i64) -> (String, i64) {
        let mut open = self.open.lock();
        if let Some(list) = open.as_mut().filter(|list| now < list.closes_at)
            && let Some(idx) = draw(&mut list.free)
        {
            return (list.list.clone(), idx);
        }
        let mut free: Vec<u16> = (0..STATUS_LIST_PLACES).collect();
        let idx = draw(&mut free).unwrap_or_default();
        let list = random_id(LIST_PREFIX);
        let closes_at = now.saturating_add(STATUS_LIST_OPEN_SECONDS);
        *open = Some(Open { list: list.clone(), free, closes_at });
        (list, idx)
    }
}

/// One at random: neighbours in a list are no neighbours in time (section 12 of the draft).
fn draw(free: &mut Vec<u16>) -> Option<i64> {
    let count = u32::try_from(free.len()).ok().filter(|count| *count > 0)?;
    let at = u32::from_le_bytes(random_bytes()) % count;
    Some(i64::from(free.swap_remove(usize::try_from(at).ok()?)))
}

/// A token's place, and the key that must sign it.
#[derive(Debug)]
pub struct Placed {
    pub write: Write,
    pub kid: String,
}

/// Gives a token a place in a list: its claim, and the entry to be written with its record.
/// `others` is what can kill it beside what it names itself.
///
/// # Errors
/// [`Reason::NoSigningKey`], [`Reason::Internal`].
pub fn place(app: &App, claims: &mut AccessToken, others: &[Dep]) -> Result<Placed, Reason> {
    let now = app.clock.now();
    let kid = app.ring.keyring().signing_key(now).ok_or(Reason::NoSigningKey)?.kid().to_owned();
    let (list, idx) = app.status.places.take(now);
    let names: Vec<(String, String)> =
        deps::of_token(claims, &kid).chain(others.iter().cloned()).map(|dep| (dep.kind.into_owned(), dep.id)).collect();
    let names = serde_json::to_string(&names).map_err(|_| Reason::Internal)?;
    claims.status = Some(StatusReference { idx, uri: super::uri(app, &list) });
    let row = StatusEntryRow { list, idx, issued_at: claims.iat, expires_at: claims.exp, names };
    Ok(Placed { write: Write::Note(Note::Status(row)), kid })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_place_is_given_twice_and_a_full_list_is_followed_by_another() {
        let places = Places::default();
        let count = usize::from(STATUS_LIST_PLACES);
        let given: Vec<_> = (0..count + 10).map(|_| places.take(0)).collect();
        let distinct: HashSet<_> = given.iter().collect();
        assert_eq!(distinct.len(), given.len());
        let lists: HashSet<_> = given.iter().map(|(list, _)| list).collect();
        assert_eq!(lists.len(), 2);
        assert!(given.iter().all(|(_, idx)| (0..i64::from(STATUS_LIST_PLACES)).contains(idx)));
        let first: Vec<_> = given.iter().take(100).map(|(_, idx)| *idx).collect();
        assert!(!first.is_sorted(), "in no order: {first:?}");
    }

    #[test]
    fn a_list_takes_tokens_for_a_while_only() {
        let places = Places::default();
        let (first, _) = places.take(0);
        assert_eq!(places.take(STATUS_LIST_OPEN_SECONDS - 1).0, first);
        assert_ne!(places.take(STATUS_LIST_OPEN_SECONDS).0, first);
    }
}
