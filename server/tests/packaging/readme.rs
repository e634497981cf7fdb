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

/// The steps of the demo as the README shows them are those it plays today.
#[test]
fn the_tour_shows_the_demo_as_it_is() {
    fn steps(text: &str) -> Vec<String> {
        let numbered = |line: &&str| line.trim_start().split(' ').next().is_some_and(|word| word.parse::<u8>().is_ok());
        text.lines().filter(numbered).map(|line| line.trim().to_owned()).collect()
    }
    let text = read("README.md");
    let shown = text.split_once("<!-- demo -->").and_then(|(_, rest)| rest.split_once("<!-- /demo -->")).unwrap().0;
    let played = std::process::Command::new(env!("CARGO_BIN_EXE_stipend")).arg("demo").env_clear().output().unwrap();
    assert!(played.status.success());
    let played = String::from_utf8(played.stdout).unwrap();
    assert!(steps(&played).len() >= 9, "{played}");
    assert_eq!(steps(shown), steps(&played));
}
