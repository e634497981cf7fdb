//! Strangers who invent URLs under a prefix, and hosts that are slow.

use crate::idp::Face;
use crate::world::World;
use reqwest::StatusCode;
use serde_json::json;
use std::time::{Duration, Instant};
use stipend::limits::{DEFAULT_DOCUMENT_SECONDS, DOCUMENT_TRIES, NEW_DOCUMENTS_OF_HOST};
use stipend_schema::Backend;

#[tokio::test]
async fn invented_urls_cost_a_host_a_few_fetches_and_its_clients_nothing() {
    let world = World::new(Backend::Sqlite).await;
    world.admit(&format!("{}/", world.host.issuer), json!({"covers": "prefix", "max_clients": 9})).await;
    let agent = world.agent("/known.json");
    world.token(&agent).await;
    world.server.clock.advance(100);
    let invented: Vec<_> = (0..40).map(|n| world.agent(&format!("/invented/{n}"))).collect();
    for stranger in &invented {
        world.host.face(&stranger.path, Face::Raw(404, String::new()));
    }
    let asked = futures_util::future::join_all(invented.iter().map(|agent| world.ask(agent))).await;
    let waits = asked.iter().filter(|(status, _)| *status == StatusCode::TOO_MANY_REQUESTS).count();
    let fetched: usize = invented.iter().map(|agent| world.host.hits(&agent.path)).sum();
    let burst = usize::try_from(NEW_DOCUMENTS_OF_HOST).unwrap();
    // A busy machine may take a few seconds for it, in which one more is let through each.
    assert!((burst..burst + 5).contains(&fetched), "{fetched}");
    assert_eq!(fetched + waits, 40);
    // Who is a client already is not held up, also where the document must be read again.
    world.server.clock.advance(DEFAULT_DOCUMENT_SECONDS - 100);
    futures_util::future::join_all(invented.iter().map(|agent| world.ask(agent))).await;
    world.token(&agent).await;
    assert_eq!(world.host.hits(&agent.path), 2);
}

#[tokio::test]
async fn one_document_that_fails_is_tried_a_few_times_and_then_once_in_a_while() {
    let world = World::new(Backend::Sqlite).await;
    let (agent, _) = world.admitted("/a.json").await;
    world.token(&agent).await;
    world.host.face(&agent.path, Face::Raw(503, String::new()));
    world.server.clock.advance(DEFAULT_DOCUMENT_SECONDS);
    let before = world.host.hits(&agent.path);
    let mut told = 0;
    for _ in 0..20 {
        told += usize::from(world.ask(&agent).await.0 == StatusCode::TOO_MANY_REQUESTS);
    }
    let burst = usize::try_from(DOCUMENT_TRIES).unwrap();
    let tried = world.host.hits(&agent.path) - before;
    assert!((burst..burst + 4).contains(&tried), "{tried}");
    assert_eq!(tried + told, 20);
    world.server.clock.advance(10);
    world.host.face(&agent.path, Face::Json(agent.document()));
    world.token(&agent).await;
}

#[tokio::test]
async fn a_crowd_waits_for_one_fetch() {
    let world = World::new(Backend::Sqlite).await;
    let (agent, _) = world.admitted("/a.json").await;
    world.host.face(&agent.path, Face::Slow(Duration::from_millis(300), agent.document()));
    let asked = futures_util::future::join_all((0..16).map(|_| world.ask(&agent))).await;
    // Of many first uses at once some may be overtaken by the one that makes the agent.
    assert!(asked.iter().all(|(status, _)| matches!(status.as_u16(), 200 | 503)), "{asked:?}");
    assert!(asked.iter().any(|(status, _)| *status == StatusCode::OK), "{asked:?}");
    assert_eq!(world.host.hits(&agent.path), 1);
    assert_eq!(world.agents().await.len(), 1);
}

#[tokio::test]
async fn a_silent_host_slows_nobody_else() {
    let world = World::new(Backend::Sqlite).await;
    let (agent, _) = world.admitted("/a.json").await;
    let silent = crate::idp::Idp::start(&[]).await;
    world.admit(&format!("{}/", silent.issuer), json!({"covers": "prefix", "max_clients": 9})).await;
    let agents: Vec<_> = (0..8)
        .map(|n| {
            let path = format!("/{n}.json");
            silent.face(&path, Face::Silent);
            crate::world::Agent { url: silent.issuer.clone() + &path, path, key: crate::idp::Key::new("k1") }
        })
        .collect();
    let flood = futures_util::future::join_all(agents.iter().map(|agent| world.ask(agent)));
    let quick = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let begun = Instant::now();
        world.token(&agent).await;
        begun.elapsed()
    };
    let (answers, took) = futures_util::future::join(flood, quick).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(answers.iter().all(|(status, _)| !status.is_success()));
}
