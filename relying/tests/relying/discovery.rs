//! Finding the issuer: nothing but its own, well-formed, bounded documents will do.

use crate::stand_in::{AUDIENCE, NOW, Reply, StandIn};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use stipend_relying::{DiscoverError, FetchError, Options, Verifier};

#[tokio::test]
async fn the_issuer_must_match_byte_for_byte() {
    let issuer = StandIn::start().await;
    for other in [format!("{}/", issuer.issuer), issuer.issuer.to_uppercase(), "https://as.example".to_owned()] {
        let mut metadata = issuer.honest_metadata();
        metadata["issuer"] = json!(other);
        issuer.metadata(Reply::Json(metadata.to_string()));
        let refused = issuer.discover().await.unwrap_err();
        assert!(matches!(refused, DiscoverError::OtherIssuer { .. }), "{other}: {refused}");
    }
    assert_eq!(issuer.jwks_asked(), 0, "keys named by someone else's metadata are not fetched");
}

#[tokio::test]
async fn plain_http_is_for_loopback_only() {
    for url in
        ["http://as.example", "http://192.0.2.1", "http://localhost.example", "ftp://127.0.0.1", "as.example", ""]
    {
        let refused = Verifier::discover(url, AUDIENCE, NOW, Options::default()).await.unwrap_err();
        assert!(matches!(refused, DiscoverError::Fetch(FetchError::Url(_))), "{url}: {refused}");
    }
}

#[tokio::test]
async fn metadata_cannot_send_the_keys_elsewhere_over_plain_http() {
    let issuer = StandIn::start().await;
    for uri in ["http://as.example/keys", "https://as.example/keys", "file:///etc/passwd", "keys"] {
        let mut metadata = issuer.honest_metadata();
        metadata["jwks_uri"] = json!(uri);
        issuer.metadata(Reply::Json(metadata.to_string()));
        let refused = issuer.discover().await.unwrap_err();
        assert!(
            matches!(refused, DiscoverError::Fetch(FetchError::Url(_)) | DiscoverError::Metadata(_)),
            "{uri}: {refused}"
        );
    }
}

#[tokio::test]
async fn hostile_metadata_is_refused() {
    let issuer = StandIn::start().await;
    let honest = issuer.honest_metadata();
    let twice = format!("{{\"issuer\":\"https://evil.example\",{}", &honest.to_string()[1..]);
    let nested = format!("{{\"x\":{}{},{}", "[".repeat(40), "]".repeat(40), &honest.to_string()[1..]);
    for text in [twice, nested, "[]".to_owned(), "{".to_owned(), String::new(), format!("{honest} x")] {
        issuer.metadata(Reply::Json(text.clone()));
        assert!(matches!(issuer.discover().await, Err(DiscoverError::Metadata(_))), "{text}");
    }
    for jwks_uri in [Value::Null, json!(1), json!(["x"])] {
        let mut metadata = honest.clone();
        metadata["jwks_uri"] = jwks_uri;
        issuer.metadata(Reply::Json(metadata.to_string()));
        assert!(matches!(issuer.discover().await, Err(DiscoverError::Metadata(_))));
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let issuer = StandIn::start().await;
    issuer.metadata(Reply::Redirect(issuer.url("/elsewhere")));
    let refused = issuer.discover().await.unwrap_err();
    assert!(matches!(refused, DiscoverError::Fetch(FetchError::Status { status: 302, .. })), "{refused}");
    assert_eq!(issuer.asked("/elsewhere"), 0);
}

#[tokio::test]
async fn documents_beyond_a_mebibyte_are_not_read() {
    let issuer = StandIn::start().await;
    for announced in [true, false] {
        let large = Reply::Large { bytes: 1024 * 1024 + 1, announced };
        issuer.metadata(large.clone());
        let refused = issuer.discover().await.unwrap_err();
        assert!(matches!(refused, DiscoverError::Fetch(FetchError::TooLarge { .. })), "{refused}");
        issuer.metadata(Reply::Json(issuer.honest_metadata().to_string()));
        issuer.jwks(large);
        let refused = issuer.discover().await.unwrap_err();
        assert!(matches!(refused, DiscoverError::Fetch(FetchError::TooLarge { .. })), "{refused}");
    }
}

#[tokio::test]
async fn an_issuer_that_says_nothing_is_given_up_after_three_seconds() {
    let issuer = StandIn::start().await;
    issuer.metadata(Reply::Silent);
    let begun = Instant::now();
    let refused = issuer.discover().await.unwrap_err();
    assert!(refused.to_string().contains("no answer in time"), "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_key_set_without_a_usable_key_is_refused() {
    let issuer = StandIn::start().await;
    let rsa_1024 = json!({ "kty": "RSA", "kid": "r", "n": "AQAB".repeat(43), "e": "AQAB" });
    let off_curve = json!({ "kty": "EC", "kid": "e", "crv": "P-256", "x": "A".repeat(43), "y": "A".repeat(43) });
    let symmetric = json!({ "kty": "oct", "kid": "o", "k": "c2VjcmV0", "alg": "HS256" });
    let mut private: Value = serde_json::from_str(&issuer.key.public_jwk().to_public_json()).unwrap();
    private["d"] = json!("AAAA");
    for keys in
        [json!([]), json!([rsa_1024]), json!([off_curve]), json!([symmetric]), json!([private]), json!({}), json!(7)]
    {
        issuer.jwks(Reply::Json(json!({ "keys": keys }).to_string()));
        assert!(matches!(issuer.discover().await, Err(DiscoverError::NoKeys)), "{keys}");
    }
}

#[tokio::test]
async fn keys_that_share_an_id_are_no_keys() {
    let issuer = StandIn::start().await;
    let key: Value = serde_json::from_str(&issuer.key.public_jwk().to_public_json()).unwrap();
    issuer.jwks(Reply::Json(json!({ "keys": [key, key] }).to_string()));
    assert!(matches!(issuer.discover().await, Err(DiscoverError::NoKeys)));
}
