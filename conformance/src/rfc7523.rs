//! RFC 7523 and its bis draft: clients that sign (`private_key_jwt`).

use serde_json::Value;

use crate::check::Miss;
use crate::client::{Login, asserted};
use crate::http::Reply;
use crate::issuer::{Issuer, granted, refused};

pub(crate) mod grant;
pub(crate) mod identity;
pub(crate) mod key;
pub(crate) mod lifetime;

/// What a refused assertion may be answered with.
pub(crate) const REFUSALS: &[&str] = &["invalid_client", "invalid_request"];

/// A client credentials grant by this assertion.
pub(crate) async fn present(issuer: &Issuer, assertion: &str) -> Result<Reply, Miss> {
    asserted(issuer.bare_grant()?, assertion).send().await
}

pub(crate) async fn accepted(issuer: &Issuer, what: &str, assertion: &str) -> Result<(), Miss> {
    let reply = present(issuer, assertion).await.map_err(|miss| miss.at(what))?;
    granted(reply).map_err(|miss| miss.at(what))?;
    Ok(())
}

/// The assertion must be refused as RFC 6749 5.2 says, with `invalid_client`.
pub(crate) async fn denied(issuer: &Issuer, what: &str, assertion: &str) -> Result<(), Miss> {
    let reply = present(issuer, assertion).await.map_err(|miss| miss.at(what))?;
    refused(&reply, &["invalid_client"]).map_err(|miss| miss.at(what))?;
    Ok(())
}

/// An assertion with another header and the honest claims.
pub(crate) fn with_header(issuer: &Issuer, login: &Login, header: &Value) -> Result<String, Miss> {
    Ok(login.signer()?.sign(header, &login.assertion_claims(issuer.url())))
}
