//! Each kind of constraint: what matches, what doesn't, what is empty, what is malformed.

use crate::world::{Facts, at, charge, constraints, refused};
use serde_json::{Value, json};
use stipend_token::budget::Amount;
use stipend_token::constraint::{Body, Host, Kind, Method, Mode, Need, Rate, RateCount, Reason, Unreadable};

fn broken(kind: Kind, reason: Reason) -> Vec<(Kind, Reason)> {
    vec![(kind, reason)]
}

/// A member alone: what it is written as and whether `charge()` keeps it.
fn check(member: &str, kind: Kind, cases: &[(Value, Result<(), Reason>)]) {
    for (value, expected) in cases {
        let expected = expected.err().map_or_else(Vec::new, |reason| broken(kind, reason));
        assert_eq!(charge().breaks(&json!({ member: value })), expected, "{member} {value}");
    }
}

fn malformed(member: &str, values: &[Value]) {
    for value in values.iter().chain(&[Value::Null, json!(true), json!("x"), json!([[]]), json!([null])]) {
        assert!(refused(&json!({ member: value }).to_string()), "{member} {value}");
    }
}

#[test]
fn without_constraints_every_call_is_admitted() {
    assert_eq!(charge().breaks(&json!({})), []);
    assert!(constraints(&json!({})).is_empty() && !constraints(&json!({})).deny_all());
}

#[test]
fn methods() {
    let not_listed = Err(Reason::NotListed);
    let cases = [
        (json!(["POST"]), Ok(())),
        (json!(["GET", "POST"]), Ok(())),
        (json!(["GET"]), not_listed),
        (json!([]), not_listed),
    ];
    check("methods", Kind::Methods, &cases);
    malformed("methods", &[json!(["post"]), json!(["*"]), json!("POST"), json!([""]), json!(["TRACE"]), json!([5])]);
}

#[test]
fn another_method_named_in_the_request_denies_where_methods_are_constrained() {
    let overridden = Facts { overridden: true, ..charge() };
    assert_eq!(overridden.breaks(&json!({"methods": ["POST"]})), broken(Kind::Methods, Reason::MethodOverridden));
    assert_eq!(overridden.breaks(&json!({"paths": ["/charges"]})), []);
}

#[test]
fn hosts() {
    let not_listed = Err(Reason::NotListed);
    check(
        "hosts",
        Kind::Hosts,
        &[
            (json!(["api.example"]), Ok(())),
            (json!(["*.example"]), Ok(())),
            (json!(["*.api.example"]), not_listed),
            (json!(["example"]), not_listed),
            (json!([]), not_listed),
        ],
    );
    malformed("hosts", &[json!(["API.example"]), json!(["*"]), json!(["api.example."]), json!(["api.example:443"])]);
    malformed("hosts", &[json!(["https://api.example"]), json!(["127.1"]), json!("api.example")]);
}

#[test]
fn paths() {
    let not_listed = Err(Reason::NotListed);
    check(
        "paths",
        Kind::Paths,
        &[
            (json!(["/charges"]), Ok(())),
            (json!(["/charges/1"]), Ok(())),
            (json!([{"exact": "/charges/1"}]), Ok(())),
            (json!(["/refunds", "/"]), Ok(())),
            (json!(["/charge"]), not_listed),
            (json!([{"exact": "/charges"}]), not_listed),
            (json!(["/Charges"]), not_listed),
            (json!([]), not_listed),
        ],
    );
    malformed(
        "paths",
        &[json!(["charges"]), json!(["/charges/"]), json!(["/charges/.."]), json!(["/a%2fb"]), json!([""])],
    );
    malformed("paths", &[json!([{"exact": "/a", "prefix": "/a"}]), json!([{}]), json!(["/a?b"]), json!(["/a;b"])]);
}

#[test]
fn source() {
    let not_listed = Err(Reason::NotListed);
    check(
        "source",
        Kind::Source,
        &[
            (json!(["10.0.0.0/8"]), Ok(())),
            (json!(["::ffff:10.0.0.0/104"]), Ok(())),
            (json!(["192.0.2.0/24", "10.1.2.3/32"]), Ok(())),
            (json!(["10.1.2.4/32"]), not_listed),
            (json!(["::/0"]), not_listed),
            (json!([]), not_listed),
        ],
    );
    malformed("source", &[json!(["10.0.0.1"]), json!(["10.0.0.1/8"]), json!(["10.0.0.0/33"]), json!("10.0.0.0/8")]);
    let mapped = Facts { source: Some("::ffff:10.1.2.3".parse().unwrap()), ..charge() };
    assert_eq!(mapped.breaks(&json!({"source": ["10.0.0.0/8"]})), []);
    let unknown = Facts { source: None, ..charge() };
    assert_eq!(unknown.breaks(&json!({"source": ["0.0.0.0/0", "::/0"]})), broken(Kind::Source, Reason::NotSeen));
}

#[test]
fn max_amount() {
    let max = |amount: i64, selector: &str| json!({"amount": amount, "selector": selector});
    let with_unit =
        |unit: &str, place: &str| json!({"amount": 500, "selector": "/amount", "unit": unit, "unit_selector": place});
    check(
        "max_amount",
        Kind::MaxAmount,
        &[
            (max(500, "/amount"), Ok(())),
            (json!([max(500, "/amount"), max(7, "/items/0/amount")]), Ok(())),
            (max(499, "/amount"), Err(Reason::Exceeded)),
            (json!([max(500, "/amount"), max(6, "/items/0/amount")]), Err(Reason::Exceeded)),
            (max(500, "/Amount"), Err(Reason::Ambiguous)),
            (max(500, "/total"), Err(Reason::Unresolved)),
            (max(500, "/items/1/amount"), Err(Reason::Unresolved)),
            (max(500, "/items"), Err(Reason::NotAnAmount)),
            (max(500, ""), Err(Reason::NotAnAmount)),
            (with_unit("usd", "/currency"), Ok(())),
            (with_unit("USD", "/currency"), Err(Reason::OtherUnit)),
            (with_unit("usd", "/unit"), Err(Reason::Unresolved)),
            (with_unit("500", "/amount"), Err(Reason::WrongType)),
        ],
    );
    malformed("max_amount", &[json!({}), json!([]), json!({"amount": 5}), json!({"selector": "/a"}), json!(5)]);
    let amounts = [json!(-1), json!(0.5), json!(5.0), json!("5"), json!(9_007_199_254_740_993_i64), Value::Null];
    for amount in amounts {
        malformed("max_amount", &[json!({"amount": amount, "selector": "/amount"})]);
    }
    malformed("max_amount", &[max(5, "amount"), max(5, "$.amount"), max(5, "/a~2")]);
    let more = |name: &str, value: Value| {
        let mut max = max(5, "/amount");
        max[name] = value;
        max
    };
    malformed("max_amount", &[more("unit", json!("usd")), more("unit_selector", json!("/currency"))]);
    malformed("max_amount", &[more("currency", json!("usd")), more("unit", Value::Null), with_unit("", "/currency")]);
    malformed("max_amount", &[with_unit(&"u".repeat(33), "/currency"), json!(vec![max(5, "/a"); 9])]);
}

#[test]
fn only_an_exact_integer_in_the_body_is_an_amount() {
    let max = json!({"max_amount": {"amount": 999_999_999_999_999_i64, "selector": "/amount"}});
    let hostile = ["-1", "-0", "0.5", "5.0", "\"5\"", "1e2", "1E2", "9007199254740993", "1000000000000000", "1e400"];
    for amount in
        hostile.into_iter().chain(["18446744073709551616", "null", "true", "[5]", "{\"amount\":5}", "05", "NaN"])
    {
        let verdict = charge().with_body(&format!("{{\"amount\":{amount}}}")).decide(&constraints(&max));
        assert!(verdict.is_denied() && verdict.needs.is_empty(), "{amount}");
    }
    for (amount, parts) in [("0", 0), ("500", 500), ("999999999999999", 999_999_999_999_999)] {
        let verdict = charge().with_body(&format!("{{\"amount\":{amount}}}")).decide(&constraints(&max));
        let need = Need::Amount { amount: Amount::new(parts).unwrap(), unit: None, mode: Mode::Enforce };
        assert!(!verdict.is_denied() && verdict.needs == [need], "{amount}");
    }
}

#[test]
fn recipients() {
    let to = |domains: Value| json!({"selector": "/to", "domains": domains});
    check(
        "recipients",
        Kind::Recipients,
        &[
            (to(json!(["example.com"])), Ok(())),
            (to(json!(["example.org", "*.com"])), Ok(())),
            (to(json!(["*.example.com"])), Err(Reason::NotListed)),
            (to(json!([])), Err(Reason::NotListed)),
            (json!({"selector": "/cc", "domains": ["example.com"]}), Err(Reason::Unresolved)),
            (json!({"selector": "/amount", "domains": ["example.com"]}), Err(Reason::WrongType)),
            (json!({"selector": "/items", "domains": ["example.com"]}), Err(Reason::WrongType)),
            (json!({"selector": "/currency", "domains": ["example.com"]}), Err(Reason::NotARecipient)),
        ],
    );
    malformed(
        "recipients",
        &[json!({}), json!([]), to(json!("example.com")), to(json!(["Example.com"])), to(Value::Null)],
    );
    malformed("recipients", &[json!({"domains": ["a"]}), json!({"selector": "/to"}), to(json!(["a@example.com"]))]);
}

#[test]
fn every_recipient_of_a_list_must_be_listed() {
    let constraint = json!({"recipients": {"selector": "/to", "domains": ["example.com"]}});
    let many = format!("[{}]", vec!["\"a@example.com\""; 1001].join(","));
    for (to, expected) in [
        (r#"["a@example.com","https://example.com/hook"]"#, None),
        (r#"["a@example.com","b@evil.net"]"#, Some(Reason::NotListed)),
        (r#"["a@example.com",7]"#, Some(Reason::WrongType)),
        (r#"["a@example.com",["b@evil.net"]]"#, Some(Reason::WrongType)),
        (r#"["a@example.com,b@evil.net"]"#, Some(Reason::NotARecipient)),
        ("[]", Some(Reason::Unresolved)),
        ("null", Some(Reason::WrongType)),
        ("{}", Some(Reason::WrongType)),
        (&many, Some(Reason::Exceeded)),
    ] {
        let expected = expected.map_or_else(Vec::new, |reason| broken(Kind::Recipients, reason));
        assert_eq!(charge().with_body(&format!("{{\"to\":{to}}}")).breaks(&constraint), expected, "{to:.40}");
    }
}

#[test]
fn a_body_that_cannot_be_read_denies_where_a_selector_reads() {
    let both = json!({
        "max_amount": {"amount": 500, "selector": "/amount"},
        "recipients": {"selector": "/to", "domains": ["example.com"]},
    });
    let reasons = [
        Unreadable::Encoded,
        Unreadable::TooLong,
        Unreadable::OtherType,
        Unreadable::DuplicateMember,
        Unreadable::Malformed,
    ];
    for why in reasons {
        let facts = Facts { body: Body::Unreadable(why), ..charge() };
        let reason = Reason::Unreadable(why);
        assert_eq!(facts.breaks(&both), [(Kind::MaxAmount, reason), (Kind::Recipients, reason)]);
        assert_eq!(facts.breaks(&json!({"methods": ["POST"]})), [], "nothing reads it");
    }
    let none = Facts { body: Body::None, ..charge() };
    assert_eq!(none.breaks(&both), [(Kind::MaxAmount, Reason::Unresolved), (Kind::Recipients, Reason::Unresolved)]);
}

#[test]
fn bodies_are_read_strictly() {
    let deep = format!("{}1{}", "[".repeat(33), "]".repeat(33));
    let long = format!("\"{}\"", "a".repeat(1024 * 1024));
    for (bytes, why) in [
        (&br#"{"amount":1,"amount":2}"#[..], Unreadable::DuplicateMember),
        (br#"{"amount":1,"\u0061mount":2}"#, Unreadable::DuplicateMember),
        (br#"{"a":{"b":1,"b":1}}"#, Unreadable::DuplicateMember),
        (br#"{"amount":1}{"amount":2}"#, Unreadable::Malformed),
        (br#"{"amount":1,}"#, Unreadable::Malformed),
        (b"\xef\xbb\xbf{}", Unreadable::Malformed),
        (b"{\"\xff\":1}", Unreadable::Malformed),
        (b"\x1f\x8b\x08", Unreadable::Malformed),
        (b"amount=1", Unreadable::Malformed),
        (b" ", Unreadable::Malformed),
        (deep.as_bytes(), Unreadable::Malformed),
        (long.as_bytes(), Unreadable::TooLong),
    ] {
        assert_eq!(Body::parse_json(bytes), Body::Unreadable(why), "{:?}", &bytes[..bytes.len().min(30)]);
    }
    assert_eq!(Body::parse_json(b""), Body::None);
}

#[test]
fn rate() {
    let rate = json!({"rate": [{"count": 10, "per_s": 60}, {"count": 100, "per_s": 3600}]});
    let counted = |per_s, count| Facts { rates: vec![RateCount { per_s, count }], ..charge() };
    assert_eq!(counted(60, 9).breaks(&rate), []);
    assert_eq!(counted(60, 10).breaks(&rate), broken(Kind::Rate, Reason::Exceeded));
    assert_eq!(counted(3600, 10).breaks(&rate), []);
    assert_eq!(counted(3600, u64::MAX).breaks(&rate), broken(Kind::Rate, Reason::Exceeded));
    assert_eq!(counted(61, 1000).breaks(&rate), [], "another span says nothing");
    let need = |count, per_s| Need::Rate { rate: Rate::new(count, per_s).unwrap(), mode: Mode::Enforce };
    assert_eq!(charge().decide(&constraints(&rate)).needs, [need(10, 60), need(100, 3600)]);
    malformed("rate", &[json!({}), json!([]), json!({"count": 1}), json!({"count": 0, "per_s": 1})]);
    malformed(
        "rate",
        &[json!({"count": 1, "per_s": 0}), json!({"count": -1, "per_s": 1}), json!({"count": 1.0, "per_s": 1})],
    );
    malformed(
        "rate",
        &[json!({"count": 1, "per_s": 31_622_401}), json!({"count": 1_000_000_001, "per_s": 1}), json!(5)],
    );
    malformed("rate", &[json!([[1, 1]]), json!([1, 1])]);
    malformed("rate", &[json!({"count": "1", "per_s": 1}), json!({"count": 1, "per_s": 1, "burst": 5})]);
}

#[test]
fn uses() {
    let uses = json!({"uses": 3});
    let used = |uses| Facts { uses: Some(uses), ..charge() };
    assert_eq!(used(2).breaks(&uses), []);
    assert_eq!(used(3).breaks(&uses), broken(Kind::Uses, Reason::Exceeded));
    assert_eq!(used(u64::MAX).breaks(&uses), broken(Kind::Uses, Reason::Exceeded));
    assert_eq!(charge().decide(&constraints(&uses)).needs, [Need::Uses { limit: 3, mode: Mode::Enforce }]);
    malformed("uses", &[json!(0), json!(-1), json!(1.0), json!(1e3), json!("1"), json!(1_000_000_001), json!([1])]);
}

#[test]
fn time_of_day() {
    let office = json!({"time_of_day": {"zone": "Europe/Berlin", "from": "09:00", "to": "17:30",
        "days": ["mon", "tue", "wed", "thu", "fri"]}});
    let outside = broken(Kind::TimeOfDay, Reason::OutsideHours);
    let breaks = |constraint: &Value, now: &str| Facts { now: at(now), ..charge() }.breaks(constraint);
    for (now, within) in [
        ("2026-11-23T07:59:59Z", false),
        ("2026-11-23T08:00:00Z", true),
        ("2026-11-23T16:29:59Z", true),
        ("2026-11-23T16:30:00Z", false),
        ("2026-11-22T12:00:00Z", false),
        // Summer time: the same hours an hour earlier.
        ("2026-07-20T06:59:59Z", false),
        ("2026-07-20T07:00:00Z", true),
        ("2026-07-20T15:29:59Z", true),
        ("2026-07-20T15:30:00Z", false),
    ] {
        assert_eq!(breaks(&office, now).is_empty(), within, "{now}");
    }
    let never = json!({"time_of_day": {"zone": "UTC", "from": "00:00", "to": "24:00", "days": []}});
    assert_eq!(breaks(&never, "2026-11-23T12:00:00Z"), outside);
    assert!(constraints(&never).deny_all());
    let far = Facts { now: i64::MAX, ..charge() };
    assert_eq!(far.breaks(&office), outside, "a time beyond the calendar");
}

#[test]
fn hours_over_midnight_belong_to_the_day_on_which_they_begin() {
    let night = json!({"time_of_day": {"zone": "UTC", "from": "22:00", "to": "06:00", "days": ["fri"]}});
    for (now, within) in [
        ("2026-11-20T21:59:59Z", false),
        ("2026-11-20T22:00:00Z", true),
        ("2026-11-21T05:59:59Z", true),
        ("2026-11-21T06:00:00Z", false),
        ("2026-11-20T05:00:00Z", false),
        ("2026-11-21T22:00:00Z", false),
    ] {
        assert_eq!(Facts { now: at(now), ..charge() }.breaks(&night).is_empty(), within, "{now}");
    }
}

#[test]
fn an_hour_shown_twice_counts_twice_and_one_that_is_skipped_never_comes() {
    let early = json!({"time_of_day": {"zone": "Europe/Berlin", "from": "02:00", "to": "03:00"}});
    let seconds = |from: &str| {
        let start = at(from);
        (0..24 * 4).filter(|quarter| Facts { now: start + quarter * 900, ..charge() }.breaks(&early).is_empty()).count()
    };
    assert_eq!(seconds("2026-10-24T22:00:00Z"), 8, "clocks go back");
    assert_eq!(seconds("2026-03-28T23:00:00Z"), 0, "clocks go forward");
    assert_eq!(seconds("2026-06-01T22:00:00Z"), 4);
}

#[test]
fn what_are_no_hours_is_refused() {
    let hours = |zone: &str, from: &str, to: &str| json!({"zone": zone, "from": from, "to": to});
    for value in [
        hours("Mars/Olympus", "09:00", "17:00"),
        hours("", "09:00", "17:00"),
        hours("../../etc/passwd", "09:00", "17:00"),
        hours("+02:00", "09:00", "17:00"),
        hours("UTC", "9:00", "17:00"),
        hours("UTC", "09:60", "17:00"),
        hours("UTC", "24:00", "17:00"),
        hours("UTC", "09:00", "24:01"),
        hours("UTC", "09:00", "25:00"),
        hours("UTC", "09:00", "09:00"),
        hours("UTC", "09:00:00", "17:00"),
        hours("UTC", "+9:00", "17:00"),
        hours("UTC", "09:00 ", "17:00"),
        hours("UTC", "", "17:00"),
        json!({"zone": "UTC", "from": "09:00"}),
        json!({"zone": "UTC", "from": "09:00", "to": "17:00", "days": ["Mon"]}),
        json!({"zone": "UTC", "from": "09:00", "to": "17:00", "days": null}),
        json!({"zone": "UTC", "from": "09:00", "to": "17:00", "except": []}),
        json!({"zone": "UTC", "from": 9, "to": 17}),
        json!([]),
    ] {
        malformed("time_of_day", &[value]);
    }
    for (from, to) in [("00:00", "24:00"), ("23:59", "00:00"), ("00:00", "00:01")] {
        let value = json!({"time_of_day": hours("UTC", from, to)});
        assert_eq!(serde_json::to_value(constraints(&value)).unwrap(), value);
    }
}

#[test]
fn a_release_denies_what_would_have_to_be_seen_in_a_request() {
    let released = Facts { seen: false, ..charge() };
    let all = json!({
        "methods": ["POST"], "hosts": ["api.example"], "paths": ["/"],
        "max_amount": {"amount": 500, "selector": "/amount"},
        "recipients": {"selector": "/to", "domains": ["example.com"]},
        "source": ["10.0.0.0/8"], "uses": 3, "rate": {"count": 1, "per_s": 1},
        "time_of_day": {"zone": "UTC", "from": "00:00", "to": "24:00"},
    });
    let unseen = [Kind::Methods, Kind::Hosts, Kind::Paths, Kind::MaxAmount, Kind::Recipients];
    assert_eq!(released.breaks(&all), unseen.map(|kind| (kind, Reason::NotSeen)));
    assert_eq!(charge().breaks(&all), []);
}

#[test]
fn every_broken_constraint_is_reported() {
    let facts = Facts {
        method: Method::parse("DELETE").unwrap(),
        host: Host::parse("evil.net").unwrap(),
        uses: Some(9),
        ..charge()
    };
    let all = json!({"methods": ["POST"], "hosts": ["api.example"], "uses": 9, "paths": ["/charges"]});
    let expected =
        [(Kind::Methods, Reason::NotListed), (Kind::Hosts, Reason::NotListed), (Kind::Uses, Reason::Exceeded)];
    assert_eq!(facts.breaks(&all), expected);
}

#[test]
fn what_is_observed_is_reported_and_admitted() {
    let observed = json!({"mode": "observe", "methods": ["GET"], "uses": 1});
    let verdict = charge().decide(&constraints(&observed));
    assert!(!verdict.is_denied());
    assert_eq!(verdict.observed().map(|broken| broken.constraint).collect::<Vec<_>>(), [Kind::Methods]);
    assert_eq!(verdict.needs, [Need::Uses { limit: 1, mode: Mode::Observe }]);
    let both = json!([{"methods": ["POST"]}, observed]);
    let verdict = charge().decide(&constraints(&both));
    assert!(!verdict.is_denied() && verdict.observed().count() == 1);
    let delete = Facts { method: Method::parse("DELETE").unwrap(), ..charge() };
    assert!(delete.decide(&constraints(&both)).is_denied());
}

#[test]
fn nothing_unknown_is_ignored() {
    for text in [
        "null",
        "true",
        "5",
        "\"x\"",
        "[]",
        "[[]]",
        "[{},5]",
        r#"{"method":["POST"]}"#,
        r#"{"Methods":["POST"]}"#,
        r#"{"methods":["POST"],"methods":["GET"]}"#,
        r#"{"methods":["POST"],"meth\u006fds":["GET"]}"#,
        r#"{"rate":{"count":1,"per_s":1,"count":2}}"#,
        r#"{"paths":[{"exact":"/a","exact":"/b"}]}"#,
        r#"{"mode":"audit"}"#,
        r#"{"mode":"Observe"}"#,
        r#"{"mode":null}"#,
        r#"{"mode":"enforce","mode":"observe"}"#,
        r#"[{"methods":["POST"]},{"x":1}]"#,
        r#"{"observe":{"methods":["POST"]}}"#,
    ] {
        assert!(refused(text), "{text}");
    }
    let sets = |count: usize| format!("[{}]", vec!["{\"uses\":1}"; count].join(","));
    assert!(!refused(&sets(8)) && refused(&sets(9)));
    let methods = |count: u8| {
        let names: Vec<_> =
            (0..count).map(|n| format!("M{}{}", char::from(b'A' + n / 26), char::from(b'A' + n % 26))).collect();
        json!({"methods": names}).to_string()
    };
    assert!(!refused(&methods(64)) && refused(&methods(65)));
}
