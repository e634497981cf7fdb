//! An identity provider that nobody here wrote, `oidc-provider`: the ID tokens and access tokens
//! that its people get are exchanged, also after it has changed its key.

use crate::programs::{interop, required, run};
use serde_json::json;
use std::path::PathBuf;
use stipend::testing::TestServer;
use stipend_schema::Backend;
use tokio::process::Command;

const CHECKS: usize = 11;
const ORDERS: &str = "https://orders.example/api";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_a_real_identity_provider_are_let_in() {
    let directory = PathBuf::from(required("STIPEND_INTEROP_NODE"));
    // Node resolves packages from where a module lies, so the program goes beside them.
    let program = directory.join("oidc_provider.mjs");
    std::fs::copy(interop().join("node/oidc_provider.mjs"), &program).unwrap();
    let local = [("STIPEND_FETCH_HTTP_HOSTS", "127.0.0.1"), ("STIPEND_FETCH_NETWORKS", "127.0.0.0/8")];
    let server = TestServer::start_with(Backend::Sqlite, &local).await;
    server.create_owner("acme").await;
    server.create_resource("acme", ORDERS, &["read", "refund"], &[]).await;
    let desk = server.create_client("acme", "desk", "agent", &[]).await;
    let stranger = server.create_client("acme", "stranger", "agent", &[]).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let idp = format!("http://127.0.0.1:{port}");
    let trusted = json!({
        "owner": "acme", "issuer": idp, "keys": "discovery", "uses": ["subject_token"],
        "audiences": ["stipend", "https://stipend.example/api"], "algorithms": ["RS256"],
    });
    let trusted = server.create("/issuers", trusted).await["id"].clone();
    let rule = json!({
        "actor": {"client": desk.id}, "subject": {"issuer": trusted}, "to_audience": ORDERS,
        "scopes": [{"scope": "read"}], "mode": "delegation",
    });
    server.create("/exchange-rules", rule).await;
    let client = |client: &stipend::testing::TestClient| json!({"id": client.id, "secret": client.secret});
    let parameters = json!({
        "issuer": server.issuer, "resource": ORDERS, "idp": idp, "port": port, "trusted": trusted,
        "desk": client(&desk), "stranger": client(&stranger),
    });
    // The version that the provider supports, which not every machine has.
    let mut command = Command::new(directory.join("node_modules/node/bin/node"));
    command.arg(program);
    run(command, &parameters, CHECKS).await;
    server.stop().await;
}
