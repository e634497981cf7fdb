//! Whether an answer is right. Every answer is read: one that is fast and wrong is no figure.

use super::scenario::Expect;
use super::wire::Answer;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;

/// Most of a wrong answer that is shown.
const SHOWN_BYTES: usize = 300;

#[derive(Deserialize)]
struct Issued<'a> {
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    #[serde(borrow)]
    token_type: Cow<'a, str>,
    expires_in: i64,
}

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow)]
    client_id: Cow<'a, str>,
    #[serde(borrow)]
    jti: Cow<'a, str>,
    iat: i64,
    exp: i64,
    #[serde(borrow, default)]
    act: Option<Actor<'a>>,
}

#[derive(Deserialize)]
struct Actor<'a> {
    #[serde(borrow)]
    sub: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Activity<'a> {
    active: bool,
    #[serde(borrow, default)]
    client_id: Cow<'a, str>,
}

/// What an answer gave that is of further use.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Gave {
    pub token: Option<String>,
    pub jti: Option<String>,
    pub hold: Option<String>,
}

/// # Errors
/// What is wrong with it.
pub fn check(answer: &Answer, expect: &Expect) -> Result<Gave, String> {
    let wrong = |what: &str| format!("{what}: {} {}", answer.status, shown(&answer.body));
    if answer.status != 200 {
        return Err(wrong("not 200"));
    }
    let gave = match expect {
        Expect::Token { client, actor } => {
            token(&answer.body, client, actor.as_deref()).map_err(|what| wrong(&what))?
        }
        Expect::Active { client } => {
            let said: Activity = serde_json::from_slice(&answer.body).map_err(|error| wrong(&error.to_string()))?;
            if !said.active || said.client_id != client.as_str() {
                return Err(wrong("not an active token of this client"));
            }
            Gave::default()
        }
        Expect::Hold { member, .. } => {
            let hold = member_of(&answer.body, member).ok_or_else(|| wrong("no hold"))?;
            Gave { hold: Some(hold), ..Gave::default() }
        }
        Expect::Says { member, text } => match member_of(&answer.body, member) {
            Some(said) if said == *text => Gave::default(),
            _ => return Err(wrong("not what was to be said")),
        },
        Expect::Has { member } => match serde_json::from_slice::<Value>(&answer.body) {
            Ok(body) if body.get(member).is_some_and(|value| !value.is_null()) => Gave::default(),
            _ => return Err(wrong("something is missing")),
        },
    };
    Ok(gave)
}

fn member_of(body: &[u8], member: &str) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body.get(member)?.as_str().map(str::to_owned)
}

/// A token's payload is read, its signature not: that would be a second server's work.
fn token(body: &[u8], client: &str, actor: Option<&str>) -> Result<Gave, String> {
    let issued: Issued = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut parts = issued.access_token.split('.');
    let payload = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(payload), Some(signature), None) if signature.len() == 86 => payload,
        _ => return Err("no token that is signed by ES256".to_owned()),
    };
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|error| error.to_string())?;
    let claims: Claims = serde_json::from_slice(&payload).map_err(|error| error.to_string())?;
    let acting = claims.act.as_ref().map(|act| act.sub.as_ref());
    match () {
        () if !issued.token_type.eq_ignore_ascii_case("bearer") => Err("not a bearer's token".to_owned()),
        () if issued.expires_in <= 0 || claims.exp <= claims.iat => Err("a token without life".to_owned()),
        () if claims.client_id != client => Err(format!("a token of {}", claims.client_id)),
        () if acting != actor => Err(format!("a token that {acting:?} acts with")),
        () if claims.jti.is_empty() => Err("a token without an id".to_owned()),
        () => {
            let (jti, token) = (claims.jti.to_string(), issued.access_token.to_string());
            Ok(Gave { jti: Some(jti), token: Some(token), hold: None })
        }
    }
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(body.get(..SHOWN_BYTES).unwrap_or(body)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(status: u16, body: &Value) -> Answer {
        Answer { status, body: body.to_string().into_bytes() }
    }

    fn issued(claims: &Value, signature: usize) -> Value {
        let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
        let token = format!("e30.{payload}.{}", "A".repeat(signature));
        json!({"access_token": token, "token_type": "Bearer", "expires_in": 60})
    }

    fn expect(actor: Option<&str>) -> Expect {
        Expect::Token { client: "acme.a".to_owned(), actor: actor.map(str::to_owned) }
    }

    #[test]
    fn only_the_token_that_was_asked_for_is_right() {
        let claims = |change: Value| {
            let mut claims = json!({"client_id": "acme.a", "jti": "t_1", "iat": 10, "exp": 70});
            claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            claims
        };
        let good = issued(&claims(json!({})), 86);
        assert_eq!(check(&answer(200, &good), &expect(None)).unwrap().jti.as_deref(), Some("t_1"));
        let acted = issued(&claims(json!({"act": {"sub": "agent:b"}})), 86);
        assert!(check(&answer(200, &acted), &expect(Some("agent:b"))).is_ok());
        let wrong = [
            (answer(503, &good), expect(None)),
            (answer(200, &json!({"error": "invalid_client"})), expect(None)),
            (answer(200, &good), expect(Some("agent:b"))),
            (answer(200, &acted), expect(None)),
            (answer(200, &issued(&claims(json!({})), 85)), expect(None)),
            (answer(200, &issued(&claims(json!({"client_id": "acme.b"})), 86)), expect(None)),
            (answer(200, &issued(&claims(json!({"exp": 10})), 86)), expect(None)),
            (answer(200, &issued(&claims(json!({"jti": ""})), 86)), expect(None)),
        ];
        for (answer, expect) in &wrong {
            assert!(check(answer, expect).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn other_answers_must_say_what_was_asked_for() {
        let active = Expect::Active { client: "acme.a".to_owned() };
        assert!(check(&answer(200, &json!({"active": true, "client_id": "acme.a"})), &active).is_ok());
        for body in [json!({"active": false}), json!({"active": true, "client_id": "acme.b"}), json!({"active": true})]
        {
            assert!(check(&answer(200, &body), &active).is_err(), "{body}");
        }
        let says = Expect::Says { member: "object", text: "chat.completion" };
        assert!(check(&answer(200, &json!({"object": "chat.completion"})), &says).is_ok());
        assert!(check(&answer(200, &json!({"object": "error"})), &says).is_err());
        let has = Expect::Has { member: "value" };
        assert!(check(&answer(200, &json!({"value": null})), &has).is_err());
    }
}
