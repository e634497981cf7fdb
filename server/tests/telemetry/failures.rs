//! A collector that is absent, slow or broken changes nothing but what is counted.

use crate::collector::{Collector, Manner};
use crate::exposition::Exposition;
use crate::world::World;
use reqwest::StatusCode;
use rstest::rstest;
use std::time::{Duration, Instant};
use stipend::limits::{MAX_QUEUED_TRACES, MAX_TRACES_AT_ONCE, TELEMETRY_FLUSH};
use stipend_schema::Backend;

/// What a stop may take beside the collector, in a busy test run.
const MARGIN: Duration = Duration::from_secs(10);

async fn scrape(world: &World) -> Exposition {
    let text = world.server.http.get(world.server.metrics_url()).send().await.unwrap().text().await.unwrap();
    Exposition::read(&text)
}

async fn serves_and_stops(world: &World) {
    for _ in 0..20 {
        let subject = world.subject().await;
        assert!(world.active(&subject).await);
    }
    let ready = world.server.http.get(world.server.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::OK, "a collector is no part of readiness");
}

async fn stops(world: &World) {
    let began = Instant::now();
    world.server.stop().await;
    assert!(began.elapsed() < TELEMETRY_FLUSH + MARGIN, "{:?}", began.elapsed());
}

#[rstest]
#[case::hanging(Manner::Hangs)]
#[case::slow(Manner::Slow(Duration::from_secs(3)))]
#[case::failing(Manner::Status(500))]
#[case::passing(Manner::Status(503))]
#[case::elsewhere(Manner::Status(307))]
#[case::closing(Manner::Closes)]
#[case::endless(Manner::Endless)]
#[tokio::test]
async fn a_bad_collector_changes_nothing(#[case] manner: Manner) {
    let collector = Collector::start(manner).await;
    let settings: Vec<_> = collector.settings().into_iter().chain([("OTEL_EXPORTER_OTLP_TIMEOUT", "1000")]).collect();
    let world = World::with(Backend::Sqlite, &settings).await;
    serves_and_stops(&world).await;
    collector.until(|| !collector.requests().is_empty()).await;
    let failed = [("stipend_outcome", "failed"), ("stipend_signal", "traces")];
    for _ in 0..600 {
        if scrape(&world).await.value("stipend_telemetry_exports_total", &failed) > 0.0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(scrape(&world).await.value("stipend_telemetry_exports_total", &failed) > 0.0);
    stops(&world).await;
}

#[tokio::test]
async fn no_collector_at_all_changes_nothing() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", taken.local_addr().unwrap());
    drop(taken);
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", nobody.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ("STIPEND_METRICS_LISTEN", "127.0.0.1:0"),
    ];
    let world = World::with(Backend::Sqlite, &settings).await;
    serves_and_stops(&world).await;
    stops(&world).await;
}

#[tokio::test]
async fn what_finds_no_room_is_dropped_and_counted() {
    let collector = Collector::start(Manner::Hangs).await;
    let world = World::with(Backend::Sqlite, &collector.settings()).await;
    let wanted = MAX_QUEUED_TRACES + MAX_TRACES_AT_ONCE + 200;
    let url = world.server.url("/healthz");
    for _ in 0..wanted {
        assert_eq!(world.server.http.get(&url).send().await.unwrap().status(), StatusCode::OK);
    }
    let full = [("stipend_reason", "queue_full"), ("stipend_signal", "traces")];
    let dropped = scrape(&world).await.value("stipend_telemetry_dropped_total", &full);
    assert!((1.0..=wanted as f64).contains(&dropped), "{dropped}");
    // It comes back, and so does what is told.
    collector.behave(Manner::Takes);
    stops(&world).await;
}

#[tokio::test]
async fn what_a_collector_throws_away_is_counted_and_what_failed_for_good_too() {
    let collector = Collector::start(Manner::Rejects(3)).await;
    let world = World::with(Backend::Sqlite, &collector.settings()).await;
    world.subject().await;
    let dropped = async |reason: &str| {
        for _ in 0..600 {
            let labels = [("stipend_reason", reason), ("stipend_signal", "traces")];
            let dropped = scrape(&world).await.value("stipend_telemetry_dropped_total", &labels);
            if dropped > 0.0 {
                return dropped;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nothing was dropped as {reason}");
    };
    assert_eq!(dropped("rejected").await % 3.0, 0.0);
    // 400 is not tried again.
    collector.behave(Manner::Status(400));
    let before = collector.requests().len();
    world.subject().await;
    assert!(dropped("export_failed").await >= 1.0);
    assert!(collector.requests().len() > before);
    collector.behave(Manner::Takes);
    let taken = [("stipend_outcome", "taken"), ("stipend_signal", "traces")];
    let before = scrape(&world).await.value("stipend_telemetry_exports_total", &taken);
    world.subject().await;
    for _ in 0..600 {
        if scrape(&world).await.value("stipend_telemetry_exports_total", &taken) > before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not recover");
}

#[tokio::test]
async fn a_stop_hands_over_what_waits() {
    let collector = Collector::start(Manner::Takes).await;
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.base.as_str())];
    let world = World::with(Backend::Sqlite, &settings).await;
    world.subject().await;
    stops(&world).await;
    assert!(collector.spans().iter().any(|span| span.name == "POST /oauth2/token"), "after 5 s it would have come");
    assert!(collector.metrics().contains_key("stipend.token.requests"), "after 60 s it would have come");
}

#[tokio::test]
async fn exports_carry_the_headers_that_were_set_and_follow_nobody() {
    let collector = Collector::start(Manner::Takes).await;
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20abc,x-scope-orgid=team");
    let settings: Vec<_> = collector.settings().into_iter().chain([headers]).collect();
    let world = World::with(Backend::Sqlite, &settings).await;
    world.subject().await;
    collector.until(|| collector.requests().iter().any(|(path, ..)| path == "/v1/traces")).await;
    for (path, head, _) in collector.requests() {
        assert!(head.starts_with("post /v1/"), "{path}");
        assert!(head.contains("\r\nauthorization: basic abc\r\n") && head.contains("\r\nx-scope-orgid: team\r\n"));
        assert!(head.contains("\r\ncontent-type: application/x-protobuf\r\n"), "{head}");
        assert!(!head.contains("traceparent"), "what is told is not traced itself");
    }
}
