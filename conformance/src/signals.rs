//! OpenID Shared Signals Framework 1.0 and CAEP 1.0: streams of security events, polled
//! (RFC 8936).
//!
//! Owns the calls of a receiver. The client of the profile has no stream before a row and none
//! after it.

pub(crate) mod events;
mod place;
pub(crate) mod streams;

use serde_json::{Value, json};

use crate::check::{Miss, ensure, fail, skip};
use crate::http::{Reply, Request};
use crate::issuer::{Issuer, metadata_url};
use crate::profile::Signals;

pub(crate) const POLL: &str = "urn:ietf:rfc:8936";
pub(crate) const PUSH: &str = "urn:ietf:rfc:8935";

/// A receiver: the transmitter's metadata, and a token for it.
pub(crate) struct Receiver<'a> {
    issuer: &'a Issuer,
    pub(crate) meta: Value,
    pub(crate) token: String,
}

impl Issuer {
    pub(crate) fn signals(&self) -> Result<&Signals, Miss> {
        match &self.profile.signals {
            Some(section) => Ok(section),
            None => skip("the profile has no [signals]"),
        }
    }

    pub(crate) async fn transmitter(&self) -> Result<Value, Miss> {
        self.signals()?;
        let url = metadata_url(self.url(), "ssf-configuration");
        let reply = self.http.get(&url).send().await?;
        ensure!(reply.status == 200 && reply.is_json(), "GET {url}: {}", reply.brief());
        Ok(reply.json)
    }

    pub(crate) async fn receiver(&self, client: &str, scope: &str) -> Result<Receiver<'_>, Miss> {
        let meta = self.transmitter().await?;
        let request = self.grant_for(client, &self.signals()?.resource, scope)?;
        let token = self.issue(&request).await.map_err(|miss| miss.at("a token for the streams"))?.token;
        Ok(Receiver { issuer: self, meta, token })
    }

    /// The receiver of the profile, without any stream.
    pub(crate) async fn fresh_receiver(&self) -> Result<Receiver<'_>, Miss> {
        let x = self.signals()?;
        let receiver = self.receiver(&x.client, &x.scope).await?;
        for stream in receiver.streams().await? {
            receiver.remove(&stream).await?;
        }
        Ok(receiver)
    }
}

impl Receiver<'_> {
    pub(crate) fn endpoint(&self, member: &str) -> Result<&str, Miss> {
        match self.meta.get(member).and_then(Value::as_str) {
            Some(url) => Ok(url),
            None => fail(format!("ssf-configuration has no {member}")),
        }
    }

    pub(crate) fn call(&self, method: &str, url: &str) -> Request {
        let request = self.issuer.http.get(url).method(method);
        request.header("authorization", &format!("Bearer {}", self.token))
    }

    pub(crate) fn send(&self, method: &str, url: &str, body: &Value) -> Request {
        self.call(method, url).content_type("application/json").raw(body.to_string())
    }

    /// Where one stream is.
    pub(crate) fn place(&self, stream: &str) -> Result<String, Miss> {
        Ok(format!("{}?stream_id={stream}", self.endpoint("configuration_endpoint")?))
    }

    pub(crate) async fn streams(&self) -> Result<Vec<String>, Miss> {
        let reply = self.call("GET", self.endpoint("configuration_endpoint")?).send().await?;
        ensure!(reply.status == 200, "GET the streams: {}", reply.brief());
        let Some(list) = reply.json.as_array() else { return fail("the streams are no list") };
        Ok(list.iter().filter_map(|one| one.get("stream_id")?.as_str().map(str::to_owned)).collect())
    }

    pub(crate) async fn remove(&self, stream: &str) -> Result<(), Miss> {
        let reply = self.call("DELETE", &self.place(stream)?).send().await?;
        ensure!(reply.status == 204, "DELETE a stream: {}", reply.brief());
        Ok(())
    }

    pub(crate) async fn create(&self, more: &Value) -> Result<Reply, Miss> {
        let mut body = json!({"delivery": {"method": POLL}});
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        self.send("POST", self.endpoint("configuration_endpoint")?, &body).send().await
    }

    /// A new stream: its id, and where it is polled.
    pub(crate) async fn stream(&self) -> Result<(String, String), Miss> {
        let reply = self.create(&json!({})).await?;
        ensure!(reply.status == 201, "POST a stream: {}", reply.brief());
        let url = reply.json.pointer("/delivery/endpoint_url").and_then(Value::as_str);
        match (reply.text("stream_id"), url) {
            (Some(id), Some(url)) => Ok((id.to_owned(), url.to_owned())),
            _ => fail(format!("a stream without stream_id or delivery.endpoint_url: {}", reply.json)),
        }
    }

    /// RFC 8936 section 2.4: the tokens that wait, by their `jti`.
    pub(crate) async fn poll(&self, url: &str, more: &Value) -> Result<Vec<(String, String)>, Miss> {
        let mut body = json!({"returnImmediately": true});
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        let reply = self.send("POST", url, &body).send().await?;
        ensure!(reply.status == 200 && reply.is_json(), "POST {url}: {}", reply.brief());
        let Some(sets) = reply.json.get("sets").and_then(Value::as_object) else { return fail("no sets") };
        Ok(sets.iter().filter_map(|(jti, set)| Some((jti.clone(), set.as_str()?.to_owned()))).collect())
    }
}
