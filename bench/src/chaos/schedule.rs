//! Which faults there are, and when: all of it from the seed, before anything starts.

use super::Backend;
use crate::clock::Micros;
use fastrand::Rng;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// What is broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// SIGKILL of a node, and a new process after a while.
    Kill(usize),
    /// SIGSTOP of a node, SIGCONT after a while.
    Pause(usize),
    /// Every backend of PostgreSQL is terminated.
    Terminate,
    /// Every process of PostgreSQL is stopped (SIGSTOP) for a while.
    Freeze,
    /// PostgreSQL stops without a checkpoint, and recovers from its log.
    Crash,
    /// The same, with a SIGKILL of every node: as when the power fails.
    Blackout,
    /// New transactions may only read for a while.
    ReadOnly,
    /// One node's connections to the database are closed, and no new ones made.
    Cut(usize),
    /// What one node and the database say to each other is kept back.
    Blackhole(usize),
    /// It is late, by a fifth of a second each way.
    Delay(usize),
    /// Redis is killed, and started again after a while, empty.
    KillRedis,
    /// Redis is stopped (SIGSTOP) for a while.
    FreezeRedis,
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(node) => write!(f, "kill -9 of node {node}"),
            Self::Pause(node) => write!(f, "SIGSTOP of node {node}"),
            Self::Terminate => f.write_str("pg_terminate_backend of all"),
            Self::Freeze => f.write_str("SIGSTOP of PostgreSQL"),
            Self::Crash => f.write_str("immediate stop of PostgreSQL"),
            Self::Blackout => f.write_str("kill -9 of all nodes and immediate stop of PostgreSQL"),
            Self::ReadOnly => f.write_str("PostgreSQL read-only"),
            Self::Cut(node) => write!(f, "cut between node {node} and the database"),
            Self::Blackhole(node) => write!(f, "blackhole between node {node} and the database"),
            Self::Delay(node) => write!(f, "delay between node {node} and the database"),
            Self::KillRedis => f.write_str("kill -9 of Redis"),
            Self::FreezeRedis => f.write_str("SIGSTOP of Redis"),
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Planned {
    /// Since the load began.
    pub at: Micros,
    pub fault: Fault,
    pub lasts: Duration,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Schedule(pub Vec<Planned>);

/// What there is to break.
#[derive(Clone, Copy, Debug)]
pub struct Ground {
    pub backend: Backend,
    pub nodes: usize,
    pub redis: bool,
}

/// Before the first fault, and after the last: long enough to see that all is well.
const MARGIN: Micros = 3_000_000;
/// A fault lasts no longer than this, nor than a third of its share of the time.
const LONGEST: Micros = 4_000_000;
const SHORTEST: Micros = 200_000;

impl Schedule {
    /// `kills` and `faults` in a random order, spread evenly over the run.
    #[must_use]
    pub fn new(seed: u64, length: Duration, kills: usize, faults: usize, ground: Ground) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x000c_4a05);
        let mut kinds: Vec<Fault> = (0..kills).map(|_| Fault::Kill(rng.usize(0..ground.nodes.max(1)))).collect();
        // Each kind in turn, so that few faults are different ones.
        let mut others = others(ground);
        rng.shuffle(&mut others);
        kinds.extend(others.iter().cycle().take(faults).map(|fault| placed(*fault, &mut rng, ground.nodes)));
        rng.shuffle(&mut kinds);
        let all = u64::try_from(length.as_micros()).unwrap_or(u64::MAX).saturating_sub(2 * MARGIN);
        let share = all / u64::try_from(kinds.len().max(1)).unwrap_or(1);
        let longest = (share / 3).clamp(SHORTEST + 1, LONGEST);
        let plan = |(index, fault): (usize, Fault)| {
            let begins = MARGIN + share * u64::try_from(index).unwrap_or_default();
            let at = begins + rng.u64(0..=share / 4);
            Planned { at, fault, lasts: Duration::from_micros(rng.u64(SHORTEST..longest)) }
        };
        Self(kinds.into_iter().enumerate().map(plan).collect())
    }
}

fn others(ground: Ground) -> Vec<Fault> {
    let mut others = vec![Fault::Pause(0)];
    if ground.backend == Backend::Postgres {
        others.extend([Fault::Terminate, Fault::Freeze, Fault::Crash, Fault::Blackout, Fault::ReadOnly]);
        others.extend([Fault::Cut(0), Fault::Blackhole(0), Fault::Delay(0)]);
    }
    if ground.redis {
        others.extend([Fault::KillRedis, Fault::FreezeRedis]);
    }
    others
}

fn placed(fault: Fault, rng: &mut Rng, nodes: usize) -> Fault {
    let node = rng.usize(0..nodes.max(1));
    match fault {
        Fault::Kill(_) => Fault::Kill(node),
        Fault::Pause(_) => Fault::Pause(node),
        Fault::Cut(_) => Fault::Cut(node),
        Fault::Blackhole(_) => Fault::Blackhole(node),
        Fault::Delay(_) => Fault::Delay(node),
        Fault::Terminate
        | Fault::Freeze
        | Fault::Crash
        | Fault::Blackout
        | Fault::ReadOnly
        | Fault::KillRedis
        | Fault::FreezeRedis => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUND: Ground = Ground { backend: Backend::Postgres, nodes: 2, redis: true };

    #[test]
    fn a_seed_is_a_schedule_of_as_many_faults_as_were_asked_for() {
        let length = Duration::from_secs(600);
        let schedule = Schedule::new(5, length, 12, 20, GROUND);
        assert_eq!(schedule, Schedule::new(5, length, 12, 20, GROUND));
        assert_ne!(schedule, Schedule::new(6, length, 12, 20, GROUND));
        let kills = schedule.0.iter().filter(|planned| matches!(planned.fault, Fault::Kill(_))).count();
        assert_eq!((kills, schedule.0.len()), (12, 32));
        assert!(schedule.0.is_sorted_by_key(|planned| planned.at));
        let ends = schedule.0.iter().map(|planned| planned.at + u64::try_from(planned.lasts.as_micros()).unwrap());
        assert!(ends.max().unwrap() < 600_000_000);
        for kind in others(GROUND) {
            let same = |planned: &&Planned| std::mem::discriminant(&planned.fault) == std::mem::discriminant(&kind);
            assert!(schedule.0.iter().any(|planned| same(&planned)), "{kind}");
        }
    }

    #[test]
    fn a_file_is_not_broken_like_a_server() {
        let ground = Ground { backend: Backend::Sqlite, nodes: 1, redis: false };
        let schedule = Schedule::new(1, Duration::from_secs(60), 3, 4, ground);
        let fits = |planned: &Planned| matches!(planned.fault, Fault::Kill(0) | Fault::Pause(0));
        assert!(schedule.0.iter().all(fits), "{schedule:?}");
    }
}
