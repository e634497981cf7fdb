//! Why the admin API refuses, as RFC 9457 problem details.
//!
//! The code fixes the status, so that both can't drift apart. What a caller may not see is
//! answered by [`Refusal::not_found`] and nothing else: one body, byte for byte.

use super::api::{FieldError, Problem};
use crate::records::Unavailable;
use crate::store::StoreStopped;
use std::borrow::Cow;

/// The word for programs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Code {
    InvalidRequest,
    NoToken,
    /// Several `Authorization` headers.
    TokenTwice,
    InvalidToken,
    /// RFC 9470: the person authenticated too long ago.
    StaleLogin,
    InvalidProof,
    UseNonce,
    InsufficientScope,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    TooSlow,
    AlreadyExists,
    InvalidState,
    NotNarrower,
    TooManySecrets,
    TooManyKeys,
    TooManyRules,
    TooManyBudgets,
    TooManyPolicies,
    TooManyClientDocuments,
    TooManySinks,
    TooManyStreams,
    BuiltIn,
    OwnClient,
    OwnOffer,
    TooLarge,
    UnsupportedMediaType,
    Internal,
    Overtaken,
    Unavailable,
}

impl Code {
    pub const ALL: [Self; 31] = [
        Self::InvalidRequest,
        Self::NoToken,
        Self::TokenTwice,
        Self::InvalidToken,
        Self::StaleLogin,
        Self::InvalidProof,
        Self::UseNonce,
        Self::InsufficientScope,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::TooSlow,
        Self::AlreadyExists,
        Self::InvalidState,
        Self::NotNarrower,
        Self::TooManySecrets,
        Self::TooManyKeys,
        Self::TooManyRules,
        Self::TooManyBudgets,
        Self::TooManyPolicies,
        Self::TooManyClientDocuments,
        Self::TooManySinks,
        Self::TooManyStreams,
        Self::BuiltIn,
        Self::OwnClient,
        Self::OwnOffer,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Internal,
        Self::Overtaken,
        Self::Unavailable,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::NoToken => "no_token",
            Self::TokenTwice => "token_twice",
            Self::InvalidToken => "invalid_token",
            Self::StaleLogin => "insufficient_user_authentication",
            Self::InvalidProof => "invalid_dpop_proof",
            Self::UseNonce => "use_dpop_nonce",
            Self::InsufficientScope => "insufficient_scope",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooSlow => "too_slow",
            Self::AlreadyExists => "already_exists",
            Self::InvalidState => "invalid_state",
            Self::NotNarrower => "not_narrower",
            Self::TooManySecrets => "too_many_secrets",
            Self::TooManyKeys => "too_many_keys",
            Self::TooManyRules => "too_many_rules",
            Self::TooManyBudgets => "too_many_budgets",
            Self::TooManyPolicies => "too_many_policies",
            Self::TooManyClientDocuments => "too_many_client_documents",
            Self::TooManySinks => "too_many_sinks",
            Self::TooManyStreams => "too_many_streams",
            Self::BuiltIn => "built_in",
            Self::OwnClient => "own_client",
            Self::OwnOffer => "own_offer",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::Internal => "internal",
            Self::Overtaken => "overtaken",
            Self::Unavailable => "unavailable",
        }
    }

    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::TokenTwice => 400,
            Self::NoToken | Self::InvalidToken | Self::StaleLogin | Self::InvalidProof | Self::UseNonce => 401,
            Self::InsufficientScope | Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::TooSlow => 408,
            Self::AlreadyExists
            | Self::InvalidState
            | Self::NotNarrower
            | Self::TooManySecrets
            | Self::TooManyKeys
            | Self::TooManyRules
            | Self::TooManyBudgets
            | Self::TooManyPolicies
            | Self::TooManyClientDocuments
            | Self::TooManySinks
            | Self::BuiltIn
            | Self::OwnClient
            | Self::OwnOffer => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::TooManyStreams => 429,
            Self::Internal => 500,
            Self::Overtaken | Self::Unavailable => 503,
        }
    }

    /// The phrase of the status, as RFC 9457 section 4.2.1 wants it with `about:blank`.
    fn title(self) -> &'static str {
        match self.status() {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            409 => "Conflict",
            413 => "Content Too Large",
            415 => "Unsupported Media Type",
            429 => "Too Many Requests",
            503 => "Service Unavailable",
            _ => "Internal Server Error",
        }
    }
}

/// A refusal: its code, a sentence, and the members at fault.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    pub code: Code,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
}

impl Refusal {
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new() }
    }

    /// Missing, or not for this caller: nobody can tell which.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "there is nothing here")
    }

    #[must_use]
    pub fn forbidden() -> Self {
        Self::new(Code::Forbidden, "none of the caller's roles allows this")
    }

    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(Code::Unavailable, "the server cannot read or record this now: try again")
    }

    #[must_use]
    pub fn internal() -> Self {
        Self::new(Code::Internal, "the server failed; its log says why")
    }

    #[must_use]
    pub fn overloaded() -> Self {
        Self::new(Code::Unavailable, "more is asked of this server than it can do now: try again")
    }

    /// A member of the body is at fault.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let pointer = pointer.into();
        Self {
            code: Code::InvalidRequest,
            detail: Cow::Owned(format!("{pointer}: {detail}")),
            errors: vec![FieldError { pointer, detail }],
        }
    }

    /// Several things are at fault; at least one. The first is the detail.
    pub fn fields(faults: impl IntoIterator<Item = (String, String)>) -> Self {
        let errors: Vec<FieldError> =
            faults.into_iter().map(|(pointer, detail)| FieldError { pointer, detail }).collect();
        let first = errors.first().map(|fault| format!("{}: {}", fault.pointer, fault.detail));
        Self { code: Code::InvalidRequest, detail: Cow::Owned(first.unwrap_or_default()), errors }
    }

    /// The same of a member that stands further in.
    #[must_use]
    pub fn under(mut self, pointer: &str) -> Self {
        for error in &mut self.errors {
            error.pointer.insert_str(0, pointer);
        }
        if let [error] = self.errors.as_slice() {
            self.detail = Cow::Owned(format!("{}: {}", error.pointer, error.detail));
        }
        self
    }

    #[must_use]
    pub fn problem(&self) -> Problem {
        Problem {
            kind: "about:blank".to_owned(),
            title: self.code.title().to_owned(),
            status: self.code.status(),
            detail: self.detail.clone().into_owned(),
            code: self.code.as_str().to_owned(),
            errors: self.errors.clone(),
        }
    }
}

impl From<Unavailable> for Refusal {
    fn from(_: Unavailable) -> Self {
        Self::unavailable()
    }
}

impl From<StoreStopped> for Refusal {
    fn from(_: StoreStopped) -> Self {
        Self::unavailable()
    }
}

impl From<stipend_schema::DbError> for Refusal {
    fn from(error: stipend_schema::DbError) -> Self {
        tracing::warn!(%error, "the admin API could not read");
        Self::unavailable()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_its_status() {
        let table: Vec<String> =
            Code::ALL.iter().map(|code| format!("{} {:<24} {}", code.status(), code.as_str(), code.title())).collect();
        insta::assert_snapshot!(table.join("\n"));
    }

    #[test]
    fn a_problem_has_the_members_of_rfc_9457() {
        let problem = Refusal::field("/name", "too long").problem();
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "about:blank", "title": "Bad Request", "status": 400, "code": "invalid_request",
                "detail": "/name: too long", "errors": [{"pointer": "/name", "detail": "too long"}],
            })
        );
    }
}
