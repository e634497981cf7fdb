//! Every reason to decline, with the level it names, and that nothing changes then.

use crate::keeper::amount;
use crate::steps::{held, level, path};
use stipend_token::budget::{Declined, HoldState, Level, Used};
use stipend_token::budget::{capture, carve, expire, extend, hold, refund, settle, void};

fn insufficient(level: usize, required: i64, remaining: i64) -> Declined {
    Declined::Insufficient { level, required, remaining }
}

/// A hold on this path is declined for this reason and leaves it as it was.
fn declines(mut path: [Level; 2], parts: i64, reason: Declined) {
    let before = path;
    assert_eq!(hold(&mut path, amount(parts), 100), Err(reason));
    assert_eq!(path, before);
}

#[test]
fn nothing_is_no_amount_for_a_hold_a_carve_a_refund_or_a_capture_that_is_not_the_last() {
    let mut path = path();
    assert_eq!(hold(&mut path, amount(0), 100), Err(Declined::Zero));
    assert_eq!(carve(&mut path, amount(0)), Err(Declined::Zero));
    let mut held = held(&mut path, 5);
    assert_eq!(capture(&mut path, &mut held, amount(0), false, 1), Err(Declined::Zero));
    let mut booked = capture(&mut path, &mut held, amount(5), true, 1).unwrap();
    let before = (path, booked.clone());
    assert_eq!(refund(&mut path, &mut booked, amount(0)), Err(Declined::Zero));
    assert_eq!((path, booked.clone()), before);
}

#[test]
fn the_level_nearest_to_the_leaf_is_named() {
    declines([level(10), level(15)], 11, insufficient(0, 11, 10));
    declines([level(10), level(4)], 5, insufficient(1, 5, 4));
    declines([level(3), level(4)], 5, insufficient(0, 5, 3));
}

#[test]
fn what_earlier_parts_used_is_not_there_and_less_than_nothing_is_nothing() {
    let mut rolling = path();
    rolling[1].earlier = 14;
    declines(rolling, 2, insufficient(1, 2, 1));
    rolling[1].earlier = 20;
    declines(rolling, 2, insufficient(1, 2, 0));
    let mut path = path();
    carve(&mut path, amount(3)).unwrap();
    let mut open = held(&mut path, 3);
    capture(&mut path, &mut open, amount(1), false, 1).unwrap();
    declines(path, 5, insufficient(0, 5, 4));
}

#[test]
fn a_call_takes_no_more_than_its_cap_on_any_level() {
    let mut capped = path();
    capped[1].per_call = Some(amount(3));
    declines(capped, 4, Declined::PerCall { level: 1, required: 4, per_call: 3 });
    capped[0].per_call = Some(amount(2));
    declines(capped, 4, Declined::PerCall { level: 0, required: 4, per_call: 2 });
    assert!(hold(&mut capped, amount(2), 100).is_ok(), "as much as the cap");
}

#[test]
fn overage_on_any_level_is_in_the_way_of_holds_and_carves() {
    for overdrawn in [0, 1] {
        let mut path = path();
        path[overdrawn].used = Used { spent: path[overdrawn].limit.parts(), overage: 1, ..Used::default() };
        let before = path;
        assert_eq!(hold(&mut path, amount(1), 100), Err(insufficient(overdrawn, 1, 0)));
        assert_eq!(carve(&mut path, amount(1)), Err(insufficient(overdrawn, 1, 0)));
        assert_eq!(path, before);
    }
}

#[test]
fn a_carve_needs_its_amount_on_every_level() {
    let mut path = [level(10), level(4)];
    let before = path;
    assert_eq!(carve(&mut path, amount(5)), Err(insufficient(1, 5, 4)));
    assert_eq!(carve(&mut path, amount(11)), Err(insufficient(0, 11, 10)));
    assert_eq!(path, before);
}

#[test]
fn what_has_ended_is_not_captured_voided_or_extended() {
    for state in [HoldState::Captured, HoldState::Voided, HoldState::Expired] {
        let mut path = path();
        let mut ended = held(&mut path, 5);
        match state {
            HoldState::Captured => drop(capture(&mut path, &mut ended, amount(1), true, 1).unwrap()),
            HoldState::Voided => assert_eq!(void(&mut path, &mut ended, 1), Ok(5)),
            HoldState::Expired | HoldState::Open => assert!(expire(&mut path, &mut ended, 100)),
        }
        let before = (path, ended);
        assert_eq!(void(&mut path, &mut ended, 1), Err(Declined::Ended));
        assert_eq!(extend(&mut ended, 300, 1), Err(Declined::Ended));
        if state != HoldState::Expired {
            assert_eq!(capture(&mut path, &mut ended, amount(1), true, 1), Err(Declined::Ended));
        }
        assert!(!expire(&mut path, &mut ended, 300));
        assert_eq!((path, ended), before, "{state:?}");
    }
}

#[test]
fn what_is_declined_after_its_time_is_left_for_expiry() {
    let mut path = path();
    let mut due = held(&mut path, 5);
    let before = (path, due);
    assert_eq!(void(&mut path, &mut due, 100), Err(Declined::Ended));
    assert_eq!(extend(&mut due, 300, 100), Err(Declined::Ended));
    assert_eq!(capture(&mut path, &mut due, amount(0), false, 100), Err(Declined::Zero));
    assert_eq!((path, due), before);
    assert!(expire(&mut path, &mut due, 100));
}

#[test]
fn no_more_is_refunded_than_was_booked() {
    let mut path = path();
    let mut held = held(&mut path, 5);
    let mut booked = capture(&mut path, &mut held, amount(12), true, 1).unwrap();
    refund(&mut path, &mut booked, amount(11)).unwrap();
    let before = (path, booked.clone());
    assert_eq!(refund(&mut path, &mut booked, amount(2)), Err(Declined::TooMuch));
    assert_eq!((path, booked.clone()), before);
    refund(&mut path, &mut booked, amount(1)).unwrap();
    assert_eq!(refund(&mut path, &mut booked, amount(1)), Err(Declined::TooMuch));
}

#[test]
fn a_carve_is_settled_once_and_returns_no_more_than_it_had() {
    let mut path = path();
    let mut carved = carve(&mut path, amount(5)).unwrap();
    let before = (path, carved);
    assert_eq!(settle(&mut path, &mut carved, amount(6)), Err(Declined::TooMuch));
    assert_eq!((path, carved), before);
    settle(&mut path, &mut carved, amount(5)).unwrap();
    let before = (path, carved);
    assert_eq!(settle(&mut path, &mut carved, amount(1)), Err(Declined::Ended));
    assert_eq!((path, carved), before);
}
