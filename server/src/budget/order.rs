//! What a relying service orders, read from its form: strictly, so that a misspelt amount is
//! an error and never a default.

use crate::form::Params;
use crate::limits::{DEFAULT_HOLD_SECONDS, MAX_HOLD_SECONDS};
use crate::reason::Reason;
use stipend_token::budget::{Amount, Unit};

/// One order, before it is known who pays.
#[derive(Debug)]
pub enum Order {
    Hold { token: String, unit: Unit, amount: Amount, expires_in: i64 },
    Charge { token: String, unit: Unit, amount: Amount },
    Capture { hold_id: String, amount: Amount, last: bool },
    Extend { hold_id: String, expires_in: i64 },
    Void { hold_id: String },
    Refund { capture_id: String, amount: Amount },
    Report { line_id: String, spent: Amount, last: bool },
}

/// Which verb of the API, with the id in its path.
#[derive(Clone, Copy, Debug)]
pub enum Verb<'a> {
    Hold,
    Charge,
    Capture(&'a str),
    Extend(&'a str),
    Void(&'a str),
    Refund,
    Report,
}

impl Verb<'_> {
    #[must_use]
    pub fn event(self) -> &'static str {
        match self {
            Self::Hold => "budget.held",
            Self::Charge => "budget.charged",
            Self::Capture(_) => "budget.captured",
            Self::Extend(_) => "budget.extended",
            Self::Void(_) => "budget.voided",
            Self::Refund => "budget.refunded",
            Self::Report => "budget.reported",
        }
    }

    pub(super) fn path(&self) -> Option<&str> {
        match self {
            Self::Hold | Self::Charge | Self::Refund | Self::Report => None,
            Self::Capture(id) | Self::Extend(id) | Self::Void(id) => Some(id),
        }
    }
}

impl Order {
    /// # Errors
    /// The [`Reason`], naming the parameter.
    pub fn parse(verb: Verb<'_>, params: &Params) -> Result<Self, Reason> {
        let token = || params.one("token").map(str::to_owned).ok_or(Reason::MissingToken);
        let hold_id = || verb.path().map(str::to_owned).ok_or(Reason::NoSuchHold);
        match verb {
            Verb::Hold => Ok(Self::Hold {
                token: token()?,
                unit: unit(params)?,
                amount: amount(params, "amount")?,
                expires_in: expires_in(params)?.unwrap_or(DEFAULT_HOLD_SECONDS),
            }),
            Verb::Charge => {
                Ok(Self::Charge { token: token()?, unit: unit(params)?, amount: amount(params, "amount")? })
            }
            Verb::Capture(_) => {
                Ok(Self::Capture { hold_id: hold_id()?, amount: amount(params, "amount")?, last: is_final(params)? })
            }
            Verb::Extend(_) => Ok(Self::Extend {
                hold_id: hold_id()?,
                expires_in: expires_in(params)?.unwrap_or(DEFAULT_HOLD_SECONDS),
            }),
            Verb::Void(_) => Ok(Self::Void { hold_id: hold_id()? }),
            Verb::Refund => {
                let capture_id = params.one("capture").map(str::to_owned).ok_or(Reason::MissingCapture)?;
                Ok(Self::Refund { capture_id, amount: amount(params, "amount")? })
            }
            Verb::Report => {
                let line_id = params.one("line").map(str::to_owned).ok_or(Reason::MissingLine)?;
                Ok(Self::Report { line_id, spent: amount(params, "spent")?, last: is_final(params)? })
            }
        }
    }
}

/// Digits and nothing else: no sign, no point, no exponent, no space.
fn integer(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    text.parse().ok().filter(|_| plain && canonical)
}

fn amount(params: &Params, name: &str) -> Result<Amount, Reason> {
    let parts = params.one(name).and_then(integer).ok_or(Reason::BadAmount)?;
    Amount::new(parts).map_err(|_| Reason::BadAmount)
}

/// `decimals` may be left out where the unit's are known.
fn unit(params: &Params) -> Result<Unit, Reason> {
    let code = params.one("unit").ok_or(Reason::BadUnit)?;
    let decimals = match params.one("decimals") {
        Some(text) => integer(text).ok_or(Reason::BadUnit)?,
        None => Unit::known_decimals(code).ok_or(Reason::BadUnit)?,
    };
    Unit::new(code, decimals).map_err(|_| Reason::BadUnit)
}

fn expires_in(params: &Params) -> Result<Option<i64>, Reason> {
    let Some(text) = params.one("expires_in") else { return Ok(None) };
    integer(text).filter(|life| (1..=MAX_HOLD_SECONDS).contains(life)).map(Some).ok_or(Reason::BadHoldLife)
}

fn is_final(params: &Params) -> Result<bool, Reason> {
    match params.one("final") {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Reason::BadFinal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(body: &str) -> Params {
        Params::parse(body.as_bytes()).unwrap()
    }

    #[test]
    fn amounts_are_digits() {
        for bad in
            ["", "-1", "0.5", "5.0", "1e2", "1000000000000000", "9223372036854775808", "NaN", "%205", "05", "%2B5"]
        {
            let parsed = Order::parse(Verb::Refund, &params(&format!("capture=x&amount={bad}")));
            assert_eq!(parsed.unwrap_err(), Reason::BadAmount, "{bad}");
        }
        assert!(Order::parse(Verb::Refund, &params("capture=x&amount=999999999999999")).is_ok());
    }

    #[test]
    fn units_are_known_or_have_their_decimals() {
        let parse = |unit: &str| Order::parse(Verb::Charge, &params(&format!("token=x&amount=1&{unit}")));
        for good in ["unit=USD", "unit=USD&decimals=6", "unit=call", "unit=gpu&decimals=3"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["", "unit=USD&decimals=2", "unit=gpu", "unit=gpu&decimals=x", "unit=1&decimals=0"] {
            assert_eq!(parse(bad).unwrap_err(), Reason::BadUnit, "{bad}");
        }
    }
}
