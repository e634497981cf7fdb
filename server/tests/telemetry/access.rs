//! Who may read `/metrics`, and where.

use crate::exposition::Exposition;
use reqwest::StatusCode;
use stipend::config::{Config, Source};
use stipend::testing::TestServer;
use stipend_schema::Backend;

const TOKEN: &str = "scraper-token-0123456789";

fn faults(settings: &[(&str, &str)]) -> String {
    let vars = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Source::from_vars(vars).and_then(Config::from_source).map(|_| String::new()).unwrap_or_else(|all| all.to_string())
}

#[tokio::test]
async fn nothing_is_told_unless_it_is_asked_for() {
    let server = TestServer::start(Backend::Sqlite).await;
    assert!(!server.app.telemetry.is_on() && server.app.telemetry.scrape().is_none());
    assert_eq!(server.metrics_url(), "");
    let answer = server.http.get(server.url("/metrics")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn strangers_at_the_issuer_find_no_metrics_and_scrapers_find_nothing_else() {
    let settings = [("STIPEND_METRICS_LISTEN", "127.0.0.1:0"), ("STIPEND_METRICS_TOKEN", TOKEN)];
    let server = TestServer::start_with(Backend::Sqlite, &settings).await;
    let at_issuer = server.http.get(server.url("/metrics")).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(at_issuer.status(), StatusCode::NOT_FOUND);
    let url = server.metrics_url();
    let get = |authorization: &[&str]| {
        let request = server.http.get(&url);
        authorization.iter().fold(request, |request, value| request.header("authorization", *value)).send()
    };
    let good = get(&[&format!("Bearer {TOKEN}")]).await.unwrap();
    assert_eq!(good.status(), StatusCode::OK);
    assert_eq!(good.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(good.headers()["cache-control"], "no-store");
    Exposition::read(&good.text().await.unwrap());
    assert_eq!(get(&[&format!("bearer {TOKEN}")]).await.unwrap().status(), StatusCode::OK);
    let (longer, shorter) = (format!("Bearer {TOKEN}x"), format!("Bearer {}", &TOKEN[1..]));
    let (basic, twice) = (format!("Basic {TOKEN}"), format!("Bearer {TOKEN}"));
    for bad in [&[][..], &["Bearer"], &["Bearer "], &[&longer], &[&shorter], &[&basic], &[TOKEN], &[&twice, &twice]] {
        let answer = get(bad).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{bad:?}");
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
        assert_eq!(answer.text().await.unwrap(), "");
    }
    let base = url.trim_end_matches("/metrics");
    for path in ["/", "/healthz", "/oauth2/jwks", "/admin/v1/owners", "/metrics/x"] {
        let answer = server.http.get(format!("{base}{path}")).bearer_auth(TOKEN).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let post = server.http.post(&url).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
    let stranger = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    server.stop().await;
    // It ends with the node, which may take it a moment.
    for _ in 0..300 {
        if stranger.get(&url).send().await.is_err() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("it goes on without its node");
}

#[test]
fn what_others_can_reach_needs_a_token() {
    let listen = |at| ("STIPEND_METRICS_LISTEN", at);
    assert_eq!(faults(&[listen("127.0.0.1:9464")]), "");
    assert_eq!(faults(&[listen("[::1]:9464")]), "");
    assert_eq!(faults(&[listen("0.0.0.0:9464"), ("STIPEND_METRICS_TOKEN", TOKEN)]), "");
    assert!(faults(&[listen("0.0.0.0:9464")]).contains("STIPEND_METRICS_TOKEN says who may read"));
    let short = faults(&[listen("127.0.0.1:1"), ("STIPEND_METRICS_TOKEN", "hunter2")]);
    assert!(short.contains("at least 16 characters") && !short.contains("hunter2"), "{short}");
    assert!(faults(&[("STIPEND_METRICS_TOKEN", TOKEN)]).contains("goes with STIPEND_METRICS_LISTEN"));
}

#[test]
fn variables_of_the_specification_are_read_or_refused_and_others_left_alone() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example:4318/base/");
    let read = |settings: &[(&str, &str)]| {
        let vars = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Source::from_vars(vars).and_then(Config::from_source).unwrap().telemetry
    };
    let both = read(&[endpoint]);
    assert_eq!(both.traces.unwrap().as_str(), "https://collector.example:4318/base/v1/traces");
    assert_eq!(both.metrics.unwrap().as_str(), "https://collector.example:4318/base/v1/metrics");
    let own = read(&[endpoint, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t.example/x")]);
    assert_eq!(own.traces.unwrap().as_str(), "http://t.example/x", "taken whole");
    let one = read(&[endpoint, ("OTEL_METRICS_EXPORTER", "none")]);
    assert!(one.traces.is_some() && one.metrics.is_none());
    assert!(!read(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]).exports());
    assert!(!read(&[("OTEL_LOGS_EXPORTER", "otlp"), ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "x")]).exports());
    let told = read(&[
        endpoint,
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20c2VjcmV0LXdvcmQ=,x-scope=a%2Cb"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod, k8s.pod.name=a%3Db"),
    ]);
    assert_eq!(told.headers["authorization"], "Basic c2VjcmV0LXdvcmQ=");
    assert_eq!(told.headers["x-scope"], "a,b");
    assert_eq!(told.resource[1], ("k8s.pod.name".to_owned(), "a=b".to_owned()));
    assert!(!format!("{told:?}").contains("c2VjcmV0"), "never shown");
    for (name, bad) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://c"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:hunter2@c"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=hunter2%"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=hunter2"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=hunter2%0Ax"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_SAMPLER", "parentbased_"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_TRACES_SAMPLER_ARG", "NaN"),
        ("OTEL_TRACES_EXPORTER", "console"),
        ("OTEL_SDK_DISABLED", "yes"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "x"),
    ] {
        let all = faults(&[(name, bad)]);
        assert!(all.contains(name), "{name}={bad}: {all:?}");
        assert!(!all.contains("hunter2"), "{all}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_none_stops_the_start() {
    let database = stipend_schema::testing::TestDatabase::new(Backend::Sqlite).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", file.path().to_str().unwrap()),
    ];
    let error = TestServer::try_start_on(database.url(), &settings).await.unwrap_err();
    assert!(error.to_string().contains("OTEL_EXPORTER_OTLP_CERTIFICATE"), "{error}");
}
