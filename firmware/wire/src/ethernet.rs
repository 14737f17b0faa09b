//! Ethernet II header (IEEE 802.3 clause 3): destination, source, EtherType. The frame check sequence is not part of a frame here.

use crate::bytes::{Field, get_array, get_slice, get_slice_mut, get_u16, put_slice, put_u16};
use crate::{Error, Result};
use core::fmt;
use core::str::FromStr;

/// Octets of the header.
pub const HEADER_LEN: usize = 14;

/// Length of an Ethernet address in octets.
pub const ADDRESS_LEN: usize = 6;

mod field {
    use super::Field;
    pub(super) const DST: Field = 0..6;
    pub(super) const SRC: Field = 6..12;
    pub(super) const TYPE: Field = 12..14;
}

/// A 48-bit MAC address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EthernetAddress(pub [u8; ADDRESS_LEN]);

impl EthernetAddress {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: Self = Self([0xff; ADDRESS_LEN]);
    /// 00:00:00:00:00:00, which belongs to nobody.
    pub const ZERO: Self = Self([0; ADDRESS_LEN]);

    /// The octets in transmission order.
    #[inline]
    pub const fn octets(self) -> [u8; ADDRESS_LEN] {
        self.0
    }

    /// Every station.
    #[inline]
    pub const fn is_broadcast(self) -> bool {
        matches!(self.0, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
    }

    /// A group address; broadcast is one.
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 0x01 != 0
    }

    /// An address that one station can have: neither a group nor all zeros.
    #[inline]
    pub const fn is_unicast(self) -> bool {
        !self.is_multicast() && !matches!(self.0, [0, 0, 0, 0, 0, 0])
    }

    /// Assigned locally rather than by the manufacturer.
    #[inline]
    pub const fn is_local(self) -> bool {
        self.0[0] & 0x02 != 0
    }

    /// The group address that carries packets to an IPv6 multicast destination (RFC 2464 section 7).
    #[inline]
    pub const fn from_ipv6_multicast(group: &core::net::Ipv6Addr) -> Self {
        let [.., a, b, c, d] = group.octets();
        Self([0x33, 0x33, a, b, c, d])
    }
}

impl From<[u8; ADDRESS_LEN]> for EthernetAddress {
    #[inline]
    fn from(octets: [u8; ADDRESS_LEN]) -> Self {
        Self(octets)
    }
}

impl fmt::Display for EthernetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for EthernetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EthernetAddress {
    type Err = Error;

    /// Reads six two-digit hexadecimal octets with `:` or `-` between them.
    fn from_str(text: &str) -> Result<Self> {
        let mut octets = [0; ADDRESS_LEN];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts.next().ok_or(Error::Malformed)?;
            if part.len() != 2 || !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(Error::Malformed);
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| Error::Malformed)?;
        }
        if parts.next().is_some() {
            return Err(Error::Malformed);
        }
        Ok(Self(octets))
    }
}

/// What a frame carries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: Self = Self(0x0800);
    /// ARP.
    pub const ARP: Self = Self(0x0806);
    /// IPv6.
    pub const IPV6: Self = Self(0x86dd);
    /// 802.1Q tag (customer tag).
    pub const VLAN: Self = Self(0x8100);
    /// 802.1ad tag (service tag).
    pub const QINQ: Self = Self(0x88a8);

    /// Values up to 1535 are no types (IEEE 802.3 clause 3.2.6): up to 1500 a length of an LLC frame, above undefined.
    #[inline]
    pub const fn is_type(self) -> bool {
        self.0 >= 0x0600
    }

    /// A VLAN tag follows.
    #[inline]
    pub const fn is_vlan(self) -> bool {
        matches!(self, Self::VLAN | Self::QINQ)
    }
}

impl fmt::Debug for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EtherType({:#06x})", self.0)
    }
}

/// View of an Ethernet frame without its frame check sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EthernetFrame<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> EthernetFrame<T> {
    /// A view without any check.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// A view of a buffer that holds a whole header.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 14 octets.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self> {
        if buffer.as_ref().len() < HEADER_LEN {
            return Err(Error::Truncated);
        }
        Ok(Self { buffer })
    }

    /// Gives the buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// Destination.
    #[inline]
    pub fn dst_addr(&self) -> EthernetAddress {
        EthernetAddress(get_array(self.buffer.as_ref(), field::DST))
    }

    /// Source.
    #[inline]
    pub fn src_addr(&self) -> EthernetAddress {
        EthernetAddress(get_array(self.buffer.as_ref(), field::SRC))
    }

    /// What the payload is.
    #[inline]
    pub fn ethertype(&self) -> EtherType {
        EtherType(get_u16(self.buffer.as_ref(), field::TYPE))
    }

    /// All after the header: padding included, as only the payload knows its own length.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        let data = self.buffer.as_ref();
        get_slice(data, HEADER_LEN..data.len())
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> EthernetFrame<T> {
    /// Sets the destination.
    #[inline]
    pub fn set_dst_addr(&mut self, address: EthernetAddress) {
        put_slice(self.buffer.as_mut(), field::DST, &address.0);
    }

    /// Sets the source.
    #[inline]
    pub fn set_src_addr(&mut self, address: EthernetAddress) {
        put_slice(self.buffer.as_mut(), field::SRC, &address.0);
    }

    /// Sets what the payload is.
    #[inline]
    pub fn set_ethertype(&mut self, ethertype: EtherType) {
        put_u16(self.buffer.as_mut(), field::TYPE, ethertype.0);
    }

    /// All after the header.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let data = self.buffer.as_mut();
        let end = data.len();
        get_slice_mut(data, HEADER_LEN..end)
    }
}

/// An Ethernet header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EthernetRepr {
    /// Destination.
    pub dst_addr: EthernetAddress,
    /// Source.
    pub src_addr: EthernetAddress,
    /// What follows.
    pub ethertype: EtherType,
}

impl EthernetRepr {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the type field is a length (an LLC frame).
    #[inline]
    pub fn parse<T: AsRef<[u8]>>(frame: &EthernetFrame<T>) -> Result<Self> {
        if !frame.ethertype().is_type() {
            return Err(Error::Malformed);
        }
        Ok(Self {
            dst_addr: frame.dst_addr(),
            src_addr: frame.src_addr(),
            ethertype: frame.ethertype(),
        })
    }

    /// Octets that [`Self::emit`] writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header to the front of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter than [`Self::buffer_len`].
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        let mut frame = EthernetFrame::new_checked(buffer)?;
        frame.set_dst_addr(self.dst_addr);
        frame.set_src_addr(self.src_addr);
        frame.set_ethertype(self.ethertype);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hex, refuses_every_truncation};
    use std::format;

    const HEADER: &str = "02000000000b 02000000000a 0800";

    #[test]
    fn takes_a_frame_apart() {
        let frame = hex("02000000000b 02000000000a 0800 4500");
        let frame = EthernetFrame::new_checked(&frame).unwrap();
        assert_eq!(frame.dst_addr(), EthernetAddress([2, 0, 0, 0, 0, 0x0b]));
        assert_eq!(frame.src_addr(), EthernetAddress([2, 0, 0, 0, 0, 0x0a]));
        assert_eq!(frame.ethertype(), EtherType::IPV4);
        assert_eq!(frame.payload(), [0x45, 0x00]);
    }

    #[test]
    fn builds_a_header() {
        let repr = EthernetRepr {
            dst_addr: EthernetAddress([2, 0, 0, 0, 0, 0x0b]),
            src_addr: EthernetAddress([2, 0, 0, 0, 0, 0x0a]),
            ethertype: EtherType::IPV4,
        };
        let mut buffer = [0xee; 15];
        repr.emit(&mut buffer).unwrap();
        assert_eq!(buffer[..14], hex(HEADER));
        assert_eq!(buffer[14], 0xee);
        assert_eq!(
            EthernetRepr::parse(&EthernetFrame::new_checked(&buffer).unwrap()),
            Ok(repr)
        );
        assert_eq!(repr.emit(&mut buffer[..13]), Err(Error::Truncated));
    }

    #[test]
    fn edits_in_place() {
        let mut octets = hex("02000000000b 02000000000a 0800 00");
        let mut frame = EthernetFrame::new_checked(&mut octets[..]).unwrap();
        frame.set_dst_addr(EthernetAddress::BROADCAST);
        frame.payload_mut()[0] = 7;
        assert_eq!(octets, hex("ffffffffffff 02000000000a 0800 07"));
    }

    #[test]
    fn refuses_truncations_and_lengths_for_types() {
        refuses_every_truncation(&hex(HEADER), |data| EthernetFrame::new_checked(data).is_ok());
        let llc = hex("0180c2000000 02000000000a 0026 424203");
        assert_eq!(
            EthernetRepr::parse(&EthernetFrame::new_checked(&llc).unwrap()),
            Err(Error::Malformed)
        );
    }

    #[test]
    fn tells_addresses_apart() {
        let unicast = EthernetAddress([0, 1, 2, 3, 4, 5]);
        assert!(unicast.is_unicast() && !unicast.is_multicast() && !unicast.is_broadcast() && !unicast.is_local());
        let group = EthernetAddress([0x33, 0x33, 0, 0, 0, 1]);
        assert!(group.is_multicast() && !group.is_unicast() && !group.is_broadcast());
        assert!(EthernetAddress::BROADCAST.is_broadcast() && EthernetAddress::BROADCAST.is_multicast());
        assert!(!EthernetAddress::ZERO.is_unicast());
        assert!(EthernetAddress([2, 0, 0, 0, 0, 1]).is_local());
        assert_eq!(
            EthernetAddress::from_ipv6_multicast(&"ff02::1:ff00:b".parse().unwrap()),
            EthernetAddress([0x33, 0x33, 0xff, 0, 0, 0x0b])
        );
    }

    #[test]
    fn reads_and_writes_addresses_as_text() {
        let address = EthernetAddress([2, 0, 0x5e, 0x10, 0, 0xff]);
        assert_eq!(format!("{address}"), "02:00:5e:10:00:ff");
        assert_eq!("02:00:5e:10:00:ff".parse(), Ok(address));
        assert_eq!("02-00-5E-10-00-FF".parse(), Ok(address));
        for wrong in [
            "",
            "02:00:5e:10:00",
            "02:00:5e:10:00:ff:00",
            "2:0:5e:10:0:ff",
            "02:00:5e:10:00:fg",
            "+2:00:5e:10:00:ff",
        ] {
            assert_eq!(wrong.parse::<EthernetAddress>(), Err(Error::Malformed), "{wrong}");
        }
    }
}
