//! For whom something is news: the streams of the services at which what it ends may be.
//!
//! An audience is known from the configuration (what a client may get tokens for) or from what
//! was noted when a token was exchanged for one at another audience. Such a note is made where a
//! service of that audience has a stream, so a stream is told of what was issued since it is
//! there. It names no token: all that share ancestor, audience and hour share one.

use super::stream::Stream;
use crate::app::App;
use crate::federation::is_federated;
use crate::limits::{LEEWAY_SECONDS, MAX_SIGNALS_PER_WORK, REACH_GRAIN_SECONDS};
use crate::records::Unavailable;
use std::collections::BTreeSet;
use std::sync::Arc;
use stipend_schema::queries::{OwnerFilter, PAGE_LIMIT, Page};
use stipend_schema::signals::{SignalReachRow, list_streams, reached};
use stipend_schema::{Note, Write};
use stipend_token::Audience;
use stipend_token::claims::AccessToken;
use stipend_token::revoked::RevokedKind;

/// The streams of the services of these audiences, each once.
pub(super) async fn streams(app: &App, audiences: &BTreeSet<String>) -> Result<Vec<Arc<Stream>>, Unavailable> {
    let mut services = BTreeSet::new();
    for audience in audiences {
        if let Some(resource) = app.records.find_resource(audience).await? {
            services.extend(resource.introspectors.iter().cloned());
        }
    }
    let mut streams = Vec::new();
    for service in services {
        streams.extend(app.records.find_stream(&service).await?);
    }
    Ok(streams)
}

/// Every stream there is, as many as one cause may tell. One that can't be read is left out: a key
/// is distrusted all the same.
pub(super) async fn all_streams(app: &App) -> Result<Vec<Arc<Stream>>, Unavailable> {
    let (mut streams, mut after): (Vec<Arc<Stream>>, Option<String>) = (Vec::new(), None);
    while streams.len() < MAX_SIGNALS_PER_WORK {
        let (db, page) = (app.store.db().clone(), Page { after, limit: PAGE_LIMIT });
        let read = app.store.run(async move { list_streams(&db, &OwnerFilter::All, &page).await }).await;
        let rows = read.ok().and_then(Result::ok).ok_or(Unavailable)?;
        let is_last = i64::try_from(rows.len()).unwrap_or(PAGE_LIMIT) < PAGE_LIMIT;
        after = rows.last().map(|row| row.id.clone());
        for row in rows {
            let id = row.id.clone();
            match Stream::read(row) {
                Ok(stream) => streams.push(Arc::new(stream)),
                Err(what) => tracing::error!(stream = id, what, "a stream can't be read, and is told nothing"),
            }
        }
        if is_last {
            break;
        }
    }
    Ok(streams)
}

/// The audiences of tokens that an entry of the revoked set can kill, as far as they were noted.
pub(super) async fn noted(app: &App, kind: RevokedKind, value: &str) -> Result<BTreeSet<String>, Unavailable> {
    let (db, value, now) = (app.store.db().clone(), value.to_owned(), app.clock.now());
    let read = app.store.run(async move { reached(&db, kind.as_str(), &value, now).await }).await;
    Ok(read.ok().and_then(Result::ok).ok_or(Unavailable)?.into_iter().collect())
}

/// What is to be noted with a token that was had for another: what can kill it, at each audience
/// that the other was not for. (Where the other was, it is noted or known already, and until
/// later: no token outlives what it was had for.)
///
/// # Errors
/// [`Unavailable`].
pub async fn reach(app: &App, claims: &AccessToken, moved_to: &[Audience]) -> Result<Vec<Write>, Unavailable> {
    let mut notes = Vec::new();
    for audience in moved_to {
        if streams(app, &BTreeSet::from([audience.as_str().to_owned()])).await?.is_empty() {
            continue;
        }
        let note = |(kind, value): (RevokedKind, &str)| {
            Write::Note(Note::Reach(SignalReachRow {
                kind: kind.as_str().to_owned(),
                value: value.to_owned(),
                audience: audience.as_str().to_owned(),
                ends_at: coarse(claims.exp.saturating_add(LEEWAY_SECONDS)),
            }))
        };
        notes.extend(killers(claims).map(note));
    }
    Ok(notes)
}

/// What can kill a token beside itself and its audience. Our own subjects are clients.
fn killers(claims: &AccessToken) -> impl Iterator<Item = (RevokedKind, &str)> {
    let tokens = claims.lineage.tokens.iter().map(|jti| (RevokedKind::Token, jti.as_str()));
    let user = Some(claims.sub.as_str()).filter(|sub| is_federated(sub)).map(|sub| (RevokedKind::Subject, sub));
    let issuer = claims.user.idp.as_deref().map(|idp| (RevokedKind::Issuer, idp));
    tokens.chain(claims.parties().map(|client| (RevokedKind::Client, client))).chain(user).chain(issuer)
}

/// The end of the hour, so that an hour's tokens share a row.
fn coarse(at: i64) -> i64 {
    at.div_euclid(REACH_GRAIN_SECONDS).saturating_add(1).saturating_mul(REACH_GRAIN_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_never_rounded_to_before_it() {
        for at in [0, 1, REACH_GRAIN_SECONDS - 1, REACH_GRAIN_SECONDS, 1_795_230_301] {
            let end = coarse(at);
            assert!(end > at && end - at <= REACH_GRAIN_SECONDS && end % REACH_GRAIN_SECONDS == 0, "{at} {end}");
        }
    }
}
