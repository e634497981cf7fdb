//! Budgets, by the house rules of Stipend: what a token may spend, and who spends from it.
//!
//! Owns the requests to the budget endpoint that metadata names. Amounts are small, and of a cap
//! in the token: a run leaves the client's own line nearly as it was.

pub(crate) mod spending;
pub(crate) mod token;

use serde_json::{Value, json};

use crate::check::{Miss, ensure, skip};
use crate::http::{Reply, Request};
use crate::issuer::{Issued, Issuer, granted};
use crate::profile::Budget;
use crate::rfc9396::PARAMETER;

impl Issuer {
    pub(crate) fn budget(&self) -> Result<&Budget, Miss> {
        match &self.profile.budget {
            Some(section) => Ok(section),
            None => skip("the profile has no [budget]"),
        }
    }

    /// What a client asks for when it wants so much.
    pub(crate) fn wanted(&self, amount: i64) -> Result<Value, Miss> {
        let x = self.budget()?;
        Ok(json!({"type": "budget", "unit": x.unit, "decimals": x.decimals, "amount": amount}))
    }

    pub(crate) fn budget_request(&self, wanted: &Value) -> Result<Request, Miss> {
        let x = self.budget()?;
        Ok(self.grant_for(&x.client, &x.resource, &x.scope)?.with(PARAMETER, &json!([wanted]).to_string()))
    }

    /// A token that may spend so much.
    pub(crate) async fn rich(&self, amount: i64) -> Result<Issued, Miss> {
        let issued = granted(self.budget_request(&self.wanted(amount)?)?.send().await?);
        let issued = issued.map_err(|miss| miss.at("a token with a budget"))?;
        let got = granted_amount(&issued.reply);
        ensure!(got == Some(amount), "{got:?} granted of {amount}");
        Ok(issued)
    }

    /// The client's own token again, with so much of it.
    pub(crate) fn share(&self, subject: &str, wanted: &Value) -> Result<Request, Miss> {
        let x = self.budget()?;
        let uri = &self.resource(&x.resource)?.uri;
        let request = self.exchange_as(&x.client, subject)?.set("audience", uri).set("scope", &x.scope);
        Ok(request.with(PARAMETER, &json!([wanted]).to_string()))
    }

    /// A form to the budget endpoint, by a service.
    pub(crate) fn order(&self, service: &str, path: &str, form: &[(&str, &str)]) -> Result<Request, Miss> {
        let base = self.endpoint("budget_endpoint")?.trim_end_matches('/');
        let request =
            form.iter().fold(self.http.form(&format!("{base}{path}")), |r, (name, value)| r.with(name, value));
        self.sign_in(request, self.client(service)?)
    }

    pub(crate) fn charge(&self, token: &str, amount: &str) -> Result<Request, Miss> {
        let x = self.budget()?;
        self.order(&x.service, "/charges", &[("token", token), ("unit", &x.unit), ("amount", amount)])
    }

    pub(crate) fn hold(&self, token: &str, amount: &str) -> Result<Request, Miss> {
        let x = self.budget()?;
        self.order(&x.service, "/holds", &[("token", token), ("unit", &x.unit), ("amount", amount)])
    }
}

/// The amount that an answer of the token endpoint says was granted.
pub(crate) fn granted_amount(reply: &Reply) -> Option<i64> {
    reply.json.get(PARAMETER)?.get(0)?.get("amount")?.as_i64()
}

pub(crate) fn number(reply: &Reply, member: &str) -> Option<i64> {
    reply.json.get(member).and_then(Value::as_i64)
}

/// The order was carried out, and this much is left.
pub(crate) fn leaves(reply: &Reply, remaining: i64) -> Result<(), Miss> {
    let left = number(reply, "remaining");
    ensure!(reply.status == 200 && left == Some(remaining), "{}, remaining {left:?}, not {remaining}", reply.brief());
    Ok(())
}

/// The order was declined for want of budget, and took nothing.
pub(crate) fn declined(reply: &Reply) -> Result<(), Miss> {
    ensure!(reply.status == 403 && reply.error() == "insufficient_budget", "{} {}", reply.brief(), reply.json);
    Ok(())
}
