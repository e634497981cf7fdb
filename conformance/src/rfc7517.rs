//! RFC 7517: the published keys.

use serde_json::Value;

use crate::check::{Verdict, checks, ensure};
use crate::issuer::Issuer;
use crate::jwk::{keys, member, thumbprint};
use crate::rfc6749::token::secure;

checks! { "jwks";
    "JK1" M "RFC 7517 4, 5" "a set of keys with kty, public members only" => public_keys_only;
    "JK2" S "RFC 7517 5" "every key has its own kid" => distinct_kids;
    "JK2/thumbprint" H "RFC 7638 3" "the kid is the key's SHA-256 thumbprint" => kid_is_the_thumbprint;
    "JK3" M "RFC 8414 2" "use is present when signing and encryption keys are published" => use_is_present;
    "JK4" S "RFC 8725 3.1" "every key names its one algorithm, and it fits" => one_algorithm_per_key;
    "JK7" H "RFC 9110 8.8.3" "max-age and ETag are sent, and 304 answers If-None-Match" => cacheable;
    "JK10" M "RFC 8414 2" "jwks_uri is https, or loopback" => jwks_uri_is_secure;
}

async fn public_keys_only(issuer: &Issuer) -> Verdict {
    let reply = issuer.http.get(issuer.endpoint("jwks_uri")?).send().await?;
    ensure!(reply.status == 200, "{}", reply.brief());
    let media = reply.header("content-type");
    ensure!(media.starts_with("application/json") || media.starts_with("application/jwk-set+json"), "{media}");
    let keys = keys(&reply.json);
    ensure!(!keys.is_empty(), "no keys");
    for key in keys {
        ensure!(!member(key, "kty").is_empty(), "a key without kty");
        ensure!(member(key, "kty") != "oct", "a symmetric key");
        for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            ensure!(key.get(private).is_none(), "private member {private}");
        }
    }
    Ok(format!("{} public keys", keys.len()))
}

async fn distinct_kids(issuer: &Issuer) -> Verdict {
    let mut kids: Vec<&str> = keys(&issuer.jwks).iter().map(|key| member(key, "kid")).collect();
    let all = kids.len();
    kids.sort_unstable();
    kids.dedup();
    ensure!(all > 0 && kids.len() == all && !kids.contains(&""), "{all} keys, kids {kids:?}");
    Ok(format!("{all} kids"))
}

async fn kid_is_the_thumbprint(issuer: &Issuer) -> Verdict {
    let keys = keys(&issuer.jwks);
    ensure!(!keys.is_empty(), "no keys");
    for key in keys {
        let (kid, expected) = (member(key, "kid"), thumbprint(key).unwrap_or_default());
        ensure!(kid == expected, "kid {kid}, thumbprint {expected}");
    }
    Ok(format!("{} of {}", keys.len(), keys.len()))
}

async fn use_is_present(issuer: &Issuer) -> Verdict {
    let keys = keys(&issuer.jwks);
    let encryption = keys.iter().any(|key| member(key, "use") == "enc" || member(key, "alg").starts_with("ECDH"));
    let missing = keys.iter().filter(|key| member(key, "use").is_empty()).count();
    ensure!(!keys.is_empty(), "no keys");
    ensure!(!encryption || missing == 0, "{missing} keys without use beside encryption keys");
    let odd = keys.iter().find(|key| !matches!(member(key, "use"), "" | "sig" | "enc"));
    ensure!(odd.is_none(), "an unknown use");
    Ok(if encryption { "use on every key" } else { "signing keys only" }.into())
}

async fn one_algorithm_per_key(issuer: &Issuer) -> Verdict {
    let mut seen = Vec::new();
    for key in keys(&issuer.jwks) {
        let alg = member(key, "alg");
        let fits = match (member(key, "kty"), member(key, "crv")) {
            ("EC", "P-256") => alg == "ES256",
            ("EC", "P-384") => alg == "ES384",
            ("EC", "P-521") => alg == "ES512",
            ("OKP", _) => alg == "EdDSA" || alg == "Ed25519",
            ("RSA", _) => alg.starts_with("RS") || alg.starts_with("PS"),
            _ => false,
        };
        ensure!(fits, "kty {} {} with alg {alg:?}", member(key, "kty"), member(key, "crv"));
        seen.push(alg);
    }
    ensure!(!seen.is_empty(), "no keys");
    Ok(seen.join(", "))
}

async fn cacheable(issuer: &Issuer) -> Verdict {
    cached(issuer, issuer.endpoint("jwks_uri")?).await
}

/// max-age, an ETag, and 304 when it is sent back; shared with the metadata.
pub(crate) async fn cached(issuer: &Issuer, url: &str) -> Verdict {
    let first = issuer.http.get(url).send().await?;
    let (cache, tag) = (first.header("cache-control"), first.header("etag"));
    ensure!(cache.contains("max-age="), "Cache-Control {cache:?}");
    ensure!(!tag.is_empty(), "no ETag");
    let again = issuer.http.get(url).header("if-none-match", tag).send().await?;
    ensure!(again.status == 304 && again.body.is_empty(), "If-None-Match: {}", again.brief());
    let other = issuer.http.get(url).header("if-none-match", "\"other\"").send().await?;
    ensure!(other.status == 200 && other.json != Value::Null, "another tag: {}", other.brief());
    Ok(format!("{cache}; 304 by ETag"))
}

async fn jwks_uri_is_secure(issuer: &Issuer) -> Verdict {
    let uri = issuer.endpoint("jwks_uri")?;
    ensure!(secure(uri), "{uri}");
    Ok(uri.to_owned())
}
