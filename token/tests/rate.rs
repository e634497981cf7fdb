//! The laws of rates.

use proptest::prelude::*;
use stipend_token::rate::{MAX_SLAB, Rate, RateError, SLACK_MICROS, seconds_up};

const NOW: i64 = 1_795_230_000_000_000;

fn rates() -> impl Strategy<Value = Rate> {
    (1_u32..=2000, 1_u32..=600, 1_u32..=2000)
        .prop_filter_map("a burst of more than a day", |(count, per, burst)| Rate::new(count, per, burst).ok())
}

/// Pauses and wishes.
fn requests() -> impl Strategy<Value = Vec<(i64, u32)>> {
    proptest::collection::vec((0_i64..3_000_000, 0_u32..40), 1..60)
}

proptest! {
    /// Within any stretch of time there is never more than the burst and what accrues in it.
    #[test]
    fn no_window_admits_more_than_the_burst_and_what_accrues(rate in rates(), requests in requests()) {
        let (mut tat, mut now, mut admitted) = (None, NOW, Vec::new());
        for (pause, want) in requests {
            now += pause;
            let taken = rate.take(tat, now, want);
            prop_assert!(taken.granted <= want);
            tat = Some(taken.tat);
            admitted.push((now, i64::from(taken.granted)));
        }
        for (start, &(from, _)) in admitted.iter().enumerate() {
            let mut total = 0;
            for &(to, granted) in &admitted[start..] {
                total += granted;
                prop_assert!(total <= i64::from(rate.burst()) + (to - from) / rate.interval());
            }
        }
    }

    /// Who waits as long as was said is admitted, and who waits a microsecond less is not.
    #[test]
    fn the_wait_is_exact(rate in rates(), requests in requests()) {
        let (mut tat, mut now) = (None, NOW);
        for (pause, want) in requests {
            now += pause;
            let taken = rate.take(tat, now, want);
            tat = Some(taken.tat);
            if want > 0 && taken.granted == 0 {
                prop_assert!(taken.wait > 0 && taken.wait <= rate.interval());
                prop_assert_eq!(rate.take(tat, now + taken.wait, 1).granted, 1);
                prop_assert_eq!(rate.take(tat, now + taken.wait - 1, 1).granted, 0);
                prop_assert_eq!(rate.wait(tat, now), Some(taken.wait));
            }
        }
    }

    /// Taking many at once is taking them one after the other.
    #[test]
    fn cells_can_be_taken_together(rate in rates(), want in 0_u32..3000, used in 0_u32..3000) {
        let before = Some(rate.take(None, NOW, used).tat);
        let together = rate.take(before, NOW, want);
        let (mut tat, mut granted) = (before, 0);
        for _ in 0..want {
            let one = rate.take(tat, NOW, 1);
            tat = Some(one.tat);
            granted += one.granted;
        }
        prop_assert_eq!(together.granted, granted);
        prop_assert_eq!(Some(together.tat), if want == 0 { before } else { tat });
    }

    /// Whatever is stored, and whatever the clock says, there is an answer, nothing beyond what
    /// was asked for is granted, and nobody is locked out for longer than the slack.
    #[test]
    fn nonsense_locks_nobody_out(rate in rates(), tat in any::<i64>(), now in 0_i64..NOW * 2, want in 1_u32..40) {
        let taken = rate.take(Some(tat), now, want);
        prop_assert!(taken.granted <= want && taken.granted <= rate.burst());
        prop_assert!(taken.wait <= rate.interval() + SLACK_MICROS);
    }

    #[test]
    fn a_slab_is_a_small_part_of_the_burst(rate in rates()) {
        prop_assert!((1..=MAX_SLAB).contains(&rate.slab()));
        prop_assert!(rate.slab() == 1 || rate.slab() * 16 <= rate.burst());
    }
}

#[test]
fn a_full_limit_lets_one_through_as_often_as_was_said() {
    let rate = Rate::new(20, 60, 20).unwrap();
    let full = rate.take(None, NOW, 20);
    assert_eq!((full.granted, full.wait), (20, 0));
    let none = rate.take(Some(full.tat), NOW, 1);
    assert_eq!((none.granted, none.wait, none.tat), (0, 3_000_000, full.tat));
    assert_eq!(rate.take(Some(full.tat), NOW + 60_000_000, 30).granted, 20, "after the time it is empty again");
}

#[test]
fn a_limit_that_has_become_smaller_drains() {
    let (large, small) = (Rate::new(100, 10, 100).unwrap(), Rate::new(10, 10, 1).unwrap());
    let tat = large.take(None, NOW, 100).tat;
    assert_eq!(small.take(Some(tat), NOW, 1).wait, 10_000_000);
    assert_eq!(small.take(Some(tat), NOW + 10_000_000, 1).granted, 1);
}

#[test]
fn a_rate_is_rounded_so_that_there_is_never_more_than_was_said() {
    let rate = Rate::new(7, 1, 7).unwrap();
    assert_eq!(rate.interval(), 142_858);
}

#[test]
fn rates_are_read_strictly() {
    assert_eq!(Rate::parse("600/60"), Rate::new(600, 60, 600));
    assert_eq!(Rate::parse("600/60/100"), Rate::new(600, 60, 100));
    for text in ["", "600", "600/", "/60", "600/60/1/1", "+6/60", "6 /60", "-6/60", "6.0/60", "off"] {
        assert_eq!(Rate::parse(text), Err(RateError::Malformed), "{text}");
    }
    for text in ["0/60", "6/0", "6/60/0", "1000001/60", "6/86401", "99999999999/1"] {
        assert_eq!(Rate::parse(text), Err(RateError::OutOfRange), "{text}");
    }
    assert_eq!(Rate::parse("1/3600/25"), Err(RateError::BurstTooLarge));
    assert!(Rate::parse("1/86400/1").is_ok());
}

#[test]
fn one_rate_exceeds_another_by_its_burst_or_in_the_long_run() {
    let rate = |text| Rate::parse(text).unwrap();
    assert!(!rate("600/60/100").is_exceeded_by(&rate("10/1/100")));
    assert!(rate("600/60/100").is_exceeded_by(&rate("601/60/100")));
    assert!(rate("600/60/100").is_exceeded_by(&rate("1/60/101")));
}

#[test]
fn seconds_are_rounded_up() {
    assert_eq!([-1, 0, 1, 1_000_000, 1_000_001].map(seconds_up), [0, 0, 1, 1, 2]);
}
