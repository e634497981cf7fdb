//! The counters of what a decision says must be counted.

use super::commit::Ending;
use crate::limits::{LEEWAY_SECONDS, MAX_TTL_SECONDS};
use crate::reason::Reason;
use stipend_schema::custody::Count;
use stipend_token::constraint::{CountedLimit, Mode, Need, Span};

/// The counts under `prefix`, which names whose limits they are. `end` is when those end, in
/// seconds.
pub(super) fn counts(needs: &[Need], prefix: &str, end: i64, now: i64) -> Vec<Count> {
    needs.iter().filter_map(|need| count(need, prefix, end, now)).collect()
}

fn count(need: &Need, prefix: &str, end: i64, now: i64) -> Option<Count> {
    match need {
        Need::Uses { limit, mode } => Some(Count {
            key: format!("{prefix}:{}:uses", word(*mode)),
            span: Span::Ever,
            limit: u64::from(*limit),
            mode: *mode,
            reason: Reason::UsesExhausted.as_str(),
            expires_at: end.saturating_add(LEEWAY_SECONDS),
        }),
        Need::Rate { rate, mode } => Some(Count {
            key: format!("{prefix}:{}:rate:{}", word(*mode), rate.per_s()),
            span: Span::from(*rate),
            limit: u64::from(rate.count()),
            mode: *mode,
            reason: Reason::RateExceeded.as_str(),
            // A part longer than the span: then nothing of it counts any more.
            expires_at: now.saturating_add(2 * i64::from(rate.per_s())).saturating_add(LEEWAY_SECONDS),
        }),
        Need::Amount { .. } => None,
    }
}

/// What is enforced and what is observed are counted apart: a call counts once for each.
fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Observe => "observe",
    }
}

/// The counts of a token: under each token that brought a limit in, with that one's own limit,
/// so that no child has its parent's uses afresh.
pub(super) fn of_token(entries: &[CountedLimit], credential: &str, now: i64) -> Vec<Count> {
    let needs = |entry: &CountedLimit| {
        let mode = entry.mode();
        let rates = entry.rates().map(move |rate| Need::Rate { rate, mode });
        rates.chain(entry.uses().map(|limit| Need::Uses { limit, mode })).collect::<Vec<_>>()
    };
    // Whatever the age of the token that brought it in, it is dead by then.
    let end = now.saturating_add(MAX_TTL_SECONDS);
    let of_entry =
        |entry: &CountedLimit| counts(&needs(entry), &format!("token:{}:{credential}", entry.jti()), end, now);
    entries.iter().flat_map(of_entry).collect()
}

/// What the count that was full comes to.
pub(super) fn exceeded(counts: &[Count], place: usize) -> Ending {
    let full = counts.get(place);
    if full.is_some_and(|count| count.reason == Reason::UsesExhausted.as_str()) {
        return Reason::UsesExhausted.into();
    }
    Ending { retry_after: full.and_then(spacing), ..Reason::RateExceeded.into() }
}

/// Seconds from one call to the next of those that a rate allows: a caller that waits so long is
/// on average let in, and one that was told less would ask in vain until then.
fn spacing(count: &Count) -> Option<u32> {
    match count.span {
        Span::Ever => None,
        Span::Seconds(seconds) => {
            let limit = u32::try_from(count.limit).unwrap_or(u32::MAX).max(1);
            Some(seconds.div_ceil(limit).max(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_waits_as_long_as_the_rate_leaves_between_two_calls() {
        let full = |span, limit, reason: Reason| Count {
            key: "k".into(),
            span,
            limit,
            mode: Mode::Enforce,
            reason: reason.as_str(),
            expires_at: 0,
        };
        let after = |count: Count| exceeded(&[count], 0).retry_after;
        assert_eq!(after(full(Span::Seconds(86_400), 1, Reason::RateExceeded)), Some(86_400));
        assert_eq!(after(full(Span::Seconds(60), 10, Reason::RateExceeded)), Some(6));
        assert_eq!(after(full(Span::Seconds(1), 500, Reason::RateExceeded)), Some(1));
        assert_eq!(after(full(Span::Seconds(60), 0, Reason::RateExceeded)), Some(60));
        assert_eq!(after(full(Span::Ever, 1, Reason::UsesExhausted)), None);
    }
}
