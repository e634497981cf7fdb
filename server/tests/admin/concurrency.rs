//! Many at once: every change is one of those asked for, whole, and none is lost.

use crate::world::{ORDERS, Reply, World, keyed};
use futures_util::future::{join, join_all};
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

const PATH: &str = "/agents/acme.signer";

/// 200, or 409 and 503, which say that nothing was done.
fn was_done(reply: &Reply) -> bool {
    match reply.status {
        200 | 201 => true,
        409 | 503 => false,
        other => panic!("{other}: {}", reply.text),
    }
}

#[rstest]
#[tokio::test]
async fn parallel_patches_leave_one_of_them_whole(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.create_keyed("acme", "signer").await;
    world.server.admin_token().await;
    let patch = |index: i64| json!({"purpose": format!("p{index}"), "ttl_seconds": 100 + index});
    let replies = join_all((0..64).map(|index| world.patch(PATH, patch(index)))).await;
    let mut done = Vec::new();
    for (index, reply) in (0..).zip(&replies) {
        if was_done(reply) {
            assert_eq!(reply.body["purpose"], format!("p{index}"), "each is answered with its own");
            assert_eq!(reply.body["ttl_seconds"], 100 + index, "whole");
            done.push((format!("p{index}"), 100 + index));
        }
    }
    let end = world.get(PATH).await;
    let end = (end["purpose"].as_str().unwrap().to_owned(), end["ttl_seconds"].as_i64().unwrap());
    assert!(done.contains(&end), "{end:?}");
    let records = world.records("event=agent.changed&outcome=done").await;
    let changed = records.iter().filter(|record| record["detail"]["effect"] == "changed").count();
    assert_eq!(changed, done.len(), "each that was answered was recorded");
}

#[rstest]
#[tokio::test]
async fn parallel_narrowing_only_narrows(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.create_keyed("acme", "signer").await;
    world.server.admin_token().await;
    let narrow = |ttl: i64| world.platform_post(format!("{PATH}/narrow"), json!({"ttl_seconds": ttl}));
    let replies = join_all((0..64).map(|index| narrow(100 + (index * 37) % 64))).await;
    let done: Vec<i64> = replies
        .iter()
        .filter(|reply| was_done(reply))
        .map(|reply| reply.body["ttl_seconds"].as_i64().unwrap())
        .collect();
    let end = world.get(PATH).await["ttl_seconds"].as_i64().unwrap();
    assert_eq!(done.iter().min(), Some(&end), "the narrowest that was answered holds");
    for reply in replies.iter().filter(|reply| reply.status == 409) {
        assert_eq!(reply.problem(), (409, "not_narrower"));
    }
}

#[rstest]
#[tokio::test]
async fn patches_of_different_members_are_all_kept(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.create_keyed("acme", "signer").await;
    world.server.admin_token().await;
    let patches = [
        json!({"purpose": "kept"}),
        json!({"ttl_seconds": 77}),
        json!({"legacy_assertion_aud": true}),
        json!({"scope_ceiling": ["read"]}),
        json!({"may_act": {"sub": "agent:acme.other"}}),
    ];
    let replies = join_all(patches.iter().map(|patch| world.patch(PATH, patch.clone()))).await;
    let end = world.get(PATH).await;
    let mut kept = 0;
    for (patch, reply) in patches.iter().zip(&replies).filter(|(_, reply)| was_done(reply)) {
        for (name, value) in patch.as_object().unwrap() {
            assert_eq!(&end[name], value, "{}", reply.text);
            kept += 1;
        }
    }
    assert!(kept > 0);
}

#[rstest]
#[tokio::test]
async fn of_parallel_registrations_one_is_first(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.server.admin_token().await;
    let owner = json!({"id": "initech", "name": "Initech"});
    let agent = keyed("acme", "signer");
    let secret = json!({"owner": "acme", "name": "planner", "auth_method": "client_secret_basic"});
    let resource = json!({"owner": "acme", "uri": ORDERS, "name": "Orders", "scopes": ["read"]});
    for (path, body) in [("/owners", owner), ("/agents", agent), ("/agents", secret), ("/resources", resource)] {
        let replies = join_all((0..16).map(|_| world.post(path, body.clone()))).await;
        let count = |status: u16| replies.iter().filter(|reply| reply.status == status).count();
        assert_eq!(count(201), 1, "{path}");
        assert_eq!(count(201) + count(200) + count(503), 16, "{path}");
        let secrets = replies.iter().filter(|reply| reply.body.get("client_secret").is_some()).count();
        assert!(secrets <= 1, "a secret is shown once, to the first");
    }
}

#[rstest]
#[tokio::test]
async fn of_parallel_different_registrations_one_wins(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.server.admin_token().await;
    let body = |index: usize| json!({"id": "initech", "name": format!("n{index}")});
    let replies = join_all((0..16).map(|index| world.post("/owners", body(index)))).await;
    let made: Vec<&Value> = replies.iter().filter(|reply| reply.status == 201).map(|reply| &reply.body).collect();
    assert_eq!(made.len(), 1);
    assert!(replies.iter().all(|reply| [201, 409, 503].contains(&reply.status)));
    assert_eq!(&world.get("/owners/initech").await, made[0]);
}

#[rstest]
#[tokio::test]
async fn a_revocation_in_a_race_is_never_undone(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::new(backend).await;
    world.server.admin_token().await;
    for round in 0..8 {
        world.create_keyed("acme", &format!("a{round}")).await;
        let path = format!("/agents/acme.a{round}");
        let (patch, revoke) = (json!({"purpose": "late"}), json!({"reason": "race", "severity": "high"}));
        let others = join_all(["patch", "resume", "suspend", "keys"].map(|verb| {
            let (world, path, patch) = (&world, &path, &patch);
            async move {
                match verb {
                    "patch" => world.patch(path, patch.clone()).await,
                    "keys" => world.post(&format!("{path}/keys"), json!({"jwk": crate::world::jwk()})).await,
                    verb => world.post(&format!("{path}/{verb}"), json!({})).await,
                }
            }
        }));
        let revoke_path = format!("{path}/revoke");
        let (others, revoked) = join(others, world.post(&revoke_path, revoke.clone())).await;
        // Whoever is told that a busy server did nothing asks again.
        let revoked = match revoked.status {
            503 => world.post(&revoke_path, revoke).await,
            _ => revoked,
        };
        assert_eq!(revoked.status, 200, "{}", revoked.text);
        // The others came before it or too late, and nothing in between.
        others.iter().for_each(|reply| {
            was_done(reply);
        });
        let end = world.get(&path).await;
        assert_eq!((&end["state"], &end["keys"]), (&json!("revoked"), &json!([])), "and no key was left to it");
    }
}
