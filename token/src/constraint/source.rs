//! Blocks of source addresses (CIDR, RFC 4632 section 3.1 and RFC 4291 section 2.3).

use super::list::Pattern;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// Bits of the prefix `::ffff:0:0/96`, under which IPv6 writes IPv4 addresses.
const MAPPED_BITS: u8 = 96;

/// A block of addresses, as `10.0.0.0/8` or `2001:db8::/32`.
///
/// An IPv4 address that is written as IPv6 (`::ffff:10.0.0.1`, RFC 4291 section 2.5.5.2) is the
/// IPv4 address, in a block as in a call; a block of such addresses is the IPv4 block. No IPv6
/// block matches an IPv4 address, `::/0` neither. Other forms that carry an IPv4 address (6to4,
/// NAT64) are IPv6 addresses and nothing else.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a source is an address, a slash and the number of bits that count, all other bits zero")]
pub struct CidrError;

impl Cidr {
    /// # Errors
    /// [`CidrError`] for an address without a number of bits, or with bits set that don't count.
    pub fn parse(text: &str) -> Result<Self, CidrError> {
        let (address, prefix) = text.split_once('/').ok_or(CidrError)?;
        let plain = prefix.bytes().all(|byte| byte.is_ascii_digit()) && (prefix == "0" || !prefix.starts_with('0'));
        let prefix: u8 = prefix.parse().ok().filter(|_| plain).ok_or(CidrError)?;
        let parsed: IpAddr = address.parse().map_err(|_| CidrError)?;
        let canonical = parsed.to_canonical();
        let prefix = match (parsed, canonical) {
            (IpAddr::V6(_), IpAddr::V4(_)) => prefix.checked_sub(MAPPED_BITS).ok_or(CidrError)?,
            _ => prefix,
        };
        if prefix > width(canonical) || bits(canonical) & !mask(canonical, prefix) != 0 {
            return Err(CidrError);
        }
        Ok(Self { address: canonical, prefix })
    }

    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && bits(address) & mask(self.address, self.prefix) == bits(self.address)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The bits that count. Above the width of IPv4 they are zero in every address.
fn mask(address: IpAddr, prefix: u8) -> u128 {
    u128::MAX.checked_shl(u32::from(width(address).saturating_sub(prefix))).unwrap_or(0)
}

impl Pattern for Cidr {
    fn is_within(&self, other: &Self) -> bool {
        self.prefix >= other.prefix && other.contains(self.address)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;

    fn try_from(text: String) -> Result<Self, CidrError> {
        Self::parse(&text)
    }
}

impl From<Cidr> for String {
    fn from(block: Cidr) -> Self {
        block.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(block: &str, address: &str) -> bool {
        Cidr::parse(block).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_block_has_its_first_and_its_last_address_and_no_more() {
        for (block, inside, outside) in [
            ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]),
            ("192.0.2.64/31", ["192.0.2.64", "192.0.2.65"], ["192.0.2.63", "192.0.2.66"]),
            ("192.0.2.1/32", ["192.0.2.1", "::ffff:192.0.2.1"], ["192.0.2.0", "192.0.2.2"]),
            ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::", "::1"]),
            ("2001:db8::/33", ["2001:db8::", "2001:db8:7fff:ffff::"], ["2001:db8:8000::", "2001:db7:ffff::"]),
            ("2001:db8::1/128", ["2001:db8::1", "2001:db8:0::1"], ["2001:db8::", "2001:db8::2"]),
            ("::/0", ["::", "ffff::"], ["10.0.0.1", "::ffff:10.0.0.1"]),
            ("::ffff:10.0.0.0/104", ["10.0.0.1", "::ffff:10.9.9.9"], ["::10.0.0.1", "11.0.0.1"]),
            ("::ffff:0:0/96", ["1.2.3.4", "::ffff:1.2.3.4"], ["::1", "64:ff9b::102:304"]),
        ] {
            for address in inside {
                assert!(contains(block, address), "{block} {address}");
            }
            for address in outside {
                assert!(!contains(block, address), "{block} {address}");
            }
        }
        assert_eq!(Cidr::parse("::FFFF:10.0.0.0/104").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(Cidr::parse("2001:DB8:0::/32").unwrap().to_string(), "2001:db8::/32");
    }

    #[test]
    fn what_is_no_block_is_refused() {
        let odd = ["", "/", "/8", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/08"];
        let bits = ["10.0.0.1/8", "2001:db8::1/64", "::ffff:10.0.0.1/104", "0.0.0.1/0", "::/129", "::/256", "10/8"];
        let text = ["010.0.0.0/8", "10.0.0.0/8 ", " 10.0.0.0/8", "10.0.0.0/8/8", "fe80::1%eth0/64", "[::1]/128"];
        let mapped =
            ["::ffff:0:0/95", "::ffff:10.0.0.0/8", "::ffff:0:0/0", "0x0a.0.0.0/8", "a.example/8", "1.2.3.4/255.0.0.0"];
        for text in odd.into_iter().chain(bits).chain(text).chain(mapped) {
            assert_eq!(Cidr::parse(text), Err(CidrError), "{text}");
        }
    }

    #[test]
    fn blocks_are_nested_or_apart() {
        let within = |a: &str, b: &str| Cidr::parse(a).unwrap().is_within(&Cidr::parse(b).unwrap());
        assert!(within("10.1.0.0/16", "10.0.0.0/8") && within("10.0.0.0/8", "10.0.0.0/8"));
        assert!(!within("10.0.0.0/8", "10.0.0.0/16") && !within("10.0.0.0/8", "::/0"));
        assert!(!within("0.0.0.0/0", "::/0") && !within("::/0", "0.0.0.0/0"));
    }
}
