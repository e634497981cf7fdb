//! Metrics: exact by count, of the right type, and bounded whatever strangers send.

use crate::collector::{Collector, Manner};
use crate::exposition::Exposition;
use crate::world::World;
use futures_util::future::join_all;
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point};
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::json;
use stipend::limits::MAX_LABEL_SETS;
use stipend_schema::Backend;

const SCRAPED: [(&str, &str); 1] = [("STIPEND_METRICS_LISTEN", "127.0.0.1:0")];
/// The most series that a node may ever show after what these tests do to it.
const MAX_SERIES: usize = 4000;

async fn scrape(world: &World) -> Exposition {
    let answer = world.server.http.get(world.server.metrics_url()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    Exposition::read(&answer.text().await.unwrap())
}

/// How much each of these grew.
struct Growth(Exposition, Exposition);

impl Growth {
    fn of(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.1.sum(name, labels) - self.0.sum(name, labels)
    }
}

#[rstest]
#[tokio::test]
async fn requests_are_counted_exactly(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let world = World::with(backend, &SCRAPED).await;
    let before = scrape(&world).await;
    let subject = world.subject().await;
    world.subject().await;
    for _ in 0..3 {
        world.delegated(&subject).await;
    }
    let token =
        |form: &'static [(&'static str, &'static str)]| world.server.form("/oauth2/token", &world.planner, form);
    assert_eq!(token(&[("grant_type", "password")]).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(token(&[("grant_type", "client_credentials"), ("scope", "no-such")]).await.0, StatusCode::BAD_REQUEST);
    let wrong = stipend::testing::TestClient { id: world.planner.id.clone(), secret: "wrong".to_owned() };
    for _ in 0..2 {
        let form = [("grant_type", "client_credentials")];
        assert_eq!(world.server.form("/oauth2/token", &wrong, &form).await.0, StatusCode::UNAUTHORIZED);
    }
    let (status, _) = world.server.exchange(&world.stranger, &subject, &[]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(world.active(&subject).await);
    let grown = Growth(before, scrape(&world).await);
    let tokens = |grant, outcome| {
        grown.of("stipend_token_requests_total", &[("stipend_grant", grant), ("stipend_outcome", outcome)])
    };
    assert_eq!((tokens("client_credentials", "granted"), tokens("client_credentials", "refused")), (2.0, 3.0));
    assert_eq!((tokens("token_exchange", "granted"), tokens("token_exchange", "refused")), (3.0, 1.0));
    assert_eq!(tokens("none", "refused"), 1.0, "it never said a grant that there is");
    assert_eq!(grown.of("stipend_token_requests_total", &[]), 10.0);
    let requests = |status| {
        let labels = [("http_route", "/oauth2/token"), ("http_response_status_code", status)];
        let labels = [labels[0], labels[1], ("http_request_method", "POST"), ("url_scheme", "http")];
        grown.of("http_server_request_duration_seconds_count", &labels)
    };
    assert_eq!((requests("200"), requests("400"), requests("401")), (5.0, 3.0, 2.0));
    let refusals = |reason| grown.of("stipend_refusals_total", &[("stipend_reason", reason)]);
    assert_eq!((refusals("wrong_secret"), refusals("unsupported_grant_type")), (2.0, 1.0));
    assert_eq!(grown.of("stipend_refusals_total", &[]), 5.0);
    let phases = |phase| grown.of("stipend_phase_duration_seconds_count", &[("stipend_phase", phase)]);
    assert_eq!(phases("sign"), 5.0, "what is refused is not signed");
    // All token requests but the one of no grant there is, and the introspection.
    assert_eq!(phases("authenticate"), 10.0);
    assert!(phases("commit") >= 7.0, "each issue and each refusal of a proved client is committed");
    let works = grown.of("stipend_commit_works_total", &[("stipend_outcome", "committed")]);
    assert!(works >= phases("commit"), "{works}");
    assert_eq!(grown.1.sum("http_server_active_requests", &[]), 0.0);
    assert_eq!(grown.1.sum("stipend_build_info", &[("service_version", env!("CARGO_PKG_VERSION"))]), 1.0);
}

#[rstest]
#[tokio::test]
async fn the_ledgers_refusals_say_how_far_below_the_payer(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::with(backend, &SCRAPED).await;
    for (account, id, amount) in [("owner", "acme", 1000), ("agent", world.planner.id.as_str(), 100)] {
        let mut line = json!({"unit": "USD", "decimals": 6, "amount": amount});
        line[account] = json!(id);
        world.server.create("/budgets", line).await;
    }
    // Each token has a line of its own under the agent's.
    let (one, other) = (world.subject().await, world.subject().await);
    let charge = |token: &str, amount: &'static str| {
        let (token, world) = (token.to_owned(), &world);
        async move {
            let form = [("token", token.as_str()), ("unit", "USD"), ("amount", amount)];
            world.server.form("/budget/charges", &world.service, &form).await.0
        }
    };
    let before = scrape(&world).await;
    assert_eq!(charge(&one, "100").await, StatusCode::OK);
    assert_eq!(charge(&one, "1").await, StatusCode::FORBIDDEN);
    assert_eq!(charge(&other, "1").await, StatusCode::FORBIDDEN);
    let grown = Growth(before, scrape(&world).await);
    let refused = |level| {
        let labels = [("stipend_reason", "insufficient_budget"), ("stipend_level", level)];
        grown.of("stipend_ledger_refusals_total", &labels)
    };
    assert_eq!((refused("0"), refused("1"), refused("2")), (0.0, 1.0, 1.0), "the owner's, the agent's, the token's");
    assert_eq!(grown.of("stipend_ledger_refusals_total", &[]), 2.0);
    let phases = grown.of("stipend_phase_duration_seconds_count", &[("stipend_phase", "ledger")]);
    assert_eq!(phases, 3.0);
    assert_eq!(grown.of("stipend_commit_works_total", &[("stipend_outcome", "declined")]), 2.0);
}

#[tokio::test]
async fn what_is_sent_is_what_is_scraped_in_the_right_types() {
    let collector = Collector::start(Manner::Takes).await;
    let world = World::with(Backend::Sqlite, &collector.settings()).await;
    let subject = world.subject().await;
    world.delegated(&subject).await;
    let scraped = scrape(&world).await;
    let exchanged = [("stipend_grant", "token_exchange"), ("stipend_outcome", "granted")];
    assert_eq!(scraped.value("stipend_token_requests_total", &exchanged), 1.0);
    let sent = || collector.metrics();
    let exchanges = || match sent().get("stipend.token.requests")?.data.clone()? {
        Data::Sum(sum) => {
            assert!(sum.is_monotonic && sum.aggregation_temporality == 2, "a running total");
            let is = |point: &opentelemetry_proto::tonic::metrics::v1::NumberDataPoint| {
                crate::collector::text(&point.attributes, "stipend.grant") == "token_exchange"
            };
            sum.data_points.into_iter().find(is)?.value
        }
        other => panic!("{other:?}"),
    };
    collector.until(|| exchanges() == Some(number_data_point::Value::AsInt(1))).await;
    let metrics = sent();
    let histogram = |name: &str| match metrics[name].data.clone().unwrap() {
        Data::Histogram(histogram) => histogram,
        other => panic!("{name}: {other:?}"),
    };
    let requests = histogram("http.server.request.duration");
    assert_eq!(metrics["http.server.request.duration"].unit, "s");
    for point in &requests.data_points {
        assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        assert!(point.sum.unwrap() > 0.0);
    }
    for name in ["stipend.phase.duration", "stipend.commit.batch.size", "stipend.commit.queue.duration"] {
        assert!(!histogram(name).data_points.is_empty(), "{name}");
    }
    for name in ["stipend.feed.age", "db.client.connection.count", "stipend.build.info"] {
        assert!(matches!(metrics[name].data, Some(Data::Gauge(_))), "{name}");
    }
    match metrics["http.server.active_requests"].data.clone().unwrap() {
        Data::Sum(sum) => assert!(!sum.is_monotonic),
        other => panic!("{other:?}"),
    }
    for name in metrics.keys() {
        let family = name.replace('.', "_");
        assert!(scraped.types.keys().any(|known| known.starts_with(&family)) || name.contains("telemetry"), "{name}");
    }
}

#[tokio::test]
async fn strangers_can_not_make_series() {
    let world = World::with(Backend::Sqlite, &SCRAPED).await;
    let before = scrape(&world).await;
    let (http, mut waiting) = (&world.server.http, Vec::new());
    for n in 0..1500 {
        let canary = format!("canary{n}");
        let request = match n % 5 {
            // A guess costs a hash; most claims come without one.
            0 if n < 100 => http
                .post(world.server.url("/oauth2/token"))
                .basic_auth(&canary, Some(&canary))
                .form(&[("grant_type", "client_credentials")]),
            0 => http
                .post(world.server.url(&format!("/oauth2/token?{canary}")))
                .header("authorization", format!("Canary {canary}"))
                .form(&[("grant_type", "client_credentials"), ("resource", &format!("https://{canary}.example"))]),
            1 => http.get(world.server.url(&format!("/{canary}/{canary}?{canary}={canary}"))),
            2 => http
                .get(world.server.url(&format!("/admin/v1/agents/{canary}")))
                .header("host", format!("{canary}.example")),
            3 => http.request(
                Method::from_bytes(format!("CANARY{n}").as_bytes()).unwrap(),
                world.server.url("/oauth2/token"),
            ),
            _ => http
                .post(world.server.url("/oauth2/token"))
                .header("traceparent", &canary)
                .header("user-agent", &canary)
                .form(&[("grant_type", canary.as_str()), ("client_id", canary.as_str())]),
        };
        // Together: what strangers are refused is gathered before it is answered.
        waiting.push(request.send());
        if waiting.len() == 100 {
            for answer in join_all(std::mem::take(&mut waiting)).await {
                assert!(answer.unwrap().status().is_client_error());
            }
        }
    }
    let after = scrape(&world).await;
    for sample in &after.samples {
        for (key, value) in &sample.labels {
            assert!(!value.to_ascii_lowercase().contains("canary"), "{} {key}={value}", sample.name);
        }
    }
    assert!(after.samples.len() < before.samples.len() + 400, "{} {}", before.samples.len(), after.samples.len());
    assert!(after.samples.len() < MAX_SERIES, "{}", after.samples.len());
    for (family, sets) in after.sets() {
        assert!(sets < MAX_LABEL_SETS / 4, "{family}: {sets}");
    }
    let odd = [("http_request_method", "_OTHER")];
    assert_eq!(after.sum("http_server_request_duration_seconds_count", &odd), 300.0);
}

/// Every word that may become a label's value is a list of the source: its length bounds the sets.
#[test]
fn no_list_of_label_values_reaches_the_bound() {
    assert!(stipend::reason::Reason::ALL.len() < MAX_LABEL_SETS / 2);
}

#[rstest]
#[tokio::test]
async fn a_revocation_is_seen_within_its_bound_and_its_lag_is_told(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let world = World::with(backend, &SCRAPED).await;
    let subject = world.subject().await;
    let form = [("token", subject.as_str())];
    assert_eq!(world.server.form("/oauth2/revoke", &world.planner, &form).await.0, StatusCode::OK);
    assert!(!world.active(&subject).await);
    let after = scrape(&world).await;
    assert_eq!(after.value("stipend_revocation_lag_seconds_count", &[]), 1.0);
    assert!(after.value("stipend_revocation_lag_seconds_sum", &[]) < 5.0);
    assert!(after.value("stipend_revoked_entries", &[]) >= 1.0);
    assert!(after.value("stipend_feed_position", &[]) >= 1.0);
    for pool in ["read", "write"] {
        let pool = ("db_client_connection_pool_name", pool);
        let max = after.value("db_client_connection_max", &[pool]);
        let open = after.sum("db_client_connection_count", &[pool]);
        assert!(max >= 1.0 && open <= max, "{pool:?}: {open} of {max}");
        assert_eq!(after.value("db_client_connection_pending_requests", &[pool]), 0.0);
    }
}
