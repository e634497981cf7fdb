//! The span of time over which a line counts. What is used belongs to a period; a new period
//! begins by itself, and nothing is ever reset.

use crate::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use std::fmt;

/// A rolling window is counted in so many parts, and a part counts until its end is out of the
/// window: it covers up to one part more than it says, never less.
pub const ROLLING_PARTS: i64 = 60;
/// Shortest rolling window, in seconds: a part is a second.
pub const MIN_ROLLING_SECONDS: i64 = 60;
/// Longest rolling window, in seconds: 366 days.
pub const MAX_ROLLING_SECONDS: i64 = 366 * 86_400;
/// Longest text of a window.
const MAX_TEXT_BYTES: usize = 64;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Calendar {
    Day,
    /// From Monday (ISO 8601).
    Week,
    Month,
}

/// Over which span a line counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Window {
    /// For ever.
    None,
    /// By the calendar of a time zone.
    Calendar(Calendar, TimeZone),
    /// The last so many seconds, a multiple of [`ROLLING_PARTS`].
    Rolling(i64),
}

/// Where use is counted: from `start` on, before `end`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Period {
    pub start: Timestamp,
    pub end: Timestamp,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WindowError {
    #[error("a window is none, day, week or month with @ and a time zone, or rolling: and seconds")]
    Malformed,
    #[error("no such time zone")]
    UnknownZone,
    #[error("a rolling window has 60 to 31622400 seconds, a multiple of 60")]
    Rolling,
    #[error("a time beyond the calendar")]
    OutOfRange,
}

impl Window {
    /// Reads `none`, `day@Europe/Berlin`, `week@UTC`, `month@UTC`, `rolling:86400`.
    ///
    /// # Errors
    /// [`WindowError`].
    pub fn parse(text: &str) -> Result<Self, WindowError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(WindowError::Malformed);
        }
        if text == "none" {
            return Ok(Self::None);
        }
        if let Some(seconds) = text.strip_prefix("rolling:") {
            let plain = seconds.bytes().all(|byte| byte.is_ascii_digit()) && !seconds.starts_with('0');
            let seconds = seconds.parse().ok().filter(|_| plain).ok_or(WindowError::Rolling)?;
            let fits = (MIN_ROLLING_SECONDS..=MAX_ROLLING_SECONDS).contains(&seconds) && seconds % ROLLING_PARTS == 0;
            return if fits { Ok(Self::Rolling(seconds)) } else { Err(WindowError::Rolling) };
        }
        let (calendar, zone) = text.split_once('@').ok_or(WindowError::Malformed)?;
        let calendar = match calendar {
            "day" => Calendar::Day,
            "week" => Calendar::Week,
            "month" => Calendar::Month,
            _ => return Err(WindowError::Malformed),
        };
        // The bundled database: the same periods on every machine, and no file is read.
        let zone = TimeZoneDatabase::bundled().get(zone).map_err(|_| WindowError::UnknownZone)?;
        Ok(Self::Calendar(calendar, zone))
    }

    /// The period that a time belongs to.
    ///
    /// # Errors
    /// [`WindowError::OutOfRange`] for times beyond the year 9999.
    pub fn period(&self, now: Timestamp) -> Result<Period, WindowError> {
        match self {
            Self::None => Ok(Period { start: 0, end: Timestamp::MAX }),
            Self::Rolling(seconds) => {
                let part = seconds / ROLLING_PARTS;
                let start = now.div_euclid(part).saturating_mul(part);
                Ok(Period { start, end: start.saturating_add(part) })
            }
            Self::Calendar(calendar, zone) => calendar_period(*calendar, zone, now).ok_or(WindowError::OutOfRange),
        }
    }

    /// The earliest start of a period whose use still counts now.
    ///
    /// # Errors
    /// [`WindowError::OutOfRange`].
    pub fn counts_from(&self, now: Timestamp) -> Result<Timestamp, WindowError> {
        let start = self.period(now)?.start;
        Ok(match self {
            Self::None | Self::Calendar(..) => start,
            Self::Rolling(seconds) => start.saturating_sub(*seconds),
        })
    }
}

fn calendar_period(calendar: Calendar, zone: &TimeZone, now: Timestamp) -> Option<Period> {
    let today = jiff::Timestamp::from_second(now).ok()?.to_zoned(zone.clone()).date();
    let (first, next) = match calendar {
        Calendar::Day => (today, today.tomorrow().ok()?),
        Calendar::Week => {
            let since = i64::from(today.weekday().since(Weekday::Monday));
            let first = today.checked_sub(jiff::Span::new().days(since)).ok()?;
            (first, first.checked_add(jiff::Span::new().days(7)).ok()?)
        }
        Calendar::Month => (today.first_of_month(), today.last_of_month().tomorrow().ok()?),
    };
    // Midnight may be missing where clocks go forward: then the day begins at its first moment.
    let begins = |date: Date| Some(date.to_zoned(zone.clone()).ok()?.start_of_day().ok()?.timestamp().as_second());
    Some(Period { start: begins(first)?, end: begins(next)? })
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Rolling(seconds) => write!(f, "rolling:{seconds}"),
            Self::Calendar(calendar, zone) => {
                let word = match calendar {
                    Calendar::Day => "day",
                    Calendar::Week => "week",
                    Calendar::Month => "month",
                };
                write!(f, "{word}@{}", zone.iana_name().unwrap_or("UTC"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse::<jiff::Timestamp>().unwrap().as_second()
    }

    fn period(window: &str, now: &str) -> (String, String) {
        let period = Window::parse(window).unwrap().period(at(now)).unwrap();
        let text = |at| jiff::Timestamp::from_second(at).unwrap().to_string();
        (text(period.start), text(period.end))
    }

    #[test]
    fn a_day_is_the_zones_day() {
        let day = period("day@Europe/Berlin", "2026-11-21T23:30:00Z");
        assert_eq!(day, ("2026-11-21T23:00:00Z".into(), "2026-11-22T23:00:00Z".into()));
    }

    #[test]
    fn a_day_is_as_long_as_its_clock_says() {
        let forward = period("day@Europe/Berlin", "2026-03-29T12:00:00Z");
        assert_eq!(forward, ("2026-03-28T23:00:00Z".into(), "2026-03-29T22:00:00Z".into()), "23 hours");
        let back = period("day@America/Sao_Paulo", "2018-11-04T12:00:00Z");
        assert_eq!(back, ("2018-11-04T03:00:00Z".into(), "2018-11-05T02:00:00Z".into()), "midnight was skipped");
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        assert_eq!(period("week@UTC", "2026-11-22T23:59:59Z").0, "2026-11-16T00:00:00Z");
        assert_eq!(period("week@UTC", "2026-11-23T00:00:00Z").0, "2026-11-23T00:00:00Z");
        let february = period("month@UTC", "2028-02-29T12:00:00Z");
        assert_eq!(february, ("2028-02-01T00:00:00Z".into(), "2028-03-01T00:00:00Z".into()));
    }

    #[test]
    fn a_rolling_window_never_covers_less_than_it_says() {
        let window = Window::parse("rolling:3600").unwrap();
        for now in [0, 59, 60, 1_795_230_007] {
            let from = window.counts_from(now).unwrap();
            assert!(from <= now - 3600 && from > now - 3600 - 60, "{now}: {from}");
        }
    }

    #[test]
    fn every_moment_is_in_exactly_one_period() {
        for text in ["none", "day@Asia/Kathmandu", "week@America/New_York", "month@Pacific/Apia", "rolling:86400"] {
            let window = Window::parse(text).unwrap();
            assert_eq!(window.to_string(), text);
            let mut now = at("2011-12-25T00:00:00Z");
            for _ in 0..200 {
                let period = window.period(now).unwrap();
                assert!(period.start <= now && now < period.end, "{text} {now} {period:?}");
                if period.end < Timestamp::MAX {
                    assert_eq!(window.period(period.end).unwrap().start, period.end, "{text}: no gap, no overlap");
                    assert_eq!(window.period(period.end - 1).unwrap(), period, "{text}");
                }
                now += 41_111;
            }
        }
    }

    #[test]
    fn what_is_no_window_is_refused() {
        let malformed = ["", "None", "day", "year@UTC", "day@", "day@Mars/Olympus", "day@../../etc/passwd"];
        let rolling = ["rolling:", "rolling:59", "rolling:61", "rolling:-60", "rolling:060", "rolling:99999999999"];
        for text in malformed.into_iter().chain(rolling) {
            assert!(Window::parse(text).is_err(), "{text}");
        }
        assert!(Window::parse(&"x".repeat(65)).is_err());
        assert_eq!(Window::parse("day@UTC").unwrap().period(Timestamp::MAX), Err(WindowError::OutOfRange));
    }
}
