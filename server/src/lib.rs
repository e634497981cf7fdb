//! The Stipend server: an OAuth 2.0 token-exchange authorization server for AI agents.
//!
//! One request goes downwards only: `http` (routes, bodies, answers) to `client`
//! (authentication) to `grant` (the shared phases and the grants) to the pure decisions of
//! the token crate, and to the commit pipeline of the schema crate. Nobody imports `http`.

pub mod admin;
pub mod admission;
pub mod app;
pub mod approval;
pub mod audit;
pub mod binding;
pub mod bootstrap;
pub mod budget;
pub mod certificate;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod custody;
pub mod demo;
pub mod deps;
pub mod documents;
pub mod dumps;
pub mod export;
pub mod federation;
pub mod form;
pub mod gather;
pub mod grant;
pub mod http;
pub mod introspection;
pub mod jobs;
pub mod limits;
pub mod live;
pub mod oauth_code;
pub mod orphans;
pub mod pace;
pub mod policy;
pub mod proxy;
pub mod rates;
pub mod reason;
pub mod records;
pub mod redis;
pub mod registration;
pub mod retry;
pub mod revocation;
pub mod ring;
pub mod run;
pub mod sealed;
pub mod serve;
pub mod signals;
pub mod status;
pub mod store;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tokens;
