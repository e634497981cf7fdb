use super::*;
use crate::chain::Actor;
use serde_json::json;

fn golden() -> AccessToken {
    AccessToken {
        iss: "https://as.example".to_owned(),
        sub: "agent:payments.refunds".to_owned(),
        sub_profile: Some("ai_agent".to_owned()),
        client_id: "payments.planner".to_owned(),
        aud: vec![Audience::parse("https://as.example/credentials").unwrap()],
        scope: ScopeSet::parse("credential:release").unwrap(),
        jti: "t_3".to_owned(),
        lineage: Lineage {
            tokens: vec!["t_1".to_owned(), "t_2".to_owned()],
            clients: vec!["payments.refunds".to_owned()],
        },
        iat: 1_795_230_000,
        exp: 1_795_230_300,
        env: Environment::Live,
        act: ActorChain::default().acted_by(Actor { sub: "agent:payments.planner".to_owned(), iss: None }),
        may_act: None,
        user: UserContext::default(),
        cnf: None,
        status: None,
        budget: Some(TokenLine::parse_claim(&json!([{"id": "bl_1", "unit": "USD", "decimals": 6, "amount": 2_000_000, "per_call": 500_000, "enforce": "as"}])).unwrap()),
        authorization_details: Some(CredentialRelease::parse_claim(&json!([qwen()])).unwrap()),
    }
}

fn qwen() -> Value {
    json!({
        "type": "credential_release", "identifier": "qwen-apikey-prod", "actions": ["release", "proxy"],
        "constraints": {"methods": ["POST"], "paths": ["/v1/chat"], "rate": {"count": 10, "per_s": 60}, "uses": 5},
        "counted": [
            {"jti": "t_1", "uses": 9, "rate": [{"count": 10, "per_s": 60}]},
            {"jti": "t_3", "uses": 5},
            {"jti": "t_3", "rate": [{"count": 1, "per_s": 1}, {"count": 2, "per_s": 9}], "mode": "observe"},
        ],
    })
}

fn claims(token: &AccessToken) -> Map<String, Value> {
    serde_json::to_value(token).unwrap().as_object().unwrap().clone()
}

#[test]
fn members_come_in_a_fixed_order() {
    insta::assert_snapshot!(serde_json::to_string(&golden()).unwrap(), @r#"{"iss":"https://as.example","sub":"agent:payments.refunds","sub_profile":"ai_agent","client_id":"payments.planner","aud":"https://as.example/credentials","scope":"credential:release","jti":"t_3","lineage":["t_1","t_2"],"lineage_clients":["payments.refunds"],"iat":1795230000,"exp":1795230300,"env":"live","act":{"sub":"agent:payments.planner"},"budget":[{"id":"bl_1","unit":"USD","decimals":6,"amount":2000000,"per_call":500000,"enforce":"as"}],"authorization_details":[{"type":"credential_release","identifier":"qwen-apikey-prod","actions":["release","proxy"],"constraints":{"methods":["POST"],"paths":["/v1/chat"],"rate":{"count":10,"per_s":60},"uses":5},"counted":[{"jti":"t_1","uses":9,"rate":[{"count":10,"per_s":60}]},{"jti":"t_3","uses":5},{"jti":"t_3","rate":[{"count":1,"per_s":1},{"count":2,"per_s":9}],"mode":"observe"}]}]}"#);
}

#[test]
fn a_token_reads_back_as_it_was_written() {
    let mut token = golden();
    assert_eq!(AccessToken::from_claims(&claims(&token)), Ok(token.clone()));
    for details in [None, Some(Vec::new())] {
        token.authorization_details = details;
        assert_eq!(AccessToken::from_claims(&claims(&token)), Ok(token.clone()));
    }
    token.aud.push(Audience::parse("https://b.example").unwrap());
    token.lineage = Lineage::default();
    token.act = ActorChain::default();
    token.may_act = Some(MayAct::from_json(&json!({"sub":"agent:x.y"})).unwrap());
    for budget in [Some(Vec::new()), None] {
        token.budget = budget;
        assert_eq!(AccessToken::from_claims(&claims(&token)), Ok(token.clone()));
    }
    assert_eq!(AccessToken::from_claims(&claims(&token)), Ok(token));
}

#[test]
fn every_required_claim_is_required() {
    for name in ["iss", "sub", "client_id", "aud", "jti", "iat", "exp", "env"] {
        let mut without = claims(&golden());
        without.remove(name);
        assert_eq!(AccessToken::from_claims(&without), Err(ClaimsError::Missing), "{name}");
    }
}

#[test]
fn mistyped_claims_are_refused() {
    let odd = [
        ("iss", json!(1)),
        ("budget", json!({})),
        ("budget", json!([{"id": "bl_1"}])),
        ("sub", json!("")),
        ("sub", json!(null)),
        ("client_id", json!(["a"])),
        ("aud", json!([])),
        ("aud", json!([1])),
        ("aud", json!("not a uri")),
        ("scope", json!(["a"])),
        ("scope", json!("a  b")),
        ("exp", json!("1")),
        ("exp", json!(1.5)),
        ("exp", json!(-1)),
        ("iat", json!(9_223_372_036_854_775_807_u64)),
        ("env", json!("prod")),
        ("act", json!("x")),
        ("may_act", json!({})),
        ("lineage", json!([])),
        ("lineage", json!("t_1")),
        ("lineage", json!([1])),
        ("lineage_clients", json!([])),
    ];
    for (name, value) in odd {
        let mut bad = claims(&golden());
        bad.insert(name.to_owned(), value.clone());
        assert_eq!(AccessToken::from_claims(&bad), Err(ClaimsError::Malformed), "{name}={value}");
    }
}

#[test]
fn a_ceiling_that_is_not_understood_is_no_ceiling_of_ours() {
    let with = |name: &str, value: Value| {
        let mut release = qwen();
        release[name] = value;
        json!([release])
    };
    let budget = json!({"type": "budget", "unit": "USD", "decimals": 6, "amount": 5});
    let entry = |jti: &str| json!({"jti": jti, "uses": 5, "rate": [{"count": 10, "per_s": 60}]});
    let odd = [
        json!(null),
        json!({}),
        qwen(),
        json!([1]),
        json!([qwen(), qwen()]),
        json!([qwen(), budget]),
        json!(
            (0..9)
                .map(|n| json!({"type": "credential_release", "identifier": format!("c{n}"), "actions": ["proxy"]}))
                .collect::<Vec<_>>()
        ),
        with("type", json!("payment_initiation")),
        with("locations", json!([])),
        with("actions", json!([])),
        with("constraints", json!({"method": ["POST"]})),
        with("counted", json!(null)),
        with("counted", json!([])),
        with("counted", entry("t_1")),
        with("counted", json!([["t_1", 5, [[10, 60]]]])),
        with("counted", json!([{"jti": "t_1", "uses": 5}])),
        with("counted", json!([{"jti": "t_1", "uses": 4, "rate": [{"count": 10, "per_s": 60}]}])),
        with("counted", json!([{"jti": "t_1", "uses": 5, "rate": [{"count": 10, "per_s": 60}], "mode": "observe"}])),
        with("counted", json!([entry("t_1"), {"jti": "t_2"}])),
        with("counted", json!([entry("t_1"), {"jti": "t_2", "rate": []}])),
        with("counted", json!([entry("t_1"), {"jti": "t_2", "uses": 0}])),
        with("counted", json!([entry("t_1"), {"jti": "t_2", "uses": null}])),
        with("counted", json!([entry("t_1"), {"jti": "t_2", "uses": 1, "per": 1}])),
        with("counted", json!([entry("t_1"), entry("t_1")])),
        with("counted", json!([entry("t_2"), entry("t_1")])),
        with("counted", json!([entry("t_1"), entry("t_other")])),
        with("counted", json!([entry("")])),
        with("counted", json!((0..19).map(|n| entry(&format!("t_{n}"))).collect::<Vec<_>>())),
    ];
    for value in odd {
        let mut bad = claims(&golden());
        bad.insert("authorization_details".to_owned(), value.clone());
        assert_eq!(AccessToken::from_claims(&bad), Err(ClaimsError::Malformed), "{value}");
    }
    let mut uncounted = qwen();
    uncounted.as_object_mut().unwrap().remove("counted");
    let mut bad = claims(&golden());
    bad.insert("authorization_details".to_owned(), json!([uncounted]));
    assert_eq!(AccessToken::from_claims(&bad), Err(ClaimsError::Malformed), "limits that nobody counts");
}

#[test]
fn a_lineage_without_its_clients_is_refused() {
    for name in ["lineage", "lineage_clients"] {
        let mut half = claims(&golden());
        half.remove(name);
        assert_eq!(AccessToken::from_claims(&half), Err(ClaimsError::Malformed), "{name}");
    }
}

#[test]
fn the_parties_are_the_client_and_its_ancestors_once_each() {
    let mut token = golden();
    assert_eq!(token.parties().collect::<Vec<_>>(), ["payments.planner", "payments.refunds"]);
    token.client_id = "payments.refunds".to_owned();
    assert_eq!(token.parties().collect::<Vec<_>>(), ["payments.refunds"]);
}
