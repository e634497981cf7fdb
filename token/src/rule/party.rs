//! Whom a rule means, as one of three, written one way.

use serde::{Deserialize, Serialize};

/// A client, any client of an owner, or whom a trusted issuer vouches for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Selector", into = "Selector")]
pub enum PartySelector {
    Client(String),
    Owner(String),
    /// The issuer by its id here; of its subjects one, by its name there, or all.
    Issuer {
        id: String,
        subject: Option<String>,
    },
}

/// A selector as it is written: one of `client`, `owner` and `issuer`.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Selector {
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
}

impl TryFrom<Selector> for PartySelector {
    type Error = &'static str;

    fn try_from(written: Selector) -> Result<Self, Self::Error> {
        match written {
            Selector { client: Some(id), owner: None, issuer: None, subject: None } => Ok(Self::Client(id)),
            Selector { client: None, owner: Some(id), issuer: None, subject: None } => Ok(Self::Owner(id)),
            Selector { client: None, owner: None, issuer: Some(id), subject } => Ok(Self::Issuer { id, subject }),
            _ => Err("a party is one of client, owner and issuer; subject goes with issuer"),
        }
    }
}

impl From<PartySelector> for Selector {
    fn from(party: PartySelector) -> Self {
        match party {
            PartySelector::Client(id) => Self { client: Some(id), ..Self::default() },
            PartySelector::Owner(id) => Self { owner: Some(id), ..Self::default() },
            PartySelector::Issuer { id, subject } => Self { issuer: Some(id), subject, ..Self::default() },
        }
    }
}

impl PartySelector {
    /// Whether it means this client of ours. Whom another issuer vouches for is no client, so a
    /// rule for a client never lets one in, nor the other way round.
    #[must_use]
    pub fn admits(&self, client_id: &str, owner_id: &str) -> bool {
        match self {
            Self::Client(id) => id == client_id,
            Self::Owner(id) => id == owner_id,
            Self::Issuer { .. } => false,
        }
    }

    /// Whether it means this subject of this trusted issuer.
    #[must_use]
    pub fn admits_federated(&self, issuer_id: &str, name: &str) -> bool {
        match self {
            Self::Client(_) | Self::Owner(_) => false,
            Self::Issuer { id, subject } => id == issuer_id && subject.as_deref().is_none_or(|one| one == name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_is_written_one_way() {
        for (text, party) in [
            (r#"{"client":"o.a"}"#, PartySelector::Client("o.a".into())),
            (r#"{"owner":"o"}"#, PartySelector::Owner("o".into())),
            (r#"{"issuer":"iss_1"}"#, PartySelector::Issuer { id: "iss_1".into(), subject: None }),
            (
                r#"{"issuer":"iss_1","subject":"alice"}"#,
                PartySelector::Issuer { id: "iss_1".into(), subject: Some("alice".into()) },
            ),
        ] {
            assert_eq!(serde_json::from_str::<PartySelector>(text).unwrap(), party);
            assert_eq!(serde_json::to_string(&party).unwrap(), text);
        }
        for bad in [
            "{}",
            r#"{"subject":"alice"}"#,
            r#"{"client":"o.a","owner":"o"}"#,
            r#"{"client":"o.a","subject":"alice"}"#,
            r#"{"issuer":"iss_1","owner":"o"}"#,
            r#"{"issuer":"iss_1","more":1}"#,
            r#""o.a""#,
        ] {
            assert!(serde_json::from_str::<PartySelector>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn clients_and_foreign_subjects_are_never_taken_for_each_other() {
        let all = PartySelector::Issuer { id: "iss_1".into(), subject: None };
        let alice = PartySelector::Issuer { id: "iss_1".into(), subject: Some("alice".into()) };
        assert!(all.admits_federated("iss_1", "bob") && alice.admits_federated("iss_1", "alice"));
        assert!(!alice.admits_federated("iss_1", "bob") && !all.admits_federated("iss_2", "alice"));
        assert!(!all.admits("iss_1", "iss_1") && !alice.admits("alice", "iss_1"));
        assert!(!PartySelector::Client("alice".into()).admits_federated("iss_1", "alice"));
        assert!(!PartySelector::Owner("iss_1".into()).admits_federated("iss_1", "alice"));
    }
}
