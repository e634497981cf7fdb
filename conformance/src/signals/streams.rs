//! SSF 1.0 sections 7 and 8: metadata, and the life of a stream.

use serde_json::{Value, json};

use crate::check::{Miss, Verdict, checks, ensure, skip};
use crate::issuer::Issuer;
use crate::jwk::{member, signing_key, verifies};
use crate::jws::{claims_of, header_of};
use crate::protected::challenges;
use crate::signals::place::Place;
use crate::signals::{POLL, PUSH};

checks! { "signals";
    "SS4" M "SSF 1.0 7" "ssf-configuration names the issuer, the keys and the endpoints" => configuration;
    "SS5" M "SSF 1.0 7.1" "push and poll are both offered" => deliveries;
    "SS5/push" M "RFC 8935 2" "what a push stream tells is sent to its receiver, with its own authorization" => pushed;
    "SS6" M "SSF 1.0 8.1.1" "a stream is made, read, updated, replaced and removed" => life;
    "SS6/unauthorized" M "SSF 1.0 8.1.1" "without a good token: 401; without the scope: 403" => closed;
    "SS6/unknown" M "SSF 1.0 8.1.1" "an unknown stream, and another receiver's: 404" => not_found;
    "SS6/second" M "SSF 1.0 8.1.1.1" "where one stream is all there may be, a second is a 409" => second;
    "SS6/malformed" M "SSF 1.0 8.1.1" "a body that is none: 400, and nothing changed" => malformed;
    "SS7" M "SSF 1.0 8.1.2" "its status is read and set" => status;
}

async fn configuration(issuer: &Issuer) -> Verdict {
    let meta = issuer.transmitter().await?;
    ensure!(member(&meta, "issuer") == issuer.url(), "issuer {:?}", meta.get("issuer"));
    let version = member(&meta, "spec_version");
    ensure!(version.starts_with("1_"), "spec_version {version:?}");
    for name in ["jwks_uri", "configuration_endpoint", "status_endpoint", "verification_endpoint"] {
        ensure!(member(&meta, name).starts_with("http"), "{name} {:?}", meta.get(name));
    }
    let schemes = meta.get("authorization_schemes").and_then(Value::as_array);
    ensure!(schemes.is_some_and(|list| !list.is_empty()), "authorization_schemes {schemes:?}");
    let keys = issuer.http.get(member(&meta, "jwks_uri")).send().await?;
    ensure!(keys.status == 200 && keys.json.get("keys").is_some(), "jwks_uri: {}", keys.brief());
    Ok(version.to_owned())
}

async fn deliveries(issuer: &Issuer) -> Verdict {
    let meta = issuer.transmitter().await?;
    let named = meta.get("delivery_methods_supported").and_then(Value::as_array).cloned().unwrap_or_default();
    for method in [PUSH, POLL] {
        ensure!(named.contains(&json!(method)), "delivery_methods_supported {named:?}");
    }
    Ok("both".into())
}

async fn pushed(issuer: &Issuer) -> Verdict {
    let Some(address) = &issuer.signals()?.listen else { return skip("the profile has no signals.listen") };
    let receiver = issuer.fresh_receiver().await?;
    let mut place = Place::at(address).await.map_err(Miss::Fail)?;
    let delivery = json!({"method": PUSH, "endpoint_url": place.url(), "authorization_header": "Bearer conformance"});
    let made = receiver.create(&json!({"delivery": delivery})).await?;
    ensure!(made.status == 201, "POST: {}", made.brief());
    let id = made.text("stream_id").unwrap_or_default().to_owned();
    ensure!(!made.json.to_string().contains("Bearer conformance"), "the receiver's authorization is shown");
    let token = super::events::revoke_one(issuer).await?;
    let jti = claims_of(&token).and_then(|claims| claims.get("jti").cloned()).unwrap_or_default();
    // Once it is not taken: it must come again, the same.
    place.answer(503);
    let first = place.next().await?;
    place.answer(202);
    let again = place.next().await?;
    receiver.remove(&id).await?;
    for pushed in [&first, &again] {
        ensure!(pushed.method == "POST", "{} {}", pushed.method, pushed.body);
        let media = pushed.header("content-type");
        ensure!(media == Some("application/secevent+jwt"), "content-type {media:?}");
        let authorization = pushed.header("authorization");
        ensure!(authorization == Some("Bearer conformance"), "authorization {authorization:?}");
    }
    ensure!(first.body == again.body, "another token when it is sent again");
    let claims = claims_of(&again.body).unwrap_or_default();
    ensure!(claims.pointer("/sub_id/jti") == Some(&jti), "sub_id {:?}, not {jti}", claims.get("sub_id"));
    let signed = signing_key(&issuer.jwks, &again.body)
        .zip(header_of(&again.body))
        .is_some_and(|(key, header)| verifies(key, member(&header, "alg"), &again.body));
    ensure!(signed, "no key of the JWKS signed it");
    Ok("sent, and sent again".into())
}

async fn life(issuer: &Issuer) -> Verdict {
    let receiver = issuer.fresh_receiver().await?;
    let made = receiver.create(&json!({"description": "one", "x_conformance": 1})).await?;
    ensure!(made.status == 201 && made.is_json(), "POST: {}", made.brief());
    let id = made.text("stream_id").unwrap_or_default().to_owned();
    ensure!(!id.is_empty(), "no stream_id");
    ensure!(made.text("iss") == Some(issuer.url()), "iss {:?}", made.json.get("iss"));
    ensure!(made.json.get("aud").is_some(), "no aud");
    ensure!(made.json.get("x_conformance").is_none(), "an unknown member came back");
    let (place, url) = (receiver.place(&id)?, receiver.endpoint("configuration_endpoint")?);
    let read = receiver.call("GET", &place).send().await?;
    ensure!(read.status == 200 && read.json == made.json, "GET: {} {}", read.brief(), read.json);
    let patch = receiver.send("PATCH", url, &json!({"stream_id": id, "description": "two"})).send().await?;
    ensure!(patch.status == 200 && patch.text("description") == Some("two"), "PATCH: {} {}", patch.brief(), patch.json);
    // What a replacement leaves out is gone.
    let put = receiver.send("PUT", url, &json!({"stream_id": id, "delivery": {"method": POLL}})).send().await?;
    ensure!(put.status == 200 && put.json.get("description").is_none(), "PUT: {} {}", put.brief(), put.json);
    receiver.remove(&id).await?;
    let gone = receiver.call("GET", &place).send().await?;
    ensure!(gone.status == 404, "GET after DELETE: {}", gone.brief());
    Ok("POST 201, GET, PATCH, PUT 200, DELETE 204".into())
}

async fn closed(issuer: &Issuer) -> Verdict {
    let (x, receiver) = (issuer.signals()?, issuer.fresh_receiver().await?);
    let url = receiver.endpoint("configuration_endpoint")?;
    let bare = issuer.http.get(url).send().await?;
    ensure!(bare.status == 401 && !challenges(&bare).is_empty(), "without a token: {}", bare.brief());
    let elsewhere = issuer.issue(&issuer.grant("basic")?).await?.token;
    for (what, token) in [("garbage", "garbage"), ("a token for resource a", elsewhere.as_str())] {
        let reply = issuer.http.get(url).header("authorization", &format!("Bearer {token}")).send().await?;
        ensure!(reply.status == 401, "{what}: {}", reply.brief());
    }
    let reader = issuer.receiver(&x.client, &x.read_scope).await?;
    let reply = reader.create(&json!({})).await?;
    ensure!(reply.status == 403, "with {}: {}", x.read_scope, reply.brief());
    ensure!(receiver.streams().await?.is_empty(), "a stream was made");
    Ok("401, 403".into())
}

async fn not_found(issuer: &Issuer) -> Verdict {
    let x = issuer.signals()?;
    let receiver = issuer.fresh_receiver().await?;
    let (own, url) = receiver.stream().await?;
    let other = issuer.receiver(&x.other_client, &x.scope).await?;
    for id in [own.as_str(), "nobody-made-this"] {
        for method in ["GET", "DELETE"] {
            let reply = other.call(method, &other.place(id)?).send().await?;
            ensure!(reply.status == 404, "{method} {id} of another: {}", reply.brief());
        }
        let body = json!({"stream_id": id, "status": "disabled"});
        let reply = other.send("POST", other.endpoint("status_endpoint")?, &body).send().await?;
        ensure!(reply.status == 404, "status of {id}: {}", reply.brief());
        let reply =
            other.send("POST", other.endpoint("verification_endpoint")?, &json!({"stream_id": id})).send().await?;
        ensure!(reply.status == 404, "verification of {id}: {}", reply.brief());
    }
    let polled = other.send("POST", &url, &json!({"returnImmediately": true})).send().await?;
    ensure!(matches!(polled.status, 401 | 403 | 404), "polled by another: {}", polled.brief());
    let still = receiver.call("GET", &receiver.place(&own)?).send().await?;
    ensure!(still.status == 200, "it is gone: {}", still.brief());
    receiver.remove(&own).await?;
    Ok("404".into())
}

async fn second(issuer: &Issuer) -> Verdict {
    let receiver = issuer.fresh_receiver().await?;
    receiver.stream().await?;
    let reply = receiver.create(&json!({})).await?;
    let ids = receiver.streams().await?;
    for id in &ids {
        receiver.remove(id).await?;
    }
    if reply.status == 201 {
        ensure!(ids.len() == 2, "201, and {} streams", ids.len());
        return Ok("several are allowed".into());
    }
    ensure!(reply.status == 409 && ids.len() == 1, "{}, {} streams", reply.brief(), ids.len());
    Ok("409".into())
}

async fn malformed(issuer: &Issuer) -> Verdict {
    let receiver = issuer.fresh_receiver().await?;
    let url = receiver.endpoint("configuration_endpoint")?;
    for body in ["", "[]", "{", "7", r#"{"events_requested":"all"}"#, r#"{"delivery":{"method":"urn:by:pigeon"}}"#] {
        let reply = receiver.send("POST", url, &Value::Null).raw(body).send().await?;
        ensure!(reply.status == 400, "{body:?}: {}", reply.brief());
    }
    ensure!(receiver.streams().await?.is_empty(), "a stream was made");
    Ok("6 bodies".into())
}

async fn status(issuer: &Issuer) -> Verdict {
    let receiver = issuer.fresh_receiver().await?;
    let (id, _) = receiver.stream().await?;
    let url = receiver.endpoint("status_endpoint")?;
    for status in ["paused", "disabled", "enabled"] {
        let body = json!({"stream_id": id, "status": status});
        let set = receiver.send("POST", url, &body).send().await?;
        ensure!(set.status == 200 && set.text("status") == Some(status), "{status}: {} {}", set.brief(), set.json);
        let read = receiver.call("GET", &format!("{url}?stream_id={id}")).send().await?;
        ensure!(read.text("status") == Some(status), "{status} reads {:?}", read.json.get("status"));
    }
    let bad = receiver.send("POST", url, &json!({"stream_id": id, "status": "running"})).send().await?;
    ensure!(bad.status == 400, "an unknown status: {}", bad.brief());
    receiver.remove(&id).await?;
    Ok("paused, disabled, enabled".into())
}
