//! The issuer under test, as the rows see it.
//!
//! Owns discovery and the ordinary requests that rows start from: a client
//! credentials grant, introspection, revocation, and what a proper refusal
//! looks like.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::check::{Miss, ensure, fail, skip};
use crate::client::{Credential, Login};
use crate::http::{Http, Reply, Request};
use crate::idp::{Published, published_jwk, signer};
use crate::jws::claims_of;
use crate::profile::{Introspection, Profile, Resource};

/// How long the run waits for a token to expire, and the skew it grants.
const MAX_WAIT_SECONDS: u64 = 10;
const SKEW_SECONDS: u64 = 2;
pub(crate) const CLIENT_CREDENTIALS: &str = "client_credentials";

pub(crate) struct Issuer {
    pub(crate) profile: Profile,
    pub(crate) http: Http,
    pub(crate) meta: Value,
    pub(crate) jwks: Value,
    /// The keys of the issuer that the run plays, where it publishes them.
    pub(crate) published: Option<Published>,
    clients: BTreeMap<String, Login>,
}

/// A token that was granted, with its answer.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) token: String,
    pub(crate) reply: Reply,
}

impl Issued {
    pub(crate) fn claims(&self) -> Result<Value, Miss> {
        match claims_of(&self.token) {
            Some(claims) => Ok(claims),
            None => skip("access tokens of this issuer are opaque"),
        }
    }
}

impl Issuer {
    /// Reads metadata and keys, and prepares the clients.
    pub(crate) async fn discover(profile: Profile) -> Result<Self, Miss> {
        let http = Http::new(profile.issuer.ca_pem.as_deref()).map_err(Miss::Fail)?;
        let mut clients = BTreeMap::new();
        for (name, client) in &profile.clients {
            let credential = Credential::of(name, client).map_err(Miss::Fail)?;
            let login = Login { name: name.clone(), id: client.id.clone(), credential, profile: client.clone() };
            clients.insert(name.clone(), login);
        }
        let url = metadata_url(&profile.issuer.url, "oauth-authorization-server");
        let meta = http.get(&url).send().await?;
        ensure!(meta.status == 200, "GET {url}: {}", meta.brief());
        let meta = meta.json;
        let jwks = match meta.get("jwks_uri").and_then(Value::as_str) {
            // Keys that cannot be fetched fail their own rows, not the run.
            Some(uri) => http.get(uri).send().await.map_or(Value::Null, |reply| reply.json),
            None => Value::Null,
        };
        let published = publish(&profile).await?;
        Ok(Self { profile, http, meta, jwks, published, clients })
    }

    pub(crate) fn url(&self) -> &str {
        &self.profile.issuer.url
    }

    pub(crate) fn meta_text(&self, member: &str) -> &str {
        self.meta.get(member).and_then(Value::as_str).unwrap_or_default()
    }

    /// A list of strings in the metadata; empty when it is absent.
    pub(crate) fn meta_list(&self, member: &str) -> Vec<&str> {
        let list = self.meta.get(member).and_then(Value::as_array);
        list.map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }

    pub(crate) fn endpoint(&self, member: &str) -> Result<&str, Miss> {
        match self.meta_text(member) {
            "" => fail(format!("the metadata has no {member}")),
            url => Ok(url),
        }
    }

    pub(crate) fn clients(&self) -> impl Iterator<Item = &Login> {
        self.clients.values()
    }

    pub(crate) fn find_client(&self, name: &str) -> Option<&Login> {
        self.clients.get(name)
    }

    pub(crate) fn client(&self, name: &str) -> Result<&Login, Miss> {
        match self.clients.get(name) {
            Some(login) => Ok(login),
            None => skip(format!("the profile has no client `{name}`")),
        }
    }

    pub(crate) fn resource(&self, name: &str) -> Result<&Resource, Miss> {
        match self.profile.resources.get(name) {
            Some(resource) => Ok(resource),
            None => skip(format!("the profile has no resource `{name}`")),
        }
    }

    pub(crate) fn scope_of(&self, name: &str) -> Result<&str, Miss> {
        match self.resource(name)?.scopes.first() {
            Some(scope) => Ok(scope),
            None => skip(format!("the profile gives resource `{name}` no scope")),
        }
    }

    /// A post to the token endpoint, still without client.
    pub(crate) fn token(&self) -> Result<Request, Miss> {
        Ok(self.http.form(self.endpoint("token_endpoint")?))
    }

    pub(crate) fn sign_in(&self, request: Request, login: &Login) -> Result<Request, Miss> {
        login.sign_in(request, self.url())
    }

    /// An unauthenticated client credentials request for resource `a`.
    pub(crate) fn bare_grant(&self) -> Result<Request, Miss> {
        let request = self.token()?.with("grant_type", CLIENT_CREDENTIALS);
        let request = request.with("resource", &self.resource("a")?.uri);
        Ok(request.with("scope", self.scope_of("a")?))
    }

    /// The same, authenticated.
    pub(crate) fn grant(&self, client: &str) -> Result<Request, Miss> {
        self.sign_in(self.bare_grant()?, self.client(client)?)
    }

    pub(crate) fn grant_for(&self, client: &str, resource: &str, scope: &str) -> Result<Request, Miss> {
        let uri = &self.resource(resource)?.uri;
        Ok(self.grant(client)?.set("resource", uri).set("scope", scope))
    }

    pub(crate) async fn issue(&self, request: &Request) -> Result<Issued, Miss> {
        granted(request.send().await?)
    }

    pub(crate) fn introspection(&self) -> Result<&Introspection, Miss> {
        match &self.profile.introspection {
            Some(section) => Ok(section),
            None => skip("the profile has no [introspection]"),
        }
    }

    /// A token that can be introspected and revoked, issued to client `basic`.
    pub(crate) async fn inspectable(&self) -> Result<Issued, Miss> {
        let resource = self.introspection()?.resource.clone();
        let scope = self.scope_of(&resource)?;
        self.issue(&self.grant_for("basic", &resource, scope)?).await
    }

    pub(crate) fn introspect_as(&self, client: &str, token: &str) -> Result<Request, Miss> {
        let request = self.http.form(self.endpoint("introspection_endpoint")?).with("token", token);
        self.sign_in(request, self.client(client)?)
    }

    pub(crate) fn introspect(&self, token: &str) -> Result<Request, Miss> {
        self.introspect_as(&self.introspection()?.client, token)
    }

    /// Whether introspection says so.
    pub(crate) async fn active(&self, token: &str) -> Result<bool, Miss> {
        is_active(&self.introspect(token)?.send().await?)
    }

    pub(crate) fn revoke_as(&self, client: &str, token: &str) -> Result<Request, Miss> {
        let request = self.http.form(self.endpoint("revocation_endpoint")?).with("token", token);
        self.sign_in(request, self.client(client)?)
    }

    /// A token of this issuer that has expired.
    pub(crate) async fn expired(&self) -> Result<String, Miss> {
        if let Some(token) = &self.profile.tokens.expired {
            return Ok(token.0.clone());
        }
        let Some(resource) = &self.profile.tokens.short_lived_resource else {
            return skip("the profile has no expired token");
        };
        let issued = self.issue(&self.grant_for("basic", resource, self.scope_of(resource)?)?).await?;
        let life = issued.reply.json.get("expires_in").and_then(Value::as_u64).unwrap_or(u64::MAX);
        ensure!(life <= MAX_WAIT_SECONDS, "the short-lived resource gives {life} s");
        tokio::time::sleep(Duration::from_secs(life + SKEW_SECONDS)).await;
        Ok(issued.token)
    }

    /// The server still answers an ordinary request.
    pub(crate) async fn alive(&self) -> Result<(), Miss> {
        self.issue(&self.grant("basic")?).await.map_err(|miss| miss.at("afterwards"))?;
        Ok(())
    }
}

/// Serves what the issuer under test is to fetch from us, if anything.
async fn publish(profile: &Profile) -> Result<Option<Published>, Miss> {
    let Some((idp, address)) = profile.idp.as_ref().and_then(|idp| Some((idp, idp.listen.as_ref()?))) else {
        return Ok(None);
    };
    let published = Published::at(address, &idp.issuer, published_jwk(&signer(&idp.key)?)).await;
    published.map(Some).map_err(Miss::Fail)
}

/// RFC 7662 2.2: `active`, in an answer of proper form.
pub(crate) fn is_active(reply: &Reply) -> Result<bool, Miss> {
    match reply.json.get("active").and_then(Value::as_bool) {
        Some(active) if reply.status == 200 => Ok(active),
        _ => fail(format!("introspection answered {}", reply.brief())),
    }
}

/// RFC 8414 3.1: the suffix goes between host and path, less a trailing slash.
pub(crate) fn metadata_url(issuer: &str, name: &str) -> String {
    let start = issuer.find("://").map_or(0, |at| at + 3);
    let split = issuer.get(start..).and_then(|rest| rest.find('/')).map(|at| at + start);
    let (origin, path) = match split {
        Some(at) => issuer.split_at_checked(at).unwrap_or((issuer, "")),
        None => (issuer, ""),
    };
    format!("{origin}/.well-known/{name}{}", path.trim_end_matches('/'))
}

/// RFC 6749 5.1: a 200 with an access token.
pub(crate) fn granted(reply: Reply) -> Result<Issued, Miss> {
    match reply.text("access_token") {
        Some(token) if reply.status == 200 => Ok(Issued { token: token.to_owned(), reply }),
        _ => fail(format!("expected a token, got {}", reply.brief())),
    }
}

/// RFC 6749 5.2: JSON, status 400 (401 for `invalid_client` only), one of the
/// codes, legal characters, and no token.
pub(crate) fn refused(reply: &Reply, codes: &[&str]) -> Result<String, Miss> {
    ensure!(reply.json.get("access_token").is_none(), "a token was issued");
    ensure!(reply.is_json(), "{} is not a JSON object", reply.brief());
    ensure!(codes.contains(&reply.error()), "expected {}, got {}", codes.join("/"), reply.brief());
    let proper = match reply.error() {
        "invalid_client" => reply.status == 400 || reply.status == 401,
        _ => reply.status == 400,
    };
    ensure!(proper, "status {}", reply.brief());
    legal_text(reply)?;
    Ok(reply.brief())
}

/// RFC 6749 5.2: the characters `error` and `error_description` may have.
pub(crate) fn legal_text(reply: &Reply) -> Result<(), Miss> {
    for member in ["error", "error_description"] {
        let text = reply.text(member).unwrap_or_default();
        let legal = |c: char| matches!(c, '\x20'..='\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e');
        ensure!(text.chars().all(legal), "{member} has an illegal character: {text:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::metadata_url;

    #[test]
    fn the_well_known_part_goes_between_host_and_path() {
        let at = |issuer| metadata_url(issuer, "x");
        assert_eq!(at("https://as.example"), "https://as.example/.well-known/x");
        assert_eq!(at("https://as.example/"), "https://as.example/.well-known/x");
        assert_eq!(at("https://as.example/t/1"), "https://as.example/.well-known/x/t/1");
        assert_eq!(at("https://as.example/t/"), "https://as.example/.well-known/x/t");
    }
}
