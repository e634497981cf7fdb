//! `stipend doctor`: everything that is commonly wrong, each with what to do; and
//! `stipend healthcheck` for containers.

use super::Session;
use super::api::read;
use super::connect::{self, Connection, read_text};
use super::error::CliError;
use super::oauth;
use super::print::{Paint, relative};
use crate::admin::api::{Agent, NotReady, Rule, WhoAmI};
use crate::config::Config;
use crate::records::ClientKind;
use serde::Serialize;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use url::Url;

/// A secret that expires within this is worth a word: 14 days.
const SOON_SECONDS: i64 = 14 * 86_400;
/// Difference between the clocks that already refuses some tokens, in seconds.
const MAX_SKEW_SECONDS: i64 = 5;
/// Names listed in one finding.
const MAX_NAMED: usize = 5;

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Grade {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    grade: Grade,
    seen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Finding {
    fn new(check: &'static str, grade: Grade, seen: impl Into<String>) -> Self {
        Self { check, grade, seen: seen.into(), hint: None }
    }

    fn ok(check: &'static str, seen: impl Into<String>) -> Self {
        Self::new(check, Grade::Ok, seen)
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn from_error(check: &'static str, error: CliError) -> Self {
        Self { check, grade: Grade::Fail, seen: error.message, hint: error.hint }
    }
}

pub async fn run(session: &Session<'_>) -> Result<(), CliError> {
    let mut findings = Vec::new();
    findings.push(transport(&session.api.connection.issuer));
    let reached = node(session, &mut findings).await;
    if reached {
        match session.api.metadata().await {
            Ok(metadata) => {
                findings.push(Finding::ok("metadata", format!("issuer {}", metadata.issuer)));
                findings.push(keys(session, &metadata.jwks_uri).await);
            }
            Err(error) => findings.push(Finding::from_error("metadata", error)),
        }
        client(session, &mut findings).await;
    }
    show(session, &findings);
    let bad = findings.iter().filter(|finding| finding.grade == Grade::Fail).count();
    match (reached, bad) {
        (false, _) => Err(CliError::unreachable("the server can't be reached")),
        (true, 0) => Ok(()),
        (true, bad) => Err(CliError::failed("unhealthy", format!("{bad} of {} checks failed", findings.len()))),
    }
}

fn show(session: &Session<'_>, findings: &[Finding]) {
    let out = session.out;
    if out.json {
        out.value(&json!(findings));
        return;
    }
    for finding in findings {
        let mark = match finding.grade {
            Grade::Ok => out.paint(Paint::Good, "✓"),
            Grade::Warn => out.paint(Paint::Accent, "!"),
            Grade::Fail => out.paint(Paint::Bad, "✗"),
        };
        out.line(format!("{mark} {:<12} {}", finding.check, finding.seen));
        if let Some(hint) = &finding.hint {
            out.line(format!("  {:<12} {}", "", out.paint(Paint::Dim, format!("→ {hint}"))));
        }
    }
}

fn transport(issuer: &str) -> Finding {
    if issuer.starts_with("https://") {
        return Finding::ok("transport", "https");
    }
    Finding::new("transport", Grade::Warn, "plain http: fit for this machine only")
        .hint("set STIPEND_TLS_CERT_FILE and STIPEND_TLS_KEY_FILE, or put a TLS proxy before it")
}

/// `/readyz` and the clock. Whether the server could be reached at all.
async fn node(session: &Session<'_>, findings: &mut Vec<Finding>) -> bool {
    let url = format!("{}/readyz", session.api.connection.issuer);
    let response = match session.api.http.get(&url).send().await {
        Ok(response) => response,
        Err(error) => {
            findings.push(Finding::from_error("server", oauth::HttpFault::from(error).into()));
            return false;
        }
    };
    let date = response.headers().get("date").and_then(|date| date.to_str().ok()).map(str::to_owned);
    let ready = response.status().is_success();
    let body = oauth::read_body(response).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if ready {
        findings.push(Finding::ok("server", "ready"));
        findings.extend(redis(&body));
    } else {
        findings.push(Finding::new("server", Grade::Fail, unready(&body)).hint("the server's log says more"));
    }
    findings.extend(date.and_then(|date| clock(session.now, &date)));
    true
}

/// What a ready server goes on without.
fn redis(body: &Value) -> Option<Finding> {
    let state = body.get("redis").and_then(Value::as_str)?;
    if state == "ok" {
        return Some(Finding::ok("redis", "answers"));
    }
    let finding = Finding::new("redis", Grade::Warn, state);
    Some(finding.hint("everything goes on, slower: look at STIPEND_REDIS_URL and at Redis itself"))
}

fn unready(body: &Value) -> String {
    let parts = body.as_object().into_iter().flatten();
    let bad: Vec<String> = parts
        .filter(|(name, word)| name.as_str() != "status" && word.as_str() != Some("ok"))
        .map(|(name, word)| format!("{}: {}", name.replace('_', " "), word.as_str().unwrap_or("?")))
        .collect();
    format!("not ready: {}", if bad.is_empty() { "no reason given".to_owned() } else { bad.join(", ") })
}

fn clock(now: i64, date: &str) -> Option<Finding> {
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_second();
    let skew = theirs.saturating_sub(now);
    if skew.abs() <= MAX_SKEW_SECONDS {
        return Some(Finding::ok("clock", format!("within {MAX_SKEW_SECONDS} s of the server's")));
    }
    let seen = format!("{} s {} the server's", skew.abs(), if skew > 0 { "behind" } else { "ahead of" });
    Some(Finding::new("clock", Grade::Warn, seen).hint("run a time service on both machines"))
}

async fn keys(session: &Session<'_>, jwks_uri: &str) -> Finding {
    let answer = oauth::send(&session.api.http, session.api.http.get(jwks_uri)).await;
    match answer {
        Ok((200, body)) => match body.get("keys").and_then(Value::as_array).map_or(0, Vec::len) {
            0 => Finding::new("keys", Grade::Fail, "the key set is empty").hint("`stipend keys rotate` makes one"),
            1 => Finding::ok("keys", "1 key published"),
            count => Finding::ok("keys", format!("{count} keys published")),
        },
        Ok((status, _)) => Finding::new("keys", Grade::Fail, format!("{jwks_uri} answered {status}")),
        Err(fault) => Finding::from_error("keys", fault.into()),
    }
}

async fn client(session: &Session<'_>, findings: &mut Vec<Finding>) {
    let who = match session.api.get(&["whoami"]).await.and_then(|answer| read::<WhoAmI>(&answer)) {
        Ok(who) => who,
        Err(error) => {
            findings.push(Finding::from_error("client", error));
            return;
        }
    };
    findings.push(Finding::ok("client", format!("{} with {}", who.client_id, who.scopes.join(" "))));
    let agents = session.api.list(&["agents"]).await.unwrap_or_default();
    let agents: Vec<Agent> = agents.iter().filter_map(|agent| read(agent).ok()).collect();
    findings.push(readiness(&agents));
    findings.push(secrets(session.now, &agents));
    let rules = session.api.list(&["exchange-rules"]).await.unwrap_or_default();
    let waiting = rules.iter().filter_map(|rule| read::<Rule>(rule).ok()).filter(|rule| !rule.awaiting.is_empty());
    findings.push(
        named("rules", "all accepted", "wait for an owner", waiting.map(|rule| rule.id).collect())
            .hinted("`stipend rule accept RULE`"),
    );
}

/// Agents that are meant to work and can't.
fn readiness(agents: &[Agent]) -> Finding {
    let stuck = agents.iter().filter(|agent| {
        let reasons = &agent.readiness.reasons;
        // A service that only introspects needs no access of its own.
        let serves = agent.kind == ClientKind::Service && *reasons == [NotReady::NoAccess];
        let meant = !reasons.contains(&NotReady::NotActive) && !reasons.contains(&NotReady::OwnerDisabled);
        !agent.readiness.ready && meant && !serves
    });
    let seen = stuck.map(|agent| {
        let reasons: Vec<String> = agent.readiness.reasons.iter().map(super::print::word).collect();
        format!("{} ({})", agent.id, reasons.join(", "))
    });
    named("agents", &format!("{} known, none stuck", agents.len()), "can't get a token", seen.collect())
        .hinted("`stipend agent show AGENT` says why")
}

fn secrets(now: i64, agents: &[Agent]) -> Finding {
    let active = agents.iter().filter(|agent| agent.readiness.ready);
    let soon = active.filter_map(|agent| {
        let last = agent.secrets.iter().map(|secret| secret.expires_at).max()?;
        (last <= now.saturating_add(SOON_SECONDS)).then(|| format!("{} ({})", agent.id, relative(now, last)))
    });
    named("secrets", "none expires within 14 days", "expire soon", soon.collect())
        .hinted("`stipend agent secret add AGENT`, then remove the old one")
}

fn named(check: &'static str, none: &str, what: &str, names: Vec<String>) -> Finding {
    if names.is_empty() {
        return Finding::ok(check, none);
    }
    let more = names.len().saturating_sub(MAX_NAMED);
    let shown: Vec<&str> = names.iter().take(MAX_NAMED).map(String::as_str).collect();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    Finding::new(check, Grade::Warn, format!("{what}: {}{rest}", shown.join(", ")))
}

impl Finding {
    /// The hint, where there is something to do.
    fn hinted(self, hint: &str) -> Self {
        if self.grade == Grade::Ok { self } else { self.hint(hint) }
    }
}

/// Asks this machine's server, as it is configured here, whether it is ready.
pub async fn healthcheck(connection: &Connection) -> Result<(), CliError> {
    let config = Config::from_env().map_err(|errors| CliError::usage(errors.0.join("; ")))?;
    let address = local(config.listen);
    let (http, base) = if config.tls.is_some() {
        // The certificate is the public name's; the way to it is short.
        let mut issuer = Url::parse(&config.issuer).map_err(|_| CliError::usage("STIPEND_ISSUER is not a URL"))?;
        let _ = issuer.set_port(Some(address.port()));
        let pem = connection.ca_file.as_deref().map(read_text).transpose()?;
        let host = issuer.host_str().unwrap_or_default().to_owned();
        (connect::local_client(&config.issuer, pem.as_deref(), &host, address)?, issuer.origin().ascii_serialization())
    } else {
        let base = format!("http://{address}");
        (connect::client(&base, None)?, base)
    };
    let (status, body) = oauth::send(&http, http.get(format!("{base}/readyz"))).await?;
    if status == 200 { Ok(()) } else { Err(CliError::failed("not_ready", unready(&body))) }
}

/// Where to reach a listener from the same machine.
fn local(listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() { SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listen.port()) } else { listen }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ready_is_named() {
        let body = json!({"status": "not ready", "database": "does not answer", "signing_key": "ok"});
        assert_eq!(unready(&body), "not ready: database: does not answer");
        assert_eq!(unready(&Value::Null), "not ready: no reason given");
    }

    #[test]
    fn a_server_without_its_redis_is_ready_and_it_is_said() {
        assert!(redis(&json!({"status": "ok"})).is_none(), "there is none");
        assert_eq!(redis(&json!({"status": "ok", "redis": "ok"})).unwrap().grade, Grade::Ok);
        let away = redis(&json!({"status": "degraded", "redis": "does not answer"})).unwrap();
        assert_eq!((away.grade, away.seen.as_str()), (Grade::Warn, "does not answer"));
    }

    #[test]
    fn clocks_are_compared_to_the_second() {
        let at = 1_795_230_000;
        let finding = |date| clock(at, date).unwrap();
        assert_eq!(finding("Sat, 21 Nov 2026 03:00:04 GMT").grade, Grade::Ok);
        assert_eq!(finding("Sat, 21 Nov 2026 03:01:00 GMT").seen, "60 s behind the server's");
        assert!(clock(at, "yesterday").is_none());
    }

    #[test]
    fn a_long_list_is_cut() {
        let names = (0..8).map(|n| format!("a{n}")).collect();
        assert_eq!(named("agents", "", "stuck", names).seen, "stuck: a0, a1, a2, a3, a4 and 3 more");
    }

    #[test]
    fn a_listener_on_every_address_is_reached_by_loopback() {
        assert_eq!(local("0.0.0.0:8080".parse().unwrap()).to_string(), "127.0.0.1:8080");
        assert_eq!(local("192.0.2.1:1".parse().unwrap()).to_string(), "192.0.2.1:1");
    }
}
