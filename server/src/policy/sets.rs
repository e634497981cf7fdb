//! The policies of one owner, compiled; and the judgement of all that apply to a request.

use super::facts::Facts;
use super::text::text_hash;
use crate::deps;
use crate::records::{Records, Unavailable};
use cedar_policy::{Authorizer, Decision, Policy, PolicyId, PolicySet};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;
use stipend_schema::Dep;
use stipend_schema::policies::PolicyRow;

/// Whose policies apply to everybody: no owner can have this id.
pub const DEPLOYMENT: &str = "*";
/// What rows allow is allowed, as far as policies go.
const ROWS_GRANT: &str = "permit(principal, action, resource);";
/// The id of that statement: no policy can have it.
const GRANT_ID: &str = "rows";

/// A statement that denied, for the record.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Cited {
    pub policy: String,
    pub version: i64,
    /// From 1; 0 for a policy that could not be read at all.
    pub statement: usize,
    /// It did not say no: it could not be evaluated.
    pub failed: bool,
}

impl Cited {
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut cited = json!({"id": self.policy, "version": self.version, "statement": self.statement});
        if self.failed
            && let Some(members) = cited.as_object_mut()
        {
            members.insert("failed".to_owned(), true.into());
        }
        cited
    }
}

/// What one owner, or the deployment, forbids.
#[derive(Debug)]
pub struct Compiled {
    owner: String,
    set: PolicySet,
    /// What can't be read denies everything, and says so.
    broken: Vec<Cited>,
    /// Of the ids, versions and texts: what decided is named by this where nothing was refused.
    hash: String,
}

impl Compiled {
    /// Compiles rows as stored. `None`: nothing is enabled.
    #[must_use]
    pub fn new(owner: &str, rows: &[PolicyRow]) -> Option<Self> {
        let enabled = || rows.iter().filter(|row| row.state == "enabled");
        enabled().next()?;
        let mut compiled =
            Self { owner: owner.to_owned(), set: PolicySet::new(), broken: Vec::new(), hash: String::new() };
        let mut named = String::new();
        for row in enabled() {
            compiled.add(row);
            named.push_str(&format!("{} {} {}\n", row.id, row.version, row.hash));
        }
        let grant = Policy::parse(Some(PolicyId::new(GRANT_ID)), ROWS_GRANT);
        if grant.ok().and_then(|grant| compiled.set.add(grant).ok()).is_none() {
            compiled.broken.push(Cited { policy: GRANT_ID.to_owned(), version: 0, statement: 0, failed: true });
        }
        compiled.hash = text_hash(&named);
        Some(compiled)
    }

    fn add(&mut self, row: &PolicyRow) {
        let statements = PolicySet::from_str(&row.text).ok().filter(|set| set.templates().next().is_none());
        let added = statements.and_then(|set| {
            let mut any = false;
            for (policy, number) in set.policies().zip(1_usize..) {
                let id = PolicyId::new(format!("{}#{}#{number}", row.id, row.version));
                self.set.add(policy.new_id(id)).ok()?;
                any = true;
            }
            any.then_some(())
        });
        if added.is_none() {
            tracing::error!(policy = row.id, version = row.version, "a stored policy can't be read: it denies");
            self.broken.push(Cited { policy: row.id.clone(), version: row.version, statement: 0, failed: true });
        }
    }

    /// Who says no to this, sorted. Empty: nobody.
    #[must_use]
    pub fn denials(&self, facts: &Facts) -> Vec<Cited> {
        let mut cited = self.broken.clone();
        let Some((request, entities)) = facts.to_cedar() else {
            tracing::error!(owner = self.owner, "a request could not be put to its policies: it is refused");
            cited.push(Cited { policy: GRANT_ID.to_owned(), version: 0, statement: 0, failed: true });
            return cited;
        };
        let response = Authorizer::new().is_authorized(&request, &self.set, &entities);
        let diagnostics = response.diagnostics();
        // Cedar leaves out a policy that fails; one that forbids must not be left out.
        cited.extend(diagnostics.errors().map(|error| {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
            cite(error.policy_id(), true)
        }));
        if response.decision() == Decision::Deny {
            cited.extend(diagnostics.reason().map(|id| cite(id, false)));
            if cited.is_empty() {
                cited.push(Cited { policy: GRANT_ID.to_owned(), version: 0, statement: 0, failed: true });
            }
        }
        cited.sort_unstable();
        cited
    }
}

fn cite(id: &PolicyId, failed: bool) -> Cited {
    let id: &str = id.as_ref();
    let mut parts = id.splitn(3, '#');
    let policy = parts.next().unwrap_or_default().to_owned();
    let version = parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    Cited { policy, version, statement: parts.next().and_then(|part| part.parse().ok()).unwrap_or(0), failed }
}

/// All policies that apply to a request, and what finding them leaned on.
#[derive(Debug)]
pub struct Applicable {
    sets: Vec<Arc<Compiled>>,
    pub deps: Vec<Dep>,
}

impl Applicable {
    /// Those of the deployment and of every owner that the request concerns.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn load<'a>(records: &Records, owners: impl Iterator<Item = &'a str>) -> Result<Self, Unavailable> {
        let owners: BTreeSet<&str> = owners.chain([DEPLOYMENT]).collect();
        let mut applicable = Self { sets: Vec::new(), deps: Vec::with_capacity(owners.len()) };
        for owner in owners {
            applicable.deps.push(deps::policies_of(owner));
            applicable.sets.extend(records.policies_of(owner).await?);
        }
        Ok(applicable)
    }

    /// Nobody forbids anything: then nothing needs to be asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Who says no to any of the questions, each once.
    #[must_use]
    pub fn denials(&self, questions: &[Facts]) -> Vec<Cited> {
        let mut cited: Vec<Cited> =
            questions.iter().flat_map(|facts| self.sets.iter().flat_map(|set| set.denials(facts))).collect();
        cited.sort_unstable();
        cited.dedup();
        cited
    }

    /// What was asked, by owner, for the record of what was not refused.
    #[must_use]
    pub fn named(&self) -> Value {
        Value::Object(self.sets.iter().map(|set| (set.owner.clone(), set.hash.clone().into())).collect::<Map<_, _>>())
    }
}
