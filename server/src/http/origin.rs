//! Where a request came from. Forwarding headers are believed from declared proxies only
//! (RFC 9700 section 4.13); the public URL never comes from a request.

use crate::audit::Origin;
use crate::config::Config;
use crate::pace::Pace;
use actix_web::{HttpMessage, HttpRequest};
use std::net::IpAddr;
use stipend_keys::random_id;

/// Longest X-Forwarded-For that is looked at, in hops.
const MAX_HOPS: usize = 16;

#[must_use]
pub fn origin(config: &Config, request: &HttpRequest) -> Origin {
    let peer = request.peer_addr().map(|address| address.ip().to_canonical());
    let pace = Pace::default();
    // Whoever answers says how long to wait.
    request.extensions_mut().insert(pace.clone());
    Origin { request_id: random_id("req_"), source: peer.map(|peer| source(config, peer, request)), pace }
}

/// The nearest address that is no proxy of ours, read from the right: what stands further
/// left was written by whoever sent the request.
fn source(config: &Config, peer: IpAddr, request: &HttpRequest) -> IpAddr {
    if !config.trusts_proxy(peer) {
        return peer;
    }
    let headers: Vec<&str> =
        request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok()).collect();
    let hops = headers.iter().rev().flat_map(|value| value.rsplit(','));
    let mut nearest = peer;
    for hop in hops.take(MAX_HOPS) {
        let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
        nearest = address.to_canonical();
        if !config.trusts_proxy(nearest) {
            break;
        }
    }
    nearest
}
