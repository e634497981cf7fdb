//! `stipend audit follow`: records as they come, one JSON object a line, and no gap when the
//! connection or the token ends in between.

use super::super::Session;
use super::super::api::Api;
use super::super::error::CliError;
use super::super::oauth::read_body;
use super::Follow;
use crate::admin::api::BASE;
use reqwest::header::ACCEPT;
use std::time::Duration;
use url::Url;

/// Longest event; a record is a few kilobytes.
const MAX_EVENT_BYTES: usize = 1024 * 1024;
/// How long a connection is kept at most; tokens end before.
const LONGEST: Duration = Duration::from_secs(86_400);
/// Pause before it connects again, and the longest while that fails.
const PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(15);

pub(super) async fn run(session: &Session<'_>, args: &Follow) -> Result<(), CliError> {
    let mut cursor = args.after.clone();
    let mut pause = PAUSE;
    loop {
        // A token for each connection: the last one may have ended.
        let api = Api::new(session.api.connection)?;
        match connect(session, &api, args, &mut cursor).await {
            Ok(true) => pause = PAUSE,
            Ok(false) => pause = (pause * 2).min(MAX_PAUSE),
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => {
                session.out.note(format!("{}; trying again", error.message));
                pause = (pause * 2).min(MAX_PAUSE);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// What another try would not change.
fn is_final(error: &CliError) -> bool {
    !matches!(error.code.as_str(), "unreachable" | "unavailable" | "too_many_streams" | "not_http" | "internal")
}

/// Follows until the connection ends; whether anything came.
async fn connect(
    session: &Session<'_>,
    api: &Api<'_>,
    args: &Follow,
    cursor: &mut Option<String>,
) -> Result<bool, CliError> {
    let filters = [
        ("event", &args.event),
        ("outcome", &args.outcome),
        ("client_id", &args.client),
        ("jti", &args.jti),
        ("after", &*cursor),
    ];
    let query: Vec<(&str, String)> =
        filters.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
    let mut url = Url::parse(&format!("{}{BASE}/audit/stream", session.api.connection.issuer))
        .map_err(|_| CliError::usage("--issuer is not a URL"))?;
    url.query_pairs_mut().extend_pairs(query).append_pair("format", args.format.as_str());
    let request =
        api.http.get(url).bearer_auth(api.token().await?.expose()).header(ACCEPT, "text/event-stream").timeout(LONGEST);
    let mut answer = request.send().await.map_err(|error| CliError::unreachable(error.without_url().to_string()))?;
    if !answer.status().is_success() {
        let status = answer.status().as_u16();
        let problem = serde_json::from_slice(&read_body(answer).await?).unwrap_or_default();
        return Err(CliError::from_problem(status, &problem));
    }
    let (mut waiting, mut came) = (Vec::new(), false);
    while let Ok(Some(piece)) = answer.chunk().await {
        waiting.extend_from_slice(&piece);
        while let Some(end) = waiting.windows(2).position(|two| two == b"\n\n") {
            let event: Vec<u8> = waiting.drain(..end.saturating_add(2)).collect();
            came |= take(session, &String::from_utf8_lossy(&event), cursor);
        }
        if waiting.len() > MAX_EVENT_BYTES {
            return Err(CliError::failed("too_large", "the server sent an event without end"));
        }
    }
    Ok(came)
}

/// Prints the data of an event, and remembers where it stands.
fn take(session: &Session<'_>, event: &str, cursor: &mut Option<String>) -> bool {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    if let Some(data) = field("data") {
        session.out.line(data);
    }
    if let Some(id) = field("id") {
        *cursor = Some(id.to_owned());
    }
    field("data").is_some()
}
