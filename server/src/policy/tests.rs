use super::*;
use crate::limits::{MAX_POLICY_BYTES, MAX_POLICY_DEPTH, MAX_POLICY_STATEMENTS, MAX_POLICY_WORDS};
use crate::records::RiskLevel;
use cedar_policy::{Entities, Request, Schema};
use std::str::FromStr;
use stipend_schema::policies::PolicyRow;
use stipend_token::{Environment, ScopeSet, UserContext};

fn row(id: &str, text: &str) -> PolicyRow {
    PolicyRow {
        id: id.to_owned(),
        owner_id: Some("acme".to_owned()),
        name: id.to_owned(),
        text: text.to_owned(),
        hash: text_hash(text),
        state: "enabled".to_owned(),
        version: 3,
        created_by: "acme.boss".to_owned(),
        created_at: 0,
        updated_at: 0,
    }
}

fn resource(owner: &str) -> Target {
    Target::Resource { uri: "https://orders.example".to_owned(), owner: owner.to_owned(), environment: None }
}

fn credential() -> Target {
    Target::Credential {
        id: "acme.llm".to_owned(),
        owner: "acme".to_owned(),
        kind: "api_key",
        environment: Environment::Live,
        template: Some("openai".to_owned()),
    }
}

/// As little as there can be.
fn facts(act: Act, target: Target) -> Facts {
    Facts {
        act,
        agent: AgentFacts {
            id: "acme.worker".to_owned(),
            owner: "acme".to_owned(),
            kind: "agent",
            environment: Environment::Live,
        },
        target,
        // 2026-11-21 03:04:05, a Saturday.
        now: 1_795_230_245,
        source: None,
        environment: Environment::Live,
        subject: "agent:acme.worker".to_owned(),
        actor: None,
        scope: ScopeSet::parse("read write").unwrap(),
        user: UserContext::default(),
        amount: None,
        risk: None,
    }
}

fn issue() -> Facts {
    let act = Act::Issue { grant_type: "client_credentials".to_owned(), expires_in: 300 };
    facts(act, resource("acme"))
}

/// As much as there can be.
fn full(facts: Facts) -> Facts {
    Facts {
        source: Some("::ffff:10.1.2.3".parse().unwrap()),
        actor: Some("agent:acme.helper".to_owned()),
        user: UserContext {
            idp: Some("idp_1".to_owned()),
            auth_time: Some(1_795_230_145),
            acr: Some("urn:high".to_owned()),
            amr: vec!["pwd".to_owned(), "mfa".to_owned()],
        },
        amount: Some(AmountFact { unit: "USD".to_owned(), decimals: 6, value: 2_000_000 }),
        risk: Some(RiskLevel::Medium),
        ..facts
    }
}

fn every_act() -> Vec<Facts> {
    let grant_type = "urn:ietf:params:oauth:grant-type:token-exchange".to_owned();
    let call = Act::Call { method: "POST".to_owned(), path: "/v1/chat".to_owned(), host: "api.example".to_owned() };
    vec![
        issue(),
        facts(Act::Exchange { grant_type, expires_in: 60 }, resource("globex")),
        facts(Act::Release { mode: "wrapped" }, credential()),
        facts(call, credential()),
    ]
}

fn denials(text: &str, facts: &Facts) -> Vec<Cited> {
    Compiled::new("acme", &[row("pol_1", text)]).unwrap().denials(facts)
}

/// Whether the text, which must be one that may be stored, forbids.
fn forbids(text: &str, facts: &Facts) -> bool {
    check(text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    !denials(text, facts).is_empty()
}

#[test]
fn what_is_asked_is_what_the_schema_says() {
    let schema = Schema::from_str(SCHEMA_TEXT).unwrap();
    for asked in every_act() {
        for facts in [asked.clone(), full(asked)] {
            let (request, entities) = facts.to_cedar().unwrap();
            let context = request.context().unwrap().clone();
            let (principal, action) = (request.principal().unwrap().clone(), request.action().unwrap().clone());
            let resource = request.resource().unwrap().clone();
            Request::new(principal, action, resource, context, Some(&schema)).unwrap_or_else(|e| panic!("{e:?}"));
            Entities::from_entities(entities, Some(&schema)).unwrap_or_else(|e| panic!("{e:?}"));
        }
    }
}

#[test]
fn each_member_can_be_asked_for() {
    let facts = full(issue());
    for condition in [
        "principal == Agent::\"acme.worker\"",
        "principal in Owner::\"acme\" && principal.owner == resource.owner && resource in Owner::\"acme\"",
        "principal.kind == \"agent\" && principal.environment == \"live\" && context.environment == \"live\"",
        "resource == Resource::\"https://orders.example\"",
        "context.now.hour == 3 && context.now.minute == 4 && context.now.day_of_week == 6 && context.now.epoch == 1795230245",
        "context has source && context.source.isInRange(ip(\"10.0.0.0/8\"))",
        "context.subject == \"agent:acme.worker\" && context has actor && context.actor == \"agent:acme.helper\"",
        "context.scope.contains(\"write\") && context.scope.containsAll([\"read\", \"write\"])",
        "context has acr && context.acr == \"urn:high\" && context.amr.contains(\"mfa\")",
        "context has auth_age && context.auth_age == 100 && context has idp && context.idp == \"idp_1\"",
        "context has amount && context.amount.unit == \"USD\" && context.amount.value > 1999999",
        "context has risk && context.risk >= 40",
        "context has risk_level && context.risk_level == \"medium\"",
        "context.grant_type == \"client_credentials\" && context.expires_in == 300",
    ] {
        let text = format!("forbid (principal, action == Action::\"token:issue\", resource) when {{ {condition} }};");
        assert!(forbids(&text, &facts), "{condition}");
        let text = format!("forbid (principal, action == Action::\"token:issue\", resource) unless {{ {condition} }};");
        assert!(!forbids(&text, &facts), "{condition}");
    }
    let call = &every_act()[3];
    let text = "forbid (principal, action == Action::\"credential:call\", resource) when { context.method == \"POST\" && context.path like \"/v1/*\" && context.host == \"api.example\" && resource has template && resource.template == \"openai\" && resource.kind == \"api_key\" };";
    assert!(forbids(text, call) && !forbids(text, &every_act()[2]));
    let text =
        "forbid (principal, action == Action::\"credential:release\", resource) when { context.mode == \"wrapped\" };";
    assert!(forbids(text, &every_act()[2]) && !forbids(text, call));
}

#[test]
fn nothing_stored_is_nothing_forbidden_and_a_refusal_names_its_statement() {
    assert!(Compiled::new("acme", &[]).is_none());
    let disabled = PolicyRow { state: "disabled".to_owned(), ..row("pol_1", "forbid(principal, action, resource);") };
    assert!(Compiled::new("acme", &[disabled]).is_none());
    let two = "forbid (principal, action, resource) when { false };\nforbid (principal, action, resource);";
    let rows = [row("pol_a", "forbid (principal == Agent::\"acme.other\", action, resource);"), row("pol_b", two)];
    let cited = Compiled::new("acme", &rows).unwrap().denials(&issue());
    assert_eq!(cited, [Cited { policy: "pol_b".to_owned(), version: 3, statement: 2, failed: false }]);
    assert_eq!(cited[0].to_json(), serde_json::json!({"id": "pol_b", "version": 3, "statement": 2}));
}

#[test]
fn what_can_not_be_evaluated_denies_and_says_so() {
    // Overflow is all that strict checking lets through.
    let overflow = "forbid (principal, action, resource) when { context.now.epoch * 9223372036854775807 == 1 };";
    assert!(check(overflow).is_ok());
    for text in [overflow, "forbid (principal, action, resource) when { context.acr == \"x\" };", "no cedar", ""] {
        let cited = denials(text, &issue());
        assert!(matches!(cited.as_slice(), [one] if one.failed && one.policy == "pol_1"), "{text}: {cited:?}");
    }
    let slot = denials("forbid (principal == ?principal, action, resource);", &issue());
    assert!(slot[0].failed, "a template denies too: it is never linked, so it would never apply");
}

#[test]
fn an_id_is_data_whatever_is_in_it() {
    let hostile = "acme.x\", action, resource); permit (principal == Agent::\"y";
    let mut facts = issue();
    facts.agent.id = hostile.to_owned();
    facts.subject = "\" || true || \"".to_owned();
    facts.target =
        Target::Resource { uri: "https://o.example/\"*\\".to_owned(), owner: "acme".to_owned(), environment: None };
    assert!(denials("forbid (principal == Agent::\"acme.x\", action, resource);", &facts).is_empty());
    assert!(denials("forbid (principal == Agent::\"y\", action, resource);", &facts).is_empty());
    assert!(!denials("forbid (principal in Owner::\"acme\", action, resource);", &facts).is_empty());
    assert!(denials("forbid (principal, action, resource) when { context.subject == \"\" };", &facts).is_empty());
    let unicode = "forbid (principal, action, resource == Resource::\"https://o.example/\\u{22}*\\\\\");";
    assert!(forbids(unicode, &facts), "and can be named by escapes");
}

#[test]
fn permit_and_slots_are_refused_with_what_to_do() {
    let faults = check("// all of it\n  permit (principal, action, resource);").unwrap_err();
    assert_eq!((faults[0].line, faults[0].column), (2, 3));
    assert!(faults[0].help.as_deref().unwrap().contains("unless"), "{faults:?}");
    let mixed = "forbid (principal, action, resource);\npermit (principal, action, resource);";
    assert!(check(mixed).unwrap_err()[0].message.contains("permit"));
    for slot in [
        "forbid (principal == ?principal, action, resource);",
        "forbid (principal, action, resource in ?resource);",
        "permit (principal == ?principal, action, resource);",
    ] {
        assert!(check(slot).unwrap_err()[0].message.contains("slots"), "{slot}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let place = |text: &str| {
        let faults = check(text).unwrap_err();
        (faults[0].line, faults[0].column, faults[0].message.clone())
    };
    let (line, column, message) = place("forbid (principal, action, resource)\nwhen { context.now.hour = 3 };");
    assert_eq!((line, column), (2, 8), "{message}");
    let (line, column, message) = place("forbid (principal, action, resource)\nwhen { é == context.colour };");
    assert!(line == 2 && column >= 8, "{line}:{column} {message}");
    let (line, _, message) = place("forbid (principal, action, resource) when {\n  context.acr == \"x\" };");
    assert!(line == 2 && message.contains("acr"), "an optional member needs `has`: {line} {message}");
    let second =
        "forbid (principal, action, resource);\nforbid (principal, action, resource) when { context.acr == \"x\" };";
    assert!(place(second).2.starts_with("statement 2: "), "{:?}", place(second));
    for text in [
        "forbid (principal, action == Action::\"token:isue\", resource);",
        "forbid (principal, action, resource) when { context.mode == \"proxy\" };",
        "forbid (principal == User::\"me\", action, resource);",
        "forbid (principal, action, resource) when { context.now.hour == \"3\" };",
        "forbid (principal, action, resource) when { ip(context.subject).isLoopback() };",
        "forbid (principal, action, resource) when { context has source && context.source.isInRange(ip(\"10.0.0.0/99\")) };",
        "",
        "// nothing\n",
    ] {
        let faults = check(text).unwrap_err();
        assert!(!faults[0].message.is_empty() && faults.len() <= 8, "{text}: {faults:?}");
    }
}

/// Run on the smallest stack that such a text can meet.
fn on_a_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(work).unwrap().join().unwrap()
}

#[test]
fn hostile_texts_end_in_an_error_or_an_answer_on_a_small_stack() {
    let statement = |condition: &str| format!("forbid (principal, action, resource) when {{ {condition} }};");
    let deep = |open: &str, close: &str, n: usize| statement(&format!("{}true{}", open.repeat(n), close.repeat(n)));
    let long = |link: &str| {
        let mut text = "forbid (principal, action, resource) when { true".to_owned();
        while text.len() + link.len() + 4 < MAX_POLICY_BYTES {
            text.push_str(link);
        }
        text + " };"
    };
    let refused: Vec<String> = vec![
        "x".repeat(MAX_POLICY_BYTES + 1),
        deep("(", ")", MAX_POLICY_DEPTH + 1),
        deep("(", ")", 8000),
        deep("[", "]", 8000),
        deep("{a:", "}", 4000),
        statement(&"!".repeat(8000)),
        statement(&format!("{}1 == 1", "-".repeat(8000))),
        statement(&format!("{}true", "if true then true else ".repeat(600))),
        long(" && true"),
        long(" || false"),
        long(".a"),
        statement(&format!("1{} == 1", "+1".repeat(7000))),
        statement(&format!("context{}", ".now".repeat(3000))),
        "forbid (principal, action, resource);".repeat(MAX_POLICY_STATEMENTS + 1),
        statement("context.subject == \"\u{202e}live\u{202c}\""),
        "// \u{2066}forbid\u{2069}\nforbid (principal, action, resource);".to_owned(),
        statement("context.subject == \"a\0b\""),
        "forbid (principal, action, resource) when { \"".to_owned(),
        "\\".repeat(100),
        ";".repeat(5000),
        // A comment ends with a carriage return too: nothing hides behind it.
        format!("//\r{}", deep("(", ")", 8000)),
    ];
    for text in refused {
        let head: String = text.chars().take(60).collect();
        let result = on_a_small_stack(move || check(&text));
        assert!(result.is_err(), "{head}");
    }
}

#[test]
fn the_largest_text_that_is_let_in_is_read_and_evaluated_on_a_small_stack() {
    let statement = |condition: &str| format!("forbid (principal, action, resource) when {{ {condition} }};");
    // What is repeated, and how many words it is counted as.
    let chain = |link: &str, words: usize| link.repeat((MAX_POLICY_WORDS - 30) / words);
    for condition in [
        format!("true{}", chain("&&true", 3)),
        format!("true{}", chain("||false", 3)),
        format!("{}1==1", chain("1+", 2)),
        format!("{}1==1", chain("1*", 2)),
        format!("{}true", chain("if true then true else ", 5)),
        format!("[{}1].contains(2)", chain("2,", 2)),
        format!("context{} == 1", chain(".now", 2)),
        format!("context{} == 1", chain("[\"now\"]", 1)),
        format!("{}true", chain("!", 1)),
        format!("{}1==1", chain("-", 1)),
        format!("{}true{}", "(".repeat(MAX_POLICY_DEPTH - 1), ")".repeat(MAX_POLICY_DEPTH - 1)),
    ] {
        let text = statement(&condition);
        let head: String = condition.chars().take(30).collect();
        let faults = on_a_small_stack(move || {
            let checked = check(&text);
            // Stored by whoever writes to the database, it is met here.
            let _ = denials(&text, &issue());
            checked.err()
        });
        let words = faults.iter().flatten().find(|fault| fault.message.contains("words"));
        assert!(words.is_none(), "{head}: within the bounds, so that the parser was met: {words:?}");
    }
    let list: Vec<String> = (0..200).map(|n| format!("\"/v1/path-{n}\"")).collect();
    let usual = format!(
        "forbid (principal, action == Action::\"credential:call\", resource) unless {{ [{}].contains(context.path) }};",
        list.join(",")
    );
    assert!(check(&usual).is_ok(), "a list of two hundred is let in");
}

#[test]
fn unicode_in_strings_is_text() {
    let text = "forbid (principal, action, resource) when { context.subject == \"Zoë 😀\" };";
    let mut facts = issue();
    assert!(!forbids(text, &facts));
    facts.subject = "Zoë 😀".to_owned();
    assert!(forbids(text, &facts));
}
