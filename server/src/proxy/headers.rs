//! Which headers cross, each way. Names are compared without regard to case, and `_` counts
//! as `-`: many servers make them one.

use super::fault::UpstreamFault;
use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use stipend_keys::Secret;
use stipend_token::constraint::is_method_override_header;

/// About one connection and no other (RFC 9110 section 7.6.1, and what was before it).
const HOP: [&str; 8] =
    ["connection", "keep-alive", "proxy-connection", "te", "trailer", "trailers", "transfer-encoding", "upgrade"];
/// Made anew for the upstream, or the agent's own credentials.
const NOT_SENT: [&str; 12] = [
    "accept-encoding",
    "api-key",
    "authorization",
    "content-length",
    "cookie",
    "cookie2",
    "dpop",
    "expect",
    "host",
    "http2-settings",
    "x-api-key",
    "x-goog-api-key",
];
/// What some servers believe of who calls from where, or take for the path or the host of the
/// request: the path that was checked is the one that counts.
const NOT_BELIEVED: [&str; 15] = [
    "cf-connecting-ip",
    "fastly-client-ip",
    "forwarded",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-original-path",
    "x-forwarded",
    "x-host",
    "x-http-host-override",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];
/// `agent-budget` is ours: an upstream neither reads nor says it.
const NOT_SENT_PREFIXES: [&str; 3] = ["proxy-", "x-forwarded-", "agent-budget"];
/// What would speak for this server's origin, or lead the agent elsewhere with its token.
const NOT_ANSWERED: [&str; 13] = [
    "alt-svc",
    "azure-asyncoperation",
    "clear-site-data",
    "dpop-nonce",
    "location",
    "operation-location",
    "public-key-pins",
    "refresh",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
    "x-goog-upload-control-url",
    "x-goog-upload-url",
];
const NOT_ANSWERED_PREFIXES: [&str; 3] = ["proxy-", "access-control-", "agent-budget"];

/// The upstream's headers: the agent's, less what must not cross, and the injected ones in the
/// place of any of the same name.
pub(super) fn request(agent: &HeaderMap, inject: &[(HeaderName, Secret<String>)]) -> Result<HeaderMap, UpstreamFault> {
    let mut headers = crossing(agent, |name| {
        let ours = inject.iter().any(|(injected, _)| same(injected.as_str(), name));
        let listed = NOT_SENT.contains(&name) || NOT_BELIEVED.contains(&name);
        ours || listed || starts(&NOT_SENT_PREFIXES, name) || is_method_override_header(name)
    });
    // What is compressed can be neither masked nor read.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in inject {
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| UpstreamFault::Injection)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// The agent's headers: the upstream's, less what must not cross. A `Content-Length` stays
/// only where the body is not looked into.
pub(super) fn answer(upstream: &HeaderMap, keep_length: bool) -> HeaderMap {
    crossing(upstream, |name| {
        let length = name == CONTENT_LENGTH.as_str() && !keep_length;
        length || NOT_ANSWERED.contains(&name) || starts(&NOT_ANSWERED_PREFIXES, name)
    })
}

/// Whether the body is as it is: no coding besides chunks, which the HTTP library undoes.
pub(super) fn is_plain(upstream: &HeaderMap) -> bool {
    let all = |name: &HeaderName, plain: &str| {
        let mut values = upstream.get_all(name).iter();
        values.all(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(plain.as_bytes()))
    };
    all(&CONTENT_ENCODING, "identity") && has_only_chunks(upstream)
}

/// A transfer coding besides chunks (RFC 9112 section 7) would reach the agent undone by nobody.
pub(super) fn has_only_chunks(upstream: &HeaderMap) -> bool {
    let mut values = upstream.get_all(TRANSFER_ENCODING).iter();
    values.all(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// Length of a head as names and values.
pub(super) fn length(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

fn crossing(from: &HeaderMap, stays: impl Fn(&str) -> bool) -> HeaderMap {
    let listed: Vec<String> = from
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|name| canonical(&String::from_utf8_lossy(name.trim_ascii())))
        .collect();
    let mut to = HeaderMap::with_capacity(from.len());
    for (name, value) in from {
        let canonical = canonical(name.as_str());
        let hop = HOP.contains(&canonical.as_str()) || listed.contains(&canonical);
        if !hop && !stays(&canonical) {
            to.append(name.clone(), value.clone());
        }
    }
    to
}

fn starts(prefixes: &[&str], name: &str) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

fn same(a: &str, b: &str) -> bool {
    canonical(a) == canonical(b)
}

fn canonical(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        map
    }

    fn inject(name: &'static str, value: &str) -> Vec<(HeaderName, Secret<String>)> {
        vec![(HeaderName::from_static(name), Secret::new(value.to_owned()))]
    }

    #[test]
    fn what_belongs_to_the_agent_or_the_hop_is_not_sent() {
        let every = [
            "Connection",
            "Keep-Alive",
            "Proxy-Connection",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "Upgrade",
            "Host",
            "Content-Length",
            "Authorization",
            "X-Api-Key",
            "api-key",
            "X-Goog-Api-Key",
            "Cookie",
            "Cookie2",
            "Proxy-Authorization",
            "Proxy-Anything",
            "Forwarded",
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "X-Forwarded-Whatever",
            "X-Real-IP",
            "Via",
            "X-HTTP-Method-Override",
            "X-Method-Override",
            "X-HTTP-Method",
            "Expect",
            "Agent-Budget",
            "Agent-Budget-Lines",
            "Accept-Encoding",
            "X_Api_Key",
            "X_Forwarded_For",
            "X_HTTP_Method_Override",
            "API_KEY",
            "X-Original-URL",
            "X-Rewrite-Url",
            "X-Client-IP",
            "X-Host",
        ];
        for name in every {
            let sent = request(&map(&[(name, "agents-own")]), &[]).unwrap();
            assert!(sent.iter().all(|(_, value)| value != "agents-own"), "{name}");
        }
    }

    #[test]
    fn what_is_the_calls_own_is_sent_as_it_is() {
        let kept = [
            ("content-type", "application/json"),
            ("accept", "text/event-stream"),
            ("idempotency-key", "k1"),
            ("user-agent", "sdk/1"),
            ("anthropic-beta", "a"),
            ("anthropic-beta", "b"),
            ("x-stainless-lang", "python"),
        ];
        let sent = request(&map(&kept), &[]).unwrap();
        for (name, value) in kept {
            assert!(sent.get_all(name).iter().any(|sent| sent == value), "{name}");
        }
        assert_eq!(sent.len(), kept.len() + 1, "and only Accept-Encoding with it");
        assert_eq!(sent[ACCEPT_ENCODING], "identity");
    }

    #[test]
    fn what_connection_lists_stays_here() {
        let agent = map(&[
            ("connection", "close, X-Secret"),
            ("connection", " x_other ,,"),
            ("x-secret", "1"),
            ("x-other", "2"),
            ("x-third", "3"),
        ]);
        let sent = request(&agent, &[]).unwrap();
        assert_eq!(sent.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-third", "accept-encoding"]);
    }

    #[test]
    fn an_injected_header_is_the_only_one_of_its_name() {
        let agent = map(&[("x-key", "agents"), ("X_Key", "agents"), ("x-key", "agents"), ("connection", "x-key")]);
        let sent = request(&agent, &inject("x-key", "ours")).unwrap();
        assert_eq!(sent.get_all("x-key").iter().collect::<Vec<_>>(), ["ours"]);
        assert!(sent["x-key"].is_sensitive() && !sent.contains_key("x_key"));
        let sent = request(&HeaderMap::new(), &inject("accept-encoding", "identity;q=1")).unwrap();
        assert_eq!(sent.get_all(ACCEPT_ENCODING).iter().count(), 1);
    }

    #[test]
    fn no_line_is_smuggled_in_by_an_injected_value() {
        for value in ["a\r\nX-Other: b", "a\n", "\0", "a\rb"] {
            assert_eq!(request(&HeaderMap::new(), &inject("x-key", value)), Err(UpstreamFault::Injection));
        }
    }

    #[test]
    fn what_speaks_for_us_or_leads_elsewhere_is_not_answered() {
        let upstream = map(&[
            ("set-cookie", "a=b"),
            ("alt-svc", "h3"),
            ("strict-transport-security", "max-age=1"),
            ("location", "https://evil.example"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "1"),
            ("transfer-encoding", "chunked"),
            ("refresh", "0; url=x"),
            ("operation-location", "https://x"),
            ("agent-budget", "999"),
            ("Agent_Budget_Left", "9"),
            ("access-control-allow-origin", "*"),
            ("proxy-authenticate", "Basic"),
            ("content-length", "5"),
            ("content-type", "text/plain"),
            ("retry-after", "1"),
            ("x-request-id", "r"),
        ]);
        let kept = |keep| answer(&upstream, keep).keys().map(HeaderName::to_string).collect::<Vec<_>>();
        assert_eq!(kept(false), ["content-type", "retry-after", "x-request-id"]);
        assert_eq!(kept(true), ["content-length", "content-type", "retry-after", "x-request-id"]);
    }

    #[test]
    fn an_encoded_body_is_seen_however_it_is_said() {
        for (name, value) in [
            ("content-encoding", "gzip"),
            ("content-encoding", "identity, br"),
            ("content-encoding", ""),
            ("transfer-encoding", "gzip, chunked"),
        ] {
            assert!(!is_plain(&map(&[(name, value)])), "{name}: {value}");
        }
        assert!(!is_plain(&map(&[("content-encoding", "identity"), ("content-encoding", "gzip")])));
        assert!(
            is_plain(&map(&[("content-encoding", " Identity"), ("transfer-encoding", "Chunked")]))
                && is_plain(&HeaderMap::new())
        );
        assert!(!has_only_chunks(&map(&[("transfer-encoding", "chunked"), ("transfer-encoding", "gzip")])));
    }
}
