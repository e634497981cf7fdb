//! The dashboard and the alerts name what there is, and all that there is.

use crate::exposition::Exposition;
use crate::promql::{self, Named};
use crate::tour::Tour;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use stipend::reason::Reason;

/// Labels that Prometheus itself puts on.
const SCRAPERS: [&str; 3] = ["le", "instance", "job"];
/// What is on no panel, and why.
const UNSEEN: [(&str, &str); 1] =
    [("target_info", "attributes of the node, to be joined with others by whoever wants them")];

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn dashboard() -> Value {
    serde_json::from_str(&file("grafana/stipend.json")).unwrap()
}

/// Each panel's title and expressions.
fn panels(dashboard: &Value) -> Vec<(String, Vec<String>)> {
    let panels = dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row");
    panels
        .map(|panel| {
            let targets = panel["targets"].as_array().unwrap();
            let expressions = targets.iter().map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
            (panel["title"].as_str().unwrap().to_owned(), expressions)
        })
        .collect()
}

#[derive(Deserialize)]
struct Alerts {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    alert: String,
    expr: String,
    r#for: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

fn alerts() -> Vec<Rule> {
    let alerts: Alerts = serde_saphyr::from_str(&file("prometheus/alerts.yaml")).unwrap();
    assert!(alerts.groups.iter().all(|group| !group.name.is_empty()));
    alerts.groups.into_iter().flat_map(|group| group.rules).collect()
}

/// Names of the samples, with the labels that each has, and their values.
fn known(seen: &Exposition) -> BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> {
    let mut known: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for sample in &seen.samples {
        let labels = known.entry(&sample.name).or_default();
        for (label, value) in &sample.labels {
            labels.entry(label).or_default().insert(value);
        }
    }
    known
}

fn check(place: &str, named: &Named, seen: &Exposition) {
    let known = known(seen);
    assert!(!named.selectors.is_empty(), "{place} asks for nothing");
    for selector in &named.selectors {
        let Some(labels) = known.get(selector.metric.as_str()) else {
            panic!("{place}: there is no {}", selector.metric);
        };
        for (label, value) in &selector.matchers {
            assert!(
                labels.contains_key(label.as_str()) || SCRAPERS.contains(&label.as_str()),
                "{place}: {} has no label {label}",
                selector.metric
            );
            if label == "stipend_reason" && selector.metric == "stipend_refusals_total" {
                for word in value.split('|') {
                    assert!(Reason::ALL.iter().any(|reason| reason.as_str() == word), "{place}: no reason {word}");
                }
            }
        }
    }
    for label in &named.groupings {
        let has = |metric: &str| known.get(metric).is_some_and(|labels| labels.contains_key(label.as_str()));
        let some = named.selectors.iter().any(|selector| has(&selector.metric));
        assert!(some || SCRAPERS.contains(&label.as_str()), "{place}: nothing there has a label {label}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_names_what_there_is_and_everything_there_is_is_on_a_panel() {
    let redis =
        std::env::var("STIPEND_TEST_REDIS_URL").expect("STIPEND_TEST_REDIS_URL names a Redis: scripts/test starts one");
    let tour = Tour::take(&[("STIPEND_REDIS_URL", redis.as_str())]).await;
    let seen = tour.scrape().await;
    let (mut shown, mut alerted) = (BTreeSet::new(), BTreeSet::new());
    for (title, expressions) in panels(&dashboard()) {
        assert!(!expressions.is_empty(), "{title}");
        for expression in expressions {
            let named = promql::read(&expression);
            check(&title, &named, &seen);
            shown.extend(named.selectors.iter().map(|selector| seen.family(&selector.metric).to_owned()));
        }
    }
    for rule in alerts() {
        let named = promql::read(&rule.expr);
        check(&rule.alert, &named, &seen);
        alerted.extend(named.selectors.iter().map(|selector| seen.family(&selector.metric).to_owned()));
        assert!(rule.alert.starts_with("Stipend") && rule.r#for.ends_with(['s', 'm', 'h']), "{}", rule.alert);
        assert!(matches!(rule.labels["severity"].as_str(), "page" | "ticket"), "{}", rule.alert);
        assert!(!rule.annotations["summary"].is_empty() && !rule.annotations["description"].is_empty());
    }
    assert!(alerted.len() > 8, "{alerted:?}");
    for family in seen.types.keys() {
        let excused = UNSEEN.iter().any(|(name, _)| name == family);
        assert!(shown.contains(family) != excused, "{family} is on no panel, or is there and excused");
    }
    // What the documentation lists is what there is, and the other way round.
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let table = readme.split_once("<!-- metrics -->").and_then(|(_, rest)| rest.split_once("<!-- /metrics -->"));
    let table = table.expect("a table of metrics in README.md").0;
    let listed: BTreeMap<&str, Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(|cell| cell.trim()).collect::<Vec<_>>())
        .map(|cells| (cells[1].trim_matches('`'), cells))
        .collect();
    let labels = known(&seen);
    for (family, kind) in &seen.types {
        if UNSEEN.iter().any(|(name, _)| name == family) {
            continue;
        }
        let cells = listed.get(family.as_str()).unwrap_or_else(|| panic!("README.md does not list {family}"));
        assert_eq!(cells[2], kind, "{family}");
        let sample = if kind == "histogram" { format!("{family}_count") } else { family.clone() };
        for label in labels[sample.as_str()].keys() {
            assert!(cells[4].contains(&format!("`{label}`")), "{family} has a label {label}: {}", cells[4]);
        }
    }
    for family in listed.keys() {
        assert!(seen.types.contains_key(*family), "README.md lists {family}, which there is not");
    }
}

#[test]
fn the_dashboard_is_one_that_can_be_loaded() {
    let dashboard = dashboard();
    assert_eq!(dashboard["uid"], "stipend");
    assert!(dashboard["schemaVersion"].as_i64().unwrap() >= 39 && dashboard["id"].is_null());
    let all = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<i64> = all.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), all.len(), "ids are unique");
    let titles: BTreeSet<&str> = all.iter().map(|panel| panel["title"].as_str().unwrap()).collect();
    assert_eq!(titles.len(), all.len(), "titles are unique");
    let mut taken = BTreeSet::new();
    for panel in all {
        let at = |name: &str| panel["gridPos"][name].as_i64().unwrap();
        assert!(at("x") >= 0 && at("x") + at("w") <= 24, "{}", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} is on top of another", panel["title"]);
            }
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
            assert!(!panel["description"].as_str().unwrap().is_empty(), "{}", panel["title"]);
        }
    }
}
