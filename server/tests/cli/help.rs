//! `--help`, and what is said where there is nothing to show.

use crate::terminal::{Terminal, run_in};

const NO_VARS: &[(&str, &str)] = &[];

fn paths(command: &clap::Command, path: &[String], found: &mut Vec<Vec<String>>) {
    found.push(path.to_vec());
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let path = [path, &[sub.get_name().to_owned()]].concat();
        paths(sub, &path, found);
    }
}

#[tokio::test]
async fn every_command_explains_itself_without_a_server() {
    let mut found = Vec::new();
    paths(&stipend::cli::tree(), &[], &mut found);
    assert!(found.len() > 40, "{found:?}");
    for mut path in found {
        path.push("--help".to_owned());
        let ran = run_in(NO_VARS, &path).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{path:?}");
        assert!(ran.out.contains("Usage: stipend") && ran.out.contains("--json"), "{path:?}: {}", ran.out);
    }
}

#[tokio::test]
async fn help_never_shows_what_is_in_the_environment() {
    let vars = [("STIPEND_CLIENT_SECRET", "sk_from_the_environment"), ("STIPEND_TOKEN", "ey_from_the_environment")];
    let said = run_in(&vars, &["agent", "create", "--help"]).await.done();
    assert!(!said.contains("from_the_environment"), "{said}");
}

#[tokio::test]
async fn clients_are_another_name_for_agents() {
    let said = run_in(NO_VARS, &["client", "create", "--help"]).await.done();
    assert!(said.contains("Examples:\n  stipend agent create"), "{said}");
}

#[tokio::test]
async fn where_there_is_nothing_it_says_how_to_begin() {
    let terminal = Terminal::new().await;
    let mut said = String::new();
    for noun in ["rule", "revocation"] {
        said.push_str(&terminal.run(&[noun, "list"]).await.done());
    }
    insta::assert_snapshot!(said, @r"
    No rules. Make one with `stipend rule create`.
    Nothing is revoked.
    ");
    for noun in ["rule", "revocation"] {
        assert_eq!(terminal.json(&[noun, "list"]).await, serde_json::json!([]), "{noun}");
    }
}
