//! Hours of the day, by the clock on the wall of a place.

use super::list::{AnyOf, Bound, Pattern, present};
use crate::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Minutes of a day that clocks can show.
const MINUTES: i16 = 24 * 60;

#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    fn of(weekday: Weekday) -> Self {
        match weekday {
            Weekday::Monday => Self::Mon,
            Weekday::Tuesday => Self::Tue,
            Weekday::Wednesday => Self::Wed,
            Weekday::Thursday => Self::Thu,
            Weekday::Friday => Self::Fri,
            Weekday::Saturday => Self::Sat,
            Weekday::Sunday => Self::Sun,
        }
    }
}

impl Pattern for Day {
    fn is_within(&self, other: &Self) -> bool {
        self == other
    }
}

/// From one minute on, before another, on some days of the week, as the clocks of a time zone
/// show them. Hours that begin in the evening and end in the morning belong to the day on which
/// they begin. Where clocks go back, an hour that they show twice counts twice; where they go
/// forward, one that they skip never comes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "RawHours", into = "RawHours")]
pub(super) struct Hours {
    zone: TimeZone,
    from: i16,
    to: i16,
    days: Option<AnyOf<Day>>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawHours {
    zone: String,
    from: String,
    to: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    days: Option<AnyOf<Day>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum HoursError {
    #[error("no such time zone")]
    UnknownZone,
    #[error("a time of day is written 00:00 to 23:59, or 24:00 for the end of the day")]
    Malformed,
    #[error("from and to differ: the whole day is 00:00 to 24:00")]
    Empty,
}

impl TryFrom<RawHours> for Hours {
    type Error = HoursError;

    fn try_from(raw: RawHours) -> Result<Self, HoursError> {
        // The bundled database: the same hours on every machine, and no file is read.
        let zone = TimeZoneDatabase::bundled().get(&raw.zone).map_err(|_| HoursError::UnknownZone)?;
        if zone.iana_name().is_none() {
            return Err(HoursError::UnknownZone);
        }
        let from = minutes(&raw.from).filter(|from| *from < MINUTES).ok_or(HoursError::Malformed)?;
        let to = minutes(&raw.to).ok_or(HoursError::Malformed)?;
        if from == to {
            return Err(HoursError::Empty);
        }
        Ok(Self { zone, from, to, days: raw.days.filter(|days| days.len() < 7) })
    }
}

/// Reads `00:00` to `24:00`.
fn minutes(text: &str) -> Option<i16> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    let number = |part: &str| part.parse::<i16>().ok().filter(|_| two_digits(part));
    let (hour, minute) = (number(hour)?, number(minute).filter(|minute| *minute < 60)?);
    Some(hour * 60 + minute).filter(|minutes| *minutes <= MINUTES)
}

impl From<Hours> for RawHours {
    fn from(hours: Hours) -> Self {
        let text = |minutes: i16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        Self { zone: hours.name().to_owned(), from: text(hours.from), to: text(hours.to), days: hours.days }
    }
}

impl Hours {
    pub fn hold(&self, now: Timestamp) -> bool {
        let Ok(instant) = jiff::Timestamp::from_second(now) else { return false };
        let local = instant.to_zoned(self.zone.clone());
        let minute = i16::from(local.hour()) * 60 + i16::from(local.minute());
        let on = |weekday: Weekday| self.days.as_ref().is_none_or(|days| days.any(|day| *day == Day::of(weekday)));
        let today = local.weekday();
        if self.from < self.to {
            (self.from..self.to).contains(&minute) && on(today)
        } else {
            (minute >= self.from && on(today)) || (minute < self.to && on(today.previous()))
        }
    }

    /// Whether they ever hold.
    pub fn never(&self) -> bool {
        self.days.as_ref().is_some_and(AnyOf::is_empty)
    }

    fn name(&self) -> &str {
        self.zone.iana_name().unwrap_or_default()
    }

    fn clock(&self) -> (&str, i16, i16) {
        (self.name(), self.from, self.to)
    }
}

/// The same hours of the same place on fewer days; others stay apart.
impl Bound for Hours {
    fn merge(&self, other: &Self) -> Option<Self> {
        if self.clock() != other.clock() {
            return None;
        }
        let days = match (&self.days, &other.days) {
            (Some(a), Some(b)) => Some(a.meet(b).ok()?),
            (a, b) => a.clone().or(b.clone()),
        };
        Some(Self { days, ..self.clone() })
    }
}

impl Ord for Hours {
    fn cmp(&self, other: &Self) -> Ordering {
        self.clock().cmp(&other.clock()).then_with(|| self.days.cmp(&other.days))
    }
}

impl PartialOrd for Hours {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
