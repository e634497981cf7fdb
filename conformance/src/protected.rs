//! Requests to the endpoints that the profile calls protected, and what their refusals say.
//!
//! Owns the reading of `WWW-Authenticate` (RFC 9110 section 11.6.1). What a resource answers is
//! judged by status and challenge alone: the form of its bodies is its own.

use crate::check::{Miss, Verdict, ensure, fail, skip};
use crate::http::{Reply, Request};
use crate::issuer::{Issued, Issuer};
use crate::profile::Protected;

/// One challenge: its scheme, and its parameters as they came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) scheme: String,
    pub(crate) parameters: Vec<(String, String)>,
}

impl Challenge {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// The challenges of an answer. A name before a blank and no `=` begins a new one.
pub(crate) fn challenges(reply: &Reply) -> Vec<Challenge> {
    reply.all("www-authenticate").into_iter().flat_map(read).collect()
}

fn read(header: &str) -> Vec<Challenge> {
    let mut all: Vec<Challenge> = Vec::new();
    for piece in pieces(header) {
        let piece = piece.trim();
        let name = piece.split(['=', ' ']).next().unwrap_or_default();
        let rest = piece.get(name.len()..).unwrap_or_default();
        let parameter = if rest.starts_with('=') {
            piece
        } else {
            all.push(Challenge { scheme: name.to_owned(), parameters: Vec::new() });
            rest.trim()
        };
        if let (Some((key, value)), Some(last)) = (parameter.split_once('='), all.last_mut()) {
            let value = value.trim().trim_matches('"').replace("\\\"", "\"");
            last.parameters.push((key.trim().to_owned(), value));
        }
    }
    all
}

/// Split at the commas outside quotes.
fn pieces(header: &str) -> Vec<String> {
    let (mut all, mut quoted, mut escaped) = (vec![String::new()], false, false);
    for c in header.chars() {
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        match (c, all.last_mut()) {
            (',', _) if !quoted => all.push(String::new()),
            (c, Some(last)) => last.push(c),
            (_, None) => {}
        }
    }
    all.retain(|piece| !piece.trim().is_empty());
    all
}

impl Issuer {
    /// The endpoints, or why there is nothing to try.
    pub(crate) fn protected(&self) -> Result<Vec<(&str, &Protected)>, Miss> {
        if self.profile.protected.is_empty() {
            return skip("the profile has no [protected.…]");
        }
        Ok(self.profile.protected.iter().map(|(name, section)| (name.as_str(), section)).collect())
    }

    /// A request without a token.
    pub(crate) fn call(&self, place: &Protected) -> Request {
        let request = self.http.get(&place.url).method(&place.method).impatient();
        match &place.body {
            Some(body) => request.content_type("application/json").raw(body.as_str()),
            None => request,
        }
    }

    pub(crate) fn call_with(&self, place: &Protected, scheme: &str, token: &str) -> Request {
        self.call(place).header("authorization", &format!("{scheme} {token}"))
    }

    /// A token request for an endpoint, by a client of choice.
    pub(crate) fn grant_at(&self, place: &Protected, client: &str, scope: &str) -> Result<Request, Miss> {
        self.grant_for(client, &place.resource, scope)
    }

    /// A bearer token that is enough there.
    pub(crate) async fn token_at(&self, place: &Protected) -> Result<Issued, Miss> {
        let request = self.grant_at(place, &place.client, &place.scope)?;
        self.issue(&request).await.map_err(|miss| miss.at("a token for the resource"))
    }

    /// Each of the endpoints; what was seen at the last.
    pub(crate) async fn at_each<'a, F>(&'a self, check: impl Fn(&'a Protected) -> F) -> Verdict
    where
        F: Future<Output = Verdict>,
    {
        let mut seen = Vec::new();
        for (name, place) in self.protected()? {
            match check(place).await {
                Ok(what) => seen.push(format!("{name}: {what}")),
                // What one endpoint lacks does not excuse the others.
                Err(Miss::Skip(_)) => {}
                Err(miss) => return Err(miss.at(name)),
            }
        }
        match seen.is_empty() {
            true => skip("no [protected.…] of the profile has what this needs"),
            false => Ok(seen.join("; ")),
        }
    }
}

/// The request was let in.
pub(crate) fn let_in(reply: &Reply) -> Result<(), Miss> {
    ensure!((200..300).contains(&reply.status), "a good token: {}", reply.brief());
    Ok(())
}

/// RFC 6750 section 3.1: the status, and a challenge of the scheme with the error.
pub(crate) fn challenged(reply: &Reply, status: u16, scheme: &str, errors: &[&str]) -> Verdict {
    ensure!(reply.status == status, "expected {status}, got {}", reply.brief());
    let all = challenges(reply);
    let Some(own) = all.iter().find(|challenge| challenge.scheme.eq_ignore_ascii_case(scheme)) else {
        return fail(format!("no {scheme} challenge in {:?}", reply.all("www-authenticate")));
    };
    let error = own.get("error").unwrap_or_default();
    ensure!(errors.contains(&error), "error {error:?} in {:?}", reply.all("www-authenticate"));
    Ok(format!("{status} {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_with_commas_in_quotes_and_several_in_one_header() {
        let all = read(r#"Bearer realm="a, b", error="invalid_token", DPoP algs="ES256 PS256", Basic"#);
        let schemes: Vec<_> = all.iter().map(|challenge| challenge.scheme.as_str()).collect();
        assert_eq!(schemes, ["Bearer", "DPoP", "Basic"]);
        assert_eq!(all[0].get("realm"), Some("a, b"));
        assert_eq!(all[0].get("ERROR"), Some("invalid_token"));
        assert_eq!(all[1].get("algs"), Some("ES256 PS256"));
        assert!(all[2].parameters.is_empty());
    }
}
