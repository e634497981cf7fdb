use super::*;
use crate::chain::Actor;
use serde_json::json;

fn aud(uri: &str) -> Audience {
    Audience::parse(uri).unwrap()
}

fn abroad(issuer: &str, resources: &[&str]) -> Abroad {
    Abroad {
        issuer: issuer.to_owned(),
        client_id: None,
        resources: resources.iter().map(|uri| (*uri).to_owned()).collect(),
    }
}

#[test]
fn an_edge_abroad_leads_to_the_audience_of_its_rule() {
    let there = aud("https://b.example");
    assert!(abroad("https://b.example", &[]).is_well_formed(&there));
    // Its issuer identifier may end in a slash, which no audience of ours does.
    assert!(abroad("https://b.example/", &["https://api.b.example/"]).is_well_formed(&there));
    for (issuer, resources) in [
        ("https://c.example", vec![]),
        ("https://b.example/x", vec![]),
        ("", vec![]),
        ("https://b.example", vec!["api"]),
        ("https://b.example", vec!["https://api.b.example#x"]),
        ("https://b.example", vec!["https://api.b.example", "HTTPS://API.b.example/"]),
    ] {
        assert!(!abroad(issuer, &resources).is_well_formed(&there), "{issuer} {resources:?}");
    }
    for client_id in ["", "a\nb", "x".repeat(513).as_str()] {
        let edge = Abroad { client_id: Some(client_id.to_owned()), ..abroad("https://b.example", &[]) };
        assert!(!edge.is_well_formed(&there), "{client_id:?}");
    }
    let many: Vec<String> = (0..=MAX_GRANT_RESOURCES).map(|n| format!("https://r{n}.example")).collect();
    assert!(!Abroad { resources: many, ..abroad("https://b.example", &[]) }.is_well_formed(&there));
}

#[test]
fn resources_are_named_as_they_are_registered_there_or_not_at_all() {
    let edge = abroad("https://b.example", &["https://api.b.example/", "https://b.example/mail"]);
    assert_eq!(edge.named(&[aud("HTTPS://api.b.example")]), Some(vec!["https://api.b.example/".to_owned()]));
    assert_eq!(edge.named(&[]), Some(Vec::new()));
    assert_eq!(edge.named(&[aud("https://api.b.example"), aud("https://b.example/Mail")]), None);
}

#[test]
fn a_grant_says_who_and_what_and_nothing_of_budgets_or_lineage() {
    let grant = IdJag {
        iss: "https://a.example".to_owned(),
        sub: "user:okta:ann".to_owned(),
        aud: "https://b.example/".to_owned(),
        client_id: "f53f".to_owned(),
        jti: "t_1".to_owned(),
        iat: 10,
        exp: 20,
        resources: vec!["https://api.b.example/".to_owned()],
        scope: ScopeSet::parse("read").unwrap(),
        user: UserContext {
            idp: Some("iss_okta".to_owned()),
            auth_time: Some(5),
            acr: Some("mfa".to_owned()),
            amr: vec!["hwk".to_owned()],
        },
        act: ActorChain::default().acted_by(Actor { sub: "agent:acme.x".to_owned(), iss: None }),
        cnf: None,
    };
    let written = serde_json::to_string(&grant).unwrap();
    assert_eq!(
        written,
        concat!(
            r#"{"iss":"https://a.example","sub":"user:okta:ann","aud":"https://b.example/","client_id":"f53f","#,
            r#""jti":"t_1","iat":10,"exp":20,"resource":"https://api.b.example/","scope":"read","auth_time":5,"#,
            r#""acr":"mfa","amr":["hwk"],"act":{"sub":"agent:acme.x"}}"#
        )
    );
    let Value::Object(claims) = serde_json::from_str(&written).unwrap() else { panic!() };
    let read = Asserted::from_claims(&claims).unwrap();
    assert_eq!((read.aud.as_str(), read.client_id.as_deref()), ("https://b.example/", Some("f53f")));
    assert_eq!((read.resources, read.scope), (vec![aud("https://api.b.example")], Some(grant.scope)));
    assert!(crate::AccessToken::from_claims(&claims).is_err(), "it is no access token even without its typ");
}

#[test]
fn claims_of_the_wrong_form_make_no_grant() {
    let good = json!({"aud": ["https://b.example"], "jti": "1", "client_id": "c"});
    let read = |change: Value| {
        let Value::Object(mut claims) = good.clone() else { panic!() };
        let Value::Object(change) = change else { panic!() };
        claims.extend(change);
        Asserted::from_claims(&claims)
    };
    assert_eq!(read(json!({})).unwrap().aud, "https://b.example");
    for change in [
        json!({"aud": null}),
        json!({"aud": []}),
        json!({"aud": ["https://b.example", "https://c.example"]}),
        json!({"aud": ["https://b.example", "https://b.example"]}),
        json!({"aud": [["https://b.example"]]}),
        json!({"aud": {"iss": "https://b.example"}}),
        json!({"aud": 1}),
        json!({"jti": 1}),
        json!({"client_id": ["c"]}),
        json!({"resource": "api"}),
        json!({"resource": ["https://api.example", 1]}),
        json!({"resource": "https://api.example#x"}),
        json!({"scope": ["read"]}),
        json!({"scope": "a  b"}),
        json!({"cnf": {"jkt": "short"}}),
        json!({"cnf": {}}),
    ] {
        assert!(read(change.clone()).is_err(), "{change}");
    }
    let Value::Object(mut none) = good.clone() else { panic!() };
    none.remove("aud");
    assert!(Asserted::from_claims(&none).is_err());
}
