//! `authorization_details` (RFC 9396) as people type and read them: budgets, credentials, JSON.

use super::parse;
use clap::Args;
use serde_json::{Value, json};
use stipend_token::budget::{BUDGET_TYPE, BudgetCap};
use stipend_token::constraint::{CREDENTIAL_RELEASE_TYPE, CredentialRelease};

/// What a token is asked to carry.
#[derive(Args, Debug)]
pub struct DetailsArgs {
    /// A budget: UNIT=AMOUNT, or UNIT=AMOUNT/PER_CALL, in the unit's smallest part; may be repeated
    #[arg(long, value_name = "CAP", value_parser = parse::budget_cap)]
    budget: Vec<BudgetCap>,
    /// Carve it out: the one service counts what is spent of it
    #[arg(long, requires = "budget")]
    carved: bool,
    /// The task that pays
    #[arg(long, requires = "budget")]
    task: Option<String>,
    /// A credential it is for, and only it and others named so: ID, or ID:release,proxy for what may be done with it (proxy where left out); may be repeated
    #[arg(long, value_name = "ID[:ACTIONS]", value_parser = parse::credential)]
    credential: Vec<CredentialRelease>,
    /// More `authorization_details`: a JSON list of objects, as for credentials with constraints
    #[arg(long, value_name = "JSON", value_parser = parse::objects)]
    details: Option<Value>,
}

impl DetailsArgs {
    /// The parameter; `None` where nothing is asked for.
    pub fn parameter(&self) -> Option<String> {
        let mut all: Vec<Value> =
            self.budget.iter().map(|cap| budget(cap, self.carved, self.task.as_deref())).collect();
        all.extend(self.credential.iter().map(|release| json!(release)));
        all.extend(self.details.iter().filter_map(Value::as_array).flatten().cloned());
        (!all.is_empty()).then(|| Value::Array(all).to_string())
    }
}

/// A budget as it is asked for.
pub fn budget(cap: &BudgetCap, carved: bool, task: Option<&str>) -> Value {
    let mut detail = json!({
        "type": BUDGET_TYPE, "unit": cap.unit.code(), "decimals": cap.unit.decimals(), "amount": cap.amount,
    });
    if let Value::Object(members) = &mut detail {
        members.extend(cap.per_call.map(|per_call| ("per_call".to_owned(), per_call.parts().into())));
        members.extend(carved.then(|| ("enforce".to_owned(), "rs".into())));
        members.extend(task.map(|task| ("task".to_owned(), task.into())));
    }
    detail
}

/// A line about one object of a response or a claim.
pub fn describe(detail: &Value) -> String {
    if detail.get("type").and_then(Value::as_str) != Some(CREDENTIAL_RELEASE_TYPE) {
        return format!("budget {detail}");
    }
    let identifier = detail.get("identifier").and_then(Value::as_str).unwrap_or_default();
    let actions: Vec<&str> = members(detail, "actions").filter_map(Value::as_str).collect();
    let within = detail.get("constraints").map(|constraints| format!(" within {constraints}")).unwrap_or_default();
    format!("credential {identifier}: {}{within}", actions.join(", "))
}

/// A claim that lists credentials: each in a line, and below it where its limits are counted.
pub fn describe_claim(claim: &Value) -> String {
    let Some(details) = claim.as_array().filter(|details| !details.is_empty()) else {
        return "for no credential".to_owned();
    };
    let each = |detail| std::iter::once(describe(detail)).chain(members(detail, "counted").map(counted));
    details.iter().flat_map(each).collect::<Vec<_>>().join("\n")
}

fn counted(entry: &Value) -> String {
    let number = |of: &Value, name: &str| of.get(name).map(Value::to_string).unwrap_or_default();
    let uses = entry.get("uses").map(|uses| format!("{uses} uses"));
    let rates = members(entry, "rate").map(|rate| format!("{} in {} s", number(rate, "count"), number(rate, "per_s")));
    let limits: Vec<String> = uses.into_iter().chain(rates).collect();
    let jti = entry.get("jti").and_then(Value::as_str).unwrap_or_default();
    let observed = if entry.get("mode").is_some_and(|mode| mode == "observe") { ", observed" } else { "" };
    format!("  {} under {jti}{observed}", limits.join(" and "))
}

fn members<'v>(of: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    of.get(name).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_says_each_credential_and_where_it_is_counted() {
        let claim = json!([
            {"type": "credential_release", "identifier": "mail", "actions": ["proxy"]},
            {
                "type": "credential_release", "identifier": "qwen", "actions": ["release", "proxy"],
                "constraints": {"uses": 5},
                "counted": [
                    {"jti": "t_1", "uses": 5, "rate": [{"count": 10, "per_s": 60}]},
                    {"jti": "t_2", "uses": 3, "mode": "observe"},
                ],
            },
        ]);
        let expected = "credential mail: proxy\n\
            credential qwen: release, proxy within {\"uses\":5}\n  \
            5 uses and 10 in 60 s under t_1\n  \
            3 uses under t_2, observed";
        assert_eq!(describe_claim(&claim), expected);
        assert_eq!(describe_claim(&json!([])), "for no credential");
    }
}
