//! The end of a call through the proxy: what it cost is captured, the rest is free again, and
//! both are on record.

use super::SPENDER;
use super::price::spend;
use crate::app::App;
use crate::audit::{DONE, Draft};
use crate::proxy::prices::{Prices, cost};
use crate::proxy::{End, Reading, UpstreamFault};
use stipend_keys::dated_id;
use stipend_schema::ledger::{Answer, BudgetHoldRow, Step};
use stipend_schema::{Outcome, Work};
use stipend_token::budget::Amount;

/// What is held for a call.
#[derive(Debug)]
pub(super) struct Held {
    pub hold_id: String,
    pub amount: Amount,
    pub remaining: i64,
}

/// What became of a call.
#[derive(Debug)]
pub(super) enum Sent {
    Answer {
        status: u16,
        reading: Box<Reading>,
    },
    Fault(UpstreamFault),
    /// The agent went away before there was an answer.
    Abandoned,
}

/// Tries of an end that could not be recorded.
const MAX_TRIES: u32 = 5;

/// What the call cost; `None`: nothing.
fn price(held: &Held, metered: Option<&Prices>, sent: &Sent) -> Option<Amount> {
    match (sent, metered) {
        // Nobody was asked to do anything.
        (Sent::Fault(fault), _) if fault.nothing_was_sent() => None,
        // A price is for the call, whatever came of it.
        (Sent::Answer { .. } | Sent::Fault(_), None) => Some(held.amount),
        (Sent::Abandoned, _) | (Sent::Fault(_), Some(_)) => None,
        (Sent::Answer { status, reading }, Some(prices)) => {
            let told = reading.usage.as_ref().map(|usage| cost(prices, reading.model.as_deref(), usage));
            let whole = reading.usage_is_whole || (reading.end == End::Complete && told.is_some());
            // An answer that does not say what it used used all that was held: never nothing.
            // Nor does one that was left, or broke off, before it said: the provider had made
            // what came of it by then, and much of it was read.
            if whole || !(200..300).contains(status) { told } else { Some(held.amount.max(told.unwrap_or_default())) }
        }
    }
}

/// Ends a call. Where there is nothing to book and nothing went wrong, the record of its
/// beginning says all.
pub(super) async fn settle(app: &App, held: Option<Held>, (mut draft, metered): (Draft, Option<Prices>), sent: Sent) {
    draft.event("credential.call_ended");
    describe(&mut draft, &sent);
    let step = match &held {
        None if matches!(sent, Sent::Answer { .. } | Sent::Abandoned) => return,
        None => None,
        Some(held) => {
            draft.put("hold", held.hold_id.clone());
            Some(match price(held, metered.as_ref(), &sent).filter(|amount| *amount > Amount::ZERO) {
                Some(amount) => Step::Capture {
                    capture_id: dated_id("bc_", app.clock.now()),
                    hold_id: held.hold_id.clone(),
                    amount,
                    last: true,
                },
                None => Step::Void { hold_id: held.hold_id.clone() },
            })
        }
    };
    for attempt in 0..MAX_TRIES {
        let work = Work {
            spend: step.clone().map(|step| spend(step, None)),
            ..Work::recording(app.live.applied(), draft.clone().outcome(DONE))
        };
        match app.committer.submit(work).await {
            Outcome::Committed { .. } => return,
            Outcome::Settled { settled, .. } => {
                // Ended already: an attempt that was not acknowledged was stored all the same.
                if let (Answer::Declined(refusal), 0) = (&settled.answer, attempt) {
                    tracing::error!(%refusal, "the end of a call was not booked");
                }
                return;
            }
            _ => tokio::time::sleep(std::time::Duration::from_millis(100 << attempt)).await,
        }
    }
    tracing::error!("the end of a call could not be recorded: its hold is captured when it runs out");
}

fn describe(draft: &mut Draft, sent: &Sent) {
    match sent {
        Sent::Answer { status, reading } => {
            draft.put("status", *status);
            draft.put("bytes", reading.bytes);
            draft.put("end", format!("{:?}", reading.end).to_lowercase());
            if let Some(model) = &reading.model {
                draft.put("model", model.clone());
            }
            if let Some(usage) = &reading.usage {
                draft.put("input_tokens", usage.input_tokens);
                draft.put("cached_input_tokens", usage.cached_input_tokens);
                draft.put("cache_write_tokens", usage.cache_write_tokens);
                draft.put("output_tokens", usage.output_tokens);
            }
        }
        Sent::Fault(fault) => draft.put("fault", fault.as_str()),
        Sent::Abandoned => draft.put("end", "abandoned"),
    }
}

/// The step that ends a hold whose time is over. One of the proxy's belongs to a call whose end
/// nobody saw: what it used counts as all that was held.
#[must_use]
pub fn overdue(hold: &BudgetHoldRow, now: i64) -> (&'static str, Step) {
    let rest = Amount::new(hold.amount.saturating_sub(hold.captured)).unwrap_or_default();
    if hold.client_id == SPENDER && rest > Amount::ZERO {
        let capture_id = dated_id("bc_", now);
        ("credential.call_lost", Step::Capture { capture_id, hold_id: hold.id.clone(), amount: rest, last: true })
    } else {
        ("budget.hold_expired", Step::Expire { hold_id: hold.id.clone() })
    }
}
