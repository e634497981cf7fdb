use super::*;
use crate::rule::{Approval, Approver, PartySelector, RuleSpec, ScopeEdge};
use proptest::prelude::*;

const NOW: Timestamp = 1_000;

fn scopes(text: &str) -> ScopeSet {
    if text.is_empty() { ScopeSet::default() } else { ScopeSet::parse(text).unwrap() }
}

fn aud(uri: &str) -> Audience {
    Audience::parse(uri).unwrap()
}

fn token(client: &str, audience: &str, scope: &str) -> AccessToken {
    AccessToken {
        iss: "https://as".into(),
        sub: format!("agent:{client}"),
        sub_profile: None,
        client_id: client.into(),
        aud: vec![aud(audience)],
        scope: scopes(scope),
        jti: format!("t_{client}"),
        lineage: Lineage::default(),
        iat: NOW - 10,
        exp: NOW + 200,
        env: Environment::Live,
        act: ActorChain::default(),
        may_act: None,
        user: crate::UserContext::default(),
        cnf: None,
        status: None,
        budget: None,
        authorization_details: None,
    }
}

fn rule(id: &str, actor: &str, subject: &str, to: &str, allowed: &[&str]) -> ExchangeRule {
    ExchangeRule {
        id: id.into(),
        spec: RuleSpec {
            actor: PartySelector::Client(actor.into()),
            subject: PartySelector::Client(subject.into()),
            from_audience: None,
            to_audience: aud(to),
            scopes: allowed.iter().map(|s| ScopeEdge { scope: (*s).into(), stands_for: None }).collect(),
            mode: ExchangeMode::Delegation,
            max_ttl_seconds: None,
            max_depth: None,
            budget_ceiling: None,
            max_children: None,
            id_jag: None,
            approval: None,
            accept_bound_subject: false,
        },
        accepted_by: vec!["o".into()],
        enabled: true,
    }
}

/// One exchange by `o.b` at one target, to be bent by each test.
#[derive(Debug)]
struct Case {
    subject: AccessToken,
    federated: Option<Federated<'static>>,
    owners: Vec<&'static str>,
    actor: Option<AccessToken>,
    target: Audience,
    target_owner: &'static str,
    target_scopes: ScopeSet,
    target_env: Option<Environment>,
    ceiling: Option<ScopeSet>,
    scope: Option<ScopeSet>,
    rules: Vec<ExchangeRule>,
    abroad: bool,
    max_depth: usize,
    now: Timestamp,
}

impl Case {
    fn new() -> Self {
        Self {
            subject: token("o.a", "https://x", "read write"),
            federated: None,
            owners: vec!["o"],
            actor: None,
            target: aud("https://x"),
            target_owner: "o",
            target_scopes: scopes("read write admin"),
            target_env: None,
            ceiling: None,
            scope: None,
            rules: vec![rule("r1", "o.b", "o.a", "https://x", &["read", "admin"])],
            abroad: false,
            max_depth: 4,
            now: NOW,
        }
    }

    fn decide(&self) -> Result<Narrowed, Refusal> {
        let target = Target {
            audience: &self.target,
            owner_id: self.target_owner,
            scopes: &self.target_scopes,
            environment: self.target_env,
            ttl_seconds: 3600,
        };
        decide(&Exchange {
            issuer: "https://as",
            subject: &self.subject,
            federated: self.federated,
            subject_owners: &self.owners,
            actor_token: self.actor.as_ref(),
            presenter: Presenter {
                client_id: "o.b",
                subject: "agent:o.b",
                owner_id: "o",
                environment: Environment::Live,
                scope_ceiling: self.ceiling.as_ref(),
                ttl_seconds: 300,
            },
            targets: &[target],
            scope: self.scope.as_ref(),
            rules: &self.rules,
            abroad: self.abroad,
            max_depth: self.max_depth,
            now: self.now,
        })
    }
}

#[test]
fn a_rule_delegates_within_the_subjects_scope() {
    let got = Case::new().decide().unwrap();
    assert_eq!(got.scope, scopes("read"), "admin is in the rule but not in the subject token");
    assert_eq!(got.act.current().unwrap().sub, "agent:o.b");
    assert_eq!(got.lineage.tokens, ["t_o.a"]);
    assert_eq!((got.exp, got.mode, got.rules), (NOW + 200, ExchangeMode::Delegation, vec!["r1".to_owned()]));
}

#[test]
fn without_a_rule_nothing_is_allowed() {
    let mut case = Case::new();
    case.rules.clear();
    assert_eq!(case.decide(), Err(Refusal::NotTheirs));
}

#[test]
fn rules_for_others_do_not_help() {
    let bends: [fn(&mut ExchangeRule); 8] = [
        |r| r.enabled = false,
        |r| r.spec.actor = PartySelector::Client("o.c".into()),
        |r| r.spec.actor = PartySelector::Owner("other".into()),
        |r| r.spec.subject = PartySelector::Client("o.c".into()),
        |r| r.spec.subject = PartySelector::Owner("other".into()),
        |r| r.spec.to_audience = aud("https://y"),
        |r| r.spec.from_audience = Some(aud("https://y")),
        |r| r.accepted_by.clear(),
    ];
    for bend in bends {
        let mut case = Case::new();
        bend(case.rules.first_mut().unwrap());
        let got = case.decide();
        assert!(matches!(got, Err(Refusal::NoRule | Refusal::NotTheirs)), "{got:?} {:?}", case.rules);
    }
}

#[test]
fn a_rule_that_leads_abroad_yields_a_grant_and_no_other_rule_does() {
    let abroad = crate::id_jag::Abroad { issuer: "https://b".into(), client_id: None, resources: Vec::new() };
    for (leads, asked) in [(true, true), (true, false), (false, true)] {
        let mut case = Case::new();
        case.target = aud("https://b");
        case.abroad = asked;
        let spec = &mut case.rules.first_mut().unwrap().spec;
        spec.to_audience = aud("https://b");
        spec.id_jag = leads.then(|| abroad.clone());
        match case.decide() {
            Ok(got) => assert!(leads && asked && got.rules == ["r1"], "{got:?}"),
            Err(refusal) => assert!(leads != asked && refusal == Refusal::NotTheirs, "{refusal:?}"),
        }
    }
}

#[test]
fn nothing_but_a_rule_leads_abroad_and_to_one_server() {
    let mut case = Case::new();
    case.subject = token("o.b", "https://x", "read");
    assert!(case.decide().is_ok(), "its own token, at its own audience");
    case.abroad = true;
    assert_eq!(case.decide(), Err(Refusal::NoRule));
}

#[test]
fn every_party_and_the_target_must_have_accepted_the_rule() {
    let mut case = Case::new();
    case.owners = vec!["o", "root-owner"];
    assert_eq!(case.decide(), Err(Refusal::NotTheirs));
    case.rules.first_mut().unwrap().accepted_by.push("root-owner".into());
    assert!(case.decide().is_ok());
    case.target_owner = "target-owner";
    assert_eq!(case.decide(), Err(Refusal::NotTheirs));
}

#[test]
fn a_wider_scope_is_refused_not_narrowed() {
    let mut case = Case::new();
    case.scope = Some(scopes("read admin"));
    assert_eq!(case.decide(), Err(Refusal::ScopeWider));
    case.scope = Some(scopes("read"));
    assert_eq!(case.decide().unwrap().scope, scopes("read"));
    case.ceiling = Some(scopes("write"));
    assert_eq!(case.decide(), Err(Refusal::ScopeWider));
}

#[test]
fn the_holder_may_narrow_its_own_token_without_a_rule_and_without_act() {
    let mut case = Case::new();
    case.subject = token("o.b", "https://x", "read write");
    case.rules.clear();
    case.scope = Some(scopes("write"));
    let got = case.decide().unwrap();
    assert!(got.act.is_empty() && got.rules.is_empty());
    case.target = aud("https://y");
    assert_eq!(case.decide(), Err(Refusal::NoRule), "another audience needs an edge");
}

#[test]
fn a_rule_that_waits_names_whose_people_approve_and_gives_way_to_one_that_does_not() {
    let mut case = Case::new();
    case.owners = vec!["p", "o"];
    case.target_owner = "q";
    let waits = |id: &str, by: Vec<Approver>| {
        let mut rule = rule(id, "o.b", "o.a", "https://x", &["read"]);
        rule.spec.approval = Some(Approval { by });
        rule.accepted_by = ["o", "p", "q"].map(Into::into).into();
        rule
    };
    case.rules = vec![waits("r1", vec![Approver::TargetOwner, Approver::ActorOwner, Approver::SubjectOwner])];
    assert_eq!(case.decide().unwrap().approvers, ["o", "p", "q"], "the subject's is who holds the token");
    case.rules = vec![waits("r1", vec![Approver::SubjectOwner])];
    assert_eq!(case.decide().unwrap().approvers, ["p"]);
    let mut free = waits("r2", Vec::new());
    free.spec.approval = None;
    case.rules.push(free);
    let decided = case.decide().unwrap();
    assert_eq!((decided.approvers, decided.rules), (vec![], vec!["r2".to_owned()]));
}

#[test]
fn act_is_never_lost() {
    let mut case = Case::new();
    case.subject.act = ActorChain::default().acted_by(Actor { sub: "agent:o.a".into(), iss: None });
    case.rules.first_mut().unwrap().spec.mode = ExchangeMode::Impersonation;
    assert_eq!(case.decide().unwrap().act, case.subject.act);
    case.rules.first_mut().unwrap().spec.mode = ExchangeMode::Delegation;
    assert_eq!(case.decide().unwrap().act.depth(), 2);
}

#[test]
fn impersonation_needs_its_rule_and_no_actor_token() {
    let mut case = Case::new();
    case.rules.first_mut().unwrap().spec.mode = ExchangeMode::Impersonation;
    let got = case.decide().unwrap();
    assert!(got.act.is_empty());
    assert_eq!(got.mode, ExchangeMode::Impersonation);
    case.actor = Some(token("o.b", "https://z", "x"));
    assert_eq!(case.decide(), Err(Refusal::NotTheirs));
}

#[test]
fn the_actor_token_is_the_clients_own_and_alive() {
    let mut case = Case::new();
    case.actor = Some(token("o.b", "https://z", "x"));
    assert!(case.decide().is_ok());
    case.actor = Some(token("o.c", "https://z", "x"));
    assert_eq!(case.decide(), Err(Refusal::ActorNotClient));
    let mut delegated = token("o.b", "https://z", "x");
    delegated.act = ActorChain::default().acted_by(Actor { sub: "agent:o.c".into(), iss: None });
    case.actor = Some(delegated);
    assert_eq!(case.decide(), Err(Refusal::ActorNotClient));
    let mut old = token("o.b", "https://z", "x");
    old.exp = NOW;
    case.actor = Some(old);
    assert_eq!(case.decide(), Err(Refusal::ActorExpired));
}

#[test]
fn may_act_permits_its_actor_and_refuses_every_other_even_with_a_rule() {
    let mut case = Case::new();
    let may = |sub: &str| Some(crate::MayAct::from_json(&serde_json::json!({ "sub": sub })).unwrap());
    case.subject.may_act = may("agent:o.c");
    assert_eq!(case.decide(), Err(Refusal::MayActMismatch));
    case.subject.may_act = may("agent:o.b");
    case.rules.clear();
    assert_eq!(case.decide().unwrap().act.current().unwrap().sub, "agent:o.b");
}

#[test]
fn chains_and_lineages_are_bounded() {
    let mut case = Case::new();
    for sub in ["a", "b", "c", "d"] {
        case.subject.act = case.subject.act.acted_by(Actor { sub: sub.into(), iss: None });
    }
    assert_eq!(case.decide(), Err(Refusal::TooDeep));
    case.max_depth = 5;
    assert!(case.decide().is_ok());
    case.rules.first_mut().unwrap().spec.max_depth = Some(4);
    assert_eq!(case.decide(), Err(Refusal::TooDeep));
    let mut case = Case::new();
    case.subject.lineage.tokens = vec!["t".into(); crate::lineage::MAX_ANCESTORS];
    assert_eq!(case.decide(), Err(Refusal::LineageTooLong));
}

#[test]
fn environments_never_cross() {
    let mut case = Case::new();
    case.subject.env = Environment::Sandbox;
    assert_eq!(case.decide(), Err(Refusal::EnvironmentCrossed));
    let mut case = Case::new();
    case.target_env = Some(Environment::Sandbox);
    assert_eq!(case.decide(), Err(Refusal::EnvironmentCrossed));
}

#[test]
fn an_expired_subject_yields_nothing() {
    let mut case = Case::new();
    case.now = case.subject.exp;
    assert_eq!(case.decide(), Err(Refusal::SubjectExpired));
}

fn some_scope() -> impl Strategy<Value = ScopeSet> {
    prop::collection::vec("[a-d]", 0..4).prop_map(|v| ScopeSet::try_from(v).unwrap())
}

fn some_case() -> impl Strategy<Value = Case> {
    let rules = prop::collection::vec(
        (
            0..3usize,
            prop::collection::vec(("[a-d]", prop::option::of("[a-d]")), 1..4),
            any::<bool>(),
            prop::option::of(1..400i64),
            prop::option::of(1..5usize),
        ),
        0..4,
    );
    (
        some_scope(),
        some_scope(),
        prop::option::of(some_scope()),
        prop::option::of(some_scope()),
        rules,
        0..2usize,
        (1i64..500, 0..4usize),
    )
        .prop_map(|(have, target, ceiling, request, rules, holder, (life, depth))| {
            let mut case = Case::new();
            case.subject = token(["o.a", "o.b"].get(holder).unwrap(), "https://x", "placeholder");
            case.subject.scope = have;
            case.subject.exp = NOW + life;
            for n in 0..depth {
                case.subject.act = case.subject.act.acted_by(Actor { sub: format!("p{n}"), iss: None });
            }
            case.target_scopes = target;
            case.ceiling = ceiling;
            case.scope = request.filter(|scope| !scope.is_empty());
            case.rules = rules
                .into_iter()
                .enumerate()
                .map(|(n, (who, edges, impersonate, ttl, depth))| {
                    let mut one =
                        rule(&format!("r{n}"), "o.b", ["o.a", "o.b", "o.c"].get(who).unwrap(), "https://x", &[]);
                    one.spec.scopes =
                        edges.into_iter().map(|(scope, stands_for)| ScopeEdge { scope, stands_for }).collect();
                    one.spec.max_ttl_seconds = ttl;
                    one.spec.max_depth = depth;
                    if impersonate {
                        one.spec.mode = ExchangeMode::Impersonation;
                    }
                    one
                })
                .collect();
            case
        })
}

proptest! {
    #[test]
    fn authority_only_narrows_and_life_never_grows(case in some_case()) {
        if let Ok(got) = case.decide() {
            prop_assert!(!got.scope.is_empty());
            prop_assert!(got.scope.is_subset(&case.subject.scope), "the audience stays, so scopes stand for themselves");
            prop_assert!(got.scope.is_subset(&case.target_scopes));
            prop_assert!(case.ceiling.as_ref().is_none_or(|c| got.scope.is_subset(c)));
            prop_assert!(case.scope.as_ref().is_none_or(|s| &got.scope == s));
            prop_assert!(got.exp <= case.subject.exp && got.exp > case.now && got.exp <= case.now + 300);
            prop_assert!(got.act.depth() >= case.subject.act.depth() && got.act.depth() <= case.max_depth);
            prop_assert!(got.lineage.tokens.contains(&case.subject.jti));
            for id in &got.rules {
                let used = case.rules.iter().find(|rule| &rule.id == id).unwrap();
                prop_assert!(used.spec.max_ttl_seconds.is_none_or(|ttl| got.exp <= case.now + ttl));
                prop_assert!(used.spec.max_depth.is_none_or(|depth| got.act.depth() <= depth));
            }
        }
    }

    #[test]
    fn the_order_of_the_rules_decides_nothing(mut case in some_case(), turn in 0..4usize) {
        let before = case.decide();
        let middle = turn.min(case.rules.len());
        case.rules.rotate_left(middle);
        prop_assert_eq!(before, case.decide());
    }

    #[test]
    fn earlier_actors_are_history_and_never_authority(mut case in some_case()) {
        let before = case.decide().map(|got| (got.scope, got.aud, got.exp, got.rules));
        let mut subs: Vec<Actor> = case.subject.act.iter().cloned().collect();
        if subs.len() > 1 {
            subs[1..].reverse();
            case.subject.act = subs.into_iter().rev().fold(ActorChain::default(), |chain, actor| chain.acted_by(actor));
        }
        prop_assert_eq!(before, case.decide().map(|got| (got.scope, got.aud, got.exp, got.rules)));
    }

    #[test]
    fn narrowing_ones_own_token_again_changes_nothing(mut case in some_case()) {
        case.subject.client_id = "o.b".into();
        if let Ok(first) = case.decide() {
            case.subject.scope = first.scope.clone();
            case.subject.act = first.act.clone();
            case.subject.exp = first.exp;
            let second = case.decide().unwrap();
            prop_assert_eq!((first.scope, first.aud, first.act, first.exp), (second.scope, second.aud, second.act, second.exp));
        }
    }
}

/// Alice, whom `iss_1` vouches for, and the rule by which `o.b` may act for its subjects.
fn federated() -> Case {
    let mut case = Case::new();
    // The hull of a foreign token names its presenter, and nothing of ours beside.
    case.subject = token("o.b", "https://x", "");
    case.subject.sub = "user:iss_1:alice".into();
    case.subject.aud = Vec::new();
    case.subject.jti = "d_digest".into();
    case.federated = Some(Federated { issuer: "iss_1", name: "alice", delegated: false });
    case.owners = vec!["idp"];
    case.rules[0].spec.subject = PartySelector::Issuer { id: "iss_1".into(), subject: None };
    case.rules[0].accepted_by.push("idp".into());
    case
}

#[test]
fn a_foreign_subject_has_what_the_rule_says_and_nothing_else() {
    let got = federated().decide().unwrap();
    assert_eq!(got.scope, scopes("read admin"), "the rule's ceiling within the target's scopes");
    assert_eq!(got.act.to_json().unwrap()["sub"], "agent:o.b");
    assert_eq!((got.lineage.tokens, got.lineage.clients), (vec!["d_digest".to_owned()], vec!["o.b".to_owned()]));
    assert_eq!(got.exp, NOW + 200, "no longer than the foreign token");
    let mut case = federated();
    case.scope = Some(scopes("write"));
    assert_eq!(case.decide(), Err(Refusal::ScopeWider));
}

#[test]
fn a_foreign_subject_is_let_in_by_no_rule_for_clients() {
    let bends: [fn(&mut Case); 9] = [
        |case| case.rules.clear(),
        |case| case.rules[0].spec.subject = PartySelector::Client("o.b".into()),
        |case| case.rules[0].spec.subject = PartySelector::Client("alice".into()),
        |case| case.rules[0].spec.subject = PartySelector::Owner("o".into()),
        |case| case.rules[0].spec.subject = PartySelector::Owner("idp".into()),
        |case| case.rules[0].spec.subject = PartySelector::Issuer { id: "iss_2".into(), subject: None },
        |case| {
            case.rules[0].spec.subject = PartySelector::Issuer { id: "iss_1".into(), subject: Some("bob".into()) };
        },
        |case| case.rules[0].accepted_by = vec!["o".into()],
        |case| case.rules[0].enabled = false,
    ];
    for bend in bends {
        let mut case = federated();
        bend(&mut case);
        assert_eq!(case.decide(), Err(Refusal::NotTheirs), "{:?}", case.rules);
    }
    // And no token of ours by a rule for an issuer's subjects.
    let mut case = federated();
    case.federated = None;
    case.subject = token("o.a", "https://x", "read");
    assert_eq!(case.decide(), Err(Refusal::NotTheirs));
}

#[test]
fn that_somebody_acts_for_a_foreign_subject_already_is_not_lost_by_impersonation() {
    let mut case = federated();
    case.rules[0].spec.mode = ExchangeMode::Impersonation;
    assert!(case.decide().unwrap().act.is_empty());
    case.federated = Some(Federated { issuer: "iss_1", name: "alice", delegated: true });
    assert_eq!(case.decide(), Err(Refusal::NotTheirs));
}
