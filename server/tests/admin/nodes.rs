//! Two nodes on one database: what one has answered, the other does not undo.

use crate::world::{Reply, World, reply};
use futures_util::future::{join, join_all};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use stipend::testing::TestServer;
use stipend_schema::Backend;

struct Nodes {
    world: World,
    other: TestServer,
    token: String,
}

impl Nodes {
    async fn new(backend: Backend) -> Self {
        let world = World::new(backend).await;
        let settings = [("STIPEND_ISSUER", world.server.issuer.as_str())];
        let other = TestServer::start_on(&world.server.database_url, &settings).await;
        let token = world.server.admin_token().await;
        Self { world, other, token }
    }

    /// A request to the first node or the second.
    async fn send(&self, node: usize, method: Method, path: &str, body: Value) -> Reply {
        let server = [&self.world.server, &self.other][node];
        let url = format!("http://{}/admin/v1{path}", server.address());
        let answered = reply(server.http.request(method, url).bearer_auth(&self.token).json(&body)).await;
        assert!([200, 201, 409, 503].contains(&answered.status), "{path}: {}", answered.text);
        answered
    }
}

#[rstest]
#[tokio::test]
async fn changes_on_two_nodes_are_both_kept(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let nodes = Nodes::new(backend).await;
    nodes.world.create_keyed("acme", "signer").await;
    let path = "/agents/acme.signer";
    let mut both = 0;
    for round in 0..24 {
        let (purpose, ttl) = (json!({"purpose": format!("p{round}")}), json!({"ttl_seconds": 100 + round}));
        let one = nodes.send(0, Method::PATCH, path, purpose.clone());
        let two = nodes.send(1, Method::PATCH, path, ttl.clone());
        let (one, two) = join(one, two).await;
        let end = nodes.world.get(path).await;
        if one.status == 200 {
            assert_eq!(end["purpose"], purpose["purpose"], "lost in round {round}");
        }
        if two.status == 200 {
            assert_eq!(end["ttl_seconds"], ttl["ttl_seconds"], "lost in round {round}");
        }
        both += usize::from(one.status == 200 && two.status == 200);
    }
    assert!(both > 0, "contention is not refused altogether");
    nodes.other.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_revocation_on_one_node_is_not_undone_by_the_other(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let nodes = Nodes::new(backend).await;
    for round in 0..12 {
        nodes.world.create_keyed("acme", &format!("a{round}")).await;
        let path = format!("/agents/acme.a{round}");
        let (revoke, patch) = (json!({"reason": "race", "severity": "high"}), json!({"purpose": "late"}));
        let revoke_path = format!("{path}/revoke");
        let revoked = nodes.send(0, Method::POST, &revoke_path, revoke.clone());
        let (revoked, _) = join(revoked, nodes.send(1, Method::PATCH, &path, patch)).await;
        if revoked.status == 503 {
            assert_eq!(nodes.send(0, Method::POST, &revoke_path, revoke).await.status, 200);
        }
        let end = nodes.world.get(&path).await;
        assert_eq!((&end["state"], &end["keys"]), (&json!("revoked"), &json!([])));
    }
    nodes.other.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_registration_on_two_nodes_is_one(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let nodes = Nodes::new(backend).await;
    let body = json!({"id": "initech", "name": "Initech"});
    let made = join_all((0..16).map(|index| nodes.send(index % 2, Method::POST, "/owners", body.clone()))).await;
    assert_eq!(made.iter().filter(|reply| reply.status == 201).count(), 1);
    assert!(made.iter().all(|reply| reply.status != 409), "the same registration is no conflict");
    nodes.other.stop().await;
}
