//! Many at once, on two nodes: a use is one client, and an update is made once.

use crate::world::{REGISTER, World, key};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use stipend::testing::TestServer;
use stipend_schema::Backend;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_registers_as_many_clients_as_it_says_whoever_asks_where() {
    let server = TestServer::start(Backend::Postgres).await;
    let (issuer, url) = (server.issuer.clone(), server.database_url.clone());
    let world = World::on(server).await;
    let second = TestServer::start_on(&url, &[("STIPEND_ISSUER", &issuer)]).await;
    let nodes = [world.server.url(REGISTER), format!("http://{}{REGISTER}", second.address())];
    let (id, token) = world.token(json!({"max_uses": 5}), json!({})).await;
    let metadata = json!({"jwks": key().1});
    let one = async |at: usize| {
        // 503 is no answer to the question: ask again.
        for _ in 0..50 {
            let reply = world.send(Method::POST, &nodes[at % 2], Some(&token), Some(&metadata)).await;
            if reply.status != 503 {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nothing but 503");
    };
    let replies = join_all((0..24).map(one)).await;
    let made = replies.iter().filter(|reply| reply.status == 201).count();
    let refused = replies.iter().filter(|reply| reply.status == 401).count();
    assert_eq!((made, refused), (5, 19));
    assert_eq!(world.uses(&id).await, 5);
    let (_, agents) = world.server.admin(Method::GET, "/agents?limit=200", None).await;
    assert_eq!(agents["items"].as_array().unwrap().len(), 5 + 2);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_updates_with_one_token_one_is_made() {
    let world = World::new(Backend::Postgres).await;
    let made = world.registered(json!({"jwks": key().1})).await;
    let update = async |at: usize| {
        for _ in 0..50 {
            let reply = world.update(&made, json!({"client_name": format!("n{at}"), "jwks": key().1})).await;
            if reply.status != 503 {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nothing but 503");
    };
    let replies = join_all((0..8).map(update)).await;
    let changed: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(changed.len(), 1, "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());
    assert!(replies.iter().all(|reply| [200, 401].contains(&reply.status)));
    let read = world.manage(Method::GET, changed[0], None).await;
    assert_eq!(read.body, changed[0].body);
    assert_eq!(world.agent(&made.text("client_id")).await["keys"].as_array().unwrap().len(), 1);
}
