//! What will be done and when, decided before anything is sent: the same seed makes the same
//! plan, whatever the server does.
//!
//! A flow is one story of one agent (hold, capture a part, capture the rest). Flows arrive by a
//! Poisson process at the rate asked for and never wait for each other.

use crate::clock::Micros;
use fastrand::Rng;

/// Most flows of a run.
pub const MAX_FLOWS: usize = 2_000_000;
const MICROS_PER_SECOND: f64 = 1_000_000.0;

/// A kind of story.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Story {
    /// A token, by client credentials.
    Token,
    /// A standing token is looked at.
    Introspect,
    Charge,
    HoldAndCapture,
    HoldAndVoid,
    /// A hold that nobody ends.
    HoldAndLeave,
    ChargeAndRefund,
    /// A token exchanged for a child with a part of its budget, which is then spent to the unit.
    HandOn,
    /// The same with an amount carved out for a service that counts by itself.
    Carve,
    /// A token that is revoked with a hold under way, and used again.
    Revoke,
    /// A token that is revoked, and its child used.
    RevokeParent,
    /// A charge that is sent again once it is answered.
    Retry,
    /// A charge that is sent several times at once.
    Duplicate,
    /// A key that is used for another request.
    Reuse,
}

impl Story {
    /// Each kind, its share of the flows, and how many operations it has.
    pub const MIX: [(Self, u32, u32); 14] = [
        (Self::Token, 12, 1),
        (Self::Introspect, 10, 1),
        (Self::Charge, 20, 1),
        (Self::HoldAndCapture, 14, 3),
        (Self::HoldAndVoid, 5, 2),
        (Self::HoldAndLeave, 2, 1),
        (Self::ChargeAndRefund, 6, 2),
        (Self::HandOn, 9, 5),
        (Self::Carve, 2, 2),
        (Self::Revoke, 6, 8),
        (Self::RevokeParent, 4, 6),
        (Self::Retry, 4, 1),
        (Self::Duplicate, 4, 1),
        (Self::Reuse, 2, 2),
    ];

    /// About what it takes from its agent's line.
    fn demand(self) -> i64 {
        match self {
            Self::Token | Self::Introspect | Self::HoldAndVoid => 0,
            Self::Revoke => 4,
            Self::Charge | Self::ChargeAndRefund | Self::Retry | Self::Duplicate | Self::Reuse => 5,
            Self::HoldAndCapture => 7,
            Self::HoldAndLeave | Self::HandOn | Self::Carve => 10,
            Self::RevokeParent => 3,
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Flow {
    pub at: Micros,
    pub story: Story,
    pub planner: usize,
    pub worker: usize,
    /// Of all that the flow chooses.
    pub seed: u64,
}

/// How much of what.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub seed: u64,
    /// Operations a second.
    pub rate: f64,
    pub seconds: u64,
    pub planners: usize,
    pub workers: usize,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub flows: Vec<Flow>,
    /// What is about to be taken from each planner's line.
    pub demand: Vec<i64>,
}

impl Plan {
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        let mut rng = Rng::with_seed(shape.seed);
        let shares: u32 = Story::MIX.iter().map(|(_, share, _)| share).sum();
        let operations: u32 = Story::MIX.iter().map(|(_, share, steps)| share * steps).sum();
        let mean_gap = MICROS_PER_SECOND / shape.rate * f64::from(operations) / f64::from(shares);
        let end = shape.seconds.saturating_mul(1_000_000);
        let (mut flows, mut demand, mut at) = (Vec::new(), vec![0_i64; shape.planners], 0_u64);
        while flows.len() < MAX_FLOWS {
            at = at.saturating_add(gap(&mut rng, mean_gap));
            if at >= end {
                break;
            }
            let story = choose(&mut rng, shares);
            let planner = rng.usize(0..shape.planners.max(1));
            let worker = rng.usize(0..shape.workers.max(1));
            if let Some(demand) = demand.get_mut(planner) {
                *demand += story.demand();
            }
            flows.push(Flow { at, story, planner, worker, seed: rng.u64(..) });
        }
        Self { flows, demand }
    }
}

/// The time between two arrivals of a Poisson process.
fn gap(rng: &mut Rng, mean: f64) -> Micros {
    let micros = -mean * (1.0 - rng.f64()).ln();
    std::time::Duration::try_from_secs_f64(micros / MICROS_PER_SECOND)
        .ok()
        .and_then(|gap| u64::try_from(gap.as_micros()).ok())
        .unwrap_or(u64::MAX)
}

fn choose(rng: &mut Rng, shares: u32) -> Story {
    let mut drawn = rng.u32(0..shares);
    for (story, share, _) in Story::MIX {
        if drawn < share {
            return story;
        }
        drawn -= share;
    }
    Story::Charge
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { seed: 7, rate: 200.0, seconds: 20, planners: 4, workers: 3 };

    #[test]
    fn a_seed_is_a_plan() {
        let (plan, again) = (Plan::new(SHAPE), Plan::new(SHAPE));
        assert_eq!(plan.flows, again.flows);
        assert_ne!(plan.flows, Plan::new(Shape { seed: 8, ..SHAPE }).flows);
    }

    #[test]
    fn the_rate_is_that_of_operations_and_every_story_is_told() {
        let plan = Plan::new(SHAPE);
        let steps = |story| Story::MIX.iter().find(|(kind, ..)| *kind == story).unwrap().2;
        let operations: u32 = plan.flows.iter().map(|flow| steps(flow.story)).sum();
        assert!((3200..4800).contains(&operations), "{operations} of about 4000");
        for (story, ..) in Story::MIX {
            assert!(plan.flows.iter().any(|flow| flow.story == story), "{story:?}");
        }
        assert!(plan.flows.iter().all(|flow| flow.planner < 4 && flow.worker < 3 && flow.at < 20_000_000));
        assert!(plan.flows.is_sorted_by_key(|flow| flow.at));
    }
}
