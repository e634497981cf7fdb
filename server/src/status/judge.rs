//! What a list says of one token: the revoked set and the states of records, by the names that
//! were stored with its place.

use super::RESOURCE_OWNER;
use std::collections::HashMap;
use stipend_schema::signals::{Fallen, StatusEntryRow};
use stipend_token::Status;
use stipend_token::revoked::{RevokedKind, RevokedSet};

/// States of records that left the active one, by kind and id.
#[derive(Debug)]
pub(super) struct States<'a> {
    owners: HashMap<&'a str, Status>,
    clients: HashMap<&'a str, Status>,
    resources: HashMap<&'a str, Status>,
    issuers: HashMap<&'a str, Status>,
}

impl<'a> States<'a> {
    /// What can come back is suspended (section 7.1 of the draft), as introspection has it: a
    /// pause is over when it is over.
    pub(super) fn of(fallen: &'a Fallen) -> Self {
        let suspended = |id: &'a String| (id.as_str(), Status::Suspended);
        let state = |(id, state): &'a (String, String)| match state.as_str() {
            "revoked" | "retired" => (id.as_str(), Status::Invalid),
            _ => (id.as_str(), Status::Suspended),
        };
        let mut clients: HashMap<_, _> = fallen.ended.iter().map(suspended).collect();
        clients.extend(fallen.clients.iter().map(state));
        Self {
            owners: fallen.owners.iter().map(suspended).collect(),
            clients,
            resources: fallen.resources.iter().map(suspended).collect(),
            issuers: fallen.issuers.iter().map(suspended).collect(),
        }
    }

    fn find(&self, kind: &str, id: &str) -> Option<Status> {
        let states = match kind {
            RESOURCE_OWNER => &self.owners,
            _ => match RevokedKind::parse(kind)? {
                RevokedKind::Owner => &self.owners,
                RevokedKind::Client => &self.clients,
                RevokedKind::Resource => &self.resources,
                RevokedKind::Issuer => &self.issuers,
                RevokedKind::Token | RevokedKind::Subject | RevokedKind::Key => return None,
            },
        };
        states.get(id).copied()
    }
}

/// What kills it for ever goes before what does so for a while. An entry that can't be read says
/// nothing good of its token.
pub(super) fn status(entry: &StatusEntryRow, revoked: &RevokedSet, states: &States<'_>) -> Status {
    let Ok(names) = serde_json::from_str::<Vec<(String, String)>>(&entry.names) else {
        return Status::Invalid;
    };
    let killed = |(kind, id): &(String, String)| {
        RevokedKind::parse(kind).is_some_and(|kind| revoked.covers(kind, id, entry.issued_at))
    };
    if names.iter().any(killed) {
        return Status::Invalid;
    }
    let fallen: Vec<Status> = names.iter().filter_map(|(kind, id)| states.find(kind, id)).collect();
    if fallen.contains(&Status::Invalid) {
        return Status::Invalid;
    }
    fallen.first().copied().unwrap_or(Status::Valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> StatusEntryRow {
        let names = r#"[["token","t_1"],["token","t_0"],["client","o.a"],["subject","u"],["resource","https://r"],
            ["key","k"],["issuer","i"],["owner","o"],["resource_owner","p"]]"#;
        StatusEntryRow { list: "sl_".into(), idx: 0, issued_at: 100, expires_at: 400, names: names.into() }
    }

    #[test]
    fn every_name_can_kill_and_none_but_these() {
        let fallen = Fallen::default();
        let states = States::of(&fallen);
        for (kind, value) in [
            (RevokedKind::Token, "t_1"),
            (RevokedKind::Token, "t_0"),
            (RevokedKind::Client, "o.a"),
            (RevokedKind::Subject, "u"),
            (RevokedKind::Resource, "https://r"),
            (RevokedKind::Key, "k"),
            (RevokedKind::Issuer, "i"),
            (RevokedKind::Owner, "o"),
        ] {
            let mut revoked = RevokedSet::default();
            assert_eq!(status(&entry(), &revoked, &states), Status::Valid);
            revoked.add(kind, value, Some(99), 1000);
            assert_eq!(status(&entry(), &revoked, &states), Status::Valid, "it was issued later");
            revoked.add(kind, value, Some(100), 1000);
            assert_eq!(status(&entry(), &revoked, &states), Status::Invalid, "{kind:?}");
        }
        let mut revoked = RevokedSet::default();
        revoked.add(RevokedKind::Owner, "p", None, 1000);
        assert_eq!(status(&entry(), &revoked, &states), Status::Valid, "the resource's owner is no party");
    }

    #[test]
    fn a_pause_suspends_and_an_end_is_for_ever() {
        let revoked = RevokedSet::default();
        let say = |fallen: &Fallen| status(&entry(), &revoked, &States::of(fallen));
        let client = |state: &str| Fallen { clients: vec![("o.a".into(), state.into())], ..Fallen::default() };
        assert_eq!(say(&client("suspended")), Status::Suspended);
        assert_eq!(say(&client("revoked")), Status::Invalid);
        assert_eq!(say(&client("retired")), Status::Invalid);
        assert_eq!(say(&Fallen { ended: vec!["o.a".into()], ..Fallen::default() }), Status::Suspended);
        let also_ended = Fallen { ended: vec!["o.a".into()], ..client("revoked") };
        assert_eq!(say(&also_ended), Status::Invalid);
        for owner in ["o", "p"] {
            assert_eq!(say(&Fallen { owners: vec![owner.into()], ..Fallen::default() }), Status::Suspended);
        }
        assert_eq!(say(&Fallen { resources: vec!["https://r".into()], ..Fallen::default() }), Status::Suspended);
        assert_eq!(say(&Fallen { issuers: vec!["i".into()], ..Fallen::default() }), Status::Suspended);
        let both = Fallen { resources: vec!["https://r".into()], ..client("revoked") };
        assert_eq!(say(&both), Status::Invalid);
        assert_eq!(
            say(&Fallen { clients: vec![("o.b".into(), "revoked".into())], ..Fallen::default() }),
            Status::Valid
        );
    }

    #[test]
    fn an_entry_that_can_not_be_read_is_not_good() {
        let fallen = Fallen::default();
        let broken = StatusEntryRow { names: "?".into(), ..entry() };
        assert_eq!(status(&broken, &RevokedSet::default(), &States::of(&fallen)), Status::Invalid);
    }
}
