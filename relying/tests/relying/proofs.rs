//! Tokens bound to a key: refused as bearer tokens, taken with a proof of the key, once.

use crate::stand_in::{AUDIENCE, NOW, StandIn};
use actix_web::http::header::WWW_AUTHENTICATE;
use actix_web::test::{TestRequest, init_service, try_call_service};
use actix_web::{App, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::Arc;
use stipend_keys::dpop::ProofError;
use stipend_keys::{Algorithm, Signer, SigningKey, random_id, sha256};
use stipend_relying::actix::Guard;
use stipend_relying::{Presented, Scheme, VerifyError};

const URL: &str = "https://orders.example/orders/7";
const CERTIFICATE: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

struct Client {
    issuer: StandIn,
    key: Signer,
    token: String,
}

impl Client {
    async fn new() -> Self {
        let issuer = StandIn::start().await;
        let key = signer();
        let token = issuer.token_with("cnf", json!({ "jkt": key.public_jwk().thumbprint() }));
        Self { issuer, key, token }
    }

    fn claims(&self) -> Value {
        let ath = URL_SAFE_NO_PAD.encode(sha256(self.token.as_bytes()));
        json!({ "jti": random_id("p_"), "htm": "GET", "htu": URL, "iat": NOW, "ath": ath })
    }

    fn proof(&self) -> String {
        self.proof_with("jti", json!(random_id("p_")))
    }

    fn proof_with(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value;
        }
        self.key.prove(claims.to_string().as_bytes()).unwrap()
    }
}

fn signer() -> Signer {
    SigningKey::generate(Algorithm::Es256).unwrap().signer().unwrap()
}

fn dpop<'a>(token: &'a str, proofs: &'a [&'a str]) -> Presented<'a> {
    Presented { token, scheme: Scheme::Dpop, proofs, method: "GET", url: URL, certificate: None }
}

#[tokio::test]
async fn a_bound_token_is_no_bearer_token_for_whoever_calls_the_old_way() {
    let client = Client::new().await;
    let verifier = client.issuer.discover().await.unwrap();
    let refused = verifier.verify(&client.token, NOW).await.unwrap_err();
    assert_eq!((refused, refused.status()), (VerifyError::Bound, 401));
    let challenge = refused.www_authenticate().unwrap();
    assert!(
        challenge.starts_with("DPoP error=\"invalid_token\"") && challenge.contains("algs=\"ES256 "),
        "{challenge}"
    );
    let certified = client.issuer.token_with("cnf", json!({ "x5t#S256": CERTIFICATE }));
    assert_eq!(verifier.verify(&certified, NOW).await.unwrap_err(), VerifyError::Certificate);
    // A constraint that can't be read is none that could be kept.
    for cnf in [json!({}), json!({ "jkt": "x" }), json!({ "kid": "a" }), json!("x")] {
        let token = client.issuer.token_with("cnf", cnf.clone());
        assert_eq!(verifier.verify(&token, NOW).await.unwrap_err(), VerifyError::Claims, "{cnf}");
    }
}

#[tokio::test]
async fn a_proof_of_the_key_is_taken_once() {
    let client = Client::new().await;
    let verifier = client.issuer.discover().await.unwrap();
    let proof = client.proof();
    let token = verifier.verify_presented(&dpop(&client.token, &[&proof]), NOW).await.unwrap();
    assert_eq!(token.client_id, "acme.planner");
    for now in [NOW, NOW + 60] {
        let again = verifier.verify_presented(&dpop(&client.token, &[&proof]), now).await.unwrap_err();
        assert_eq!((again, again.status()), (VerifyError::ProofReplayed, 401));
        assert!(again.www_authenticate().unwrap().starts_with("DPoP error=\"invalid_dpop_proof\""));
    }
    let stale = verifier.verify_presented(&dpop(&client.token, &[&proof]), NOW + 61).await.unwrap_err();
    assert_eq!(stale, VerifyError::Proof(ProofError::Times));
    assert!(verifier.verify_presented(&dpop(&client.token, &[&client.proof()]), NOW).await.is_ok());
}

#[tokio::test]
async fn of_many_at_once_one_proof_serves_one() {
    let client = Client::new().await;
    let verifier = client.issuer.discover().await.unwrap();
    let proof = client.proof();
    let proofs = [proof.as_str()];
    let presented = dpop(&client.token, &proofs);
    let mut taken = 0;
    for _ in 0..64 {
        taken += usize::from(verifier.verify_presented(&presented, NOW).await.is_ok());
    }
    assert_eq!(taken, 1);
}

#[tokio::test]
async fn each_fault_of_a_proof_has_its_refusal_and_uses_up_nothing() {
    let client = Client::new().await;
    let verifier = client.issuer.discover().await.unwrap();
    let mut claims = client.claims();
    claims["jti"] = json!("p_kept");
    let other = signer().prove(claims.to_string().as_bytes()).unwrap();
    let of = |error: ProofError| VerifyError::Proof(error);
    for (proof, expected) in [
        (client.proof_with("htm", json!("POST")), of(ProofError::Method)),
        (client.proof_with("htu", json!("https://orders.example/orders/8")), of(ProofError::Url)),
        (client.proof_with("htu", json!("https://evil.example/orders/7")), of(ProofError::Url)),
        (client.proof_with("iat", json!(NOW - 61)), of(ProofError::Times)),
        (client.proof_with("iat", json!(NOW + 61)), of(ProofError::Times)),
        (client.proof_with("ath", Value::Null), of(ProofError::Token)),
        (client.proof_with("ath", json!("x".repeat(43))), of(ProofError::Token)),
        (client.proof_with("jti", json!("x".repeat(257))), of(ProofError::Claims)),
        (client.issuer.token(), of(ProofError::WrongKind)),
        (other, VerifyError::OtherKey),
    ] {
        let refused = verifier.verify_presented(&dpop(&client.token, &[&proof]), NOW).await.unwrap_err();
        assert_eq!((refused, refused.status()), (expected, 401));
    }
    let (one, two) = (client.proof(), client.proof());
    for proofs in [vec![], vec![one.as_str(), two.as_str()]] {
        let refused = verifier.verify_presented(&dpop(&client.token, &proofs), NOW).await.unwrap_err();
        assert_eq!(refused, VerifyError::ProofHeader);
    }
    let kept = client.proof_with("jti", json!("p_kept"));
    assert!(verifier.verify_presented(&dpop(&client.token, &[&kept]), NOW).await.is_ok());
}

#[tokio::test]
async fn each_binding_has_its_scheme_and_its_proof() {
    let client = Client::new().await;
    let verifier = client.issuer.discover().await.unwrap();
    let (plain, certified) =
        (client.issuer.token(), client.issuer.token_with("cnf", json!({ "x5t#S256": CERTIFICATE })));
    let proof = client.proof();
    let bearer = |token, certificate| Presented { certificate, ..Presented::bearer(token) };
    for (presented, expected) in [
        (dpop(&plain, &[&proof]), Some(VerifyError::NotBound)),
        (dpop(&certified, &[&proof]), Some(VerifyError::NotBound)),
        (bearer(&client.token, Some(CERTIFICATE)), Some(VerifyError::Bound)),
        (bearer(&certified, Some("x")), Some(VerifyError::Certificate)),
        (bearer(&certified, Some(CERTIFICATE)), None),
        (bearer(&plain, Some(CERTIFICATE)), None),
    ] {
        assert_eq!(verifier.verify_presented(&presented, NOW).await.err(), expected, "{presented:?}");
    }
}

#[actix_web::test]
async fn the_guard_asks_for_the_proof() {
    let client = Client::new().await;
    let verifier = Arc::new(client.issuer.discover().await.unwrap());
    assert_eq!(verifier.origin().as_deref(), Some(AUDIENCE));
    let guard = Guard::new(verifier, || NOW)
        .certificate_by(|request| request.headers().get("x-thumbprint")?.to_str().ok().map(str::to_owned));
    let app = App::new().wrap(guard).route("/orders/7", web::get().to(HttpResponse::Ok));
    let app = init_service(app).await;
    let send = async |headers: &[(&str, &str)]| {
        let mut request = TestRequest::get().uri("/orders/7?of=yesterday").insert_header(("host", "evil.example"));
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        let answer = try_call_service(&app, request.to_request()).await.unwrap();
        let challenges: Vec<String> =
            answer.headers().get_all(WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned()).collect();
        (answer.status().as_u16(), challenges)
    };
    let (authorization, proof) = (format!("dpop {}", client.token), client.proof());
    assert_eq!(send(&[("authorization", &authorization), ("dpop", &proof)]).await.0, 200);
    let (status, challenges) = send(&[("authorization", &authorization), ("dpop", &proof)]).await;
    assert_eq!(status, 401);
    assert!(challenges[0].starts_with("DPoP error=\"invalid_dpop_proof\""), "{challenges:?}");
    let (one, two) = (client.proof(), client.proof());
    let twice = send(&[("authorization", &authorization), ("dpop", &one), ("dpop", &two)]).await;
    assert_eq!(twice.0, 401);
    assert_eq!(send(&[("authorization", &format!("Bearer {}", client.token)), ("dpop", &one)]).await.0, 401);
    let (status, challenges) = send(&[]).await;
    assert_eq!((status, challenges.len(), challenges[0].as_str()), (401, 2, "Bearer"));
    assert!(challenges[1].starts_with("DPoP algs=\""), "{challenges:?}");
    let certified = format!("Bearer {}", client.issuer.token_with("cnf", json!({ "x5t#S256": CERTIFICATE })));
    assert_eq!(send(&[("authorization", &certified)]).await.0, 401);
    assert_eq!(send(&[("authorization", &certified), ("x-thumbprint", CERTIFICATE)]).await.0, 200);
}
