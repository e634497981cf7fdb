//! Guessing is braked over all nodes together, and never who knows the secret.

use crate::process::{Redis, shared_redis};
use crate::world::{World, wrong};
use reqwest::StatusCode;
use rstest::rstest;
use stipend::limits::{MAX_FAILURES_PER_MINUTE, MAX_SOURCE_FAILURES_PER_MINUTE};
use stipend::testing::TestClient;
use stipend_keys::Secret;
use stipend_schema::Backend;

const ATTACKER: &str = "198.51.100.7";

async fn world(backend: Backend, nodes: usize, with_redis: bool) -> World {
    let redis = if with_redis { vec![shared_redis()] } else { Vec::new() };
    let settings: Vec<(&str, &str)> = redis.iter().map(|url| ("STIPEND_REDIS_URL", url.as_str())).collect();
    let world = World::new(backend, nodes, &settings).await;
    if with_redis {
        world.until_redis("ok").await;
    }
    world
}

/// Guesses one after the other, from node to node, each another secret; how many were judged.
async fn guess(world: &World, client: &TestClient, source: &str, guesses: usize) -> usize {
    let mut judged = 0;
    for n in 0..guesses {
        let answer = world.ask(n % world.nodes.len(), &wrong(client, n), source).await;
        match answer.status {
            StatusCode::UNAUTHORIZED => judged += 1,
            status => {
                assert_eq!((status, answer.error.as_str()), (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"));
                assert!(answer.retry_after.is_some_and(|seconds| (1..=3).contains(&seconds)), "{answer:?}");
            }
        }
    }
    judged
}

#[rstest]
#[case(Backend::Sqlite, 2, false)]
#[case(Backend::Postgres, 3, false)]
#[case(Backend::Postgres, 2, true)]
#[case(Backend::Postgres, 3, true)]
#[tokio::test]
async fn guesses_are_counted_on_all_nodes_together(
    #[case] backend: Backend,
    #[case] nodes: usize,
    #[case] with_redis: bool,
) {
    let world = world(backend, nodes, with_redis).await;
    let began = std::time::Instant::now();
    let judged = guess(&world, &world.agent, ATTACKER, 36).await;
    // One more every three seconds that the guesses took.
    let most = MAX_FAILURES_PER_MINUTE as usize + began.elapsed().as_secs() as usize / 3 + 1;
    assert!((MAX_FAILURES_PER_MINUTE as usize..=most).contains(&judged), "{judged} of at most {most}");
    // Elsewhere nobody noticed.
    assert_eq!(world.ask(1, &world.agent, "192.0.2.1").await.status, StatusCode::OK);
}

/// Guesses until it is held up, which it must be soon: one more is judged every three seconds.
async fn until_held_up(world: &World, node: usize, client: &TestClient) {
    for _ in 0..2 * MAX_FAILURES_PER_MINUTE {
        match world.ask(node, client, ATTACKER).await.status {
            StatusCode::TOO_MANY_REQUESTS => return,
            status => assert_eq!(status, StatusCode::UNAUTHORIZED),
        }
    }
    panic!("nothing holds it up");
}

/// The attack: wrong secrets for a known client, from the very address that the client has. It
/// works on: where its secret was proved, on a node that has just started, and after a restart.
#[rstest]
#[case(Backend::Sqlite, false)]
#[case(Backend::Postgres, false)]
#[case(Backend::Postgres, true)]
#[tokio::test]
async fn a_flood_of_wrong_secrets_never_locks_out_who_knows_the_secret(
    #[case] backend: Backend,
    #[case] with_redis: bool,
) {
    let world = world(backend, 2, with_redis).await;
    // It was here before the flood, on one node.
    assert_eq!(world.ask(0, &world.agent, ATTACKER).await.status, StatusCode::OK);
    noted(&world).await;
    for node in 0..2 {
        until_held_up(&world, node, &wrong(&world.agent, node)).await;
    }
    assert_eq!(world.ask(0, &world.agent, ATTACKER).await.status, StatusCode::OK, "where it was proved");
    assert_eq!(world.ask(1, &world.agent, ATTACKER).await.status, StatusCode::OK, "on a node that never saw it");
    // And the brake still holds.
    until_held_up(&world, 1, &wrong(&world.agent, 9)).await;
}

/// From many addresses each is held up for itself.
#[tokio::test]
async fn a_flood_from_many_addresses_never_locks_out_a_client_elsewhere() {
    let world = world(Backend::Postgres, 2, true).await;
    for n in 0..60 {
        let source = format!("198.51.100.{}", n + 1);
        let answer = world.ask(n % 2, &wrong(&world.agent, n), &source).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    // Never seen before, neither the secret nor the address.
    for node in 0..2 {
        assert_eq!(world.ask(node, &world.agent, "192.0.2.1").await.status, StatusCode::OK);
    }
}

/// One address that tries many clients, a few secrets each, is held up for all of them; but not
/// who works from the same address.
#[tokio::test]
async fn an_address_that_tries_many_clients_is_held_up_and_its_neighbours_are_not() {
    let world = world(Backend::Postgres, 2, true).await;
    assert_eq!(world.ask(0, &world.agent, ATTACKER).await.status, StatusCode::OK);
    noted(&world).await;
    // As many failures as an address may have, without the time that they would take; a little
    // ahead, so that none has lapsed when they are done.
    let app = &world.first().app;
    let now = app.clock.micros() + 30_000_000;
    let most = MAX_SOURCE_FAILURES_PER_MINUTE as usize;
    for n in 0..most {
        app.failures.count(&app.rates.cells, &format!("acme.guess{n}"), Some(ATTACKER.parse().unwrap()), now).await;
    }
    for node in 0..2 {
        let nobody = TestClient { id: format!("acme.nobody{node}"), secret: "x".to_owned() };
        let answer = world.ask(node, &nobody, ATTACKER).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "node {node}");
        assert_eq!(world.ask(node, &world.agent, ATTACKER).await.status, StatusCode::OK, "node {node}");
        assert_eq!(world.ask(node, &nobody, "192.0.2.9").await.status, StatusCode::UNAUTHORIZED, "node {node}");
    }
}

/// A secret that was good once does not open the brake for long.
#[tokio::test]
async fn a_secret_that_was_taken_away_is_a_guess_like_any_other() {
    let world = world(Backend::Postgres, 2, false).await;
    let server = world.first();
    assert_eq!(world.ask(0, &world.agent, ATTACKER).await.status, StatusCode::OK);
    noted(&world).await;
    let path = format!("/agents/{}", world.agent.id);
    let (_, shown) = server.admin(reqwest::Method::GET, &path, None).await;
    let secret = shown["secrets"][0]["id"].as_str().unwrap_or_else(|| panic!("{shown}")).to_owned();
    let (status, body) = server.admin(reqwest::Method::DELETE, &format!("{path}/secrets/{secret}"), None).await;
    assert!(status.is_success(), "{status} {body}");
    server.app.tailer.catch_up().await;
    guess(&world, &world.agent, ATTACKER, MAX_FAILURES_PER_MINUTE as usize + 4).await;
    let (app, secret) = (&server.app, Secret::new(world.agent.secret.clone()));
    assert!(app.marks.knows(&world.agent.id, &secret, app.clock.now()).await, "nobody has tried it since");
    // It is judged, found bad, and like the others from then on.
    for _ in 0..10 {
        if !app.marks.knows(&world.agent.id, &secret, app.clock.now()).await {
            return until_held_up(&world, 0, &world.agent).await;
        }
        assert_eq!(world.ask(0, &world.agent, ATTACKER).await.status, StatusCode::UNAUTHORIZED);
        until_held_up(&world, 0, &wrong(&world.agent, 0)).await;
    }
    panic!("it opens the brake for ever");
}

/// While Redis is away and the database too, a node still counts by itself.
#[tokio::test]
async fn the_brake_holds_while_redis_comes_and_goes() {
    let mut redis = Redis::start();
    let url = redis.url();
    let world = World::new(Backend::Postgres, 2, &[("STIPEND_REDIS_URL", &url)]).await;
    world.until_redis("ok").await;
    let first = guess(&world, &world.agent, ATTACKER, 10).await;
    redis.kill();
    let second = guess(&world, &world.agent, ATTACKER, 10).await;
    redis.run();
    world.until_redis("ok").await;
    let third = guess(&world, &world.agent, ATTACKER, 40).await;
    assert_eq!((first, second), (10, 10));
    // Each of Redis, the database and the two nodes has counted a part; together they admit no
    // more than two of them would.
    let judged = first + second + third;
    assert!(judged <= 2 * MAX_FAILURES_PER_MINUTE as usize + 10, "{judged}");
    assert_eq!(world.ask(1, &world.agent, "192.0.2.1").await.status, StatusCode::OK);
}

/// Until it is known everywhere that the agent's secret was proved: that is noted beside the
/// request.
async fn noted(world: &World) {
    let (app, secret) = (&world.first().app, Secret::new(world.agent.secret.clone()));
    let began = std::time::Instant::now();
    while !app.marks.knows(&world.agent.id, &secret, app.clock.now()).await {
        assert!(began.elapsed() < std::time::Duration::from_secs(5));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
