//! A request as it ended, in the words of the HTTP semantic conventions where they have one.

use super::trail::Facts;
use crate::reason::Reason;
use opentelemetry::KeyValue;
use std::borrow::Cow;

/// Methods that are told apart; a stranger may write any other.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
/// The conventions' word for the rest.
const OTHER_METHOD: &str = "_OTHER";
/// `error.type` of a request whose client went away.
const CANCELLED: &str = "cancelled";

/// The method, as one of a list.
#[must_use]
pub fn known_method(method: &str) -> &'static str {
    METHODS.into_iter().find(|known| *known == method).unwrap_or(OTHER_METHOD)
}

/// What is known of a request at its end.
#[derive(Clone, Debug)]
pub struct Ended {
    pub method: &'static str,
    pub scheme: &'static str,
    /// The pattern that it matched; the path itself may carry anything.
    pub route: Option<String>,
    /// `None`: nobody waited for the answer.
    pub status: Option<u16>,
    pub request_id: Option<String>,
    pub jti: Option<String>,
    pub reason: Option<Reason>,
}

/// What became of a request, in three words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    Granted,
    Refused,
    /// By no fault of the client.
    Failed,
}

impl Verdict {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl Ended {
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match (self.status, self.reason) {
            (None, _) | (Some(500..), _) => Verdict::Failed,
            (_, Some(reason)) if reason.is_own_trouble() => Verdict::Failed,
            (Some(400..), _) | (_, Some(_)) => Verdict::Refused,
            (Some(_), None) => Verdict::Granted,
        }
    }

    pub(super) fn name(&self) -> Cow<'static, str> {
        match &self.route {
            Some(route) => Cow::Owned(format!("{} {route}", self.method)),
            None => Cow::Borrowed(self.method),
        }
    }

    /// Of both the span and the metric.
    pub(super) fn shared(&self) -> Vec<KeyValue> {
        let mut all = Vec::with_capacity(10);
        all.push(KeyValue::new("http.request.method", self.method));
        all.push(KeyValue::new("url.scheme", self.scheme));
        if let Some(route) = &self.route {
            all.push(KeyValue::new("http.route", route.clone()));
        }
        match self.status {
            Some(status) => {
                all.push(KeyValue::new("http.response.status_code", i64::from(status)));
                if status >= 500 {
                    all.push(KeyValue::new("error.type", status.to_string()));
                }
            }
            None => all.push(KeyValue::new("error.type", CANCELLED)),
        }
        all
    }

    pub(super) fn attributes(&self, facts: &Facts) -> Vec<KeyValue> {
        let mut all = self.shared();
        let mut put = |key: &'static str, value: Option<&String>| {
            all.extend(value.map(|value| KeyValue::new(key, value.clone())));
        };
        put("stipend.request_id", self.request_id.as_ref());
        put("stipend.client_id", facts.client_id.as_ref());
        put("stipend.jti", self.jti.as_ref());
        all.extend(facts.grant.map(|grant| KeyValue::new("stipend.grant", grant)));
        all.push(KeyValue::new("stipend.outcome", self.verdict().as_str()));
        all.extend(self.reason.map(|reason| KeyValue::new("stipend.reason", reason.as_str())));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_a_request_is_told_by_its_status_and_its_reason() {
        let ended = |status, reason| Ended {
            method: known_method("POST"),
            scheme: "http",
            route: None,
            status,
            request_id: None,
            jti: None,
            reason,
        };
        assert_eq!(ended(Some(200), None).verdict(), Verdict::Granted);
        assert_eq!(ended(Some(401), Some(Reason::WrongSecret)).verdict(), Verdict::Refused);
        assert_eq!(ended(Some(404), None).verdict(), Verdict::Refused);
        assert_eq!(ended(Some(503), Some(Reason::StoreUnavailable)).verdict(), Verdict::Failed);
        assert_eq!(ended(None, None).verdict(), Verdict::Failed);
        assert_eq!((known_method("POST"), known_method("post"), known_method("X")), ("POST", "_OTHER", "_OTHER"));
    }
}
