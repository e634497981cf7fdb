//! A secret is shown once, with a warning, and by no other command.

use crate::terminal::{Terminal, fact};
use std::path::Path;

#[tokio::test]
async fn a_secret_is_shown_once_with_a_warning_beside_it() {
    let terminal = Terminal::with_company().await;
    let first = terminal.run(&["agent", "create", "acme.new"]).await;
    assert!(first.err.contains("shown only now"), "{first:?}");
    let secret = fact(&first.out, "secret");
    assert_eq!(first.out.matches(&secret).count(), 1, "{first:?}");
    assert!(!first.err.contains(&secret));
    let again = terminal.run(&["agent", "create", "acme.new"]).await;
    assert!(
        again.err.contains("there already") && again.err.contains("stipend agent secret add acme.new"),
        "{again:?}"
    );
    let again = again.done();
    assert!(!again.contains("\nsecret  ") && !again.contains("sk_"), "{again}");
    assert_eq!(fact(&first.out, "agent        "), fact(&again, "agent        "));
}

#[tokio::test]
async fn for_programs_the_answer_says_it_all() {
    let terminal = Terminal::with_company().await;
    let first = terminal.json(&["agent", "create", "acme.new"]).await;
    assert!(first["client_secret"].as_str().unwrap().starts_with("sk_"));
    let again = terminal.json(&["agent", "create", "acme.new"]).await;
    assert_eq!((again.get("client_secret"), &again["agent"]), (None, &first["agent"]));
}

#[tokio::test]
async fn no_other_command_shows_a_secret_that_was_made() {
    let terminal = Terminal::with_company().await;
    let mut secrets = Vec::new();
    let made: [&[&str]; 3] = [
        &["agent", "create", "acme.new"],
        &["agent", "secret", "add", "acme.new"],
        &["agent", "reissue", "acme.new", "--name", "newer"],
    ];
    for line in made {
        let ran = terminal.run(line).await;
        assert!(ran.err.contains("shown only now"), "{ran:?}");
        secrets.push(fact(&ran.done(), "secret"));
    }
    let lines: [&[&str]; 6] = [
        &["agent", "list"],
        &["agent", "show", "acme.new"],
        &["agent", "update", "acme.new", "--purpose", "test"],
        &["agent", "suspend", "acme.newer"],
        &["agent", "create", "acme.new", "--purpose", "test"],
        &["agent", "revoke", "acme.new", "--reason", "test"],
    ];
    for line in lines {
        for format in [&[][..], &["--json"]] {
            let ran = terminal.run(&[line, format].concat()).await;
            assert_eq!(ran.code, 0, "{ran:?}");
            for secret in &secrets {
                assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{line:?}");
            }
        }
    }
    assert_eq!(files_in(terminal.folder.path()), 0, "and none is kept");
}

fn files_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}
