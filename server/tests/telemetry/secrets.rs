//! Nothing that is anybody's secret is told, whatever they do; and nobody else is told of a trace.

use crate::tour::Tour;
use base64::Engine;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_in_any_byte_that_leaves() {
    let tour = Tour::take(&[("OTEL_TRACES_SAMPLER", "always_on")]).await;
    let scraped = tour.text().await;
    tour.world.server.stop().await;
    let mut told: Vec<(String, Vec<u8>)> = tour
        .collector
        .requests()
        .into_iter()
        .map(|(path, head, body)| (path, [head.as_bytes(), &body].concat()))
        .collect();
    assert!(told.iter().any(|(path, _)| path == "/v1/traces") && told.iter().any(|(path, _)| path == "/v1/metrics"));
    let spans = tour.collector.spans();
    for name in
        ["POST /oauth2/token", "POST /credentials/{id}/release", "POST /budget/charges", "upstream", "open", "fetch"]
    {
        assert!(spans.iter().any(|span| span.name == name), "{name}");
    }
    assert!(spans.iter().any(|span| span.name.starts_with("POST /proxy/")), "the call is among them");
    told.push(("/metrics".to_owned(), scraped.into_bytes()));
    assert!(tour.secrets.len() > 20);
    for secret in &tour.secrets {
        let encoded = base64::engine::general_purpose::STANDARD.encode(secret);
        for form in [secret.as_str(), encoded.trim_end_matches('=')] {
            for (path, bytes) in &told {
                let found = bytes.windows(form.len()).any(|window| window.eq_ignore_ascii_case(form.as_bytes()));
                assert!(!found, "{form} is in what went to {path}");
            }
        }
    }
    // The search finds what is there.
    let known = "acme.planner".as_bytes();
    assert!(told.iter().any(|(_, bytes)| bytes.windows(known.len()).any(|window| window == known)));
}

/// An upstream is another's; what an agent writes itself crosses as ever.
#[tokio::test(flavor = "multi_thread")]
async fn no_trace_context_of_ours_is_sent_to_anybody() {
    let tour = Tour::take(&[]).await;
    let seen = tour.upstream.lock().clone();
    assert_eq!(seen.len(), 2);
    assert!(!seen[0].contains("traceparent") && !seen[0].contains("tracestate"), "{}", seen[0]);
    let own = "\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    assert!(seen[1].contains(own), "the agent's, as it wrote it: {}", seen[1]);
}
