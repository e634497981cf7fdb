//! The door: which class a request is of, and the answer where there is no room for it.
//! See [`crate::admission`] for what that means.

use super::answer::oauth_error;
use crate::admin;
use crate::admission::{Class, enter};
use crate::app::App;
use crate::reason::Reason;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpResponse};

/// By what is refused last. What no line names begins something.
const CLASSES: &[(&str, Class)] = &[
    ("/healthz", Class::Free),
    ("/readyz", Class::Free),
    ("/.well-known/", Class::Free),
    ("/openapi.json", Class::Free),
    ("/oauth2/jwks", Class::Free),
    ("/oauth2/authorization-details-types", Class::Free),
    ("/oauth2/revoke", Class::Ending),
    ("/admin/", Class::Administering),
    ("/oauth2/introspect", Class::Settling),
    ("/status/", Class::Settling),
    ("/ssf/", Class::Settling),
    // A hold that is captured, voided or extended; `/budget/holds` itself begins one.
    ("/budget/holds/", Class::Settling),
    ("/budget/refunds", Class::Settling),
    ("/budget/reports", Class::Settling),
    ("/budget/lines/", Class::Settling),
    ("/credentials/", Class::Custody),
    // Calls through the proxy last as long as the provider takes, and have a limit of their own.
    ("/proxy/", Class::Free),
];

/// Calls of the admin API that stop something.
const ENDS: &[&str] =
    &["/revoke", "/revocations", "/suspend", "/retire", "/disable", "/distrust", "/destroy", "/people/departed"];

fn class(path: &str) -> Class {
    if path.starts_with("/admin/") && ENDS.iter().any(|end| path.ends_with(end)) {
        return Class::Ending;
    }
    CLASSES.iter().find(|(prefix, _)| path.starts_with(prefix)).map_or(Class::Beginning, |(_, class)| *class)
}

/// # Errors
/// The handler's own, or that there is no room.
pub async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let class = class(request.path());
    let Some(app) = request.app_data::<Data<App>>().cloned() else { return next.call(request).await };
    let is_admin = request.path().starts_with("/admin/");
    let refused = || Err(InternalError::from_response("overloaded", overloaded(is_admin)).into());
    if app.admission.is_full(class) {
        return refused();
    }
    let headers = request.headers();
    let is_whole = !headers.contains_key(TRANSFER_ENCODING) && !headers.contains_key(CONTENT_LENGTH);
    let served = app.admission.serve(class, async {
        // With a body it sits down when that is there: a slow sender has no seat.
        if is_whole && enter().await.is_err() {
            return None;
        }
        Some(next.call(request).await)
    });
    match served.await {
        Some(answered) => answered,
        None => refused(),
    }
}

fn overloaded(is_admin: bool) -> HttpResponse {
    if is_admin { admin::overloaded() } else { oauth_error(Reason::Overloaded) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_is_refused_after_what_begins() {
        for (path, expected) in [
            ("/healthz", Class::Free),
            ("/.well-known/openid-configuration", Class::Free),
            ("/oauth2/revoke", Class::Ending),
            ("/admin/v1/agents/a.b/revoke", Class::Ending),
            ("/admin/v1/revocations", Class::Ending),
            ("/admin/v1/signing-keys/k/distrust", Class::Ending),
            ("/admin/v1/agents", Class::Administering),
            ("/oauth2/introspect", Class::Settling),
            ("/budget/holds/h_1/capture", Class::Settling),
            ("/budget/holds", Class::Beginning),
            ("/budget/charges", Class::Beginning),
            ("/credentials/c/release", Class::Custody),
            ("/oauth2/token", Class::Beginning),
            ("/oauth2/register", Class::Beginning),
            ("/nowhere", Class::Beginning),
        ] {
            assert_eq!(class(path), expected, "{path}");
        }
    }
}
