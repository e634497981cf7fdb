//! A database that is gone, or there and silent: what needs it is answered 503 in time, what
//! does not goes on, nothing is answered from a view that may be old, and when it is back so
//! is everything, with nobody's help.

use crate::world::World;
use reqwest::{Method, StatusCode};
use std::time::{Duration, Instant};
use stipend::testing::TestServer;
use stipend_schema::Backend;
use stipend_schema::testing::{Proxy, TestDatabase, Way};

/// What the documentation promises, with some air for a busy machine.
const ANSWERED_WITHIN: Duration = Duration::from_secs(4);
const HEALED_WITHIN: Duration = Duration::from_secs(5);

async fn answers_503(world: &World, subject: &str) {
    let server = &world.server;
    let exchange = [
        ("grant_type", stipend::grant::TOKEN_EXCHANGE),
        ("subject_token", subject),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("scope", "refund"),
    ];
    let asked: [(&str, _, &[(&str, &str)]); 5] = [
        ("/oauth2/token", &world.planner, &[("grant_type", "client_credentials")]),
        ("/oauth2/token", &world.refunds, &exchange),
        ("/oauth2/introspect", &world.service, &[("token", subject)]),
        ("/oauth2/revoke", &world.planner, &[("token", subject)]),
        // A refusal must be recorded as well.
        ("/oauth2/token", &world.planner, &[("grant_type", "password")]),
    ];
    for (path, client, form) in asked {
        let began = Instant::now();
        let request = server.http.post(server.url(path)).basic_auth(&client.id, Some(&client.secret)).form(form);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{path} {form:?}");
        assert!(answer.headers().contains_key("retry-after") && answer.headers()["cache-control"] == "no-store");
        let body: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(body["error"], "temporarily_unavailable", "{path}");
        assert!(began.elapsed() < ANSWERED_WITHIN, "{path}: {:?}", began.elapsed());
    }
    let (status, _) = server.admin(Method::GET, "/owners", None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}

async fn goes_on(world: &World) {
    for path in ["/oauth2/jwks", "/.well-known/oauth-authorization-server", "/healthz"] {
        let status = world.server.http.get(world.server.url(path)).send().await.unwrap().status();
        assert_eq!(status, StatusCode::OK, "{path}");
    }
    let ready = world.server.http.get(world.server.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let ready: serde_json::Value = ready.json().await.unwrap();
    assert_eq!(ready["database"], "does not answer");
}

async fn without_its_database(way: Way) {
    let database = TestDatabase::new(Backend::Postgres).await;
    let proxy = Proxy::before(database.url()).await;
    let world = World::on(TestServer::start_on(proxy.url(), &[]).await).await;
    let subject = world.subject().await;
    assert!(world.active(&subject).await);
    // Secrets are proved and the admin's token is at hand: what follows is the store's doing.
    world.delegated(&subject).await;
    proxy.turn(way);
    // The view is believed for a second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    answers_503(&world, &subject).await;
    goes_on(&world).await;
    proxy.turn(Way::Open);
    let back = Instant::now();
    loop {
        let (status, _) = world.server.exchange(&world.refunds, &subject, &[("scope", "refund")]).await;
        if status == StatusCode::OK {
            break;
        }
        assert!(back.elapsed() < HEALED_WITHIN, "{status} after {:?}", back.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(world.active(&subject).await, "the revocation that was answered 503 did not happen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_gone_costs_answers_and_nothing_else() {
    without_its_database(Way::Cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_database_costs_answers_and_nothing_else() {
    without_its_database(Way::Blocked).await;
}
