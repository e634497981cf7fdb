//! One of two nodes has a clock that was set minutes forward or back. The ledger's time is the
//! database's, so no hold ends early or late and nothing is spent twice; what was revoked stays so;
//! and the node says that it is not ready.

use crate::world::World;
use reqwest::StatusCode;
use rstest::rstest;
use serde_json::json;
use std::time::Duration;
use stipend::testing::TestServer;
use stipend_schema::Backend;
use stipend_schema::testing::TestDatabase;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_minutes_off_on_one_node(#[values(240, -240)] seconds: i64) {
    let database = TestDatabase::new(Backend::Postgres).await;
    let world = World::on(TestServer::start_on(database.url(), &[]).await).await;
    let wrong = TestServer::start_on(database.url(), &[("STIPEND_ISSUER", &world.server.issuer)]).await;
    let (here, there) = (world.server.issuer.clone(), format!("http://{}", wrong.address()));
    let doomed = world.server.token(&world.agent, &[]).await;
    let hold = [("token", world.token.as_str()), ("unit", "call"), ("amount", "5"), ("expires_in", "60")];
    let held = world.post(&here, "/budget/holds", &world.service, &hold).await;
    assert_eq!(held.status, StatusCode::OK, "{}", held.body);
    assert_eq!(world.charge(&here, 0).await.status, StatusCode::OK);

    wrong.clock.advance(seconds);
    let ready = world.server.http.get(format!("{there}/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let ready: serde_json::Value = ready.json().await.unwrap();
    assert_eq!(ready["clock"], "off by more than 30 s against the database");
    // Once per key, whichever node's clock asks.
    assert_eq!(world.charge(&there, 0).await.body["spent"], json!(1));
    let charged = world.charge(&there, 1).await.status;
    // By a clock that is behind, a new token is not valid yet.
    assert!(charged == StatusCode::OK || (seconds < 0 && charged == StatusCode::FORBIDDEN), "{charged}");
    assert_eq!(world.charge(&here, 1).await.body["spent"], json!(1));
    // What was revoked here is dead there, and the other way about.
    let asked = async |base: &str, token: &str| {
        world.post(base, "/oauth2/introspect", &world.service, &[("token", token)]).await.body
    };
    let dead = json!({"active": false});
    world.post(&here, "/oauth2/revoke", &world.agent, &[("token", &doomed)]).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(asked(&there, &doomed).await, dead);
    let theirs = world.post(&there, "/oauth2/token", &world.agent, &[("grant_type", "client_credentials")]).await;
    match theirs.body["access_token"].as_str() {
        Some(token) => {
            world.post(&there, "/oauth2/revoke", &world.agent, &[("token", token)]).await;
            tokio::time::sleep(Duration::from_millis(1100)).await;
            assert_eq!(asked(&here, token).await, dead);
        }
        // By a clock that is behind, the key that signs is not valid yet, and nothing is signed.
        None => assert!(seconds < 0 && theirs.status == StatusCode::SERVICE_UNAVAILABLE, "{theirs:?}"),
    }
    // Time for its sweeper: the hold has most of its minute left, by the database's clock.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let id = held.body["hold"].as_str().unwrap();
    let captured = world.post(&there, &format!("/budget/holds/{id}/capture"), &world.service, &[("amount", "5")]).await;
    assert_eq!(captured.status, StatusCode::OK, "{}", captured.body);

    wrong.clock.advance(-seconds);
    let ready = world.server.http.get(format!("{there}/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::OK);
    assert_eq!(asked(&there, &doomed).await, dead);
    world.proofs(2 + 5).await;
    wrong.stop().await;
    world.server.stop().await;
}
