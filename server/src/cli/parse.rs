//! Reading what people type: lives, access entries, parties, JSON.

use super::connect::read_text;
use super::error::CliError;
use crate::federation::AdminLogin;
use crate::records::{ClientSettings, Role, RoleGrant};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::io::Read;
use std::path::Path;
use stipend_token::access::AccessEntry;
use stipend_token::budget::{Amount, BudgetCap, MAX_DETAILS_BYTES, Unit};
use stipend_token::constraint::{Action, Constraints, CredentialRelease, Rate};
use stipend_token::json::{DEPTH_CEILING, Limits, parse_value};
use stipend_token::rule::{Approver, PartySelector, ScopeEdge};
use stipend_token::{Audience, ScopeSet};

/// `90d`, `12h`, `30m`, `45s`, or seconds.
pub fn duration(text: &str) -> Result<i64, String> {
    let expected = || format!("{text:?} is no duration: 90d, 12h, 30m, 45s");
    let (number, unit) = match text.char_indices().next_back() {
        Some((at, unit)) if !unit.is_ascii_digit() => (text.get(..at).unwrap_or_default(), unit),
        _ => (text, 's'),
    };
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(expected()),
    };
    let number: i64 = number.parse().map_err(|_| expected())?;
    number.checked_mul(seconds).filter(|seconds| *seconds > 0).ok_or_else(expected)
}

/// `URI=scope,scope`.
pub fn access(text: &str) -> Result<AccessEntry, String> {
    let (uri, scopes) = text.rsplit_once('=').ok_or("write URI=scope,scope")?;
    Ok(AccessEntry {
        resource: Audience::parse(uri).map_err(|error| error.to_string())?,
        scopes: scope_set(scopes)?,
        default_scopes: ScopeSet::default(),
        default_budget: None,
    })
}

/// `UNIT=AMOUNT`, `UNIT=AMOUNT/PER_CALL`; a unit of one's own as `UNIT:DECIMALS`.
pub fn budget_cap(text: &str) -> Result<BudgetCap, String> {
    let (unit, amounts) = text.split_once('=').ok_or("write UNIT=AMOUNT or UNIT=AMOUNT/PER_CALL")?;
    let (code, decimals) = match unit.split_once(':') {
        Some((code, decimals)) => (code, decimals.parse().map_err(|_| "decimals are 0 to 9".to_owned())?),
        None => (unit, Unit::known_decimals(unit).ok_or("write UNIT:DECIMALS for a unit of your own")?),
    };
    let amount = |text: &str| {
        let parts = text.parse().map_err(|_| "an amount is an integer, in the unit's smallest part".to_owned())?;
        Amount::new(parts).map_err(|error| error.to_string())
    };
    let (whole, per_call) = match amounts.split_once('/') {
        Some((whole, per_call)) => (whole, Some(amount(per_call)?)),
        None => (amounts, None),
    };
    let unit = Unit::new(code, decimals).map_err(|error| error.to_string())?;
    Ok(BudgetCap { unit, amount: amount(whole)?, per_call })
}

/// `URI=UNIT=AMOUNT`, `URI=UNIT=AMOUNT/PER_CALL`.
pub fn default_budget(text: &str) -> Result<(Audience, BudgetCap), String> {
    let expected = || "write URI=UNIT=AMOUNT or URI=UNIT=AMOUNT/PER_CALL".to_owned();
    let (rest, _) = text.rsplit_once('=').ok_or_else(expected)?;
    let (uri, _) = rest.rsplit_once('=').ok_or_else(expected)?;
    let cap = text.get(uri.len().saturating_add(1)..).ok_or_else(expected)?;
    Ok((Audience::parse(uri).map_err(|error| error.to_string())?, budget_cap(cap)?))
}

/// `scope,scope`, or with spaces between as on the wire.
pub fn scope_set(text: &str) -> Result<ScopeSet, String> {
    ScopeSet::from_tokens(text.split([',', ' '])).map_err(|error| error.to_string())
}

/// Whose people approve.
pub fn approver(text: &str) -> Result<Approver, String> {
    match text {
        "actor" => Ok(Approver::ActorOwner),
        "subject" => Ok(Approver::SubjectOwner),
        "target" => Ok(Approver::TargetOwner),
        _ => Err("write actor, subject or target".to_owned()),
    }
}

/// `payments.refunds` is a client, `payments` any client of that owner.
pub fn party(text: &str) -> Result<PartySelector, String> {
    match text.split_once('.') {
        Some((owner, name)) if !owner.is_empty() && !name.is_empty() => Ok(PartySelector::Client(text.to_owned())),
        None if stipend_token::id::is_slug(text) => Ok(PartySelector::Owner(text.to_owned())),
        _ => Err("write a client id (payments.refunds) or an owner id (payments)".to_owned()),
    }
}

/// A rule's subject: a client, an owner, or an issuer by its id or its name in tokens.
pub fn subject_party(text: &str) -> Result<PartySelector, String> {
    if text.starts_with("iss_") || text.contains("://") {
        return Ok(PartySelector::Issuer { id: text.to_owned(), subject: None });
    }
    party(text).map_err(|error| format!("{error}, or an issuer (iss_…, https://login.example)"))
}

/// `scope`, or `scope:read<orders:read`, where the left one is the target's and the right
/// one is the subject token's that stands for it.
pub fn scope_edge(text: &str) -> Result<ScopeEdge, String> {
    let (scope, stands_for) = match text.split_once('<') {
        Some((scope, stands_for)) => (scope, Some(stands_for.to_owned())),
        None => (text, None),
    };
    let edge = ScopeEdge { scope: scope.to_owned(), stands_for };
    for token in std::iter::once(&edge.scope).chain(&edge.stands_for) {
        match ScopeSet::parse(token) {
            Ok(one) if one.len() == 1 => {}
            _ => return Err("write SCOPE, or SCOPE<SUBJECT_SCOPE".to_owned()),
        }
    }
    Ok(edge)
}

/// `<owner>.<name>`.
pub fn client_id(text: &str) -> Result<(String, String), String> {
    match text.split_once('.') {
        Some((owner, name)) if stipend_token::id::is_slug(owner) && stipend_token::id::is_slug(name) => {
            Ok((owner.to_owned(), name.to_owned()))
        }
        _ => Err("write <owner>.<name>, each of a-z, 0-9 and -".to_owned()),
    }
}

/// Longest text that is read from standard input: a token, or a value for custody.
const MAX_INPUT_BYTES: u64 = 256 * 1024;

/// One of `words`, as serde names the variants of `T`.
pub fn words<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| serde_json::from_value::<T>(Value::String(word)))
}

/// `auditor`, or `owner-admin:payments`.
pub fn role(text: &str) -> Result<RoleGrant, String> {
    let (role, owner) = match text.split_once(':') {
        Some((role, owner)) => (role, Some(owner.to_owned())),
        None => (text, None),
    };
    let role: Role = serde_json::from_value(Value::String(role.to_owned())).map_err(|_| {
        "write platform-admin, auditor, or owner-admin:OWNER, credential-admin:OWNER, budget-admin:OWNER, risk-admin:OWNER".to_owned()
    })?;
    Ok(RoleGrant { role, owner })
}

/// Who of an issuer's people administers this server, as the admin API writes it.
pub fn admin_login(text: &str) -> Result<AdminLogin, String> {
    serde_json::from_str(text).map_err(|error| format!("not who administers: {error}"))
}

/// The settings of a client, as the admin API writes them.
pub fn settings(text: &str) -> Result<ClientSettings, String> {
    serde_json::from_str(text).map_err(|error| format!("not the settings of a client: {error}"))
}

/// `2027-01-31T12:00:00Z` with any offset, or `2027-01-31` for its first second (UTC).
pub fn instant(text: &str) -> Result<i64, String> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(at.as_second());
    }
    let day: jiff::civil::Date = text.parse().map_err(|_| "write 2027-01-31T12:00:00Z, or 2027-01-31".to_owned())?;
    day.to_zoned(jiff::tz::TimeZone::UTC).map(|at| at.timestamp().as_second()).map_err(|error| error.to_string())
}

/// `name=value`.
pub fn claim(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// A JSON object.
pub fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))
}

/// A JSON list of objects, read as strictly as the server reads it.
pub fn objects(text: &str) -> Result<Value, String> {
    let limits = Limits { max_bytes: MAX_DETAILS_BYTES, max_depth: DEPTH_CEILING };
    let value = parse_value(text.as_bytes(), limits).map_err(|error| error.to_string())?;
    let objects = value.as_array().is_some_and(|items| items.iter().all(Value::is_object));
    if objects { Ok(value) } else { Err("not a JSON list of objects".to_owned()) }
}

/// `ID`, or `ID:release,proxy`.
pub fn credential(text: &str) -> Result<CredentialRelease, String> {
    let (identifier, actions) = text.split_once(':').unwrap_or((text, "proxy"));
    let action = |word: &str| match word {
        "release" => Ok(Action::Release),
        "proxy" => Ok(Action::Proxy),
        _ => Err("write ID, or ID:release, ID:proxy, ID:release,proxy".to_owned()),
    };
    let actions = actions.split(',').map(action).collect::<Result<_, _>>()?;
    CredentialRelease::new(identifier, actions, Constraints::default()).map_err(|error| error.to_string())
}

/// Constraints as a JSON object, or a list of objects that all count.
pub fn constraints(text: &str) -> Result<Constraints, String> {
    let limits = Limits { max_bytes: MAX_DETAILS_BYTES, max_depth: DEPTH_CEILING };
    let value = parse_value(text.as_bytes(), limits).map_err(|error| error.to_string())?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// `10/60s`, `1000/1d`.
pub fn rate(text: &str) -> Result<Rate, String> {
    let expected = || "write COUNT/TIME: 10/60s, 1000/1d".to_owned();
    let (count, per) = text.split_once('/').ok_or_else(expected)?;
    let per = u32::try_from(duration(per)?).map_err(|_| expected())?;
    Rate::new(count.parse().map_err(|_| expected())?, per).map_err(|error| error.to_string())
}

/// A file with a JSON object.
pub fn object_file(path: &Path) -> Result<Map<String, Value>, CliError> {
    object(&read_text(path)?).map_err(|error| CliError::usage(format!("{}: {error}", path.display())))
}

/// A token as it was given; `-` is standard input, which no process list shows.
pub fn token(text: &str) -> Result<String, CliError> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    Ok(stdin()?.trim().to_owned())
}

/// A small text from a file, or from standard input where the path is `-`.
pub fn text_file(path: &Path) -> Result<String, CliError> {
    if path.as_os_str() == "-" { stdin() } else { read_text(path) }
}

fn stdin() -> Result<String, CliError> {
    let unreadable = |error: std::io::Error| CliError::usage(format!("standard input: {error}"));
    let mut read = String::new();
    std::io::stdin().lock().take(MAX_INPUT_BYTES).read_to_string(&mut read).map_err(unreadable)?;
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        assert_eq!((duration("90d"), duration("12h"), duration("30m")), (Ok(7_776_000), Ok(43_200), Ok(1800)));
        assert_eq!((duration("45s"), duration("300")), (Ok(45), Ok(300)));
        for bad in ["", "d", "1w", "-5m", "0s", "1.5h", "99999999999999999d", "5é"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn access_is_a_uri_and_its_scopes() {
        let entry = access("https://orders.example/a=b=orders:read,orders:refund").unwrap();
        assert_eq!(entry.resource.as_str(), "https://orders.example/a=b");
        assert_eq!(entry.scopes.to_string(), "orders:read orders:refund");
        for bad in ["https://orders.example", "orders=read", "https://orders.example=", "https://o.example=a,,b"] {
            assert!(access(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_dot_tells_a_client_from_an_owner() {
        assert_eq!(party("acme.refunds"), Ok(PartySelector::Client("acme.refunds".to_owned())));
        assert_eq!(party("acme"), Ok(PartySelector::Owner("acme".to_owned())));
        assert!(party("").is_err() && party("acme.").is_err() && party("A").is_err());
        assert!(client_id("acme").is_err() && client_id("acme.a.b").is_err() && client_id("acme.a").is_ok());
    }

    #[test]
    fn a_scope_may_stand_for_another() {
        assert_eq!(scope_edge("release<orders:pay").unwrap().stands_for.as_deref(), Some("orders:pay"));
        assert_eq!(scope_edge("read").unwrap().stands_for, None);
        assert!(scope_edge("a b").is_err() && scope_edge("<a").is_err());
    }

    #[test]
    fn a_role_may_be_over_one_owner() {
        assert_eq!(role("auditor"), Ok(RoleGrant { role: Role::Auditor, owner: None }));
        let over = RoleGrant { role: Role::OwnerAdmin, owner: Some("payments".to_owned()) };
        assert_eq!(role("owner-admin:payments"), Ok(over));
        assert!(role("king").is_err() && role("").is_err());
    }

    #[test]
    fn an_instant_is_a_time_or_a_day() {
        assert_eq!(instant("1970-01-02"), Ok(86_400));
        assert_eq!(instant("1970-01-01T01:00:00+01:00"), Ok(0));
        assert!(instant("tomorrow").is_err() && instant("2027-13-01").is_err() && instant("").is_err());
    }

    #[test]
    fn a_claim_has_a_name_and_a_value() {
        assert_eq!(claim("sub=a=b"), Ok(("sub".to_owned(), "a=b".to_owned())));
        assert!(claim("sub=").is_err() && claim("=a").is_err() && claim("sub").is_err());
        assert!(object("{}").is_ok() && object("[]").is_err() && object("").is_err());
    }
}
