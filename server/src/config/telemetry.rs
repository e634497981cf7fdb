//! What is told of a node, and where. The `OTEL_*` variables are those of the OpenTelemetry
//! specification, as far as they are in the list of settings; all others are left alone.

use super::Source;
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry_sdk::trace::Sampler;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use stipend_keys::Secret;
use url::Url;

/// Most attributes of the resource, and headers of an export.
const MAX_PAIRS: usize = 64;
/// A token for `/metrics` has at least as many characters.
const MIN_TOKEN_CHARS: usize = 16;

/// Where telemetry goes. By default nowhere.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// Where spans are sent.
    pub traces: Option<Url>,
    /// Where metrics are sent.
    pub metrics: Option<Url>,
    /// Sent with each export; they may hold a credential.
    pub headers: HeaderMap,
    pub timeout: Duration,
    /// Certificates of the collector's authority, in place of the system's.
    pub ca: Option<PathBuf>,
    pub sampler: Sampler,
    pub service_name: String,
    /// Whether that is what somebody wrote.
    pub service_name_given: bool,
    pub resource: Vec<(String, String)>,
    /// How long spans gather before they are sent.
    pub span_delay: Duration,
    /// How often metrics are sent.
    pub metric_interval: Duration,
    pub scrape: Option<ScrapeConfig>,
}

/// Where `/metrics` is.
#[derive(Clone, Debug)]
pub struct ScrapeConfig {
    pub listen: SocketAddr,
    /// What a scraper shows. Without one anybody who can connect may read.
    pub token: Option<Secret<String>>,
}

pub(super) fn read(source: &mut Source) -> TelemetryConfig {
    let disabled = source.parse("OTEL_SDK_DISABLED", "true or false", boolean).unwrap_or(false);
    let _ =
        source.parse("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf, which is the one that is spoken here", |text| {
            (text == "http/protobuf").then_some(())
        });
    let base = url(source, "OTEL_EXPORTER_OTLP_ENDPOINT");
    let mut target = |exporter: &str, own: &str, path: &str| {
        let own = url(source, own);
        let wanted = source.parse(exporter, "otlp or none", exporter_name).unwrap_or(true);
        // OTLP/HTTP: the path is appended to the general endpoint, and to no other.
        own.or_else(|| base.clone().map(|base| under(base, path))).filter(|_| wanted && !disabled)
    };
    let traces = target("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "v1/traces");
    let metrics = target("OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "v1/metrics");
    TelemetryConfig {
        traces,
        metrics,
        headers: headers(source),
        timeout: millis(source, "OTEL_EXPORTER_OTLP_TIMEOUT", 10, 60_000, 10_000),
        ca: source.path("OTEL_EXPORTER_OTLP_CERTIFICATE"),
        sampler: sampler(source),
        service_name: source.text("OTEL_SERVICE_NAME"),
        service_name_given: source.given("OTEL_SERVICE_NAME").is_some(),
        resource: pairs(source, "OTEL_RESOURCE_ATTRIBUTES"),
        span_delay: millis(source, "OTEL_BSP_SCHEDULE_DELAY", 10, 60_000, 5000),
        metric_interval: millis(source, "OTEL_METRIC_EXPORT_INTERVAL", 100, 3_600_000, 60_000),
        scrape: scrape(source),
    }
}

impl TelemetryConfig {
    #[must_use]
    pub fn exports(&self) -> bool {
        self.traces.is_some() || self.metrics.is_some()
    }
}

fn scrape(source: &mut Source) -> Option<ScrapeConfig> {
    let listen = source.parse("STIPEND_METRICS_LISTEN", "an address and port", |text| text.parse().ok());
    let token = source.secret("STIPEND_METRICS_TOKEN");
    if token.as_ref().is_some_and(|token| token.expose().len() < MIN_TOKEN_CHARS) {
        source.fault(format!("STIPEND_METRICS_TOKEN: at least {MIN_TOKEN_CHARS} characters, made at random"));
    }
    let Some(listen): Option<SocketAddr> = listen else {
        if token.is_some() {
            source.fault("STIPEND_METRICS_TOKEN goes with STIPEND_METRICS_LISTEN".to_owned());
        }
        return None;
    };
    if token.is_none() && !listen.ip().is_loopback() {
        source.fault(
            "STIPEND_METRICS_LISTEN: on an address that others can reach, STIPEND_METRICS_TOKEN says who may read"
                .to_owned(),
        );
    }
    Some(ScrapeConfig { listen, token })
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn exporter_name(text: &str) -> Option<bool> {
    match text {
        "otlp" => Some(true),
        "none" => Some(false),
        _ => None,
    }
}

fn url(source: &mut Source, env: &str) -> Option<Url> {
    let text = Some(source.text(env)).filter(|text| !text.is_empty())?;
    let url = plain_url(&text);
    if url.is_none() {
        // Not shown: somebody may have written a password into it.
        source
            .fault(format!("{env}: expected an http:// or https:// URL without user information, query and fragment"));
    }
    url
}

fn plain_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none();
    let plain = plain && url.query().is_none() && url.fragment().is_none() && url.has_host();
    (plain && matches!(url.scheme(), "http" | "https")).then_some(url)
}

fn under(mut base: Url, path: &str) -> Url {
    let full = format!("{}/{path}", base.path().trim_end_matches('/'));
    base.set_path(&full);
    base
}

fn millis(source: &mut Source, env: &str, least: u64, most: u64, default: u64) -> Duration {
    Duration::from_millis(source.within(env, least, most).unwrap_or(default))
}

fn sampler(source: &mut Source) -> Sampler {
    let name = source.text("OTEL_TRACES_SAMPLER");
    let ratio = source
        .parse("OTEL_TRACES_SAMPLER_ARG", "a number from 0 to 1", |text| {
            text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))
        })
        .unwrap_or(1.0);
    let (parent_based, root) = match name.strip_prefix("parentbased_") {
        Some(root) => (true, root),
        None => (false, name.as_str()),
    };
    let root = match root {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased(ratio),
        _ => {
            source.fault(
                "OTEL_TRACES_SAMPLER: expected always_on, always_off or traceidratio, or one of these after parentbased_"
                    .to_owned(),
            );
            Sampler::AlwaysOff
        }
    };
    if parent_based { Sampler::ParentBased(Box::new(root)) } else { root }
}

/// `key=value,key=value`, percent-encoded, as both the resource and the headers are written.
/// Values may be secret: a fault does not show them.
fn pairs(source: &mut Source, env: &str) -> Vec<(String, String)> {
    let text = source.text(env);
    let mut found = Vec::new();
    for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        match one.split_once('=').and_then(|(key, value)| Some((decode(key)?, decode(value)?))) {
            Some((key, value)) if !key.is_empty() && found.len() < MAX_PAIRS => found.push((key, value)),
            _ => {
                source.fault(format!("{env}: expected key=value, at most {MAX_PAIRS} times, separated by commas"));
                break;
            }
        }
    }
    found
}

fn headers(source: &mut Source) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs(source, "OTEL_EXPORTER_OTLP_HEADERS") {
        let name = HeaderName::try_from(name.to_ascii_lowercase());
        match (name, HeaderValue::try_from(value)) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
            _ => source.fault("OTEL_EXPORTER_OTLP_HEADERS: not the name or the value of a header".to_owned()),
        }
    }
    headers
}

/// Percent-decodes; `+` is a plus.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.trim().bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
