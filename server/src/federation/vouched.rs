//! What the rest of the server learns of a foreign token beside what that becomes here.

use super::evidence::Evidence;
use super::verify::{ForeignToken, audiences};
use serde_json::{Value, json};
use stipend_token::narrow::Federated;

/// What an exchange must know of a foreign subject beside what its token becomes here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Vouched {
    /// The issuer's id here, and its name in tokens.
    pub issuer: String,
    pub iss: String,
    /// The subject's name there.
    pub name: String,
    /// Its token says that somebody acts for it already: recorded, believed by nobody.
    pub act: Option<Value>,
    /// Whom its token was made for.
    pub aud: Vec<String>,
    /// What is kept of its token where that must wait; nothing where there is no token.
    pub evidence: Option<Evidence>,
}

impl Vouched {
    #[must_use]
    pub fn by(token: &ForeignToken) -> Self {
        Self {
            issuer: token.issuer.id.clone(),
            iss: token.issuer.issuer.clone(),
            name: token.name.clone(),
            act: token.claims.get("act").cloned(),
            aud: audiences(token).into_iter().map(str::to_owned).collect(),
            evidence: Some(Evidence::of(token)),
        }
    }

    /// As the decision wants it.
    #[must_use]
    pub fn as_federated(&self) -> Federated<'_> {
        Federated { issuer: &self.issuer, name: &self.name, delegated: self.act.is_some() }
    }

    /// For the record.
    #[must_use]
    pub fn describe(&self) -> Value {
        let mut about = json!({ "issuer": self.issuer, "iss": self.iss });
        if let (Value::Object(about), Some(act)) = (&mut about, &self.act) {
            about.insert("act".to_owned(), act.clone());
        }
        about
    }
}
