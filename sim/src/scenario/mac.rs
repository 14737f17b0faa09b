//! MAC addresses as scenario files write them.

use std::fmt;
use std::str::FromStr;

/// A MAC address; written as six two-digit hexadecimal octets with colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddress(pub [u8; 6]);

/// Text that is no MAC address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a MAC address is six two-digit hexadecimal octets with colons")]
pub struct BadMac;

impl MacAddress {
    /// A locally administered unicast address, from the kind of object and its number.
    pub(super) const fn derived(kind: u8, number: u32) -> Self {
        let n = number.to_be_bytes();
        Self([0x02, 0x5e, kind, n[1], n[2], n[3]])
    }

    /// True for group addresses, broadcast included.
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl FromStr for MacAddress {
    type Err = BadMac;

    fn from_str(text: &str) -> Result<Self, BadMac> {
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().ok_or(BadMac)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(BadMac);
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| BadMac)?;
        }
        if parts.next().is_some() {
            return Err(BadMac);
        }
        Ok(Self(octets))
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_the_round_trip() {
        let mac: MacAddress = "00:0D:3a:00:00:ff".parse().unwrap();
        assert_eq!(mac, MacAddress([0, 0x0d, 0x3a, 0, 0, 0xff]));
        assert_eq!(mac.to_string(), "00:0d:3a:00:00:ff");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "00:0d:3a:00:00",
            "00:0d:3a:00:00:01:02",
            "00-0d-3a-00-00-01",
            "0:0d:3a:00:00:01",
            "+0:0d:3a:00:00:01",
        ] {
            assert_eq!(text.parse::<MacAddress>(), Err(BadMac), "{text:?}");
        }
    }

    #[test]
    fn derived_addresses_are_unicast_and_local() {
        let mac = MacAddress::derived(1, 0x0001_0203);
        assert!(!mac.is_multicast());
        assert_eq!(mac.0, [0x02, 0x5e, 1, 1, 2, 3]);
    }
}
