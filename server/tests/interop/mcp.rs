//! The MCP SDKs for Python and TypeScript, unchanged: their clients find this issuer by an MCP
//! server's metadata and get tokens from it, their server halves accept those by JWKS.

use crate::company::{KeyClient, secret_client, with_key, with_new_key, with_secret};
use crate::programs::{interop, required, run};
use serde_json::{Value, json};
use std::path::PathBuf;
use stipend::testing::{TestClient, TestServer};
use stipend_schema::Backend;
use tokio::process::Command;

const PYTHON_CHECKS: usize = 14;
const NODE_CHECKS: usize = 8;
const ELSEWHERE: &str = "https://tools.example/mcp";
const OWNER: &str = "acme";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_sdk_works() {
    let mut command = Command::new(required("STIPEND_INTEROP_PYTHON"));
    command.arg("-B").arg(interop().join("python/mcp_sdk.py"));
    let workshop = Workshop::new().await;
    run(command, &workshop.parameters(), PYTHON_CHECKS).await;
    workshop.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_typescript_sdk_works() {
    let directory = PathBuf::from(required("STIPEND_INTEROP_NODE"));
    // Node resolves packages from where a module lies, so the program goes beside them.
    let program = directory.join("mcp_sdk.mjs");
    std::fs::copy(interop().join("node/mcp_sdk.mjs"), &program).unwrap();
    let mut command = Command::new("node");
    command.arg(program);
    let workshop = Workshop::new().await;
    run(command, &workshop.parameters(), NODE_CHECKS).await;
    workshop.server.stop().await;
}

/// An MCP server's clients. The MCP server itself is in the program.
struct Workshop {
    server: TestServer,
    port: u16,
    basic: TestClient,
    post: TestClient,
    signer: KeyClient,
    /// Has no access to the MCP server.
    outsider: TestClient,
    /// Gets in by another issuer's identity assertions: of its agent `person`, by its `courier`.
    visitor: TestClient,
    idp: TestServer,
    courier: TestClient,
    person: TestClient,
}

impl Workshop {
    async fn new() -> Self {
        let local = [("STIPEND_FETCH_HTTP_HOSTS", "127.0.0.1"), ("STIPEND_FETCH_NETWORKS", "127.0.0.0/8")];
        let server = TestServer::start_with(Backend::Sqlite, &local).await;
        server.create_owner(OWNER).await;
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mcp = format!("http://127.0.0.1:{port}/mcp");
        server.create_resource(OWNER, &mcp, &["tools:call", "tools:admin"], &[]).await;
        server.create_resource(OWNER, ELSEWHERE, &["tools:call"], &[]).await;
        let keys = server.url("/credentials");
        let tools = json!({"resource": mcp, "scopes": ["tools:call"], "default_scopes": ["tools:call"]});
        let all_tools =
            json!({"resource": mcp, "scopes": ["tools:call", "tools:admin"], "default_scopes": ["tools:call"]});
        let release = json!({"resource": keys, "scopes": ["credential:release", "credential:use"]});
        let other = json!({"resource": ELSEWHERE, "scopes": ["tools:call"], "default_scopes": ["tools:call"]});
        let basic = secret_client(&server, agent("basic", "client_secret_basic", &json!([all_tools, release]))).await;
        let post = secret_client(&server, agent("post", "client_secret_post", &json!([tools]))).await;
        let signer = with_new_key(&server, agent("signer", "private_key_jwt", &json!([tools]))).await;
        let outsider = secret_client(&server, agent("outsider", "client_secret_basic", &json!([other]))).await;
        let credential = json!({
            "owner": OWNER, "name": "llm", "value": {"api_key": {"key": "sk-interop"}}, "modes": ["plaintext"],
        });
        server.create("/credentials", credential).await;
        let grant = json!({"credential": "acme.llm", "agent": basic.id, "modes": ["plaintext"]});
        server.create("/grants", grant).await;
        let idp = TestServer::start(Backend::Sqlite).await;
        let trusted =
            json!({"owner": OWNER, "issuer": idp.issuer, "keys": "discovery", "audiences": [], "uses": ["id_jag"]});
        let trusted = server.create("/issuers", trusted).await;
        let visitor = secret_client(&server, agent("visitor", "client_secret_post", &json!([]))).await;
        let rule = json!({
            "actor": {"client": visitor.id}, "subject": {"issuer": trusted["id"]}, "to_audience": mcp,
            "scopes": [{"scope": "tools:call"}], "mode": "delegation",
        });
        server.create("/exchange-rules", rule).await;
        let (courier, person) = identities(&idp, &server.issuer, &visitor.id, &[&mcp, ELSEWHERE]).await;
        Self { server, port, basic, post, signer, outsider, visitor, idp, courier, person }
    }

    fn parameters(&self) -> Value {
        json!({
            "issuer": self.server.issuer,
            "port": self.port,
            "elsewhere": ELSEWHERE,
            "credential": "acme.llm",
            "basic": with_secret(&self.basic),
            "post": with_secret(&self.post),
            "signer": with_key(&self.signer),
            "outsider": with_secret(&self.outsider),
            "visitor": with_secret(&self.visitor),
            "idp": self.idp.issuer,
            "courier": with_secret(&self.courier),
            "person": with_secret(&self.person),
        })
    }
}

/// The other issuer's side: whose identity it asserts, and by whom.
async fn identities(idp: &TestServer, to: &str, visitor: &str, resources: &[&str]) -> (TestClient, TestClient) {
    const DIRECTORY: &str = "https://directory.example";
    idp.create_owner(OWNER).await;
    idp.create_resource(OWNER, DIRECTORY, &["be"], &[]).await;
    idp.create_resource(OWNER, to, &["tools:call"], &[]).await;
    let person = idp.create_client(OWNER, "person", "agent", &[(DIRECTORY, &["be"])]).await;
    let courier = idp.create_client(OWNER, "courier", "agent", &[]).await;
    let rule = json!({
        "actor": {"client": courier.id}, "subject": {"client": person.id}, "to_audience": to,
        "scopes": [{"scope": "tools:call", "stands_for": "be"}], "mode": "delegation",
        "id_jag": {"issuer": to, "client_id": visitor, "resources": resources},
    });
    idp.create("/exchange-rules", rule).await;
    (courier, person)
}

fn agent(name: &str, method: &str, access: &Value) -> Value {
    json!({
        "owner": OWNER, "name": name, "kind": "agent", "purpose": "interop", "auth_method": method, "access": access,
    })
}
