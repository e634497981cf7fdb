//! Each step by example, on a leaf of 10 under a line of 15.

use crate::keeper::amount;
use stipend_token::budget::{Declined, Hold, HoldState, Level, MAX_AMOUNT, Used, crossed};
use stipend_token::budget::{capture, carve, expire, extend, hold, refund, settle, void};

pub fn level(limit: i64) -> Level {
    Level { limit: amount(limit), per_call: None, earlier: 0, used: Used::default() }
}

pub fn path() -> [Level; 2] {
    [level(10), level(15)]
}

/// A hold that is open until 100.
pub fn held(path: &mut [Level], parts: i64) -> Hold {
    hold(path, amount(parts), 100).unwrap()
}

/// Held, spent, carved and overage of each level.
fn counters(path: &[Level]) -> Vec<[i64; 4]> {
    path.iter().map(|level| [level.used.held, level.used.spent, level.used.carved, level.used.overage]).collect()
}

#[test]
fn a_hold_counts_on_every_level() {
    let mut path = path();
    assert_eq!(held(&mut path, 10), Hold { amount: 10, captured: 0, state: HoldState::Open, expires_at: 100 });
    assert_eq!(counters(&path), [[10, 0, 0, 0], [10, 0, 0, 0]]);
    assert_eq!((path[0].available(), path[1].available()), (0, 5));
}

#[test]
fn captures_take_from_the_hold_and_the_last_frees_the_rest() {
    let mut path = path();
    let mut hold = held(&mut path, 8);
    assert_eq!(capture(&mut path, &mut hold, amount(3), false, 1).unwrap().spent(), 3);
    assert_eq!((counters(&path)[1], hold.rest()), ([5, 3, 0, 0], 5));
    assert_eq!(capture(&mut path, &mut hold, amount(1), true, 1).unwrap().spent(), 1);
    assert_eq!((hold.state, hold.rest(), hold.captured), (HoldState::Captured, 0, 4));
    assert_eq!(counters(&path), [[0, 4, 0, 0], [0, 4, 0, 0]]);
}

#[test]
fn a_last_capture_of_nothing_frees_all() {
    let mut path = path();
    let mut hold = held(&mut path, 8);
    assert_eq!(capture(&mut path, &mut hold, amount(0), true, 1).unwrap().spent(), 0);
    assert_eq!(counters(&path), [[0; 4]; 2]);
}

#[test]
fn what_exceeds_the_hold_comes_from_what_each_level_has_left() {
    let mut path = [level(10), level(8)];
    let mut hold = held(&mut path, 5);
    let booked = capture(&mut path, &mut hold, amount(12), false, 1).unwrap();
    assert_eq!((booked.spent(), booked.overage()), (8, 4), "5 of the hold, 3 of the 8, 4 of nothing");
    assert_eq!(counters(&path), [[0, 10, 0, 2], [0, 8, 0, 4]], "every level tells of all 12");
    assert_eq!((path[0].available(), path[1].available()), (-2, -4));
}

#[test]
fn a_limit_lowered_below_use_has_no_room_and_takes_nothing_back() {
    let mut path = path();
    let mut hold = held(&mut path, 5);
    path[1].limit = amount(2);
    assert_eq!(path[1].available(), -3);
    let booked = capture(&mut path, &mut hold, amount(6), true, 1).unwrap();
    assert_eq!((booked.spent(), booked.overage()), (5, 1), "what was held is spent all the same");
}

#[test]
fn overage_keeps_new_holds_out_until_there_is_room_for_it_too() {
    let mut path = path();
    let mut first = held(&mut path, 10);
    let mut booked = capture(&mut path, &mut first, amount(12), true, 1).unwrap();
    assert_eq!(path[0].available(), -2);
    refund(&mut path, &mut booked, amount(1)).unwrap();
    let none = Declined::Insufficient { level: 0, required: 1, remaining: 0 };
    assert_eq!(hold(&mut path, amount(1), 100), Err(none));
    refund(&mut path, &mut booked, amount(4)).unwrap();
    assert_eq!(counters(&path), [[0, 7, 0, 0], [0, 7, 0, 0]], "overage first, then what was spent");
    assert!(hold(&mut path, amount(3), 100).is_ok());
    path[0].limit = amount(12);
    path[1].limit = amount(12);
    assert!(hold(&mut path, amount(2), 100).is_ok(), "a raised limit is room as well");
}

#[test]
fn a_void_answers_what_it_frees() {
    let mut path = path();
    let mut hold = held(&mut path, 8);
    capture(&mut path, &mut hold, amount(3), false, 1).unwrap();
    assert_eq!(void(&mut path, &mut hold, 99), Ok(5));
    assert_eq!((hold.state, counters(&path)), (HoldState::Voided, vec![[0, 3, 0, 0]; 2]));
}

#[test]
fn a_hold_expires_at_its_time_and_once() {
    let mut path = path();
    let mut hold = held(&mut path, 8);
    assert!(!expire(&mut path, &mut hold, 99));
    assert!(expire(&mut path, &mut hold, 100));
    assert_eq!((hold.state, counters(&path)), (HoldState::Expired, vec![[0; 4]; 2]));
    held(&mut path, 4);
    assert!(!expire(&mut path, &mut hold, 101));
    assert_eq!(path[0].used.held, 4, "another's");
}

#[test]
fn a_late_capture_is_booked_from_what_is_left_now() {
    let mut path = path();
    let mut late = held(&mut path, 8);
    let mut other = path;
    assert_eq!(capture(&mut other, &mut late.clone(), amount(8), false, 100).unwrap().spent(), 8);
    expire(&mut path, &mut late, 100);
    held(&mut path, 6);
    let booked = capture(&mut path, &mut late, amount(5), false, 101).unwrap();
    assert_eq!((booked.spent(), booked.overage(), late.captured), (4, 1, 0));
    assert_eq!(counters(&path), [[6, 4, 0, 1], [6, 5, 0, 0]], "the leaf has 10, what is above it has more");
    assert_eq!(capture(&mut path, &mut late, amount(0), true, 102).unwrap().spent(), 0);
    assert_eq!(capture(&mut path, &mut late, amount(1), false, 102), Err(Declined::Ended));
    assert_eq!(path[0].used.held, 6, "a last capture after its time frees nothing");
}

#[test]
fn more_time_is_given_and_never_less() {
    let mut path = path();
    let mut hold = held(&mut path, 1);
    extend(&mut hold, 50, 99).unwrap();
    assert_eq!(hold.expires_at, 100);
    extend(&mut hold, 200, 99).unwrap();
    assert_eq!(void(&mut path, &mut hold, 199), Ok(1));
}

#[test]
fn what_is_carved_is_gone_from_above_until_it_is_settled() {
    let mut path = path();
    let mut carved = carve(&mut path, amount(6)).unwrap();
    assert_eq!((counters(&path), path[0].available()), (vec![[0, 0, 6, 0]; 2], 4));
    settle(&mut path, &mut carved, amount(2)).unwrap();
    assert_eq!((counters(&path), path[0].available()), (vec![[0, 4, 0, 0]; 2], 6));
}

#[test]
fn a_carve_is_no_call_and_has_no_cap() {
    let mut path = path();
    path[0].per_call = Some(amount(1));
    assert!(carve(&mut path, amount(6)).is_ok());
}

#[test]
fn thresholds_are_crossed_by_what_is_spent_or_counts_from_earlier() {
    let mut level = level(10);
    level.used = Used { held: 4, carved: 4, spent: 2, overage: 9, told: 0 };
    assert!(crossed(&level).is_empty(), "neither held, carved nor overage is spent");
    level.used.spent = 5;
    assert_eq!(crossed(&level), [50]);
    level.earlier = 5;
    assert_eq!(crossed(&level), [50, 80, 100]);
    level.used.told = 80;
    assert_eq!(crossed(&level), [100]);
    level.limit = amount(0);
    assert!(crossed(&level).is_empty(), "nothing has no shares");
    level.limit = amount(MAX_AMOUNT);
    level.used = Used { spent: MAX_AMOUNT - 1, ..Used::default() };
    level.earlier = 0;
    assert_eq!(crossed(&level), [50, 80]);
}

#[test]
fn the_greatest_amounts_do_not_wrap() {
    let mut path = [level(MAX_AMOUNT); 4];
    let mut hold = held(&mut path, MAX_AMOUNT);
    for _ in 0..3 {
        capture(&mut path, &mut hold, amount(MAX_AMOUNT), false, 1).unwrap();
    }
    assert_eq!(counters(&path)[0], [0, MAX_AMOUNT, 0, 2 * MAX_AMOUNT]);
    assert_eq!(counters(&path)[3], [0, MAX_AMOUNT, 0, 2 * MAX_AMOUNT]);
}
