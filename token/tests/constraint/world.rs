//! Calls to decide on.

use serde_json::Value;
use stipend_token::Timestamp;
use stipend_token::constraint::{
    Body, Call, CanonicalPath, Constraints, Counted, Host, Kind, Method, RateCount, Reason, Request, Verdict, decide,
};

pub fn constraints(value: &Value) -> Constraints {
    serde_json::from_str(&value.to_string()).unwrap_or_else(|error| panic!("{value}: {error}"))
}

pub fn refused(text: &str) -> bool {
    serde_json::from_str::<Constraints>(text).is_err()
}

pub fn at(text: &str) -> Timestamp {
    text.parse::<jiff::Timestamp>().unwrap().as_second()
}

/// A call whose facts can be changed one by one.
#[derive(Clone, Debug)]
pub struct Facts {
    pub seen: bool,
    pub method: Method,
    pub overridden: bool,
    pub host: Host,
    pub path: CanonicalPath,
    pub body: Body,
    pub source: Option<std::net::IpAddr>,
    pub now: Timestamp,
    pub uses: Option<u64>,
    pub rates: Vec<RateCount>,
}

/// `POST https://api.example/charges/1`, 500 of USD, to a listed recipient, at noon.
pub fn charge() -> Facts {
    let body = r#"{"amount":500,"currency":"usd","to":"a@example.com","items":[{"amount":7}]}"#;
    Facts {
        seen: true,
        method: Method::parse("POST").unwrap(),
        overridden: false,
        host: Host::parse("api.example").unwrap(),
        path: CanonicalPath::parse("/charges/1").unwrap(),
        body: Body::parse_json(body.as_bytes()),
        source: Some("10.1.2.3".parse().unwrap()),
        now: at("2026-11-23T12:00:00Z"),
        uses: None,
        rates: Vec::new(),
    }
}

impl Facts {
    pub fn decide(&self, constraints: &Constraints) -> Verdict {
        let request = Request {
            method: &self.method,
            method_overridden: self.overridden,
            host: &self.host,
            path: &self.path,
            body: &self.body,
        };
        let call = Call {
            request: self.seen.then_some(request),
            source: self.source,
            now: self.now,
            counted: Counted { uses: self.uses, rates: &self.rates },
        };
        decide(constraints, &call)
    }

    /// What is broken, whatever the mode.
    pub fn breaks(&self, value: &Value) -> Vec<(Kind, Reason)> {
        let verdict = self.decide(&constraints(value));
        verdict.broken.iter().map(|broken| (broken.constraint, broken.reason)).collect()
    }

    pub fn with_body(&self, text: &str) -> Self {
        Self { body: Body::parse_json(text.as_bytes()), ..self.clone() }
    }
}
