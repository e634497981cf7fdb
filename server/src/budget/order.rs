//! What a relying service orders, read from its form: strictly, so that a misspelt amount is
//! an error and never a default.

use crate::form::Params;
use crate::limits::{DEFAULT_HOLD_SECONDS, MAX_HOLD_SECONDS, MAX_IDEMPOTENCY_KEY_BYTES};
use crate::reason::Reason;
use stipend_keys::sha256;
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
        }
    }

    fn path(self) -> Option<String> {
        match self {
            Self::Hold | Self::Charge | Self::Refund => None,
            Self::Capture(id) | Self::Extend(id) | Self::Void(id) => Some(id.to_owned()),
        }
    }
}

impl Order {
    /// # Errors
    /// The [`Reason`], naming the parameter.
    pub fn parse(verb: Verb<'_>, params: &Params) -> Result<Self, Reason> {
        let token = || params.one("token").map(str::to_owned).ok_or(Reason::MissingToken);
        let hold_id = || verb.path().ok_or(Reason::NoSuchHold);
        match verb {
            Verb::Hold => Ok(Self::Hold {
                token: token()?,
                unit: unit(params)?,
                amount: amount(params)?,
                expires_in: expires_in(params)?.unwrap_or(DEFAULT_HOLD_SECONDS),
            }),
            Verb::Charge => Ok(Self::Charge { token: token()?, unit: unit(params)?, amount: amount(params)? }),
            Verb::Capture(_) => {
                Ok(Self::Capture { hold_id: hold_id()?, amount: amount(params)?, last: is_final(params)? })
            }
            Verb::Extend(_) => Ok(Self::Extend {
                hold_id: hold_id()?,
                expires_in: expires_in(params)?.unwrap_or(DEFAULT_HOLD_SECONDS),
            }),
            Verb::Void(_) => Ok(Self::Void { hold_id: hold_id()? }),
            Verb::Refund => {
                let capture_id = params.one("capture").map(str::to_owned).ok_or(Reason::MissingCapture)?;
                Ok(Self::Refund { capture_id, amount: amount(params)? })
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

fn amount(params: &Params) -> Result<Amount, Reason> {
    let parts = params.one("amount").and_then(integer).ok_or(Reason::BadAmount)?;
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

/// The `Idempotency-Key` of a request, with what it asks for: a retry is the same in both.
#[derive(Debug)]
pub struct Retry {
    pub key_hash: [u8; 32],
    pub digest: [u8; 32],
}

/// Parameters of client authentication, which a retry makes anew.
const OF_AUTHENTICATION: [&str; 4] = ["client_id", "client_secret", "client_assertion", "client_assertion_type"];

impl Retry {
    /// # Errors
    /// [`Reason::BadIdempotencyKey`].
    pub fn new(key: &str, client_id: &str, verb: Verb<'_>, params: &Params) -> Result<Self, Reason> {
        let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        if key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY_BYTES || !visible {
            return Err(Reason::BadIdempotencyKey);
        }
        // NUL is in none of the parts, so no two lists of parts make the same text.
        let key_hash = sha256([client_id, verb.event(), key].join("\0").as_bytes());
        let mut said: Vec<String> = params
            .pairs()
            .filter(|(name, _)| !OF_AUTHENTICATION.contains(name))
            .map(|(name, value)| format!("{name}\0{value}"))
            .collect();
        said.sort_unstable();
        said.extend(verb.path());
        Ok(Self { key_hash, digest: sha256(said.join("\0\0").as_bytes()) })
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

    #[test]
    fn a_retry_is_the_same_request_with_any_authentication() {
        let retry = |body: &str, verb| Retry::new("k", "acme.api", verb, &params(body)).unwrap();
        let first = retry("amount=1&final=true&client_assertion=a", Verb::Capture("bh_1"));
        let again = retry("final=true&client_assertion=b&amount=1", Verb::Capture("bh_1"));
        assert_eq!((first.key_hash, first.digest), (again.key_hash, again.digest));
        assert_ne!(first.digest, retry("amount=2&final=true", Verb::Capture("bh_1")).digest);
        assert_ne!(first.digest, retry("amount=1&final=true", Verb::Capture("bh_2")).digest);
        assert_ne!(first.key_hash, retry("amount=1&final=true", Verb::Void("bh_1")).key_hash);
        for bad in ["", "a b", "é", "a\n", &"k".repeat(256)] {
            assert!(Retry::new(bad, "acme.api", Verb::Hold, &params("a=b")).is_err(), "{bad:?}");
        }
    }
}
