use crate::world::{KEY, Upstream, World, error, prices};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use std::sync::Arc;
use stipend::audit::Origin;
use stipend::binding::{Presentation, Presented, Scheme};
use stipend::custody::{ProxyCall, begin};
use stipend::demo::llm::Llm;
use stipend::pace::Pace;
use stipend_keys::Secret;
use stipend_schema::Backend;
use stipend_token::constraint::{Body, CanonicalPath, Method as CallMethod};

async fn metered(backend: Backend) -> (Llm, World, String) {
    let llm = Llm::start(Secret::new(KEY.to_owned())).unwrap();
    let base = llm.base_url().unwrap().to_string();
    let world = World::calling(backend, &base, json!({"metering": {"prices": prices(), "max_cost": 40}})).await;
    let line = world.budget(&world.agent, 100).await;
    (llm, world, line)
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn calls_cost_what_was_used_until_the_budget_ends(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let (llm, world, line) = metered(backend).await;
    let token = world.token(&world.agent).await;
    let mut spent = 0;
    for stream in [false, true] {
        let answer = world.chat(&token, "one two three four", stream).send().await.unwrap();
        let told = answer.headers()["agent-budget"].to_str().unwrap().to_owned();
        assert_eq!(told, format!("remaining={}, held=40", 100 - spent - 40));
        let text = answer.text().await.unwrap();
        // Four words read; of the answer as many as asked for.
        let written = 5;
        spent += 4 + 2 * written;
        assert_eq!(world.used(&line).await, (0, spent), "{text}");
    }
    let record = world.record("credential.call_ended").await;
    assert_eq!((&record["detail"]["input_tokens"], &record["detail"]["status"]), (&json!(4), &json!(200)), "{record}");
    let mut refused = None;
    for _ in 0..10 {
        let answer = world.chat(&token, "one two three four", false).send().await.unwrap();
        if answer.status() != StatusCode::OK {
            refused = Some((answer.status(), answer.json::<Value>().await.unwrap()));
            break;
        }
        answer.bytes().await.unwrap();
        spent += 14;
        assert_eq!(world.used(&line).await, (0, spent));
    }
    let (status, body) = refused.unwrap();
    assert_eq!((status, error(&body)), (StatusCode::FORBIDDEN, "insufficient_budget"));
    assert!(body["line"].as_str().is_some() && body["required"] == json!(40), "{body}");
    let calls = llm.calls();
    world.chat(&token, "again", false).send().await.unwrap();
    assert_eq!(llm.calls(), calls, "nothing leaves that is not paid for");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_never_hold_more_than_there_is() {
    let (llm, world, line) = metered(Backend::Sqlite).await;
    let token = world.token(&world.agent).await;
    let calls = (0..20).map(|_| async {
        let answer = world.chat(&token, "one two", false).send().await.unwrap();
        let status = answer.status();
        answer.bytes().await.unwrap();
        status
    });
    let answers = futures_util::future::join_all(calls).await;
    let served = answers.iter().filter(|status| **status == StatusCode::OK).count();
    assert!(answers.iter().all(|status| [200, 403].contains(&status.as_u16())), "{answers:?}");
    assert_eq!(world.used(&line).await, (0, 10 * i64::try_from(served).unwrap()));
    assert_eq!(llm.calls(), served as u64);
    assert!((2..9).contains(&served), "{served}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_says_what_a_call_may_cost() {
    let (_llm, world, line) = metered(Backend::Sqlite).await;
    let token = world.token(&world.agent).await;
    let with = |most: &'static str| world.chat(&token, "one two", false).header("agent-budget-max", most).send();
    for bad in ["0", "-1", "1.5", "x", "1, 2", "1000000000000000"] {
        assert_eq!(with(bad).await.unwrap().status(), StatusCode::BAD_REQUEST, "{bad}");
    }
    let low = with("39").await.unwrap();
    assert_eq!(low.status(), StatusCode::FORBIDDEN, "less than it may cost");
    assert_eq!(error(&low.json().await.unwrap()), "insufficient_budget");
    let answer = with("90").await.unwrap();
    assert_eq!(answer.headers()["agent-budget"], "remaining=10, held=90");
    answer.bytes().await.unwrap();
    assert_eq!(world.used(&line).await, (0, 10));
    assert_eq!(with("91").await.unwrap().status(), StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_goes_away_frees_what_was_held() {
    // Says nothing for half a minute.
    let upstream = Upstream::start("").await;
    let world =
        World::calling(Backend::Sqlite, &upstream.base, json!({"metering": {"prices": prices(), "max_cost": 40}}))
            .await;
    let line = world.budget(&world.agent, 100).await;
    let token = world.token(&world.agent).await;
    let call = world.chat(&token, "one", false).timeout(std::time::Duration::from_millis(500)).send().await;
    assert!(call.unwrap_err().is_timeout());
    assert_eq!(world.used(&line).await, (0, 0));
    assert_eq!(world.record("credential.call_ended").await["detail"]["end"], "abandoned");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_says_nothing_of_its_use_used_all_that_was_held() {
    let silent = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{\"ok\":true}";
    for (answer, spent) in [(silent, 40), ("HTTP/1.1 500 Oops\r\nconnection: close\r\n\r\n", 0)] {
        let upstream = Upstream::start(answer).await;
        let world =
            World::calling(Backend::Sqlite, &upstream.base, json!({"metering": {"prices": prices(), "max_cost": 40}}))
                .await;
        let line = world.budget(&world.agent, 100).await;
        let token = world.token(&world.agent).await;
        world.chat(&token, "one", false).send().await.unwrap().bytes().await.unwrap();
        assert_eq!(world.used(&line).await, (0, spent));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_for_a_call_is_taken_once_it_was_sent() {
    let price = json!({"price": {"unit": "USD", "decimals": 6, "amount": 30}});
    let refusing = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let broken = Upstream::start("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf").await;
    for (base, status, spent) in [(refusing.as_str(), 502, 0), (broken.base.as_str(), 200, 30)] {
        let world = World::calling(Backend::Sqlite, base, price.clone()).await;
        let line = world.budget(&world.agent, 100).await;
        let token = world.token(&world.agent).await;
        let answer = world
            .proxied(Method::POST, &token, "/x")
            .timeout(std::time::Duration::from_secs(1))
            .body("")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), status, "{base}");
        let _ = answer.bytes().await;
        assert_eq!(world.used(&line).await, (0, spent), "{base}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_end_nobody_saw_used_all_that_was_held() {
    let (_llm, world, line) = metered(Backend::Sqlite).await;
    let call = ProxyCall {
        shown: Presentation {
            token: world.token(&world.agent).await,
            scheme: Scheme::Bearer,
            presented: Presented::default(),
        },
        credential: world.credential.clone(),
        method: CallMethod::parse("POST").unwrap(),
        method_overridden: false,
        path: CanonicalPath::parse("/v1/chat/completions").unwrap(),
        query: None,
        body: Body::None,
        json: None,
        body_bytes: 0,
        max_cost: None,
    };
    let origin = Origin { request_id: "req_lost".into(), source: None, pace: Pace::default() };
    let open = begin(Arc::clone(&world.server.app), &call, &origin).await.unwrap();
    // As if the node had been killed here.
    std::mem::forget(open);
    world.server.clock.advance(700);
    assert_eq!(world.used(&line).await, (0, 40));
    assert_eq!(world.record("credential.call_lost").await["outcome"], "done");
}
