//! Two nodes of which one can't reach the database: it answers nothing that it can't know, and what
//! the other did meanwhile holds there as soon as it is back.

use crate::world::World;
use reqwest::StatusCode;
use rstest::rstest;
use std::time::Duration;
use stipend::testing::TestServer;
use stipend_schema::Backend;
use stipend_schema::testing::{Proxy, TestDatabase, Way};

/// A black hole, and connections that are reset.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_calls_no_token_active_that_the_other_revoked(
    #[values(Way::Blocked, Way::Cut)] way: Way,
) {
    let database = TestDatabase::new(Backend::Postgres).await;
    let world = World::on(TestServer::start_on(database.url(), &[]).await).await;
    let proxy = Proxy::before(database.url()).await;
    let apart = TestServer::start_on(proxy.url(), &[("STIPEND_ISSUER", &world.server.issuer)]).await;
    let (here, there) = (world.server.issuer.clone(), format!("http://{}", apart.address()));
    let doomed = world.server.token(&world.agent, &[]).await;
    let asked = async |base: &str| world.post(base, "/oauth2/introspect", &world.service, &[("token", &doomed)]).await;
    assert_eq!(asked(&there).await.body["active"], true);
    assert_eq!(world.charge(&there, 0).await.status, StatusCode::OK);
    proxy.turn(way);
    let revoked = world.post(&here, "/oauth2/revoke", &world.agent, &[("token", &doomed)]).await;
    assert_eq!(revoked.status, StatusCode::OK);
    // The bound on what commits nothing: a view of at most a second ago.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for _ in 0..3 {
        let answer = asked(&there).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.body);
    }
    assert_eq!(world.charge(&there, 1).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.charge(&here, 1).await.status, StatusCode::OK);
    proxy.turn(Way::Open);
    world.is_back(&there).await;
    // No moment at which it is back and does not know.
    for _ in 0..5 {
        let answer = asked(&there).await;
        if answer.status == StatusCode::OK {
            assert_eq!(answer.body, serde_json::json!({"active": false}));
        }
    }
    for number in 0..3 {
        assert_eq!(world.charge(&there, number).await.status, StatusCode::OK);
    }
    world.proofs(3).await;
    apart.stop().await;
    world.server.stop().await;
}
