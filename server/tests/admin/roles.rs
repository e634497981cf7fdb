//! Every role on every route of the document, asked of the server itself.

use crate::routes::{Things, operations};
use crate::world::World;
use rstest::rstest;
use serde_json::json;
use stipend_schema::Backend;

#[rstest]
#[tokio::test]
async fn every_role_on_every_route(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    let own = |role: &str| json!([{"role": role, "owner": "acme"}]);
    // The mighty come last: what they change no longer matters to the others.
    let callers = [
        ("none", json!([])),
        ("rival", json!([{"role": "owner-admin", "owner": "globex"}])),
        ("budget", own("budget-admin")),
        ("credential", own("credential-admin")),
        ("risk", own("risk-admin")),
        ("auditor", own("auditor")),
        ("auditors", json!([{"role": "auditor"}])),
        ("owner", own("owner-admin")),
        ("platform", json!([{"role": "platform-admin"}])),
    ];
    let operations = operations(&world).await;
    let mut rows: Vec<String> = operations.iter().map(|operation| format!("{operation:<66}")).collect();
    let mut head = format!("{:<66}", "on a thing of acme");
    for (name, roles) in callers {
        head.push_str(&format!(" {name:>10}"));
        let things = Things::new(&world, "acme", name).await;
        let token = world.admin("globex", name, roles).await;
        // What deletes a thing comes after what else is done to it.
        let mut calls: Vec<(&String, &mut String)> = operations.iter().zip(&mut rows).collect();
        calls.sort_by_key(|(operation, _)| operation.starts_with("DELETE"));
        for (operation, row) in calls {
            let case = things.case(operation);
            let reply = world.send(Some(&token), case.method, &case.path, case.body.as_ref()).await;
            row.push_str(&format!(" {:>10}", reply.status));
        }
    }
    insta::assert_snapshot!("every_role_on_every_route", format!("{head}\n{}", rows.join("\n")));
}
