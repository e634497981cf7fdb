//! RFC 6750: bearer tokens at the endpoints that the profile calls protected, and the challenges
//! of those that do not get in.

use serde_json::{Value, json};

use crate::check::{Miss, Verdict, checks, ensure, skip};
use crate::encode::{nonce, now};
use crate::hostile::{forged_signatures, odd_encodings, other_algorithms};
use crate::issuer::Issuer;
use crate::jws::Signer;
use crate::protected::{challenged, challenges, let_in};

checks! { "protected_resource";
    "PR4" M "RFC 6750 3" "without a token: 401, a challenge, and no error code" => nothing_sent;
    "PR5" S "RFC 6750 3.1" "a token in two ways: 400 invalid_request" => two_ways;
    "PR6" M "RFC 6750 3.1" "a token that is none: 401 invalid_token" => no_tokens;
    "PR6/audience" M "RFC 9068 4" "a token for another resource: 401 invalid_token" => other_audience;
    "PR6/kind" M "RFC 9068 4" "a JWT of another kind is no access token" => other_kinds;
    "PR6/revoked" M "RFC 6750 3.1" "a revoked token: 401 invalid_token" => revoked;
    "PR6/expired" M "RFC 6750 3.1" "an expired token: 401 invalid_token" => expired;
    "PR7" M "RFC 6750 3.1" "too narrow a scope: 403 insufficient_scope, with the scope" => narrow;
    "PR8" M "OAuth 2.1 5.1" "a token in the query or in a form is none" => in_the_query;
    "PR9" M "RFC 6750 3" "attributes of a challenge appear once, in legal characters" => legal_challenges;
    "PR13" H "RFC 6585 4" "too many calls: 429 and Retry-After" => limited;
    "PR15" H "RFC 6750 5.3" "what needs a token is not stored by caches" => not_stored;
    "PR16" H "-" "a scope alone opens nothing" => scope_alone;
}

async fn nothing_sent(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let reply = issuer.call(place).send().await?;
            ensure!(reply.status == 401, "{}", reply.brief());
            let all = challenges(&reply);
            ensure!(all.iter().any(|one| one.scheme.eq_ignore_ascii_case("Bearer")), "no Bearer challenge");
            let error = all.iter().find_map(|one| one.get("error"));
            ensure!(error.is_none(), "error {error:?} although nothing was sent");
            let pointer = all.iter().find_map(|one| one.get("resource_metadata"));
            // RFC 9728 section 5.1.
            ensure!(!place.metadata || pointer.is_some(), "no resource_metadata");
            Ok("401".into())
        })
        .await
}

async fn two_ways(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let token = issuer.token_at(place).await?.token;
            let call = issuer.call_with(place, "Bearer", &token);
            let_in(&call.send().await?)?;
            let twice = call.clone().header("authorization", &format!("Bearer {token}")).send().await?;
            // A server that takes no token from a query sees one way there: only headers are tried.
            challenged(&twice, 400, "Bearer", &["invalid_request"]).map_err(|miss| miss.at("two headers"))
        })
        .await
}

/// What must be `invalid_token`, tried at every endpoint.
async fn refused(issuer: &Issuer, what: &str, token: &str) -> Verdict {
    let tried = issuer
        .at_each(|place| async move {
            let reply = issuer.call_with(place, "Bearer", token).send().await?;
            challenged(&reply, 401, "Bearer", &["invalid_token"])
        })
        .await;
    tried.map_err(|miss| miss.at(what))
}

async fn no_tokens(issuer: &Issuer) -> Verdict {
    let mut tried = 0;
    for (name, place) in issuer.protected()? {
        let genuine = issuer.token_at(place).await?.token;
        let mut vectors = vec![("garbage".to_owned(), nonce()), ("dots".to_owned(), "a.b.c".to_owned())];
        vectors.extend(forged_signatures(issuer, &genuine)?);
        vectors.extend(other_algorithms(&genuine));
        vectors.extend(odd_encodings(&genuine));
        for (what, token) in vectors.iter().filter(|(_, token)| token.bytes().all(|b| matches!(b, 0x21..=0x7e))) {
            let reply = issuer.call_with(place, "Bearer", token).send().await?;
            challenged(&reply, 401, "Bearer", &["invalid_token"])
                .map_err(|miss| miss.at(&format!("{what} at {name}")))?;
            tried += 1;
        }
        let_in(&issuer.call_with(place, "Bearer", &genuine).send().await?)?;
    }
    Ok(format!("{tried} that are none refused"))
}

async fn other_audience(issuer: &Issuer) -> Verdict {
    let token = issuer.issue(&issuer.grant("basic")?).await?.token;
    refused(issuer, "a token for resource a", &token).await
}

async fn other_kinds(issuer: &Issuer) -> Verdict {
    let signer = Signer::stranger(None).map_err(Miss::Fail)?;
    let mut seen = String::new();
    for (_, place) in issuer.protected()? {
        let uri = &issuer.resource(&place.resource)?.uri;
        let claims = json!({
            "iss": issuer.url(), "sub": "root", "aud": uri, "client_id": "root", "scope": place.scope,
            "iat": now(), "exp": now() + 300, "jti": nonce(),
        });
        for typ in [json!("at+jwt"), json!("JWT"), Value::Null] {
            let forged = signer.sign(&json!({"alg": "ES256", "typ": typ}), &claims);
            seen = refused(issuer, &format!("signed by a stranger as {typ}"), &forged).await?;
        }
    }
    // Genuinely the issuer's, but not an access token.
    if let Ok(request) = issuer.inspectable().await.and_then(|issued| issuer.introspect(&issued.token)) {
        let signed = request.header("accept", crate::rfc9701::MEDIA_TYPE).send().await?;
        if let Ok(jwt) = String::from_utf8(signed.body)
            && jwt.split('.').count() == 3
        {
            seen = refused(issuer, "a signed introspection", &jwt).await?;
        }
    }
    Ok(seen)
}

async fn revoked(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let token = issuer.token_at(place).await?.token;
            let call = issuer.call_with(place, "Bearer", &token);
            let_in(&call.send().await?)?;
            let reply = issuer.revoke_as(&place.client, &token)?.send().await?;
            ensure!(reply.status == 200, "revocation: {}", reply.brief());
            challenged(&call.send().await?, 401, "Bearer", &["invalid_token"])
        })
        .await
}

async fn expired(issuer: &Issuer) -> Verdict {
    let token = issuer.expired().await?;
    refused(issuer, "an expired token", &token).await
}

async fn narrow(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let Some(narrow) = &place.narrow_scope else { return skip("no narrow_scope") };
            let token = issuer.issue(&issuer.grant_at(place, &place.client, narrow)?).await?.token;
            let reply = issuer.call_with(place, "Bearer", &token).send().await?;
            challenged(&reply, 403, "Bearer", &["insufficient_scope"])?;
            let all = challenges(&reply);
            let scope = all.iter().find_map(|one| one.get("scope")).unwrap_or_default();
            let named = place.scope.split(' ').all(|needed| scope.split(' ').any(|word| word == needed));
            ensure!(named, "scope {scope:?} in {:?}", reply.all("www-authenticate"));
            Ok(format!("403 with scope {scope}"))
        })
        .await
}

async fn in_the_query(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let token = issuer.token_at(place).await?.token;
            let call = issuer.call(place).to(&format!("{}?access_token={token}", place.url));
            let reply = call.send().await?;
            ensure!(matches!(reply.status, 400 | 401), "in the query: {}", reply.brief());
            let form = issuer.http.form(&place.url).method(&place.method).with("access_token", &token).impatient();
            let reply = form.send().await?;
            ensure!((400..500).contains(&reply.status), "in a form: {}", reply.brief());
            Ok("refused".into())
        })
        .await
}

async fn legal_challenges(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let hostile = issuer.call_with(place, "Bearer", "\u{e4}\"\\canary").send().await?;
            let replies =
                [issuer.call(place).send().await?, issuer.call_with(place, "Bearer", "canary").send().await?, hostile];
            for reply in &replies {
                let all = challenges(reply);
                ensure!(!all.is_empty(), "no challenge in {}", reply.brief());
                for one in &all {
                    let mut names: Vec<_> = one.parameters.iter().map(|(name, _)| name.to_lowercase()).collect();
                    let count = names.len();
                    names.sort_unstable();
                    names.dedup();
                    ensure!(names.len() == count, "{:?}", reply.all("www-authenticate"));
                    for name in ["error", "error_description", "scope"] {
                        let legal = |c: char| matches!(c, '\x20'..='\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e');
                        ensure!(one.get(name).unwrap_or_default().chars().all(legal), "{name} in {one:?}");
                    }
                }
                ensure!(!reply.all("www-authenticate").concat().contains("canary"), "the token is quoted");
            }
            Ok("legal, and nothing quoted".into())
        })
        .await
}

async fn limited(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let Some(url) = &place.limited_url else { return skip("no limited_url") };
            let token = issuer.token_at(place).await?.token;
            let call = issuer.call_with(place, "Bearer", &token).to(url);
            let first = call.send().await?;
            ensure!(first.status == 429 || (200..300).contains(&first.status), "{}", first.brief());
            let reply = call.send().await?;
            ensure!(reply.status == 429, "the second call: {}", reply.brief());
            let after: Option<u64> = reply.header("retry-after").trim().parse().ok();
            // The profile's limit is a long one: whoever comes back sooner asks in vain.
            ensure!(after.is_some_and(|seconds| seconds >= 60), "Retry-After {:?}", reply.header("retry-after"));
            Ok(format!("429, Retry-After {}", reply.header("retry-after")))
        })
        .await
}

async fn not_stored(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let token = issuer.token_at(place).await?.token;
            let reply = issuer.call_with(place, "Bearer", &token).send().await?;
            let_in(&reply)?;
            ensure!(reply.no_store(), "Cache-Control {:?}", reply.header("cache-control"));
            Ok("no-store".into())
        })
        .await
}

async fn scope_alone(issuer: &Issuer) -> Verdict {
    issuer
        .at_each(|place| async move {
            let Some(other) = &place.other_client else { return skip("no other_client") };
            let token = issuer.issue(&issuer.grant_at(place, other, &place.scope)?).await?.token;
            let reply = issuer.call_with(place, "Bearer", &token).send().await?;
            ensure!(matches!(reply.status, 403 | 404), "{}", reply.brief());
            let own = issuer.token_at(place).await?.token;
            let_in(&issuer.call_with(place, "Bearer", &own).send().await?)?;
            Ok(reply.brief())
        })
        .await
}
