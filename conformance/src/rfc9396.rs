//! RFC 9396: authorization_details at the token endpoint.

use serde_json::{Value, json};

use crate::check::{Miss, Verdict, checks, ensure, fail, skip};
use crate::http::Request;
use crate::issuer::{Issued, Issuer, granted, is_active, refused};
use crate::jwk::member;
use crate::jws::claims_of;
use crate::profile::Details;

checks! { "authorization_details";
    "RA1" M "RFC 9396 2" "a list of objects, each with a type" => list_of_objects;
    "RA2/type" M "RFC 9396 5" "an unknown type: invalid_authorization_details" => unknown_type;
    "RA2/field" M "RFC 9396 5" "an unknown field: the same" => unknown_field;
    "RA2/json" M "RFC 9396 5" "a field of the wrong JSON type: the same" => wrong_json_type;
    "RA2/value" M "RFC 9396 5" "an invalid value: the same" => invalid_value;
    "RA2/missing" M "RFC 9396 5" "a required field that is missing: the same" => missing_field;
    "RA3" M "RFC 9396 7" "the answer says what was granted" => answered;
    "RA4" M "RFC 9396 3.1" "details widen no scope, and a scope no details" => beside_scope;
    "RA5" M "RFC 9396 12" "hostile lists are refused or inert" => hostile;
    "RA6" S "RFC 9396 2.1" "the type's name is one that nobody else would take" => own_name;
    "RA7" M "RFC 9396 10" "a client asks only for the types that it is registered for" => registered_types;
    "RA8" M "RFC 9396 9" "the resource server gets them, in the token or by introspection" => told;
    "RA9" M "RFC 9396 6.1" "an exchange grants what is within, and nothing outside" => narrowed;
    "RA9/text" H "RFC 9396 6.1" "compared by what they mean, not by their text" => meaning;
    "RA10" M "draft-ietf-oauth-rar-metadata" "each type has its schema, and examples that fit it" => type_metadata;
    "AT13" S "RFC 9396 9.1" "in a JWT they stand at the top" => at_the_top;
    "IN10" M "RFC 9396 9.2" "introspection has them at the top, as granted" => introspected;
}

const INVALID: &[&str] = &["invalid_authorization_details"];
pub(crate) const PARAMETER: &str = "authorization_details";

fn section(issuer: &Issuer) -> Result<&Details, Miss> {
    match &issuer.profile.details {
        Some(section) => Ok(section),
        None => skip("the profile has no [details]"),
    }
}

fn request(issuer: &Issuer, details: &str) -> Result<Request, Miss> {
    let x = section(issuer)?;
    Ok(issuer.grant_for(&x.client, &x.resource, &x.scope)?.with(PARAMETER, details))
}

async fn good(issuer: &Issuer) -> Result<Issued, Miss> {
    let issued = granted(request(issuer, &section(issuer)?.granted)?.send().await?);
    issued.map_err(|miss| miss.at("details.granted"))
}

async fn refuses(issuer: &Issuer, what: &str, details: &str) -> Verdict {
    let reply = request(issuer, details)?.send().await?;
    refused(&reply, INVALID).map_err(|miss| miss.at(what))
}

/// The objects that the profile says are granted.
fn objects(issuer: &Issuer) -> Result<Vec<Value>, Miss> {
    match serde_json::from_str(&section(issuer)?.granted) {
        Ok(Value::Array(list)) if !list.is_empty() => Ok(list),
        _ => fail("details.granted is no list of objects"),
    }
}

async fn list_of_objects(issuer: &Issuer) -> Verdict {
    good(issuer).await?;
    let object = objects(issuer)?.swap_remove(0);
    let untyped = crate::idp::with(&object, &[("type", Value::Null)]);
    let numbered = crate::idp::with(&object, &[("type", json!(7))]);
    let vectors = [
        ("an object", object.to_string()),
        ("text", json!("all").to_string()),
        ("a list of text", json!(["all"]).to_string()),
        ("a list of lists", json!([[object]]).to_string()),
        ("no JSON", "[{".to_owned()),
        ("more behind it", format!("[{object}] []")),
        ("no type", json!([untyped]).to_string()),
        ("a type that is no text", json!([numbered]).to_string()),
        ("one good and one bad", json!([object, untyped]).to_string()),
    ];
    for (what, details) in &vectors {
        refuses(issuer, what, details).await?;
    }
    Ok(format!("{} refused", vectors.len()))
}

async fn unknown_type(issuer: &Issuer) -> Verdict {
    good(issuer).await?;
    let object = objects(issuer)?.swap_remove(0);
    for name in ["https://conformance.example/unknown", "", "__proto__"] {
        let changed = crate::idp::with(&object, &[("type", json!(name))]);
        refuses(issuer, name, &json!([changed]).to_string()).await?;
    }
    let known = member(&object, "type").to_uppercase();
    refuses(issuer, "in capitals", &json!([crate::idp::with(&object, &[("type", json!(known))])]).to_string()).await
}

/// A fault that the profile spells out.
async fn fault(issuer: &Issuer, name: &str) -> Verdict {
    good(issuer).await?;
    match section(issuer)?.faults.get(name) {
        Some(details) => refuses(issuer, name, details).await,
        None => skip(format!("the profile has no details.faults.\"{name}\"")),
    }
}

async fn unknown_field(issuer: &Issuer) -> Verdict {
    good(issuer).await?;
    let object = objects(issuer)?.swap_remove(0);
    let changed = crate::idp::with(&object, &[("x_conformance", json!(1))]);
    refuses(issuer, "x_conformance", &json!([changed]).to_string()).await
}

async fn registered_types(issuer: &Issuer) -> Verdict {
    let x = section(issuer)?;
    let Some(client) = &x.limited_client else { return skip("the profile has no details.limited_client") };
    let plain = issuer.grant_for(client, &x.resource, &x.scope)?;
    granted(plain.send().await?).map_err(|miss| miss.at("a token without details"))?;
    let reply = plain.with(PARAMETER, &x.granted).send().await?;
    refused(&reply, INVALID).map_err(|miss| miss.at("a type that it is not registered for"))?;
    good(issuer).await?;
    Ok("400 invalid_authorization_details".into())
}

async fn wrong_json_type(issuer: &Issuer) -> Verdict {
    fault(issuer, "wrong JSON type").await
}

async fn invalid_value(issuer: &Issuer) -> Verdict {
    fault(issuer, "invalid value").await?;
    let named = ["wrong JSON type", "invalid value", "missing field"];
    let more = section(issuer)?.faults.iter().filter(|(name, _)| !named.contains(&name.as_str()));
    let mut tried = 1;
    for (name, details) in more {
        refuses(issuer, name, details).await?;
        tried += 1;
    }
    Ok(format!("{tried} refused"))
}

async fn missing_field(issuer: &Issuer) -> Verdict {
    fault(issuer, "missing field").await
}

/// What the answer says was granted.
fn said(issued: &Issued) -> Result<&Vec<Value>, Miss> {
    match issued.reply.json.get(PARAMETER).and_then(Value::as_array) {
        Some(list) => Ok(list),
        None => fail("no authorization_details in the answer"),
    }
}

async fn answered(issuer: &Issuer) -> Verdict {
    let issued = good(issuer).await?;
    let (asked, said) = (objects(issuer)?, said(&issued)?);
    for object in &asked {
        let found = said.iter().find(|one| contains(one, object));
        ensure!(found.is_some(), "{object} is not in {said:?}");
    }
    ensure!(said.len() == asked.len(), "{} granted, {} asked for", said.len(), asked.len());
    Ok(format!("{} as asked", said.len()))
}

/// Whether an object has all that another has; lists in any order.
fn contains(object: &Value, part: &Value) -> bool {
    match (object, part) {
        (Value::Object(object), Value::Object(part)) => {
            part.iter().all(|(name, value)| object.get(name).is_some_and(|own| contains(own, value)))
        }
        (Value::Array(list), Value::Array(part)) => {
            list.len() == part.len() && part.iter().all(|one| list.iter().any(|own| contains(own, one)))
        }
        (value, part) => value == part,
    }
}

async fn beside_scope(issuer: &Issuer) -> Verdict {
    let (x, issued) = (section(issuer)?, good(issuer).await?);
    let claims = claims_of(&issued.token).unwrap_or_default();
    let scope = issued.reply.text("scope").unwrap_or(member(&claims, "scope"));
    ensure!(scope == x.scope, "scope {scope:?}, asked for {:?}", x.scope);
    let bare = issuer.issue(&issuer.grant_for(&x.client, &x.resource, &x.scope)?).await?;
    let own = objects(issuer)?;
    let none = bare
        .reply
        .json
        .get(PARAMETER)
        .and_then(Value::as_array)
        .is_none_or(|list| !list.iter().any(|one| own.iter().any(|object| contains(one, object))));
    ensure!(none, "a scope brought the details along: {:?}", bare.reply.json.get(PARAMETER));
    let reply = request(issuer, &x.granted)?.set("scope", "stranger:everything").send().await?;
    let widened = reply.text("scope").unwrap_or_default().contains("stranger");
    ensure!(!widened, "details brought a scope along");
    Ok(format!("scope {scope}"))
}

async fn hostile(issuer: &Issuer) -> Verdict {
    good(issuer).await?;
    let object = objects(issuer)?.swap_remove(0);
    let kind = member(&object, "type").to_owned();
    let text = |value: &str| crate::idp::with(&object, &[("x", json!(value))]);
    let inner = object.to_string();
    let open = inner.strip_suffix('}').unwrap_or_default();
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    let vectors = [
        ("HTML", json!([text("<script>canary</script>")]).to_string()),
        ("SQL", json!([text("canary'); DROP TABLE x; --")]).to_string()),
        ("a type of HTML", json!([{"type": "<b>canary</b>"}]).to_string()),
        ("line breaks", json!([text("canary\r\nX-Canary: 1\u{0}")]).to_string()),
        ("a megabyte", json!([text(&"x".repeat(1 << 20))]).to_string()),
        ("depth", format!("[{open},\"x\":{deep}}}]")),
        ("a member twice", format!("[{open},\"type\":\"{kind}\"}}]")),
        ("a thousand objects", format!("[{}]", vec![inner.as_str(); 1_000].join(","))),
        ("half a surrogate", format!("[{open},\"x\":\"\\ud800\"}}]")),
        ("a number beyond all", format!("[{open},\"x\":1e999}}]")),
    ];
    for (what, details) in &vectors {
        let reply = request(issuer, details)?.send().await?;
        ensure!((400..500).contains(&reply.status), "{what}: {}", reply.brief());
        ensure!(reply.json.get("access_token").is_none(), "{what}: a token was issued");
        ensure!(!String::from_utf8_lossy(&reply.body).contains("canary"), "{what}: quoted in the answer");
    }
    issuer.alive().await?;
    Ok(format!("{} refused, nothing quoted", vectors.len()))
}

async fn own_name(issuer: &Issuer) -> Verdict {
    section(issuer)?;
    let types = issuer.meta_list("authorization_details_types_supported");
    ensure!(!types.is_empty(), "no authorization_details_types_supported");
    let plain: Vec<_> = types.iter().filter(|name| !name.contains(':')).collect();
    ensure!(plain.is_empty(), "no URI: {plain:?}");
    Ok(types.join(" "))
}

/// Where a resource server finds them.
async fn told(issuer: &Issuer) -> Verdict {
    let issued = good(issuer).await?;
    let own = objects(issuer)?;
    let held = |document: &Value| {
        let list = document.get(PARAMETER).and_then(Value::as_array);
        list.is_some_and(|list| own.iter().all(|object| list.iter().any(|one| contains(one, object))))
    };
    if claims_of(&issued.token).as_ref().is_some_and(held) {
        return Ok("in the token".into());
    }
    let reply = issuer.introspect(&issued.token)?.send().await?;
    ensure!(held(&reply.json), "neither in the token nor in {}", reply.json);
    Ok("by introspection".into())
}

async fn at_the_top(issuer: &Issuer) -> Verdict {
    let issued = good(issuer).await?;
    let claims = issued.claims()?;
    let list = claims.get(PARAMETER).and_then(Value::as_array).cloned().unwrap_or_default();
    for object in objects(issuer)? {
        ensure!(list.iter().any(|one| contains(one, &object)), "{object} is not in {list:?}");
    }
    Ok(format!("{} objects", list.len()))
}

async fn introspected(issuer: &Issuer) -> Verdict {
    let issued = good(issuer).await?;
    let reply = issuer.introspect(&issued.token)?.send().await?;
    ensure!(is_active(&reply)?, "inactive");
    let list = reply.json.get(PARAMETER).and_then(Value::as_array).cloned().unwrap_or_default();
    for object in objects(issuer)? {
        ensure!(list.iter().any(|one| contains(one, &object)), "{object} is not in {list:?}");
    }
    Ok(format!("{} objects", list.len()))
}

/// The client's own token again, with other details.
fn exchange(issuer: &Issuer, subject: &str, details: &str) -> Result<Request, Miss> {
    let x = section(issuer)?;
    let uri = &issuer.resource(&x.resource)?.uri;
    let request = issuer.exchange_as(&x.client, subject)?.set("audience", uri).set("scope", &x.scope);
    Ok(request.with(PARAMETER, details))
}

async fn narrowed(issuer: &Issuer) -> Verdict {
    let x = section(issuer)?;
    let subject = good(issuer).await?.token;
    let child = granted(exchange(issuer, &subject, &x.narrower)?.send().await?);
    let child = child.map_err(|miss| miss.at("details.narrower"))?;
    let wanted: Value = serde_json::from_str(&x.narrower).unwrap_or_default();
    for object in wanted.as_array().into_iter().flatten() {
        let held = said(&child)?.iter().any(|one| contains(one, object));
        ensure!(held, "{object} is not in {:?}", said(&child)?);
    }
    let reply = exchange(issuer, &subject, &x.wider)?.send().await?;
    if reply.status == 200 {
        let outside: Value = serde_json::from_str(&x.wider).unwrap_or_default();
        let whole = granted(reply)?;
        let widened = outside
            .as_array()
            .into_iter()
            .flatten()
            .any(|object| said(&whole).is_ok_and(|list| list.iter().any(|one| contains(one, object))));
        ensure!(!widened, "details.wider was granted");
    } else {
        refused(&reply, INVALID).map_err(|miss| miss.at("details.wider"))?;
    }
    // What a child gave up it does not get back.
    let back = exchange(issuer, &child.token, &x.granted)?.send().await?;
    if back.status == 200 {
        let whole = granted(back)?;
        let own = objects(issuer)?;
        let regained = own.iter().all(|object| said(&whole).is_ok_and(|l| l.iter().any(|one| contains(one, object))));
        ensure!(!regained, "the child got back what it had given up");
        return Ok("narrowed, and cut down again".into());
    }
    refused(&back, INVALID).map_err(|miss| miss.at("back to details.granted"))
}

async fn meaning(issuer: &Issuer) -> Verdict {
    let subject = good(issuer).await?.token;
    let mut spelled = Vec::new();
    for object in objects(issuer)? {
        let members: Vec<String> = object
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| format!(" {} : {value}\n", json!(name)))
            .collect();
        let turned: Vec<String> = members.into_iter().rev().collect();
        spelled.push(format!("{{{}}}", turned.join(",")));
    }
    let details = format!("[ {} ]", spelled.join(" , "));
    granted(exchange(issuer, &subject, &details)?.send().await?).map_err(|miss| miss.at("in other words"))?;
    Ok("members turned round, blanks and line breaks".into())
}

async fn type_metadata(issuer: &Issuer) -> Verdict {
    section(issuer)?;
    let url = issuer.endpoint("authorization_details_types_metadata_endpoint")?;
    let reply = issuer.http.get(url).send().await?;
    ensure!(reply.status == 200 && reply.is_json(), "GET {url}: {}", reply.brief());
    let mut examples = 0;
    for name in issuer.meta_list("authorization_details_types_supported") {
        let Some(kind) = reply.json.get(name) else { return fail(format!("{name} is not in it")) };
        let (schema, uri) = (kind.get("schema"), kind.get("schema_uri"));
        ensure!(schema.is_some() != uri.is_some(), "{name} has schema {}, schema_uri {uri:?}", schema.is_some());
        let pinned = schema.and_then(|schema| schema.pointer("/properties/type/const"));
        ensure!(schema.is_none() || pinned == Some(&json!(name)), "{name}: the schema's type is {pinned:?}");
        for example in kind.get("examples").and_then(Value::as_array).into_iter().flatten() {
            ensure!(member(example, "type") == name, "an example of {name} has type {:?}", example.get("type"));
            let missing = schema.and_then(|schema| schema.get("required")).and_then(Value::as_array);
            let missing = missing.into_iter().flatten().filter_map(Value::as_str).find(|m| example.get(m).is_none());
            ensure!(missing.is_none(), "an example of {name} lacks {missing:?}");
            examples += 1;
        }
    }
    ensure!(examples > 0, "no examples");
    Ok(format!("{examples} examples"))
}
