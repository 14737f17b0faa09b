//! ARP for IPv4 over Ethernet (RFC 826).

use crate::bytes::{Field, get_array, get_u8, get_u16, put_slice, put_u8, put_u16};
use crate::ethernet::{EtherType, EthernetAddress};
use crate::{Error, Result};
use core::net::Ipv4Addr;

/// Octets of a packet.
pub const PACKET_LEN: usize = 28;

/// The hardware type of Ethernet.
const HARDWARE_ETHERNET: u16 = 1;

mod field {
    use super::Field;
    pub(super) const HTYPE: Field = 0..2;
    pub(super) const PTYPE: Field = 2..4;
    pub(super) const HLEN: usize = 4;
    pub(super) const PLEN: usize = 5;
    pub(super) const OPER: Field = 6..8;
    pub(super) const SHA: Field = 8..14;
    pub(super) const SPA: Field = 14..18;
    pub(super) const THA: Field = 18..24;
    pub(super) const TPA: Field = 24..28;
}

/// What the sender wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ArpOperation(pub u16);

impl ArpOperation {
    /// Who has the target address?
    pub const REQUEST: Self = Self(1);
    /// The sender has the sender's address.
    pub const REPLY: Self = Self(2);
}

/// View of an ARP packet; Ethernet padding after it is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArpPacket<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> ArpPacket<T> {
    /// A view without any check.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// A view of a packet for IPv4 over Ethernet.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 28 octets; [`Error::Unsupported`] for other hardware or protocol types;
    /// [`Error::Malformed`] when the address lengths are not those of the types.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self> {
        let data = buffer.as_ref();
        if data.len() < PACKET_LEN {
            return Err(Error::Truncated);
        }
        if get_u16(data, field::HTYPE) != HARDWARE_ETHERNET || get_u16(data, field::PTYPE) != EtherType::IPV4.0 {
            return Err(Error::Unsupported);
        }
        if get_u8(data, field::HLEN) != 6 || get_u8(data, field::PLEN) != 4 {
            return Err(Error::Malformed);
        }
        Ok(Self { buffer })
    }

    /// Gives the buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// What the sender wants.
    #[inline]
    pub fn operation(&self) -> ArpOperation {
        ArpOperation(get_u16(self.buffer.as_ref(), field::OPER))
    }

    /// Ethernet address of the sender.
    #[inline]
    pub fn sender_hardware_addr(&self) -> EthernetAddress {
        EthernetAddress(get_array(self.buffer.as_ref(), field::SHA))
    }

    /// IPv4 address of the sender; unspecified in a probe (RFC 5227).
    #[inline]
    pub fn sender_protocol_addr(&self) -> Ipv4Addr {
        Ipv4Addr::from(get_array(self.buffer.as_ref(), field::SPA))
    }

    /// Ethernet address of the target; means nothing in a request.
    #[inline]
    pub fn target_hardware_addr(&self) -> EthernetAddress {
        EthernetAddress(get_array(self.buffer.as_ref(), field::THA))
    }

    /// IPv4 address of the target.
    #[inline]
    pub fn target_protocol_addr(&self) -> Ipv4Addr {
        Ipv4Addr::from(get_array(self.buffer.as_ref(), field::TPA))
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> ArpPacket<T> {
    /// Writes the types and lengths of IPv4 over Ethernet.
    #[inline]
    pub fn set_types(&mut self) {
        let data = self.buffer.as_mut();
        put_u16(data, field::HTYPE, HARDWARE_ETHERNET);
        put_u16(data, field::PTYPE, EtherType::IPV4.0);
        put_u8(data, field::HLEN, 6);
        put_u8(data, field::PLEN, 4);
    }

    /// Sets what the sender wants.
    #[inline]
    pub fn set_operation(&mut self, operation: ArpOperation) {
        put_u16(self.buffer.as_mut(), field::OPER, operation.0);
    }

    /// Sets the Ethernet address of the sender.
    #[inline]
    pub fn set_sender_hardware_addr(&mut self, address: EthernetAddress) {
        put_slice(self.buffer.as_mut(), field::SHA, &address.0);
    }

    /// Sets the IPv4 address of the sender.
    #[inline]
    pub fn set_sender_protocol_addr(&mut self, address: Ipv4Addr) {
        put_slice(self.buffer.as_mut(), field::SPA, &address.octets());
    }

    /// Sets the Ethernet address of the target.
    #[inline]
    pub fn set_target_hardware_addr(&mut self, address: EthernetAddress) {
        put_slice(self.buffer.as_mut(), field::THA, &address.0);
    }

    /// Sets the IPv4 address of the target.
    #[inline]
    pub fn set_target_protocol_addr(&mut self, address: Ipv4Addr) {
        put_slice(self.buffer.as_mut(), field::TPA, &address.octets());
    }
}

/// An ARP packet for IPv4 over Ethernet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArpRepr {
    /// What the sender wants.
    pub operation: ArpOperation,
    /// Ethernet address of the sender.
    pub sender_hardware_addr: EthernetAddress,
    /// IPv4 address of the sender.
    pub sender_protocol_addr: Ipv4Addr,
    /// Ethernet address of the target.
    pub target_hardware_addr: EthernetAddress,
    /// IPv4 address of the target.
    pub target_protocol_addr: Ipv4Addr,
}

impl ArpRepr {
    /// Reads the packet.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for operations other than request and reply.
    #[inline]
    pub fn parse<T: AsRef<[u8]>>(packet: &ArpPacket<T>) -> Result<Self> {
        if !matches!(packet.operation(), ArpOperation::REQUEST | ArpOperation::REPLY) {
            return Err(Error::Unsupported);
        }
        Ok(Self {
            operation: packet.operation(),
            sender_hardware_addr: packet.sender_hardware_addr(),
            sender_protocol_addr: packet.sender_protocol_addr(),
            target_hardware_addr: packet.target_hardware_addr(),
            target_protocol_addr: packet.target_protocol_addr(),
        })
    }

    /// The reply to this request on behalf of the owner of the target address, whose Ethernet address is `owner`.
    #[inline]
    pub const fn reply(&self, owner: EthernetAddress) -> Self {
        Self {
            operation: ArpOperation::REPLY,
            sender_hardware_addr: owner,
            sender_protocol_addr: self.target_protocol_addr,
            target_hardware_addr: self.sender_hardware_addr,
            target_protocol_addr: self.sender_protocol_addr,
        }
    }

    /// Octets that [`Self::emit`] writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        PACKET_LEN
    }

    /// Writes the packet to the front of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter than [`Self::buffer_len`].
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        if buffer.len() < PACKET_LEN {
            return Err(Error::Truncated);
        }
        let mut packet = ArpPacket::new_unchecked(buffer);
        packet.set_types();
        packet.set_operation(self.operation);
        packet.set_sender_hardware_addr(self.sender_hardware_addr);
        packet.set_sender_protocol_addr(self.sender_protocol_addr);
        packet.set_target_hardware_addr(self.target_hardware_addr);
        packet.set_target_protocol_addr(self.target_protocol_addr);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hex, refuses_every_truncation};

    // A kernel asked for 10.1.0.11, and another answered.
    const REQUEST: &str = "0001 0800 06 04 0001 02000000000a 0a01000a 000000000000 0a01000b";
    const REPLY: &str = "0001 0800 06 04 0002 02000000000b 0a01000b 02000000000a 0a01000a";

    fn request() -> ArpRepr {
        ArpRepr {
            operation: ArpOperation::REQUEST,
            sender_hardware_addr: EthernetAddress([2, 0, 0, 0, 0, 0x0a]),
            sender_protocol_addr: Ipv4Addr::new(10, 1, 0, 10),
            target_hardware_addr: EthernetAddress::ZERO,
            target_protocol_addr: Ipv4Addr::new(10, 1, 0, 11),
        }
    }

    #[test]
    fn takes_a_request_apart() {
        let octets = hex(REQUEST);
        assert_eq!(ArpRepr::parse(&ArpPacket::new_checked(&octets).unwrap()), Ok(request()));
    }

    #[test]
    fn builds_the_reply_that_the_kernel_sent() {
        let mut buffer = [0xff; PACKET_LEN];
        let reply = request().reply(EthernetAddress([2, 0, 0, 0, 0, 0x0b]));
        reply.emit(&mut buffer).unwrap();
        assert_eq!(buffer[..], hex(REPLY));
        assert_eq!(reply.emit(&mut buffer[..27]), Err(Error::Truncated));
    }

    #[test]
    fn refuses_truncations_and_other_hardware() {
        refuses_every_truncation(&hex(REQUEST), |data| ArpPacket::new_checked(data).is_ok());
        for (at, error) in [
            (0, Error::Unsupported),
            (2, Error::Unsupported),
            (4, Error::Malformed),
            (5, Error::Malformed),
        ] {
            let mut octets = hex(REQUEST);
            octets[at] ^= 0x10;
            assert_eq!(ArpPacket::new_checked(&octets), Err(error), "octet {at}");
        }
        let reverse = hex(&REQUEST.replace(" 0001 0200", " 0003 0200"));
        assert_eq!(
            ArpRepr::parse(&ArpPacket::new_checked(&reverse).unwrap()),
            Err(Error::Unsupported)
        );
    }
}
