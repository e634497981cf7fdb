//! Around everything else of a request: how long it took and what became of it, for whoever
//! measures. Where nobody does it is one branch.
//!
//! Of the request it reads the method (as one of a list) and the trace context; of the answer the
//! status, the pattern of the route and the [`Line`].

use super::log::Line;
use crate::app::App;
use crate::telemetry::{Ended, Telemetry, Trail, incoming, known_method};
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage};
use std::sync::Arc;

/// A request under way. Dropped before its end, its client has gone away.
struct UnderWay {
    telemetry: Telemetry,
    trail: Option<Arc<Trail>>,
    ended: Ended,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(trail) = self.trail.take() {
            self.telemetry.end(trail, self.ended.clone());
        }
    }
}

/// # Errors
/// The handler's own.
pub async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let begun = request.app_data::<Data<App>>().and_then(|app| {
        let trail = app.telemetry.begin(|| {
            let lines = |name| request.headers().get_all(name).map(|value| value.as_bytes());
            incoming(lines("traceparent"), lines("tracestate"))
        })?;
        Some((app.telemetry.clone(), trail))
    });
    let Some((telemetry, trail)) = begun else { return next.call(request).await };
    let ended = Ended {
        method: known_method(request.method().as_str()),
        // Whatever a header says: a proxy's word is not needed for a label.
        scheme: if request.app_config().secure() { "https" } else { "http" },
        route: None,
        status: None,
        request_id: None,
        jti: None,
        reason: None,
    };
    let mut under_way = UnderWay { telemetry, trail: Some(Arc::clone(&trail)), ended };
    let answered = trail.scope(next.call(request)).await;
    let ended = &mut under_way.ended;
    match &answered {
        Ok(answered) => {
            ended.status = Some(answered.status().as_u16());
            ended.route = answered.request().match_pattern();
            if let Some(line) = answered.request().extensions().get::<Line>() {
                ended.request_id = Some(line.request_id.clone());
                ended.jti.clone_from(&line.jti);
                ended.reason = line.reason;
            }
        }
        Err(error) => ended.status = Some(error.as_response_error().status_code().as_u16()),
    }
    drop(under_way);
    answered
}
