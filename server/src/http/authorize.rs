//! `/oauth2/authorize` (RFC 6749 section 3.1): an address that metadata can name, and no flow.
//!
//! Nobody signs in here and no client has a redirect URI, so no request can be honoured. It is
//! there because libraries that only want a token (both MCP SDKs) refuse a metadata document
//! without `authorization_endpoint`, which RFC 8414 section 2 makes optional. It must never
//! redirect, read a parameter, or answer to a browser's script of another origin.

use super::answer::oauth_error;
use crate::reason::Reason;
use actix_web::HttpResponse;

/// RFC 6749 section 4.1.2.1: where there is no redirect URI to trust, the answer stays here.
pub(super) async fn handle() -> HttpResponse {
    oauth_error(Reason::NobodySignsIn)
}
