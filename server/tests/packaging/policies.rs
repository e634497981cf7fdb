//! Licences and the lists for cargo-deny.

use crate::read;
use std::collections::BTreeSet;

fn deny() -> toml::Table {
    read("deny.toml").parse().unwrap()
}

fn texts(value: &toml::Value) -> BTreeSet<&str> {
    value.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
}

#[test]
fn both_licences_are_there_in_full() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    assert_eq!(manifest["workspace"]["package"]["license"].as_str(), Some("Apache-2.0 OR MIT"));
    let (apache, mit) = (read("LICENSE-APACHE"), read("LICENSE-MIT"));
    for heading in
        ["1. Definitions.", "3. Grant of Patent License.", "9. Accepting Warranty", "END OF TERMS AND CONDITIONS"]
    {
        assert!(apache.contains(heading), "{heading}");
    }
    assert!(
        mit.contains("Permission is hereby granted, free of charge")
            && mit.contains("THE SOFTWARE IS PROVIDED \"AS IS\"")
    );
}

#[test]
fn what_we_are_licensed_under_is_allowed_and_copyleft_is_not() {
    let deny = deny();
    let allowed = texts(&deny["licenses"]["allow"]);
    assert!(allowed.contains("Apache-2.0") && allowed.contains("MIT"));
    assert!(!allowed.iter().any(|name| name.contains("GPL") || name.contains("MPL")), "{allowed:?}");
}

#[test]
fn nothing_comes_from_elsewhere_than_the_registry() {
    let deny = deny();
    assert_eq!(deny["sources"]["unknown-registry"].as_str(), Some("deny"));
    assert_eq!(deny["sources"]["unknown-git"].as_str(), Some("deny"));
    assert!(texts(&deny["sources"]["allow-git"]).is_empty());
    let lock: toml::Table = read("Cargo.lock").parse().unwrap();
    for package in lock["package"].as_array().unwrap() {
        let source = package.get("source").and_then(toml::Value::as_str);
        let ours = package["name"].as_str().unwrap().starts_with("stipend");
        assert!(ours || source.is_some_and(|source| source.starts_with("registry+")), "{package}");
    }
}

#[test]
fn banned_crates_are_not_locked() {
    let (deny, lock) = (deny(), read("Cargo.lock").parse::<toml::Table>().unwrap());
    let locked: BTreeSet<&str> =
        lock["package"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    let bans = deny["bans"]["deny"].as_array().unwrap();
    assert!(bans.len() >= 5);
    for ban in bans {
        let name = ban["crate"].as_str().unwrap();
        assert!(!ban["reason"].as_str().unwrap().is_empty(), "{name} has no reason");
        // Those with a version are compared by scripts/check-deps.
        assert!(name.contains(':') || !locked.contains(name), "{name} is banned and locked");
    }
}
