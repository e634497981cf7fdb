//! `stipend audit`: what was changed, cut or forged is found, in the database and in files.

use crate::terminal::{Terminal, fact};
use serde_json::{Value, json};

async fn exported(terminal: &Terminal, name: &str) -> String {
    let path = terminal.folder.path().join(name).display().to_string();
    terminal.run(&["audit", "export", &path]).await.done();
    path
}

async fn verify(terminal: &Terminal, lines: &[String]) -> String {
    let path = terminal.file("changed.jsonl", &(lines.join("\n") + "\n"));
    terminal.run(&["audit", "verify", "--file", &path]).await.refused(1)
}

fn lines_of(path: &str) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn an_export_proves_itself_without_the_server() {
    let terminal = Terminal::with_company().await;
    terminal.server.checkpoint().await;
    let path = exported(&terminal, "audit.jsonl").await;
    terminal.server.stop().await;
    let proof: Value = terminal.run(&["audit", "verify", "--file", &path, "--json"]).await.json();
    assert_eq!((&proof["issuer"], &proof["checkpoints"]), (&json!(terminal.server.issuer), &json!(1)));
    assert!(proof["records"].as_u64().unwrap() > 8, "{proof}");
    let said = terminal.run(&["audit", "verify", "--file", &path]).await.done();
    assert_eq!(fact(&said, "checkpoints"), "1 signed, each met");
}

#[tokio::test]
async fn every_kind_of_change_to_a_file_is_found() {
    let terminal = Terminal::with_company().await;
    terminal.server.checkpoint().await;
    let good = lines_of(&exported(&terminal, "audit.jsonl").await);
    let change = |edit: &dyn Fn(&mut Vec<String>)| {
        let mut lines = good.clone();
        edit(&mut lines);
        lines
    };
    let is_checkpoint = |line: &String| line.contains("\"checkpoint\"");
    let last_record = good.iter().rposition(|line| line.contains("\"record\"")).unwrap();
    let cases: Vec<(&str, Vec<String>)> = vec![
        (
            "stored hash",
            change(&|lines| {
                let at = lines.iter().position(|line| line.contains("owner.created")).unwrap();
                lines[at] = lines[at].replace("owner.created", "owner.deleted");
            }),
        ),
        ("missing", change(&|lines| drop(lines.remove(3)))),
        ("number was used before", change(&|lines| lines.insert(3, lines[2].clone()))),
        ("records before it", change(&|lines| lines.swap(3, 4))),
        ("cut off", change(&|lines| drop(lines.pop()))),
        (
            "as many records",
            change(&|lines| {
                lines.remove(last_record);
            }),
        ),
        (
            "signature",
            change(&|lines| {
                let at = lines.iter().position(is_checkpoint).unwrap();
                let middle = lines[at].len() - 30;
                let other = if lines[at].as_bytes()[middle] == b'A' { "B" } else { "A" };
                lines[at].replace_range(middle..=middle, other);
            }),
        ),
    ];
    for (what, lines) in cases {
        let said = verify(&terminal, &lines).await;
        assert!(said.contains(what), "{what}: {said}");
    }
}

/// Everything after a checkpoint cut away, and the count made to fit: the checkpoint tells.
#[tokio::test]
async fn a_chain_that_lost_its_end_is_found_by_its_checkpoint_or_an_earlier_proof() {
    let terminal = Terminal::with_company().await;
    let before = terminal.run(&["audit", "verify", "--json"]).await.json();
    let before = terminal.file("proof.json", &before.to_string());
    terminal.server.checkpoint().await;
    let good = lines_of(&exported(&terminal, "audit.jsonl").await);
    let checkpoint = good.iter().find(|line| line.contains("\"checkpoint\"")).unwrap();
    let mut cut: Vec<String> = good[..5].to_vec();
    cut.push("{\"end\":4}".to_owned());
    let path = terminal.file("cut.jsonl", &(cut.join("\n") + "\n"));
    terminal.run(&["audit", "verify", "--file", &path]).await.done();
    let said = terminal.run(&["audit", "verify", "--file", &path, "--known", &before]).await.refused(1);
    assert!(said.contains("missing"), "{said}");
    cut.insert(5, checkpoint.clone());
    let said = verify(&terminal, &cut).await;
    assert!(said.contains("missing"), "{said}");
    terminal.run(&["audit", "verify", "--known", &before]).await.done();
}

#[tokio::test]
async fn a_record_edited_in_the_database_is_found() {
    let terminal = Terminal::with_company().await;
    terminal.run(&["audit", "verify"]).await.done();
    let made = terminal.json(&["audit", "tail", "--event", "owner.created"]).await;
    let number = made[0]["n"].as_i64().unwrap();
    let edit = format!("UPDATE audit_records SET record = replace(record, 'acme', 'evil') WHERE n = {number}");
    terminal.server.execute(&edit).await;
    let said = terminal.run(&["audit", "verify"]).await.refused(1);
    assert!(said.contains(&format!("audit record {number}")) && said.contains("stored hash"), "{said}");
}

#[tokio::test]
async fn what_a_distrusted_key_signed_proves_nothing() {
    let terminal = Terminal::new().await;
    terminal.server.checkpoint().await;
    let kid = terminal.json(&["keys", "list"]).await[0]["kid"].as_str().unwrap().to_owned();
    terminal.run(&["keys", "distrust", &kid, "--reason", "test"]).await.done();
    let proof = terminal.json(&["audit", "verify"]).await;
    assert_eq!((&proof["checkpoints"], &proof["checkpoints_unproved"]), (&json!(0), &json!(1)));
}

#[tokio::test]
async fn tail_filters_and_exports_never_overwrite() {
    let terminal = Terminal::with_company().await;
    terminal.run(&["agent", "show", "acme.nobody"]).await.refused(1);
    let refused = terminal.json(&["audit", "tail", "--outcome", "refused"]).await;
    assert_eq!(refused[0]["event"], "agent.read");
    let created = terminal.json(&["audit", "tail", "--event", "agent.created", "-n", "1"]).await;
    assert_eq!((created.as_array().unwrap().len(), &created[0]["detail"]["target"]), (1, &json!("acme.refunds")));
    let path = exported(&terminal, "audit.jsonl").await;
    terminal.run(&["audit", "export", &path]).await.refused(2);
    terminal.run(&["audit", "verify", "--file", "/nowhere"]).await.refused(2);
    let other = terminal.file("other.jsonl", "{}\n");
    terminal.run(&["audit", "verify", "--file", &other]).await.refused(2);
}
