//! `Dockerfile`: the right compiler, and an image that runs the server and nothing as root.

use crate::{is_setting, read, root};

/// Instructions with their lines joined, comments left out.
fn instructions() -> Vec<(String, String)> {
    let text = read("Dockerfile");
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let split = |line: &str| line.trim().split_once(' ').map(|(word, rest)| (word.to_owned(), rest.trim().to_owned()));
    joined.lines().filter_map(split).collect()
}

fn last_stage() -> Vec<(String, String)> {
    let all = instructions();
    let from = all.iter().rposition(|(word, _)| word == "FROM").unwrap();
    all[from..].to_vec()
}

fn of<'a>(stage: &'a [(String, String)], word: &str) -> Vec<&'a str> {
    stage.iter().filter(|(found, _)| found == word).map(|(_, rest)| rest.as_str()).collect()
}

#[test]
fn it_builds_with_the_compiler_of_the_repository() {
    let toolchain: toml::Table = read("rust-toolchain.toml").parse().unwrap();
    let channel = toolchain["toolchain"]["channel"].as_str().unwrap();
    let stages = instructions();
    let from = of(&stages, "FROM");
    assert_eq!(from.len(), 2, "one stage builds, one runs");
    assert!(from[0].starts_with(&format!("rust:{channel}-slim-")), "{} is not {channel}", from[0]);
    assert!(from[0].ends_with(" AS build"));
    assert!(of(&stages, "RUN").iter().any(|run| run.contains("cargo build --release --locked --package stipend")));
}

#[test]
fn every_base_is_pinned() {
    for from in of(&instructions(), "FROM") {
        let image = from.split(' ').next().unwrap();
        let (_, tag) = image.split_once(':').unwrap_or_else(|| panic!("{image} has no tag"));
        assert!(tag != "latest" && tag.starts_with(|first: char| first.is_ascii_digit()), "{image}");
    }
}

#[test]
fn the_image_runs_the_server_as_nobody_special() {
    let stage = last_stage();
    let user = of(&stage, "USER");
    assert_eq!(user.len(), 1);
    assert!(user[0].split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "USER {}", user[0]);
    let position = |word: &str| stage.iter().position(|(found, _)| found == word).unwrap();
    assert!(position("USER") < position("ENTRYPOINT") && position("RUN") < position("USER"));
    assert_eq!(of(&stage, "ENTRYPOINT"), [r#"["stipend"]"#]);
    assert_eq!(of(&stage, "CMD"), [r#"["serve"]"#]);
    let check = of(&stage, "HEALTHCHECK");
    assert!(check.len() == 1 && check[0].ends_with(r#"CMD ["stipend", "healthcheck"]"#), "{check:?}");
    let copied = of(&stage, "COPY");
    assert_eq!(copied, ["--from=build /usr/local/bin/stipend /usr/local/bin/stipend"], "the binary and no source");
}

#[test]
fn it_bakes_in_settings_that_exist_and_no_secret() {
    let stage = last_stage();
    let variables: Vec<&str> = of(&stage, "ENV").iter().flat_map(|line| line.split_whitespace()).collect();
    assert!(!variables.is_empty());
    for variable in variables {
        let (name, value) = variable.split_once('=').unwrap();
        assert!(is_setting(name), "{name} is no setting of the server");
        let secret = stipend::config::SETTINGS.iter().any(|setting| setting.env == name && setting.secret);
        // The path of a file is no secret, unlike the URL of a database with a password.
        let harmless = !secret || value.starts_with("sqlite://");
        assert!(harmless && !value.contains('@'), "{name} is baked in");
    }
    assert!(of(&instructions(), "ARG").is_empty(), "build arguments stay in the image's history");
}

#[test]
fn the_context_has_every_crate_and_little_else() {
    let ignore = read(".dockerignore");
    let lines: Vec<&str> = ignore.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines[0], "*", "nothing is sent unless it is named");
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap().iter().map(|member| member.as_str().unwrap());
    let mut wanted: Vec<String> = members.chain(["Cargo.toml", "Cargo.lock"]).map(|name| format!("!{name}")).collect();
    let mut sent: Vec<String> =
        lines.iter().filter(|line| line.starts_with('!')).map(|line| (*line).to_owned()).collect();
    wanted.sort_unstable();
    sent.sort_unstable();
    assert_eq!(sent, wanted);
    for name in sent {
        assert!(root().join(&name[1..]).exists(), "{name}");
    }
}
