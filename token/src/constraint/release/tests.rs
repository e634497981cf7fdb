use super::*;
use crate::constraint::Mode;
use serde_json::json;

fn release(actions: &[&str], constraints: &Value) -> Value {
    json!({"type": "credential_release", "identifier": "qwen-apikey-prod", "actions": actions, "constraints": constraints})
}

fn parse(value: &Value) -> CredentialRelease {
    CredentialRelease::parse(value).unwrap()
}

#[test]
fn it_reads_back_as_it_was_written() {
    let written = release(
        &["release", "proxy"],
        &json!({"methods": ["POST"], "paths": ["/v1/chat"], "rate": {"count": 10, "per_s": 60}}),
    );
    assert_eq!(serde_json::to_value(parse(&written)).unwrap(), written);
    assert_eq!(parse(&release(&["proxy", "release"], &json!({}))), parse(&release(&["release", "proxy"], &json!({}))));
    let bare = json!({"type": "credential_release", "identifier": "a.b_c-1", "actions": ["proxy"]});
    assert_eq!(serde_json::to_value(parse(&bare)).unwrap(), bare);
    assert!(parse(&bare).allows(Action::Proxy) && !parse(&bare).allows(Action::Release));
}

#[test]
fn nothing_is_guessed_or_ignored() {
    use ReleaseError::{Actions, Constraints, Identifier, Member};
    let with = |name: &str, value: Value| {
        let mut release = release(&["proxy"], &json!({}));
        release[name] = value;
        release
    };
    let long = "a".repeat(129);
    for (value, error) in [
        (json!(null), Member),
        (json!([]), Member),
        (json!(["credential_release", "a", ["proxy"], {}]), Member),
        (with("type", json!("budget")), Member),
        (with("type", json!(null)), Member),
        (with("identifier", json!(5)), Member),
        (with("identifier", json!("")), Identifier),
        (with("identifier", json!("..")), Identifier),
        (with("identifier", json!("a/b")), Identifier),
        (with("identifier", json!("-a")), Identifier),
        (with("identifier", json!("\u{e4}")), Identifier),
        (with("identifier", json!(long)), Identifier),
        (with("actions", json!([])), Actions),
        (with("actions", json!(["proxy", "proxy"])), Actions),
        (with("actions", json!(["use"])), Actions),
        (with("actions", json!("proxy")), Actions),
        (with("actions", json!(null)), Actions),
        (with("constraints", json!(null)), Constraints),
        (with("constraints", json!([])), Constraints),
        (with("constraints", json!({"method": ["POST"]})), Constraints),
        (with("constraints", json!({"paths": ["/a/.."]})), Constraints),
        (with("constraints", json!({"uses": 0})), Constraints),
        (with("locations", json!([])), Member),
        (with("counted", json!([])), Member),
        (with("counted", json!([{"jti": "t_1", "uses": 5}])), Member),
    ] {
        assert_eq!(CredentialRelease::parse(&value), Err(error), "{value}");
    }
    for name in ["type", "identifier", "actions"] {
        let mut short = with("type", json!("credential_release"));
        short.as_object_mut().unwrap().remove(name);
        assert_eq!(CredentialRelease::parse(&short), Err(Member), "{name}");
    }
    let one = release(&["proxy"], &json!({}));
    assert_eq!(CredentialRelease::parse_all(&[one.clone(), one.clone()]), Err(ReleaseError::Repeated));
    let numbered = |n: usize| with("identifier", json!(format!("c{n}")));
    assert!(CredentialRelease::parse_all(&(0..8).map(numbered).collect::<Vec<_>>()).is_ok());
    assert_eq!(CredentialRelease::parse_all(&(0..9).map(numbered).collect::<Vec<_>>()), Err(ReleaseError::Repeated));
}

/// What a token with this id gets of it, in its client's own name.
fn first(value: &Value, jti: &str) -> CredentialRelease {
    CredentialRelease::ceiling(None, Some(&[parse(value)]), jti).unwrap().unwrap().remove(0)
}

fn written(release: &CredentialRelease) -> Value {
    serde_json::to_value(release).unwrap()
}

#[test]
fn an_exchange_only_narrows() {
    let held = first(&release(&["release", "proxy"], &json!({"methods": ["GET", "POST"], "uses": 5})), "t_1");
    let asked = parse(&release(&["proxy"], &json!({"methods": ["POST", "PUT"], "paths": ["/v1"]})));
    let granted = held.narrow(&asked, "t_2").unwrap();
    let mut expected = release(&["proxy"], &json!({"methods": ["POST"], "paths": ["/v1"], "uses": 5}));
    expected["counted"] = json!([{"jti": "t_1", "uses": 5}]);
    assert_eq!(written(&granted), expected);
    assert_eq!(held.narrow(&granted, "t_3"), Ok(granted.clone()), "twice is once");
    assert_eq!(granted.narrow(&held, "t_3"), Err(NarrowError::ActionsWider));
    let unconstrained = parse(&release(&["proxy"], &json!({})));
    assert_eq!(held.narrow(&unconstrained, "t_2").unwrap().constraints(), held.constraints());
    let other = CredentialRelease { identifier: "other".into(), ..held.clone() };
    assert_eq!(held.narrow(&other, "t_2"), Err(NarrowError::NotHeld));
    let all = [other, held.clone()];
    assert_eq!(CredentialRelease::narrow_all(&all, &[asked], "t_2"), Ok(vec![granted]));
    assert_eq!(CredentialRelease::narrow_all(&[], &[held], "t_2"), Err(NarrowError::NotHeld));
    assert_eq!(CredentialRelease::narrow_all(&[], &[], "t_2"), Ok(Vec::new()));
}

#[test]
fn a_ceiling_is_inherited_whole_and_made_by_the_first_who_asks() {
    let named = |name: &str| {
        let mut value = release(&["proxy"], &json!({}));
        value["identifier"] = json!(name);
        parse(&value)
    };
    let asked = [named("b"), named("a")];
    let in_order = Some(vec![named("a"), named("b")]);
    assert_eq!(CredentialRelease::ceiling(None, None, "t_1"), Ok(None));
    assert_eq!(CredentialRelease::ceiling(None, Some(&asked), "t_1"), Ok(in_order.clone()));
    assert_eq!(CredentialRelease::ceiling(in_order.as_deref(), None, "t_2"), Ok(in_order.clone()));
    assert_eq!(CredentialRelease::ceiling(in_order.as_deref(), Some(&asked), "t_2"), Ok(in_order));
    assert_eq!(CredentialRelease::ceiling(Some(&[]), None, "t_2"), Ok(Some(Vec::new())), "none stays none");
    assert_eq!(CredentialRelease::ceiling(Some(&[]), Some(&asked), "t_2"), Err(NarrowError::NotHeld));
}

#[test]
fn only_what_a_request_tightens_itself_is_counted_anew() {
    let limits = |value: Value| release(&["proxy"], &value);
    let minute = |count: u32| json!({"count": count, "per_s": 60});
    let root = first(&limits(json!({"uses": 10, "rate": minute(5)})), "t_1");
    let counted = |asked: Value| written(&root.narrow(&parse(&limits(asked)), "t_2").unwrap())["counted"].clone();
    let own = json!({"jti": "t_1", "uses": 10, "rate": [minute(5)]});
    for nothing_new in [
        json!({}),
        json!({"methods": ["GET"]}),
        json!({"uses": 10, "rate": minute(5)}),
        json!({"uses": 11, "rate": [minute(6), {"count": 5, "per_s": 30}]}),
        json!({"mode": "observe", "uses": 12}),
    ] {
        assert_eq!(counted(nothing_new.clone()), json!([own]), "{nothing_new}");
    }
    for (asked, entry) in [
        (json!({"uses": 9, "rate": minute(6)}), json!({"jti": "t_2", "uses": 9})),
        (json!({"uses": 10, "rate": minute(4)}), json!({"jti": "t_2", "rate": [minute(4)]})),
        (json!({"rate": {"count": 50, "per_s": 3600}}), json!({"jti": "t_2", "rate": [{"count": 50, "per_s": 3600}]})),
        (json!({"mode": "observe", "uses": 3}), json!({"jti": "t_2", "uses": 3, "mode": "observe"})),
    ] {
        assert_eq!(counted(asked.clone()), json!([own, entry]), "{asked}");
    }
    let both = json!([{"uses": 9}, {"mode": "observe", "uses": 3}]);
    let expected = json!([own, {"jti": "t_2", "uses": 9}, {"jti": "t_2", "uses": 3, "mode": "observe"}]);
    assert_eq!(counted(both), expected);
}

#[test]
fn what_was_observed_goes_on_being_counted_when_it_is_enforced() {
    let root = first(&release(&["proxy"], &json!({"mode": "observe", "uses": 5})), "t_1");
    let child = root.narrow(&parse(&release(&["proxy"], &json!({"uses": 5}))), "t_2").unwrap();
    let modes: Vec<_> = child.counted().iter().map(|entry| (entry.jti(), entry.uses(), entry.mode())).collect();
    assert_eq!(modes, [("t_1", Some(5), Mode::Observe), ("t_2", Some(5), Mode::Enforce)]);
    assert_eq!(CredentialRelease::parse_claim(&json!([written(&child)])), Ok(vec![child]));
}

#[test]
fn the_entries_are_bounded_by_the_depth_of_a_chain() {
    let tighter =
        |uses: u32| parse(&release(&["proxy"], &json!([{"uses": 2 * uses}, {"mode": "observe", "uses": uses}])));
    let mut held = first(&release(&["proxy"], &json!([{"uses": 200}, {"mode": "observe", "uses": 100}])), "t_0");
    for n in 1..9 {
        held = held.narrow(&tighter(100 - n), &format!("t_{n}")).unwrap();
    }
    assert_eq!(held.counted().len(), MAX_COUNTED);
    assert_eq!(held.narrow(&tighter(50), "t_9"), Err(NarrowError::TooDeep));
    assert_eq!(held.narrow(&tighter(99), "t_9").unwrap().counted().len(), MAX_COUNTED, "nothing new to count");
}
