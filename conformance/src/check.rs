//! What a check is: a row of the clause table and the function that decides it.
//!
//! Owns the verdict type and the `ensure!` macro. A check never panics: what
//! goes wrong is a failed row with what was seen.

use std::future::Future;
use std::pin::Pin;

use serde::Serialize;

use crate::issuer::Issuer;

/// How binding a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Level {
    /// MUST, SHALL or REQUIRED in the clause named.
    M,
    /// SHOULD or RECOMMENDED: shown, never counted against the issuer.
    S,
    /// A house rule of Stipend: not in a standard, or one of the choices it leaves.
    H,
}

impl Level {
    pub fn letter(self) -> &'static str {
        match self {
            Self::M => "M",
            Self::S => "S",
            Self::H => "H",
        }
    }
}

/// Why a check did not pass.
#[derive(Debug)]
pub(crate) enum Miss {
    Fail(String),
    Skip(String),
}

impl Miss {
    /// Puts the vector's name in front of what was seen.
    pub(crate) fn at(self, vector: &str) -> Self {
        match self {
            Self::Fail(seen) => Self::Fail(format!("{vector}: {seen}")),
            Self::Skip(why) => Self::Skip(why),
        }
    }
}

/// What was seen, or why the row did not pass.
pub(crate) type Verdict = Result<String, Miss>;
pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

pub(crate) struct Check {
    pub(crate) id: &'static str,
    pub(crate) level: Level,
    pub(crate) source: &'static str,
    pub(crate) title: &'static str,
    /// The feature the row belongs to; a profile may say that an issuer lacks it.
    pub(crate) feature: &'static str,
    pub(crate) run: for<'a> fn(&'a Issuer) -> Running<'a>,
}

/// One row: id, level, source clause, assertion, function.
macro_rules! checks {
    ($feature:literal; $( $id:literal $level:ident $source:literal $title:literal => $run:path; )+) => {
        pub(crate) fn rows() -> Vec<crate::check::Check> {
            vec![$( crate::check::Check {
                id: $id,
                level: crate::check::Level::$level,
                source: $source,
                title: $title,
                feature: $feature,
                run: |issuer| Box::pin($run(issuer)),
            } ),+]
        }
    };
}

/// Fails the row, with what was seen, unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($seen:tt)+) => {
        let holds: bool = $condition;
        if !holds {
            return Err(crate::check::Miss::Fail(format!($($seen)+)));
        }
    };
}

pub(crate) use {checks, ensure};

pub(crate) fn fail<T>(seen: impl Into<String>) -> Result<T, Miss> {
    Err(Miss::Fail(seen.into()))
}

pub(crate) fn skip<T>(why: impl Into<String>) -> Result<T, Miss> {
    Err(Miss::Skip(why.into()))
}
