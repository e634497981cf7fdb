//! What telemetry costs a request, by what is on: the calls that one token exchange makes, without
//! the exchange. `cargo bench -p stipend --bench telemetry`. Times are printed, never asserted.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stipend::config::{Config, Source};
use stipend::store::Store;
use stipend::telemetry::{self, Ended, Phase, Telemetry, Trail, incoming, phase};
use stipend_schema::{CommitWatch, Db, Limits, Outcome, Position, TransactionReport, WorkReport};

const ROUNDS: u32 = 200_000;
const PARENT: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn ended() -> Ended {
    Ended {
        method: "POST",
        scheme: "http",
        route: Some("/oauth2/token".to_owned()),
        status: Some(200),
        request_id: Some("req_0123456789abcdefghijkl".to_owned()),
        jti: Some("t_0123456789abcdefghijkl".to_owned()),
        reason: None,
    }
}

/// What the handler does of it.
async fn handle(watch: Option<&Arc<dyn CommitWatch>>) {
    telemetry::grant("token_exchange");
    drop(phase(Phase::Body));
    let authenticating = phase(Phase::Authenticate);
    telemetry::client("acme.refunds");
    drop(authenticating);
    let deciding = phase(Phase::Decide);
    drop(phase(Phase::Verify));
    drop(deciding);
    if let Some(watch) = watch {
        let position = Position { writer: String::new(), n: 1 };
        let outcome = Outcome::Committed { head: 1, position };
        let (took, queued) = (Duration::from_millis(1), Some(Duration::from_micros(100)));
        watch.transaction(&TransactionReport { works: 8, took, committed: true });
        watch.work(&WorkReport { took, queued, ledger: false, outcome: &outcome, declined: None });
    }
    drop(phase(Phase::Sign));
}

async fn served(trail: Option<&Arc<Trail>>, work: impl Future<Output = ()>) {
    match trail {
        Some(trail) => trail.scope(work).await,
        None => work.await,
    }
}

async fn cost(telemetry: &Telemetry) -> Duration {
    let watch = telemetry.commit_watch();
    let began = Instant::now();
    for _ in 0..ROUNDS {
        let trail = telemetry.begin(|| incoming([PARENT].into_iter(), std::iter::empty()));
        served(trail.as_ref(), handle(black_box(watch.as_ref()))).await;
        if let Some(trail) = trail {
            telemetry.end(trail, black_box(ended()));
        }
    }
    began.elapsed() / ROUNDS
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("bench.db").display());
    let scraped = ("STIPEND_METRICS_LISTEN", "127.0.0.1:0");
    // Nobody listens: what an export costs is another task's.
    let sent = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    let never = ("OTEL_TRACES_SAMPLER", "always_off");
    let cases = [
        ("off", vec![]),
        ("metrics", vec![scraped]),
        ("metrics, and traces that are not sampled", vec![scraped, sent, never]),
        ("metrics, and every request traced", vec![scraped, sent]),
    ];
    runtime.block_on(async {
        let store = Store::new(Db::connect(&url, Limits::default()).await.unwrap(), runtime.handle().clone());
        for (name, settings) in cases {
            let vars = settings.into_iter().map(|(name, value): (&str, &str)| (name.to_owned(), value.to_owned()));
            let config = Source::from_vars(vars).and_then(Config::from_source).unwrap();
            let telemetry = Telemetry::start(&config.telemetry, &store).unwrap();
            cost(&telemetry).await;
            println!("{name:>42}: {:?} a request", cost(&telemetry).await);
            telemetry.stop().await;
        }
    });
}
