//! The README's table of settings is made from the list that the server reads.

use crate::read;
use std::fmt::Write;
use stipend::config::SETTINGS;

const BEGIN: &str = "<!-- settings -->\n";
const END: &str = "<!-- /settings -->";

fn table() -> String {
    let mut table = String::from("| setting | default | meaning |\n|---|---|---|\n");
    for setting in SETTINGS {
        let default = setting.default.map(|default| format!("`{default}`")).unwrap_or_default();
        let file = if setting.secret { format!(", `{}_FILE`", setting.env) } else { String::new() };
        let _ = writeln!(table, "| `{}`{file} | {default} | {} |", setting.env, setting.about.replace('|', "\\|"));
    }
    table
}

#[test]
fn the_table_of_settings_is_the_servers() {
    let text = read("README.md");
    let written = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(written, _)| written);
    let expected = table();
    assert!(
        written == Some(expected.as_str()),
        "between the markers in README.md there should be:\n\n{BEGIN}{expected}{END}\n"
    );
}

#[test]
fn every_page_it_links_to_exists() {
    let text = read("README.md");
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files: Vec<&str> = links.filter(|link| !link.contains("://") && !link.starts_with('#')).collect();
    assert!(files.contains(&"SECURITY.md") && files.contains(&"CHANGELOG.md"), "{files:?}");
    for file in files {
        assert!(!read(file.split('#').next().unwrap()).is_empty(), "{file}");
    }
}
