//! Which addresses may be called. A name is looked up once, its addresses are checked, and
//! those that pass are the ones connected to: a name that changes its mind gains nothing.
//!
//! What is no public unicast address is refused, unless the configuration lets its network in.

use super::limits::MAX_ADDRESSES;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use url::{Host, Url};

use super::fault::UpstreamFault;

/// A lookup under way.
pub type Looking = Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;

/// Who knows the addresses of a name.
pub trait Lookup: Debug + Send + Sync {
    /// All addresses of a host's name.
    fn lookup(&self, host: &str) -> Looking;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: &str) -> Looking {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|found| found.ip()).collect()) })
    }
}

/// Why a name leads nowhere.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum NameFault {
    #[error("no address of the name may be called")]
    Refused,
    #[error("the name has no address")]
    Unknown,
}

/// What may be called: public addresses over TLS, and what the configuration adds.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    networks: Arc<[IpNet]>,
    plain_hosts: Arc<[String]>,
    lookup: Arc<dyn Lookup>,
}

impl Guard {
    pub fn new(networks: Vec<IpNet>, plain_hosts: Vec<String>, lookup: Arc<dyn Lookup>) -> Self {
        Self { networks: networks.into(), plain_hosts: plain_hosts.into(), lookup }
    }

    /// Checks what is seen before a name is looked up. Addresses in the place of a name are
    /// checked here: nobody looks them up. `url` has read them by then, however they were spelt.
    pub fn check(&self, url: &Url) -> Result<(), UpstreamFault> {
        let host = url.host_str().ok_or(UpstreamFault::UrlRefused)?;
        let may_be_plain = || self.plain_hosts.iter().any(|plain| plain.eq_ignore_ascii_case(host));
        let scheme = url.scheme() == "https" || (url.scheme() == "http" && may_be_plain());
        // A name or a password in the URL would become an Authorization header.
        if !scheme || !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(UpstreamFault::UrlRefused);
        }
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(UpstreamFault::UrlRefused),
        };
        if self.allows(literal) { Ok(()) } else { Err(UpstreamFault::AddressRefused) }
    }

    fn allows(&self, address: IpAddr) -> bool {
        // An address that is written as IPv6 but goes out as IPv4 is judged as what it is.
        let judged = address.to_canonical();
        is_public(address) || self.networks.iter().any(|network| network.contains(&judged))
    }

    fn passing(&self, found: Vec<IpAddr>) -> Result<Vec<SocketAddr>, NameFault> {
        if found.is_empty() {
            return Err(NameFault::Unknown);
        }
        let some = found.into_iter().take(MAX_ADDRESSES);
        // Port 0 stands for the URL's.
        let passing: Vec<_> = some.filter(|found| self.allows(*found)).map(|found| SocketAddr::new(found, 0)).collect();
        if passing.is_empty() { Err(NameFault::Refused) } else { Ok(passing) }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        let looking = self.lookup.lookup(name.as_str());
        Box::pin(async move {
            let found = looking.await.map_err(|_| NameFault::Unknown)?;
            let addresses: Addrs = Box::new(guard.passing(found)?.into_iter());
            Ok(addresses)
        })
    }
}

/// Whether an address is a public unicast one: the IANA special-purpose registries (RFC 6890),
/// less what is reachable by everybody.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        // "This network", private, carrier-grade NAT, loopback, link-local.
        (0 | 10 | 127, _, _) | (100, 64..=127, _) | (169, 254, _) | (172, 16..=31, _) | (192, 168, _)
            // Protocol assignments, 6to4 relays, AS112, documentation, benchmarks.
            | (192, 0, 0 | 2) | (192, 88, 99) | (192, 31, 196) | (192, 52, 193) | (192, 175, 48)
            | (198, 18..=19, _) | (198, 51, 100) | (203, 0, 113)
            // Multicast, reserved, broadcast.
            | (224..=255, _, _)
    );
    !special
}

/// Global unicast is 2000::/3, and of that not what carries another address or is for examples.
/// So mapped, compatible and translated IPv4 (64:ff9b::/96), ULA, link-local, multicast,
/// loopback and unspecified are all refused by being outside.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let global = first & 0xe000 == 0x2000;
    let special = matches!(
        (first, second),
        // Teredo, benchmarks, ORCHID and the other protocol assignments: 2001::/23.
        (0x2001, 0x0000..=0x01ff)
        // Documentation; 6to4.
        | (0x2001, 0x0db8) | (0x2002, _) | (0x3fff, 0x0000..=0x0fff)
    );
    global && !special
}

#[cfg(test)]
mod tests;
