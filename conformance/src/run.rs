//! Running the rows one after the other, in bounded time.
//!
//! Owns the order and the limits. Rows run one at a time, so that what a row
//! sees is its own doing; the throttling row comes last because it leaves the
//! issuer annoyed.

use std::time::{Duration, Instant};

use crate::check::{Check, Level, Miss, Verdict};
use crate::issuer::Issuer;
use crate::profile::Profile;
use crate::report::{Outcome, Report, Row};
use crate::{
    budget, cimd, identity_assertion, mcp, rfc6749, rfc6750, rfc7009, rfc7517, rfc7523, rfc7591, rfc7592, rfc7662,
    rfc8414, rfc8693, rfc8705, rfc8707, rfc8725, rfc9068, rfc9396, rfc9449, rfc9701, rfc9728, signals, spiffe,
    status_list,
};

const ROW_SECONDS: u64 = 90;
const RUN_SECONDS: u64 = 900;

/// Every check, in the order in which it runs.
fn checks() -> Vec<Check> {
    [
        rfc8414::rows(),
        rfc7517::rows(),
        rfc6749::token::rows(),
        rfc6749::response::rows(),
        rfc6749::hostile::rows(),
        rfc6749::client::rows(),
        rfc7523::identity::rows(),
        rfc7523::lifetime::rows(),
        rfc7523::key::rows(),
        rfc6749::client_credentials::rows(),
        rfc9068::rows(),
        rfc8707::rows(),
        rfc8693::request::rows(),
        rfc8693::target::rows(),
        rfc8693::response::rows(),
        rfc8693::delegation::rows(),
        rfc8693::standing::rows(),
        rfc8725::signature::rows(),
        rfc8725::content::rows(),
        rfc7662::rows(),
        rfc7009::rows(),
        rfc7591::rows(),
        rfc7592::rows(),
        cimd::rows(),
        cimd::registered::rows(),
        rfc9449::proof::rows(),
        rfc9449::nonce::rows(),
        rfc9449::binding::rows(),
        rfc9449::resource::rows(),
        rfc8705::client::rows(),
        rfc8705::bound::rows(),
        spiffe::rows(),
        rfc8693::foreign::rows(),
        identity_assertion::rows(),
        rfc7523::grant::rows(),
        rfc9396::rows(),
        budget::token::rows(),
        budget::spending::rows(),
        rfc6750::rows(),
        rfc9728::rows(),
        rfc9701::rows(),
        status_list::rows(),
        signals::streams::rows(),
        signals::events::rows(),
        mcp::rows(),
        rfc6749::guessing::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The rows claimed, without a run: id, level, source and title.
pub fn claimed() -> Vec<Row> {
    let unrun = |check: &Check| row(check, Outcome::Skipped, "not run".into());
    checks().iter().map(unrun).collect()
}

/// Runs every row.
pub async fn run(profile: Profile) -> Report {
    run_only(profile, &[]).await
}

/// Runs the rows whose id or section (`T`, `K`) is named; all, if none is.
pub async fn run_only(profile: Profile, only: &[String]) -> Report {
    let url = profile.issuer.url.clone();
    let selected = checks().into_iter().filter(|check| chosen(check.id, only));
    let rows = match Issuer::discover(profile).await {
        Ok(issuer) => run_checks(&issuer, selected).await,
        Err(miss) => unreachable_issuer(selected, miss),
    };
    Report { issuer: url, rows }
}

async fn run_checks(issuer: &Issuer, selected: impl Iterator<Item = Check>) -> Vec<Row> {
    let deadline = Instant::now() + Duration::from_secs(RUN_SECONDS);
    let mut rows = Vec::new();
    for check in selected {
        let verdict = match not_applicable(issuer, &check) {
            Some(why) => Err(Miss::Skip(why)),
            None if Instant::now() > deadline => Err(Miss::Fail("the run took too long".into())),
            None => bounded(issuer, &check).await,
        };
        rows.push(match verdict {
            Ok(seen) => row(&check, Outcome::Pass, seen),
            Err(Miss::Fail(seen)) => row(&check, Outcome::Fail, seen),
            Err(Miss::Skip(why)) => row(&check, Outcome::Skipped, why),
        });
    }
    rows
}

async fn bounded(issuer: &Issuer, check: &Check) -> Verdict {
    let limit = Duration::from_secs(ROW_SECONDS);
    match tokio::time::timeout(limit, (check.run)(issuer)).await {
        Ok(verdict) => verdict,
        Err(_) => Err(Miss::Fail(format!("not decided within {ROW_SECONDS} s"))),
    }
}

fn not_applicable(issuer: &Issuer, check: &Check) -> Option<String> {
    let capabilities = &issuer.profile.capabilities;
    if check.level == Level::H && !capabilities.house {
        return Some("house rule".into());
    }
    let section = section(check.id);
    let missing = &capabilities.missing;
    let keys = [check.feature, check.id, section];
    keys.iter().find_map(|key| missing.get(*key)).cloned()
}

/// Nothing can be judged without metadata; the row that says so is MD1.
fn unreachable_issuer(selected: impl Iterator<Item = Check>, miss: Miss) -> Vec<Row> {
    let seen = match miss {
        Miss::Fail(seen) | Miss::Skip(seen) => seen,
    };
    selected
        .map(|check| match check.id {
            "MD1" => row(&check, Outcome::Fail, seen.clone()),
            _ => row(&check, Outcome::Skipped, "no metadata".into()),
        })
        .collect()
}

fn row(check: &Check, outcome: Outcome, seen: String) -> Row {
    let Check { id, level, source, title, .. } = *check;
    Row { id, level, source, title, outcome, seen }
}

fn section(id: &str) -> &str {
    id.split(|c: char| !c.is_ascii_uppercase()).next().unwrap_or(id)
}

fn chosen(id: &str, only: &[String]) -> bool {
    let base = id.split('/').next().unwrap_or(id);
    only.is_empty() || only.iter().any(|name| name == id || name == base || name == section(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_id_is_claimed_once() {
        let mut ids: Vec<_> = claimed().iter().map(|row| row.id).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
    }

    #[test]
    fn rows_are_chosen_by_section_by_id_and_with_their_parts() {
        let only = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert!(chosen("TX1", &only(&["TX"])));
        assert!(!chosen("TX1", &only(&["T"])));
        assert!(chosen("K15/concurrent", &only(&["K15"])));
        assert!(!chosen("K15", &only(&["K1"])));
        assert!(chosen("K15", &[]));
    }
}
