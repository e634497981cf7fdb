//! What was measured, as a table and as JSON. Owns medians and ratios; it must never print a
//! figure of which it does not say how it came about.

use super::deployment::Database;
use super::drive::Sample;
use super::scenario::Scenario;
use serde::Serialize;
use std::fmt;

/// Who answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Floor,
    Stipend,
    OidcProvider,
    Authlib,
}

impl Side {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Stipend => "stipend",
            Self::OidcProvider => "oidc-provider",
            Self::Authlib => "Authlib",
        }
    }
}

/// One round, in figures.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// Answers a second.
    pub rate: f64,
    /// Microseconds, from sending a request to its whole answer.
    pub p50: f64,
    pub p99: f64,
    /// Microseconds on a processor for each answer: of the process with its children.
    pub cpu: Option<f64>,
    pub database_cpu: Option<f64>,
}

/// The medians of all rounds of one side.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub database: Option<Database>,
    pub scenario: Scenario,
    pub connections: usize,
    pub side: Side,
    pub rounds: usize,
    pub answers: u64,
    pub median: Figures,
    /// The median of the ratios of its rate to the floor's of the same round; and of its time on
    /// a processor.
    pub of_floor: Option<f64>,
    pub of_floor_lowest: Option<f64>,
    pub of_floor_highest: Option<f64>,
    pub cpu_of_floor: Option<f64>,
    pub rss_kib: u64,
}

/// A peer that was to be measured.
#[derive(Clone, Debug, Serialize)]
pub struct Peer {
    pub name: &'static str,
    /// Why it was not.
    pub missing: Option<String>,
}

/// How a server started.
#[derive(Clone, Debug, Serialize)]
pub struct Started {
    pub database: Database,
    pub millis: u64,
    pub rss_kib: u64,
    /// At the end, after all scenarios.
    pub rss_end_kib: u64,
}

#[derive(Debug, Serialize)]
pub struct Comparison {
    pub cores: usize,
    pub workers: usize,
    pub rounds: usize,
    /// Requests of a round, with several connections and with one.
    pub requests: [usize; 2],
    /// Processes that wanted to run, on average over a minute, at the beginning and the end.
    pub load: [Option<f64>; 2],
    pub started: Vec<Started>,
    pub rows: Vec<Row>,
    pub peers: Vec<Peer>,
    /// Answers that were not as they must be: then the scenario was given up.
    pub wrong: Vec<String>,
}

impl Figures {
    #[must_use]
    pub fn of(sample: &Sample) -> Self {
        #[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "counts far below 2^52")]
        let (answers, float) = (sample.answers.max(1) as f64, |value: u64| value as f64);
        Self {
            rate: answers / sample.took.as_secs_f64().max(1e-9),
            p50: float(sample.times.value_at_quantile(0.5)),
            p99: float(sample.times.value_at_quantile(0.99)),
            cpu: sample.server_cpu.map(|micros| float(micros) / answers),
            database_cpu: sample.database_cpu.map(|micros| float(micros) / answers),
        }
    }
}

/// The middle one; of an even number the mean of both.
#[must_use]
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get(values.len().checked_sub(1)? / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// Medians of every figure.
#[must_use]
pub fn medians(rounds: &[Figures]) -> Option<Figures> {
    let of = |figure: fn(&Figures) -> f64| median(rounds.iter().map(figure));
    let known = |figure: fn(&Figures) -> Option<f64>| median(rounds.iter().filter_map(figure));
    Some(Figures {
        rate: of(|round| round.rate)?,
        p50: of(|round| round.p50)?,
        p99: of(|round| round.p99)?,
        cpu: known(|round| round.cpu),
        database_cpu: known(|round| round.database_cpu),
    })
}

impl Comparison {
    #[must_use]
    pub fn passed(&self) -> bool {
        self.wrong.is_empty()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [many, one] = self.requests;
        let load = |load: Option<f64>| load.map_or("?".to_owned(), |load| format!("{load:.1}"));
        let [before, after] = self.load;
        writeln!(
            f,
            "{} cores for everything, {} workers; medians of {} rounds of {many} requests ({one} on one connection); \
             load average {} before, {} after",
            self.cores,
            self.workers,
            self.rounds,
            load(before),
            load(after)
        )?;
        for Started { database, millis, rss_kib, rss_end_kib } in &self.started {
            let (database, mib) = (database.as_str(), |kib: &u64| kib.div_ceil(1024));
            writeln!(
                f,
                "on {database} it served after {millis} ms with {} MiB of memory, and had {} at the end",
                mib(rss_kib),
                mib(rss_end_kib)
            )?;
        }
        writeln!(
            f,
            "\n{:<10} {:<38} {:>5} {:<13} {:>9} {:>8} {:>8} {:>8} {:>8} {:>17} {:>8} {:>7}",
            "database",
            "scenario",
            "conn",
            "side",
            "rate/s",
            "p50 us",
            "p99 us",
            "cpu us",
            "db us",
            "of floor (range)",
            "cpu of",
            "MiB"
        )?;
        for row in &self.rows {
            line(f, row)?;
        }
        for peer in &self.peers {
            if let Some(why) = &peer.missing {
                writeln!(f, "{} is missing: {why}", peer.name)?;
            }
        }
        for wrong in &self.wrong {
            writeln!(f, "WRONG {wrong}")?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    let known = |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    let of_floor = match (row.of_floor, row.of_floor_lowest, row.of_floor_highest) {
        (Some(ratio), Some(low), Some(high)) => format!("{ratio:.2} ({low:.2}-{high:.2})"),
        _ => row.scenario.floor().to_owned(),
    };
    let Figures { rate, p50, p99, cpu, database_cpu } = row.median;
    writeln!(
        f,
        "{:<10} {:<38} {:>5} {:<13} {rate:>9.0} {p50:>8.0} {p99:>8.0} {:>8} {:>8} {of_floor:>17} {:>8} {:>7}",
        row.database.map_or("-", Database::as_str),
        row.scenario.as_str(),
        row.connections,
        row.side.as_str(),
        known(cpu, 1),
        known(database_cpu, 1),
        known(row.cpu_of_floor, 2),
        row.rss_kib.div_ceil(1024)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([]), None);
        let figures = |rate: f64, cpu: Option<f64>| Figures { rate, p50: rate, p99: rate, cpu, database_cpu: None };
        let of = medians(&[figures(1.0, Some(5.0)), figures(9.0, None), figures(2.0, Some(7.0))]).unwrap();
        assert_eq!((of.rate, of.cpu, of.database_cpu), (2.0, Some(6.0), None));
        assert!(medians(&[]).is_none());
    }
}
