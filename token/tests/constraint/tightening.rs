//! Laws of putting constraints together.

use crate::world::{Facts, charge, constraints};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use stipend_token::constraint::{Body, CanonicalPath, Constraints, Host, Method, RateCount};

/// Members of a set, less the mode, which comes after them.
const KINDS: usize = 9;

/// A sample of a small world, in which constraints often meet.
fn some_of(items: Vec<Value>, most: usize) -> impl Strategy<Value = Value> {
    prop::collection::vec(prop::sample::select(items), 0..=most).prop_map(Value::Array)
}

fn one_of(items: Vec<Value>) -> impl Strategy<Value = Value> {
    prop::sample::select(items)
}

fn values(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| json!(text)).collect()
}

fn one_or_two(item: impl Strategy<Value = Value> + Clone + 'static) -> BoxedStrategy<Value> {
    prop_oneof![item.clone(), prop::collection::vec(item, 1..3).prop_map(Value::Array)].boxed()
}

/// A set of members of all kinds, or of the one kind alone.
pub fn a_set(kind: Option<usize>) -> BoxedStrategy<Value> {
    let paths = ["/", "/a", "/a/b", "/a/b/c", "/b"];
    let paths = values(&paths).into_iter().chain(paths.map(|path| json!({"exact": path}))).collect();
    let rates = (1..4_u32, 1..4_u32).prop_map(|(count, per_s)| json!({"count": count, "per_s": per_s}));
    let amounts = (0..4_i64, 0..3_usize, any::<bool>()).prop_map(|(amount, place, unit)| {
        let selector = ["/a", "/b", "/x"][place];
        match unit {
            true => json!({"amount": amount, "selector": selector, "unit": "usd", "unit_selector": "/unit"}),
            false => json!({"amount": amount, "selector": selector}),
        }
    });
    let hosts = || some_of(values(&["example", "*.example", "a.example", "*.a.example", "b.a.example", "b"]), 3);
    let recipients = (prop::sample::select(vec!["/to", "/cc"]), hosts())
        .prop_map(|(to, domains)| json!({"selector": to, "domains": domains}));
    let day = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let hours = (one_of(values(&["UTC", "Asia/Kathmandu"])), 0..3_usize, prop::option::of(some_of(values(&day), 7)));
    let hours = hours.prop_map(|(zone, hours, days)| {
        let (from, to) = [("00:00", "12:00"), ("06:00", "18:00"), ("18:00", "06:00")][hours];
        let mut hours = json!({"zone": zone, "from": from, "to": to});
        if let Some(days) = days {
            hours["days"] = days;
        }
        hours
    });
    let blocks = ["10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "::/0", "2001:db8::/32", "0.0.0.0/0"];
    let members: Vec<(&str, BoxedStrategy<Value>)> = vec![
        ("methods", some_of(values(&["GET", "POST", "PUT"]), 3).boxed()),
        ("hosts", hosts().boxed()),
        ("paths", some_of(paths, 4).boxed()),
        ("rate", one_or_two(rates)),
        ("max_amount", one_or_two(amounts)),
        ("recipients", one_or_two(recipients.boxed())),
        ("source", some_of(values(&blocks), 3).boxed()),
        ("time_of_day", one_or_two(hours.boxed())),
        ("uses", (1..4_u32).prop_map(|uses| json!(uses)).boxed()),
        ("mode", one_of(values(&["enforce", "observe"])).boxed()),
    ];
    let wanted = |place: usize| kind.is_none_or(|kind| place == kind || place == KINDS);
    let chance = |place: usize| if kind == Some(place) { 0.95 } else { 0.3 };
    let members: Vec<_> = members
        .into_iter()
        .enumerate()
        .filter(|(place, _)| wanted(*place))
        .map(|(place, (name, value))| {
            let value = prop::option::weighted(chance(place), value);
            value.prop_map(move |value| value.map(|value| (name.to_owned(), value)))
        })
        .collect();
    members.prop_map(|members| Value::Object(members.into_iter().flatten().collect::<Map<_, _>>())).boxed()
}

fn some_of_kind(kind: Option<usize>) -> impl Strategy<Value = Constraints> {
    let several = prop::collection::vec(a_set(kind), 1..3).prop_map(Value::Array);
    prop_oneof![a_set(kind), several].prop_map(|value| constraints(&value))
}

pub fn some_constraints() -> impl Strategy<Value = Constraints> {
    some_of_kind(None)
}

/// Two that are about the same.
fn two_of_a_kind() -> impl Strategy<Value = (Constraints, Constraints)> {
    let kind = prop_oneof![4 => (0..KINDS).prop_map(Some), 1 => Just(None)];
    kind.prop_flat_map(|kind| (some_of_kind(kind), some_of_kind(kind)))
}

fn a_call() -> impl Strategy<Value = Facts> {
    let request = (
        prop::sample::select(vec!["GET", "POST", "PUT"]),
        prop::sample::select(vec!["example", "a.example", "b.a.example", "c.b.a.example", "b", "c"]),
        prop::sample::select(vec!["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/b", "/b/a"]),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.9),
    );
    let body = (0..4_i64, 0..4_i64, prop::bool::weighted(0.8), prop::sample::select(vec!["example", "a.example", "c"]))
        .prop_map(|(a, b, usd, to)| json!({"a": a, "b": b, "unit": if usd { "usd" } else { "jpy" }, "to": format!("x@{to}"), "cc": [format!("https://{to}/")]}));
    let source =
        prop::sample::select(vec!["10.1.2.3", "10.200.0.1", "192.0.2.1", "2001:db8::1", "::1", "::ffff:10.1.2.3"]);
    let counts = (0..4_u64, prop::collection::vec(0..2_u64, 3));
    (request, body, source, 0..14 * 86_400_i64, counts).prop_map(|(request, body, source, now, (uses, more))| {
        let (method, host, path, overridden, seen) = request;
        // A longer span holds the calls of a shorter one.
        let rates = (1..4).map(|per_s| RateCount { per_s, count: more.iter().take(per_s as usize).sum() }).collect();
        Facts {
            seen,
            method: Method::parse(method).unwrap(),
            overridden,
            host: Host::parse(host).unwrap(),
            path: CanonicalPath::parse(path).unwrap(),
            body: Body::parse_json(body.to_string().as_bytes()),
            source: Some(source.parse().unwrap()),
            now: 1_795_000_000 + now,
            uses: Some(uses),
            rates,
        }
    })
}

fn admits(constraints: &Constraints, call: &Facts) -> bool {
    !call.decide(constraints).is_denied()
}

/// Admitted, and nothing to report.
pub fn is_clean(constraints: &Constraints, call: &Facts) -> bool {
    call.decide(constraints).broken.is_empty()
}

pub fn calls() -> impl Strategy<Value = Vec<Facts>> {
    prop::collection::vec(a_call(), 24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn together_they_admit_exactly_what_both_admit((a, b) in two_of_a_kind(), calls in calls()) {
        let both = a.tighten(&b).unwrap();
        for call in calls {
            prop_assert_eq!(admits(&both, &call), admits(&a, &call) && admits(&b, &call), "{:?}", call);
            prop_assert_eq!(is_clean(&both, &call), is_clean(&a, &call) && is_clean(&b, &call), "{:?}", call);
        }
    }

    #[test]
    fn twice_is_once_and_order_is_nothing((a, b) in two_of_a_kind()) {
        prop_assert_eq!(&a.tighten(&a).unwrap(), &a);
        let both = a.tighten(&b).unwrap();
        prop_assert_eq!(&both, &b.tighten(&a).unwrap());
        prop_assert_eq!(&both.tighten(&a).unwrap(), &both);
        prop_assert!(both.is_within(&a) && both.is_within(&b) && a.is_within(&a));
        prop_assert_eq!(&a.tighten(&Constraints::default()).unwrap(), &a);
    }

    #[test]
    fn three_admit_the_same_however_they_are_put_together(
        a in some_constraints(), b in some_constraints(), c in some_constraints(), calls in calls()
    ) {
        let left = a.tighten(&b).and_then(|both| both.tighten(&c)).unwrap();
        let right = b.tighten(&c).and_then(|both| a.tighten(&both)).unwrap();
        for call in calls {
            prop_assert_eq!(admits(&left, &call), admits(&right, &call), "{:?}", call);
            prop_assert_eq!(is_clean(&left, &call), is_clean(&right, &call), "{:?}", call);
        }
    }

    #[test]
    fn what_is_within_admits_no_more((a, b) in two_of_a_kind(), calls in calls()) {
        if a.is_within(&b) {
            for call in calls {
                prop_assert!(!admits(&a, &call) || admits(&b, &call), "{:?}", call);
            }
        }
    }

    #[test]
    fn what_is_observed_never_loosens(a in some_constraints(), b in a_set(None), calls in calls()) {
        let mut b = b;
        b["mode"] = json!("observe");
        let both = a.tighten(&constraints(&b)).unwrap();
        for call in calls {
            prop_assert_eq!(admits(&both, &call), admits(&a, &call));
        }
    }

    #[test]
    fn what_is_written_reads_back(a in some_constraints()) {
        let text = serde_json::to_string(&a).unwrap();
        prop_assert_eq!(serde_json::from_str::<Constraints>(&text).unwrap(), a);
    }

    #[test]
    fn what_denies_all_admits_nothing(a in some_constraints(), calls in calls()) {
        if a.deny_all() {
            prop_assert!(calls.iter().all(|call| !admits(&a, call)));
        }
    }
}

fn tightened(a: Value, b: Value) -> Value {
    serde_json::to_value(constraints(&a).tighten(&constraints(&b)).unwrap()).unwrap()
}

#[test]
fn the_tighter_part_of_each_member_remains() {
    let grant = json!({
        "methods": ["GET", "POST"], "hosts": ["*.example"], "paths": ["/v1", {"exact": "/health"}],
        "rate": {"count": 10, "per_s": 60}, "max_amount": {"amount": 500, "selector": "/amount"},
        "source": ["10.0.0.0/8"], "uses": 100,
        "time_of_day": {"zone": "UTC", "from": "08:00", "to": "18:00", "days": ["mon", "tue"]},
    });
    let asked = json!({
        "methods": ["POST", "PUT"], "hosts": ["api.example", "example"], "paths": ["/v1/chat", "/health"],
        "rate": {"count": 100, "per_s": 3600}, "max_amount": {"amount": 50, "selector": "/amount"},
        "source": ["10.1.0.0/16", "192.0.2.0/24"], "uses": 7,
        "time_of_day": {"zone": "UTC", "from": "08:00", "to": "18:00", "days": ["tue", "wed"]},
    });
    let expected = json!({
        "methods": ["POST"], "hosts": ["api.example"], "paths": ["/v1/chat", {"exact": "/health"}],
        "rate": [{"count": 10, "per_s": 60}, {"count": 100, "per_s": 3600}],
        "max_amount": {"amount": 50, "selector": "/amount"},
        "source": ["10.1.0.0/16"], "uses": 7,
        "time_of_day": {"zone": "UTC", "from": "08:00", "to": "18:00", "days": ["tue"]},
    });
    assert_eq!(tightened(grant, asked), expected);
}

#[test]
fn what_does_not_overlap_denies_all() {
    for (a, b) in [
        (json!({"methods": ["GET"]}), json!({"methods": ["POST"]})),
        (json!({"paths": ["/a"]}), json!({"paths": ["/b"]})),
        (json!({"hosts": ["*.a"]}), json!({"hosts": ["a"]})),
        (json!({"source": ["0.0.0.0/0"]}), json!({"source": ["::/0"]})),
    ] {
        let both = constraints(&a).tighten(&constraints(&b)).unwrap();
        assert!(both.deny_all() && !admits(&both, &charge()), "{a} {b}");
    }
}

#[test]
fn what_is_observed_is_kept_until_it_is_enforced() {
    let observed = json!({"mode": "observe", "paths": ["/v1"]});
    assert_eq!(tightened(json!({"methods": ["POST"]}), observed.clone()), json!([{"methods": ["POST"]}, observed]));
    assert_eq!(tightened(json!({"paths": ["/v1/chat"]}), observed.clone()), json!({"paths": ["/v1/chat"]}));
    assert_eq!(tightened(json!({}), observed.clone()), observed);
    let within = |a: Value, b: Value| constraints(&a).is_within(&constraints(&b));
    assert!(within(json!({"paths": ["/v1"]}), observed.clone()), "enforced is more than observed");
    assert!(!within(observed, json!({"paths": ["/v1"]})));
    assert!(!within(json!({}), json!({"mode": "observe", "uses": 1})), "what is observed is not lost");
}

#[test]
fn a_list_that_would_be_too_long_is_refused() {
    let rates =
        |from: u32| json!({"rate": (from..from + 5).map(|n| json!({"count": n, "per_s": n})).collect::<Vec<_>>()});
    assert!(constraints(&rates(1)).tighten(&constraints(&rates(4))).is_ok());
    assert!(constraints(&rates(1)).tighten(&constraints(&rates(6))).is_err());
    let paths = |wide: &str, narrow: &str| {
        let many = (0..60).map(|n| format!("/{narrow}/{n}"));
        json!({"paths": many.chain([format!("/{wide}")]).collect::<Vec<_>>()})
    };
    assert!(constraints(&paths("a", "b")).tighten(&constraints(&paths("b", "a"))).is_err());
}
