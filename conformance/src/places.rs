//! Every place where an issuer reads a JWT, and what a refusal is there.
//!
//! Owns the offering of one hostile token to one place. A place that accepts,
//! answers 5xx or breaks the form of its error fails the row.

use crate::check::{Miss, ensure};
use crate::client::asserted;
use crate::exchange::ACCESS_TOKEN;
use crate::issuer::{Issuer, refused};
use crate::rfc7523::REFUSALS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Assertion,
    Subject,
    Actor,
    Introspection,
    Revocation,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Assertion => "client_assertion",
            Self::Subject => "subject_token",
            Self::Actor => "actor_token",
            Self::Introspection => "introspection",
            Self::Revocation => "revocation",
        }
    }

    /// The places where access tokens are read, as far as this issuer has them.
    pub(crate) fn of_access_tokens(issuer: &Issuer) -> Vec<Self> {
        let missing = &issuer.profile.capabilities.missing;
        let exchange = issuer.profile.exchange.as_ref();
        let mut places = Vec::new();
        if exchange.is_some() && !missing.contains_key("token_exchange") {
            places.push(Self::Subject);
            if exchange.is_some_and(|x| x.actor_resource.is_some()) {
                places.push(Self::Actor);
            }
        }
        if issuer.profile.introspection.is_some() && !missing.contains_key("introspection") {
            places.push(Self::Introspection);
        }
        if !issuer.meta_text("revocation_endpoint").is_empty() && !missing.contains_key("revocation") {
            places.push(Self::Revocation);
        }
        places
    }
}

/// The token must be refused at that place, in proper form.
pub(crate) async fn offer(issuer: &Issuer, place: Place, what: &str, token: &str) -> Result<(), Miss> {
    let tried = try_at(issuer, place, token).await;
    tried.map_err(|miss| miss.at(&format!("{} at {}", what, place.name())))
}

async fn try_at(issuer: &Issuer, place: Place, token: &str) -> Result<(), Miss> {
    match place {
        Place::Assertion => {
            let reply = asserted(issuer.bare_grant()?, token).send().await?;
            refused(&reply, REFUSALS)?;
        }
        Place::Subject => {
            let request = issuer.delegation(&issuer.exchange()?.actor_client, token).await?;
            refused(&request.send().await?, &["invalid_request"])?;
        }
        Place::Actor => {
            let request = issuer.allowed().await?.set("actor_token", token);
            let reply = request.set("actor_token_type", ACCESS_TOKEN).send().await?;
            refused(&reply, &["invalid_request"])?;
        }
        Place::Introspection => {
            let reply = issuer.introspect(token)?.send().await?;
            // IN3 and IN4 judge the form; here only a yes, or a failure, counts.
            let inactive = reply.json.get("active") == Some(&serde_json::json!(false));
            let refusal = reply.status == 400 && reply.json.get("active").is_none();
            let fine = (reply.status == 200 && inactive) || refusal;
            ensure!(fine, "{} {}", reply.brief(), reply.json);
        }
        Place::Revocation => {
            // RFC 7009 2.2: an invalid token is answered 200; some name it instead.
            let reply = issuer.revoke_as("basic", token)?.send().await?;
            ensure!(matches!(reply.status, 200 | 400), "{}", reply.brief());
            ensure!(reply.status == 200 || reply.is_json(), "400 without JSON");
        }
    }
    Ok(())
}

/// Offers every vector at every place of an access token, then sees that the
/// genuine one was not touched.
pub(crate) async fn offer_everywhere(
    issuer: &Issuer,
    genuine: &str,
    vectors: &[(String, String)],
) -> Result<usize, Miss> {
    let mut offered = 0;
    let places = Place::of_access_tokens(issuer);
    for place in &places {
        for (what, token) in vectors {
            offer(issuer, *place, what, token).await?;
            offered += 1;
        }
    }
    if places.contains(&Place::Introspection) && places.contains(&Place::Revocation) {
        ensure!(issuer.active(genuine).await?, "a forged copy revoked the genuine token");
    }
    Ok(offered)
}
