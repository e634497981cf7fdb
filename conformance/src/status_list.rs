//! draft-ietf-oauth-status-list: the status of tokens, for whoever reads it.

use std::io::Read;
use std::time::{Duration, Instant};

use flate2::read::ZlibDecoder;
use serde_json::{Value, json};

use crate::check::{Miss, Verdict, checks, ensure, fail, skip};
use crate::encode::{b64url_decode, now};
use crate::http::Reply;
use crate::issuer::{Issued, Issuer};
use crate::jwk::{member, signing_key, verifies};
use crate::jws::{claims_of, header_of};

checks! { "status_list";
    "AT14" H "token-status-list 6.2" "a token names its list and its place" => named;
    "SS15" M "token-status-list 5.1" "the list is a signed JWT of its own type, for its own address" => signed;
    "SS15/type" M "token-status-list 8.2" "served as application/statuslist+jwt" => media_type;
    "SS15/dates" M "token-status-list 5.1" "iat is past, exp and ttl are ahead" => dates;
    "SS16" M "token-status-list 4.1" "bits are 1, 2, 4 or 8, and lst inflates" => inflates;
    "SS17" M "token-status-list 13.3" "each token has a place of its own" => own_place;
    "SS17/valid" M "token-status-list 7.1" "a good token is 0" => valid;
    "SS17/revoked" M "token-status-list 7.1" "a revoked token becomes 1" => revoked;
    "SS17/child" H "token-status-list 7.1" "so does what was exchanged from it" => descendant;
    "SS18" M "token-status-list 8.3" "an unknown list is 404, and no other is served for it" => unknown_list;
    "SS18/kind" M "RFC 8725 3.11" "a list is no access token" => no_access_token;
}

const MEDIA_TYPE: &str = "application/statuslist+jwt";
/// Most that a list may inflate to here.
const MAX_LIST_BYTES: u64 = 1 << 22;
/// How long a revocation may take to show.
const SHOWN: Duration = Duration::from_secs(10);

async fn token(issuer: &Issuer) -> Result<Issued, Miss> {
    let Some(resource) = &issuer.profile.status_resource else {
        return skip("the profile has no status_resource");
    };
    issuer.issue(&issuer.grant_for("basic", resource, issuer.scope_of(resource)?)?).await
}

/// Where a token says its status is.
fn reference(token: &Issued) -> Result<(String, u64), Miss> {
    let claims = token.claims()?;
    let status = claims.pointer("/status/status_list").cloned().unwrap_or_default();
    match (status.get("uri").and_then(Value::as_str), status.get("idx").and_then(Value::as_u64)) {
        (Some(uri), Some(idx)) => Ok((uri.to_owned(), idx)),
        _ => fail(format!("status {:?}", claims.get("status"))),
    }
}

async fn fetch(issuer: &Issuer, uri: &str) -> Result<(Reply, Value, Value), Miss> {
    let reply = issuer.http.get(uri).header("accept", MEDIA_TYPE).send().await?;
    ensure!(reply.status == 200, "GET {uri}: {}", reply.brief());
    let jwt = String::from_utf8_lossy(&reply.body).trim().to_owned();
    let (Some(header), Some(claims)) = (header_of(&jwt), claims_of(&jwt)) else { return fail("no JWT") };
    let key = signing_key(&issuer.jwks, &jwt);
    ensure!(key.is_some_and(|key| verifies(key, member(&header, "alg"), &jwt)), "no key of the JWKS signed it");
    Ok((reply, header, claims))
}

/// Section 4: bits and bytes of a list.
fn inflate(claims: &Value) -> Result<(u64, Vec<u8>), Miss> {
    let list = claims.get("status_list").cloned().unwrap_or_default();
    let bits = list.get("bits").and_then(Value::as_u64).unwrap_or_default();
    ensure!(matches!(bits, 1 | 2 | 4 | 8), "bits {:?}", list.get("bits"));
    let Some(packed) = list.get("lst").and_then(Value::as_str).and_then(b64url_decode) else {
        return fail("lst is no base64url without padding");
    };
    let mut bytes = Vec::new();
    let read = ZlibDecoder::new(packed.as_slice()).take(MAX_LIST_BYTES).read_to_end(&mut bytes);
    ensure!(read.is_ok(), "lst is no ZLIB stream");
    Ok((bits, bytes))
}

/// Section 4.1: places are counted from the least significant bit of the first byte.
fn status_at(bits: u64, bytes: &[u8], idx: u64) -> Option<u8> {
    let per_byte = 8 / bits;
    let byte = bytes.get(usize::try_from(idx / per_byte).ok()?)?;
    let shift = u32::try_from((idx % per_byte) * bits).ok()?;
    let mask = u8::try_from((1_u16 << bits) - 1).ok()?;
    Some(byte.checked_shr(shift)? & mask)
}

async fn status_of(issuer: &Issuer, token: &Issued) -> Result<Option<u8>, Miss> {
    let (uri, idx) = reference(token)?;
    let (bits, bytes) = inflate(&fetch(issuer, &uri).await?.2)?;
    Ok(status_at(bits, &bytes, idx))
}

async fn named(issuer: &Issuer) -> Verdict {
    let (uri, idx) = reference(&token(issuer).await?)?;
    ensure!(url::Url::parse(&uri).is_ok_and(|url| url.fragment().is_none()), "uri {uri}");
    Ok(format!("{idx} of {uri}"))
}

async fn signed(issuer: &Issuer) -> Verdict {
    let (uri, _) = reference(&token(issuer).await?)?;
    let (_, header, claims) = fetch(issuer, &uri).await?;
    ensure!(member(&header, "typ") == "statuslist+jwt", "typ {:?}", header.get("typ"));
    ensure!(member(&claims, "sub") == uri, "sub {:?}, fetched from {uri}", claims.get("sub"));
    Ok(format!("signed with {}", member(&header, "alg")))
}

async fn media_type(issuer: &Issuer) -> Verdict {
    let (uri, _) = reference(&token(issuer).await?)?;
    let (reply, ..) = fetch(issuer, &uri).await?;
    let media = reply.header("content-type").split(';').next().unwrap_or_default().trim().to_owned();
    ensure!(media.eq_ignore_ascii_case(MEDIA_TYPE), "content type {media:?}");
    Ok(media)
}

async fn dates(issuer: &Issuer) -> Verdict {
    let (uri, _) = reference(&token(issuer).await?)?;
    let (_, _, claims) = fetch(issuer, &uri).await?;
    let date = |name: &str| claims.get(name).and_then(Value::as_i64);
    ensure!(date("iat").is_some_and(|iat| iat <= now() + 60), "iat {:?}", claims.get("iat"));
    ensure!(claims.get("exp").is_none() || date("exp").is_some_and(|exp| exp > now()), "exp {:?}", claims.get("exp"));
    ensure!(claims.get("ttl").is_none() || date("ttl").is_some_and(|ttl| ttl > 0), "ttl {:?}", claims.get("ttl"));
    ensure!(claims.get("exp").is_some() || claims.get("ttl").is_some(), "neither exp nor ttl: good for ever");
    Ok(format!("exp {:?}, ttl {:?}", date("exp").map(|exp| exp - now()), date("ttl")))
}

async fn inflates(issuer: &Issuer) -> Verdict {
    let (uri, idx) = reference(&token(issuer).await?)?;
    let (bits, bytes) = inflate(&fetch(issuer, &uri).await?.2)?;
    ensure!(status_at(bits, &bytes, idx).is_some(), "the list of {} bytes has no place {idx}", bytes.len());
    Ok(format!("{bits} bits, {} bytes", bytes.len()))
}

async fn own_place(issuer: &Issuer) -> Verdict {
    let mut places = Vec::new();
    for _ in 0..8 {
        places.push(reference(&token(issuer).await?)?);
    }
    let count = places.len();
    places.sort();
    let ordered = places.windows(2).all(|two| matches!(two, [(_, one), (_, next)] if one + 1 == *next));
    places.dedup();
    ensure!(places.len() == count, "{count} tokens have {} places", places.len());
    // Section 12.5: places that follow one another say in which order tokens were issued.
    ensure!(!ordered, "the places follow one another");
    Ok(format!("{count} tokens, {count} places"))
}

async fn valid(issuer: &Issuer) -> Verdict {
    let status = status_of(issuer, &token(issuer).await?).await?;
    ensure!(status == Some(0), "status {status:?}");
    Ok("0".into())
}

async fn becomes_invalid(issuer: &Issuer, token: &Issued) -> Verdict {
    let since = Instant::now();
    loop {
        let status = status_of(issuer, token).await?;
        if status == Some(1) {
            return Ok(format!("1 after {} ms", since.elapsed().as_millis()));
        }
        ensure!(since.elapsed() < SHOWN, "still {status:?} after {} s", SHOWN.as_secs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn revoked(issuer: &Issuer) -> Verdict {
    let (dead, alive) = (token(issuer).await?, token(issuer).await?);
    ensure!(status_of(issuer, &dead).await? == Some(0), "not 0 to begin with");
    let reply = issuer.revoke_as("basic", &dead.token)?.send().await?;
    ensure!(reply.status == 200, "revocation: {}", reply.brief());
    let seen = becomes_invalid(issuer, &dead).await?;
    let other = status_of(issuer, &alive).await?;
    ensure!(other == Some(0), "another token became {other:?}");
    Ok(seen)
}

async fn descendant(issuer: &Issuer) -> Verdict {
    let parent = token(issuer).await?;
    let Some(resource) = &issuer.profile.status_resource else { return skip("the profile has no status_resource") };
    let uri = &issuer.resource(resource)?.uri;
    let request = issuer.exchange_as("basic", &parent.token)?;
    let child = issuer.issue(&request.set("audience", uri).set("scope", issuer.scope_of(resource)?)).await?;
    ensure!(reference(&child)? != reference(&parent)?, "parent and child share a place");
    ensure!(status_of(issuer, &child).await? == Some(0), "not 0 to begin with");
    let reply = issuer.revoke_as("basic", &parent.token)?.send().await?;
    ensure!(reply.status == 200, "revocation: {}", reply.brief());
    becomes_invalid(issuer, &child).await
}

async fn unknown_list(issuer: &Issuer) -> Verdict {
    let (uri, _) = reference(&token(issuer).await?)?;
    let reply = issuer.http.get(&format!("{uri}x")).send().await?;
    ensure!(matches!(reply.status, 404 | 410), "{uri}x: {}", reply.brief());
    Ok(reply.brief())
}

async fn no_access_token(issuer: &Issuer) -> Verdict {
    let (uri, _) = reference(&token(issuer).await?)?;
    let (reply, ..) = fetch(issuer, &uri).await?;
    let jwt = String::from_utf8_lossy(&reply.body).trim().to_owned();
    let told = issuer.introspect(&jwt)?.send().await?;
    ensure!(told.json == json!({"active": false}), "{}", told.json);
    Ok("active false".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of section 4.1 and 4.2.
    #[test]
    fn the_drafts_own_lists_are_read_as_it_says() {
        let list = |bits: u64, lst: &str| json!({"status_list": {"bits": bits, "lst": lst}});
        let (bits, bytes) = inflate(&list(1, "eNrbuRgAAhcBXQ")).unwrap();
        assert_eq!((bits, bytes.as_slice()), (1, &[0xb9, 0xa3][..]));
        let read: Vec<u8> = (0..16).map(|idx| status_at(bits, &bytes, idx).unwrap()).collect();
        assert_eq!(read, [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]);
        let (bits, bytes) = inflate(&list(2, "eNo76fITAAPfAgc")).unwrap();
        let read: Vec<u8> = (0..12).map(|idx| status_at(bits, &bytes, idx).unwrap()).collect();
        assert_eq!(read, [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]);
        assert_eq!(status_at(bits, &bytes, 12), None);
    }
}
