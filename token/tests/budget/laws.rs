//! What must hold after every step, whatever came before it.

use crate::keeper::Keeper;
use crate::reference::{Figures, Reference};
use crate::world::{Outcome, Place, World};
use std::collections::BTreeMap;
use stipend_token::budget::{HoldState, THRESHOLDS, crossed};

/// By how much each window that ever was is above its line's limit.
pub type Above = BTreeMap<Place, i64>;

/// What is held, spent and carved in the window as it was at this place.
fn taken(keeper: &Keeper, world: &World, place: Place) -> i64 {
    let window = keeper.used.range((place.0, world.counts_from(place))..=place);
    window.map(|(_, used)| used.held + used.spent + used.carved).sum()
}

pub fn above(keeper: &Keeper, world: &World) -> Above {
    let over = |place: Place| (taken(keeper, world, place) - world.lines[place.0].limit).max(0);
    keeper.used.keys().map(|place| (*place, over(*place))).collect()
}

/// Nothing but a lowered limit puts a line above its limit, and no step puts it further above.
pub fn no_step_exceeds_a_limit(keeper: &Keeper, world: &World, before: &Above) {
    for (place, over) in above(keeper, world) {
        // A new part of a rolling window takes over what its predecessors had.
        let earlier = || before.range((place.0, i64::MIN)..place).next_back().map(|(_, over)| *over);
        let allowed = before.get(&place).copied().or_else(earlier).unwrap_or(0);
        assert!(over <= allowed, "{place:?} is {over} above its limit, {allowed} before");
    }
}

pub fn no_counter_is_negative(keeper: &Keeper) {
    for (place, used) in &keeper.used {
        let least = used.held.min(used.spent).min(used.carved).min(used.overage);
        assert!(least >= 0, "{place:?} {used:?}");
    }
}

/// The counters are the sums of the holds, captures and carves through them.
pub fn nothing_is_made_or_lost(keeper: &Keeper) {
    for (place, used) in &keeper.used {
        let mut sums = Figures::default();
        for hold in keeper.holds.iter().filter(|hold| hold.places.contains(place)) {
            sums.held += hold.what.rest();
        }
        for capture in &keeper.captures {
            let what = &capture.what;
            if let Some(level) = capture.places.iter().position(|other| other == place) {
                let overage = what.overages[level];
                sums.spent += what.amount - overage - (what.refunded - overage).max(0);
                sums.overage += (overage - what.refunded).max(0);
            }
        }
        for (id, carve) in keeper.carves.iter().enumerate().filter(|(_, carve)| carve.places.contains(place)) {
            let returned: i64 = keeper.returned.iter().filter(|(of, _)| *of == id).map(|(_, parts)| parts).sum();
            sums.carved += if carve.what.settled { 0 } else { carve.what.amount };
            sums.spent += if carve.what.settled { carve.what.amount - returned } else { 0 };
        }
        let Figures { held, spent, carved, overage } = sums;
        let counted = (used.held, used.spent, used.carved, used.overage);
        assert_eq!(counted, (held, spent, carved, overage), "{place:?}");
    }
}

pub fn the_reference_agrees(keeper: &Keeper, reference: &Reference) {
    for (place, used) in &keeper.used {
        let counted = Figures { held: used.held, spent: used.spent, carved: used.carved, overage: used.overage };
        assert_eq!(counted, reference.figures(*place), "{place:?}");
    }
}

/// An ended hold stays as it ended, but that a late capture may be the last one.
pub fn holds_end_once(before: &Keeper, after: &Keeper) {
    for (old, new) in before.holds.iter().zip(&after.holds) {
        assert_eq!((old.what.amount, &old.places), (new.what.amount, &new.places));
        assert!(old.what.captured <= new.what.captured && new.what.captured <= new.what.amount, "{new:?}");
        let late = old.what.state == HoldState::Expired && new.what.state == HoldState::Captured;
        if old.what.state != HoldState::Open && !late {
            assert_eq!(old, new);
        }
        if late {
            assert_eq!(old.what.captured, new.what.captured, "it had nothing left to give");
        }
    }
    assert!(after.holds.len() >= before.holds.len());
}

pub fn carves_return_at_most_once(before: &Keeper, after: &Keeper) {
    for (id, carve) in after.carves.iter().enumerate() {
        let returned: Vec<i64> = after.returned.iter().filter(|(of, _)| *of == id).map(|(_, parts)| *parts).collect();
        assert_eq!(returned.len(), usize::from(carve.what.settled));
        assert!(returned.iter().all(|parts| *parts <= carve.what.amount), "{carve:?} {returned:?}");
        if before.carves.get(id).is_some_and(|old| old.what.settled) {
            assert_eq!(before.carves[id], *carve);
        }
    }
}

/// What was admitted fits under every limit together with what was overspent.
pub fn overage_keeps_new_holds_out(keeper: &Keeper, world: &World, places: &[Place], answer: &Outcome) {
    if matches!(answer, Outcome::Held | Outcome::Carved) {
        for place in places {
            assert!(keeper.level(world, *place).available() >= 0, "{place:?}");
        }
    }
}

/// Each threshold once in each period, rising, and none that was reached is kept back.
pub fn thresholds_are_told_once(keeper: &Keeper, world: &World, reference: &Reference, places: &[Place]) {
    for place in places {
        let told: Vec<u8> = keeper.told.iter().filter(|(at, _)| at == place).map(|(_, percent)| *percent).collect();
        assert!(told.is_sorted_by(|one, next| one < next), "{place:?} {told:?}");
        assert_eq!(crossed(&keeper.level(world, *place)), Vec::<u8>::new());
        let Figures { held, spent, carved, overage } = reference.figures(*place);
        let window = reference.taken(place.0, world.counts_from(*place), world.counts_to(*place));
        let counted = window - held - carved - overage;
        assert!(counted >= spent);
        let limit = world.lines[place.0].limit;
        let highest = told.last().copied().unwrap_or(0);
        for percent in THRESHOLDS.into_iter().filter(|_| limit > 0) {
            let reached = i128::from(counted) * 100 >= i128::from(limit) * i128::from(percent);
            assert!(!reached || percent <= highest, "{place:?}: {counted} of {limit}, told {told:?}");
        }
    }
}
