//! Laws of the strict JSON reader.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines,
    reason = "tests"
)]

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use stipend_token::json::{
    DEPTH_CEILING, JsonError, Limits, MAX_NUMERIC_DATE, array_member, bool_member, date_member, int_member,
    object_member, parse_object, parse_value, required, str_member, string_or_array_member,
};

const LIMITS: Limits = Limits { max_bytes: 10_000, max_depth: 8 };

fn parse(text: &str) -> Result<Value, JsonError> {
    parse_value(text.as_bytes(), LIMITS)
}

fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn member_error<T: std::fmt::Debug>(result: Result<T, JsonError>) {
    assert!(matches!(result, Err(JsonError::Member { name: "m", .. })), "{result:?}");
}

#[test]
fn duplicate_members_are_refused_at_every_level_and_in_every_spelling() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":1}"#,
        r#"{"":1,"":2}"#,
        r#"{"a":1,"b":{"c":[{"d":1,"e":2,"d":3}]}}"#,
        r#"[{"a":{},"a":{}}]"#,
    ] {
        assert_eq!(parse(text), Err(JsonError::DuplicateMember), "{text}");
    }
    // Names differ by case, by normalisation form, and by level.
    for text in [r#"{"a":1,"A":1}"#, "{\"é\":1,\"e\u{301}\":1}", r#"{"a":{"a":{"a":1}}}"#] {
        assert!(parse(text).is_ok(), "{text}");
    }
}

#[test]
fn only_one_whole_json_value_is_taken() {
    for text in ["1 2", "{} {}", "{},", "0x10", "[]]", "null null", "{}\0", "{} x"] {
        assert_eq!(parse(text), Err(JsonError::TrailingData), "{text}");
    }
    for text in [
        "",
        " ",
        "{",
        "[",
        "\"",
        "{a:1}",
        "{'a':1}",
        "[1,]",
        "{\"a\":1,}",
        "[,1]",
        "01",
        "+1",
        ".5",
        "1.",
        "NaN",
        "Infinity",
        "1e999",
        "-1e999",
        "tru",
        "True",
        "// c\n{}",
        "/**/{}",
        "\u{feff}{}",
        "\"\n\"",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\\udc00x\"",
        "\"\\u12\"",
    ] {
        assert_eq!(parse(text), Err(JsonError::Syntax), "{text:?}");
    }
    assert_eq!(parse(" \n\t{ } \r\n"), Ok(json!({})));
}

#[test]
fn bytes_that_are_not_utf8_are_refused_wherever_they_are() {
    for bytes in [&b"\"\xff\""[..], b"\xff", b"{\"\xc3\x28\":1}", b"[1]\x80", b"\"\xed\xa0\x80\"", b"\"\xc0\xaf\""] {
        assert_eq!(parse_value(bytes, LIMITS), Err(JsonError::NotUtf8), "{bytes:?}");
    }
}

#[test]
fn size_is_checked_before_anything_else() {
    let limits = Limits { max_bytes: 4, max_depth: 1 };
    assert_eq!(parse_value(b"1234", limits), Ok(json!(1234)));
    assert_eq!(parse_value(b"12345", limits), Err(JsonError::TooLarge));
    assert_eq!(parse_value(&[0xff; 5], limits), Err(JsonError::TooLarge));
    assert_eq!(parse_value(&vec![b'['; 1 << 20], LIMITS), Err(JsonError::TooLarge));
}

#[test]
fn depth_counts_arrays_and_objects_and_has_a_ceiling() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    for max_depth in [0, 1, 8, DEPTH_CEILING] {
        let limits = Limits { max_bytes: 10_000, max_depth };
        assert!(parse_value(nested(max_depth).as_bytes(), limits).is_ok() || max_depth == 0);
        let deeper = parse_value(nested(max_depth + 1).as_bytes(), limits);
        assert_eq!(deeper, Err(JsonError::TooDeep), "{max_depth}");
        assert_eq!(parse_value(b"1", limits), Ok(json!(1)));
    }
    let boundless = Limits { max_bytes: 10_000, max_depth: usize::MAX };
    let deeper = parse_value(nested(DEPTH_CEILING + 1).as_bytes(), boundless);
    assert_eq!(deeper, Err(JsonError::TooDeep));
    let objects = r#"{"a":"#.repeat(9) + "1" + &"}".repeat(9);
    assert_eq!(parse(&objects), Err(JsonError::TooDeep));
    let wide = format!("[{}]", vec!["[]"; 1000].join(","));
    assert!(parse(&wide).is_ok(), "width is not depth");
}

#[test]
fn an_object_is_wanted_where_an_object_is_asked_for() {
    assert_eq!(parse_object(br#"{"a":1}"#, LIMITS), Ok(map(json!({"a": 1}))));
    for text in ["[]", "null", "1", "\"{}\"", "true"] {
        assert_eq!(parse_object(text.as_bytes(), LIMITS), Err(JsonError::NotAnObject));
    }
}

#[test]
fn errors_quote_nothing_of_the_input() {
    for text in [r#"{"marker":1,"marker":2}"#, r#"{"marker"}"#, "marker", r#"{"m":"marker"} x"#] {
        let error = parse(text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("marker"));
    }
}

#[test]
fn an_absent_member_is_none_and_a_null_member_is_wrong() {
    let (absent, null) = (Map::new(), map(json!({"m": null})));
    assert_eq!(str_member(&absent, "m"), Ok(None));
    assert_eq!(bool_member(&absent, "m"), Ok(None));
    assert_eq!(int_member(&absent, "m"), Ok(None));
    assert_eq!(date_member(&absent, "m"), Ok(None));
    assert_eq!(object_member(&absent, "m"), Ok(None));
    assert_eq!(array_member(&absent, "m"), Ok(None));
    assert_eq!(string_or_array_member(&absent, "m", 4), Ok(None));
    member_error(str_member(&null, "m"));
    member_error(bool_member(&null, "m"));
    member_error(int_member(&null, "m"));
    member_error(date_member(&null, "m"));
    member_error(object_member(&null, "m"));
    member_error(array_member(&null, "m"));
    member_error(string_or_array_member(&null, "m", 4));
    member_error(required(None::<i64>, "m"));
    assert_eq!(required(Some(1), "m"), Ok(1));
}

#[test]
fn members_have_exactly_their_type() {
    let values = [json!("text"), json!(""), json!(true), json!(7), json!(-7), json!(1.5), json!({}), json!([])];
    for value in values {
        let object = map(json!({"m": value}));
        assert_eq!(str_member(&object, "m").is_ok(), value.is_string(), "{value}");
        assert_eq!(bool_member(&object, "m").is_ok(), value.is_boolean(), "{value}");
        assert_eq!(int_member(&object, "m").is_ok(), value.is_i64(), "{value}");
        assert_eq!(object_member(&object, "m").is_ok(), value.is_object(), "{value}");
        assert_eq!(array_member(&object, "m").is_ok(), value.is_array(), "{value}");
    }
}

#[test]
fn dates_are_integers_from_1970_to_9999() {
    let date = |text: &str| date_member(&map(parse(&format!(r#"{{"m":{text}}}"#)).unwrap()), "m");
    for (text, expected) in [("0", 0), ("1795230300", 1_795_230_300), ("253402300799", MAX_NUMERIC_DATE)] {
        assert_eq!(date(text), Ok(Some(expected)));
    }
    for text in [
        "-1",
        "-0",
        "253402300800",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775809",
        "1795230300.0",
        "1795230300.5",
        "1.7e9",
        "1E3",
        "1e-1",
        "\"1795230300\"",
        "\"\"",
        "true",
        "false",
        "[1795230300]",
        "{}",
        "null",
    ] {
        member_error(date(text));
    }
}

#[test]
fn an_audience_is_a_string_or_a_short_array_of_strings() {
    let aud = |value: Value| {
        let object = map(json!({"m": value}));
        string_or_array_member(&object, "m", 3)
            .map(|found| found.unwrap().into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    assert_eq!(aud(json!("a")), Ok(vec!["a".to_owned()]));
    assert_eq!(aud(json!(["a"])), Ok(vec!["a".to_owned()]));
    assert_eq!(aud(json!(["a", "b", "c"])).unwrap().len(), 3);
    for value in [
        json!(""),
        json!([]),
        json!([""]),
        json!(["a", ""]),
        json!(["a", 1]),
        json!(["a", null]),
        json!([["a"]]),
        json!(["a", "b", "c", "d"]),
        json!(1),
        json!({}),
        json!(true),
    ] {
        member_error(aud(value));
    }
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    scalar.prop_recursive(5, 40, 6, |inner| {
        let array = prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from);
        let members = prop::collection::hash_map(any::<String>(), inner, 0..6);
        let object = members.prop_map(|members| Value::Object(members.into_iter().collect()));
        prop_oneof![array, object]
    })
}

proptest! {
    #[test]
    fn what_serde_json_writes_reads_back_the_same(value in value()) {
        let text = value.to_string();
        prop_assume!(text.len() <= LIMITS.max_bytes);
        prop_assert_eq!(parse(&text), Ok(value.clone()));
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        prop_assume!(pretty.len() <= LIMITS.max_bytes);
        prop_assert_eq!(parse(&pretty), Ok(value));
    }

    #[test]
    fn nothing_panics_and_what_is_taken_serde_json_reads_the_same(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        if let Ok(value) = parse_value(&bytes, LIMITS) {
            prop_assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), value);
        }
    }

    #[test]
    fn json_like_text_is_taken_only_if_serde_json_takes_it(text in r#"[{}\[\]:,"0-9a-b\\. -]{0,40}"#) {
        if let Ok(value) = parse(&text) {
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        } else if let Ok(value) = serde_json::from_str::<Value>(&text) {
            // The only reasons left: a member twice, or too deep.
            let error = parse(&text).unwrap_err();
            prop_assert!(matches!(error, JsonError::DuplicateMember | JsonError::TooDeep), "{:?}", value);
        }
    }

    #[test]
    fn a_member_repeated_anywhere_is_refused(value in value(), name in any::<String>(), wrap in 0_usize..4) {
        let name = serde_json::to_string(&name).unwrap();
        let mut text = format!("{{{name}:{value},{name}:null}}");
        for _ in 0..wrap {
            text = format!(r#"[0,{{"x":{text}}}]"#);
        }
        let limits = Limits { max_bytes: usize::MAX, max_depth: DEPTH_CEILING };
        prop_assert_eq!(parse_value(text.as_bytes(), limits), Err(JsonError::DuplicateMember));
    }

    #[test]
    fn every_integer_is_read_exactly_and_no_fraction_is_an_integer(n: i64, fraction in 0_u8..10) {
        let exact = map(parse(&format!(r#"{{"m":{n}}}"#)).unwrap());
        prop_assert_eq!(int_member(&exact, "m"), Ok(Some(n)));
        let fractional = map(parse(&format!(r#"{{"m":{n}.{fraction}}}"#)).unwrap());
        prop_assert!(int_member(&fractional, "m").is_err());
        let date = date_member(&exact, "m");
        prop_assert_eq!(date.is_ok(), (0..=MAX_NUMERIC_DATE).contains(&n));
    }
}

#[test]
fn what_is_looked_for_and_stored_has_no_nul() {
    let limits = Limits { max_bytes: 1000, max_depth: 8 };
    let storable = |text: &str| stipend_token::json::parse_storable_object(text.as_bytes(), limits).map(|_| ());
    for text in [r#"{"a":"\u0000"}"#, r#"{"a\u0000":1}"#, r#"{"a":["b",{"c":"x\u0000y"}]}"#, r#"{"a":{"b\u0000":1}}"#] {
        assert_eq!(storable(text), Err(JsonError::Nul), "{text}");
        assert!(parse_object(text.as_bytes(), limits).is_ok(), "what is only passed on may have it: {text}");
    }
    assert_eq!(storable(r#"{"a":["\u0001",null,1.5,true],"b":{}}"#), Ok(()));
}
