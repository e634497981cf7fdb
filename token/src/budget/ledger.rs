//! The steps. Each takes a path, leaf first, as far up as the line that pays: past a carved
//! line nobody is charged again, since what it has was taken from above when it was carved.

use super::amount::Amount;
use super::level::{Declined, Level};
use crate::Timestamp;

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum HoldState {
    Open,
    /// By a last capture.
    Captured,
    Voided,
    /// Its time ran out. What was done under it can still be booked.
    Expired,
}

/// An amount put aside until it is known what a call really costs. It ends once.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Hold {
    pub amount: i64,
    /// Captured out of `amount`.
    pub captured: i64,
    pub state: HoldState,
    pub expires_at: Timestamp,
}

impl Hold {
    /// What it still keeps back.
    #[must_use]
    pub fn rest(&self) -> i64 {
        match self.state {
            HoldState::Open => self.amount.saturating_sub(self.captured),
            HoldState::Captured | HoldState::Voided | HoldState::Expired => 0,
        }
    }
}

/// What one capture booked.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Capture {
    pub amount: i64,
    /// What of it each level had nothing left for, leaf first.
    pub overages: Vec<i64>,
    pub refunded: i64,
}

impl Capture {
    /// What the tightest level had nothing left for.
    #[must_use]
    pub fn overage(&self) -> i64 {
        self.overages.iter().copied().max().unwrap_or(0)
    }

    /// What every level had room for.
    #[must_use]
    pub fn spent(&self) -> i64 {
        self.amount.saturating_sub(self.overage())
    }
}

/// An amount given away to be counted elsewhere. It comes back once.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Carve {
    pub amount: i64,
    pub settled: bool,
}

/// Puts an amount aside on every level, or on none.
///
/// # Errors
/// [`Declined`], of the level nearest to the leaf that does not admit it.
pub fn hold(path: &mut [Level], amount: Amount, expires_at: Timestamp) -> Result<Hold, Declined> {
    let amount = positive(amount)?;
    for (index, level) in path.iter().enumerate() {
        level.admits(index, amount)?;
    }
    for level in path {
        level.used.held = level.used.held.saturating_add(amount);
    }
    Ok(Hold { amount, captured: 0, state: HoldState::Open, expires_at })
}

/// Books what was really spent; with `last` the rest of the hold is free again.
///
/// What exceeds the hold is taken from what each level has left. What does not fit at a level
/// was spent all the same: it is recorded there as overage, and keeps new holds out.
///
/// # Errors
/// [`Declined::Zero`] unless it is the last; [`Declined::Ended`] after a last capture or a void.
pub fn capture(
    path: &mut [Level],
    hold: &mut Hold,
    amount: Amount,
    last: bool,
    now: Timestamp,
) -> Result<Capture, Declined> {
    match hold.state {
        HoldState::Open | HoldState::Expired => {}
        HoldState::Captured | HoldState::Voided => return Err(Declined::Ended),
    }
    let amount = if last { amount.parts() } else { positive(amount)? };
    // After all that can decline: a declined step changes nothing, also not what is due.
    expire(path, hold, now);
    let within = amount.min(hold.rest());
    let excess = amount.saturating_sub(within);
    let mut overages = Vec::with_capacity(path.len());
    for level in path.iter_mut() {
        let taken = excess.min(level.available().max(0));
        let overage = excess.saturating_sub(taken);
        level.used.held = level.used.held.saturating_sub(within);
        level.used.spent = level.used.spent.saturating_add(within).saturating_add(taken);
        level.used.overage = level.used.overage.saturating_add(overage);
        overages.push(overage);
    }
    hold.captured = hold.captured.saturating_add(within);
    if last {
        // After its time too: nothing is left to free, but no other capture follows.
        free(path, hold, HoldState::Captured);
    }
    Ok(Capture { amount, overages, refunded: 0 })
}

/// Ends a hold; what was not captured is free again, and answered.
///
/// # Errors
/// [`Declined::Ended`] when it has ended already, also by its time.
pub fn void(path: &mut [Level], hold: &mut Hold, now: Timestamp) -> Result<i64, Declined> {
    if hold.state != HoldState::Open || now >= hold.expires_at {
        return Err(Declined::Ended);
    }
    Ok(free(path, hold, HoldState::Voided))
}

/// Ends a hold whose time is over. Whether it was this that ended it.
pub fn expire(path: &mut [Level], hold: &mut Hold, now: Timestamp) -> bool {
    let due = hold.state == HoldState::Open && now >= hold.expires_at;
    if due {
        free(path, hold, HoldState::Expired);
    }
    due
}

/// Gives a hold that has not ended more time, never less.
///
/// # Errors
/// [`Declined::Ended`].
pub fn extend(hold: &mut Hold, expires_at: Timestamp, now: Timestamp) -> Result<(), Declined> {
    if hold.state != HoldState::Open || now >= hold.expires_at {
        return Err(Declined::Ended);
    }
    hold.expires_at = hold.expires_at.max(expires_at);
    Ok(())
}

/// Takes back from a capture, on the path and in the periods it was booked in: at each level
/// its overage first, then what was spent.
///
/// # Errors
/// [`Declined::Zero`], and [`Declined::TooMuch`] beyond what is left of the capture.
pub fn refund(path: &mut [Level], capture: &mut Capture, amount: Amount) -> Result<(), Declined> {
    let amount = positive(amount)?;
    if amount > capture.amount.saturating_sub(capture.refunded) {
        return Err(Declined::TooMuch);
    }
    for (level, overage) in path.iter_mut().zip(&capture.overages) {
        let from_overage = overage.saturating_sub(capture.refunded).clamp(0, amount);
        level.used.overage = level.used.overage.saturating_sub(from_overage);
        level.used.spent = level.used.spent.saturating_sub(amount.saturating_sub(from_overage));
    }
    capture.refunded = capture.refunded.saturating_add(amount);
    Ok(())
}

/// Takes an amount out of every level of the parent's path, to be counted elsewhere.
///
/// # Errors
/// [`Declined`], of the level nearest to the leaf that does not have it.
pub fn carve(path: &mut [Level], amount: Amount) -> Result<Carve, Declined> {
    let amount = positive(amount)?;
    for (index, level) in path.iter().enumerate() {
        level.has(index, amount)?;
    }
    for level in path {
        level.used.carved = level.used.carved.saturating_add(amount);
    }
    Ok(Carve { amount, settled: false })
}

/// Ends a carve: what was reported unspent comes back, the rest counts as spent.
///
/// # Errors
/// [`Declined::Ended`] when it was settled before, [`Declined::TooMuch`] when more is reported
/// unspent than was carved.
pub fn settle(path: &mut [Level], carve: &mut Carve, unspent: Amount) -> Result<(), Declined> {
    if carve.settled {
        return Err(Declined::Ended);
    }
    let spent = carve.amount.checked_sub(unspent.parts()).filter(|spent| *spent >= 0).ok_or(Declined::TooMuch)?;
    for level in path {
        level.used.carved = level.used.carved.saturating_sub(carve.amount);
        level.used.spent = level.used.spent.saturating_add(spent);
    }
    carve.settled = true;
    Ok(())
}

fn positive(amount: Amount) -> Result<i64, Declined> {
    if amount == Amount::ZERO { Err(Declined::Zero) } else { Ok(amount.parts()) }
}

fn free(path: &mut [Level], hold: &mut Hold, end: HoldState) -> i64 {
    let rest = hold.rest();
    for level in path {
        level.used.held = level.used.held.saturating_sub(rest);
    }
    hold.state = end;
    rest
}
