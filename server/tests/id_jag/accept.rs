//! Grants of another issuer, accepted for tokens of ours: for whom, for what, and once.

use crate::foreign::{FILES, Foreign, GRANT, MAIL, TYP, claims, with};
use crate::idp::Key;
use crate::world::error;
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use stipend_schema::Backend;

const BAD: StatusCode = StatusCode::BAD_REQUEST;

#[rstest]
#[tokio::test]
async fn a_grant_becomes_a_token_for_its_resource(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let foreign = Foreign::new(backend).await;
    let (status, body) = foreign.present(&foreign.grant(json!({})), &[]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!((&body["token_type"], &body["scope"]), (&json!("Bearer"), &json!("read write")));
    assert!(body.get("refresh_token").is_none() && body.get("issued_token_type").is_none(), "{body}");
    let token = claims(&body);
    assert_eq!(token["sub"], format!("user:{}:alice", foreign.id));
    assert_eq!((&token["aud"], &token["client_id"]), (&json!(FILES), &json!(foreign.desk.id)));
    assert_eq!(token["act"], json!({"sub": format!("agent:{}", foreign.desk.id)}));
    // RFC 9068 section 2.2.1: how the user authenticated, as the issuer said.
    assert_eq!((&token["acr"], &token["amr"]), (&json!("urn:example:gold"), &json!(["pwd", "otp"])));
    assert!(token["lineage"][0].as_str().unwrap().starts_with("d_"), "{token}");
    assert!(token.get("budget").is_none(), "a grant brings no budget");
    assert!(foreign.active(body["access_token"].as_str().unwrap()).await);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_present_it_at_once_one_wins(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let foreign = Foreign::new(backend).await;
    let grant = foreign.grant(json!({}));
    let answers = futures_util::future::join_all((0..64).map(|_| foreign.present(&grant, &[]))).await;
    let won = answers.iter().filter(|(status, _)| *status == StatusCode::OK).count();
    let lost = answers.iter().filter(|(status, body)| (*status, error(body)) == (BAD, "invalid_grant")).count();
    assert_eq!((won, lost), (1, 63), "{:?}", answers.iter().map(|(_, body)| error(body)).collect::<Vec<_>>());
    let (_, again) = foreign.present(&grant, &[]).await;
    assert_eq!((error(&again), foreign.last_reason().await.as_str()), ("invalid_grant", "grant_replayed"));
}

#[tokio::test]
async fn a_jti_is_its_issuers_own() {
    let foreign = Foreign::new(Backend::Sqlite).await;
    let same = json!({"jti": "1"});
    assert_eq!(foreign.present(&foreign.grant(same.clone()), &[]).await.0, StatusCode::OK);
    // The same id in another grant of the issuer is a replay: it is what makes them single.
    assert_eq!(foreign.present(&foreign.grant(with(same.clone(), json!({"sub": "bob"}))), &[]).await.0, BAD);
    // Another issuer's is another.
    let (key, second) = (Key::new("k1"), foreign.second_issuer().await);
    second.publish(&[&key]);
    let claims = with(foreign.claims(), with(same, json!({"iss": second.issuer})));
    let (status, body) = foreign.present(&key.token(TYP, &claims), &[]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

#[tokio::test]
async fn each_wrong_claim_is_an_invalid_grant_and_uses_up_nothing() {
    let foreign = Foreign::new(Backend::Sqlite).await;
    let (now, issuer) = (foreign.now(), foreign.server.issuer.clone());
    let endpoint = format!("{issuer}/oauth2/token");
    let long = "x".repeat(257);
    for (changes, reason) in [
        (json!({"aud": "https://as.example"}), "grant_audience"),
        (json!({"aud": format!("{issuer}/")}), "grant_audience"),
        (json!({"aud": endpoint}), "grant_audience"),
        (json!({"aud": issuer.to_uppercase()}), "grant_audience"),
        (json!({"aud": [issuer, "https://as.example"]}), "grant_malformed"),
        (json!({"aud": ["https://as.example", issuer]}), "grant_malformed"),
        (json!({"aud": []}), "grant_malformed"),
        (json!({"aud": null}), "grant_malformed"),
        (json!({"aud": {"iss": issuer}}), "grant_malformed"),
        (json!({"client_id": foreign.other.id}), "grant_other_client"),
        (json!({"client_id": format!("{} ", foreign.desk.id)}), "grant_other_client"),
        (json!({"client_id": null}), "grant_other_client"),
        (json!({"client_id": ""}), "grant_other_client"),
        (json!({"client_id": [foreign.desk.id]}), "grant_malformed"),
        (json!({"exp": now - 61}), "grant_times"),
        (json!({"exp": null}), "grant_malformed"),
        (json!({"exp": 1e300}), "grant_malformed"),
        (json!({"exp": -1}), "grant_malformed"),
        (json!({"exp": now.to_string()}), "grant_malformed"),
        (json!({"exp": now + 3700}), "grant_times"),
        (json!({"exp": i64::MAX}), "grant_malformed"),
        (json!({"iat": now + 200}), "grant_times"),
        (json!({"iat": null}), "grant_malformed"),
        (json!({"nbf": now + 200}), "grant_times"),
        (json!({"jti": null}), "grant_jti"),
        (json!({"jti": ""}), "grant_malformed"),
        (json!({"jti": long}), "grant_malformed"),
        (json!({"jti": 1}), "grant_malformed"),
        (json!({"sub": null}), "grant_subject"),
        (json!({"sub": ""}), "grant_subject"),
        (json!({"iss": "https://evil.example"}), "grant_issuer"),
        (json!({"iss": null}), "grant_malformed"),
        (json!({"iss": issuer}), "grant_issuer"),
        (json!({"scope": ["read"]}), "grant_malformed"),
        (json!({"resource": "files"}), "grant_malformed"),
        (json!({"cnf": {"jwk": {}}}), "grant_malformed"),
        (json!({"authorization_details": [{"type": "credential_release"}]}), "grant_details"),
        (
            json!({"authorization_details": [{"type": "budget", "unit": "USD", "decimals": 6, "amount": 5}]}),
            "grant_details",
        ),
        (json!({"authorization_details": [{"type": "payment"}]}), "grant_details"),
        (json!({"authorization_details": "all"}), "grant_details"),
        (json!({"events": {}}), "grant_malformed"),
    ] {
        let mut changes = changes;
        let _ = changes.as_object_mut().unwrap().entry("jti").or_insert(json!("the-same"));
        let (status, body) = foreign.present(&foreign.grant(changes.clone()), &[]).await;
        assert_eq!((status, error(&body)), (BAD, "invalid_grant"), "{changes}: {body}");
        assert!(!body.to_string().contains("alice"), "{body}");
        assert_eq!(foreign.last_reason().await, reason, "{changes}");
    }
    let (status, body) = foreign.present(&foreign.grant(json!({"jti": "the-same"})), &[]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

#[tokio::test]
async fn each_wrong_header_or_signature_is_an_invalid_grant() {
    let foreign = Foreign::new(Backend::Sqlite).await;
    let good = foreign.claims();
    let (stranger, impostor) = (Key::new("k2"), Key::new("k1"));
    let key = &foreign.key;
    let header = |changes: Value| with(json!({"alg": "ES256", "kid": "k1", "typ": TYP}), changes);
    let mut cut = key.token(TYP, &good);
    cut.truncate(cut.len() - 4);
    let assertions = [
        key.token("", &good),
        key.token("JWT", &good),
        key.token("at+jwt", &good),
        key.token("dpop+jwt", &good),
        key.token("client-authentication+jwt", &good),
        key.token("oauth-id-jag", &good),
        stranger.token(TYP, &good),
        impostor.token(TYP, &good),
        key.sign(&header(json!({"alg": "none"})), &good),
        key.sign(&header(json!({"alg": "RS256"})), &good),
        key.sign(&header(json!({"kid": null})), &good),
        key.sign(&header(json!({"crit": ["x"], "x": 1})), &good),
        impostor.sign(&header(json!({"jwk": impostor.jwk()})), &good),
        cut,
        "a.b.c".to_owned(),
        "x".repeat(9000),
    ];
    for assertion in assertions {
        let (status, body) = foreign.present(&assertion, &[]).await;
        assert_eq!((status, error(&body)), (BAD, "invalid_grant"), "{} {body}", &assertion[..assertion.len().min(80)]);
    }
    assert_eq!(foreign.present(&key.token(TYP, &good), &[]).await.0, StatusCode::OK, "nothing was used up");
}

#[tokio::test]
async fn scope_is_within_the_assertion_and_the_rule() {
    let foreign = Foreign::new(Backend::Sqlite).await;
    for (asserted, asked, expected) in [
        (json!("read write"), "", Ok("read write")),
        (json!("read"), "", Ok("read")),
        (json!("read write"), "write", Ok("write")),
        (json!("read admin"), "", Ok("read")),
        (json!(null), "", Ok("read write")),
        (json!(null), "read", Ok("read")),
        (json!("read"), "read write", Err("invalid_scope")),
        (json!("read"), "write", Err("invalid_scope")),
        (json!("read admin"), "admin", Err("invalid_scope")),
        (json!(null), "admin", Err("invalid_scope")),
        (json!("admin"), "", Err("invalid_scope")),
        (json!("other"), "", Err("invalid_scope")),
    ] {
        let grant = foreign.grant(json!({"scope": asserted}));
        let (status, body) = foreign.present(&grant, &[("scope", asked)]).await;
        match expected {
            Ok(scope) => assert_eq!((status, &body["scope"]), (StatusCode::OK, &json!(scope)), "{asserted} {asked}"),
            Err(code) => assert_eq!((status, error(&body)), (BAD, code), "{asserted} {asked}"),
        }
    }
    // What was refused for its request and not for itself is still good.
    let grant = foreign.grant(json!({}));
    assert_eq!(foreign.present(&grant, &[("scope", "admin")]).await.0, BAD);
    assert_eq!(foreign.present(&grant, &[("scope", "read")]).await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_resource_is_one_that_the_assertion_names() {
    let foreign = Foreign::new(Backend::Sqlite).await;
    foreign.rule(json!({"to_audience": MAIL, "scopes": [{"scope": "read"}]})).await;
    for (asserted, asked, expected) in [
        (json!(FILES), "", Ok(FILES)),
        (json!([FILES]), FILES, Ok(FILES)),
        (json!("HTTPS://FILES.example/api"), FILES, Ok(FILES)),
        (json!([FILES, MAIL]), MAIL, Ok(MAIL)),
        (json!(null), MAIL, Ok(MAIL)),
        (json!(FILES), MAIL, Err("invalid_target")),
        (json!(FILES), "https://files.example/other", Err("invalid_target")),
        (json!("https://unknown.example"), "", Err("invalid_target")),
        (json!(null), "", Err("invalid_target")),
        (json!(null), "files", Err("invalid_target")),
    ] {
        let grant = foreign.grant(json!({"resource": asserted, "scope": "read"}));
        let (status, body) = foreign.present(&grant, &[("resource", asked)]).await;
        match expected {
            Ok(aud) => assert_eq!((status, &claims(&body)["aud"]), (StatusCode::OK, &json!(aud)), "{asserted} {asked}"),
            Err(code) => assert_eq!((status, error(&body)), (BAD, code), "{asserted} {asked}: {body}"),
        }
    }
}

#[tokio::test]
async fn without_a_rule_a_good_grant_is_of_no_use() {
    let foreign = Foreign::new(Backend::Sqlite).await;
    let for_other = foreign.grant(json!({"client_id": foreign.other.id}));
    let (status, body) = foreign.present_as(&foreign.other, &for_other, &[]).await;
    assert_eq!((status, error(&body)), (BAD, "invalid_grant"), "no rule for this client");
    let elsewhere = foreign.grant(json!({"resource": MAIL, "scope": "read"}));
    let (status, body) = foreign.present(&elsewhere, &[]).await;
    assert_eq!((status, error(&body)), (BAD, "invalid_target"), "no rule to that resource");
    // A stolen grant is of no use to another client, and of use to its own after that.
    let grant = foreign.grant(json!({}));
    assert_eq!(error(&foreign.present_as(&foreign.other, &grant, &[]).await.1), "invalid_grant");
    assert_eq!(foreign.present(&grant, &[]).await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_the_other_domain_says_of_actors_and_roles_permits_nothing() {
    let foreign = Foreign::new(Backend::Sqlite).await;
    let grant = foreign.grant(json!({
        "act": {"sub": "agent:acme.other", "act": {"sub": "root"}}, "may_act": {"sub": "nobody"},
        "roles": ["admin"], "env": "sandbox", "lineage": ["t_1"], "budget": [{"id": "bl_1"}], "sub_profile": "ai_agent",
    }));
    let (status, body) = foreign.present(&grant, &[]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let token = claims(&body);
    assert_eq!(token["act"], json!({"sub": format!("agent:{}", foreign.desk.id)}), "its own actor and no other");
    assert!(token.get("may_act").is_none() && token.get("budget").is_none() && token.get("roles").is_none());
    assert_eq!((&token["env"], token["lineage"].as_array().unwrap().len()), (&json!("live"), 1));
}

#[rstest]
#[tokio::test]
async fn an_issuer_that_is_switched_off_takes_its_tokens_along(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let foreign = Foreign::new(backend).await;
    let (token, waiting) = (foreign.token().await, foreign.grant(json!({})));
    assert!(foreign.active(&token).await);
    foreign.server.create(&format!("/issuers/{}/disable", foreign.id), json!({"reason": "test"})).await;
    assert!(!foreign.active(&token).await, "what came of its grants is dead");
    let (status, body) = foreign.present(&waiting, &[]).await;
    assert_eq!((status, error(&body)), (BAD, "invalid_grant"));
    let (_, unknown) = foreign.present(&foreign.grant(json!({"iss": "https://evil.example"})), &[]).await;
    assert_eq!(body, unknown, "and nobody learns which issuers are trusted");
}

#[tokio::test]
async fn a_use_is_what_was_registered_and_typ_says_which() {
    let foreign = Foreign::trusting(Backend::Sqlite, json!(["subject_token"])).await;
    let (_, body) = foreign.present(&foreign.grant(json!({})), &[]).await;
    assert_eq!((error(&body), foreign.last_reason().await.as_str()), ("invalid_grant", "grant_issuer"));
    // A JWT authorization grant (draft-ietf-oauth-identity-chaining) names no client of ours.
    let plain =
        |changes: Value| foreign.key.token("JWT", &with(with(foreign.claims(), json!({"client_id": null})), changes));
    assert_eq!(foreign.present(&plain(json!({})), &[]).await.0, StatusCode::OK);
    let endpoint = format!("{}/oauth2/token", foreign.server.issuer);
    assert_eq!(foreign.present(&plain(json!({"aud": endpoint})), &[]).await.0, StatusCode::OK);
    for changes in [json!({"jti": null}), json!({"aud": "stipend"}), json!({"client_id": foreign.other.id})] {
        let (status, body) = foreign.present(&plain(changes.clone()), &[]).await;
        assert_eq!((status, error(&body)), (BAD, "invalid_grant"), "{changes}");
    }
    let access = foreign.key.token("at+jwt", &foreign.claims());
    assert_eq!(error(&foreign.present(&access, &[]).await.1), "invalid_grant", "an access token is no grant");
}

/// The matrix of kinds, over the wire: a foreign grant in every other token's place.
#[tokio::test]
async fn a_grant_is_a_grant_and_nothing_else() {
    let foreign = Foreign::trusting(Backend::Sqlite, json!(["id_jag", "subject_token", "client_assertion"])).await;
    let server = &foreign.server;
    for kind in ["access_token", "jwt", "id_token"] {
        let kind = format!("urn:ietf:params:oauth:token-type:{kind}");
        let grant = foreign.grant(json!({}));
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", grant.as_str()),
            ("subject_token_type", &kind),
            ("resource", FILES),
        ];
        let (status, body) = server.form("/oauth2/token", &foreign.desk, &form).await;
        assert_eq!((status, error(&body)), (BAD, "invalid_request"), "as a subject token ({kind}): {body}");
    }
    let grant = foreign.grant(json!({}));
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", grant.as_str()),
        ("client_id", foreign.desk.id.as_str()),
    ];
    let answer = server.http.post(server.url("/oauth2/token")).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "as a client assertion");
    let bearer = server.http.get(server.url("/admin/v1/owners")).bearer_auth(&grant).send().await.unwrap();
    assert_eq!(bearer.status(), StatusCode::UNAUTHORIZED, "as an access token");
    assert_eq!(server.introspect(&foreign.desk, &grant).await, json!({"active": false}));
    // Ours in the place of a grant.
    let own = foreign.token().await;
    assert_eq!(error(&foreign.present(&own, &[]).await.1), "invalid_grant", "an access token of ours");
}

#[tokio::test]
async fn the_form_is_read_strictly_and_the_client_must_be_known() {
    let foreign = Foreign::new(Backend::Sqlite).await;
    let grant = foreign.grant(json!({}));
    let (status, body) = foreign.server.form("/oauth2/token", &foreign.desk, &[("grant_type", GRANT)]).await;
    assert_eq!((status, error(&body)), (BAD, "invalid_request"));
    let (status, body) = foreign.present(&grant, &[("assertion", &grant)]).await;
    assert_eq!((status, error(&body)), (BAD, "invalid_request"), "{body}");
    let form = [("grant_type", GRANT), ("assertion", grant.as_str())];
    let anonymous = foreign.server.http.post(foreign.server.url("/oauth2/token")).form(&form).send().await.unwrap();
    assert_eq!(anonymous.status(), StatusCode::UNAUTHORIZED);
    let (status, body) = foreign.server.form("/oauth2/token", &foreign.server.admin_client(), &form).await;
    assert_eq!((status, error(&body)), (BAD, "unauthorized_client"), "{body}");
    let metadata = foreign.server.http.get(foreign.server.url("/.well-known/oauth-authorization-server"));
    let metadata: Value = metadata.send().await.unwrap().json().await.unwrap();
    assert!(metadata["grant_types_supported"].as_array().unwrap().contains(&json!(GRANT)));
    let profiles = json!(["urn:ietf:params:oauth:grant-profile:id-jag"]);
    assert_eq!(metadata["authorization_grant_profiles_supported"], profiles);
    // Which issuers are trusted is not said.
    assert!(!metadata.to_string().contains(&foreign.idp.issuer), "{metadata}");
    let (_, page) = foreign.server.admin(Method::GET, "/audit?limit=200", None).await;
    assert!(!page.to_string().contains(&grant), "no assertion in the audit");
}

#[tokio::test]
async fn what_an_assertion_says_of_credentials_is_a_ceiling() {
    let foreign = Foreign::new(Backend::Sqlite).await;
    let details = json!([{"type": "credential_release", "identifier": "acme.llm", "actions": ["proxy"]}]);
    let grant = |details: &Value| foreign.grant(json!({"authorization_details": details}));
    let (status, body) = foreign.present(&grant(&details), &[]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(claims(&body)["authorization_details"], details);
    let wider = json!([{"type": "credential_release", "identifier": "acme.llm", "actions": ["proxy", "release"]}]);
    let asked = wider.to_string();
    let (status, body) = foreign.present(&grant(&details), &[("authorization_details", &asked)]).await;
    assert_eq!((status, error(&body)), (BAD, "invalid_authorization_details"), "{body}");
    let (_, body) = foreign.present(&grant(&wider), &[("authorization_details", &details.to_string())]).await;
    assert_eq!(claims(&body)["authorization_details"], details, "{body}");
}

/// An assertion that is bound to a key is of no use to who has only stolen it.
#[tokio::test]
async fn a_bound_assertion_needs_its_key() {
    let foreign = Foreign::new(Backend::Sqlite).await;
    let bound = foreign.grant(json!({"cnf": {"jkt": "x".repeat(43)}}));
    let (status, body) = foreign.present(&bound, &[]).await;
    assert_eq!((status, error(&body)), (BAD, "invalid_grant"), "{body}");
    assert_eq!(foreign.last_reason().await, "grant_key_not_proved");
}

/// A client that authenticates by an assertion uses both up, each once.
#[rstest]
#[tokio::test]
async fn a_client_assertion_and_a_grant_are_used_up_together(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let foreign = Foreign::new(backend).await;
    let key = Key::new("c1");
    let agent = json!({
        "owner": "acme", "name": "signer", "kind": "agent", "purpose": "test", "auth_method": "private_key_jwt",
        "jwks": {"keys": [key.jwk()]}, "access": [],
    });
    let signer = foreign.server.create("/agents", agent).await["agent"]["id"].as_str().unwrap().to_owned();
    foreign.rule(json!({"actor": {"client": signer}})).await;
    let kid = key.jwk()["kid"].clone();
    let assertion = |jti: &str| {
        let now = foreign.now();
        let claims = json!({
            "iss": signer, "sub": signer, "aud": foreign.server.issuer, "jti": jti, "iat": now, "exp": now + 60,
        });
        key.sign(&json!({"alg": "ES256", "kid": kid}), &claims)
    };
    let present = async |grant: &str, assertion: &str| {
        let form = [
            ("grant_type", GRANT),
            ("assertion", grant),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
        ];
        let answer = foreign.server.http.post(foreign.server.url("/oauth2/token")).form(&form).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let grant = || foreign.grant(json!({"client_id": signer}));
    let (first, second) = (grant(), grant());
    assert_eq!(present(&first, &assertion("a1")).await.0, 200);
    let (status, body) = present(&first, &assertion("a2")).await;
    assert_eq!((status, error(&body)), (400, "invalid_grant"), "the grant again: {body}");
    let (status, body) = present(&second, &assertion("a1")).await;
    assert_eq!((status, error(&body)), (401, "invalid_client"), "the client assertion again: {body}");
}
